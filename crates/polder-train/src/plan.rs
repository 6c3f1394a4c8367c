//! Which size of model an amount of data, a time and a machine allow.
//!
//! Arithmetic over values: what there is and how long a step takes is the caller's to say. Start with [`candidates`], then
//! [`choose`].

use polder_model::ModelConfig;
use serde::{Deserialize, Serialize};

use crate::memory::{MemoryLayout, ranks_bytes};
use crate::{TrainConfig, TrainError};

/// Tokens a parameter at which a fixed amount of computing gives the least loss (Hoffmann et al. 2022).
pub const TOKENS_PER_PARAM_BEST: f64 = 20.0;
/// Tokens a parameter below which a smaller model learns more in the same time.
pub const TOKENS_PER_PARAM_MIN: f64 = 1.0;
/// Passes over the same tokens above which repetition stops paying (Muennighoff et al. 2023).
pub const EPOCHS_MAX: f64 = 4.0;
/// The time that evaluation and checkpoints during training take beside the steps.
const STEP_SHARE: f64 = 0.92;
/// Seconds a step above which a size's speed says enough about the next.
const SECONDS_MEASURED_MAX: f64 = 0.6;
/// Floating-point operations a second where nothing was measured.
const FLOPS_GUESSED: f64 = 1e11;

/// What there is to train with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Means {
    /// Training tokens.
    pub n_tokens: u64,
    /// Seconds.
    pub seconds: f64,
    /// Steps, where they are given.
    pub steps: Option<u64>,
    /// Memory that is free, where it is known.
    pub free_bytes: Option<u64>,
}

impl Means {
    fn fits(&self, bytes: u64) -> bool {
        self.free_bytes.is_none_or(|free| bytes <= free)
    }
}

/// A size of model beside what the tokens, the time and the machine allow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The size's name.
    pub name: String,
    /// How it is laid out in memory.
    #[serde(default = "plain")]
    pub layout: String,
    /// Parameters.
    pub n_params: u64,
    /// Memory that its training takes, in bytes.
    pub memory_bytes: u64,
    /// Seconds a step, measured here, or estimated from the size below by FLOP.
    pub seconds_per_step: f64,
    /// Whether that was measured.
    pub is_measured: bool,
    /// Steps that fit the time and are worth making.
    pub steps: u64,
    /// Tokens seen for each parameter.
    pub tokens_per_param: f64,
    /// Times the training tokens are seen.
    pub epochs: f64,
}

fn plain() -> String {
    MemoryLayout::F32.name.to_owned()
}

/// How long a step takes, in seconds.
pub type Speed<'a> = dyn FnMut(&ModelConfig, &TrainConfig, MemoryLayout) -> Result<f64, TrainError> + 'a;

/// Sets sizes, smallest first, beside what there is. `speed` is asked while an answer takes little time and may matter, and
/// never for a size that does not fit the memory; beyond, the speed of the size below is carried on by FLOP.
///
/// # Errors
/// Those of `speed`.
pub fn candidates(
    sizes: &[(String, ModelConfig)],
    layout: MemoryLayout,
    settings: &TrainConfig,
    means: &Means,
    speed: &mut Speed<'_>,
) -> Result<Vec<Candidate>, TrainError> {
    let tokens_per_step = settings.tokens_per_step() as f64;
    let mut found: Vec<Candidate> = Vec::with_capacity(sizes.len());
    let mut flops_per_second = FLOPS_GUESSED;
    for (name, model) in sizes {
        let (n_params, flops) = (model.n_params(), model.flops_per_token(settings.context) as f64 * tokens_per_step);
        let memory_bytes = ranks_bytes(model, &layout.options(settings.micro_batch_size, settings.context), settings.ranks);
        let is_worth_it = |below: &Candidate| {
            below.is_measured && below.seconds_per_step <= SECONDS_MEASURED_MAX && below.tokens_per_param >= TOKENS_PER_PARAM_MIN
        };
        let is_measured = found.last().is_none_or(is_worth_it) && means.steps.is_none() && means.fits(memory_bytes);
        let seconds_per_step = if is_measured { speed(model, settings, layout)? } else { flops / flops_per_second };
        flops_per_second = flops / seconds_per_step;
        let by_time = (means.seconds * STEP_SHARE / seconds_per_step) as u64;
        let steps = means.steps.unwrap_or_else(|| by_time.min(steps_of_tokens(settings, means)));
        let seen = steps as f64 * tokens_per_step;
        found.push(Candidate {
            name: name.clone(),
            layout: layout.name.to_owned(),
            n_params,
            memory_bytes,
            seconds_per_step,
            is_measured,
            steps,
            tokens_per_param: seen / n_params as f64,
            epochs: seen / means.n_tokens.max(1) as f64,
        });
    }
    Ok(found)
}

/// Steps that see the tokens as often as it pays.
fn steps_of_tokens(settings: &TrainConfig, means: &Means) -> u64 {
    ((EPOCHS_MAX * means.n_tokens as f64 / settings.tokens_per_step() as f64) as u64).max(1)
}

