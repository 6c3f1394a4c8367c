//! Gopher's repetition rules: repeated lines, paragraphs and n-grams, and the share of the text that they take.

use unicode_segmentation::UnicodeSegmentation;

use super::characters::{Characters, LETTER, NUMERIC};
use super::lines::Repeated;
use super::ngrams::Ngrams;
use super::spans::{Span, share, strip};
use super::{Analysis, Dialect, DialectError, first_broken};

/// The dialects of [`gopher_repetition`]; the first is the default.
pub const REPETITION_DIALECTS: [Dialect; 4] = [Dialect::Datatrove, Dialect::Dolma, Dialect::Dclm, Dialect::Curator];

/// The verdict on the repetition in a text and the figures behind it: shares of lines, of paragraphs, of characters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GopherRepetition {
    /// Whether all limits hold.
    pub keep: bool,
    /// The first limit that doesn't, by the tool's name.
    pub reason: Option<&'static str>,
    /// Share of lines that stand more than once.
    pub duplicate_lines_share: f64,
    /// Share of paragraphs that stand more than once; Dolma counts none.
    pub duplicate_paragraphs_share: f64,
    /// Share of characters in such lines.
    pub duplicate_line_chars_share: f64,
    /// Share of characters in such paragraphs; Dolma counts none.
    pub duplicate_paragraph_chars_share: f64,
    /// Share of characters in the most frequent n-gram, for n = 2, 3, 4.
    pub top_ngram_share: [f64; 3],
    /// Share of characters in n-grams that stand more than once, for n = 5 to 10.
    pub duplicate_ngram_share: [f64; 6],
}

const TOP_LIMITS: [f64; 3] = [0.2, 0.18, 0.16];
const DUPLICATE_LIMITS: [f64; 6] = [0.15, 0.14, 0.13, 0.12, 0.11, 0.10];

/// Judges a text by Gopher's repetition rules.
///
/// Limits of all dialects: repeated lines and paragraphs at most 0.3 of all, with at most 0.2 of the characters (Dolma: 0.3); the most
/// frequent 2-, 3- and 4-gram at most 0.2, 0.18 and 0.16; repeated 5- to 10-grams at most 0.15, 0.14, 0.13, 0.12, 0.11 and 0.10.
/// The first occurrence of what stands twice counts for Dolma and DCLM, not for datatrove and Curator.
/// Dolma's own configuration misspells three attributes, so that its limits on the most frequent n-grams never apply; here they do.
/// Where Curator takes any of several most frequent n-grams, here it is the first in the text.
/// The empty text is not kept (`empty`).
///
/// # Errors
/// The dialect isn't one of [`REPETITION_DIALECTS`].
///
/// # Source
/// Rae et al.: Scaling Language Models (2021), table A1. datatrove 0.10.1 `gopher_repetition_filter.py`; Dolma 1.2.1 `taggers/gopher.py` with
/// `configs/dolma-v1_6/mixing/cc-head.yaml`; DCLM `filters/content_filters.py`; NeMo Curator 1.4.0 `heuristic/repetition/repetition.py` with
/// `config/heuristic_filter_en.yaml`.
pub fn gopher_repetition(text: &str, dialect: Dialect) -> Result<GopherRepetition, DialectError> {
    let analysis = Analysis::new(text);
    Ok(match dialect.among(&REPETITION_DIALECTS)? {
        Dialect::Dolma => dolma(&analysis),
        Dialect::Dclm => dclm(text),
        Dialect::Curator => curator(&analysis),
        _ => datatrove(&analysis),
    })
}

impl GopherRepetition {
    fn judged(mut self, text: &str, line_rules: &[(bool, &'static str)], top: [&'static str; 3], duplicate: [&'static str; 6]) -> Self {
        let over = |shares: &[f64], limits: &[f64], names: &[&'static str]| {
            shares.iter().zip(limits).zip(names).find(|((share, limit), _)| share > limit).map(|(_, name)| *name)
        };
        self.reason = if text.is_empty() { Some("empty") } else { None }
            .or_else(|| first_broken(line_rules))
            .or_else(|| over(&self.top_ngram_share, &TOP_LIMITS, &top))
            .or_else(|| over(&self.duplicate_ngram_share, &DUPLICATE_LIMITS, &duplicate));
        self.keep = self.reason.is_none();
        self
    }

    /// Fills the shares of n-grams: by the characters of the most frequent one, and of the repeated ones.
    fn count_ngrams(&mut self, text: &str, words: &[Span], top: impl Fn(&Ngrams, usize) -> f64, repeated: impl Fn(&mut Ngrams) -> f64) {
        let mut ngrams = Ngrams::new(text, words);
        for (i, share) in self.top_ngram_share.iter_mut().enumerate() {
            ngrams.longer();
            ngrams.count();
            *share = top(&ngrams, i + 2);
        }
        for share in &mut self.duplicate_ngram_share {
            ngrams.longer();
            *share = repeated(&mut ngrams);
        }
        ngrams.leave();
    }
}

/// Paragraphs: a text cut at runs of at least two line feeds, as Python's `re.split`.
fn paragraphs(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(i) = text.find("\n\n") else {
            rest = None;
            return Some(text);
        };
        rest = Some(text[i..].trim_start_matches('\n'));
        Some(&text[..i])
    })
}

