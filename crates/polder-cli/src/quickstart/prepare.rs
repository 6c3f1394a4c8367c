//! Stage 1: files → `raw.docs` → `clean.*` → `pile.base`, tagged, with its data card.

use polder_base::{At, Digest, Hasher, Reference, TableName, digest_json, units, write_whole};
use polder_lake::{IngestRequest, Order};
use polder_pipeline::{Pipeline, StepState};
use polder_workflow::{Outcome, Step};

use super::{Context, outcome, pile};
use crate::failure::{Error, OrAdvise, usage};
use crate::stages;

const STAGE: &str = "1 Prepare";

/// Files into `raw.docs`.
pub struct Ingest;

fn raw() -> TableName {
    TableName::new("raw", "docs")
}

/// Digest of a table's newest version; of nothing where it is not there.
fn table_digest(context: &mut Context<'_>, table: &TableName) -> anyhow::Result<Digest> {
    let lake = context.world.lake()?;
    let snapshot = context.world.block_on(async { lake.snapshot_opt(table).await.or_advise() })?;
    Ok(digest_json(&snapshot.map(|s| (s.version, s.files_digest))))
}

impl Ingest {
    /// Names, sizes and times of all files under folders that the user named; the registry's cache grows with every
    /// build of anything, so it is read once and `polder ingest` adds more.
    fn listing(context: &Context<'_>) -> Digest {
        let mut hasher = Hasher::new();
        for source in &context.settings.sources {
            hasher.field(source.as_os_str().as_encoded_bytes());
            if context.settings.named_sources {
                list(source, &mut hasher);
            }
        }
        hasher.finish()
    }
}

fn list(path: &std::path::Path, hasher: &mut Hasher) {
    let Ok(meta) = std::fs::symlink_metadata(path) else { return };
    if meta.is_dir() {
        let mut entries: Vec<_> = std::fs::read_dir(path).into_iter().flatten().flatten().map(|e| e.path()).collect();
        entries.sort();
        entries.iter().for_each(|e| list(e, hasher));
    } else {
        hasher.field(path.as_os_str().as_encoded_bytes());
        let modified = meta.modified().ok().and_then(|m| m.duration_since(std::time::UNIX_EPOCH).ok()).map_or(0, |d| d.as_nanos());
        hasher.field(format!("{} {modified}", meta.len()).as_bytes());
    }
}

impl<'a> Step<Context<'a>, Error> for Ingest {
    fn name(&self) -> &'static str {
        "ingest"
    }
    fn stage(&self) -> &'static str {
        STAGE
    }
    fn key(&self, context: &mut Context<'a>) -> Result<Digest, Error> {
        Ok(digest_json(&(Self::listing(context), context.settings.limit_bytes)))
    }
    fn stands(&self, context: &mut Context<'a>, _: &Outcome) -> Result<bool, Error> {
        let lake = context.world.lake()?;
        let there = context.world.block_on(async { lake.snapshot_opt(&raw()).await.or_advise() })?;
        Ok(there.is_some())
    }
    fn run(&self, context: &mut Context<'a>) -> Result<Outcome, Error> {
        let sources: Vec<String> = context.settings.sources.iter().map(|s| s.display().to_string()).collect();
        if sources.is_empty() {
            let hint = "Name a folder of text or code: polder run quickstart --source DIR.";
            return Err(usage("there is no source cache of the Rust registry on this machine", hint).into());
        }
        let mut request = IngestRequest::new(sources, raw(), context.world.now());
        (request.what.limit_bytes, request.what.order) = (Some(context.settings.limit_bytes), Order::PackageHash);
        let report = stages::prepare::ingest(context.world, &request)?;
        let left: u64 = report.quarantined.values().sum();
        let summary = format!(
            "{} documents ({}) of {} packages in raw.docs, {left} in raw.quarantine",
            units::count(report.kept),
            units::bytes(report.bytes),
            report.packages
        );
        let digest = table_digest(context, &raw())?;
        Ok(outcome(summary, vec![(Reference::Table(raw(), At::Version(report.version)), digest)]))
    }
}

/// SQL files into tables.
pub struct Tables;

