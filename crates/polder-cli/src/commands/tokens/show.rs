//! `polder tokens show NAME`.

use polder_base::{Reference, units};
use polder_shard::{Index, ShardDetails, TokenDocument, TokenSet, shard_documents};
use polder_tokenizer::Tokenizer;

use crate::failure::{self, OrAdvise};
use crate::world::World;
use crate::{output, pieces, stages};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The set's name, or tokens/NAME.
    name: String,
    /// Show the document with this doc_id.
    #[arg(long, value_name = "DOC_ID", conflicts_with_all = ["shard", "split"])]
    document: Option<String>,
    /// Show a document of this shard, for example train-00000.
    #[arg(long, value_name = "SHARD", conflicts_with = "split")]
    shard: Option<String>,
    /// Which document of the shard, counted from 0.
    #[arg(long, requires = "shard", default_value_t = 0, value_name = "N")]
    doc: u64,
    /// Show the first document of this split, and its shards.
    #[arg(long, value_name = "SPLIT")]
    split: Option<String>,
    /// Tokens of the document to print at most.
    #[arg(long, default_value_t = 400, value_name = "N")]
    tokens: u64,
}

pub fn run(world: &mut World, args: &Args) -> anyhow::Result<()> {
    let reference = stages::named("tokens", &args.name).or_advise()?;
    let set = TokenSet::open(&stages::folder(world, &reference)?).or_advise()?;
    let asked = args.document.is_some() || args.shard.is_some();
    let found = find(&set, args, &reference)?;
    if world.json {
        return match found {
            Some((shard, document)) if asked => {
                let (ids, tokenizer) = (ids(&set, shard, &document, u64::MAX)?, tokenizer(world, &set)?);
                let tokens: Vec<String> = tokenizer.iter().flat_map(|t| ids.iter().map(|id| t.decode(&[*id]))).collect();
                let object = serde_json::json!({
                    "doc_id": document.doc_id, "split": document.split, "shard": document.shard, "doc_idx": document.doc_idx,
                    "n_tokens": document.n_tokens, "text_bytes": document.text_bytes, "text_digest": document.text_digest,
                    "ids": ids, "tokens": tokens,
                });
                output::object("polder.token_document", &object)
            }
            _ => output::object("polder.tokens", &serde_json::to_value(set.manifest())?),
        };
    }
    if !asked {
        summary(&set, args.split.as_deref())?;
    }
    let Some((shard, document)) = found else { return Ok(()) };
    output::data(&output::printable(&format!(
        "{}{} · {} of {} · {} tokens for {} of text",
        if asked { "" } else { "\n" },
        document.doc_id,
        document.doc_idx,
        document.shard,
        units::count(document.n_tokens),
        units::bytes(document.text_bytes)
    )))?;
    let ids = ids(&set, shard, &document, args.tokens)?;
    let drawn = match tokenizer(world, &set)? {
        Some(tokenizer) => pieces::draw(&tokenizer, &ids, pieces::has_colour()),
        // Without its tokenizer a set is still numbers.
        None => ids.iter().map(u32::to_string).collect::<Vec<_>>().join("│"),
    };
    output::data(&drawn)?;
    if document.n_tokens > ids.len() as u64 {
        output::note(&format!(
            "… {} more; see them with --tokens {}",
            units::count(document.n_tokens - ids.len() as u64),
            document.n_tokens
        ));
    }
    Ok(())
}

/// What each split holds, or each shard of one.
fn summary(set: &TokenSet, split: Option<&str>) -> anyhow::Result<()> {
    let details = set.details();
    let row = |name: &str, n_documents: u64, n_tokens: u64, bytes: u64| {
        let ratio = if n_tokens > 0 { format!("{:.2}", bytes as f64 / n_tokens as f64) } else { "–".into() };
        vec![name.to_owned(), units::count(n_documents), units::count(n_tokens), units::bytes(bytes), ratio]
    };
    let rest = ["documents", "tokens", "text", "bytes/token"];
    let drawn = match split {
        Some(split) => {
            let shards = details.shards.iter().filter(|s| s.split == split);
            let cells: Vec<_> = shards.map(|s| row(&s.name, s.n_documents, s.n_tokens, s.text_bytes)).collect();
            output::table(&[&["shard"], rest.as_slice()].concat(), &cells, &[1, 2, 3, 4])
        }
        None => {
            let of = |map: &std::collections::BTreeMap<String, u64>, split: &str| map.get(split).copied().unwrap_or(0);
            let splits = details.n_tokens.iter();
            let cells: Vec<_> = splits.map(|(s, n)| row(s, of(&details.n_documents, s), *n, of(&details.bytes, s))).collect();
            output::table(&[&["split"], rest.as_slice()].concat(), &cells, &[1, 2, 3, 4])
        }
    };
    output::data(&drawn)?;
    let from: Vec<String> = set.manifest().inputs.iter().map(|i| i.reference.to_string()).collect();
    let width = details.dtype.bytes();
    output::data(&format!(
        "\nmade from {} · {} ids of {width} bytes · {:.3} nats of unigram entropy",
        from.join(" and "),
        units::count(details.vocab_size as u64),
        details.unigram_entropy_nats
    ))
}

