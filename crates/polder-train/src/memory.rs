//! What a run takes in memory, in every way that it can be laid out, and what would fit where it does not.
//!
//! Arithmetic over values: how much is free is the caller's to say.

use polder_base::units;
use polder_compute::cuda::SCRATCH_BYTES;
use polder_compute::{LogitsRoom, Muon};
use polder_model::{Group, ModelConfig, NetworkOptions, ParamTable, memory_bytes, sizes};

use crate::{Optimizer, Precision, Recompute, TrainConfig, TrainError};

/// A way of keeping a network that learns in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLayout {
    /// What it is called.
    pub name: &'static str,
    /// The settings that ask for it, as [`TrainConfig::set_all`](crate::TrainConfig::set_all) takes them.
    pub settings: &'static [&'static str],
    /// How rows between products, and the matrices they meet, are stored.
    pub precision: Precision,
    /// What the backward pass computes again.
    pub recompute: Recompute,
}

impl MemoryLayout {
    /// Plain f32.
    pub const F32: Self = Self { name: "f32", settings: &[], precision: Precision::F32, recompute: Recompute::None };
    /// Rows and matrices in bf16 beside f32 masters.
    pub const BF16: Self = Self { name: "bf16", settings: &["precision=bf16"], precision: Precision::Bf16, recompute: Recompute::None };
    /// Those that keep all rows: what is planned with.
    pub const ALL: [Self; 2] = [Self::F32, Self::BF16];
    /// Those and what they take at least, by computing layers a second time.
    pub const EVERY: [Self; 4] = [
        Self::F32,
        Self { name: "f32, layers again", settings: &["recompute=layers"], precision: Precision::F32, recompute: Recompute::Layers },
        Self::BF16,
        Self {
            name: "bf16, layers again",
            settings: &["precision=bf16", "recompute=layers"],
            precision: Precision::Bf16,
            recompute: Recompute::Layers,
        },
    ];

    /// The options of a network for `batch` sequences of `time` tokens.
    pub fn options(self, batch: usize, time: usize) -> NetworkOptions {
        self.applied(NetworkOptions::new(batch, time))
    }

    fn applied(self, options: NetworkOptions) -> NetworkOptions {
        NetworkOptions { dtype: self.precision.dtype(), recompute: self.recompute, ..options }
    }
}

/// Bytes a parameter beside the network while a checkpoint is taken up or written: parameters and both moments, and the
/// weights that the run began with or a task is scored with.
const CHECKPOINT_BYTES_PER_PARAM: u64 = 16;

/// Counts the bytes that a run of one rank takes at most.
pub fn run_bytes(model: &ModelConfig, options: &NetworkOptions) -> u64 {
    // A processor takes one batch at a time.
    memory_bytes(model, &NetworkOptions { batches_at_once: 1, ..*options }) + CHECKPOINT_BYTES_PER_PARAM * model.n_params()
}

/// Bytes a parameter that each rank of several takes for what it gives to the others and gets from them.
const RANK_BYTES_PER_PARAM: u64 = 8;
/// Bytes a parameter of both moments, of which all ranks together have one pair.
const MOMENTS_BYTES_PER_PARAM: u64 = 8;

/// Counts the bytes that all ranks of a run take in one process.
pub(crate) fn ranks_bytes(model: &ModelConfig, options: &NetworkOptions, ranks: usize) -> u64 {
    let others = ranks as u64 - 1;
    // Each takes up the checkpoint that it goes on from.
    let another = run_bytes(model, options) - MOMENTS_BYTES_PER_PARAM * model.n_params();
    let given = if ranks > 1 { RANK_BYTES_PER_PARAM * model.n_params() * ranks as u64 } else { 0 };
    run_bytes(model, options) + others * another + given
}

/// Counts the bytes that Muon computes in: those of its largest matrix, on each rank.
fn muon_bytes(model: &ModelConfig, settings: &TrainConfig) -> u64 {
    let table = ParamTable::new(model);
    let scratch = |[rows, columns]: [usize; 2]| Muon { rows, columns }.scratch_len();
    let largest = table.iter().filter(|p| p.group == Group::Hidden).flat_map(|p| p.blocks()).map(|(_, sizes)| scratch(sizes)).max();
    let ranks = if settings.optimizer == Optimizer::Muon { settings.ranks } else { 0 };
    (4 * largest.unwrap_or(0) * ranks) as u64
}

