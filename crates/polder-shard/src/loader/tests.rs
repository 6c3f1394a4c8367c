//! Orders, packings and masks against what they promise, on sets written here.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;

/// Every document ends with this; all other tokens of a set are different from each other.
const END: u32 = 0;
const VOCAB: usize = 100_000;
/// In no document.
const PAD: u32 = 99_998;

/// Writes documents of the given lengths, the closing token included, and opens the set.
fn set(dir: &Path, name: &str, lengths: &[usize], tokens_per_shard_max: u64) -> TokenSet {
    let mut next = 0;
    let documents = lengths.iter().map(|length| {
        let mut document: Vec<u32> = (1..*length as u32).map(|i| next + i).collect();
        next += *length as u32 - 1;
        document.push(END);
        document
    });
    TokenSet::open(&polder_testkit::token_set_of(dir, name, VOCAB, tokens_per_shard_max, documents)).expect("open")
}

fn loader(sets: &[(&TokenSet, &str)], options: &LoaderOptions) -> Loader {
    let sources = sets.iter().map(|(set, weight)| Source::open(set, "train", weight.parse().expect("weight")).expect("source"));
    Loader::try_new(sources.collect(), options.clone()).expect("loader")
}

fn stream(set: &TokenSet) -> Vec<u32> {
    let mut out = Vec::new();
    set.split("train").expect("split").read(0, u64::MAX, &mut out).expect("read");
    out
}

/// Tokens and targets of consecutive places, a sample each.
type Rows = Vec<(Vec<u32>, Vec<i32>)>;

fn rows_of(batch: &Batch) -> Rows {
    (0..batch.n_samples).map(|i| batch.samples(i..i + 1)).map(|(a, b)| (a.to_vec(), b.to_vec())).collect()
}

fn filled(loader: &Loader, first: u64, n: usize) -> Batch {
    let mut batch = Batch::default();
    loader.fill(first, n, &mut batch).expect("fill");
    batch
}

const BEST_FIT: Packing = Packing::BestFit { window_samples: 4, spare_samples: 1 };

fn lengths() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(prop_oneof![4 => 1usize..12, 1 => 12usize..70], 1..60)
}

