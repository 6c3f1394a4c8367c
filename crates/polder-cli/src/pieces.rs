//! Tokens as people see them: a bar at every boundary, colours where the terminal shows them, nothing that steers it.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};

use polder_tokenizer::Tokenizer;

/// What stands between two tokens.
const BAR: char = '│';
/// Colours that take turns, readable on dark and on light; none means more than the bar already says.
const COLOURS: [&str; 4] = ["\u{1b}[36m", "\u{1b}[33m", "\u{1b}[32m", "\u{1b}[35m"];
const SPECIAL: &str = "\u{1b}[7m";
const PLAIN: &str = "\u{1b}[0m";

/// Whether standard output shows colours and the user wants them.
pub fn has_colour() -> bool {
    let unset = |name: &str| std::env::var_os(name).is_none_or(|v| v.is_empty());
    io::stdout().is_terminal() && unset("NO_COLOR") && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
}

/// Draws tokens one after another with their boundaries.
pub fn draw(tokenizer: &Tokenizer, ids: &[u32], colour: bool) -> String {
    let mut out = String::new();
    for (i, id) in ids.iter().enumerate() {
        if i > 0 {
            out.push(BAR);
        }
        let piece = piece(tokenizer, *id);
        if !colour {
            out.push_str(&piece);
            continue;
        }
        let paint = if tokenizer.is_special(*id) { SPECIAL } else { COLOURS[i % COLOURS.len()] };
        // A colour ends with its line, so that a pager that shows one line shows it right.
        let painted: Vec<String> =
            piece.split('\n').map(|l| if l.is_empty() { String::new() } else { format!("{paint}{l}{PLAIN}") }).collect();
        out.push_str(&painted.join("\n"));
    }
    out
}

/// The text of a token: bytes that are no whole character as `\xe4`, what a terminal would act upon as an escape. A line break is
/// shown, and made.
pub fn piece(tokenizer: &Tokenizer, id: u32) -> String {
    match tokenizer.token_bytes(id) {
        Some(bytes) => escaped(bytes),
        None => format!("<{id}?>"),
    }
}

fn escaped(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => out.push_str("\\n\n"),
                '\t' => out.push_str("\\t"),
                '\r' => out.push_str("\\r"),
                c if is_steering(c) => {
                    let _ = write!(out, "{}", c.escape_unicode());
                }
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// Control characters, and those that change the order in which a line is shown.
fn is_steering(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::{draw, escaped};
    use polder_tokenizer::{TrainOptions, WordCounts, train};

    #[test]
    fn what_steers_a_terminal_is_escaped_and_the_rest_is_as_it_is() {
        assert_eq!(escaped("Ufer \u{1b}[31m\u{202e}x\r\n\tö".as_bytes()), "Ufer \\u{1b}[31m\\u{202e}x\\r\\n\n\\tö");
        assert_eq!(escaped(&[b'a', 0xe4, 0xbd, b'b']), "a\\xe4\\xbdb");
    }

    #[test]
    fn boundaries_are_seen_with_and_without_colour() {
        let mut counts = WordCounts::default();
        counts.add("an an an bn");
        let options = TrainOptions { vocab_size: 259, ..TrainOptions::default() };
        let tokenizer = train(&counts, &options, &mut |_, _| {}).expect("a tokenizer");
        let mut ids = tokenizer.encode("bn an\n");
        ids.extend(tokenizer.special_id(polder_tokenizer::END_OF_TEXT));
        let plain = draw(&tokenizer, &ids, false);
        assert!(plain.contains('│') && plain.ends_with("\\n\n│<|endoftext|>"), "{plain}");
        assert!(!plain.contains('\u{1b}'));
        let coloured = draw(&tokenizer, &ids, true);
        assert!(coloured.contains("\u{1b}[7m<|endoftext|>\u{1b}[0m"), "{coloured}");
        let mut without = coloured;
        for code in super::COLOURS.iter().chain([&super::SPECIAL, &super::PLAIN]) {
            without = without.replace(code, "");
        }
        assert_eq!(without, plain, "colour adds nothing but colour");
    }
}
