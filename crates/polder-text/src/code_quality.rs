//! Whether a text looks like source code that somebody wrote: no endless lines, not mostly symbols.
//!
//! The limits are those of the filters used for StarCoder's training data. They hold for prose too, with one
//! exception to know: text without line breaks (a paragraph a line) may fail the limit on mean length.

use crate::characters::{ALPHANUMERIC, Characters};

/// Longest line that hand-written code has, in characters.
const LINE_LENGTH_MAX: usize = 1000;
/// Largest mean length of a line, in characters.
const LINE_LENGTH_MEAN: f64 = 100.0;
/// Smallest share of letters and digits among all characters.
const ALPHANUMERIC_SHARE: f64 = 0.25;

/// The verdict on a source file and the figures behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct CodeQuality {
    /// Whether all limits hold.
    pub keep: bool,
    /// The first limit that doesn't: `code_empty`, `code_long_line`, `code_long_lines` or `code_few_alphanumeric`.
    pub reason: Option<&'static str>,
    /// Number of lines.
    pub n_lines: usize,
    /// Length of the longest line in characters.
    pub max_line_length: usize,
    /// Mean length of the lines in characters.
    pub mean_line_length: f64,
    /// Share of letters and digits among all characters, line ends included.
    pub alphanumeric_share: f64,
}

/// Judges a text by its line lengths and its share of letters and digits; the empty text is not kept.
pub fn code_quality(text: &str) -> CodeQuality {
    let (mut n_chars, mut n_alphanumeric) = (0usize, 0usize);
    let (mut n_lines, mut longest, mut total) = (0usize, 0usize, 0usize);
    let mut end_line = |length: usize| {
        n_lines += 1;
        longest = longest.max(length);
        total += length;
    };
    let mut line = 0usize;
    if text.is_ascii() && !text.contains('\r') {
        // Most source code: a character is a byte, and a line lies between its ends.
        (n_chars, n_alphanumeric) = (text.len(), text.bytes().filter(u8::is_ascii_alphanumeric).count());
        let mut start = 0;
        for (i, _) in text.bytes().enumerate().filter(|(_, b)| *b == b'\n') {
            end_line(i - start);
            start = i + 1;
        }
        line = text.len() - start;
    } else {
        let characters = Characters::get();
        for c in text.chars() {
            n_chars += 1;
            n_alphanumeric += usize::from(characters.is(c, ALPHANUMERIC));
            if c == '\n' {
                end_line(std::mem::take(&mut line));
            } else if c != '\r' {
                line += 1;
            }
        }
    }
    if line > 0 {
        end_line(line);
    }
    let share = |part: usize, whole: usize| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    let mean_line_length = share(total, n_lines);
    let alphanumeric_share = share(n_alphanumeric, n_chars);
    let reason = if total == 0 {
        Some("code_empty")
    } else if longest > LINE_LENGTH_MAX {
        Some("code_long_line")
    } else if mean_line_length > LINE_LENGTH_MEAN {
        Some("code_long_lines")
    } else if alphanumeric_share < ALPHANUMERIC_SHARE {
        Some("code_few_alphanumeric")
    } else {
        None
    };
    CodeQuality { keep: reason.is_none(), reason, n_lines, max_line_length: longest, mean_line_length, alphanumeric_share }
}
