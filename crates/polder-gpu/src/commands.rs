//! What it does: look at the devices, train (`train.rs`), evaluate, tune (`tune.rs`), go on with a text (`prompt.rs`).

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use clap::{Parser, Subcommand};
use polder_base::{Advice, Advised, ExitKind, Input, Manifest, Reference, Timestamp, units};
use polder_compute::cuda::{Chosen, Machine, Probe};
use polder_eval::{EvalOptions, OnMachine, Scores};
use polder_infer::Engine;

use crate::kernels::{self, Asked};
use crate::note;
use crate::prompt::{self, Prompt};
use crate::train::{self, Train};
use crate::tune::{self, Tune};

const EXAMPLES: &str = "Examples:
  polder-gpu devices
  polder-gpu train tokens/base --run runs/r1 --model tiny --steps 1000 --tokenizer tokenizers/base/tokenizer.json --out models/base/1
  polder-gpu train tokens/base --run runs/r2 --from models/base/1 --steps 200 --set lr=1e-4 --tokenizer … --out models/base/2
  polder-gpu train tokens/base --run runs/r3 --model small --steps 1000 --gpus 2 --tokenizer … --out models/small/1
  polder-gpu train --bench --model gpt2-124m --set context=1024 --set precision=bf16
  polder-gpu kernels check
  polder-gpu eval models/base/1 requests/bits_per_byte --out runs/e1
  polder-gpu tune models/base/1 tuning/signatures --precision bf16 --out adapters/base/1
  polder-gpu prompt models/base/1 'The lake' --max-tokens 100 --precision bf16 --times 32";

/// The model side alone: files in, files out, no lake.
#[derive(Debug, Parser)]
#[command(name = "polder-gpu", version, before_help = EXAMPLES, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say which GPUs there are.
    Devices,
    /// Look at the kernels of this program on this GPU.
    #[command(subcommand)]
    Kernels(Kernels),
    /// Train a model on token shards; the same command again goes on where it stopped.
    Train(Train),
    /// Measure a model on requests.
    Eval {
        /// The model's folder.
        model: PathBuf,
        /// The requests' folder.
        requests: PathBuf,
        /// Where scores.json goes.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// What to work on: auto (a GPU where there is one), cpu, gpu, or gpu:N.
        #[arg(long, value_name = "MACHINE", default_value = "auto")]
        device: Machine,
    },
    /// Go on with a text.
    Prompt(Prompt),
    /// Tune a model with examples.
    Tune(Tune),
}

#[derive(Debug, Subcommand)]
enum Kernels {
    /// Run every kernel with fresh random inputs against the processor, and measure it.
    Check {
        /// Which GPU, by its place in the driver's list.
        #[arg(long, value_name = "N", default_value_t = 0)]
        gpu: usize,
        /// Only cases whose name contains this.
        #[arg(long, value_name = "TEXT", default_value = "")]
        only: String,
        /// Fixes the inputs; by default the clock does.
        #[arg(long, value_name = "N")]
        seed: Option<u64>,
        /// Leaves the clock out.
        #[arg(long)]
        untimed: bool,
        /// Only small sizes that are multiples of nothing, each once: for tools that watch every access.
        #[arg(long)]
        small: bool,
    },
    /// Print every kernel's row: what it takes, how it is launched, what bounds it.
    Table,
}

/// Carries an error's advice to where it is printed.
pub trait OrAdvise<T> {
    /// Takes the advice out of the error.
    fn or_advise(self) -> anyhow::Result<T>;
}

impl<T, E: Advice + Send + Sync + 'static> OrAdvise<T> for Result<T, E> {
    fn or_advise(self) -> anyhow::Result<T> {
        self.map_err(|e| anyhow::Error::new(Advised::from(e)))
    }
}

/// A request that is wrong.
pub fn usage(message: String, hint: String) -> anyhow::Error {
    anyhow::Error::new(Advised::new(message, hint, ExitKind::Usage))
}

/// Runs a parsed command line.
///
/// # Errors
/// Whatever the command says.
pub fn execute(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Devices => {
            match polder_compute::cuda::probe() {
                Probe::Found(gpus) if !gpus.is_empty() => {
                    gpus.iter().for_each(|g| note(&format!("{}: {}, {}", g.ordinal, g.name, units::bytes(g.memory_bytes))));
                }
                Probe::Found(_) | Probe::NoDriver => note("no GPU; work runs on the processor"),
                Probe::Unusable(reason) => note(&format!("a CUDA driver that refuses ({reason}); work runs on the processor")),
            }
            Ok(())
        }
        Command::Kernels(Kernels::Check { gpu, only, seed, untimed, small }) => {
            kernels::check(gpu, &Asked { only, seed, timed: !untimed && !small, small })
        }
        Command::Kernels(Kernels::Table) => {
            for row in polder_compute::cuda::table() {
                let entries: Vec<String> = row.variants.iter().map(|types| row.entry(types)).collect();
                note(&format!(
                    "{} · {} threads · grid {} · shared {} · bytes {} · FLOP {}",
                    entries.join(", "),
                    row.threads,
                    row.grid,
                    row.shared,
                    row.bytes,
                    row.flop
                ));
            }
            Ok(())
        }
        Command::Train(args) => train::train(&args),
        Command::Eval { model, requests, out, device } => eval(&model, &requests, &out, device),
        Command::Prompt(args) => prompt::prompt(&args),
        Command::Tune(args) => tune::tune(&args),
    }
}

/// Names an artefact by the last parts of its folder: `models/base/1` is `models/base@1`.
pub fn reference(kind: &str, folder: &Path) -> anyhow::Result<Reference> {
    let part = |path: Option<&Path>| path.and_then(|p| p.file_name()).map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let text = format!("{kind}/{}@{}", part(folder.parent()), part(Some(folder)));
    text.parse::<Reference>().or_advise()
}

/// Says what work runs on.
pub fn say_machine(chosen: &Chosen) {
    match chosen {
        Chosen::Gpu(gpu) => note(&format!("on GPU {}, {}", gpu.ordinal, gpu.name)),
        Chosen::Processor { because: Some(why) } => note(&format!("on the processor: {why}")),
        Chosen::Processor { because: None } => note("on the processor"),
    }
}

/// What a manifest describes, as an input of something else.
pub fn input(manifest: &Manifest) -> Input {
    Input { reference: manifest.reference.clone(), digest: manifest.content_digest() }
}

fn eval(model: &Path, requests: &Path, out: &Path, device: Machine) -> anyhow::Result<()> {
    let (model_manifest, requests_manifest) = (Manifest::verify(model).or_advise()?, Manifest::verify(requests).or_advise()?);
    let engine = Engine::open(model, None).or_advise()?;
    let asked = polder_eval::read_requests(requests).or_advise()?;
    let chosen = device.choose(0).or_advise()?;
    say_machine(&chosen);
    let scorer = OnMachine::open(&chosen, &engine).or_advise()?;
    let evaluation = polder_eval::evaluate(&scorer, &asked, &EvalOptions::default(), &mut |_| {}, &AtomicBool::new(false)).or_advise()?;
    let scores = Scores {
        model: input(&model_manifest),
        requests: input(&requests_manifest),
        tokenizer_digest: engine.tokenizer().digest(),
        at: Timestamp::now(),
        scores: evaluation.scores,
    };
    scores.write(out).or_advise()?;
    scores.scores.iter().for_each(|s| note(&format!("{} {} {:.4} (n = {})", s.group, s.metric, s.estimate.value, s.estimate.n)));
    Ok(())
}
