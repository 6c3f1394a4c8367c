//! `train --bench`: how fast steps of a model are on this machine, on random tokens, and where their time goes.

use polder_base::units;
use polder_compute::cuda::{Chosen, Cuda, GemmChoice};
use polder_compute::trace::Roofline;
use polder_model::{Family, ModelConfig};
use polder_train::{Bench, TrainConfig, gpu_bytes};

use crate::commands::OrAdvise;
use crate::kernels::{roofline_seconds, sums};
use crate::note;

/// The vocabulary that sizes are measured with: GPT-2's, filled up to a multiple of 128.
const VOCAB_SIZE: usize = 50_304;

/// A size by name; `gpt2-124m` is GPT-2's own smallest.
pub fn model(name: &str, context: usize) -> Option<ModelConfig> {
    if name == "gpt2-124m" {
        let medium = polder_model::preset("gpt2-medium", VOCAB_SIZE, context)?;
        return Some(ModelConfig { num_hidden_layers: 12, ..medium });
    }
    polder_model::preset(name, VOCAB_SIZE, context)
}

/// Measures steps and prints tokens a second and MFU.
///
/// # Errors
/// Settings that cannot be; a GPU with too little memory.
pub fn run(model: &ModelConfig, config: &TrainConfig, chosen: &Chosen, products: GemmChoice) -> anyhow::Result<()> {
    let dtype = config.precision.dtype();
    let (n_tokens, flops) = (config.tokens_per_step() as f64, model.flops_per_token(config.context) as f64);
    let family = match model.family {
        Family::Gpt2 => "GPT-2",
        Family::Llama(_) => "Llama",
        Family::Bert { .. } => "BERT",
        Family::ModernBert(_) => "ModernBERT",
    };
    note(&format!(
        "{family}, {} parameters, {} sequences of {} tokens at once, {} tokens a step, {dtype:?}",
        units::count(model.n_params()),
        config.micro_batch_size,
        config.context,
        units::count(config.tokens_per_step())
    ));
    let said = |seconds: f64, peak: f64, name: &str| {
        let speed = n_tokens / seconds;
        note(&format!(
            "{:.1} ms a step · {} tokens/s · {:.0} TFLOP/s · MFU {:.1} % of {:.0} TFLOP/s ({name}) · MFU = tokens/s · {:.0} MFLOP a token (6 a parameter of a product, and attention's forward and backward over what rows see) / peak",
            seconds * 1e3,
            units::count(speed as u64),
            speed * flops / 1e12,
            100.0 * speed * flops / peak,
            peak / 1e12,
            flops / 1e6
        ));
    };
    match chosen {
        Chosen::Processor { .. } => {
            let peak = Roofline::peak_flops(&mut *chosen.open(0).or_advise()?, dtype);
            let mut bench = Bench::try_new(chosen.open(0).or_advise()?, model, config).or_advise()?;
            said(bench.seconds(3).or_advise()?, peak, "measured");
        }
        Chosen::Gpu(gpu) => {
            let measured = Roofline::measure(&mut Cuda::open(gpu.ordinal, 0).or_advise()?);
            let mut cuda = Cuda::open(gpu.ordinal, gpu_bytes(model, config)).or_advise()?;
            cuda.set_gemm(products).or_advise()?;
            let mut bench = Bench::try_new(cuda, model, config).or_advise()?;
            let seconds = bench.seconds(10).or_advise()?;
            said(seconds, if dtype.bytes() == 2 { measured.flops_bf16 } else { measured.flops_f32 }, "measured");
            if gpu.capability == (9, 0) && dtype.bytes() == 2 {
                said(seconds, 989e12, "data sheet");
            }
            bench.network().backend_mut().device().begin_timing();
            bench.seconds(1).or_advise()?;
            let lines = sums(bench.network().backend_mut().device().end_timing().or_advise()?);
            // A step to warm up and one that counts.
            let all: f64 = lines.iter().map(|l| l.seconds).sum::<f64>() / 2.0;
            note(&format!("{:<44} {:>6} {:>9} {:>6} {:>9} {:>7} {:>9}", "kernel", "calls", "ms", "share", "TFLOP/s", "TB/s", "roofline"));
            for line in lines {
                let least = roofline_seconds(&measured, &line.entry, line.flop, line.bytes);
                note(&format!(
                    "{:<44} {:>6} {:>9.3} {:>5.1}% {:>9.0} {:>7.2} {:>8.0}%",
                    line.entry,
                    line.n_calls / 2,
                    line.seconds * 500.0,
                    50.0 * line.seconds / all,
                    line.flop / line.seconds / 1e12,
                    line.bytes / line.seconds / 1e12,
                    100.0 * least / line.seconds
                ));
            }
            note(&format!("{:<44} {:>6} {:>9.3}", "all kernels", "", all * 1e3));
        }
    }
    Ok(())
}
