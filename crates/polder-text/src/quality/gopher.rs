//! Gopher's quality rules: length, symbols, bullets, letters, stop words.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::characters::{Characters, LETTER, NUMERIC, SYMBOL};
use super::spans::{Span, hash, share, strip};
use super::stop_words::{ENGLISH, StopWords};
use super::{Analysis, Dialect, DialectError, first_broken};
use crate::characters;

/// The dialects of [`gopher_quality`]; the first is the default.
pub const GOPHER_DIALECTS: [Dialect; 5] = [Dialect::Datatrove, Dialect::Dolma, Dialect::Dclm, Dialect::Curator, Dialect::Polder];

/// The verdict on a prose text and the figures behind it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GopherQuality {
    /// Whether all limits hold.
    pub keep: bool,
    /// The first limit that doesn't, by the tool's name.
    pub reason: Option<&'static str>,
    /// Words that count for the length of the document.
    pub n_words: usize,
    /// Mean length of words in characters; Dolma's is the median.
    pub mean_word_length: f64,
    /// `#` per word.
    pub hash_share: f64,
    /// `...` and `…` per word.
    pub ellipsis_share: f64,
    /// What the dialect compares with its limit on symbols: the larger of the two shares, or one of its own.
    pub symbol_share: f64,
    /// Share of lines that begin with a bullet.
    pub bullet_lines_share: f64,
    /// Share of lines that end with an ellipsis.
    pub ellipsis_lines_share: f64,
    /// Share of words with a letter.
    pub alphabetic_share: f64,
    /// Stop words: the, be, to, of, and, that, have, with. Distinct ones for datatrove and Polder, all for Dolma and DCLM, two at most for Curator.
    pub n_stop_words: usize,
}

/// Judges a text by Gopher's quality rules.
///
/// Limits of all dialects: 50 to 100,000 words, of 3 to 10 characters on average; symbols at most 0.1 per word; at most 0.9 of the lines
/// begin with a bullet, at most 0.3 end with an ellipsis; at least 0.8 of the words have a letter; at least 2 stop words.
/// `Polder` counts no symbols as words, takes the stop words of the language that the text is in, asks for none where it has no list, and sets no least length
/// for words of scripts without spaces. The empty text is too short.
///
/// # Errors
/// The dialect isn't one of [`GOPHER_DIALECTS`].
///
/// # Source
/// Rae et al.: Scaling Language Models (2021), table A1. datatrove 0.10.1 `gopher_quality_filter.py`; Dolma 1.2.1 `taggers/gopher.py` with
/// `configs/dolma-v1_6/mixing/cc-head.yaml`; DCLM `filters/content_filters.py` with `dclm_baseline_refinedweb.yaml`;
/// NeMo Curator 1.4.0 `heuristic/string.py` with `config/heuristic_filter_en.yaml`.
pub fn gopher_quality(text: &str, dialect: Dialect) -> Result<GopherQuality, DialectError> {
    let analysis = Analysis::new(text);
    Ok(match dialect.among(&GOPHER_DIALECTS)? {
        Dialect::Dolma => dolma(&analysis),
        Dialect::Dclm => dclm(&analysis),
        Dialect::Curator => curator(&analysis),
        Dialect::Polder => polder(&analysis),
        Dialect::Datatrove | Dialect::Fineweb => datatrove(&analysis),
    })
}

/// Whether the limits that all dialects share are broken, in the order of the fields.
struct Broken {
    short: bool,
    long: bool,
    short_words: bool,
    long_words: bool,
    symbols: bool,
    bullets: bool,
    ellipses: bool,
    letters: bool,
    stop_words: bool,
}

impl GopherQuality {
    fn broken(&self) -> Broken {
        Broken {
            short: self.n_words < 50,
            long: self.n_words > 100_000,
            short_words: self.mean_word_length < 3.0,
            long_words: self.mean_word_length > 10.0,
            symbols: self.symbol_share > 0.1,
            bullets: self.bullet_lines_share > 0.9,
            ellipses: self.ellipsis_lines_share > 0.3,
            letters: self.alphabetic_share < 0.8,
            stop_words: self.n_stop_words < 2,
        }
    }