/// What is looked for in a size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aim {
    /// The largest that sees at least so many tokens for each parameter; the smallest, where none does.
    AtLeast(f64),
    /// The one whose tokens for each parameter come nearest, by their ratio.
    Near(f64),
}

/// What keeps a chosen size from learning more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// The time ends it.
    Time,
    /// The tokens end it: more passes over them would not pay.
    Data,
    /// A size that would be better does not fit the memory.
    Memory,
}

/// The size that was chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice<'a> {
    /// It.
    pub candidate: &'a Candidate,
    /// What bounds it.
    pub bound: Bound,
    /// The size that only the memory forbids.
    pub kept_out: Option<&'a Candidate>,
}

/// Chooses among candidates, smallest first; of one size in several layouts, the fastest counts. `None` when none fits the memory.
pub fn choose<'a>(candidates: &'a [Candidate], aim: Aim, settings: &TrainConfig, means: &Means) -> Option<Choice<'a>> {
    let fitting: Vec<&Candidate> = candidates.iter().filter(|c| means.fits(c.memory_bytes)).collect();
    let candidate = best(&fitting, aim)?;
    let wanted = best(&candidates.iter().collect::<Vec<_>>(), aim);
    let kept_out = wanted.filter(|w| w.name != candidate.name && !fitting.iter().any(|f| f.name == w.name));
    let bound = match kept_out {
        Some(_) => Bound::Memory,
        None if candidate.steps >= steps_of_tokens(settings, means) => Bound::Data,
        None => Bound::Time,
    };
    Some(Choice { candidate, bound, kept_out })
}

