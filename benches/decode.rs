//! Decoding speed: greedy generation for one caller and for several at once, in tokens a second; each caller by itself, and in shared passes.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::ops::ControlFlow;
use std::time::Instant;

use polder_compute::{Cpu, Dtype};
use polder_infer::{Engine, GenerateOptions};
use polder_model::{DecodeOptions, Weights, preset};
use polder_tokenizer::{END_OF_TEXT, Tokenizer, TrainOptions, WordCounts, train};

/// Tokens that a caller asks for.
const TOKENS: usize = 120;

fn tokenizer() -> Result<Tokenizer, Box<dyn Error>> {
    let mut counts = WordCounts::default();
    counts.add("the polder lies below the lake");
    let options = TrainOptions { vocab_size: 260, special_tokens: vec![END_OF_TEXT.into()], min_count: 1, ..TrainOptions::default() };
    Ok(train(&counts, &options, &mut |_, _| {})?)
}

/// Tokens a second of all callers together, the best of a few runs.
fn measure(engine: &Engine, n_callers: usize) -> f64 {
    let options = GenerateOptions { max_tokens: TOKENS, ..GenerateOptions::default() };
    let run = || {
        let started = Instant::now();
        let ask = || engine.generate("the lake", &options, &mut |_| ControlFlow::Continue(())).map_or(0, |g| g.n_tokens);
        let n_tokens: usize = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..n_callers).map(|_| scope.spawn(ask)).collect();
            callers.into_iter().map(|c| c.join().unwrap_or(0)).sum()
        });
        n_tokens as f64 / started.elapsed().as_secs_f64()
    };
    (0..3).map(|_| run()).fold(0.0, f64::max)
}

fn main() -> Result<(), Box<dyn Error>> {
    for (name, vocab_size) in [("tiny", 4096), ("mini", 16_384), ("base", 32_768)] {
        let config = preset(name, vocab_size, 256).ok_or("a preset of this name exists")?;
        let weights = Weights::init(&config, 1)?;
        println!("{name}, {} parameters, {TOKENS} tokens a caller:", config.n_params());
        for n_callers in [1, 4, 8] {
            let alone = measure(&Engine::new(weights.clone(), tokenizer()?)?, n_callers);
            let mut shared = Vec::new();
            for dtype in [Dtype::F32, Dtype::Bf16] {
                let mut engine = Engine::new(weights.clone(), tokenizer()?)?;
                engine.generate_on(Cpu::new().into(), DecodeOptions { slots: n_callers, dtype })?;
                shared.push(measure(&engine, n_callers));
            }
            println!("  {n_callers} at once: each alone {alone:.0} tokens/s, shared f32 {:.0}, shared bf16 {:.0}", shared[0], shared[1]);
        }
    }
    Ok(())
}