    fn judged(mut self, rules: &[(bool, &'static str)]) -> Self {
        self.reason = first_broken(rules);
        self.keep = self.reason.is_none();
        self
    }
}

/// Shares of lines that begin with a bullet, and that end with an ellipsis.
fn line_shares<'a>(
    lines: impl Iterator<Item = &'a str>,
    is_bullet: impl Fn(&str) -> bool,
    is_ellipsis: impl Fn(&str) -> bool,
) -> (f64, f64) {
    let (mut n, mut n_bullets, mut n_ellipses) = (0, 0, 0);
    for line in lines {
        n += 1;
        n_bullets += usize::from(is_bullet(line));
        n_ellipses += usize::from(is_ellipsis(line));
    }
    (share(n_bullets, n), share(n_ellipses, n))
}

fn ends_in_dots(line: &str) -> bool {
    let line = line.trim_end_matches(super::characters::is_space);
    line.ends_with("...") || line.ends_with('…')
}

fn begins_with(bullets: &'static [char]) -> impl Fn(&str) -> bool {
    move |line| line.starts_with(bullets)
}

fn n_hashes(text: &str) -> usize {
    text.bytes().filter(|b| *b == b'#').count()
}

fn n_ellipses(text: &str) -> usize {
    static SIGN: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("…"));
    static DOTS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("..."));
    SIGN.find_iter(text.as_bytes()).count() + DOTS.find_iter(text.as_bytes()).count()
}

/// How many of these words are stop words of English.
fn english_stop_words<'a>(text: &'a str, words: &'a [Span]) -> impl Iterator<Item = usize> {
    let of_length: [&[usize]; 5] = [&[], &[], &[1, 2, 3], &[0, 4], &[5, 6, 7]];
    let hashes = ENGLISH.map(|word| hash(word.as_bytes()));
    let is = move |i: usize, word: &Span| hashes[i] == word.hash && ENGLISH[i] == word.of(text);
    words.iter().filter_map(move |w| of_length.get(w.end - w.start)?.iter().copied().find(|i| is(*i, w)))
}

fn distinct(stop_words: impl Iterator<Item = usize>) -> usize {
    stop_words.fold(0u32, |seen, i| seen | 1 << i).count_ones() as usize
}

fn with_letter(words: &[Span]) -> usize {
    words.iter().filter(|w| w.some & LETTER != 0).count()
}

pub(super) fn datatrove(analysis: &Analysis<'_>) -> GopherQuality {
    let (text, words) = (analysis.text, analysis.english_words());
    let (mut n_words, mut chars, mut n_with_letter) = (0, 0, 0);
    for word in words {
        let is_word = word.every & SYMBOL == 0;
        n_words += usize::from(is_word);
        chars += if is_word { word.n_chars } else { 0 };
        n_with_letter += usize::from(word.some & LETTER != 0);
    }
    let is_bullet = |line: &str| line.trim_start_matches(super::characters::is_space).starts_with(['•', '-']);
    let (bullet_lines_share, ellipsis_lines_share) = line_shares(analysis.python_lines().iter().copied(), is_bullet, ends_in_dots);
    let (hash_share, ellipsis_share) = (share(n_hashes(text), words.len()), share(n_ellipses(text), words.len()));
    let figures = GopherQuality {
        n_words,
        mean_word_length: share(chars, n_words),
        hash_share,
        ellipsis_share,
        symbol_share: hash_share.max(ellipsis_share),
        bullet_lines_share,
        ellipsis_lines_share,
        alphabetic_share: share(n_with_letter, words.len()),
        n_stop_words: distinct(english_stop_words(text, words)),
        ..GopherQuality::default()
    };
    named_as_in_datatrove(figures, false)
}

