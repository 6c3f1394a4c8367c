//! Signatures agree as often as the texts do.

use crate::{
    BANDS, MinhashError, N_PERMUTATIONS, NGRAM, ROWS, jaccard, jaccard_estimate, jaccard_of_sets, minhash, minhash_bands, s_curve,
    set_digest, shingles,
};

fn signature(text: &str) -> Option<Vec<u64>> {
    minhash(text, N_PERMUTATIONS, NGRAM).unwrap()
}

fn numbered(from: usize, to: usize) -> String {
    (from..to).map(|i| format!("w{i} ")).collect()
}

#[test]
fn empty_text_has_no_signature_and_short_text_is_one_shingle() {
    assert_eq!(signature(""), None);
    assert_eq!(signature(" -- {} "), None);
    assert_eq!(shingles("one two", NGRAM).len(), 1);
    assert_eq!(signature("one two"), signature("One, TWO!"));
    let (a, b) = (signature("one two").unwrap(), signature("one three").unwrap());
    assert_eq!(jaccard_estimate(&a, &b), Ok(0.0));
    assert_eq!(jaccard("", "", NGRAM), None);
    assert_eq!(jaccard("", "one", NGRAM), Some(0.0));
    assert_eq!(jaccard("one two", "one two", NGRAM), Some(1.0));
}

#[test]
fn letter_case_spacing_and_composition_make_no_difference() {
    assert_eq!(signature("Die Größe der Bäume am Ufer"), signature("die  GRÖßE der Ba\u{308}ume\nam Ufer."));
}

#[test]
fn signatures_never_change_between_versions() {
    let bands = minhash_bands(&signature("the polder lies below the level of the sea").unwrap(), BANDS, ROWS).unwrap();
    assert_eq!(bands.len(), BANDS);
    assert_eq!(bands[0], PINNED_FIRST_BAND);
}

const PINNED_FIRST_BAND: u64 = 6769542700132817696;

#[test]
fn estimates_are_unbiased_for_short_and_long_texts() {
    // Sets of n shingles of which a known part is shared, many times over.
    for n in [8, 40, 200, 2000] {
        let (mut estimated, mut exact, rounds) = (0.0, 0.0, 60);
        for round in 0..rounds {
            let from = round * 10_000;
            let a = numbered(from, from + n + 4);
            let b = numbered(from + n / 5, from + n + 4 + n / 5);
            exact += jaccard(&a, &b, NGRAM).unwrap();
            estimated += jaccard_estimate(&signature(&a).unwrap(), &signature(&b).unwrap()).unwrap();
        }
        let difference = (estimated - exact).abs() / f64::from(rounds as u32);
        assert!(difference < 0.02, "n {n}: {difference}");
    }
}

#[test]
fn bands_meet_as_often_as_the_s_curve_says() {
    // J = 300/700, 350/650 and 400/600.
    for (shift, jaccard) in [(200, 3.0 / 7.0), (150, 3.5 / 6.5), (100, 4.0 / 6.0)] {
        let expected = s_curve(jaccard, BANDS, ROWS);
        let n = 500;
        let mut met = 0;
        for round in 0..150 {
            let from = round * 10_000;
            let bands = |a: usize, b: usize| minhash_bands(&signature(&numbered(a, b)).unwrap(), BANDS, ROWS).unwrap();
            let (a, b) = (bands(from, from + n + 4), bands(from + shift, from + n + 4 + shift));
            met += usize::from(a.iter().zip(&b).any(|(x, y)| x == y));
        }
        let share = met as f64 / 150.0;
        assert!((share - expected).abs() < 0.14, "shift {shift}: {share}, the curve says {expected}");
    }
}

#[test]
fn the_s_curve_has_the_known_values() {
    // Worked out by hand in the literature on banding.
    for (jaccard, bands, rows, expected) in [(0.7, 14, 8, 0.5645), (0.8, 20, 13, 0.6773), (0.5, 20, 5, 0.4701), (0.9, 26, 11, 0.9999)] {
        assert!((s_curve(jaccard, bands, rows) - expected).abs() < 1e-4, "{jaccard} {bands} {rows}");
    }
    assert!(s_curve(0.7, BANDS, ROWS) > 0.98 && s_curve(0.8, BANDS, ROWS) > 0.999);
    assert_eq!((s_curve(0.0, BANDS, ROWS), s_curve(1.0, BANDS, ROWS)), (0.0, 1.0));
}

#[test]
fn jaccard_with_a_least_value_answers_as_without_and_stops_early() {
    let slow = |a: &[u64], b: &[u64]| {
        let shared = a.iter().filter(|x| b.contains(x)).count();
        shared as f64 / (a.len() + b.len() - shared) as f64
    };
    let sets: Vec<Vec<u64>> = (0..40).map(|k| (0..60u64).filter(|x| crate::words::mix(x * 41 + k) % 8 < 1 + k / 6).collect()).collect();
    for (a, b) in sets.iter().flat_map(|a| sets.iter().map(move |b| (a, b))).filter(|(a, b)| !(a.is_empty() && b.is_empty())) {
        let truth = slow(a, b);
        for least in [0.0, 0.2, 0.5, truth, 0.8, 1.0] {
            assert_eq!(jaccard_of_sets(a, b, least), Some(truth).filter(|j| *j >= least), "{a:?} {b:?} {least}");
        }
    }
    assert_eq!(jaccard_of_sets::<u64>(&[], &[], 0.0), None);
    assert_eq!(jaccard_of_sets(&[], &[1], 0.0), Some(0.0));
}

#[test]
fn set_digests_tell_sets_apart() {
    let digests: std::collections::BTreeSet<u128> = (0..1000u64).map(|n| set_digest(&(0..n).collect::<Vec<_>>())).collect();
    assert_eq!(digests.len(), 1000);
}

#[test]
fn the_sketch_equals_its_plain_definition() {
    // The slow truth: for each slot the smallest of all values that any round puts there, first rounds first.
    let text = numbered(0, 30);
    let set = shingles(&text, NGRAM);
    let fast = minhash(&text, 16, NGRAM).unwrap().unwrap();
    let mut slow = vec![u64::MAX; 16];
    for round in 0..32u64 {
        for s in &set {
            let hash = crate::words::mix(s ^ (round + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let slot = if round < 16 { ((u128::from(hash >> 32) * 16) >> 32) as usize } else { (round - 16) as usize };
            slow[slot] = slow[slot].min((round << 48) | (hash & 0xffff_ffff_ffff));
        }
    }
    assert_eq!(fast, slow);
}

#[test]
fn wrong_parameters_are_refused() {
    assert_eq!(minhash("a", 0, NGRAM), Err(MinhashError::Slots(0)));
    assert_eq!(minhash("a", 5000, NGRAM), Err(MinhashError::Slots(5000)));
    assert_eq!(minhash_bands(&[1, 2, 3], 2, 2), Err(MinhashError::Shape { bands: 2, rows: 2, found: 3 }));
    assert_eq!(minhash_bands(&[], 0, 0), Err(MinhashError::Shape { bands: 0, rows: 0, found: 0 }));
    assert_eq!(jaccard_estimate(&[1], &[1, 2]), Err(MinhashError::Lengths(1, 2)));
}
