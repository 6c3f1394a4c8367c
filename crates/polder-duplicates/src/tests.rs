//! The engine against a plain comparison of all pairs, and what must make no difference.

use std::collections::{BTreeMap, BTreeSet};

use polder_text::{N_PERMUTATIONS, NGRAM, jaccard, minhash, normalized, shingles, short_hashes, words};
use proptest::prelude::*;

use crate::{Document, DuplicatesError, Matcher, NearDuplicates, NearOptions, banding};

/// A row of the result that owns its ids: doc_id, dup_of, cluster_id, jaccard, match_id, match_jaccard.
type Row = (String, String, String, f64, String, f64);

fn found(documents: &[(String, String)], options: &NearOptions, n_readers: usize) -> Vec<Row> {
    let preferred: Vec<_> = documents.iter().map(|(id, text)| (id.clone(), text.clone(), Vec::new())).collect();
    found_with(&preferred, options, n_readers).unwrap()
}

fn found_with(documents: &[(String, String, Vec<u8>)], options: &NearOptions, n_readers: usize) -> Result<Vec<Row>, DuplicatesError> {
    let search = NearDuplicates::new(options.clone())?;
    let mut readers: Vec<_> = (0..n_readers).map(|_| search.reader()).collect();
    for (i, (id, text, preference)) in documents.iter().enumerate() {
        readers[i % n_readers].add(&Document { id, text, preference })?;
    }
    readers.into_iter().try_for_each(crate::Reader::finish)?;
    let found = search.finish()?;
    assert_eq!(found.n_documents(), documents.len());
    let row = |i| {
        let r = found.row(i)?;
        let own = str::to_owned;
        Ok((own(r.doc_id), own(r.dup_of), own(r.cluster_id), r.jaccard, own(r.match_id), r.match_jaccard))
    };
    (0..found.len()).map(row).collect()
}

/// The slow truth: every pair, in order of id; clusters by repeated passes.
fn truth(documents: &[(String, String)], jaccard_min: f64) -> Vec<Row> {
    let documents: BTreeMap<&str, &str> = documents.iter().map(|(id, text)| (id.as_str(), text.as_str())).collect();
    let is_short = |text: &str| words(text).count() < NGRAM;
    let similarity = |a: &str, b: &str| match (is_short(documents[a]), is_short(documents[b])) {
        (false, false) => jaccard(documents[a], documents[b], NGRAM).unwrap(),
        (true, true) => f64::from(normalized(documents[a]) == normalized(documents[b]) && !normalized(documents[a]).is_empty()),
        _ => 0.0,
    };
    let mut roots: BTreeMap<&str, &str> = documents.keys().map(|id| (*id, *id)).collect();
    let mut is_changing = true;
    while is_changing {
        is_changing = false;
        for (a, b) in documents.keys().flat_map(|a| documents.keys().map(move |b| (*a, *b))) {
            if roots[a] < roots[b] && similarity(a, b) >= jaccard_min {
                roots.insert(b, roots[a]);
                is_changing = true;
            }
        }
    }
    let mut rows = Vec::new();
    for (id, root) in roots.iter().filter(|(id, root)| id != root) {
        let others = documents.keys().filter(|other| *other != id).map(|other| (similarity(id, other), *other));
        let (match_jaccard, match_id) = others.rev().max_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
        let own = |text: &str| text.to_owned();
        rows.push((own(id), own(root), own(root), similarity(id, root), own(match_id), match_jaccard));
    }
    rows
}

/// Families of texts: each member changes some words of the first; some texts are short, empty or without words.
fn families(seed: u64, n: usize) -> Vec<(String, String)> {
    let draw = |a: usize, b: usize| {
        let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (a as u64) << 32 ^ b as u64;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) as usize
    };
    let special = ["", " \n ", "--- ...", "hello world", "Hello, world!", "hello  world", "one two three four five"];
    let text = |i: usize| {
        if draw(i, 0) % 6 == 0 {
            return special[draw(i, 1) % special.len()].to_owned();
        }
        let family = draw(i, 2) % (n / 4 + 1);
        let n_words = 20 + draw(family, 3) % 200;
        let word = |k: usize| {
            let is_changed = draw(i, 1000 + k) % 100 < draw(i, 4) % 8;
            format!("w{} ", draw(if is_changed { 1000 + i } else { family }, 5000 + k) % 5000)
        };
        (0..n_words).map(word).collect()
    };
    (0..n).map(|i| (format!("d{:05}", draw(i, 6) % 100_000 * 1000 + i), text(i))).collect()
}

