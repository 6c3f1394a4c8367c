//! Draws of tokens: the kernels' are the processor's, and the processor's are those of the formula.

use polder_base::Random;
use polder_compute::cpu::{self, Sampling};
use polder_compute::cuda::{Cuda, Emulated};
use polder_compute::{Backend, Bf16, Dtype, Number};

use super::{CAPABILITIES, emulation, numbers};

const PLAIN: Sampling = Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, seed: 3 };

/// The formula, in f64.
fn choose(logits: &[f32], s: Sampling, place: u64) -> i32 {
    let mut ids: Vec<usize> = (0..logits.len()).collect();
    ids.sort_by(|a, b| logits[*b].partial_cmp(&logits[*a]).expect("numbers").then(a.cmp(b)));
    if s.temperature == 0.0 {
        return ids[0] as i32;
    }
    if s.top_k > 0 {
        ids.truncate(s.top_k);
    }
    let weights: Vec<f64> =
        ids.iter().map(|i| ((f64::from(logits[*i]) - f64::from(logits[ids[0]])) / f64::from(s.temperature)).exp()).collect();
    let total: f64 = weights.iter().sum();
    let (mut kept, mut n) = (0.0, 0);
    while n < ids.len() && (n == 0 || kept < total * f64::from(s.top_p)) {
        kept += weights[n];
        n += 1;
    }
    let mut left = (Random::new(s.seed, "sample").at(place) >> 11) as f64 / (1u64 << 53) as f64 * kept;
    for i in 0..n {
        left -= weights[i];
        if left < 0.0 {
            return ids[i] as i32;
        }
    }
    ids[n - 1] as i32
}

fn all() -> Vec<Sampling> {
    let hot = Sampling { temperature: 4.0, ..PLAIN };
    let settings = [
        PLAIN,
        hot,
        Sampling { temperature: 0.0, ..PLAIN },
        Sampling { temperature: 0.05, ..PLAIN },
        Sampling { top_k: 1, ..hot },
        Sampling { top_k: 40, ..hot },
        Sampling { top_k: 900, top_p: 0.5, ..hot },
        Sampling { top_p: 0.9, ..PLAIN },
        Sampling { top_p: 0.999, ..hot },
        Sampling { top_p: 0.0, ..hot },
        Sampling { top_k: 5, top_p: 0.7, temperature: 0.8, seed: u64::MAX },
    ];
    settings.to_vec()
}

#[test]
fn draws_follow_the_formula() {
    for (n, size) in [(2, 3.0), (50, 4.0), (2000, 9.0)] {
        for s in all() {
            let logits: Vec<f32> = numbers(n as u64, n).iter().map(|x| x * size).collect();
            let places: Vec<i32> = (0..100).collect();
            let mut tokens = vec![0; places.len()];
            cpu::sample(&mut tokens, &logits.repeat(places.len()), &s.words().repeat(places.len()), &places, n, n);
            let truth: Vec<i32> = places.iter().map(|place| choose(&logits, s, *place as u64)).collect();
            assert_eq!(tokens, truth, "{n} {s:?}");
        }
    }
}

#[test]
fn frequencies_follow_the_probabilities() {
    let p = [0.05, 0.5, 0.15, 0.3];
    let logits: Vec<f32> = p.iter().map(|p: &f64| p.ln() as f32).collect();
    let times = 20_000;
    let mut tokens = vec![0; times];
    let places: Vec<i32> = (0..times as i32).collect();
    cpu::sample(&mut tokens, &logits.repeat(times), &PLAIN.words().repeat(times), &places, 4, 4);
    for (id, p) in p.iter().enumerate() {
        let share = tokens.iter().filter(|t| **t == id as i32).count() as f64 / times as f64;
        assert!((share - p).abs() < 0.015, "{id}: {share}");
    }
}

