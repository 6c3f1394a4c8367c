//! The loader: tokens a second on one thread by packing, mixture and masking; the share of a core that feeding a GPU takes; how long a set of
//! a hundred billion tokens takes to open.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use polder_base::Random;
use polder_shard::{Batch, BatchPlan, Loader, LoaderOptions, Masking, Packing, PackingReport, Source, TokenSet, TokenTable, Weight};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Tokens of each set that is read: larger than the processor's caches.
const N_TOKENS: usize = 64 << 20;
const BATCH_TOKENS: usize = 65_536;
/// What a GPU takes.
const GPU_TOKENS_PER_SECOND: f64 = 700_000.0;

/// Documents of random tokens; lengths are log-normal with a mean of about 1,000 tokens, as those of web text.
fn write_set(dir: &Path, name: &str, vocab_size: usize) -> Outcome<TokenSet> {
    let mut random = Random::new(1, name);
    let mut left = N_TOKENS;
    let documents = std::iter::from_fn(|| {
        let n = ((6.2 + 1.2 * random.normal()).exp() as usize).clamp(8, 200_000).min(left);
        left -= n;
        (n > 0).then(|| (0..n).map(|_| random.below(vocab_size as u64) as u32).collect())
    });
    Ok(TokenSet::open(&polder_testkit::token_set_of(dir, name, vocab_size, 16 << 20, documents))?)
}

fn loader(sets: &[(&TokenSet, &str)], options: LoaderOptions) -> Outcome<Arc<Loader>> {
    let sources: Result<Vec<Source>, Box<dyn Error>> =
        sets.iter().map(|(set, weight)| Ok(Source::open(set, "train", weight.parse::<Weight>()?)?)).collect();
    Ok(Arc::new(Loader::try_new(sources?, options)?))
}

/// Fills batches on this thread for a second, three times, and prints the middle speed.
fn speed(what: &str, sets: &[(&TokenSet, &str)], options: LoaderOptions) -> Outcome<()> {
    let ctx = options.context;
    let loader = loader(sets, options)?;
    let n = BATCH_TOKENS / ctx;
    let mut batch = Batch::default();
    // Every page is touched and every window packed once before the clock starts; an epoch of a real set does so as it goes.
    let epoch = loader.n_samples() / n as u64;
    let started = Instant::now();
    (0..epoch).try_for_each(|i| loader.fill(i * n as u64, n, &mut batch))?;
    let first = epoch as f64 * BATCH_TOKENS as f64 / started.elapsed().as_secs_f64();
    let mut speeds = Vec::new();
    let mut next = epoch * n as u64;
    for _ in 0..3 {
        let (started, mut n_tokens) = (Instant::now(), 0);
        while started.elapsed() < Duration::from_secs(1) {
            loader.fill(next, n, &mut batch)?;
            black_box(&batch);
            next += n as u64;
            n_tokens += batch.tokens.len();
        }
        speeds.push(n_tokens as f64 / started.elapsed().as_secs_f64());
    }
    speeds.sort_by(f64::total_cmp);
    println!("loader: {:>5.0} M tokens/s on 1 thread ({:.0} in the first epoch): {what}", speeds[1] / 1e6, first / 1e6);
    Ok(())
}

/// Nanoseconds that all threads of this process have run.
fn cpu_ns() -> Outcome<u64> {
    let mut sum = 0;
    for thread in std::fs::read_dir("/proc/self/task")? {
        let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        sum += text.split(' ').next().map_or(Ok(0), str::parse::<u64>)?;
    }
    Ok(sum)
}

/// Takes batches at a GPU's pace and prints which share of a core that takes, readers included.
fn share(what: &str, sets: &[(&TokenSet, &str)], options: LoaderOptions) -> Outcome<()> {
    let n = BATCH_TOKENS / options.context;
    let loader = loader(sets, options)?;
    let mut batches = loader.batches(0, BatchPlan::of_batch(n))?;
    let mut batch = Batch::default();
    batches.next(&mut batch)?;
    let (started, cpu, mut n_tokens, mut n_late) = (Instant::now(), cpu_ns()?, 0, 0);
    while started.elapsed() < Duration::from_secs(5) {
        let asked = Instant::now();
        batches.next(&mut batch)?;
        n_late += usize::from(asked.elapsed() > Duration::from_millis(1));
        n_tokens += batch.tokens.len();
        let due = Duration::from_secs_f64(n_tokens as f64 / GPU_TOKENS_PER_SECOND);
        std::thread::sleep(due.saturating_sub(started.elapsed()));
    }
    let seconds = started.elapsed().as_secs_f64();
    let share = (cpu_ns()? - cpu) as f64 / 1e9 / seconds;
    println!(
        "loader: {:.2} % of a core at {:.0} k tokens/s, {n_late} batches waited for: {what}",
        share * 100.0,
        n_tokens as f64 / seconds / 1e3
    );
    Ok(())
}

