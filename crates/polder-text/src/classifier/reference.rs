//! What features and scores are, said plainly: n-grams as strings, counted in a map, weights in a map, sums in f64.

use std::collections::BTreeMap;

use super::features::{hash_of_characters, hash_of_tokens};
use super::{Classifier, Counting, Features, Tokens};
use crate::characters::{is_letter, stands_alone};

/// The text's characters as n-grams see them: folded, with one blank for each run, and one at both ends.
fn characters(features: &Features, text: &str) -> String {
    let mut out = String::from(" ");
    for c in text.chars() {
        if is_blank(features, c) {
            let line_end = features.tokens == Tokens::Code && c == '\n';
            if !out.ends_with([' ', '\n']) {
                out.push(if line_end { '\n' } else { ' ' });
            } else if line_end {
                out.pop();
                out.push('\n');
            }
        } else {
            out.push(fold(features, c));
        }
    }
    if !out.ends_with([' ', '\n']) {
        out.push(' ');
    }
    out
}

fn is_blank(features: &Features, c: char) -> bool {
    c.is_whitespace() || c.is_control() || (features.tokens == Tokens::Letters && !is_letter(c))
}

fn fold(features: &Features, c: char) -> char {
    match c {
        c if features.fold_digits && c.is_numeric() && !stands_alone(c) => '0',
        c if features.fold_case => c.to_lowercase().next().unwrap_or(c),
        c => c,
    }
}

fn tokens(features: &Features, text: &str) -> Vec<String> {
    let joins = |c: char| !stands_alone(c) && (is_letter(c) || c.is_numeric() || (features.tokens == Tokens::Code && c == '_'));
    let mut out: Vec<String> = Vec::new();
    let mut joined = false;
    for c in text.chars() {
        let folded = fold(features, c);
        if is_blank(features, c) {
            joined = false;
            if c == '\n' && features.tokens == Tokens::Code {
                out.push("\n".to_owned());
            }
        } else if joins(c) && joined {
            if let Some(last) = out.last_mut() {
                last.push(folded);
            }
        } else {
            out.push(folded.to_string());
            joined = joins(c);
        }
    }
    out
}

/// Every n-gram's hash, with how often it occurs.
pub(super) fn ngrams(features: &Features, text: &str) -> BTreeMap<u32, usize> {
    let mut counts = BTreeMap::new();
    let characters: Vec<char> = characters(features, text).chars().collect();
    let (shortest, longest) = features.char_ngrams;
    for n in shortest.max(1)..=longest {
        for ngram in characters.windows(n) {
            let inner_blank = ngram.len() > 2 && ngram[1..n - 1].iter().any(|c| [' ', '\n'].contains(c));
            let only_blanks = ngram.iter().all(|c| [' ', '\n'].contains(c));
            if !only_blanks && (features.across_blanks || !inner_blank) {
                *counts.entry(hash_of_characters(ngram)).or_default() += 1;
            }
        }
    }
    let tokens = tokens(features, text);
    let (shortest, longest) = features.word_ngrams;
    for n in shortest.max(1)..=longest {
        for ngram in tokens.windows(n) {
            *counts.entry(hash_of_tokens(ngram)).or_default() += 1;
        }
    }
    counts
}

/// The probability of each label.
pub(super) fn scores(classifier: &Classifier, text: &str) -> Vec<f64> {
    let weights = &classifier.weights;
    let mut scores: Vec<f64> = classifier.bias.iter().map(|b| f64::from(*b)).collect();
    let plain = classifier.features.counting == Counting::Plain;
    let known: Vec<(usize, f64)> = ngrams(&classifier.features, text)
        .into_iter()
        .filter_map(|(hash, n)| Some((weights.hashes.binary_search(&hash).ok()?, n)))
        .map(|(feature, n)| (feature, if plain { n as f64 } else { 1.0 + (n.min(255) as f64).ln() }))
        .collect();
    let length = known.iter().map(|(_, value)| if plain { *value } else { value * value }).sum::<f64>().sqrt();
    let n_known = if plain { known.iter().map(|(_, n)| n).sum() } else { known.len() as f64 };
    for (feature, value) in &known {
        for pair in weights.starts[*feature] as usize..weights.starts[feature + 1] as usize {
            let part = f64::from(weights.stored[pair]) / 127.0;
            scores[usize::from(weights.labels[pair])] += value / length * part * part.abs() * f64::from(classifier.range);
        }
    }
    let stretch = f64::from(classifier.calibration.stretch) * n_known.max(1.0).powf(f64::from(classifier.calibration.power));
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exponentials: Vec<f64> = scores.iter().map(|s| ((s - most) * stretch).exp()).collect();
    let sum: f64 = exponentials.iter().sum();
    exponentials.into_iter().map(|e| e / sum).collect()
}