fn named_as_in_datatrove(figures: GopherQuality, stop_words_suffice: bool) -> GopherQuality {
    let broken = figures.broken();
    let rules = [
        (broken.short, "gopher_short_doc"),
        (broken.long, "gopher_long_doc"),
        (broken.short_words, "gopher_below_avg_threshold"),
        (broken.long_words, "gopher_above_avg_threshold"),
        (figures.hash_share > 0.1, "gopher_too_many_hashes"),
        (figures.ellipsis_share > 0.1, "gopher_too_many_ellipsis"),
        (broken.bullets, "gopher_too_many_bullets"),
        (broken.ellipses, "gopher_too_many_end_ellipsis"),
        (broken.letters, "gopher_below_alpha_threshold"),
        (broken.stop_words && !stop_words_suffice, "gopher_enough_stop_words"),
    ];
    figures.judged(&rules)
}

fn dolma(analysis: &Analysis<'_>) -> GopherQuality {
    let (text, words) = (analysis.text, analysis.words_between_spaces());
    let mut lengths: Vec<usize> = words.iter().map(|w| w.n_chars).collect();
    lengths.sort_unstable();
    let middle = |i: usize| lengths.get(i).copied().unwrap_or(0) as f64;
    let half = lengths.len() / 2;
    let median = if lengths.len() % 2 == 1 || half == 0 { middle(half) } else { f64::midpoint(middle(half - 1), middle(half)) };
    let with = |symbols: &[char]| words.iter().filter(|w| w.of(text).contains(symbols)).count();
    let lines = text.split('\n').filter(|_| !text.is_empty());
    let (bullet_lines_share, ellipsis_lines_share) = line_shares(lines, begins_with(&['*', '-']), |line| line.ends_with('…'));
    let figures = GopherQuality {
        n_words: words.len(),
        mean_word_length: median,
        hash_share: share(with(&['#']), words.len()),
        ellipsis_share: share(with(&['…']), words.len()),
        symbol_share: share(with(&['#', '…']), words.len()),
        bullet_lines_share,
        ellipsis_lines_share,
        alphabetic_share: share(with_letter(words), words.len()),
        n_stop_words: english_stop_words(text, words).count(),
        ..GopherQuality::default()
    };
    let broken = figures.broken();
    let rules = [
        (broken.short || broken.long, "word_count"),
        (broken.short_words || broken.long_words, "median_word_length"),
        (broken.symbols, "symbol_to_word_ratio"),
        (broken.letters, "fraction_of_words_with_alpha_character"),
        (broken.stop_words, "required_word_count"),
        (broken.bullets, "fraction_of_lines_starting_with_bullet_point"),
        (broken.ellipses, "fraction_of_lines_ending_with_ellipsis"),
    ];
    figures.judged(&rules)
}

/// Words as fastText reads them, of which only those that begin with a letter or number count.
pub(super) fn fasttext_words(text: &str) -> usize {
    let characters = Characters::get();
    let is_separator = |c: char| matches!(c, ' ' | '\n' | '\r' | '\t' | '\u{b}' | '\u{c}' | '\0');
    text.split(is_separator).filter(|w| characters.is(w.chars().next(), LETTER | NUMERIC)).count()
}

