//! The quality rules of the Gopher paper, in datatrove's dialect: order, limits and reason names are its own.
//!
//! The rules are made for English prose. Source code and other languages fail them for what they
//! are (no stop words, many symbols), so a query applies them to prose only.
//! Words differ from datatrove's, whose tokenizer is spaCy's: here, as in the paper, a word stands between spaces, and the marks at its
//! ends are cut off. Without a letter or digit it is a symbol word. Markdown would otherwise drown in marks.
//!
//! # Source
//! Rae et al.: Scaling Language Models (2021), table A1.

/// The verdict on a prose text and the figures behind it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GopherQuality {
    /// Whether all limits hold.
    pub keep: bool,
    /// The first limit that doesn't, by datatrove's name (`gopher_short_doc` …).
    pub reason: Option<&'static str>,
    /// Words that aren't symbols.
    pub n_words: usize,
    /// Mean length of those in characters.
    pub mean_word_length: f64,
    /// `#` per word, symbols counted as words.
    pub hash_share: f64,
    /// `...` and `…` per word, symbols counted as words.
    pub ellipsis_share: f64,
    /// Share of lines that begin with `•` or `-`.
    pub bullet_lines_share: f64,
    /// Share of lines that end with `...` or `…`.
    pub ellipsis_lines_share: f64,
    /// Share of words with a letter, symbols counted as words.
    pub alphabetic_share: f64,
    /// Distinct words of: the, be, to, of, and, that, have, with.
    pub n_stop_words: usize,
}

#[derive(Default)]
struct Counts {
    n_words: usize,
    n_symbol_words: usize,
    word_chars: usize,
    n_alphabetic: usize,
    n_hashes: usize,
    n_ellipses: usize,
    stop_words: u8,
}

/// Judges a text by Gopher's quality rules; the empty text is too short.
pub fn gopher_quality(text: &str) -> GopherQuality {
    let counts = count(text);
    let (mut n_lines, mut n_bullets, mut n_trailing) = (0usize, 0usize, 0usize);
    for line in text.lines() {
        n_lines += 1;
        n_bullets += usize::from(line.trim_start().starts_with(['•', '-']));
        n_trailing += usize::from(line.ends_with("...") || line.ends_with('…'));
    }
    let n_all = counts.n_words + counts.n_symbol_words;
    let share = |part: usize, whole: usize| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    let mut quality = GopherQuality {
        keep: false,
        reason: None,
        n_words: counts.n_words,
        mean_word_length: share(counts.word_chars, counts.n_words),
        hash_share: share(counts.n_hashes, n_all),
        ellipsis_share: share(counts.n_ellipses, n_all),
        bullet_lines_share: share(n_bullets, n_lines),
        ellipsis_lines_share: share(n_trailing, n_lines),
        alphabetic_share: share(counts.n_alphabetic, n_all),
        n_stop_words: counts.stop_words.count_ones() as usize,
    };
    quality.reason = first_broken(&quality);
    quality.keep = quality.reason.is_none();
    quality
}

fn first_broken(q: &GopherQuality) -> Option<&'static str> {
    let rules = [
        (q.n_words < 50, "gopher_short_doc"),
        (q.n_words > 100_000, "gopher_long_doc"),
        (q.mean_word_length < 3.0, "gopher_below_avg_threshold"),
        (q.mean_word_length > 10.0, "gopher_above_avg_threshold"),
        (q.hash_share > 0.1, "gopher_too_many_hashes"),
        (q.ellipsis_share > 0.1, "gopher_too_many_ellipsis"),
        (q.bullet_lines_share > 0.9, "gopher_too_many_bullets"),
        (q.ellipsis_lines_share > 0.3, "gopher_too_many_end_ellipsis"),
        (q.alphabetic_share < 0.8, "gopher_below_alpha_threshold"),
        (q.n_stop_words < 2, "gopher_enough_stop_words"),
    ];
    rules.iter().find(|(broken, _)| *broken).map(|(_, name)| *name)
}

fn count(text: &str) -> Counts {
    let mut counts = Counts::default();
    for token in text.split_whitespace() {
        counts.n_hashes += token.bytes().filter(|b| *b == b'#').count();
        counts.n_ellipses += ellipses(token);
        let word = token.trim_matches(|c: char| !c.is_alphanumeric());
        if word.is_empty() {
            counts.n_symbol_words += 1;
            continue;
        }
        counts.n_words += 1;
        counts.word_chars += word.chars().count();
        counts.n_alphabetic += usize::from(word.chars().any(char::is_alphabetic));
        counts.stop_words |= stop_word_bit(word);
    }
    counts
}

/// `...` and `…`, as often as they stand side by side.
fn ellipses(token: &str) -> usize {
    if !token.contains("..") && token.is_ascii() {
        return 0;
    }
    token.matches("...").count() + token.matches('…').count()
}

fn stop_word_bit(word: &str) -> u8 {
    match word {
        "the" => 1,
        "be" => 2,
        "to" => 4,
        "of" => 8,
        "and" => 16,
        "that" => 32,
        "have" => 64,
        "with" => 128,
        _ => 0,
    }
}