impl<'a> Step<Context<'a>, Error> for Tables {
    fn name(&self) -> &'static str {
        "tables"
    }
    fn stage(&self) -> &'static str {
        STAGE
    }
    fn key(&self, context: &mut Context<'a>) -> Result<Digest, Error> {
        let pipeline = Pipeline::open(context.settings.sql_dir.as_deref()).or_advise()?;
        let mut hasher = Hasher::new();
        pipeline.files.iter().for_each(|f| hasher.field(f.digest().bytes()));
        hasher.field(table_digest(context, &raw())?.bytes());
        Ok(hasher.finish())
    }
    fn stands(&self, context: &mut Context<'a>, _: &Outcome) -> Result<bool, Error> {
        let lake = context.world.lake()?;
        let pipeline = Pipeline::open(context.settings.sql_dir.as_deref()).or_advise()?;
        let steps = context.world.block_on(async { polder_pipeline::plan(&lake, &pipeline).await.or_advise() })?;
        Ok(steps.iter().all(|s| s.state == StepState::UpToDate))
    }
    fn run(&self, context: &mut Context<'a>) -> Result<Outcome, Error> {
        let sql_dir = context.settings.sql_dir.clone();
        let applied = stages::prepare::apply(context.world, sql_dir.as_deref())?;
        let levels = stages::prepare::levels(context.world, &applied)?;
        stages::prepare::show_funnel(&levels);
        let written = applied.iter().filter(|a| a.written).count();
        let rows = applied.iter().find(|a| a.table == pile()).map_or(0, |a| a.n_rows);
        let outputs = applied.iter().flat_map(|a| a.event.outputs.iter().map(|o| (o.reference.clone(), o.digest))).collect();
        Ok(outcome(format!("{written} tables made, {} rows in {}", units::count(rows), pile()), outputs))
    }
}

/// The pile's version gets a tag.
pub struct Tag;

impl<'a> Step<Context<'a>, Error> for Tag {
    fn name(&self) -> &'static str {
        "tag"
    }
    fn stage(&self) -> &'static str {
        STAGE
    }
    fn key(&self, context: &mut Context<'a>) -> Result<Digest, Error> {
        Ok(table_digest(context, &pile())?)
    }
    fn stands(&self, _: &mut Context<'a>, _: &Outcome) -> Result<bool, Error> {
        Ok(true)
    }
    fn run(&self, context: &mut Context<'a>) -> Result<Outcome, Error> {
        let tag = stages::prepare::tag_newest(context.world, &pile(), "made by the quickstart workflow")?;
        let reference = Reference::Table(pile(), At::Tag(tag.tag.clone()));
        let digest = table_digest(context, &pile())?;
        Ok(outcome(format!("{reference} is version {}", tag.version), vec![(reference, digest)]))
    }
}

/// The tag of the pile's newest version.
///
/// # Errors
/// It has none.
pub fn tagged(context: &mut Context<'_>) -> anyhow::Result<Reference> {
    let tag = stages::prepare::tag_newest(context.world, &pile(), "made by the quickstart workflow")?;
    Ok(Reference::Table(pile(), At::Tag(tag.tag)))
}

/// The data card.
pub struct Card;

impl<'a> Step<Context<'a>, Error> for Card {
    fn name(&self) -> &'static str {
        "card"
    }
    fn stage(&self) -> &'static str {
        STAGE
    }
    fn key(&self, context: &mut Context<'a>) -> Result<Digest, Error> {
        Ok(table_digest(context, &pile())?)
    }
    fn stands(&self, context: &mut Context<'a>, done: &Outcome) -> Result<bool, Error> {
        let path = done.details["path"].as_str().unwrap_or_default();
        Ok(context.world.layout().root().join(path).is_file())
    }
    fn run(&self, context: &mut Context<'a>) -> Result<Outcome, Error> {
        let reference = tagged(context)?;
        let card = stages::prepare::card(context.world, &reference)?;
        let path = format!("cards/{reference}.md");
        write_whole(&context.world.layout().root().join(&path), card.markdown().as_bytes()).or_advise()?;
        let summary = format!("data card of {} documents, {}, in {path}", units::count(card.n_docs), units::bytes(card.bytes));
        Ok(Outcome { summary, outputs: Vec::new(), details: serde_json::json!({ "path": path }) })
    }
}

/// Digest of a tagged pile's files.
///
/// # Errors
/// The lake cannot be read.
pub fn pile_digest(context: &mut Context<'_>, pile: &Reference) -> anyhow::Result<Digest> {
    let lake = context.world.lake()?;
    Ok(context.world.block_on(async { lake.snapshot(pile).await.or_advise() })?.files_digest)
}
