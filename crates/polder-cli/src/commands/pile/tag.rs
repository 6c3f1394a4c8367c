//! `polder pile tag PILE TAG`.

use polder_base::{At, Reference};
use serde_json::json;

use crate::failure::{OrAdvise, usage};
use crate::world::World;
use crate::{output, stages};

pub fn run(world: &mut World, pile: &str, tag: &str, comment: &str) -> anyhow::Result<()> {
    let (table, version) = match pile.parse::<Reference>().or_advise()? {
        Reference::Table(table, At::Latest) => (table, None),
        Reference::Table(table, At::Version(v)) => (table, Some(v)),
        _ => {
            return Err(usage(
                format!("`{pile}` is not a table or a version of one"),
                "Write pile.base, or pile.base@3 for an older version.",
            ));
        }
    };
    let tag = stages::prepare::tag(world, &table, tag, version, comment)?;
    if world.json {
        return output::object("polder.tag", &json!({ "table": tag.table, "tag": tag.tag, "version": tag.version, "n_rows": tag.n_rows }));
    }
    output::note(&format!(
        "{table}@{} is version {}, {} rows · next: polder pile card {table}@{}",
        tag.tag, tag.version, tag.n_rows, tag.tag
    ));
    Ok(())
}
