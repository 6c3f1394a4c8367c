//! C4's rules: which lines of a page are sentences, and whether enough are left.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::characters::{Characters, DIGIT, PUNCTUATION, SENTENCE_END};
use super::english_words::english_words;
use super::spans::{Span, n_chars, strip};
use super::{Analysis, Dialect, DialectError};

/// The dialects of [`c4_quality`]; the first is the default.
pub const C4_DIALECTS: [Dialect; 3] = [Dialect::Datatrove, Dialect::Fineweb, Dialect::Dolma];

/// The verdict on a page, what the rules leave of it, and the figures behind it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct C4Quality {
    /// Whether the page stays.
    pub keep: bool,
    /// Why it doesn't: `lorem_ipsum`, `curly_bracket` or `too_few_sentences`; for Dolma `has_javascript`, `has_lorem_ipsum`,
    /// `has_curly_brace` or `empty`.
    pub reason: Option<&'static str>,
    /// The lines that stay, citations taken out.
    pub text: String,
    /// Lines of the page.
    pub n_lines: usize,
    /// Lines that stay.
    pub n_kept_lines: usize,
    /// Sentences in those; Dolma counts none.
    pub n_sentences: usize,
    /// Lines dropped for a word of more than 1000 characters.
    pub n_long_word_lines: usize,
    /// Lines dropped for their end.
    pub n_no_terminal_lines: usize,
    /// Lines dropped for fewer than 3 words.
    pub n_few_words_lines: usize,
    /// Lines dropped for the word javascript.
    pub n_javascript_lines: usize,
    /// Lines dropped for a phrase about cookies, privacy or terms of use.
    pub n_policy_lines: usize,
}

const WORD_CHARS_MAX: usize = 1000;
const WORDS_MIN: usize = 3;
const SENTENCES_MIN: usize = 5;