fn best<'a>(candidates: &[&'a Candidate], aim: Aim) -> Option<&'a Candidate> {
    // The first of equals is taken, so the layouts of a size come in order of their speed.
    let mut ordered = candidates.to_vec();
    ordered.sort_by(|a, b| a.n_params.cmp(&b.n_params).then(a.seconds_per_step.total_cmp(&b.seconds_per_step)));
    ordered.dedup_by(|later, first| later.name == first.name);
    match aim {
        Aim::AtLeast(least) => ordered.iter().rfind(|c| c.tokens_per_param >= least).or(ordered.first()).copied(),
        Aim::Near(ratio) => {
            // A size that makes no step is as far away as can be.
            let distance = |c: &Candidate| (c.tokens_per_param.max(f64::MIN_POSITIVE) / ratio).ln().abs();
            ordered.into_iter().min_by(|a, b| distance(a).total_cmp(&distance(b)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKENS_A_SECOND_AND_PARAM: f64 = 2e10;

    fn sizes() -> Vec<(String, ModelConfig)> {
        let named = |name: String| polder_model::preset(&name, 4096, 256).map(|c| (name, c));
        polder_model::sizes("llama").into_iter().filter_map(named).collect()
    }

    fn settings() -> TrainConfig {
        TrainConfig::of_steps(1000, 1)
    }

    /// A machine whose steps take as long as they have parameters, twice as long in one of the layouts.
    fn planned(means: &Means, layouts: &[(MemoryLayout, f64)]) -> Vec<Candidate> {
        let mut all = Vec::new();
        for (layout, slower) in layouts {
            let mut speed = |m: &ModelConfig, s: &TrainConfig, _: MemoryLayout| {
                Ok(m.n_params() as f64 * s.tokens_per_step() as f64 / TOKENS_A_SECOND_AND_PARAM * slower)
            };
            all.extend(candidates(&sizes(), *layout, &settings(), means, &mut speed).expect("candidates"));
        }
        all
    }

    fn means(n_tokens: u64, hours: f64) -> Means {
        Means { n_tokens, seconds: 3600.0 * hours, steps: None, free_bytes: None }
    }

    #[test]
    fn time_data_and_memory_each_bound_a_choice_and_are_named() {
        let chosen = |means: &Means| {
            let all = planned(means, &[(MemoryLayout::F32, 1.0)]);
            let choice = choose(&all, Aim::Near(TOKENS_PER_PARAM_BEST), &settings(), means).expect("a choice");
            (choice.candidate.clone(), choice.bound, choice.kept_out.map(|k| k.name.clone()))
        };
        let (by_time, bound, _) = chosen(&means(u64::MAX / 8, 1.0));
        assert_eq!(bound, Bound::Time);
        assert!((5.0..80.0).contains(&by_time.tokens_per_param) && by_time.epochs < 1.0, "{by_time:?}");
        // A hundred times the time, ten times the size.
        let (longer, ..) = chosen(&means(u64::MAX / 8, 100.0));
        assert!(longer.n_params > 4 * by_time.n_params, "{longer:?}");

        let (by_data, bound, _) = chosen(&means(10_000_000, 10_000.0));
        assert_eq!(bound, Bound::Data);
        assert!(by_data.epochs <= EPOCHS_MAX && by_data.epochs > EPOCHS_MAX - 0.01, "{by_data:?}");
        assert!((10.0..40.0).contains(&by_data.tokens_per_param), "{by_data:?}");

        let free_bytes = Some(by_data.memory_bytes - 1);
        let (smaller, bound, kept_out) = chosen(&Means { free_bytes, ..means(10_000_000, 10_000.0) });
        assert_eq!((bound, kept_out), (Bound::Memory, Some(by_data.name)));
        assert!(smaller.n_params < by_data.n_params);
        let nothing = Means { free_bytes: Some(1000), ..means(10_000_000, 1.0) };
        assert!(choose(&planned(&nothing, &[(MemoryLayout::F32, 1.0)]), Aim::Near(20.0), &settings(), &nothing).is_none());
    }

    #[test]
    fn the_largest_that_sees_enough_is_chosen_else_the_smallest() {
        let m = means(u64::MAX / 8, 1.0);
        let all = planned(&m, &[(MemoryLayout::F32, 1.0)]);
        let choice = choose(&all, Aim::AtLeast(1.0), &settings(), &m).expect("a choice");
        let place = all.iter().position(|c| c == choice.candidate).expect("one of them");
        assert!(all[..=place].iter().all(|c| c.tokens_per_param >= 1.0) && all[place + 1..].iter().all(|c| c.tokens_per_param < 1.0));
        let short = means(u64::MAX / 8, 1e-6);
        let all = planned(&short, &[(MemoryLayout::F32, 1.0)]);
        assert_eq!(choose(&all, Aim::AtLeast(1.0), &settings(), &short).expect("a choice").candidate.name, "nano");
    }

    #[test]
    fn the_faster_layout_of_a_size_counts_unless_only_the_other_fits() {
        let m = means(u64::MAX / 8, 1.0);
        for (slower, expected) in [([1.0, 2.0], "f32"), ([2.0, 1.0], "bf16")] {
            let all = planned(&m, &[(MemoryLayout::F32, slower[0]), (MemoryLayout::BF16, slower[1])]);
            let choice = choose(&all, Aim::Near(20.0), &settings(), &m).expect("a choice");
            assert_eq!(choice.candidate.layout, expected);
        }
        let all = planned(&m, &[(MemoryLayout::F32, 1.0), (MemoryLayout::BF16, 1.1)]);
        let wanted = choose(&all, Aim::Near(20.0), &settings(), &m).expect("a choice").candidate.clone();
        let half = all.iter().find(|c| c.name == wanted.name && c.layout == "bf16").expect("the other layout");
        assert!(half.memory_bytes < wanted.memory_bytes);
        let tight = Means { free_bytes: Some(half.memory_bytes), ..m };
        let choice = choose(&all, Aim::Near(20.0), &settings(), &tight).expect("a choice");
        assert_eq!((choice.candidate, choice.kept_out), (half, None), "the size fits in another layout");
    }

    #[test]
    fn speed_is_asked_while_steps_are_short_and_never_beyond_the_memory() {
        let mut asked = Vec::new();
        let m = Means { free_bytes: Some(1 << 40), ..means(1 << 40, 1.0) };
        let mut speed = |model: &ModelConfig, _: &TrainConfig, _: MemoryLayout| {
            asked.push(model.n_params());
            Ok(if asked.len() < 4 { 0.1 } else { 0.7 })
        };
        let all = candidates(&sizes(), MemoryLayout::F32, &settings(), &m, &mut speed).expect("candidates");
        assert_eq!(asked.len(), 4);
        let mut n_asked = 0;
        let mut counted = |_: &ModelConfig, _: &TrainConfig, _: MemoryLayout| {
            n_asked += 1;
            Ok(0.1)
        };
        candidates(&sizes(), MemoryLayout::F32, &settings(), &Means { seconds: 1.0, ..m }, &mut counted).expect("candidates");
        assert_eq!(n_asked, 1, "where even the smallest sees too little, larger ones need no speed");
        let (last, next) = (&all[3], &all[4]);
        assert!(last.is_measured && !next.is_measured);
        let flops = |i: usize| sizes()[i].1.flops_per_token(256) as f64;
        assert!((next.seconds_per_step - 0.7 * flops(4) / flops(3)).abs() < 1e-9);
        let fixed = Means { steps: Some(7), ..m };
        let mut never =
            |_: &ModelConfig, _: &TrainConfig, _: MemoryLayout| -> Result<f64, TrainError> { panic!("given steps need no speed") };
        let all = candidates(&sizes(), MemoryLayout::F32, &settings(), &fixed, &mut never).expect("candidates");
        assert!(all.iter().all(|c| c.steps == 7));
        let tight = Means { free_bytes: Some(1000), ..means(1 << 40, 1.0) };
        candidates(&sizes(), MemoryLayout::F32, &settings(), &tight, &mut never).expect("nothing fits, so nothing is measured");
    }
}