/// How often each number occurs.
fn counted<T: std::hash::Hash + Eq>(of: impl IntoIterator<Item = T>) -> HashMap<T, usize> {
    let mut counts = HashMap::new();
    of.into_iter().for_each(|x| *counts.entry(x).or_default() += 1);
    counts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn packing_loses_no_token_and_no_target(
        lengths in lengths(), ctx in 1usize..17, max in 5u64..300, shuffled in any::<bool>(), window_samples in 2u64..9, spare_samples in 0u64..2,
    ) {
        let dir = tempfile::tempdir().expect("folder");
        let set = set(dir.path(), "a", &lengths, max);
        let order = if shuffled { Order::Shuffled } else { Order::Sequential };
        let loader = loader(&[(&set, "1")], &LoaderOptions {
            packing: Packing::BestFit { window_samples, spare_samples }, order, pad_id: PAD, ..LoaderOptions::of_context(ctx, 3)
        });
        let n_samples = loader.n_samples() as usize;
        let batch = filled(&loader, 0, n_samples);
        let stream = stream(&set);
        let n_padding = n_samples * ctx - stream.len();
        let n_windows = stream.len().div_ceil((window_samples - spare_samples) as usize * ctx);
        prop_assert!(n_padding < ctx + n_windows * spare_samples as usize * ctx, "the spare samples and less than one more");
        // Where a window has more samples than tokens, one of them can only be padding.
        let n_empty = batch.tokens.chunks(ctx).filter(|tokens| tokens.iter().all(|t| *t == PAD)).count();
        prop_assert!(n_empty <= usize::from(window_samples == 2) || ctx == 1, "{n_empty} samples of padding alone");
        let mut expected = counted(stream.iter().copied());
        if n_padding > 0 {
            expected.insert(PAD, n_padding);
        }
        prop_assert_eq!(counted(batch.tokens.iter().copied()), expected, "every token is an input once");
        // Within a document each token follows the one before it; its end is followed by nothing.
        let pairs = batch.tokens.iter().zip(&batch.targets).filter(|(_, t)| **t != IGNORED).map(|(a, b)| (*a, *b as u32));
        let expected = stream.windows(2).filter(|w| w[0] != END).map(|w| (w[0], w[1]));
        prop_assert_eq!(counted(pairs), counted(expected), "every token but the first of its document is a target once");
    }

    #[test]
    fn sequences_are_parts_of_one_document_each_and_count_their_positions(
        lengths in lengths(), ctx in 1usize..17, max in 5u64..300, packed in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().expect("folder");
        let set = set(dir.path(), "a", &lengths, max);
        let packing = if packed { BEST_FIT } else { Packing::Contiguous };
        let sources = vec![Source::open(&set, "train", Weight::ONE).expect("source")];
        let Ok(loader) = Loader::try_new(sources, LoaderOptions { packing, ..LoaderOptions::of_context(ctx, 3) }) else {
            prop_assert!(!packed && stream(&set).len() <= ctx);
            return Ok(());
        };
        let batch = filled(&loader, 0, loader.n_samples() as usize);
        prop_assert_eq!(batch.cu_seqlens.len(), batch.n_samples * ctx + 1, "a fixed length");
        prop_assert!(batch.cu_seqlens[batch.n_sequences..].iter().all(|end| *end as usize == batch.tokens.len()));
        prop_assert!((0..batch.n_samples).all(|i| batch.cu_seqlens.contains(&((i * ctx) as i32))), "no sequence crosses a sample");
        let mut longest = 0;
        for w in batch.cu_seqlens[..=batch.n_sequences].windows(2) {
            let sequence = w[0] as usize..w[1] as usize;
            longest = longest.max(sequence.len());
            let tokens = &batch.tokens[sequence.clone()];
            prop_assert_eq!(&batch.positions[sequence.clone()], (0..tokens.len() as u32).collect::<Vec<_>>());
            if batch.loss_mask[sequence.clone()].contains(&1) {
                let inner = &tokens[..tokens.len() - 1];
                prop_assert!(inner.windows(2).all(|p| p[1] == p[0] + 1) && !inner.contains(&END));
            }
            for i in sequence {
                prop_assert_eq!(batch.loss_mask[i] == 1, batch.targets[i] != IGNORED);
            }
        }
        prop_assert_eq!(batch.max_seqlen, longest);
    }

    #[test]
    fn going_on_with_other_batches_machines_and_readers_gives_the_same_order(
        lengths in proptest::collection::vec(1usize..40, 20..60),
        others in proptest::collection::vec(1usize..40, 20..60),
        stops in proptest::collection::vec((1u64..6, 1usize..4, 1usize..4, 0usize..4, 1usize..3), 1..5),
        packing in prop_oneof![Just(Packing::Joined), Just(Packing::Contiguous), Just(BEST_FIT)],
        seed in any::<u64>(),
    ) {
        let dir = tempfile::tempdir().expect("folder");
        let (a, b) = (set(dir.path(), "a", &lengths, 90), set(dir.path(), "b", &others, 70));
        let sets = [(&a, "0.75"), (&b, "0.25")];
        let options = LoaderOptions { packing, ..LoaderOptions::of_context(7, seed) };
        let (mut got, mut state) = (Rows::new(), loader(&sets, &options).state(0));
        for (n_batches, per_rank, world, n_readers, n_ahead) in stops {
            // As a program that was started again would: everything is opened anew, and the state was on disk.
            let loader = Arc::new(loader(&sets, &options));
            state = serde_json::from_str(&serde_json::to_string(&state).expect("json")).expect("json");
            let from = loader.resume(&state).expect("the same data");
            let plan = |rank| BatchPlan { batch_samples: per_rank * world, rank, world, n_readers, n_ahead, end: None };
            let mut ranks: Vec<Batches> = (0..world).map(|rank| loader.batches(from, plan(rank)).expect("start")).collect();
            let mut batch = Batch::default();
            for _ in 0..n_batches {
                for rank in &mut ranks {
                    prop_assert!(rank.next(&mut batch).expect("batch"));
                    got.extend(rows_of(&batch));
                }
            }
            prop_assert!(ranks.iter().all(|r| r.position() == ranks[0].position()));
            state = loader.state(ranks[0].position());
        }
        prop_assert_eq!(state.samples as usize, got.len());
        prop_assert_eq!(got, rows_of(&filled(&loader(&sets, &options), 0, state.samples as usize)));
    }
}