/// Counts the bytes of a GPU's memory that a run of one rank takes at once when it begins: the network, what its steps take in and give out, and what
/// its operations compute in.
pub fn gpu_bytes(model: &ModelConfig, settings: &TrainConfig) -> u64 {
    let options = gpu_options(settings.network_options());
    memory_bytes(model, &options) + muon_bytes(model, &TrainConfig { ranks: 1, ..settings.clone() }) + SCRATCH_BYTES
}

fn gpu_options(options: NetworkOptions) -> NetworkOptions {
    NetworkOptions { logits: LogitsRoom::GPU, ..options }
}

/// Checks that a run fits the memory of a GPU that is free.
///
/// # Errors
/// It does not: by how much, and what would fit.
pub fn require_gpu_memory(model: &ModelConfig, settings: &TrainConfig, free_bytes: u64) -> Result<(), TrainError> {
    let needed_bytes = gpu_bytes(model, settings);
    if needed_bytes <= free_bytes {
        return Ok(());
    }
    // What else a GPU needs stands beside each of the changes; a checkpoint is taken up in the host's memory.
    let beside = needed_bytes - memory_bytes(model, &gpu_options(settings.network_options()));
    let room = (free_bytes.saturating_sub(beside)) + CHECKPOINT_BYTES_PER_PARAM * model.n_params();
    let fits = what_fits(model, &gpu_options(settings.network_options()), 1, room);
    Err(TrainError::Memory { needed_bytes, free_bytes, fits })
}

/// Checks that a run fits the memory that is free.
///
/// # Errors
/// It does not: by how much, and what would fit.
pub fn require_memory(model: &ModelConfig, settings: &TrainConfig, free_bytes: u64) -> Result<(), TrainError> {
    let options = settings.network_options();
    let needed_bytes = ranks_bytes(model, &options, settings.ranks.max(1)) + muon_bytes(model, settings);
    if needed_bytes <= free_bytes {
        return Ok(());
    }
    Err(TrainError::Memory { needed_bytes, free_bytes, fits: what_fits(model, &options, settings.ranks.max(1), free_bytes) })
}

/// Changes that each make a run fit, in words with what it takes then: another layout, fewer sequences at once, both, a smaller size.
fn what_fits(model: &ModelConfig, options: &NetworkOptions, ranks: usize, free_bytes: u64) -> Vec<String> {
    let bytes = |model: &ModelConfig, options: &NetworkOptions| Some(ranks_bytes(model, options, ranks)).filter(|b| *b <= free_bytes);
    let said = |what: String, bytes: u64| format!("{what} ({})", units::bytes(bytes));
    // The most sequences, halved again and again, that fit a layout.
    let fewer = |layout: MemoryLayout| {
        let halves = std::iter::successors(Some(options.batch / 2), |b| Some(b / 2)).take_while(|b| *b > 0);
        halves.into_iter().find_map(|batch| bytes(model, &NetworkOptions { batch, ..layout.applied(*options) }).map(|b| (batch, b)))
    };
    let mut found = Vec::new();
    let alone = run_bytes(model, options);
    if ranks > 1 && alone <= free_bytes {
        found.push(said(format!("ranks=1 micro_batch_size={}", options.batch), alone));
    }
    for layout in MemoryLayout::EVERY {
        let changed = layout.applied(*options);
        let is_same = changed == *options;
        let settings = layout.settings.join(" ");
        if !is_same && let Some(b) = bytes(model, &changed) {
            // Plain f32 is what a run has without a setting.
            found.push(said(if settings.is_empty() { "precision=f32".to_owned() } else { settings }, b));
        } else if let Some((batch, b)) = fewer(layout) {
            found.push(said(format!("micro_batch_size={batch} {settings}").trim_end().to_owned(), b));
        }
    }
    let smaller = sizes(model.family.name()).into_iter().rev().find_map(|name| {
        let config = polder_model::preset(&name, model.vocab_size, model.max_position_embeddings)?;
        let config = ModelConfig { head: model.head.clone(), ..config };
        (config.n_params() < model.n_params()).then_some(())?;
        bytes(&config, options).map(|b| said(format!("the size `{name}`"), b))
    });
    found.extend(smaller);
    found
}

