//! Trains a model on token shards, as one process or as one rank of several.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use polder_base::{Advised, ExitKind, Manifest, Memory, Timestamp, units};
use polder_compute::Backend;
use polder_compute::cuda::{Chosen, CudaError, GemmChoice, Machine};
use polder_model::{ModelConfig, PRESETS};
use polder_train::{Init, Mfu, Outcome, StepReport, TokenFolders, TrainConfig, TrainRun, gpu_bytes, require_gpu_memory, require_memory};

use crate::commands::{OrAdvise, reference, say_machine, usage};
use crate::ranks::Ranks;
use crate::{bench, note, stop};

#[derive(Debug, clap::Args)]
pub struct Train {
    /// The token set's folder.
    #[arg(required_unless_present = "bench")]
    tokens: Option<PathBuf>,
    /// The run's folder: settings, metrics, checkpoints. Ranks on several hosts all need to see it.
    #[arg(long, value_name = "DIR", required_unless_present = "bench")]
    run: Option<PathBuf>,
    /// The size of model, drawn anew.
    #[arg(long, value_name = "SIZE", required_unless_present = "from", conflicts_with = "from")]
    model: Option<String>,
    /// The folder of a model to go on from.
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// Training steps.
    #[arg(long, value_name = "N", required_unless_present = "bench", default_value_t = 1)]
    steps: u64,
    /// The tokenizer that the tokens were made with.
    #[arg(long, value_name = "FILE", required_unless_present = "bench")]
    tokenizer: Option<PathBuf>,
    /// Where the model goes; its last two parts are its name and version.
    #[arg(long, value_name = "DIR", required_unless_present = "bench")]
    out: Option<PathBuf>,
    /// Only measures: steps of a size on random tokens, in tokens a second, MFU and time a kernel.
    #[arg(long, conflicts_with_all = ["tokens", "run", "from", "out", "tokenizer"])]
    bench: bool,
    /// What to work on: auto (a GPU where there is one), cpu, gpu, or gpu:N.
    #[arg(long, value_name = "MACHINE", default_value = "auto")]
    device: Machine,
    /// What multiplies matrices on a GPU: Polder's own kernels, or NVIDIA's cuBLASLt where that is installed.
    #[arg(long, value_name = "own|cublaslt", default_value = "own")]
    products: GemmChoice,
    /// Fixes initial weights and order.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A setting of the run, such as lr=1e-3, precision=bf16, optimizer=muon; again for more.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
    /// Ranks to start on this host, one a GPU; without GPUs they share the processor. A launcher that sets RANK, WORLD_SIZE, MASTER_ADDR
    /// and MASTER_PORT starts them itself, on several hosts too. More than one GPU is untested so far.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    gpus: u16,
}

/// The folders and files of a run that is no measurement.
struct Paths<'a> {
    tokens: &'a Path,
    run: &'a Path,
    tokenizer: &'a Path,
    out: &'a Path,
}

/// Makes the steps that are left, and the model.
///
/// # Errors
/// Whatever stands in the way; that it was stopped.
pub fn train(args: &Train) -> anyhow::Result<()> {
    let (Some(tokens), Some(run), Some(tokenizer), Some(out)) = (&args.tokens, &args.run, &args.tokenizer, &args.out) else {
        return measure(args);
    };
    let paths = Paths { tokens, run, tokenizer, out };
    let stop = stop::listen().context("cannot listen for signals")?;
    let ranks = Ranks::look(usize::from(args.gpus))?;
    match &ranks {
        Some(Ranks { place, .. }) if place.rank > 0 => {
            let who = || format!("rank {} of {}", place.rank, place.n_ranks);
            train_rank(args, &paths, ranks.as_ref(), &stop).with_context(who)
        }
        _ => train_rank(args, &paths, ranks.as_ref(), &stop),
    }
}

/// Measures steps of a size.
fn measure(args: &Train) -> anyhow::Result<()> {
    let name = args.model.as_deref().unwrap_or_default();
    let config = TrainConfig::of_settings(args.steps, args.seed, &args.settings).or_advise()?;
    let Some(model) = bench::model(name, config.context) else { return Err(no_size(name)) };
    let masking = if model.is_decoder() { Vec::new() } else { vec!["masking=on".to_owned()] };
    let settings: Vec<String> = masking.into_iter().chain(args.settings.iter().cloned()).collect();
    let config = TrainConfig::of_settings(args.steps, args.seed, &settings).or_advise()?;
    let chosen = args.device.choose(0).or_advise()?;
    say_machine(&chosen);
    bench::run(&model, &config, &chosen, args.products)
}

