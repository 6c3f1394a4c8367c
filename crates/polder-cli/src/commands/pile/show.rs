//! `polder pile show PILE`.

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::functions_aggregate::expr_fn::{count, sum};
use datafusion::prelude::{cast, col, lit};
use polder_base::{Reference, units};
use serde_json::json;

use crate::failure::OrAdvise;
use crate::output;
use crate::world::World;

/// Rows and bytes by one column, largest first.
fn by(world: &mut World, pile: &str, column: &str) -> anyhow::Result<Vec<(String, i64, i64)>> {
    let lake = world.lake()?;
    world.block_on(async {
        let frame = lake.table(pile).await.or_advise()?;
        let batches = frame
            .aggregate(vec![col(column)], vec![count(lit(1i64)).alias("n"), sum(cast(col("bytes"), DataType::Int64)).alias("total")])?
            .sort(vec![col("total").sort(false, false), col(column).sort(true, true)])?
            .select(vec![cast(col(column), DataType::Utf8), cast(col("n"), DataType::Int64), cast(col("total"), DataType::Int64)])?
            .collect()
            .await?;
        let mut rows = Vec::new();
        for batch in &batches {
            let (names, ns, totals) = (
                batch.column(0).as_string::<i32>(),
                batch.column(1).as_primitive::<Int64Type>(),
                batch.column(2).as_primitive::<Int64Type>(),
            );
            rows.extend((0..batch.num_rows()).map(|i| (names.value(i).to_owned(), ns.value(i), totals.value(i))));
        }
        Ok(rows)
    })
}

pub fn run(world: &mut World, pile: &str) -> anyhow::Result<()> {
    let reference: Reference = pile.parse::<Reference>().or_advise()?;
    let lake = world.lake()?;
    let snapshot = world.block_on(async { lake.snapshot(&reference).await.or_advise() })?;
    if !world.json {
        output::note(&format!(
            "{reference}: version {}, {} rows, {} on disk",
            snapshot.version,
            snapshot.n_rows,
            units::bytes(snapshot.bytes)
        ));
    }
    let frame = world.block_on(async { lake.table(pile).await.or_advise() })?;
    for column in ["split", "kind", "category", "license"] {
        if !frame.schema().has_column_with_unqualified_name(column) {
            continue;
        }
        let rows = by(world, pile, column)?;
        let total: i64 = rows.iter().map(|r| r.2).sum();
        let objects: Vec<_> =
            rows.iter().map(|(name, n, bytes)| json!({ "by": column, "value": name, "n_rows": n, "bytes": bytes })).collect();
        let cells: Vec<_> = rows
            .iter()
            .take(12)
            .map(|(name, n, bytes)| {
                let share = units::percent(*bytes as f64, total as f64);
                vec![name.clone(), units::count(n.unsigned_abs()), units::bytes(bytes.unsigned_abs()), share]
            })
            .collect();
        output::rows(world.json, "polder.pile", &objects, &[column, "rows", "text", "share"], &cells, &[1, 2, 3])?;
        if !world.json {
            output::data("")?;
        }
    }
    Ok(())
}