pub(super) fn datatrove(analysis: &Analysis<'_>) -> GopherRepetition {
    let (text, n_chars) = (analysis.text, analysis.n_chars());
    let paragraphs = Repeated::among(paragraphs(strip(text)));
    let lines = &analysis.lines().repeated;
    let mut figures = GopherRepetition {
        duplicate_lines_share: share(lines.later.0, lines.n),
        duplicate_paragraphs_share: share(paragraphs.later.0, paragraphs.n),
        duplicate_line_chars_share: share(lines.later.1, n_chars),
        duplicate_paragraph_chars_share: share(paragraphs.later.1, n_chars),
        ..GopherRepetition::default()
    };
    let top = |ngrams: &Ngrams, n: usize| share(ngrams.top_chars(n - 1), n_chars);
    figures.count_ngrams(text, analysis.english_words(), top, |ngrams| share(ngrams.greedy_chars(), n_chars));
    let rules = [
        (figures.duplicate_paragraphs_share > 0.3, "dup_para_frac"),
        (figures.duplicate_paragraph_chars_share > 0.2, "dup_para_char_frac"),
        (figures.duplicate_lines_share > 0.3, "dup_line_frac"),
        (figures.duplicate_line_chars_share > 0.2, "dup_line_char_frac"),
    ];
    let duplicate = [
        "duplicated_5_n_grams",
        "duplicated_6_n_grams",
        "duplicated_7_n_grams",
        "duplicated_8_n_grams",
        "duplicated_9_n_grams",
        "duplicated_10_n_grams",
    ];
    figures.judged(text, &rules, ["top_2_gram", "top_3_gram", "top_4_gram"], duplicate)
}

fn dolma(analysis: &Analysis<'_>) -> GopherRepetition {
    let (text, words) = (analysis.text, analysis.words_between_spaces());
    let n_chars: usize = words.iter().map(|w| w.n_chars).sum();
    let lines = Repeated::among(text.split('\n').filter(|_| !text.is_empty()));
    let mut figures = GopherRepetition {
        duplicate_lines_share: share(lines.all.0, lines.n),
        duplicate_line_chars_share: share(lines.all.1, n_chars.max(1)),
        ..GopherRepetition::default()
    };
    let top = |ngrams: &Ngrams, _| share(ngrams.top_chars(0), n_chars);
    figures.count_ngrams(text, words, top, |ngrams| {
        ngrams.count();
        let (all, repeated) = ngrams.occurrences();
        share(repeated, all)
    });
    let rules = [
        (figures.duplicate_lines_share > 0.3, "fraction_of_duplicate_lines"),
        (figures.duplicate_line_chars_share > 0.3, "fraction_of_characters_in_duplicate_lines"),
    ];
    let top = [
        "fraction_of_characters_in_most_common_2grams",
        "fraction_of_characters_in_most_common_3grams",
        "fraction_of_characters_in_most_common_4grams",
    ];
    let duplicate = [
        "fraction_of_characters_in_duplicate_5grams",
        "fraction_of_characters_in_duplicate_6grams",
        "fraction_of_characters_in_duplicate_7grams",
        "fraction_of_characters_in_duplicate_8grams",
        "fraction_of_characters_in_duplicate_9grams",
        "fraction_of_characters_in_duplicate_10grams",
    ];
    figures.judged(text, &rules, top, duplicate)
}

/// Words by Unicode's rules, of which only those that begin with a letter or number count.
pub(super) fn unicode_words(text: &str) -> Vec<Span> {
    let characters = Characters::get();
    text.split_word_bound_indices()
        .filter(|(_, word)| characters.is(word.chars().next(), LETTER | NUMERIC))
        .map(|(start, word)| Span::new(text, start, start + word.len(), true, characters))
        .collect()
}