/// What lines are searched for, and what it means there.
const PHRASES: [(&str, Phrase); 8] = [
    ("lorem ipsum", Phrase::LoremIpsum),
    ("javascript", Phrase::Javascript),
    ("terms of use", Phrase::Policy),
    ("privacy policy", Phrase::Policy),
    ("cookie policy", Phrase::Policy),
    ("uses cookies", Phrase::Policy),
    ("use of cookies", Phrase::Policy),
    ("use cookies", Phrase::Policy),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phrase {
    LoremIpsum,
    Javascript,
    Policy,
}

static FINDER: LazyLock<Option<AhoCorasick>> =
    LazyLock::new(|| AhoCorasick::builder().ascii_case_insensitive(true).build(PHRASES.map(|(phrase, _)| phrase)).ok());

/// The phrases in a text, with the bytes at which they begin, in order.
fn phrases(text: &str) -> Vec<(usize, Phrase)> {
    let found = FINDER.as_ref().map(|finder| finder.find_iter(text).map(|m| (m.start(), PHRASES[m.pattern().as_usize()].1)).collect());
    found.unwrap_or_default()
}

/// Judges a page by C4's rules.
///
/// A line goes when it has a word of more than 1000 characters, doesn't end in `.`, `?`, `!`, `"` or `'` or ends in `...`, has fewer than
/// 3 words, or names javascript, terms of use, privacy or cookie policies. A page goes when a line that has come so far says lorem
/// ipsum or has a `{`, or when fewer than 5 sentences are left. `Fineweb` lets lines end in any way. `Dolma` drops lines for their end (`'` is
/// none) and for fewer than 3 words, and pages for the word javascript, lorem ipsum, `{`, or when nothing is left; its list of naughty words
/// is not among these rules (see `profanity`).
///
/// # Errors
/// The dialect isn't one of [`C4_DIALECTS`].
///
/// # Source
/// Raffel et al.: Exploring the Limits of Transfer Learning (2020), 2.2. datatrove 0.10.1 `c4_filters.py`; Dolma 1.2.1 `taggers/c4.py` (`c4_v1`).
pub fn c4_quality(text: &str, dialect: Dialect) -> Result<C4Quality, DialectError> {
    let dialect = dialect.among(&C4_DIALECTS)?;
    Ok(match dialect {
        Dialect::Dolma => dolma(text),
        _ => datatrove(&Analysis::new(text), dialect == Dialect::Datatrove),
    })
}

pub(super) fn datatrove(analysis: &Analysis<'_>, ends_matter: bool) -> C4Quality {
    let (text, tokens) = (analysis.text, analysis.english_words());
    let found = phrases(text);
    let (mut quality, mut kept) = (C4Quality::default(), String::with_capacity(text.len()));
    let (mut first_token, mut first_phrase) = (0, 0);
    for line in analysis.python_lines() {
        let from = line.as_ptr().addr() - text.as_ptr().addr();
        let to = from + line.len();
        let line = strip(line);
        quality.n_lines += 1;
        let n_tokens = tokens[first_token..].iter().take_while(|t| t.start < to).count();
        let line_tokens = &tokens[first_token..first_token + n_tokens];
        first_token += n_tokens;
        first_phrase += found[first_phrase..].iter().take_while(|(at, _)| *at < from).count();
        let cut = without_citations(line);
        let page = Page { text, phrases: &found[first_phrase..], to };
        match judge(cut.as_deref().unwrap_or(line), cut.is_some(), line, line_tokens, &page, ends_matter) {
            Line::Keep(n_sentences) => {
                quality.n_kept_lines += 1;
                quality.n_sentences += n_sentences;
                kept.push_str(cut.as_deref().unwrap_or(line));
                kept.push('\n');
            }
            Line::LongWord => quality.n_long_word_lines += 1,
            Line::NoTerminal => quality.n_no_terminal_lines += 1,
            Line::FewWords => quality.n_few_words_lines += 1,
            Line::Javascript => quality.n_javascript_lines += 1,
            Line::Policy => quality.n_policy_lines += 1,
            Line::DropsPage(reason) => quality.reason = quality.reason.or(Some(reason)),
        }
    }
    kept.pop();
    quality.text = if strip(&kept).len() == kept.len() { kept } else { strip(&kept).to_owned() };
    quality.reason = quality.reason.or((quality.n_sentences < SENTENCES_MIN).then_some("too_few_sentences"));
    quality.keep = quality.reason.is_none();
    quality
}

/// What becomes of a line.
enum Line {
    Keep(usize),
    LongWord,
    NoTerminal,
    FewWords,
    Javascript,
    Policy,
    DropsPage(&'static str),
}

/// What a line is judged with: the whole text, the phrases from the line on, and where it ends.
struct Page<'a> {
    text: &'a str,
    phrases: &'a [(usize, Phrase)],
    to: usize,
}

fn judge(line: &str, is_cut: bool, original: &str, tokens: &[Span], page: &Page<'_>, ends_matter: bool) -> Line {
    if original.len() > WORD_CHARS_MAX && original.split(super::characters::is_space).any(|w| n_chars(w) > WORD_CHARS_MAX) {
        return Line::LongWord;
    }
    if ends_matter && (!line.ends_with(['.', '?', '!', '"', '\'']) || line.ends_with("...")) {
        return Line::NoTerminal;
    }
    if tokens.iter().filter(|t| t.begins_word).count() < WORDS_MIN {
        return Line::FewWords;
    }
    // Taking a citation out may bring two halves of a phrase together.
    let own = if is_cut { phrases(line) } else { Vec::new() };
    let found = if is_cut { own.as_slice() } else { page.phrases };
    let has = |phrase: Phrase| found.iter().take_while(|(at, _)| is_cut || *at < page.to).any(|(_, p)| *p == phrase);
    if has(Phrase::LoremIpsum) {
        Line::DropsPage("lorem_ipsum")
    } else if has(Phrase::Javascript) {
        Line::Javascript
    } else if line.contains('{') {
        Line::DropsPage("curly_bracket")
    } else if has(Phrase::Policy) {
        Line::Policy
    } else if is_cut {
        Line::Keep(n_sentences(line, &english_words(line)))
    } else {
        Line::Keep(n_sentences(page.text, tokens))
    }
}

/// A line without `[12]`, `[edit]` and `[citation needed]`; none if it has none.
fn without_citations(line: &str) -> Option<String> {
    let mut cut: Option<String> = None;
    let mut copied = 0;
    for (i, _) in line.match_indices('[') {
        let rest = &line[i + 1..];
        let number = rest.trim_start_matches(|c: char| c.is_ascii_digit() || (!c.is_ascii() && Characters::get().of(c) & DIGIT != 0));
        let behind = [number.strip_prefix(']'), rest.strip_prefix("edit]"), rest.strip_prefix("citation needed]")];
        if let Some(behind) = behind.into_iter().flatten().next() {
            cut.get_or_insert_default().push_str(&line[copied..i]);
            copied = line.len() - behind.len();
        }
    }
    let mut cut = cut?;
    cut.push_str(&line[copied..]);
    Some(cut)
}

/// Sentences among tokens: one begins at the first token that is no mark behind a mark that ends one. White space other than one space
/// between tokens is a token for the tokenizer, and no mark.
fn n_sentences(text: &str, tokens: &[Span]) -> usize {
    let (mut n, mut is_ended, mut at) = (1, false, None);
    let mut next = |is_mark: bool, is_end: bool| {
        if is_ended && !is_mark && !is_end {
            n += 1;
            is_ended = false;
        } else if is_end {
            is_ended = true;
        }
    };
    for token in tokens {
        if at.is_some_and(|at: usize| !matches!(&text[at..token.start], "" | " ")) {
            next(false, false);
        }
        next(token.every & PUNCTUATION != 0, token.n_chars == 1 && token.some & SENTENCE_END != 0);
        at = Some(token.end);
    }
    n
}

fn dolma(text: &str) -> C4Quality {
    let mut quality = C4Quality::default();
    let (mut has_javascript, mut has_lorem_ipsum, mut has_brace) = (false, false, false);
    for line in text.split_inclusive('\n').chain((text.is_empty() || text.ends_with('\n')).then_some("")) {
        let lower = line.to_lowercase();
        let lower = strip(&lower);
        let words = || lower.split(super::characters::is_space).filter(|w| !w.is_empty());
        let (is_ended, has_words) = (lower.ends_with(['.', '?', '!', '"']), words().take(WORDS_MIN).count() == WORDS_MIN);
        quality.n_lines += 1;
        quality.n_no_terminal_lines += usize::from(!is_ended);
        quality.n_few_words_lines += usize::from(!has_words);
        has_javascript |= words().any(|w| w == "javascript");
        has_lorem_ipsum |= lower.contains("lorem ipsum");
        has_brace |= lower.contains('{');
        if is_ended && has_words {
            quality.n_kept_lines += 1;
            quality.text.push_str(line);
        }
    }
    quality.reason = super::first_broken(&[
        (has_javascript, "has_javascript"),
        (has_lorem_ipsum, "has_lorem_ipsum"),
        (has_brace, "has_curly_brace"),
        (quality.text.is_empty(), "empty"),
    ]);
    quality.keep = quality.reason.is_none();
    quality
}