pub(super) fn dclm(analysis: &Analysis<'_>) -> GopherQuality {
    let (text, words) = (analysis.text, analysis.words_between_spaces());
    let lines: Vec<&str> = text.split('\n').map(strip).filter(|l| !l.is_empty()).collect();
    let is_bullet = begins_with(&['●', '•', '*', '-']);
    let is_ellipsis = |line: &str| line.ends_with("...") || line.ends_with(". . .") || line.ends_with('…');
    let count = |is: &dyn Fn(&str) -> bool| lines.iter().filter(|l| is(l)).count();
    let (n_bullets, n_end_ellipses) = (count(&is_bullet), count(&is_ellipsis));
    let (n_hashes, n_ellipses) = (n_hashes(text), n_ellipses(text) + text.matches(". . .").count());
    let is_stop_word = |w: &&Span| w.end - w.start <= 6 && ENGLISH.contains(&w.of(text).to_lowercase().as_str());
    let n_with_letter = with_letter(words);
    let figures = GopherQuality {
        n_words: fasttext_words(text),
        mean_word_length: share(words.iter().map(|w| w.n_chars).sum(), words.len()),
        hash_share: share(n_hashes, words.len()),
        ellipsis_share: share(n_ellipses, words.len()),
        symbol_share: share(n_hashes + n_ellipses, words.len()),
        bullet_lines_share: share(n_bullets, lines.len()),
        ellipsis_lines_share: share(n_end_ellipses, lines.len()),
        alphabetic_share: share(n_with_letter, words.len()),
        n_stop_words: words.iter().filter(is_stop_word).count(),
        ..GopherQuality::default()
    };
    let broken = figures.broken();
    // As the tool compares, so that both round alike.
    let more_than = |n: usize, limit: f64| n as f64 > limit * lines.len() as f64;
    let rules = [
        (broken.short || broken.long, "page_length_filter"),
        (broken.short_words || broken.long_words, "word_length_filter"),
        (broken.symbols, "symbol_ratio_filter"),
        (more_than(n_bullets, 0.9), "bullet_count_filter"),
        (more_than(n_end_ellipses, 0.3), "ellipsis_count_filter"),
        (share(words.len() - n_with_letter, words.len()) > 0.2, "alphabetic_word_ratio_filter"),
        (broken.stop_words, "stop_word_filter"),
    ];
    figures.judged(&rules)
}

/// What Curator takes for a bullet.
const CURATOR_BULLETS: [char; 12] = ['•', '‣', '⁃', '⁌', '⁍', '∙', '○', '●', '◘', '◦', '⦾', '⦿'];
/// What Curator takes for an ellipsis: as a word, or at the end of a line.
const CURATOR_ELLIPSES: [&str; 8] = ["...", "[...]", "…", "(...)", "[…]", "-»", "read more..", "read more"];

fn curator(analysis: &Analysis<'_>) -> GopherQuality {
    let (text, words) = (analysis.text, analysis.words_between_spaces());
    let runs_of_hashes = |word: &str| word.split(|c| c != '#').filter(|run| !run.is_empty()).count();
    let n_ellipses = words.iter().filter(|w| CURATOR_ELLIPSES.contains(&w.of(text))).count();
    // More than half of a word can be runs of `#` only when it is one such mark.
    let n_hashes = words.iter().filter(|w| runs_of_hashes(w.of(text)) as f64 / w.n_chars as f64 > 0.5).count();
    let lines = text.split('\n').map(strip).filter(|l| !l.is_empty());
    let is_ellipsis = |line: &str| {
        let line = line.to_lowercase();
        CURATOR_ELLIPSES.iter().any(|e| line.ends_with(e))
    };
    let (bullet_lines_share, ellipsis_lines_share) = line_shares(lines, begins_with(&CURATOR_BULLETS), is_ellipsis);
    let is_alphabetic = |w: &&Span| w.of(text).chars().any(char::is_alphabetic);
    let figures = GopherQuality {
        n_words: words.len(),
        mean_word_length: share(words.iter().map(|w| w.n_chars).sum(), words.len()),
        hash_share: share(n_hashes, words.len()),
        ellipsis_share: share(n_ellipses, words.len()),
        symbol_share: share(n_hashes + n_ellipses, words.len()),
        bullet_lines_share,
        ellipsis_lines_share,
        alphabetic_share: share(words.iter().filter(is_alphabetic).count(), words.len()),
        n_stop_words: english_stop_words(text, words).take(2).count(),
        ..GopherQuality::default()
    };
    let broken = figures.broken();
    let rules = [
        (broken.symbols, "symbol_to_word"),
        (broken.short || broken.long, "word_count"),
        (broken.letters, "words_without_alphabets"),
        (broken.stop_words, "common_english_words"),
        (broken.short_words || broken.long_words, "mean_word_length"),
        (broken.ellipses, "ellipsis"),
        (broken.bullets, "bullet_ratio"),
    ];
    figures.judged(&rules)
}

