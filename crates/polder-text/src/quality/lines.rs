//! What datatrove's rules ask of the lines of a text, found out in one pass over them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasherDefault;

use super::characters::{Characters, TERMINAL};
use super::spans::{LineHasher, n_chars, strip};

/// Pieces of a text that stand more than once.
#[derive(Default)]
pub(super) struct Repeated {
    pub(super) n: usize,
    /// Second and later occurrences, and their characters.
    pub(super) later: (usize, usize),
    /// All occurrences, and their characters.
    pub(super) all: (usize, usize),
    pub(super) chars: usize,
}

/// The pieces seen so far, and whether they were seen twice.
type Seen<'a> = HashMap<&'a str, bool, BuildHasherDefault<LineHasher>>;

/// Room for the pieces of most texts.
const N_AT_FIRST: usize = 56;

impl Repeated {
    pub(super) fn among<'a>(pieces: impl Iterator<Item = &'a str>) -> Self {
        let (mut repeated, mut seen) = (Self::default(), Seen::with_capacity_and_hasher(N_AT_FIRST, BuildHasherDefault::default()));
        pieces.for_each(|piece| _ = repeated.add(piece, n_chars(piece), &mut seen));
        repeated
    }

    /// Counts a piece; returns whether it was seen before.
    fn add<'a>(&mut self, piece: &'a str, chars: usize, seen: &mut Seen<'a>) -> bool {
        self.n += 1;
        self.chars += chars;
        match seen.entry(piece) {
            Entry::Vacant(place) => {
                place.insert(false);
                false
            }
            Entry::Occupied(mut twice) => {
                let first = usize::from(!twice.insert(true));
                self.later = (self.later.0 + 1, self.later.1 + chars);
                self.all = (self.all.0 + 1 + first, self.all.1 + chars * (1 + first));
                true
            }
        }
    }
}

/// The lines of a text.
#[derive(Default)]
pub(super) struct Lines {
    /// Among all lines between runs of line feeds.
    pub(super) repeated: Repeated,
    pub(super) n_line_feeds: usize,
    /// Lines that are not blank; how many of them end in a terminal mark, and how many are short.
    pub(super) n: usize,
    pub(super) n_ended: usize,
    pub(super) n_short: usize,
    /// Characters in second and later occurrences of those.
    pub(super) repeated_chars: usize,
}

/// Characters of the longest short line.
const SHORT_CHARS: usize = 30;

impl Lines {
    pub(super) fn of(text: &str, is_ascii: bool) -> Self {
        let (mut lines, characters) = (Self::default(), Characters::get());
        let mut seen = Seen::with_capacity_and_hasher(N_AT_FIRST, BuildHasherDefault::default());
        let mut rest = text;
        loop {
            let end = rest.bytes().position(|b| b == b'\n');
            let line = &rest[..end.unwrap_or(rest.len())];
            let is_at_edge = rest.len() == text.len() || end.is_none();
            // Empty lines between others are none: they are part of a run of line feeds.
            if !line.is_empty() || is_at_edge {
                let chars = if is_ascii { line.len() } else { n_chars(line) };
                let is_later = lines.repeated.add(line, chars, &mut seen);
                let is_blank = !line.bytes().next().is_some_and(|b| b.is_ascii_graphic()) && strip(line).is_empty();
                if !is_blank {
                    lines.n += 1;
                    lines.n_ended += usize::from(characters.is(line.chars().next_back(), TERMINAL));
                    lines.n_short += usize::from(chars <= SHORT_CHARS);
                    lines.repeated_chars += if is_later { chars } else { 0 };
                }
            }
            let Some(end) = end else { return lines };
            lines.n_line_feeds += 1;
            rest = &rest[end + 1..];
        }
    }
}
