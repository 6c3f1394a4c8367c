//! Overlaps beside the slow way of finding them, and what is cut out.

use proptest::prelude::*;

use super::*;

const QUESTION: &str =
    "A train leaves the harbour town at nine in the morning and reaches the capital, 240 km away, at noon. How fast was it?";

/// The slow truth: every pair of places where `n` words agree, joined along diagonals.
fn naive(items: &[&str], text: &str, ngram: usize) -> Vec<(usize, usize, usize, usize)> {
    let split = |t: &str| words(t).map(|w| t[w.start..w.end].to_lowercase()).collect::<Vec<String>>();
    let document = split(text);
    let mut found = Vec::new();
    for (item, words) in items.iter().map(|i| split(i)).enumerate() {
        let n = ngram.min(words.len());
        if n < ITEM_WORDS_MIN {
            continue;
        }
        let same = |i: usize, j: usize| words.get(i).is_some_and(|a| document.get(j) == Some(a));
        for i in 0..words.len() {
            for j in 0..document.len() {
                let begins = i == 0 || j == 0 || !same(i - 1, j - 1);
                let length = (0..).take_while(|k| same(i + k, j + k)).count();
                if begins && length >= n {
                    found.push((item, i, j, length));
                }
            }
        }
    }
    found.sort_by_key(|(item, i, j, n)| (*j, j + n, *item, *i));
    found
}

fn index(items: &[&str], ngram: usize) -> BenchmarkIndex {
    let mut index = BenchmarkIndex::new(ngram);
    items.iter().for_each(|i| {
        index.add(i);
    });
    index
}

#[test]
fn a_question_in_a_document_is_found_whatever_its_layout_with_both_places() {
    let document = format!("Exercises\n\n{}\n— end —", QUESTION.to_uppercase().replace(' ', "\n  "));
    let found = index(&["nothing like it", QUESTION], CONTAMINATION_NGRAM).overlaps(&document);
    assert_eq!(found.len(), 1, "{found:?}");
    let characters = |t: &str, a: usize, b: usize| t.chars().skip(a).take(b - a).collect::<String>();
    assert_eq!(found[0].item, 1);
    assert_eq!(characters(QUESTION, found[0].item_start, found[0].item_end), QUESTION.trim_end_matches('?'));
    assert!(characters(&document, found[0].start, found[0].end).starts_with("A\n  TRAIN"));
    assert_eq!(found[0].n_words, words(QUESTION).count());
}

#[test]
fn twelve_words_of_thirteen_are_no_match_and_a_short_item_counts_whole() {
    let short = "The quick brown fox jumps over the lazy dog";
    let index = index(&[QUESTION, short, "Yes or no?"], CONTAMINATION_NGRAM);
    let twelve: Vec<&str> = QUESTION.split(' ').take(12).collect();
    assert_eq!(index.overlaps(&twelve.join(" ")), []);
    assert_eq!(index.overlaps("They say: the quick brown fox jumps over the lazy dog.").len(), 1);
    assert_eq!(index.overlaps("the quick brown fox jumps over the lazy cat. Yes or no?"), []);
    assert!(index.is_searchable(1) && !index.is_searchable(2));
}

#[test]
fn wording_that_every_item_has_counts_for_none() {
    let preamble = "Answer the following question with one of the four letters that stand below it";
    let items: Vec<String> = (0..40).map(|i| format!("{preamble}. Which of the numbers is number {i} of the list?")).collect();
    let items: Vec<&str> = items.iter().map(String::as_str).collect();
    let index = index(&items, CONTAMINATION_NGRAM);
    assert_eq!(index.overlaps(preamble), []);
    assert_eq!(index.overlaps(items[7]).len(), 1);
}

#[test]
fn spans_are_cut_with_their_surroundings_and_scraps_go() {
    assert_eq!(without_spans("one two three four", &[], 5, 100), "one two three four");
    assert_eq!(without_spans("one two three four", &[(4, 7)], 0, 0), "one\nthree four");
    assert_eq!(without_spans("one two three four", &[(4, 7), (5, 9)], 0, 5), "hree four");
    assert_eq!(without_spans("äöü ßßß äöü", &[(4, 7)], 1, 0), "äöü\näöü");
    assert_eq!(without_spans("abc", &[(9, 2)], 3, 0), "abc");
    assert_eq!(without_spans("", &[(0, 4)], 3, 0), "");
}

proptest! {
    #[test]
    fn overlaps_are_those_of_the_slow_way(
        items in prop::collection::vec(prop::collection::vec(0u8..4, 0..24), 0..4),
        document in prop::collection::vec(0u8..4, 0..60),
        ngram in 8usize..14,
    ) {
        let text = |letters: &[u8]| letters.iter().map(|l| ["Alpha", "beta", "ger", "δ"][*l as usize]).collect::<Vec<_>>().join(" ");
        let items: Vec<String> = items.iter().map(|i| text(i)).collect();
        let items: Vec<&str> = items.iter().map(String::as_str).collect();
        let document = text(&document);
        // One place an item and run is kept, so an item that repeats itself is left to the one-sided check below.
        let repeats = items.iter().any(|i| {
            let all: Vec<Word> = words(i).collect();
            let mut seen = std::collections::HashSet::new();
            let mut twice = false;
            each_gram(&all, ngram.min(all.len()).max(1), |_, h| twice |= !seen.insert(h));
            twice
        });
        let found = index(&items, ngram).overlaps(&document);
        let truth = naive(&items, &document, ngram);
        if repeats {
            prop_assert_eq!(found.is_empty(), truth.is_empty());
        } else {
            let found: Vec<(usize, usize)> = found.iter().map(|o| (o.item, o.n_words)).collect();
            let truth: Vec<(usize, usize)> = truth.iter().map(|t| (t.0, t.3)).collect();
            prop_assert_eq!(found, truth);
        }
    }

    #[test]
    fn any_strings_have_an_answer(items in prop::collection::vec(any::<String>(), 0..4), text in any::<String>(), a in 0usize..50, b in 0usize..50) {
        let items: Vec<&str> = items.iter().map(String::as_str).collect();
        let _ = index(&items, 8).overlaps(&text);
        let n = text.chars().count();
        prop_assert!(without_spans(&text, &[(a, b), (b, a)], 2, 3).chars().count() <= n + 2);
    }
}
