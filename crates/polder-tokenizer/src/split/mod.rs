//! GPT-2's splitter, written by hand: `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.
//!
//! Letters and numbers are those of Unicode 16.0.0, white space is the property White_Space. The pieces of a text,
//! put together, are the text. The expression without hand work stands in the tests and is compared with this.

mod unicode;

use std::iter::FusedIterator;
use std::sync::LazyLock;

use unicode::{LETTERS, NUMBERS};

/// How text is cut into the pieces that merges never cross.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Splitter {
    /// GPT-2's expression.
    #[default]
    Gpt2,
}

impl Splitter {
    /// Gives the pieces of a text to `each`, in order.
    pub fn split<'t>(&self, text: &'t str, each: &mut impl FnMut(&'t [u8])) {
        pieces(text).for_each(|piece| each(piece.as_bytes()));
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Class {
    Other,
    Letter,
    Number,
    Space,
}

/// One byte a character of the basic plane, filled from the ranges at first use.
static BASIC: LazyLock<Box<[Class]>> = LazyLock::new(|| (0..0x1_0000u32).map(class_by_search).collect());

fn is_in(ranges: &[(u32, u32)], c: u32) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= c);
    after > 0 && c <= ranges[after - 1].1
}

fn class_by_search(c: u32) -> Class {
    if is_in(LETTERS, c) {
        Class::Letter
    } else if is_in(NUMBERS, c) {
        Class::Number
    } else if char::from_u32(c).is_some_and(char::is_whitespace) {
        Class::Space
    } else {
        Class::Other
    }
}

const ASCII: [Class; 128] = {
    let mut table = [Class::Other; 128];
    let mut i = 0;
    while i < 128 {
        table[i] = match i as u8 {
            b'a'..=b'z' | b'A'..=b'Z' => Class::Letter,
            b'0'..=b'9' => Class::Number,
            b'\t'..=b'\r' | b' ' => Class::Space,
            _ => Class::Other,
        };
        i += 1;
    }
    table
};

/// The pieces of a text, in order.
#[derive(Clone, Debug)]
pub struct Pieces<'a> {
    rest: &'a str,
    basic: &'a [Class],
}

/// Splits a text into the pieces that merges never cross.
pub fn pieces(text: &str) -> Pieces<'_> {
    Pieces { rest: text, basic: &BASIC }
}

impl Pieces<'_> {
    /// The class and length in bytes of the character at `at`; `None` at the end.
    #[inline]
    fn class_at(&self, at: usize) -> Option<(Class, usize)> {
        let byte = *self.rest.as_bytes().get(at)?;
        if byte < 128 {
            return Some((ASCII[usize::from(byte)], 1));
        }
        let c = self.rest.get(at..)?.chars().next()?;
        let code = c as u32;
        let class = self.basic.get(code as usize).copied().unwrap_or_else(|| class_by_search(code));
        Some((class, c.len_utf8()))
    }

    /// The end of the run of `class` that `from` stands in.
    #[inline]
    fn run_end(&self, from: usize, class: Class) -> usize {
        let bytes = self.rest.as_bytes();
        let mut at = from;
        loop {
            while at < bytes.len() && bytes[at] < 128 && ASCII[usize::from(bytes[at])] == class {
                at += 1;
            }
            match self.class_at(at) {
                Some((c, n)) if c == class => at += n,
                _ => return at,
            }
        }
    }

    /// The length of `'s`, `'t`, `'re`, `'ve`, `'m`, `'ll` or `'d` at the start.
    #[inline]
    fn contraction(&self) -> Option<usize> {
        match self.rest.as_bytes() {
            [b'\'', b's' | b't' | b'm' | b'd', ..] => Some(2),
            [b'\'', b'r' | b'v', b'e', ..] | [b'\'', b'l', b'l', ..] => Some(3),
            _ => None,
        }
    }

    fn first_piece_end(&self) -> Option<usize> {
        if let Some(end) = self.contraction() {
            return Some(end);
        }
        let (class, n) = self.class_at(0)?;
        if class != Class::Space {
            return Some(self.run_end(n, class));
        }
        if self.rest.as_bytes()[0] == b' '
            && let Some((next, m)) = self.class_at(1)
            && next != Class::Space
        {
            return Some(self.run_end(1 + m, next));
        }
        let end = self.run_end(n, Class::Space);
        if end == self.rest.len() {
            return Some(end);
        }
        // `\s+(?!\S)` leaves the last white space to the word that follows; a single one cannot be left, so `\s+` takes it.
        let last = self.rest[..end].char_indices().next_back().map_or(0, |(i, _)| i);
        Some(if last == 0 { end } else { last })
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a str;
    #[inline]
    fn next(&mut self) -> Option<&'a str> {
        let (piece, rest) = self.rest.split_at(self.first_piece_end()?);
        self.rest = rest;
        Some(piece)
    }
}

impl FusedIterator for Pieces<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The expression, alternative by alternative, over characters with backtracking and no shortcut.
    fn slow(text: &str) -> Vec<String> {
        let chars: Vec<char> = text.chars().collect();
        let class = |i: usize| chars.get(i).map(|c| class_by_search(*c as u32));
        let mut out = Vec::new();
        let mut at = 0;
        while at < chars.len() {
            let rest: String = chars[at..].iter().take(3).collect();
            let run = |from: usize, wanted: Class| (from..chars.len()).take_while(|i| class(*i) == Some(wanted)).count();
            let mut n = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"].iter().find(|c| rest.starts_with(**c)).map_or(0, |c| c.len());
            for wanted in [Class::Letter, Class::Number, Class::Other] {
                if n == 0 {
                    let space = usize::from(chars[at] == ' ' && run(at + 1, wanted) > 0);
                    let body = run(at + space, wanted);
                    n = if body > 0 { space + body } else { 0 };
                }
            }
            if n == 0 {
                let spaces = run(at, Class::Space);
                n = (1..=spaces).rev().find(|k| class(at + k).is_none_or(|c| c == Class::Space)).unwrap_or(spaces);
            }
            out.push(chars[at..at + n].iter().collect());
            at += n;
        }
        out
    }

    #[test]
    fn text_is_split_as_gpt2_splits_it() {
        let cases: [(&str, &[&str]); 8] = [
            ("", &[]),
            ("Hello world", &["Hello", " world"]),
            ("it's they'll 'tis we've'd", &["it", "'s", " they", "'ll", " '", "tis", " we", "'ve", "'d"]),
            ("a  b\n\n  c ", &["a", " ", " b", "\n\n ", " c", " "]),
            ("x=12,3;\n", &["x", "=", "12", ",", "3", ";", "\n"]),
            (" \u{a0}né ²x", &[" ", "\u{a0}", "né", " ²", "x"]),
            ("\t\tif", &["\t", "\t", "if"]),
            ("!'s ''s", &["!'", "s", " ''", "s"]),
        ];
        for (text, expected) in cases {
            assert_eq!(pieces(text).collect::<Vec<_>>(), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn the_splitter_agrees_with_the_expression(text in "([ \t\n'a-zA-Z0-9é中²\u{300}\u{a0}\u{3000}!.-]|\\PC){0,60}") {
            prop_assert_eq!(pieces(&text).map(str::to_owned).collect::<Vec<_>>(), slow(&text));
        }

        #[test]
        fn the_pieces_are_the_text(text in any::<String>()) {
            prop_assert_eq!(pieces(&text).collect::<String>(), text);
        }
    }
}