#[test]
fn the_engine_finds_what_a_comparison_of_all_pairs_finds() {
    // At 0.8 two pairs of 10,000 share no band; these documents have none of them.
    let options = NearOptions { jaccard_min: 0.8, ..NearOptions::default() };
    let mut n_rows = 0;
    for seed in 0..6 {
        let documents = families(seed, 120);
        let rows = found(&documents, &options, 1);
        n_rows += rows.len();
        assert_eq!(rows, truth(&documents, 0.8), "seed {seed}");
    }
    assert!(n_rows > 100, "{n_rows}");
}

#[test]
fn bands_find_pairs_of_any_similarity_that_is_asked_for() {
    assert_eq!(banding(0.7), (polder_text::BANDS, polder_text::ROWS));
    for tenth in 1..=10 {
        let jaccard = f64::from(tenth) / 10.0;
        let (bands, rows) = banding(jaccard);
        assert!(bands * rows <= 256 && polder_text::s_curve(jaccard, bands, rows) >= 0.95, "{jaccard}: {bands} × {rows}");
    }
}

#[test]
fn order_of_arrival_readers_threads_and_memory_make_no_difference() {
    let documents = families(7, 3000);
    let options = NearOptions::default();
    let first = found(&documents, &options, 1);
    assert!(first.len() > 1000);
    let mut reversed = documents.clone();
    reversed.reverse();
    let small = NearOptions { memory_bytes_max: 0, ..NearOptions::default() };
    for n_threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| {
            assert!(found(&documents, &small, 5) == first, "{n_threads}");
            assert!(found(&reversed, &options, 2) == first, "{n_threads}");
        });
    }
}

#[test]
fn what_does_not_fit_into_memory_is_spilled_and_what_fits_is_not() {
    let documents = families(3, 500);
    for (memory_bytes_max, is_spilling) in [(0, true), (100_000, true), (256 << 20, false)] {
        let search = NearDuplicates::new(NearOptions { memory_bytes_max, ..NearOptions::default() }).unwrap();
        let mut reader = search.reader();
        documents.iter().try_for_each(|(id, text)| reader.add(&Document { id, text, preference: b"" })).unwrap();
        reader.finish().unwrap();
        assert_eq!(search.finish().unwrap().spilled_bytes() > 0, is_spilling, "{memory_bytes_max}");
    }
}

#[test]
fn empty_and_short_documents_are_equal_only_where_their_normalised_texts_are() {
    let texts = ["", "", " ", "...", "...", "!!!", "hello world", "hello   world", "Hello, world!", "hello you", "one two three four"];
    let documents: Vec<_> = texts.iter().enumerate().map(|(i, text)| (format!("{i:02}"), (*text).to_owned())).collect();
    let pairs: Vec<_> = found(&documents, &NearOptions::default(), 1).into_iter().map(|r| (r.0, r.1, r.3)).collect();
    assert_eq!(pairs, [("04".to_owned(), "03".to_owned(), 1.0), ("07".to_owned(), "06".to_owned(), 1.0)]);
}

#[test]
fn a_bucket_of_thousands_of_documents_is_one_cluster() {
    // Each differs from all others in its last word, so all share most bands and no two are equal.
    let body: String = (0..100).map(|i| format!("word{i} ")).collect();
    let documents: Vec<_> = (0..20_000).map(|i| (format!("{i:05}"), format!("{body}last{i}"))).collect();
    let rows = found(&documents, &NearOptions::default(), 3);
    assert_eq!(rows.len(), 19_999);
    assert!(rows.iter().all(|r| r.1 == "00000" && r.2 == "00000" && r.3 == 96.0 / 98.0));
}

#[test]
fn a_chain_says_how_little_its_end_resembles_the_keeper() {
    let text = |from: usize| (from..from + 104).map(|i| format!("w{i} ")).collect::<String>();
    let documents = [("a".to_owned(), text(0)), ("b".to_owned(), text(12)), ("c".to_owned(), text(24))];
    let rows = found(&documents, &NearOptions { jaccard_min: 0.75, ..NearOptions::default() }, 1);
    let own = str::to_owned;
    let (near, far) = (88.0 / 112.0, 76.0 / 124.0);
    assert_eq!(rows, [(own("b"), own("a"), own("a"), near, own("a"), near), (own("c"), own("a"), own("a"), far, own("b"), near)]);
}