/// Draws on the emulated kernels and on the processor, a row a setting, and compares the tokens.
pub fn agree(what: &str, logits: &[f32], dtype: Dtype, vocab: usize, n_classes: usize, settings: &[Sampling]) {
    let n = settings.len();
    let places: Vec<i32> = (0..n as i32).map(|i| i * 77 + 1).collect();
    let words: Vec<i32> = settings.iter().flat_map(Sampling::words).collect();
    let mut truth = vec![0; n];
    match dtype {
        Dtype::F32 => cpu::sample(&mut truth, logits, &words, &places, vocab, n_classes),
        Dtype::Bf16 => {
            let rounded: Vec<Bf16> = logits.iter().map(|x| Bf16::of(*x)).collect();
            cpu::sample(&mut truth, &rounded, &words, &places, vocab, n_classes);
        }
    }
    let Some(library) = emulation() else { return };
    for seed in [1, 2] {
        let device = Emulated::open(library, CAPABILITIES[0], seed).expect("emulation");
        let mut cuda = Cuda::on(Box::new(device), 0).expect("backend");
        // One number further than a buffer begins, so that no row is aligned by itself.
        let view = cuda.alloc(n * vocab + 1, dtype).part(1, n * vocab);
        cuda.upload(view, logits);
        let [tokens, at, table] = [n, n, words.len()].map(|len| cuda.alloc_ids(len));
        cuda.upload_ids(at, &places);
        cuda.upload_ids(table, &words);
        cuda.sample(tokens, view, table, at, vocab, n_classes);
        let mut drawn = vec![0; n];
        cuda.download_ids(tokens, &mut drawn);
        assert_eq!(drawn, truth, "{what}: {dtype:?}, {n_classes} of {vocab}");
    }
}

#[test]
fn kernels_draw_the_same_tokens_as_the_processor() {
    let settings = all();
    for (vocab, n_classes) in [(1, 1), (2, 2), (7, 5), (40, 33), (2053, 2050), (5003, 5003)] {
        for dtype in [Dtype::F32, Dtype::Bf16] {
            let logits: Vec<f32> = numbers(vocab as u64, vocab * settings.len()).iter().map(|x| x * 9.0).collect();
            agree("spread", &logits, dtype, vocab, n_classes, &settings);
        }
    }
    let vocab = 150_001;
    let few = [settings[1], settings[6], settings[8]];
    let logits: Vec<f32> = numbers(9, vocab * few.len()).iter().map(|x| x * x * x * 12.0).collect();
    agree("long rows", &logits, Dtype::Bf16, vocab, vocab - 1, &few);
    agree("long rows", &logits, Dtype::F32, vocab, vocab, &few);
}

#[test]
fn rows_that_begin_anywhere_are_drawn_by_the_same_rule() {
    let settings = &all()[4..8];
    for (vocab, dtype) in [(2053, Dtype::F32), (1031, Dtype::Bf16)] {
        let logits: Vec<f32> = numbers(vocab as u64, vocab * settings.len()).iter().map(|x| x * 9.0).collect();
        agree("spread", &logits, dtype, vocab, vocab - 2, settings);
    }
}

#[test]
fn equal_and_infinite_logits_and_such_as_are_no_numbers_are_drawn_by_the_same_rule() {
    let settings = all();
    let vocab = 3000;
    let rows: [&dyn Fn(usize) -> f32; 6] = [
        // More equal ones than a list holds, and whose order is that of their ids alone.
        &|_| 1.5,
        &|i| if i % 2 == 0 { 0.0 } else { -0.0 },
        &|i| (i % 3) as f32,
        &|i| if i % 5 == 4 { -1.0 } else { f32::NEG_INFINITY },
        &|i| if i % 7 == 6 { f32::NAN } else { (i % 11) as f32 },
        &|i| if i == 1234 { f32::INFINITY } else { 2.0 },
    ];
    for row in rows {
        let logits: Vec<f32> = (0..vocab * settings.len()).map(|i| row(i % vocab)).collect();
        agree("equal ones", &logits, Dtype::F32, vocab, vocab, &settings);
    }
    agree("nothing", &vec![f32::NEG_INFINITY; vocab * settings.len()], Dtype::F32, vocab, vocab, &settings);
    agree("no numbers", &vec![f32::NAN; vocab * settings.len()], Dtype::F32, vocab, vocab, &settings);
}
