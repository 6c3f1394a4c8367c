//! Stage 1: files into tables, tables into a base data pile.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use polder_base::{At, Event, Input, Reference, TableName, units};
use polder_govern::DataCard;
use polder_lake::{IngestProgress, IngestReport, IngestRequest, Tag};
use polder_pipeline::{Applied, ApplyContext, Pipeline, Progress};

use crate::chart::Level;
use crate::failure::OrAdvise;
use crate::output;
use crate::progress::{Bar, Unit};
use crate::world::World;

/// Among so many commits an ingest's own is looked for: others may have written since.
const RECENT_COMMITS: usize = 50;

/// Brings files into the lake and records it.
///
/// # Errors
/// Those of ingest; nothing is committed then.
pub fn ingest(world: &mut World, request: &IngestRequest) -> anyhow::Result<IngestReport> {
    let lake = world.lake_or_init()?;
    let bar = Bar::new("reading files", request.what.limit_bytes.unwrap_or(0), Unit::Bytes);
    let mut on_progress = |p: &IngestProgress| bar.at(p.bytes);
    let (report, commit) = world.block_on(async {
        let report = lake.ingest(request, &mut on_progress).await.or_advise()?;
        if request.is_dry || report.records == 0 {
            return Ok((report, None));
        }
        let at = Reference::Table(request.into.clone(), At::Version(report.version));
        let Some(snapshot) = lake.snapshot_opt(&request.into).await.or_advise()? else { return Ok((report, None)) };
        let snapshot = if snapshot.version == report.version { snapshot } else { lake.snapshot(&at).await.or_advise()? };
        let commits = lake.history(&request.into, Some(RECENT_COMMITS)).await.or_advise()?;
        let commit = commits.into_iter().find(|c| c.version == report.version);
        Ok((report, commit.map(|commit| (commit, snapshot))))
    })?;
    drop(bar);
    let Some((commit, snapshot)) = commit else { return Ok(report) };
    let listing = report.listing_digest.unwrap_or_else(|| polder_base::digest_bytes(b""));
    let output = Reference::Table(request.into.clone(), At::Version(report.version));
    let inputs = request.what.sources.iter().map(|s| Input { reference: external(s), digest: listing }).collect();
    // Told from the commit and the listing alone, so that a second try after a kill tells the same fact.
    let event = Event::new(
        commit.at,
        &world.actor,
        "ingest",
        output.clone(),
        &format!("ingest-{}", &listing.hex()[..12]),
    )
    .with_inputs(inputs)
    .with_outputs(vec![Input { reference: output, digest: snapshot.files_digest }])
    .with_details(serde_json::json!({
        "files": report.files, "records": report.records, "kept": report.kept, "quarantined": report.quarantined, "packages": report.packages,
        "bytes": report.bytes, "limited": report.limited,
    }));
    world.record(&event.run_id.clone(), &[event])?;
    Ok(report)
}

/// A source outside the lake, as a reference: its whole path, or its address without what gives a right to read it.
fn external(source: &str) -> Reference {
    if let Some(file) = source.strip_prefix("sqlite:") {
        let file = file.strip_prefix("//").unwrap_or(file);
        let (path, parameters) = file.split_at(file.rfind('?').unwrap_or(file.len()));
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.into());
        return Reference::External(format!("sqlite://{}{parameters}", path.display()));
    }
    if source.contains("://") {
        return Reference::External(polder_lake::ingest::without_secrets(source));
    }
    let path = std::fs::canonicalize(source).unwrap_or_else(|_| source.into());
    Reference::External(format!("file://{}", path.display()))
}

/// Brings all tables of the SQL files up to date and records what made them.
///
/// # Errors
/// Those of the pipeline; tables made before stand.
pub fn apply(world: &mut World, sql_dir: Option<&Path>) -> anyhow::Result<Vec<Applied>> {
    let lake = world.lake()?;
    let pipeline = Pipeline::open(sql_dir).or_advise()?;
    let context = ApplyContext { actor: world.actor.clone(), run_id: "pipeline".into() };
    let bar = Bar::new("tables", pipeline.files.len() as u64, Unit::Count);
    let made = Mutex::new(String::new());
    let mut on_progress = |progress: Progress<'_>| match progress {
        Progress::Begins(i, _, step) => {
            let table = step.table.to_string();
            bar.name(&table);
            bar.at(i as u64);
            *made.lock().unwrap_or_else(PoisonError::into_inner) = table;
        }
        Progress::Ended(applied) => bar.above(&format!("    {}", line(applied))),
    };
    let tell = |reading| bar.making(&made.lock().unwrap_or_else(PoisonError::into_inner), reading);
    let work = async { polder_pipeline::apply(&lake, &pipeline, &context, &mut on_progress).await.or_advise() };
    let applied = world.block_on_watched(&lake, tell, work)?;
    drop(bar);
    let events: Vec<Event> = applied.iter().map(|a| a.event.clone()).collect();
    world.record("pipeline", &events)?;
    Ok(applied)
}