/// The words of a text as [`words`](crate::words()) cuts them, and what stands between spaces without one.
#[derive(Default)]
struct Counts {
    n_words: usize,
    chars: usize,
    n_alphabetic: usize,
    /// Words of one character beyond ASCII.
    n_single: usize,
    n_symbols: usize,
    stop_words: StopWords,
}

impl Counts {
    fn of(text: &str) -> Self {
        let characters = characters::Characters::get();
        let mut counts = Self::default();
        // The word that goes on, from where, and of how many characters; and what stands since the last space.
        let (mut start, mut length, mut is_alphabetic) = (0, 0, false);
        let (mut is_something, mut has_word) = (false, false);
        for (i, c) in text.char_indices() {
            let about = characters.of(c);
            let goes_on = about & (characters::ALPHANUMERIC | characters::ALONE) == characters::ALPHANUMERIC;
            if length > 0 && !goes_on {
                counts.add(&text[start..i], length, is_alphabetic);
                length = 0;
            }
            if goes_on {
                (start, is_alphabetic) = if length == 0 { (i, false) } else { (start, is_alphabetic) };
                length += 1;
                is_alphabetic |= about & characters::ALPHABETIC != 0;
            } else if about & characters::ALPHANUMERIC != 0 {
                counts.add(&text[i..i + c.len_utf8()], 1, about & characters::ALPHABETIC != 0);
            }
            if about & characters::WHITE_SPACE != 0 {
                counts.n_symbols += usize::from(is_something && !has_word);
                (is_something, has_word) = (false, false);
            } else {
                (is_something, has_word) = (true, has_word || about & characters::ALPHANUMERIC != 0);
            }
        }
        if length > 0 {
            counts.add(&text[start..], length, is_alphabetic);
        }
        counts.n_symbols += usize::from(is_something && !has_word);
        counts
    }

    fn add(&mut self, word: &str, length: usize, is_alphabetic: bool) {
        self.n_words += 1;
        self.chars += length;
        self.n_alphabetic += usize::from(is_alphabetic);
        self.n_single += usize::from(length == 1 && word.len() > 1);
        self.stop_words.add(word);
    }
}

/// Words are runs of letters and digits of any script; what stands between spaces without one is a symbol.
fn polder(analysis: &Analysis<'_>) -> GopherQuality {
    let text = analysis.text;
    let Counts { n_words, chars, n_alphabetic, n_single, n_symbols, stop_words } = Counts::of(text);
    let n_all = n_words + n_symbols;
    let is_bullet = |line: &str| line.trim_start().starts_with(['•', '-', '*', '●', '–']);
    let (bullet_lines_share, ellipsis_lines_share) = line_shares(text.lines(), is_bullet, ends_in_dots);
    let (hash_share, ellipsis_share) = (share(n_hashes(text), n_all), share(n_ellipses(text), n_all));
    let (n_stop_words, lacks) = stop_words.lacking(text);
    let has_spaces = n_single * 2 < n_words;
    let figures = GopherQuality {
        n_words,
        mean_word_length: share(chars, n_words),
        hash_share,
        ellipsis_share,
        symbol_share: hash_share.max(ellipsis_share),
        bullet_lines_share,
        ellipsis_lines_share,
        alphabetic_share: share(n_alphabetic, n_words),
        n_stop_words,
        ..GopherQuality::default()
    };
    let mean_word_length = figures.mean_word_length;
    let judged = if has_spaces { figures } else { GopherQuality { mean_word_length: 3.0, ..figures } };
    GopherQuality { mean_word_length, ..named_as_in_datatrove(judged, !lacks) }
}
