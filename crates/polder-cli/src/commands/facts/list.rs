//! `polder facts list`.

use polder_base::Reference;
use polder_govern::FactFilter;

use crate::failure::OrAdvise;
use crate::output;
use crate::world::World;

pub fn run(world: &mut World, about: Option<&str>, verb: Option<String>, limit: usize) -> anyhow::Result<()> {
    let about = about.map(str::parse::<Reference>).transpose().or_advise()?;
    let lake = world.lake()?;
    let facts = world.block_on(async { polder_govern::list(&lake, &FactFilter { verb, about, limit: Some(limit) }).await.or_advise() })?;
    let objects = facts.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
    let cells: Vec<_> = facts
        .iter()
        .map(|f| {
            let from: Vec<String> = f.inputs.iter().map(|i| i.reference.to_string()).collect();
            vec![
                f.at.to_string(),
                f.verb.clone(),
                f.subject.to_string(),
                from.join(" "),
                f.actor.clone(),
                f.fact_id[..12.min(f.fact_id.len())].to_owned(),
            ]
        })
        .collect();
    output::rows(world.json, "polder.fact", &objects, &["at", "verb", "subject", "from", "by", "id"], &cells, &[])
}