/// Opens a sparse set up to its first batch.
fn open(n_shards: u64) -> Outcome<()> {
    let dir = tempfile::tempdir()?;
    let folder = polder_testkit::sparse_token_set(dir.path(), n_shards, 100_000_000_000 / n_shards, 100_000_000 / n_shards);
    let mut times = Vec::new();
    for _ in 0..5 {
        let started = Instant::now();
        let loader = loader(&[(&TokenSet::open(&folder)?, "1")], LoaderOptions::of_context(2048, 1))?;
        let opened = started.elapsed().as_secs_f64() * 1e3;
        loader.fill(0, 32, &mut Batch::default())?;
        times.push((opened, started.elapsed().as_secs_f64() * 1e3));
    }
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (opened, filled) = times[2];
    println!("loader: {opened:.1} ms to open 100 G tokens, 100 M documents in {n_shards} shards; first batch after {filled:.1} ms");
    Ok(())
}

/// Packs a whole set and prints what was cut and what was left empty.
fn packing(set: &TokenSet, ctx: usize, packing: Packing) -> Outcome<()> {
    let loader = loader(&[(set, "1")], LoaderOptions { packing, ..LoaderOptions::of_context(ctx, 1) })?;
    let mut all = PackingReport::default();
    let started = Instant::now();
    for window in 0.. {
        let Some(report) = loader.packing_report(0, window)? else { break };
        all.add(&report);
    }
    let seconds = started.elapsed().as_secs_f64();
    let n_positions = (all.n_tokens + all.n_padding) as f64;
    println!(
        "loader: {packing}, context {ctx}: {} documents, {} cuts that their length needs, {} more; {:.2} % padding; {:.0} M tokens/s",
        all.n_documents,
        all.n_long_cuts,
        all.n_forced_cuts,
        all.n_padding as f64 / n_positions * 100.0,
        all.n_tokens as f64 / seconds / 1e6
    );
    Ok(())
}

fn main() -> Outcome<()> {
    let dir = tempfile::tempdir()?;
    let (narrow, wide) = (write_set(dir.path(), "u16", 50_257)?, write_set(dir.path(), "i32", 128_256)?);
    for ctx in [512, 2048, 8192] {
        let of = |packing| LoaderOptions { packing, sequences_max: Some(64), ..LoaderOptions::of_context(ctx, 1) };
        speed(&format!("u16, context {ctx}, joined"), &[(&narrow, "1")], of(Packing::Joined))?;
        speed(&format!("i32, context {ctx}, joined"), &[(&wide, "1")], of(Packing::Joined))?;
        speed(&format!("u16, context {ctx}, contiguous documents"), &[(&narrow, "1")], of(Packing::Contiguous))?;
        speed(&format!("u16, context {ctx}, best fit"), &[(&narrow, "1")], of(Packing::best_fit(ctx)))?;
    }
    let of_2048 = LoaderOptions::of_context(2048, 1);
    let mixed = [(&narrow, "0.7"), (&narrow, "0.2"), (&narrow, "0.1")];
    speed("u16, context 2048, mixture of three", &mixed, of_2048.clone())?;
    let special = TokenTable::new(50_257, |id| id == 50_256);
    let masking = Masking::of_rate(0.15, 50_255, 50_257, special);
    let masked = LoaderOptions { masking: Some(masking.clone()), ..of_2048.clone() };
    speed("u16, context 2048, masked language modelling", &[(&narrow, "1")], masked.clone())?;
    let masking = Some(Masking { word_starts: Some(TokenTable::new(50_257, |id| id % 3 != 0)), ..masking });
    let whole_words = LoaderOptions { masking, ..of_2048.clone() };
    speed("u16, context 2048, masked, whole words", &[(&narrow, "1")], whole_words)?;
    share("joined", &[(&narrow, "1")], of_2048.clone())?;
    share("best fit", &[(&narrow, "1")], LoaderOptions { packing: Packing::best_fit(2048), ..of_2048 })?;
    share("masked language modelling", &[(&narrow, "1")], masked)?;
    for ctx in [512, 2048, 8192] {
        let Packing::BestFit { window_samples, .. } = Packing::best_fit(ctx) else { continue };
        for spare_samples in [0, 1, 2, 4, 8].map(|n| n * window_samples / 256) {
            packing(&narrow, ctx, Packing::BestFit { window_samples, spare_samples })?;
        }
    }
    [10, 50, 1000, 4000].into_iter().try_for_each(open)
}