#[test]
fn contiguous_samples_overlap_by_one_token_and_know_where_documents_begin() {
    let dir = tempfile::tempdir().expect("folder");
    // 1 2 0 | 3 4 5 6 0 | 0 | 7 0
    let set = set(dir.path(), "a", &[3, 5, 1, 2], 1000);
    let options = LoaderOptions { packing: Packing::Contiguous, order: Order::Sequential, ..LoaderOptions::of_context(5, 1) };
    let batch = filled(&loader(&[(&set, "1")], &options), 0, 2);
    assert_eq!(batch.tokens, [1, 2, 0, 3, 4, 5, 6, 0, 0, 7]);
    assert_eq!(batch.targets, [2, 0, IGNORED, 4, 5, 6, 0, IGNORED, IGNORED, 0]);
    assert_eq!(batch.loss_mask, [1, 1, 0, 1, 1, 1, 1, 0, 0, 1]);
    assert_eq!(batch.positions, [0, 1, 2, 0, 1, 0, 1, 2, 0, 0]);
    assert_eq!(batch.cu_seqlens, [0, 3, 5, 8, 9, 10, 10, 10, 10, 10, 10]);
    assert_eq!((batch.n_sequences, batch.max_seqlen, batch.n_merged), (5, 3, 0));
    // With room for two sequences a sample, further documents join the second.
    let tight = filled(&loader(&[(&set, "1")], &LoaderOptions { sequences_max: Some(2), ..options.clone() }), 0, 2);
    assert_eq!((tight.cu_seqlens, tight.n_merged), (vec![0, 3, 5, 8, 10], 1));
    let joined = filled(&loader(&[(&set, "1")], &LoaderOptions { packing: Packing::Joined, ..options }), 0, 2);
    assert_eq!((joined.tokens, joined.cu_seqlens.as_slice(), joined.max_seqlen), (batch.tokens, &[0, 5, 10][..], 5));
    assert_eq!(joined.targets, [2, 0, 3, 4, 5, 6, 0, 0, 7, 0]);
    assert_eq!(joined.positions, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
}

#[test]
fn best_fit_cuts_only_what_is_too_long_where_documents_allow_it() {
    let dir = tempfile::tempdir().expect("folder");
    // 8 = 5 + 3, 6 + 2, 7 + 1, and 20 = 8 + 8 + 4, which 4 fills.
    let set = set(dir.path(), "a", &[5, 6, 7, 20, 3, 2, 1, 4], 1000);
    let options = LoaderOptions { packing: Packing::BestFit { window_samples: 100, spare_samples: 0 }, ..LoaderOptions::of_context(8, 1) };
    let loader = loader(&[(&set, "1")], &options);
    let report = loader.packing_report(0, 0).expect("pack").expect("a window");
    let expected = PackingReport { n_samples: 6, n_tokens: 48, n_documents: 8, n_long_cuts: 2, n_forced_cuts: 0, n_padding: 0 };
    assert_eq!(report, expected);
    assert_eq!(loader.packing_report(0, 1).expect("pack"), None);
    // Pieces of more than half a sample cannot be paired: what has no room is cut, and nothing is lost or padded.
    let set = self::set(dir.path(), "b", &[5; 16], 1000);
    let report = self::loader(&[(&set, "1")], &options).packing_report(0, 0).expect("pack").expect("a window");
    assert_eq!((report.n_samples, report.n_padding, report.n_tokens), (10, 0, 80));
    assert!(report.n_forced_cuts >= 6);
    // With room to spare they stay whole.
    let spared = LoaderOptions { packing: Packing::BestFit { window_samples: 16, spare_samples: 6 }, ..options };
    let report = self::loader(&[(&set, "1")], &spared).packing_report(0, 0).expect("pack").expect("a window");
    assert_eq!((report.n_samples, report.n_padding, report.n_forced_cuts), (16, 48, 0));
}

#[test]
fn a_mixture_draws_every_sample_of_each_set_once_an_epoch_and_epochs_differ() {
    let dir = tempfile::tempdir().expect("folder");
    let (a, b) = (set(dir.path(), "a", &[50; 10], 90), set(dir.path(), "b", &[50; 10], 90));
    let loader = loader(&[(&a, "0.7"), (&b, "0.3")], &LoaderOptions::of_context(10, 5));
    let places: Vec<Place> = (0..1000).map(|p| loader.place(p)).collect();
    let orders: Vec<Vec<Vec<u64>>> = [0, 1]
        .map(|source| {
            let samples: Vec<u64> = places.iter().filter(|p| p.source == source).map(|p| p.sample).collect();
            assert!(places.iter().filter(|p| p.source == source).map(|p| p.epoch).is_sorted());
            samples.chunks_exact(49).map(<[u64]>::to_vec).collect()
        })
        .into();
    for epoch in orders.iter().flatten() {
        let mut seen = epoch.clone();
        seen.sort_unstable();
        assert_eq!(seen, (0..49).collect::<Vec<_>>());
    }
    assert!(orders[0].len() > 10 && orders[0][0] != orders[0][1]);
    assert_ne!(orders[0][0], orders[1][0], "sets of one size have orders of their own");
    assert_eq!((loader.state(1000).epoch, loader.state(1000).tokens), (700 / 49, 10_000));
}

#[test]
fn a_state_of_other_data_or_settings_is_refused_with_what_differs() {
    let dir = tempfile::tempdir().expect("folder");
    let (a, b) = (set(dir.path(), "a", &[50; 10], 90), set(dir.path(), "b", &[50; 11], 90));
    let options = LoaderOptions::of_context(10, 5);
    let state = loader(&[(&a, "1")], &options).state(77);
    assert_eq!(loader(&[(&a, "1")], &options).resume(&state).expect("the same"), 77);
    let masking = Masking::of_rate(0.3, 1, VOCAB, TokenTable::new(VOCAB, |id| id == END));
    let others = [
        ("data set", loader(&[(&b, "1")], &options)),
        ("data set", loader(&[(&a, "1"), (&b, "1")], &options)),
        ("mixture", loader(&[(&a, "2")], &options)),
        ("context length", loader(&[(&a, "1")], &LoaderOptions { context: 11, ..options.clone() })),
        ("packing", loader(&[(&a, "1")], &LoaderOptions { packing: BEST_FIT, ..options.clone() })),
        ("order", loader(&[(&a, "1")], &LoaderOptions { order: Order::Sequential, ..options.clone() })),
        ("masking", loader(&[(&a, "1")], &LoaderOptions { masking: Some(masking), ..options.clone() })),
        ("seed", loader(&[(&a, "1")], &LoaderOptions { seed: 6, ..options.clone() })),
    ];
    for (expected, other) in others {
        let error = other.resume(&state).expect_err(expected);
        assert!(matches!(&error, LoaderError::OtherState { what, .. } if *what == expected), "{error}");
    }
    let damaged = LoaderState { tokens: 1, ..state };
    assert!(loader(&[(&a, "1")], &options).resume(&damaged).is_err());
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let dir = tempfile::tempdir().expect("folder");
    let a = set(dir.path(), "a", &[50; 10], 90);
    let make = |options: LoaderOptions| Loader::try_new(vec![Source::open(&a, "train", Weight::ONE).expect("source")], options).err();
    let good = LoaderOptions::of_context(10, 5);
    assert!(make(good.clone()).is_none());
    let table = TokenTable::new(VOCAB, |_| false);
    for rate in [0.0, 1.0, f64::NAN] {
        let masking = Some(Masking::of_rate(rate, 1, VOCAB, table.clone()));
        assert!(matches!(make(LoaderOptions { masking, ..good.clone() }), Some(LoaderError::Option { option: "masking.rate", .. })));
    }
    assert!(matches!(make(LoaderOptions { context: 0, ..good.clone() }), Some(LoaderError::Option { option: "context", .. })));
    assert!(matches!(make(LoaderOptions { pad_id: VOCAB as u32, ..good.clone() }), Some(LoaderError::Option { option: "pad_id", .. })));
    assert!(matches!(
        make(LoaderOptions { context: 500, ..good.clone() }),
        Some(LoaderError::TooFewTokens { n_tokens: 500, needed: 501, .. })
    ));
    assert!(make(LoaderOptions { context: 500, packing: BEST_FIT, ..good.clone() }).is_none(), "packing needs no further token");
    let loader = Arc::new(loader(&[(&a, "1")], &good));
    for plan in [BatchPlan { world: 3, ..BatchPlan::of_batch(4) }, BatchPlan { rank: 1, ..BatchPlan::of_batch(4) }, BatchPlan::of_batch(0)]
    {
        assert!(matches!(loader.batches(0, plan), Err(LoaderError::Option { .. })));
    }
}

#[test]
fn masks_hide_the_given_share_and_never_a_special_token() {
    let dir = tempfile::tempdir().expect("folder");
    let set = set(dir.path(), "a", &[100; 600], 9000);
    let special = TokenTable::new(VOCAB, |id| id == END || (70_000..99_000).contains(&id));
    const MASK: u32 = 99_999;
    for (rate, packing) in [(0.15, Packing::Joined), (0.3, Packing::Contiguous), (0.2, BEST_FIT)] {
        let masking = Masking::of_rate(rate, MASK, VOCAB, special.clone());
        let options = LoaderOptions { packing, order: Order::Sequential, masking: Some(masking), ..LoaderOptions::of_context(64, 9) };
        let masked = loader(&[(&set, "1")], &options);
        let plain = loader(&[(&set, "1")], &LoaderOptions { masking: None, ..options.clone() });
        let n = masked.n_samples().min(plain.n_samples()) as usize;
        let (batch, original) = (filled(&masked, 0, n), filled(&plain, 0, n));
        let (mut n_chosen, mut n_hidden, mut n_kept, mut n_other, mut n_plain) = (0, 0, 0, 0, 0);
        for (i, token) in original.tokens.iter().enumerate() {
            assert_eq!(batch.loss_mask[i] == 1, batch.targets[i] != IGNORED);
            n_plain += usize::from(!special.contains(*token));
            if batch.targets[i] == IGNORED {
                assert_eq!(batch.tokens[i], *token, "what is not chosen stays");
                continue;
            }
            assert_eq!(batch.targets[i], *token as i32, "the target is what stood there");
            assert!(!special.contains(*token));
            n_chosen += 1;
            match batch.tokens[i] {
                MASK => n_hidden += 1,
                t if t == *token => n_kept += 1,
                t => {
                    assert!(!special.contains(t), "no special token is drawn");
                    n_other += 1;
                }
            }
        }
        let near = |n: i32, of: f64, share: f64| {
            assert!((f64::from(n) / of - share).abs() < 4.0 * (share * (1.0 - share) / of).sqrt(), "{n} of {of}: {share}")
        };
        near(n_chosen, n_plain as f64, rate);
        [(n_hidden, 0.8), (n_other, 0.1), (n_kept, 0.1)].iter().for_each(|(n, share)| near(*n, f64::from(n_chosen), *share));
        // Sample by sample, in another order of work, the same masks.
        for i in (0..n).rev().step_by(97) {
            let alone = filled(&masked, i as u64, 1);
            assert_eq!((alone.tokens.as_slice(), alone.targets.as_slice()), batch.samples(i..i + 1));
        }
        // Another epoch hides other tokens of the same sample; another seed too.
        let again = filled(&masked, masked.n_samples(), 1);
        assert_ne!(again.targets, batch.samples(0..1).1);
        let reseeded = filled(&loader(&[(&set, "1")], &LoaderOptions { seed: 10, ..options }), 0, 1);
        assert_ne!(reseeded.targets, batch.samples(0..1).1);
    }
}

#[test]
fn whole_words_are_hidden_together() {
    let dir = tempfile::tempdir().expect("folder");
    let set = set(dir.path(), "a", &[100; 300], 9000);
    let special = TokenTable::new(VOCAB, |id| id == END);
    // Tokens count up within documents, so words are three tokens each.
    let starts = TokenTable::new(VOCAB, |id| id % 3 == 0);
    let masking =
        Masking { word_starts: Some(starts), keep_share: 0.0, random_share: 0.0, ..Masking::of_rate(0.25, 5, VOCAB, special.clone()) };
    let options = LoaderOptions { order: Order::Sequential, masking: Some(masking), ..LoaderOptions::of_context(60, 9) };
    let masked = loader(&[(&set, "1")], &options);
    let plain = loader(&[(&set, "1")], &LoaderOptions { masking: None, ..options });
    let n = plain.n_samples() as usize;
    let (batch, original) = (filled(&masked, 0, n), filled(&plain, 0, n));
    let (mut n_words, mut n_chosen) = (0, 0);
    for i in 1..batch.tokens.len() {
        let (before, token) = (original.tokens[i - 1], original.tokens[i]);
        if token % 3 == 0 {
            n_words += 1;
            n_chosen += usize::from(batch.loss_mask[i]);
        } else if i % 60 != 0 && before != END {
            assert_eq!(batch.loss_mask[i], batch.loss_mask[i - 1], "one word, one decision");
        }
        assert_eq!(batch.tokens[i] == 5, batch.loss_mask[i] == 1 || token == 5);
    }
    let share = n_chosen as f64 / n_words as f64;
    assert!((share - 0.25).abs() < 0.03, "{share}");
}

#[test]
fn a_reader_hands_its_error_over_and_readers_end_with_their_batches() {
    let dir = tempfile::tempdir().expect("folder");
    let set = set(dir.path(), "a", &[50; 10], 90);
    let options = LoaderOptions { order: Order::Sequential, ..LoaderOptions::of_context(10, 5) };
    let whole = Arc::new(loader(&[(&set, "1")], &options));
    let mut batch = Batch::default();
    for n_readers in [0, 1, 3] {
        let plan = BatchPlan { n_readers, end: Some(11), ..BatchPlan::of_batch(4) };
        let mut batches = whole.batches(0, plan).expect("start");
        let mut sizes = Vec::new();
        while batches.next(&mut batch).expect("batch") {
            sizes.push((batch.first, batch.n_samples));
        }
        assert_eq!((sizes.as_slice(), batches.position()), (&[(0, 4), (4, 4), (8, 3)][..], 11));
        drop(batches);
        // Stopped in the middle, with batches waiting: nothing hangs, and the loader is free again.
        let mut batches = whole.batches(0, BatchPlan { n_readers, n_ahead: 2, ..BatchPlan::of_batch(4) }).expect("start");
        batches.next(&mut batch).expect("batch");
        drop(batches);
        assert_eq!(Arc::strong_count(&whole), 1);
    }
    let path = set.folder().join("train-00004.bin");
    let mut bytes = fs::read(&path).expect("read");
    bytes[40..44].copy_from_slice(&(-1i32).to_le_bytes());
    fs::write(&path, bytes).expect("damage");
    let damaged = Arc::new(loader(&[(&set, "1")], &options));
    for n_readers in [0, 1, 3] {
        let mut batches = damaged.batches(0, BatchPlan { n_readers, ..BatchPlan::of_batch(4) }).expect("start");
        let error = std::iter::from_fn(|| Some(batches.next(&mut batch))).find_map(Result::err).expect("an error");
        assert_eq!(batches.position(), 20, "all that stands before it was handed out");
        assert!(error.to_string().contains("train-00004.bin` is broken: at byte 40: token 4294967295 is outside"), "{error}");
    }
}

#[test]
fn which_rows_a_place_saw_is_known_for_every_packing() {
    let dir = tempfile::tempdir().expect("folder");
    let (a, b) = (set(dir.path(), "a", &[7, 30, 3, 3, 9, 12], 40), set(dir.path(), "b", &[40, 2], 40));
    let (of_a, of_b) = (stream(&a), stream(&b));
    for packing in [Packing::Joined, Packing::Contiguous, BEST_FIT] {
        let loader = loader(&[(&a, "2"), (&b, "1")], &LoaderOptions { packing, ..LoaderOptions::of_context(6, 5) });
        let batch = filled(&loader, 0, 20);
        for (i, row) in loader.rows(0..20).expect("rows").iter().enumerate() {
            assert_eq!((row.position, row.part), (i as u64, "train"));
            let stream = if row.set.contains("/a") { &of_a } else { &of_b };
            let mut seen: Vec<u32> =
                row.documents.iter().flat_map(|d| stream[d.tokens.start as usize..d.tokens.end as usize].to_vec()).collect();
            seen.resize(6, loader.options().pad_id);
            assert_eq!(seen, batch.samples(i..i + 1).0);
            for document in &row.documents {
                assert!(document.shard.starts_with("train-") && document.document.start <= document.tokens.start);
                assert_eq!(stream[document.document.end as usize - 1], END);
            }
        }
    }
}

#[test]
fn a_set_of_a_hundred_billion_tokens_is_read_anywhere_without_being_looked_through() {
    let dir = tempfile::tempdir().expect("folder");
    let folder = polder_testkit::sparse_token_set(dir.path(), 50, 2_000_000_000, 2_000_000);
    // What lies between the ends of an index is damaged (it is empty), so whoever looked at every entry would refuse the set.
    let set = TokenSet::open(&folder).expect("open");
    let split = set.split("train").expect("split");
    assert_eq!((split.n_tokens(), split.n_documents()), (100_000_000_000, 100_000_000));
    let loader = loader(&[(&set, "1")], &LoaderOptions::of_context(2048, 1));
    assert_eq!(loader.n_samples(), 48_828_124);
    let batch = filled(&loader, 48_828_000, 8);
    assert!(batch.tokens.iter().all(|t| *t == 0) && batch.loss_mask.iter().all(|m| *m == 1));
    let mut epoch_end: Vec<u64> = (48_828_100..48_828_124).map(|p| loader.place(p).sample).collect();
    epoch_end.sort_unstable();
    epoch_end.dedup();
    assert_eq!(epoch_end.len(), 24);
    let index = crate::Index::open(&folder.join("train-00049.idx")).expect("open");
    let error = index.check_all().expect_err("what lies between").to_string();
    assert!(error.contains("train-00049.idx` is broken: at byte 24000026: sequence 1999999"), "{error}");
}
