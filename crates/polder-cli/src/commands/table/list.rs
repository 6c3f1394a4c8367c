//! `polder table list`.

use polder_base::{Reference, units};
use serde_json::json;

use crate::failure::OrAdvise;
use crate::output;
use crate::world::World;

pub fn run(world: &mut World) -> anyhow::Result<()> {
    let lake = world.lake()?;
    let mut objects = Vec::new();
    let mut cells = Vec::new();
    world.block_on(async {
        let tags = lake.tags(None).await.or_advise()?;
        for table in lake.tables().await.or_advise()? {
            let s = lake.snapshot(&Reference::table(&table)).await.or_advise()?;
            let names: Vec<&str> = tags.iter().filter(|t| t.table == table).map(|t| t.tag.as_str()).collect();
            objects.push(json!({ "table": table, "version": s.version, "n_rows": s.n_rows, "bytes": s.bytes, "tags": names }));
            cells.push(vec![table.to_string(), s.version.to_string(), units::count(s.n_rows), units::bytes(s.bytes), names.join(" ")]);
        }
        Ok(())
    })?;
    output::rows(world.json, "polder.table", &objects, &["table", "version", "rows", "size", "tags"], &cells, &[1, 2, 3])
}
