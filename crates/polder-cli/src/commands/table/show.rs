//! `polder table show TABLE`.

use serde_json::json;

use crate::failure::OrAdvise;
use crate::output;
use crate::world::World;

pub fn run(world: &mut World, table: &str) -> anyhow::Result<()> {
    let lake = world.lake()?;
    let frame = world.block_on(async { lake.table(table).await.or_advise() })?;
    let fields = frame.schema().fields();
    let objects: Vec<_> =
        fields.iter().map(|f| json!({ "column": f.name(), "type": f.data_type().to_string(), "nullable": f.is_nullable() })).collect();
    let yes = |b: bool| if b { "yes" } else { "no" }.to_owned();
    let cells: Vec<_> = fields.iter().map(|f| vec![f.name().clone(), f.data_type().to_string(), yes(f.is_nullable())]).collect();
    output::rows(world.json, "polder.column", &objects, &["column", "type", "nullable"], &cells, &[])
}
