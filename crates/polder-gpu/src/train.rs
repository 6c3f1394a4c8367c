//! Trains a model on token shards, as one process or as one rank of several.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use polder_base::{Advised, ExitKind, Manifest, Memory, Timestamp, units};
use polder_compute::Cpu;
use polder_model::{ModelConfig, PRESETS};
use polder_train::{Init, Mfu, Outcome, StepReport, TokenFolders, TrainConfig, TrainRun, require_memory};

use crate::commands::{OrAdvise, reference, usage};
use crate::ranks::Ranks;
use crate::{note, stop};

#[derive(Debug, clap::Args)]
pub struct Train {
    /// The token set's folder.
    tokens: PathBuf,
    /// The run's folder: settings, metrics, checkpoints. Ranks on several hosts all need to see it.
    #[arg(long, value_name = "DIR")]
    run: PathBuf,
    /// The size of model, drawn anew.
    #[arg(long, value_name = "SIZE", required_unless_present = "from", conflicts_with = "from")]
    model: Option<String>,
    /// The folder of a model to go on from.
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// Training steps.
    #[arg(long, value_name = "N")]
    steps: u64,
    /// The tokenizer that the tokens were made with.
    #[arg(long, value_name = "FILE")]
    tokenizer: PathBuf,
    /// Where the model goes; its last two parts are its name and version.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
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

/// Makes the steps that are left, and the model.
///
/// # Errors
/// Whatever stands in the way; that it was stopped.
pub fn train(args: &Train) -> anyhow::Result<()> {
    let stop = stop::listen().context("cannot listen for signals")?;
    let ranks = Ranks::look(usize::from(args.gpus))?;
    match &ranks {
        Some(Ranks { place, .. }) if place.rank > 0 => {
            let who = || format!("rank {} of {}", place.rank, place.n_ranks);
            train_rank(args, ranks.as_ref(), &stop).with_context(who)
        }
        _ => train_rank(args, ranks.as_ref(), &stop),
    }
}

fn train_rank(args: &Train, ranks: Option<&Ranks>, stop: &AtomicBool) -> anyhow::Result<()> {
    // What cannot be named is told before the work.
    let reference = reference("models", &args.out)?;
    let (config, shape) = plan(args, ranks.map(|r| r.place.n_ranks))?;
    // Ranks are processes of this host, or all in this one.
    let (n_processes, in_this_one) = ranks.map_or((1, config.ranks), |r| (r.place.n_local_ranks, 1));
    let free_bytes = Memory::look().free_bytes;
    if free_bytes > 0 {
        let settings = TrainConfig { ranks: in_this_one, ..config.clone() };
        require_memory(&shape, &settings, free_bytes / n_processes as u64).or_advise()?;
    }
    let init = args.from.clone().map_or(Init::Fresh(shape), Init::Weights);
    let tokens = TokenFolders::from(&args.tokens).with_tokenizer(&args.tokenizer);
    // The run, which is dropped first, lets the others know that it is over.
    let (met, others) = ranks.map(|ranks| ranks.meet(stop)).transpose()?.unzip();
    let mut run = match met {
        None => TrainRun::start_or_resume(&args.run, tokens, &config, &init).or_advise()?,
        Some(met) => TrainRun::start_or_resume_rank(Cpu::new(), met, &args.run, tokens, &config, &init).or_advise()?,
    };
    let outcome = if ranks.is_some_and(|r| r.place.rank > 0) {
        run.run(stop, &mut |_| {}).or_advise()?
    } else {
        if (1..config.steps).contains(&run.step()) {
            note(&format!("going on after step {} of {}", run.step(), config.steps));
        }
        // What several hosts reach together is not measured on one of them.
        let mfu = ranks.is_none_or(|r| r.place.is_one_host()).then(|| Mfu::measure(&mut Cpu::new(), run.config()));
        run.run(stop, &mut |report| say(report, mfu.as_ref())).or_advise()?
    };
    drop(others);
    if let Outcome::Interrupted { step } = outcome {
        let message = format!("stopped after step {step} of {}; a checkpoint stands in {}", config.steps, args.run.display());
        return Err(anyhow::Error::new(Advised::new(message, "Run the same command again to go on.", ExitKind::Interrupted)));
    }
    if ranks.is_some_and(|r| r.place.rank > 0) {
        return Ok(());
    }
    let manifest = run.finish(&args.out, &args.tokenizer, reference, Timestamp::now(), None).or_advise()?;
    note(&format!("{} stands in {} · next: bring it back to the lake, where its policy clears it", manifest.reference, args.out.display()));
    Ok(())
}

/// The settings of the run, and the model's shape.
fn plan(args: &Train, n_processes: Option<usize>) -> anyhow::Result<(TrainConfig, ModelConfig)> {
    let set = Manifest::read(&args.tokens).or_advise()?;
    let id = |name: &str| set.details[name].as_u64().and_then(|i| u32::try_from(i).ok());
    let (vocab_size, eos) = (set.details["vocab_size"].as_u64().unwrap_or(0) as usize, id("eos_id"));
    let size = |context| {
        let name = args.model.as_deref().unwrap_or_default();
        polder_model::preset(name, vocab_size, context).ok_or_else(|| {
            let names: Vec<&str> = PRESETS.iter().map(|p| p.name).collect();
            let hint = format!("The sizes are {}, and of other families such as bert-{}.", names.join(", "), names[0]);
            usage(format!("there is no size of model called `{name}`"), hint)
        })
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