fn train_rank(args: &Train, paths: &Paths<'_>, ranks: Option<&Ranks>, stop: &AtomicBool) -> anyhow::Result<()> {
    // What cannot be named is told before the work.
    let reference = reference("models", paths.out)?;
    let (config, shape) = plan(args, paths.tokens, ranks.map(|r| r.place.n_ranks))?;
    let leads = ranks.is_none_or(|r| r.place.rank == 0);
    let chosen = args.device.choose(ranks.map_or(0, |r| r.place.local_rank.unwrap_or(r.place.rank))).or_advise()?;
    if leads {
        say_machine(&chosen);
    }
    let backend = match &chosen {
        Chosen::Gpu(gpu) => {
            require_gpu_memory(&shape, &config, gpu.memory_bytes).or_advise()?;
            chosen.open_with(gpu_bytes(&shape, &config), args.products).or_advise()?
        }
        Chosen::Processor { .. } => {
            // Ranks are processes of this host, or all in this one.
            let (n_processes, in_this_one) = ranks.map_or((1, config.ranks), |r| (r.place.n_local_ranks, 1));
            let free_bytes = Memory::look().free_bytes;
            if free_bytes > 0 {
                let settings = TrainConfig { ranks: in_this_one, ..config.clone() };
                require_memory(&shape, &settings, free_bytes / n_processes as u64).or_advise()?;
            }
            chosen.open(0).or_advise()?
        }
    };
    let init = args.from.clone().map_or(Init::Fresh(shape), Init::Weights);
    let tokens = TokenFolders::from(paths.tokens).with_tokenizer(paths.tokenizer);
    // The run, which is dropped first, lets the others know that it is over.
    let (met, others) = ranks.map(|ranks| ranks.meet(stop)).transpose()?.unzip();
    let mut run = match met {
        None => TrainRun::start_or_resume_on(backend, paths.run, tokens, &config, &init).or_advise()?,
        Some(met) => TrainRun::start_or_resume_rank(backend, met, paths.run, tokens, &config, &init).or_advise()?,
    };
    let outcome = if !leads {
        run.run(stop, &mut |_| {}).or_advise()?
    } else {
        if (1..config.steps).contains(&run.step()) {
            note(&format!("going on after step {} of {}", run.step(), config.steps));
        }
        // What several hosts reach together is not measured on one of them.
        let mfu = if ranks.is_none_or(|r| r.place.is_one_host()) { measured(&chosen, &run)? } else { None };
        run.run(stop, &mut |report| say(report, mfu.as_ref())).or_advise()?
    };
    drop(others);
    if let Outcome::Interrupted { step } = outcome {
        let message = format!("stopped after step {step} of {}; a checkpoint stands in {}", config.steps, paths.run.display());
        return Err(anyhow::Error::new(Advised::new(message, "Run the same command again to go on.", ExitKind::Interrupted)));
    }
    if !leads {
        return Ok(());
    }
    let manifest = run.finish(paths.out, paths.tokenizer, reference, Timestamp::now(), None).or_advise()?;
    note(&format!(
        "{} stands in {} · next: bring it back to the lake, where its policy clears it",
        manifest.reference,
        paths.out.display()
    ));
    Ok(())
}

/// What the machine can do at most; not told where a GPU has no memory left to find out.
fn measured<B: Backend>(chosen: &Chosen, run: &TrainRun<B>) -> anyhow::Result<Option<Mfu>> {
    match chosen.open(0) {
        Ok(mut backend) => Ok(Some(Mfu::measure(&mut *backend, run.config()))),
        Err(CudaError::Memory { .. }) => Ok(None),
        Err(e) => Err(e).or_advise(),
    }
}

/// An error for a size that there is not.
fn no_size(name: &str) -> anyhow::Error {
    let names: Vec<&str> = PRESETS.iter().map(|p| p.name).collect();
    let hint = format!("The sizes are {}, and of other families such as bert-{}.", names.join(", "), names[0]);
    usage(format!("there is no size of model called `{name}`"), hint)
}

/// The settings of the run, and the model's shape.
fn plan(args: &Train, tokens: &Path, n_processes: Option<usize>) -> anyhow::Result<(TrainConfig, ModelConfig)> {
    let set = Manifest::read(tokens).or_advise()?;
    let id = |name: &str| set.details[name].as_u64().and_then(|i| u32::try_from(i).ok());
    let (vocab_size, eos) = (set.details["vocab_size"].as_u64().unwrap_or(0) as usize, id("eos_id"));
    let size = |context| {
        let name = args.model.as_deref().unwrap_or_default();
        polder_model::preset(name, vocab_size, context).ok_or_else(|| no_size(name))
    };
    let found = args.from.as_ref().map(|dir| ModelConfig::load(dir).or_advise()).transpose()?;
    let is_decoder = match &found {
        Some(shape) => shape.is_decoder(),
        None => size(TrainConfig::default().context)?.is_decoder(),
    };
    // What follows from the model and the processes stands first, so that what is named wins.
    let mut lines = Vec::new();
    lines.extend((!is_decoder).then(|| "masking=on".to_owned()));
    let longest = found.as_ref().map(|shape| shape.max_position_embeddings);
    lines.extend(longest.map(|longest| format!("context={}", TrainConfig::default().context.min(longest))));
    lines.extend(n_processes.map(|n| format!("ranks={n}")));
    lines.extend(args.settings.iter().cloned());
    let config = TrainConfig::of_settings(args.steps, args.seed, &lines).or_advise()?;
    if let Some(n) = n_processes.filter(|n| *n != config.ranks) {
        return Err(usage(format!("ranks={} is set, and {n} processes are the ranks", config.ranks), "Leave `ranks` out.".to_owned()));
    }
    let shape = match found {
        Some(shape) => shape,
        None => ModelConfig { bos_token_id: id("bos_id").or(eos), eos_token_id: eos, ..size(config.context)? },
    };
    Ok((config, shape))
}

/// Says what a step came to, where it is the first or leaves something behind.
fn say(report: &StepReport, mfu: Option<&Mfu>) {
    let m = &report.metric;
    if m.spike.is_some() {
        note(&format!("step {} stands out: loss {:.4}, norm of the gradients {:.3}", m.step, m.loss, m.grad_norm));
    }
    if report.checkpointed || m.step == 1 {
        let mfu = mfu.map(|mfu| format!(" · MFU {:.0} %", 100.0 * mfu.at(m.tokens_per_second))).unwrap_or_default();
        let speed = units::count(m.tokens_per_second as u64);
        note(&format!("step {}/{} loss {:.4} · {speed} tokens/s{mfu}", m.step, report.steps, m.loss));
    }
}
