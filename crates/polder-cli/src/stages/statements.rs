//! Statements that write, told as facts.

use polder_base::{At, Event, Input, Reference};
use polder_lake::Done;
use serde_json::json;

use crate::failure::OrAdvise;
use crate::stages::prepare;
use crate::world::World;

/// Records what a statement did.
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
    let event = Event::new(at, &world.actor, &done.statement.to_lowercase(), subject, "sql")
        .with_inputs(inputs)
        .with_outputs(output.into_iter().collect())
        .with_details(json!({ "statement": text.trim(), "counts": counts }));
    world.record("sql", &[event])
}
