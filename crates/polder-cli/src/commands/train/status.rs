//! `polder train status`.

use polder_base::units;
use polder_train::RunConfig;
use serde_json::json;

use crate::failure::OrAdvise;
use crate::output;
use crate::world::World;

pub fn run(world: &mut World) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(world.layout().kind("runs")).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|e| e.file_name().into_string().ok()).filter(|n| n.starts_with("train-")).collect();
    names.sort();
    let (mut objects, mut cells) = (Vec::new(), Vec::new());
    for name in names {
        let folder = world.layout().run(&name);
        let Ok(text) = std::fs::read(folder.join("config.json")) else { continue };
        let config: RunConfig = serde_json::from_slice(&text)?;
        let tokens: Vec<String> = config.tokens.iter().map(|t| t.reference.to_string()).collect();
        let metrics = polder_train::read_metrics(&folder).or_advise()?;
        let (step, loss, speed) = metrics.last().map_or((0, f64::NAN, 0.0), |m| (m.step, m.loss, m.tokens_per_second));
        objects.push(json!({ "run": name, "step": step, "steps": config.train.steps, "loss": loss, "tokens": tokens }));
        let state = if step >= config.train.steps { "done" } else { "can go on" };
        cells.push(vec![
            name,
            format!("{step}/{}", config.train.steps),
            format!("{loss:.3}"),
            format!("{} tok/s", units::count(speed as u64)),
            tokens.join(" + "),
            state.to_owned(),
        ]);
    }
    output::rows(world.json, "polder.training", &objects, &["run", "step", "loss", "speed", "tokens", "state"], &cells, &[1, 2, 3])
}
