//! `polder pipeline plan`.

use std::path::Path;

use polder_pipeline::{Pipeline, StepState};
use serde_json::json;

use crate::failure::OrAdvise;
use crate::output;
use crate::world::World;

pub fn run(world: &mut World, sql_dir: Option<&Path>) -> anyhow::Result<()> {
    let lake = world.lake()?;
    let pipeline = Pipeline::open(sql_dir).or_advise()?;
    let steps = world.block_on(async { polder_pipeline::plan(&lake, &pipeline).await.or_advise() })?;
    let why = |state: &StepState| match state {
        StepState::UpToDate => "up to date".to_owned(),
        StepState::Absent => "will be made".to_owned(),
        StepState::QueryChanged => "its query changed".to_owned(),
        StepState::InputChanged(table) => format!("{table} changed"),
        StepState::WaitsFor(table) => format!("after {table}"),
    };
    let reads = |s: &polder_pipeline::PlannedStep| s.inputs.iter().map(|i| format!("{}@{}", i.table, i.version)).collect::<Vec<_>>();
    let objects: Vec<_> =
        steps.iter().map(|s| json!({ "table": s.table, "path": s.path, "state": why(&s.state), "reads": reads(s) })).collect();
    let cells: Vec<_> = steps.iter().map(|s| vec![s.table.to_string(), s.path.clone(), why(&s.state), reads(s).join(" ")]).collect();
    output::rows(world.json, "polder.step", &objects, &["table", "file", "state", "reads"], &cells, &[])
}
