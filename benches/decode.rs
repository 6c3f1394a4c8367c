//! Decoding speed: greedy generation of one sequence by the smallest quickstart model, in tokens a second.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::ops::ControlFlow;
use std::time::Instant;

use polder_infer::{Engine, GenerateOptions};
use polder_model::{Weights, preset};
use polder_tokenizer::{END_OF_TEXT, TrainOptions, WordCounts, train};

fn main() -> Result<(), Box<dyn Error>> {
    let mut counts = WordCounts::default();
    counts.add("the polder lies below the lake");
    let options = TrainOptions { vocab_size: 260, special_tokens: vec![END_OF_TEXT.into()], min_count: 1, ..TrainOptions::default() };
    let tokenizer = train(&counts, &options, &mut |_, _| {})?;
    let config = preset("tiny", 4096, 256).ok_or("a preset of this name exists")?;
    let engine = Engine::new(Weights::init(&config, 1)?, tokenizer)?;
    let options = GenerateOptions { max_tokens: 240, ..GenerateOptions::default() };
    let mut best = 0f64;
    for _ in 0..5 {
        let started = Instant::now();
        let generation = engine.generate("the lake", &options, &mut |_| ControlFlow::Continue(()))?;
        best = best.max(generation.n_tokens as f64 / started.elapsed().as_secs_f64());
    }
    println!("decode: {best:.0} tokens/s ({} parameters, one sequence of {} tokens, one thread)", config.n_params(), options.max_tokens);
    Ok(())
}
