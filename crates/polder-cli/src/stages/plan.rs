//! Planning: which size of model the tokens, the time and this machine allow.
//!
//! The arithmetic is `polder_train`'s; here the machine is looked at, and what was measured is fixed once.

use polder_base::{Digest, Reference, digest_json, units};
use polder_compute::cuda::Chosen;
use polder_model::{FAMILIES, ModelConfig, PRESETS};
use polder_shard::TokenSet;
use polder_train::{
    Aim, Candidate, Means, MemoryLayout, TOKENS_PER_PARAM_MIN, TrainConfig, candidates, choose, require_gpu_memory, require_memory,
};

use crate::failure::{self, OrAdvise, usage};
use crate::machine::Machine;
use crate::progress::{Bar, Unit};
use crate::world::World;
use crate::{output, stages};

/// What planning came to.
#[derive(Clone, Debug, serde::Deserialize, serde::Serialize)]
pub struct ModelPlan {
    /// All sizes.
    pub candidates: Vec<Candidate>,
    /// The chosen one's name.
    pub chosen: String,
    /// Why.
    pub why: String,
    /// The resolved model.
    pub model: ModelConfig,
    /// The resolved training settings.
    pub train: TrainConfig,
}

/// What planning is asked for.
#[derive(Clone, Debug, serde::Serialize)]
pub struct PlanRequest {
    /// Training tokens there are.
    pub n_tokens: u64,
    /// Vocabulary size.
    pub vocab_size: usize,
    /// The token that a text begins after: the one that opens documents, else the one that closes them.
    pub bos_id: Option<u32>,
    /// The token that closes documents.
    pub eos_id: Option<u32>,
    /// Seconds to train.
    pub seconds: f64,
    /// Steps, where they are given.
    pub steps: Option<u64>,
    /// The size, where it is given.
    pub preset: Option<String>,
    /// Fixes initial weights and order.
    pub seed: u64,
    /// What it trains on.
    #[serde(skip)]
    pub device: polder_compute::cuda::Machine,
    /// Settings of the run beside those that the steps give, as `NAME=VALUE`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<String>,
}

impl PlanRequest {
    /// The settings of a run of some steps.
    ///
    /// # Errors
    /// One that cannot be.
    pub fn train(&self, steps: u64) -> anyhow::Result<TrainConfig> {
        let is_encoder = self.preset.as_ref().is_some_and(|name| !is_decoder(name));
        let mut lines = if is_encoder { vec!["masking=on".to_owned()] } else { Vec::new() };
        lines.extend(self.settings.iter().cloned());
        TrainConfig::of_settings(steps, self.seed, &lines).or_advise()
    }

    fn layout(&self) -> anyhow::Result<MemoryLayout> {
        let config = self.train(self.steps.unwrap_or(1000))?;
        let (precision, recompute) = (config.precision, config.recompute);
        let same = MemoryLayout::EVERY.into_iter().find(|l| (l.precision, l.recompute) == (precision, recompute));
        Ok(same.unwrap_or(MemoryLayout { name: "as set", settings: &[], precision, recompute }))
    }
}

/// Whether a size by its name continues text.
pub fn is_decoder(size: &str) -> bool {
    polder_model::preset(size, 512, 16).is_none_or(|model| model.is_decoder())
}

/// Plans, or reads the plan that the same request on the same tokens made before: what a measurement decides is fixed once.
///
/// # Errors
/// Those of planning, and of writing the plan down.
pub fn plan_once(world: &World, request: &PlanRequest, sets: &[TokenSet]) -> anyhow::Result<ModelPlan> {
    let fingerprints: Vec<Digest> = sets.iter().map(TokenSet::fingerprint).collect();
    let name = format!("plan-{}", &digest_json(&(fingerprints, request)).hex()[..12]);
    let path = world.layout().run(&name).join("plan.json");
    if let Some(plan) = std::fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok()) {
        return Ok(plan);
    }
    let plan = plan(request)?;
    polder_base::write_whole(&path, &serde_json::to_vec_pretty(&plan)?).or_advise()?;
    Ok(plan)
}

