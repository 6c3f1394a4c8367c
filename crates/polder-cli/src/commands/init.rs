//! `polder init [--tables s3://BUCKET/PREFIX]`: make a lake.

use polder_lake::Place;

use crate::failure::OrAdvise;
use crate::output;
use crate::world::World;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Keep tables in an object store, at s3://BUCKET/PREFIX, instead of in the lake's folder.
    ///
    /// What opens the store comes from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL, …), from the
    /// profile of AWS_PROFILE in ~/.aws, or from the machine's role, and is written nowhere. Lakes over the same place share its tables.
    #[arg(long, value_name = "URL")]
    tables: Option<String>,
}

pub fn run(world: &mut World, args: &Args) -> anyhow::Result<()> {
    let place = args.tables.as_deref().map(str::parse::<Place>).transpose().or_advise()?;
    let lake = world.init(place.as_ref())?;
    let place = lake.tables_place();
    if world.json {
        return output::object("polder.lake", &serde_json::json!({ "lake": world.root, "tables": place }));
    }
    let tables = place.map_or_else(String::new, |place| format!(", with its tables at {place}"));
    output::note(&format!("there is a lake at {}{tables} · next: polder ingest DIR", world.root.display()));
    Ok(())
}
