//! Steps that follow each other, and those that go through the expression engine.

use std::sync::LazyLock;

use super::{Behavior, Pattern, Splitter};
use crate::formats::byte_to_char;

/// What counts as punctuation: general category P, and the ASCII symbols that are called so.
pub(super) const PUNCTUATION: &str = r"[!-/:-@\[-`{-~\p{P}]";

/// The pieces of a text as (from, to) in bytes.
pub(super) fn boundaries(splitter: &Splitter, text: &str) -> Vec<(usize, usize)> {
    let mut pieces = if text.is_empty() { Vec::new() } else { vec![(0, text.len())] };
    let mut mapped = false;
    cut(splitter, text, &mut pieces, &mut mapped);
    pieces
}

fn cut(splitter: &Splitter, text: &str, pieces: &mut Vec<(usize, usize)>, mapped: &mut bool) {
    match splitter {
        Splitter::Sequence(steps) => steps.iter().for_each(|step| cut(step, text, pieces, mapped)),
        Splitter::ByteLevel { use_regex } => {
            if *use_regex {
                cut(&Splitter::Gpt2, text, pieces, mapped);
            }
            *mapped = true;
        }
        leaf => {
            let mut out = Vec::with_capacity(pieces.len());
            for (from, to) in pieces.drain(..) {
                if *mapped {
                    cut_mapped(leaf, &text.as_bytes()[from..to], from, &mut out);
                } else {
                    out.extend(leaf_boundaries(leaf, &text[from..to]).into_iter().map(|(a, b)| (from + a, from + b)));
                }
            }
            *pieces = out;
        }
    }
}

/// Cuts bytes where the step cuts the characters that stand for them.
fn cut_mapped(leaf: &Splitter, bytes: &[u8], from: usize, out: &mut Vec<(usize, usize)>) {
    let text: String = bytes.iter().map(|b| byte_to_char(*b)).collect();
    let mut n_before = 0;
    let mut at = 0;
    for (a, b) in leaf_boundaries(leaf, &text) {
        n_before += text[at..a].chars().count();
        let n = text[a..b].chars().count();
        out.push((from + n_before, from + n_before + n));
        n_before += n;
        at = b;
    }
}

fn leaf_boundaries(leaf: &Splitter, text: &str) -> Vec<(usize, usize)> {
    /// An expression that parses, once for each behaviour.
    type Compiled = LazyLock<[Option<Pattern>; 5]>;
    static DIGITS: Compiled = LazyLock::new(|| compiled(r"\p{N}"));
    static PUNCTUATIONS: Compiled = LazyLock::new(|| compiled(PUNCTUATION));
    let by =
        |patterns: &[Option<Pattern>; 5], behavior| patterns[behavior as usize].as_ref().map(|p| p.boundaries(text)).unwrap_or_default();
    match leaf {
        Splitter::Pattern(pattern) => pattern.boundaries(text),
        Splitter::Digits { individual: true } => by(&DIGITS, Behavior::Isolated),
        Splitter::Digits { individual: false } => by(&DIGITS, Behavior::Contiguous),
        Splitter::Punctuation(behavior) => by(&PUNCTUATIONS, *behavior),
        by_hand => {
            let mut out = Vec::new();
            by_hand.split_ranges(text, &mut |from, to| out.push((from, to)));
            out
        }
    }
}

fn compiled(expression: &str) -> [Option<Pattern>; 5] {
    use Behavior::{Contiguous, Isolated, MergedWithNext, MergedWithPrevious, Removed};
    [Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous].map(|behavior| Pattern::try_new(expression, behavior, false).ok())
}