#[cfg(test)]
mod tests {
    use polder_base::Advice;

    use super::*;

    fn size(name: &str) -> ModelConfig {
        polder_model::preset(name, 4096, 256).expect("preset")
    }

    fn settings(ranks: usize) -> TrainConfig {
        TrainConfig { batch_size: 8 * ranks, micro_batch_size: 8, ranks, ..TrainConfig::default() }
    }

    #[test]
    fn what_fits_is_let_through_and_one_byte_less_is_not() {
        let model = size("tiny");
        let needed = run_bytes(&model, &settings(1).network_options());
        assert!(require_memory(&model, &settings(1), needed).is_ok());
        let error = require_memory(&model, &settings(1), needed - 1).expect_err("one byte too little");
        assert!(matches!(error, TrainError::Memory { needed_bytes, free_bytes, .. } if needed_bytes == free_bytes + 1));
        let Err(TrainError::Memory { needed_bytes, fits, .. }) = require_memory(&model, &settings(3), needed) else { panic!("three fit") };
        assert!(needed_bytes > 2 * needed && fits[0].starts_with("ranks=1 "), "{needed_bytes} {fits:?}");
    }

    #[test]
    fn every_change_that_is_named_makes_the_run_fit() {
        for (name, share, ranks) in
            [("tiny", 0.9, 1), ("tiny", 0.5, 2), ("base", 0.9, 1), ("base", 0.35, 1), ("modernbert-small", 0.6, 3), ("gpt2-mini", 0.7, 1)]
        {
            let (model, settings) = (size(name), settings(ranks));
            let free = (ranks_bytes(&model, &settings.network_options(), ranks) as f64 * share) as u64;
            let Err(TrainError::Memory { fits, .. }) = require_memory(&model, &settings, free) else { panic!("{name} fits") };
            assert!(!fits.is_empty(), "{name} {share}");
            for fit in fits {
                let named = [format!("batch_size={}", settings.batch_size), format!("ranks={ranks}"), "micro_batch_size=8".to_owned()];
                let lines: Vec<&str> = named.iter().map(String::as_str).chain(fit.split(' ').filter(|word| word.contains('='))).collect();
                let changed = TrainConfig::of_settings(100, 1, &lines).expect("settings that a run takes");
                let other = fit.split('`').nth(1).map_or_else(|| model.clone(), size);
                let bytes = ranks_bytes(&other, &changed.network_options(), changed.ranks);
                assert!(bytes <= free && fit.ends_with(&format!("({})", units::bytes(bytes))), "{fit} of {}", units::bytes(free));
            }
        }
    }

    #[test]
    fn the_error_says_by_how_much_and_the_hint_what_fits() {
        let model = size("7b");
        let error = require_memory(&model, &settings(1), 4_000_000_000).expect_err("too little");
        let missing = units::bytes(run_bytes(&model, &settings(1).network_options()) - 4_000_000_000);
        assert!(error.to_string().contains(&missing) && error.to_string().contains("4.0 GB"), "{error}");
        let hint = error.hint().expect("hint");
        assert!(hint.contains("the size `base`") && hint.contains("polder model sizes"), "{hint}");
        let nothing = require_memory(&size("nano"), &settings(1), 1000).expect_err("too little");
        assert!(nothing.hint().expect("hint").contains("Close other programs"), "{:?}", nothing.hint());
    }

    #[test]
    fn bf16_and_computing_again_take_less_where_rows_outweigh_parameters() {
        let model = size("tiny");
        let [f32, f32_again, bf16, bf16_again] = MemoryLayout::EVERY.map(|l| run_bytes(&model, &l.options(8, 256)));
        assert!(bf16 < f32 && f32_again < f32 && bf16_again < bf16, "{f32} {f32_again} {bf16} {bf16_again}");
    }
}