pub(super) fn dclm(text: &str) -> GopherRepetition {
    let pieces = |separator: &'static str| Repeated::among(text.split(separator).map(strip).filter(|p| !p.is_empty()));
    // One piece alone repeats nothing.
    let (lines, paragraphs) = (pieces("\n"), pieces("\n\n"));
    let words = unicode_words(text);
    let n_chars: usize = words.iter().map(|w| w.n_chars).sum();
    let mut figures = GopherRepetition {
        duplicate_lines_share: share(lines.all.0, lines.n),
        duplicate_paragraphs_share: share(paragraphs.all.0, paragraphs.n),
        duplicate_line_chars_share: share(lines.all.1, lines.chars),
        duplicate_paragraph_chars_share: share(paragraphs.all.1, paragraphs.chars),
        ..GopherRepetition::default()
    };
    let top = |ngrams: &Ngrams, _| share(ngrams.longest_top_chars(), n_chars);
    figures.count_ngrams(text, &words, top, |ngrams| {
        ngrams.count();
        share(ngrams.covered_chars(), n_chars)
    });
    let rules = [
        (lines.n == 0, "repetition_filter_line"),
        (figures.duplicate_lines_share > 0.3, "repetition_filter_line"),
        (figures.duplicate_paragraphs_share > 0.3, "repetition_filter_paragraph"),
        (figures.duplicate_line_chars_share > 0.2, "repetition_filter_line_characters"),
        (figures.duplicate_paragraph_chars_share > 0.2, "repetition_filter_paragraph_characters"),
    ];
    let top = ["repetition_filter_2_grams", "repetition_filter_3_grams", "repetition_filter_4_grams"];
    let duplicate = [
        "repetition_filter_5_grams",
        "repetition_filter_6_grams",
        "repetition_filter_7_grams",
        "repetition_filter_8_grams",
        "repetition_filter_9_grams",
        "repetition_filter_10_grams",
    ];
    figures.judged(text, &rules, top, duplicate)
}

fn curator(analysis: &Analysis<'_>) -> GopherRepetition {
    let (text, words, n_chars) = (analysis.text, analysis.words_between_spaces(), analysis.n_chars());
    let lines = Repeated::among(text.split('\n').filter(|l| !strip(l).is_empty()));
    let paragraphs = Repeated::among(text.split("\n\n"));
    let mut figures = GopherRepetition {
        duplicate_lines_share: share(lines.later.0, lines.n),
        duplicate_paragraphs_share: share(paragraphs.later.0, paragraphs.n),
        duplicate_line_chars_share: share(lines.later.1, lines.chars),
        duplicate_paragraph_chars_share: share(paragraphs.later.1, paragraphs.chars),
        ..GopherRepetition::default()
    };
    // Fewer words than n are taken for repetition, as the tool does; and the most frequent n-gram is searched for as a text.
    let too_few = |n: usize| words.len() < n;
    let top = |ngrams: &Ngrams, n: usize| {
        let Some((i, _)) = ngrams.most_frequent() else { return f64::from(u8::from(too_few(n))) };
        let gram = words[i..i + n].iter().map(|w| w.of(text)).collect::<Vec<_>>().join(" ");
        share(text.matches(&gram).count() * super::spans::n_chars(&gram), n_chars)
    };
    figures.count_ngrams(text, words, top, |ngrams| {
        ngrams.count();
        if ngrams.is_empty() { 1.0 } else { share(ngrams.spaced_chars(), n_chars) }
    });
    let rules = [
        // Shares of what is left, as the tool compares, so that both round alike.
        (share(lines.n - lines.later.0, lines.n) < 0.7, "repeated_lines"),
        (share(paragraphs.n - paragraphs.later.0, paragraphs.n) < 0.7, "repeated_paragraphs"),
        (share(lines.chars - lines.later.1, lines.chars) < 0.8, "repeated_lines_char"),
        (share(paragraphs.chars - paragraphs.later.1, paragraphs.chars) < 0.8, "repeated_paragraphs_char"),
    ];
    let duplicate = [
        "repeating_dup_5gram",
        "repeating_dup_6gram",
        "repeating_dup_7gram",
        "repeating_dup_8gram",
        "repeating_dup_9gram",
        "repeating_dup_10gram",
    ];
    figures.judged(text, &rules, ["repeating_top_2grams", "repeating_top_3grams", "repeating_top_4grams"], duplicate)
}