/// Plans a run that goes on from a model, or reads the plan that was made before: how many steps fit the time.
///
/// # Errors
/// The model is not there, does not fit the memory, or cannot be measured.
pub fn plan_from(world: &World, request: &PlanRequest, model: &Reference, sets: &[TokenSet]) -> anyhow::Result<TrainConfig> {
    let manifest = stages::manifest(world, model)?;
    let fingerprints: Vec<Digest> = sets.iter().map(TokenSet::fingerprint).collect();
    let name = format!("plan-{}", &digest_json(&(fingerprints, request, manifest.content_digest())).hex()[..12]);
    let path = world.layout().run(&name).join("plan.json");
    if let Some(config) = std::fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok()) {
        return Ok(config);
    }
    let shape = ModelConfig::load(&stages::folder(world, model)?).or_advise()?;
    let mut lines = if shape.is_decoder() { Vec::new() } else { vec!["masking=on".to_owned()] };
    lines.extend(request.settings.iter().cloned());
    // A model cannot see more than its own context, and none was named.
    if !lines.iter().any(|l| l.trim_start().starts_with("context=")) {
        let context = TrainConfig::default().context.min(shape.max_position_embeddings);
        lines.insert(0, format!("context={context}"));
    }
    let request = PlanRequest { settings: lines, preset: None, ..request.clone() };
    let settings = request.train(request.steps.unwrap_or(1000))?;
    let chosen = machine(request.device, &settings)?;
    let means = means(&chosen, request.n_tokens, request.seconds, request.steps);
    require(&chosen, &shape, &settings)?;
    let steps = match request.steps {
        Some(steps) => steps,
        None => measured(&chosen, &[(model.to_string(), shape)], request.layout()?, &settings, &means)?[0].steps,
    };
    let config = request.train(steps)?;
    polder_base::write_whole(&path, &serde_json::to_vec_pretty(&config)?).or_advise()?;
    Ok(config)
}

/// Chooses a model for tokens, a time and this machine: compute-optimal training sees about 20 tokens for each parameter, a short
/// run takes the largest model that sees at least one.
///
/// # Errors
/// There is no such size, or the one that is asked for or not even the smallest fits the memory.
pub fn plan(request: &PlanRequest) -> anyhow::Result<ModelPlan> {
    let settings = request.train(request.steps.unwrap_or(1000))?;
    let layout = request.layout()?;
    let machine = machine(request.device, &settings)?;
    let means = means(&machine, request.n_tokens, request.seconds, request.steps);
    let config = |name: &str| size(name, request.vocab_size, &settings, request.bos_id, request.eos_id);
    if let Some(name) = &request.preset {
        require(&machine, &config(name)?, &settings)?;
    }
    let mut found = Vec::new();
    if request.steps.is_none() || request.preset.is_none() {
        let sizes = PRESETS.iter().map(|p| Ok((p.name.to_owned(), config(p.name)?))).collect::<anyhow::Result<Vec<_>>>()?;
        found = measured(&machine, &sizes, layout, &settings, &means)?;
    }
    let (chosen, why) = match &request.preset {
        Some(name) => (name.clone(), "it was asked for".to_owned()),
        None => {
            let choice = choose(&found, Aim::AtLeast(TOKENS_PER_PARAM_MIN), &settings, &means).ok_or_else(nothing_fits)?;
            let why = match choice.candidate.tokens_per_param >= TOKENS_PER_PARAM_MIN {
                true => format!("the largest that sees at least {TOKENS_PER_PARAM_MIN} token for each parameter in the time"),
                false => "the smallest; the time is short even for it".to_owned(),
            };
            (choice.candidate.name.clone(), why)
        }
    };
    let model = config(&chosen)?;
    let steps = match (request.steps, found.iter().find(|c| c.name == chosen)) {
        (Some(steps), _) => steps,
        (None, Some(c)) => c.steps,
        // A size of another family is none of the candidates.
        (None, None) => measured(&machine, &[(chosen.clone(), model.clone())], layout, &settings, &means)?[0].steps,
    };
    Ok(ModelPlan { candidates: found, chosen, why, model, train: request.train(steps)? })
}

