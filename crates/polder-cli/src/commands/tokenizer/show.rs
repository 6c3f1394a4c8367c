//! `polder tokenizer show NAME…`.

use std::collections::BTreeMap;
use std::path::Path;

use polder_base::{Reference, units};
use polder_pipeline::{Tally, TokenReport};
use polder_tokenizer::Tokenizer;
use serde_json::{Value, json};

use crate::failure::{OrAdvise, usage};
use crate::progress::{Bar, Unit};
use crate::stages::tokenizers::{details, kind};
use crate::world::World;
use crate::{output, pieces, stages};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Tokenizers of the lake, or paths of tokenizer files.
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Show what they make of this text.
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// Measure them on this table's column text, for example pile.base@v1.
    #[arg(long, value_name = "TABLE", conflicts_with = "text")]
    from: Option<String>,
    /// Text to measure on at most, in MB.
    #[arg(long, value_parser = stages::positive, default_value_t = 100.0, value_name = "MB")]
    limit: f64,
}

/// Tokens of each list that is shown.
const N_SHOWN: usize = 10;

struct Named {
    name: String,
    tokenizer: Tokenizer,
}

pub fn run(world: &mut World, args: &Args) -> anyhow::Result<()> {
    let all = args.names.iter().map(|name| open(world, name)).collect::<anyhow::Result<Vec<_>>>()?;
    match (&args.text, &args.from) {
        (Some(text), _) => on_text(world, &all, text),
        (_, Some(from)) => on_table(world, &all, from, stages::megabytes(args.limit)),
        _ => what_they_are(world, &all),
    }
}

fn open(world: &World, name: &str) -> anyhow::Result<Named> {
    let path = Path::new(name);
    let in_lake = stages::named("tokenizers", name).ok().and_then(|r| stages::folder(world, &r).ok()).filter(|f| f.is_dir());
    let path = match in_lake {
        Some(folder) => folder,
        None if path.exists() => path.to_owned(),
        None => {
            let folders = std::fs::read_dir(world.layout().kind("tokenizers")).into_iter().flatten().flatten();
            let mut known: Vec<String> =
                folders.filter_map(|e| e.file_name().into_string().ok()).filter(|n| !n.ends_with(".tmp")).collect();
            known.sort();
            let hint = match known.as_slice() {
                [] => "Train one with `polder tokenizer train NAME`, or bring one in with `polder tokenizer import NAME PATH`.".into(),
                known => format!("There are {}.", known.join(", ")),
            };
            return Err(usage(format!("there is no tokenizer `{name}`"), hint));
        }
    };
    Ok(Named { name: name.to_owned(), tokenizer: Tokenizer::open(&path).or_advise()? })
}

fn what_they_are(world: &World, all: &[Named]) -> anyhow::Result<()> {
    let objects: Vec<Value> = all.iter().map(|n| with_name(details(&n.tokenizer), &n.name)).collect();
    let cells: Vec<Vec<String>> = all
        .iter()
        .zip(&objects)
        .map(|(n, object)| {
            let text = |key: &str| object[key].as_str().unwrap_or("–").to_owned();
            vec![
                n.name.clone(),
                units::count(n.tokenizer.vocab_size() as u64),
                kind(&n.tokenizer).to_owned(),
                text("splitter"),
                object["n_special"].to_string(),
                text("end_token"),
                n.tokenizer.digest().hex()[..12].to_owned(),
            ]
        })
        .collect();
    output::rows(
        world.json,
        "polder.tokenizer_shown",
        &objects,
        &["tokenizer", "tokens", "kind", "splitter", "special", "end", "digest"],
        &cells,
        &[1, 4],
    )?;
    if !world.json {
        output::note("next: --text TEXT shows what they make of a text, --from TABLE measures them");
    }
    Ok(())
}

fn on_text(world: &World, all: &[Named], text: &str) -> anyhow::Result<()> {
    for (i, Named { name, tokenizer }) in all.iter().enumerate() {
        let ids = tokenizer.encode(text);
        let ratio = text.len() as f64 / ids.len().max(1) as f64;
        if world.json {
            let tokens: Vec<String> = ids.iter().map(|id| pieces::piece(tokenizer, *id)).collect();
            let object = json!({"name": name, "n_tokens": ids.len(), "bytes": text.len(), "ids": ids, "tokens": tokens});
            output::object("polder.tokenized", &object)?;
            continue;
        }
        let gap = if i > 0 { "\n" } else { "" };
        output::data(&format!("{gap}{}: {} tokens, {ratio:.2} bytes each", output::printable(name), units::count(ids.len() as u64)))?;
        output::data(&pieces::draw(tokenizer, &ids, pieces::has_colour()))?;
    }
    Ok(())
}

