//! `polder model list`.

use polder_base::{Reference, units};
use serde_json::json;

use crate::world::World;
use crate::{output, stages};

pub fn run(world: &mut World) -> anyhow::Result<()> {
    let mut objects = Vec::new();
    let mut cells = Vec::new();
    let entries = std::fs::read_dir(world.layout().kind("models")).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|e| e.file_name().into_string().ok()).collect();
    names.sort();
    for name in names {
        for version in stages::versions(world, "models", &name) {
            let reference = Reference::Artefact { kind: "models".into(), name: name.clone(), version: Some(version.to_string()) };
            let manifest = stages::manifest(world, &reference)?;
            let bytes: u64 = manifest.files.iter().map(|f| f.bytes).sum();
            let from: Vec<String> = manifest.inputs.iter().map(|i| i.reference.to_string()).collect();
            objects.push(
                json!({ "model": reference, "created_at": manifest.created_at, "bytes": bytes, "from": from, "details": manifest.details }),
            );
            let kind = manifest.details["model"]["model_type"].as_str().unwrap_or("–").to_owned();
            let n_params = manifest.details["n_params"].as_u64().map_or("–".into(), units::count);
            cells.push(vec![reference.to_string(), kind, n_params, manifest.created_at.to_string(), units::bytes(bytes), from.join(" ")]);
        }
    }
    output::rows(world.json, "polder.model", &objects, &["model", "kind", "parameters", "made at", "size", "from"], &cells, &[2, 4])
}
