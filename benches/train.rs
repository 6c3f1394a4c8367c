//! Training speed: forward, backward and update in tokens a second, at about 1, 10 and 34 million parameters.
#![allow(clippy::print_stdout)]

use polder_model::{ModelConfig, preset};
use polder_train::{TrainConfig, measure};

/// (name, C, F, L, H, V): the shapes that are also measured with PyTorch, T = 256, batches of 8.
const SIZES: [(&str, usize, usize, usize, usize, usize); 3] =
    [("1m", 128, 352, 4, 4, 4096), ("10m", 320, 864, 6, 5, 8192), ("30m", 512, 1376, 8, 8, 16_384)];

fn main() {
    let only = std::env::args().skip(1).find(|a| !a.starts_with('-'));
    let threads = rayon::current_num_threads();
    for (name, c, f, l, h, v) in SIZES {
        if only.as_deref().is_some_and(|o| o != name) {
            continue;
        }
        let Some(nano) = preset("nano", v, 256) else { continue };
        let model = ModelConfig {
            hidden_size: c,
            intermediate_size: f,
            num_hidden_layers: l,
            num_attention_heads: h,
            num_key_value_heads: h,
            head_dim: c / h,
            tie_word_embeddings: true,
            ..nano
        };
        let config = TrainConfig { batch_size: 8, micro_batch_size: 8, context: 256, ..TrainConfig::default() };
        match measure(&model, &config) {
            Ok(seconds) => println!(
                "train {name}: {:.0} tokens/s ({:.1} GFLOP/s; {} parameters, {threads} threads)",
                config.tokens_per_step() as f64 / seconds,
                (model.flops_per_token(config.context) * config.tokens_per_step()) as f64 / seconds / 1e9,
                model.n_params(),
            ),
            Err(e) => println!("train {name}: {e}"),
        }
    }
}
