//! Tunes a model with examples.

use std::path::PathBuf;

use anyhow::Context;
use polder_base::{Clearance, Manifest, Memory, Timestamp};
use polder_compute::cuda::Machine;
use polder_infer::Engine;
use polder_tune::{Precision, TuneOptions, TuneProgress, Tuning, TuningData};

use crate::commands::{OrAdvise, input, reference, say_machine, usage};
use crate::{note, stop};

#[derive(Debug, clap::Args)]
pub struct Tune {
    /// The model's folder.
    model: PathBuf,
    /// The examples' folder.
    data: PathBuf,
    /// Where the adapter goes; its last two parts are its name and version.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// What to work on: auto (a GPU where there is one), cpu, gpu, or gpu:N.
    #[arg(long, value_name = "MACHINE", default_value = "auto")]
    device: Machine,
    /// Rank of the adapter's matrices.
    #[arg(long, default_value_t = 8)]
    rank: usize,
    /// Times that every example is seen.
    #[arg(long, default_value_t = 3)]
    epochs: u32,
    /// Examples a step.
    #[arg(long, default_value_t = 16)]
    batch: usize,
    /// The highest learning rate.
    #[arg(long, default_value_t = 2e-3)]
    lr: f64,
    /// How rows between products are stored: f32, or bf16, which takes less memory and is faster on a GPU.
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    precision: Precision,
    /// Fixes initial adapters and order.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Learns an adapter and writes it.
///
/// # Errors
/// Whatever stands in the way; that it was stopped.
pub fn tune(args: &Tune) -> anyhow::Result<()> {
    // What cannot be named is told before the work.
    let reference = reference("adapters", &args.out)?;
    if std::fs::read_dir(&args.out).is_ok_and(|mut entries| entries.next().is_some()) {
        let message = format!("{} holds something already", args.out.display());
        return Err(usage(message, "Choose another --out, such as the next version; nothing is written over.".to_owned()));
    }
    let manifests = [Manifest::verify(&args.model).or_advise()?, Manifest::verify(&args.data).or_advise()?];
    for manifest in &manifests {
        Clearance::require(manifest.clearance.as_ref(), &manifest.reference.to_string(), &manifest.inputs_digest()).or_advise()?;
    }
    let stop = stop::listen().context("cannot listen for signals")?;
    let engine = Engine::open(&args.model, None).or_advise()?;
    let examples = TuningData::read(&args.data).or_advise()?;
    let &Tune { rank, epochs, batch, lr, precision, seed, .. } = args;
    let options = TuneOptions { rank, alpha: 2.0 * rank as f64, epochs, batch, lr, precision, seed, ..TuneOptions::default() };
    let tuning = Tuning::try_new(engine.weights(), engine.tokenizer(), &examples, &options).or_advise()?;
    let machine = args.device.choose(0).or_advise()?;
    say_machine(&machine);
    let backend = tuning.open(&machine, Memory::look().free_bytes).or_advise()?;
    let mut on_progress = |p: TuneProgress| {
        if let TuneProgress::Step { step, n_steps, loss, .. } = p
            && (step % 20 == 0 || step == n_steps)
        {
            note(&format!("step {step}/{n_steps} loss {loss:.4}"));
        }
    };
    let tuned = tuning.run(backend, &mut on_progress, &stop).or_advise()?;
    let inputs = manifests.iter().map(input).collect();
    let manifest = polder_tune::write_adapter(&args.out, &tuned, &options, reference, Timestamp::now(), inputs, None).or_advise()?;
    let (before, after) = (tuned.report.before.nats_per_token.value, tuned.report.after.nats_per_token.value);
    note(&format!("{} · {before:.4} → {after:.4} nats a token on held-out examples", manifest.reference));
    Ok(())
}
