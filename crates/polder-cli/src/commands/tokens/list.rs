//! `polder tokens list`.

use polder_base::{Reference, units};
use polder_shard::TokenSet;

use crate::output;
use crate::world::World;

pub fn run(world: &mut World) -> anyhow::Result<()> {
    world.lake()?;
    let mut objects = Vec::new();
    let mut cells = Vec::new();
    for name in names(world) {
        let Ok(set) = TokenSet::open(&world.layout().kind("tokens").join(&name)) else {
            output::note(&format!("tokens/{name} cannot be read; look at it with polder tokens check {name}"));
            continue;
        };
        let (manifest, details) = (set.manifest(), set.details());
        let sum = |of: &std::collections::BTreeMap<String, u64>| of.values().sum::<u64>();
        let (n_tokens, n_documents) = (sum(&details.n_tokens), sum(&details.n_documents));
        let bytes: u64 = manifest.files.iter().map(|f| f.bytes).sum();
        let from =
            |kind: &str| manifest.inputs.iter().map(|i| &i.reference).find(|r| is(r, kind)).map_or_else(String::new, Reference::to_string);
        let (pile, tokenizer) = (from("table"), from("tokenizers"));
        objects.push(serde_json::json!({
            "tokens": manifest.reference.to_string(), "from": pile, "tokenizer": tokenizer, "n_tokens": n_tokens,
            "n_documents": n_documents, "n_shards": details.shards.len(), "bytes": bytes, "created_at": manifest.created_at.to_string(),
        }));
        let shards = details.shards.len() as u64;
        let counts = [n_tokens, n_documents, shards].map(units::count);
        cells.push([vec![name, pile, tokenizer], counts.to_vec(), vec![units::bytes(bytes), manifest.created_at.to_string()]].concat());
    }
    let headings = ["tokens", "from", "tokenizer", "tokens", "documents", "shards", "on disk", "built"];
    output::rows(world.json, "polder.token_set", &objects, &headings, &cells, &[3, 4, 5, 6])
}

fn is(reference: &Reference, kind: &str) -> bool {
    match reference {
        Reference::Table(..) => kind == "table",
        Reference::Artefact { kind: found, .. } => found == kind,
        _ => false,
    }
}

/// The names of the lake's token sets, in order.
pub fn names(world: &World) -> Vec<String> {
    let entries = std::fs::read_dir(world.layout().kind("tokens")).into_iter().flatten().flatten();
    let whole = entries.filter(|e| e.path().join(polder_base::Manifest::FILE).is_file());
    let mut names: Vec<String> = whole.filter_map(|e| e.file_name().into_string().ok()).filter(|n| !n.starts_with('.')).collect();
    names.sort();
    names
}
