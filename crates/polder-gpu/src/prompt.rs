//! `prompt`: a text goes on, once or many times at once, and how fast.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use polder_base::Manifest;
use polder_compute::cuda::Machine;
use polder_infer::{DecodeOptions, Dtype, Engine, GenerateOptions, InferError};

use crate::commands::{OrAdvise, input, say_machine, usage};
use crate::note;

/// What is asked.
#[derive(Debug, clap::Args)]
pub struct Prompt {
    /// The model's folder.
    model: PathBuf,
    /// The text to go on with.
    prompt: String,
    /// The folder of an adapter tuned on the model.
    #[arg(long, value_name = "DIR")]
    adapter: Option<PathBuf>,
    /// The most tokens to generate.
    #[arg(long, value_name = "N", default_value_t = 64)]
    max_tokens: usize,
    /// 0 takes the most likely token; 1 draws by the model's probabilities.
    #[arg(long, value_name = "X", default_value_t = 0.0)]
    temperature: f32,
    /// The same seed gives the same text.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// What to work on: auto (a GPU where there is one), cpu, gpu, or gpu:N.
    #[arg(long, value_name = "MACHINE", default_value = "auto")]
    device: Machine,
    /// How numbers are stored: f32, or bf16.
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    precision: Dtype,
    /// Asks so many times at once, each with a seed of its own, and shows the first.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    times: u16,
}

/// Opens the model, asks it, and prints what it says.
///
/// # Errors
/// A model that cannot be opened or asked; a GPU with too little memory.
pub fn prompt(args: &Prompt) -> anyhow::Result<()> {
    let base = Manifest::verify(&args.model).or_advise()?;
    if let Some(adapter) = &args.adapter {
        let tuned = Manifest::verify(adapter).or_advise()?;
        if !tuned.inputs.contains(&input(&base)) {
            let message = format!("{} was not made from {}", tuned.reference, base.reference);
            return Err(usage(message, "Name the model that it was tuned on.".to_owned()));
        }
    }
    let mut engine = Engine::open(&args.model, args.adapter.as_deref()).or_advise()?;
    let machine = args.device.choose(0).or_advise()?;
    say_machine(&machine);
    let times = usize::from(args.times);
    engine.generate_on_machine(&machine, DecodeOptions { slots: times, dtype: args.precision }).or_advise()?;
    let engine = &engine;
    let ask = |i: usize| -> Result<usize, InferError> {
        let seed = args.seed + i as u64;
        let options = GenerateOptions { max_tokens: args.max_tokens, temperature: args.temperature, seed, ..GenerateOptions::default() };
        let mut show = |text: &str| {
            let mut out = std::io::stdout().lock();
            let is_shown = i > 0 || (out.write_all(text.as_bytes()).is_ok() && out.flush().is_ok());
            if is_shown { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        engine.generate(&args.prompt, &options, &mut show).map(|generation| generation.n_tokens)
    };
    let started = Instant::now();
    let generated: Result<Vec<usize>, InferError> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..times).map(|i| scope.spawn(move || ask(i))).collect();
        callers.into_iter().map(|caller| caller.join().unwrap_or(Err(InferError::Backend))).collect()
    });
    let (n, seconds) = (generated.or_advise()?.iter().sum::<usize>(), started.elapsed().as_secs_f64());
    // A text rarely ends with its line.
    let _ = writeln!(std::io::stdout());
    note(&format!("{n} tokens in {seconds:.2} s, {:.0} a second", n as f64 / seconds));
    Ok(())
}