/// One line about a table that was made.
pub fn line(applied: &Applied) -> String {
    let removed: u64 = applied.removed.values().sum();
    let left = if removed > 0 { format!(", {} left out", units::count(removed)) } else { String::new() };
    format!("{:<24} version {:<3} {:>8} rows{left}", applied.table.to_string(), applied.version, units::count(applied.n_rows))
}

/// The levels of the funnel from the raw documents to the pile.
pub fn levels(world: &mut World, applied: &[Applied]) -> anyhow::Result<Vec<Level>> {
    let lake = world.lake()?;
    let raw = TableName::new("raw", "docs");
    let n = world.block_on(async { Ok(lake.snapshot_opt(&raw).await.or_advise()?.map_or(0, |s| s.n_rows)) })?;
    let mut levels = vec![Level { name: raw.to_string(), n, left_out: Vec::new() }];
    for a in applied.iter().filter(|a| !a.removed.is_empty() || a.table.schema == "pile") {
        let left_out = a.removed.iter().map(|(r, n)| (r.clone(), *n)).collect();
        levels.push(Level { name: a.table.to_string(), n: a.n_rows, left_out });
    }
    Ok(levels)
}

/// Gives a version a tag and records it.
///
/// # Errors
/// The tag names another version: tags never move.
pub fn tag(world: &mut World, table: &TableName, tag: &str, version: Option<u64>, comment: &str) -> anyhow::Result<Tag> {
    let lake = world.lake()?;
    let (actor, now) = (world.actor.clone(), world.now());
    let tag = world.block_on(async { lake.tag(table, tag, version, comment, &actor, now).await.or_advise() })?;
    world.record("tags", &[tag_event(&tag)])?;
    Ok(tag)
}

/// That a version got a tag, told from the tag's own row, so that saying it twice is one fact.
pub fn tag_event(tag: &Tag) -> Event {
    let subject = Reference::Table(tag.table.clone(), At::Tag(tag.tag.clone()));
    let digest = tag.files_digest.parse().unwrap_or_else(|_| polder_base::digest_bytes(tag.files_digest.as_bytes()));
    let input = Input { reference: Reference::Table(tag.table.clone(), At::Version(tag.version)), digest };
    Event::new(tag.at, &tag.actor, "tag", subject.clone(), "tags")
        .with_inputs(vec![input])
        .with_outputs(vec![Input { reference: subject, digest }])
        .with_details(serde_json::json!({ "n_rows": tag.n_rows, "comment": tag.comment }))
}

/// Returns the tag of a table's newest version, giving it the next free `vN` where it has none.
///
/// # Errors
/// The lake cannot be read or written.
pub fn tag_newest(world: &mut World, table: &TableName, comment: &str) -> anyhow::Result<Tag> {
    let lake = world.lake()?;
    let (snapshot, tags) = world.block_on(async {
        let snapshot = lake.snapshot(&Reference::table(table)).await.or_advise()?;
        Ok((snapshot, lake.tags(Some(table)).await.or_advise()?))
    })?;
    if let Some(tag) = tags.iter().find(|t| t.version == snapshot.version) {
        let name = tag.tag.clone();
        return self::tag(world, table, &name, Some(snapshot.version), comment);
    }
    let next = (1..).map(|n| format!("v{n}")).find(|name| !tags.iter().any(|t| t.tag == *name)).unwrap_or_default();
    self::tag(world, table, &next, Some(snapshot.version), comment)
}

/// Describes a pile at a version: the data card.
///
/// # Errors
/// It is no table of documents, or the lake cannot be read.
pub fn card(world: &mut World, pile: &Reference) -> anyhow::Result<DataCard> {
    let lake = world.lake()?;
    world.block_on(async { polder_govern::data_card(&lake, pile).await.or_advise() })
}

/// Draws the funnel.
pub fn show_funnel(levels: &[Level]) {
    output::note(&crate::chart::funnel(levels, 24));
}
