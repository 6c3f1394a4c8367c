//! Training speed: forward, backward and update of the smallest quickstart model, in tokens a second.
#![allow(clippy::print_stdout)]

use polder_model::preset;
use polder_train::{TrainConfig, measure};

fn main() {
    let model = preset("tiny", 4096, 256).unwrap_or_else(|| unreachable!("a preset of this name exists"));
    let config = TrainConfig::default();
    let threads = rayon::current_num_threads();
    match measure(&model, &config) {
        Ok(seconds) => println!(
            "train: {:.0} tokens/s ({:.1} GFLOP/s; {} parameters, batch {} of {} tokens, {threads} threads)",
            config.tokens_per_step() as f64 / seconds,
            (model.flops_per_token(config.context) * config.tokens_per_step()) as f64 / seconds / 1e9,
            model.n_params(),
            config.batch_size,
            config.context
        ),
        Err(e) => println!("train: {e}"),
    }
}
