//! RefinedWeb's rules as DCLM rebuilt them: Gopher's, then lines are taken out, and what lost too much is dropped.

use std::sync::LazyLock;

use regex::Regex;

use super::characters::{Characters, DIGIT, is_space};
use super::spans::{share, strip};
use super::{Analysis, Dialect, DialectError, gopher, repetition};

/// The dialects of [`refinedweb_quality`]; the first is the default.
pub const REFINEDWEB_DIALECTS: [Dialect; 1] = [Dialect::Dclm];

/// The verdict on a page, what the rules leave of it, and the figures behind it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RefinedwebQuality {
    /// Whether the page stays.
    pub keep: bool,
    /// The first step that drops it, by DCLM's name.
    pub reason: Option<&'static str>,
    /// What the steps leave; nothing where one dropped the page before.
    pub text: String,
    /// Words before lines were taken out.
    pub n_words: usize,
    /// Share of those that went.
    pub removed_words_share: f64,
    /// Lines before, of the text with at most two line feeds in a row.
    pub n_lines: usize,
    /// Lines after.
    pub n_kept_lines: usize,
}

/// Judges a page by RefinedWeb's rules, and gives what they leave of it.
///
/// At most two line feeds in a row stay. Then come the rules of [`super::gopher_quality`] and [`super::gopher_repetition`] in DCLM's dialect.
/// Then lines go: more than 0.5 capitals; digits alone; counters (`3 likes`); a single word; and from lines of at most 10 words the
/// phrases `items in cart`, `Read more...` at the end and `Sign-in` at the beginning. Last, at most 0.05 of the words may have gone.
/// Steps on URLs and on the language of a page are not among these rules.
///
/// # Errors
/// The dialect isn't one of [`REFINEDWEB_DIALECTS`].
///
/// # Source
/// Penedo et al.: The RefinedWeb Dataset (2023), appendix G. DCLM `baselines_configs/dclm_baseline_refinedweb.yaml`, `mappers/modifiers.py`.
pub fn refinedweb_quality(text: &str, dialect: Dialect) -> Result<RefinedwebQuality, DialectError> {
    dialect.among(&REFINEDWEB_DIALECTS)?;
    let text = at_most_two_line_feeds(text);
    let n_words = gopher::fasttext_words(&text);
    let page = RefinedwebQuality { n_words, n_lines: text.split('\n').count(), ..RefinedwebQuality::default() };
    let gone = gopher::dclm(&Analysis::new(&text)).reason.or_else(|| repetition::dclm(&text).reason);
    if gone.is_some() {
        return Ok(RefinedwebQuality { reason: gone, ..page });
    }
    Ok(match modified(text) {
        Err(reason) => RefinedwebQuality { reason: Some(reason), removed_words_share: share(n_words, n_words), ..page },
        Ok(text) => {
            let removed_words_share = share(n_words.saturating_sub(gopher::fasttext_words(&text)), n_words);
            let reason = (removed_words_share > 0.05).then_some("word_removal_ratio_filter");
            RefinedwebQuality { keep: reason.is_none(), reason, n_kept_lines: text.split('\n').count(), text, removed_words_share, ..page }
        }
    })
}

fn at_most_two_line_feeds(text: &str) -> String {
    let mut n = 0;
    let is_kept = |c: &char| {
        n = if *c == '\n' { n + 1 } else { 0 };
        n <= 2
    };
    text.chars().filter(is_kept).collect()
}

static COUNTER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let counted = "likes|shares|comments|retweets|reposts|quotes|bookmarks|upvotes|downvotes|downloads|views|followers";
    Regex::new(&format!(r"^\W*\d[,.\d]*[kmb]?\s+(?:{counted})\W*$")).ok()
});

/// What is taken out of short lines: anywhere, at the end (where DCLM's three full stops stand for any three characters), in front.
static PHRASES: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    [r"(?i)\s?items in cart", r"(?i)\s?read more...$", r"(?i)^sign-in\s?"].iter().filter_map(|p| Regex::new(p).ok()).collect()
});

const PHRASE_LINE_WORDS_MAX: usize = 10;

/// The text behind all steps on lines, or the step that left nothing.
fn modified(mut text: String) -> Result<String, &'static str> {
    let characters = Characters::get();
    let share_of = |line: &str, is: &dyn Fn(char) -> bool| share(line.chars().filter(|c| is(*c)).count(), line.chars().count());
    let has_few_capitals = |line: &str| share_of(line, &char::is_uppercase) <= 0.5;
    let is_no_number = |line: &str| share_of(line, &|c| characters.of(c) & DIGIT != 0) <= 0.999_999;
    let is_no_counter = |line: &str| !COUNTER.as_ref().is_some_and(|counter| counter.is_match(&line.to_lowercase()));
    type Step<'a> = (&'static str, &'a dyn Fn(&str) -> bool);
    let steps: [Step; 3] = [
        ("uppercase_ratio_line_modifier", &has_few_capitals),
        ("numeric_ratio_line_modifier", &is_no_number),
        ("counter_line_modifier", &is_no_counter),
    ];
    for (name, is_kept) in steps {
        text = filled(strip(&kept_lines(&text, is_kept)), name)?;
    }
    text = filled(&kept_lines(&text, &|line| words(line).take(2).count() == 2 || line.is_empty()), "line_length_modifier")?;
    for phrase in PHRASES.iter() {
        let lines: Vec<_> = text
            .split('\n')
            .filter_map(|line| {
                if words(line).take(PHRASE_LINE_WORDS_MAX + 1).count() > PHRASE_LINE_WORDS_MAX {
                    return Some(line.into());
                }
                let left = phrase.replace_all(line, "");
                (line.is_empty() || !strip(&left).is_empty()).then_some(left)
            })
            .collect();
        text = filled(strip(&lines.join("\n")), "substring_line_modifier")?;
    }
    Ok(text)
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(is_space).filter(|w| !w.is_empty())
}

fn kept_lines(text: &str, is_kept: &dyn Fn(&str) -> bool) -> String {
    text.split('\n').filter(|l| l.is_empty() || is_kept(l)).collect::<Vec<_>>().join("\n")
}

fn filled(text: &str, step: &'static str) -> Result<String, &'static str> {
    if text.is_empty() { Err(step) } else { Ok(text.to_owned()) }
}
