//! Statements that write and erasures, told as facts.

use std::collections::BTreeSet;

use polder_base::{At, Event, Input, Reference, TableName, digest_json};
use polder_govern::FactFilter;
use polder_lake::{Author, Done, Purged, Upkeep};
use serde_json::json;

use crate::failure::OrAdvise;
use crate::stages::prepare;
use crate::world::World;

/// Notes what a statement did; whoever runs statements brings the facts in when they are done.
///
/// # Errors
/// The lake cannot be read, or the fact cannot be written.
pub fn tell(world: &mut World, done: &Done, text: &str) -> anyhow::Result<()> {
    let lake = world.lake()?;
    if done.statement == "CREATE TAG" {
        let tags = world.block_on(async { lake.tags(Some(&done.table)).await.or_advise() })?;
        let events: Vec<Event> = tags.iter().filter(|t| t.is_active()).map(prepare::tag_event).collect();
        return world.record("tags", &events);
    }
    let now = world.now();
    let (at, inputs, output) = world.block_on(async {
        let mut inputs = Vec::new();
        for (table, version) in &done.inputs {
            let reference = Reference::Table(table.clone(), At::Version(*version));
            let digest = lake.snapshot(&reference).await.or_advise()?.files_digest;
            inputs.push(Input { reference, digest });
        }
        let Some(version) = done.version else { return Ok((now, inputs, None)) };
        let reference = Reference::Table(done.table.clone(), At::Version(version));
        let digest = lake.snapshot(&reference).await.or_advise()?.files_digest;
        let commits = lake.history(&done.table, Some(1)).await.or_advise()?;
        let at = commits.first().filter(|c| c.version == version).map_or(now, |c| c.at);
        Ok((at, inputs, Some(Input { reference, digest })))
    })?;
    let subject = output.as_ref().map_or_else(|| Reference::table(&done.table), |o| o.reference.clone());
    let counts: serde_json::Map<String, serde_json::Value> = done.counts.iter().map(|(name, n)| ((*name).to_owned(), json!(n))).collect();
    // A log a day: it is read whole by whoever brings it in.
    let run_id = format!("sql-{}", &now.to_string()[..10]);
    let event = Event::new(at, &world.actor, &done.statement.to_lowercase(), subject, &run_id)
        .with_inputs(inputs)
        .with_outputs(output.into_iter().collect())
        .with_details(json!({ "statement": text.trim(), "counts": counts }));
    world.note(&run_id, &event)
}

/// Keeps a table in order and records it, as the statements of the same names do; a dry run is no fact.
///
/// # Errors
/// Those of the work, and the lake's books cannot be written.
pub fn keep_up(world: &mut World, table: &TableName, work: Upkeep, why: &str) -> anyhow::Result<Done> {
    let lake = world.lake()?;
    let by = Author { actor: world.actor.clone(), at: world.now() };
    let is_dry_run = matches!(work, Upkeep::Vacuum { is_dry_run: true, .. });
    let done = world.block_on(async { lake.keep_up(table, work, why, &by).await.or_advise() })?;
    if !is_dry_run {
        tell(world, &done, why)?;
        world.bring_in()?;
    }
    Ok(done)
}

/// Erases rows and records it; says which token sets and models saw them.
///
/// # Errors
/// Those of the purge; run again, it goes on where it stopped.
pub fn purge(world: &mut World, table: &TableName, condition: &str, reason: &str) -> anyhow::Result<(Purged, Vec<String>, Vec<String>)> {
    let lake = world.lake()?;
    let by = Author { actor: world.actor.clone(), at: world.now() };
    let (purged, token_sets, facts) = world.block_on(async {
        let purged = lake.purge(table, condition, reason, &by).await.or_advise()?;
        let token_sets = token_sets(&lake, &purged.doc_ids).await?;
        Ok((purged, token_sets, polder_govern::list(&lake, &FactFilter::default()).await.or_advise()?))
    })?;
    // What was made from a thing that saw them, saw them: facts stand in order of time.
    let mut saw: BTreeSet<String> = token_sets.iter().cloned().collect();
    for fact in &facts {
        let names = |inputs: &[Input]| inputs.iter().map(|i| stem(&i.reference)).collect::<Vec<_>>();
        if names(&fact.inputs).iter().any(|n| saw.contains(n)) {
            saw.extend(names(&fact.outputs));
        }
    }
    let models: Vec<String> = saw.into_iter().filter(|n| n.starts_with("models/") || n.starts_with("adapters/")).collect();
    let tags = |which: &dyn Fn(&(polder_lake::Tag, polder_lake::Tag)) -> String| purged.successors.iter().map(which).collect::<Vec<_>>();
    let event = Event::new(by.at, &world.actor, "purge", Reference::table(table), "purge").with_details(json!({
        // The condition may itself hold what had to go: its digest is enough to compare.
        "condition_digest": digest_json(&condition), "reason": reason, "n_rows": purged.n_rows, "n_documents": purged.doc_ids.len(),
        "retired": tags(&|(old, _)| old.tag.clone()), "successors": tags(&|(_, new)| new.tag.clone()),
        "token_sets": token_sets, "models": models,
    }));
    world.record("purge", &[event])?;
    Ok((purged, token_sets, models))
}

/// A thing by name, whatever its version.
fn stem(reference: &Reference) -> String {
    let text = reference.to_string();
    text.split('@').next().unwrap_or_default().to_owned()
}

/// The token sets that hold tokens of documents.
async fn token_sets(lake: &polder_lake::Lake, doc_ids: &[String]) -> anyhow::Result<Vec<String>> {
    use arrow::array::AsArray as _;
    use datafusion::arrow::datatypes::DataType;
    use datafusion::prelude::{cast, ident, in_list, lit};
    let book = polder_lake::ops::table("token_documents");
    if doc_ids.is_empty() || lake.snapshot_opt(&book).await.or_advise()?.is_none() {
        return Ok(Vec::new());
    }
    let ids = doc_ids.iter().map(|id| lit(id.as_str())).collect();
    let rows = lake.table(&book.to_string()).await.or_advise()?;
    let sets = rows.filter(in_list(ident("doc_id"), ids, false))?.select(vec![cast(ident("token_set"), DataType::Utf8)])?.distinct()?;
    let mut names = BTreeSet::new();
    for batch in sets.collect().await? {
        names.extend(
            batch
                .column(0)
                .as_string::<i32>()
                .iter()
                .flatten()
                .map(|n| if n.starts_with("tokens/") { n.to_owned() } else { format!("tokens/{n}") }),
        );
    }
    Ok(names.into_iter().collect())
}
