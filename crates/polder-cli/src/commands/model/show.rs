//! `polder model show MODEL`.

use polder_base::{Reference, units};
use polder_model::ModelConfig;

use crate::failure::OrAdvise;
use crate::world::World;
use crate::{output, stages};

pub fn run(world: &mut World, model: &str) -> anyhow::Result<()> {
    let reference = stages::newest(world, &stages::named("models", model).or_advise()?);
    let manifest = stages::manifest(world, &reference)?;
    if world.json {
        return output::object("polder.model", &serde_json::to_value(&manifest)?);
    }
    let config = ModelConfig::load(&stages::folder(world, &reference)?).or_advise()?;
    let lake = world.lake()?;
    let scores = world.block_on(async { polder_govern::scores(&lake).await.or_advise() })?;
    let from: Vec<String> = manifest.inputs.iter().map(|i| i.reference.to_string()).collect();
    output::data(&format!("{reference}, made at {} from {}", manifest.created_at, from.join(" and ")))?;
    if let Some(dtypes) = manifest.details["dtypes"].as_array() {
        let dtypes: Vec<&str> = dtypes.iter().filter_map(|d| d.as_str()).collect();
        let license = manifest.details["license"].as_str().unwrap_or("not named");
        output::data(&output::printable(&format!("a model of others, stored as {} · licence {license}", dtypes.join(" and "))))?;
    }
    output::data(&format!(
        "{} · {} parameters · {} layers of {} · {} heads · vocabulary {} · context {} · {} FLOP a token\n",
        config.to_hugging_face()["model_type"].as_str().unwrap_or_default(),
        units::count(config.n_params()),
        config.num_hidden_layers,
        config.hidden_size,
        config.num_attention_heads,
        config.vocab_size,
        config.max_position_embeddings,
        units::count(config.flops_per_token(config.max_position_embeddings)),
    ))?;
    let cells: Vec<_> = scores
        .iter()
        .filter(|s| s.model.parse::<Reference>().is_ok_and(|r| r == reference))
        .map(|s| {
            let interval = s.interval().map_or(String::new(), |(low, high)| format!("{low:.3} – {high:.3}"));
            vec![
                s.task.clone(),
                s.group.clone(),
                s.metric.clone(),
                s.value.map_or("–".into(), |v| format!("{v:.3}")),
                interval,
                s.n.to_string(),
            ]
        })
        .collect();
    output::rows(false, "polder.score", &[], &["task", "group", "metric", "value", "95 %", "n"], &cells, &[3, 5])
}
