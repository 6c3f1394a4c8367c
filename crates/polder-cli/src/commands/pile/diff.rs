//! `polder pile diff OLD NEW`.

use polder_base::{Reference, units};
use polder_lake::Diff;
use serde_json::json;

use crate::failure::OrAdvise;
use crate::output;
use crate::world::World;

pub fn run(world: &mut World, old: &str, new: &str, key: &str) -> anyhow::Result<()> {
    let before: Reference = old.parse::<Reference>().or_advise()?;
    // `v2` alone is another state of the same table.
    let after = match (&before, new.contains('.')) {
        (Reference::Table(table, _), false) => format!("{table}@{new}"),
        _ => new.to_owned(),
    };
    let after: Reference = after.parse::<Reference>().or_advise()?;
    let lake = world.lake()?;
    let diff = world.block_on(async { lake.diff(&before, &after, key).await.or_advise() })?;
    if world.json {
        return json_rows(&before, &after, &diff);
    }
    output::note(&format!("{before} → {after}: {} rows came, {} went, {} stayed", diff.n_in, diff.n_out, diff.n_both));
    for (column, kind) in &diff.columns_in {
        output::data(&format!("column + {column} {kind}"))?;
    }
    for (column, kind) in &diff.columns_out {
        output::data(&format!("column - {column} {kind}"))?;
    }
    for (column, was, is) in &diff.columns_changed {
        output::data(&format!("column ~ {column} {was} → {is}"))?;
    }
    for shares in diff.shares.chunk_by(|a, b| a.by == b.by) {
        let cells: Vec<Vec<String>> = shares
            .iter()
            .take(12)
            .map(|s| vec![s.value.clone().unwrap_or_else(|| "NULL".into()), units::count(s.n_in), units::count(s.n_out)])
            .collect();
        output::data("")?;
        output::data(&output::table(&[&shares[0].by, "in", "out"], &cells, &[1, 2]))?;
    }
    Ok(())
}

fn json_rows(before: &Reference, after: &Reference, diff: &Diff) -> anyhow::Result<()> {
    let whole = json!({
        "old": before, "new": after, "n_in": diff.n_in, "n_out": diff.n_out, "n_both": diff.n_both, "columns_in": diff.columns_in,
        "columns_out": diff.columns_out, "columns_changed": diff.columns_changed,
    });
    output::object("polder.diff", &whole)?;
    diff.shares
        .iter()
        .try_for_each(|s| output::object("polder.diff_share", &json!({ "by": s.by, "value": s.value, "n_in": s.n_in, "n_out": s.n_out })))
}