/// The document that is asked for, by its id or its place; else the first of the split.
fn find<'a>(set: &'a TokenSet, args: &Args, reference: &Reference) -> anyhow::Result<Option<(&'a ShardDetails, TokenDocument)>> {
    let shards = &set.details().shards;
    if let Some(id) = &args.document {
        for shard in shards.iter().filter(|s| s.first_doc_id <= *id && *id <= s.last_doc_id) {
            for document in shard_documents(set.folder(), shard.clone()) {
                let document = document.or_advise()?;
                if document.doc_id == *id {
                    return Ok(Some((shard, document)));
                }
            }
        }
        let hint =
            format!("Its documents: polder sql \"SELECT doc_id FROM ops.token_documents WHERE token_set = '{}'\"", name_of(reference));
        return Err(failure::usage(format!("{reference} holds no document `{id}`"), hint));
    }
    let chosen = match (&args.shard, &args.split) {
        (Some(name), _) => {
            let known: Vec<&str> = shards.iter().map(|s| s.name.as_str()).take(10).collect();
            let hint = format!("Its shards are {}{}.", known.join(", "), if shards.len() > 10 { ", …" } else { "" });
            let shard = shards.iter().find(|s| s.name == *name);
            Some(shard.ok_or_else(|| failure::usage(format!("{reference} has no shard `{name}`"), hint))?)
        }
        (None, Some(split)) => {
            set.split(split).or_advise()?;
            shards.iter().find(|s| s.split == *split)
        }
        (None, None) => shards.first(),
    };
    let Some(shard) = chosen else { return Ok(None) };
    let place = if args.shard.is_some() { args.doc } else { 0 };
    match shard_documents(set.folder(), shard.clone()).nth(usize::try_from(place).unwrap_or(usize::MAX)) {
        Some(document) => Ok(Some((shard, document.or_advise()?))),
        None => {
            let hint = format!("It has {}, counted from 0.", shard.n_documents);
            Err(failure::usage(format!("{} of {reference} has no document {place}", shard.name), hint))
        }
    }
}

fn name_of(reference: &Reference) -> String {
    reference.to_string().replace("tokens/", "")
}

/// The first tokens of a document.
fn ids(set: &TokenSet, shard: &ShardDetails, document: &TokenDocument, n_max: u64) -> anyhow::Result<Vec<u32>> {
    let index = Index::open(&set.folder().join(format!("{}.idx", shard.name))).or_advise()?;
    let range = index.document(usize::try_from(document.doc_idx).unwrap_or(usize::MAX)).or_advise()?;
    let before = set.details().shards.iter().take_while(|s| s.name != shard.name).filter(|s| s.split == shard.split);
    let start: u64 = before.map(|s| s.n_tokens).sum();
    let end = range.end.min(range.start.saturating_add(n_max));
    let mut ids = Vec::new();
    set.split(&shard.split).or_advise()?.read(start + range.start, start + end, &mut ids).or_advise()?;
    Ok(ids)
}

/// The tokenizer that the set was made with; none where the lake no longer has it.
fn tokenizer(world: &World, set: &TokenSet) -> anyhow::Result<Option<Tokenizer>> {
    let is_tokenizer = |r: &&Reference| matches!(r, Reference::Artefact { kind, .. } if kind == "tokenizers");
    let Some(reference) = set.manifest().inputs.iter().map(|i| &i.reference).find(is_tokenizer) else { return Ok(None) };
    let path = stages::folder(world, reference)?.join("tokenizer.json");
    if !path.exists() {
        return Ok(None);
    }
    let tokenizer = Tokenizer::open(&path).or_advise()?;
    if tokenizer.digest() != set.details().tokenizer_digest {
        output::note(&format!("{reference} has changed since: its tokens are shown as numbers"));
        return Ok(None);
    }
    Ok(Some(tokenizer))
}
