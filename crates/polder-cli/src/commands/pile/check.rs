//! `polder pile check PILE@TAG`.

use polder_base::{At, Reference, units};
use polder_lake::Author;
use serde_json::json;

use crate::failure::{self, OrAdvise, usage};
use crate::output;
use crate::progress::{Bar, Unit};
use crate::world::World;

pub fn run(world: &mut World, pile: &str) -> anyhow::Result<()> {
    let Reference::Table(table, At::Tag(tag)) = pile.parse::<Reference>().or_advise()? else {
        return Err(usage(format!("`{pile}` names no tag"), "Write pile.base@v1; see all tags with `polder pile list`."));
    };
    let lake = world.lake()?;
    let by = Author { actor: world.actor.clone(), at: world.now() };
    let known = world.block_on(async { lake.tags(Some(&table)).await.or_advise() })?;
    let total = known.iter().find(|t| t.tag == tag).map_or(0, |t| t.n_rows);
    let bar = Bar::new("reading rows", total, Unit::Count);
    let check = world.block_on(async { lake.check_tag(&table, &tag, &by, &mut |n| bar.at(n)).await.or_advise() })?;
    drop(bar);
    if world.json {
        output::object(
            "polder.pile_check",
            &json!({
                "table": table, "tag": tag, "version": check.tag.version, "sound": check.is_sound(), "n_files": check.n_files,
                "bytes": check.bytes, "n_rows": check.n_rows, "rows_digest": check.rows_digest, "problems": check.problems,
            }),
        )?;
    } else {
        check.problems.iter().try_for_each(|p| output::data(&format!("{table}@{tag}: {p}")))?;
    }
    if !check.is_sound() {
        let hint =
            "A tag with a copy outlives its table's files: ALTER TABLE … CREATE TAG … MATERIALIZED. Bring the files back, or drop the tag.";
        return Err(failure::refused(format!("{table}@{tag} is not as it was"), hint));
    }
    let compared = if check.is_first { "whose digest is noted for later checks" } else { "with the digest of the first check" };
    output::note(&format!(
        "{table}@{tag} is sound: {} files, {}, {} rows {compared}",
        check.n_files,
        units::bytes(check.bytes),
        units::count(check.n_rows)
    ));
    Ok(())
}