#[test]
fn the_preferred_document_of_a_cluster_is_kept_and_the_cluster_keeps_its_name() {
    let body: String = (0..50).map(|i| format!("word{i} ")).collect();
    let document = |id: &str, text: &str, preference: &[u8]| (id.to_owned(), text.to_owned(), preference.to_vec());
    let documents = [document("a", &body, b"2"), document("b", &body.to_uppercase(), b"1"), document("c", &format!("{body} end"), b"1")];
    let rows = found_with(&documents, &NearOptions::default(), 2).unwrap();
    let told: Vec<_> = rows.iter().map(|r| (r.0.as_str(), r.1.as_str(), r.2.as_str(), r.4.as_str())).collect();
    assert_eq!(told, [("a", "b", "a", "b"), ("c", "b", "a", "a")]);
}

#[test]
fn an_id_that_stands_twice_and_options_that_mean_nothing_are_refused() {
    let twice = [("a".to_owned(), "x".to_owned(), Vec::new()), ("a".to_owned(), "y".to_owned(), Vec::new())];
    assert_eq!(
        found_with(&twice, &NearOptions::default(), 1).unwrap_err().to_string(),
        "the id `a` stands twice; ids tell documents apart"
    );
    let default = NearOptions::default;
    for options in [
        NearOptions { jaccard_min: 0.0, ..default() },
        NearOptions { jaccard_min: f64::NAN, ..default() },
        NearOptions { bands: 0, ..default() },
        NearOptions { rows: usize::MAX, ..default() },
        NearOptions { ngram: 0, ..default() },
    ] {
        assert!(matches!(NearDuplicates::new(options.clone()), Err(DuplicatesError::Option { .. })), "{options:?}");
    }
    let nowhere = NearOptions { memory_bytes_max: 0, spill_folder: "/nowhere/at/all".into(), ..default() };
    let one = [("a".to_owned(), "one two three four five".to_owned(), Vec::new())];
    assert!(matches!(found_with(&one, &nowhere, 1), Err(DuplicatesError::Spill { .. })));
    assert!(found(&[], &default(), 1).is_empty());
}

#[test]
fn new_documents_are_matched_by_signatures_as_by_texts() {
    let all = families(11, 400);
    let (earlier, new) = all.split_at(250);
    for memory_bytes_max in [0, 1 << 20] {
        let arrivals = Matcher::arrivals(NearOptions { memory_bytes_max, jaccard_min: 0.8, ..NearOptions::default() }).unwrap();
        let mut reader = arrivals.reader();
        new.iter().try_for_each(|(id, text)| reader.add(&Document { id, text, preference: b"" })).unwrap();
        reader.finish().unwrap();
        let matcher = arrivals.finish().unwrap();
        for (id, text) in earlier.iter().rev() {
            let Some(signature) = minhash(text, N_PERMUTATIONS, NGRAM).unwrap() else { continue };
            if words(text).count() >= NGRAM {
                matcher.compare(id, &signature, &short_hashes(&shingles(text, NGRAM))).unwrap();
            }
        }
        let matches: BTreeMap<_, _> = matcher.matches().into_iter().map(|m| (m.doc_id, (m.dup_of, m.jaccard))).collect();
        let is_long = |text: &str| words(text).count() >= NGRAM;
        let mut expected = BTreeMap::new();
        for (id, text) in new.iter().filter(|(_, text)| is_long(text)) {
            let mut best: Vec<_> = earlier
                .iter()
                .filter(|e| is_long(&e.1))
                .map(|(other, of_other)| (jaccard(text, of_other, NGRAM).unwrap(), other))
                .collect();
            best.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
            if best[0].0 >= 0.8 {
                expected.insert(id.clone(), (best[0].1.clone(), best[0].0));
            }
        }
        assert!(expected.len() > 20);
        assert_eq!(matches, expected);
    }
}

proptest! {
    #[test]
    fn any_texts_give_rows_that_name_documents_and_verified_pairs(texts in proptest::collection::vec("(a|b|ü|東|[\\PC]){0,12}( [ab]){0,9}", 0..40)) {
        let documents: Vec<_> = texts.iter().enumerate().map(|(i, text)| (format!("{i:02}"), text.clone())).collect();
        let rows = found(&documents, &NearOptions::default(), 2);
        let ids: BTreeSet<_> = documents.iter().map(|d| d.0.as_str()).collect();
        for r in &rows {
            prop_assert!(ids.contains(r.1.as_str()) && ids.contains(r.4.as_str()) && r.0 > r.1 && r.5 >= 0.7 && r.0 != r.4);
        }
        prop_assert_eq!(rows, found(&documents.into_iter().rev().collect::<Vec<_>>(), &NearOptions::default(), 1));
    }
}
