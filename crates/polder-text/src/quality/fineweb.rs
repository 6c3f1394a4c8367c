//! FineWeb's rules: how lines end, how short they are, how much they repeat, and how many there are.

use super::spans::share;
use super::{Analysis, Dialect, DialectError, first_broken};

/// The dialects of [`fineweb_quality`]; the first is the default.
pub const FINEWEB_DIALECTS: [Dialect; 1] = [Dialect::Datatrove];

/// The verdict on a text and the figures behind it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FinewebQuality {
    /// Whether all limits hold.
    pub keep: bool,
    /// The first limit that doesn't: `empty`, `line_punct_ratio`, `short_line_ratio`, `char_dup_ratio` or `list_ratio`.
    pub reason: Option<&'static str>,
    /// Share of lines that end in a terminal mark.
    pub line_punct_ratio: f64,
    /// Share of lines of at most 30 characters.
    pub short_line_ratio: f64,
    /// Share of characters in second and later occurrences of a line.
    pub char_dup_ratio: f64,
    /// Line feeds per word.
    pub list_ratio: f64,
}

/// Judges a text by FineWeb's rules.
///
/// Limits: at least 0.12 of the lines end in a terminal mark, at most 0.67 have 30 characters or fewer, at most 0.01 of the characters
/// stand in repeated lines, at most 0.3 line feeds per word. Blank lines are no lines. A text without lines is `empty`.
///
/// # Errors
/// The dialect isn't one of [`FINEWEB_DIALECTS`].
///
/// # Source
/// Penedo et al.: The FineWeb Datasets (2024). datatrove 0.10.1 `fineweb_quality_filter.py`.
pub fn fineweb_quality(text: &str, dialect: Dialect) -> Result<FinewebQuality, DialectError> {
    dialect.among(&FINEWEB_DIALECTS)?;
    Ok(datatrove(&Analysis::new(text)))
}

pub(super) fn datatrove(analysis: &Analysis<'_>) -> FinewebQuality {
    let lines = analysis.lines();
    let figures = FinewebQuality {
        line_punct_ratio: share(lines.n_ended, lines.n),
        short_line_ratio: share(lines.n_short, lines.n),
        char_dup_ratio: share(lines.repeated_chars, analysis.n_chars() - lines.n_line_feeds),
        list_ratio: share(lines.n_line_feeds, analysis.english_words().len()),
        ..FinewebQuality::default()
    };
    let reason = first_broken(&[
        (lines.n == 0, "empty"),
        (figures.line_punct_ratio < 0.12, "line_punct_ratio"),
        (figures.short_line_ratio > 0.67, "short_line_ratio"),
        (figures.char_dup_ratio > 0.01, "char_dup_ratio"),
        (figures.list_ratio > 0.3, "list_ratio"),
    ]);
    FinewebQuality { keep: reason.is_none(), reason, ..figures }
}