fn on_table(world: &mut World, all: &[Named], from: &str, bytes_max: u64) -> anyhow::Result<()> {
    let lake = world.lake()?;
    let from: Reference = from.parse::<Reference>().or_advise()?;
    let tokenizers: Vec<Tokenizer> = all.iter().map(|n| n.tokenizer.clone()).collect();
    let bar = Bar::new("encoding", bytes_max, Unit::Bytes);
    let mut on_progress = |bytes: u64| bar.at(bytes);
    let reports = world
        .block_on(async { polder_pipeline::token_report(&lake, &from, &tokenizers, bytes_max, &mut on_progress).await.or_advise() })?;
    drop(bar);
    if world.json {
        return all.iter().zip(&reports).try_for_each(|(named, report)| output::object("polder.token_report", &object(named, report)));
    }
    let head: Vec<&str> = ["bytes/token"].into_iter().chain(all.iter().map(|n| n.name.as_str())).collect();
    let right: Vec<usize> = (1..head.len()).collect();
    let mut cells = vec![row("all", reports.iter().map(|r| Some(&r.all)))];
    let groups: [Group; 2] = [|r| &r.languages, |r| &r.sources];
    for group in groups {
        let mut names: Vec<(&String, u64)> = group(&reports[0]).iter().map(|(name, tally)| (name, tally.bytes)).collect();
        names.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        cells.extend(names.iter().take(N_SHOWN).map(|(name, _)| row(name, reports.iter().map(|r| group(r).get(*name)))));
    }
    output::data(&output::table(&head, &cells, &right))?;
    for (named, report) in all.iter().zip(&reports) {
        vocabulary(named, report)?;
    }
    let tally = &reports[0].all;
    output::note(&format!("measured on {} of {from}: {} documents", units::bytes(tally.bytes), units::count(tally.n_documents)));
    Ok(())
}

/// Which tallies of a report are meant.
type Group = fn(&TokenReport) -> &BTreeMap<String, Tally>;

fn row<'a>(name: &str, tallies: impl Iterator<Item = Option<&'a Tally>>) -> Vec<String> {
    let ratio = |tally: Option<&Tally>| tally.map_or("–".to_owned(), |t| format!("{:.3}", t.bytes_per_token()));
    std::iter::once(name.to_owned()).chain(tallies.map(ratio)).collect()
}

/// Ids of ordinary tokens that never occur, and of those that do the longest first.
fn unused_and_longest(named: &Named, report: &TokenReport) -> (Vec<u32>, Vec<u32>) {
    let tokenizer = &named.tokenizer;
    let length = |id: u32| tokenizer.token_bytes(id).map_or(0, <[u8]>::len);
    let ordinary = |id: &u32| length(*id) > 0 && !tokenizer.is_special(*id);
    let (mut used, unused): (Vec<u32>, Vec<u32>) =
        (0..tokenizer.vocab_size() as u32).filter(ordinary).partition(|id| report.counts[*id as usize] > 0);
    used.sort_by_key(|id| (std::cmp::Reverse(length(*id)), *id));
    used.truncate(N_SHOWN);
    (unused, used)
}

fn vocabulary(named: &Named, report: &TokenReport) -> anyhow::Result<()> {
    let (unused, longest) = unused_and_longest(named, report);
    let one_line = |id: &u32| pieces::piece(&named.tokenizer, *id).replace("\\n\n", "\\n");
    let list = |ids: &[u32]| ids.iter().take(N_SHOWN).map(one_line).collect::<Vec<_>>().join("│");
    let n = named.tokenizer.vocab_size();
    let share = 100.0 * unused.len() as f64 / n.max(1) as f64;
    output::data(&format!(
        "\n{}: {} of {} tokens never occur ({share:.1} %){}{}",
        output::printable(&named.name),
        units::count(unused.len() as u64),
        units::count(n as u64),
        if unused.is_empty() { "" } else { ", such as " },
        list(&unused)
    ))?;
    output::data(&format!("longest that occur: {}", list(&longest)))
}

fn object(named: &Named, report: &TokenReport) -> Value {
    let (unused, longest) = unused_and_longest(named, report);
    let ratios = |by_name: &BTreeMap<String, Tally>| {
        by_name.iter().map(|(name, tally)| (name.clone(), json!({"bytes": tally.bytes, "n_tokens": tally.n_tokens, "n_documents": tally.n_documents, "bytes_per_token": tally.bytes_per_token()}))).collect::<serde_json::Map<_, _>>()
    };
    let token = |id: &u32| json!({"id": id, "token": pieces::piece(&named.tokenizer, *id), "count": report.counts[*id as usize]});
    json!({
        "name": named.name,
        "vocab_size": named.tokenizer.vocab_size(),
        "n_documents": report.all.n_documents,
        "bytes": report.all.bytes,
        "n_tokens": report.all.n_tokens,
        "bytes_per_token": report.all.bytes_per_token(),
        "languages": ratios(&report.languages),
        "sources": ratios(&report.sources),
        "n_unused": unused.len(),
        "unused": unused,
        "longest": longest.iter().map(token).collect::<Vec<_>>(),
    })
}

fn with_name(mut object: Value, name: &str) -> Value {
    object["name"] = name.into();
    object
}