/// Checks that a run fits this machine before anything is asked of it.
///
/// # Errors
/// It does not: by how much, and what would fit.
pub fn require(machine: &Chosen, model: &ModelConfig, settings: &TrainConfig) -> anyhow::Result<()> {
    if let Chosen::Gpu(gpu) = machine {
        return require_gpu_memory(model, settings, gpu.memory_bytes).or_advise();
    }
    let free = Machine::look().memory_available_bytes;
    // 0 stands for a machine that does not say.
    if free == 0 { Ok(()) } else { require_memory(model, settings, free).or_advise() }
}

/// The machine that a run takes: what was asked for, and the processor where ranks are threads that share it.
///
/// # Errors
/// A GPU was asked for by name and cannot be had.
pub fn machine(device: polder_compute::cuda::Machine, settings: &TrainConfig) -> anyhow::Result<Chosen> {
    if settings.ranks > 1 && device == polder_compute::cuda::Machine::Auto {
        return Ok(Chosen::Processor { because: None });
    }
    device.choose(0).or_advise()
}

/// What there is to train with on this machine, as it is now.
pub fn means(machine: &Chosen, n_tokens: u64, seconds: f64, steps: Option<u64>) -> Means {
    let free = match machine {
        Chosen::Gpu(gpu) => gpu.memory_bytes,
        Chosen::Processor { .. } => Machine::look().memory_available_bytes,
    };
    Means { n_tokens, seconds, steps, free_bytes: (free > 0).then_some(free) }
}

/// A size of model by its name.
///
/// # Errors
/// There is none of that name.
pub fn size(
    name: &str,
    vocab_size: usize,
    settings: &TrainConfig,
    bos_id: Option<u32>,
    eos_id: Option<u32>,
) -> anyhow::Result<ModelConfig> {
    let names: Vec<&str> = PRESETS.iter().map(|p| p.name).collect();
    let hint = || {
        let others: Vec<String> = FAMILIES[1..].iter().map(|f| format!("{f}-{}", names[0])).collect();
        format!("The sizes are {}, and of other families {} and so on: polder model sizes.", names.join(", "), others.join(", "))
    };
    let found = polder_model::preset(name, vocab_size, settings.context);
    let found = found.ok_or_else(|| usage(format!("there is no size of model called `{name}`"), hint()))?;
    Ok(ModelConfig { bos_token_id: bos_id, eos_token_id: eos_id, ..found })
}

/// Candidates whose speed is measured on this machine.
///
/// # Errors
/// Those of measuring.
pub fn measured(
    machine: &Chosen,
    sizes: &[(String, ModelConfig)],
    layout: MemoryLayout,
    settings: &TrainConfig,
    means: &Means,
) -> anyhow::Result<Vec<Candidate>> {
    let bar = Bar::new("measuring", 0, Unit::Count);
    let mut speed = |model: &ModelConfig, settings: &TrainConfig, layout: MemoryLayout| {
        bar.name(&format!("measuring {} parameters in {}", units::count(model.n_params()), layout.name));
        polder_train::measure_in(machine.open(0)?, model, settings, layout.precision.dtype())
    };
    candidates(sizes, layout, settings, means, &mut speed).or_advise()
}

/// The refusal where not even the smallest size fits.
pub fn nothing_fits() -> anyhow::Error {
    failure::refused("no size of model fits this machine's free memory", "Close other programs, then run the same command again.")
}

/// Seconds a step, as people read them.
pub fn step_time(candidate: &Candidate) -> String {
    format!("{:.3} s{}", candidate.seconds_per_step, if candidate.is_measured { "" } else { " est." })
}

/// Draws the table that was chosen from.
pub fn plan_table(plan: &ModelPlan) -> String {
    let cells: Vec<Vec<String>> = plan
        .candidates
        .iter()
        .map(|c| {
            vec![
                if c.name == plan.chosen { format!("→ {}", c.name) } else { format!("  {}", c.name) },
                units::count(c.n_params),
                units::bytes(c.memory_bytes),
                step_time(c),
                units::count(c.steps),
                format!("{:.2}", c.tokens_per_param),
                format!("{:.2}", c.epochs),
            ]
        })
        .collect();
    output::table(&["  size", "parameters", "memory", "a step", "steps", "tokens/param", "epochs"], &cells, &[1, 2, 3, 4, 5, 6])
}
