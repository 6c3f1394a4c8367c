//! The classes of characters that expressions tell apart, worked out once from the regular-expression engine's own tables.
//!
//! Letters, marks and numbers are the general categories L*, M* and N*; white space is the property White_Space. The tables are
//! those of `regex-syntax`, so that a hand-written splitter and the engine it stands for can't disagree on a character; a test
//! holds their digest, since another version of Unicode would be another tokenizer.

use std::sync::LazyLock;

use regex_syntax::hir::{Class, HirKind};

/// What a character is to the expressions. The order matters: letters are 1 to 3, white space is 6 and 7.
pub(crate) mod class {
    /// Punctuation, symbols, controls, what is not assigned.
    pub(crate) const OTHER: u8 = 0;
    /// Lu and Lt.
    pub(crate) const UPPER: u8 = 1;
    /// Ll.
    pub(crate) const LOWER: u8 = 2;
    /// Lm and Lo: letters without case.
    pub(crate) const UNCASED: u8 = 3;
    /// M.
    pub(crate) const MARK: u8 = 4;
    /// N.
    pub(crate) const NUMBER: u8 = 5;
    /// White space that is neither carriage return nor line feed.
    pub(crate) const SPACE: u8 = 6;
    /// Carriage return and line feed.
    pub(crate) const NEWLINE: u8 = 7;
}

use class::{LOWER, MARK, NEWLINE, NUMBER, OTHER, SPACE, UNCASED, UPPER};

/// A set of classes, one bit each.
pub(crate) type Classes = u8;

/// Returns the set that holds these classes.
pub(crate) const fn set(classes: &[u8]) -> Classes {
    let (mut bits, mut i) = (0, 0);
    while i < classes.len() {
        bits |= 1 << classes[i];
        i += 1;
    }
    bits
}

pub(crate) const LETTERS: Classes = set(&[UPPER, LOWER, UNCASED]);
pub(crate) const NUMBERS: Classes = set(&[NUMBER]);
pub(crate) const SPACES: Classes = set(&[SPACE, NEWLINE]);
pub(crate) const NEWLINES: Classes = set(&[NEWLINE]);
/// Neither white space nor letter nor number.
pub(crate) const OTHERS: Classes = set(&[OTHER, MARK]);

/// The class of every ASCII character, as a set.
pub(crate) const ASCII: [Classes; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 128 {
        table[i] = 1
            << match i as u8 {
                b'a'..=b'z' => LOWER,
                b'A'..=b'Z' => UPPER,
                b'0'..=b'9' => NUMBER,
                b'\r' | b'\n' => NEWLINE,
                b'\t'..=b'\r' | b' ' => SPACE,
                _ => OTHER,
            };
        i += 1;
    }
    table
};

const BLOCK: usize = 128;

/// The class of every character in two stages: blocks that are alike are stored once.
pub(crate) struct ClassTable {
    blocks: Box<[u16]>,
    classes: Box<[Classes]>,
}

static TABLE: LazyLock<ClassTable> = LazyLock::new(ClassTable::build);

/// The table; the first call works it out, in about a millisecond.
pub(crate) fn table() -> &'static ClassTable {
    &TABLE
}

impl ClassTable {
    fn build() -> Self {
        let mut flat = vec![1u8 << OTHER; char::MAX as usize + 1];
        let categories = [
            (r"[\p{Lu}\p{Lt}]", UPPER),
            (r"\p{Ll}", LOWER),
            (r"[\p{Lm}\p{Lo}]", UNCASED),
            (r"\p{M}", MARK),
            (r"\p{N}", NUMBER),
            (r"\s", SPACE),
            (r"[\r\n]", NEWLINE),
        ];
        for (expression, class) in categories {
            for (first, last) in ranges(expression) {
                flat[first as usize..=last as usize].fill(1 << class);
            }
        }
        let (mut blocks, mut classes): (Vec<u16>, Vec<Classes>) = (Vec::new(), Vec::new());
        for block in flat.chunks(BLOCK) {
            let known = classes.chunks(BLOCK).position(|c| c == block);
            blocks.push(known.unwrap_or(classes.len() / BLOCK) as u16);
            if known.is_none() {
                classes.extend_from_slice(block);
            }
        }
        Self { blocks: blocks.into(), classes: classes.into() }
    }

    /// The class of a character, as a set of one.
    #[inline]
    pub(crate) fn of(&self, c: u32) -> Classes {
        let block = self.blocks.get(c as usize / BLOCK).copied().unwrap_or(0);
        self.classes.get(usize::from(block) * BLOCK + c as usize % BLOCK).copied().unwrap_or(1 << OTHER)
    }
}

/// The characters of a class expression, as (first, last).
fn ranges(expression: &str) -> Vec<(u32, u32)> {
    // The expressions are the constants above: they parse, and each is one class.
    match regex_syntax::parse(expression).map(|hir| hir.into_kind()) {
        Ok(HirKind::Class(Class::Unicode(class))) => class.ranges().iter().map(|r| (r.start() as u32, r.end() as u32)).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classes_are_those_of_unicode_16() {
        let mut counts = [0usize; 8];
        let mut all = Vec::new();
        for c in (0..=char::MAX as u32).filter_map(char::from_u32) {
            let class = table().of(c as u32);
            assert_eq!(class.count_ones(), 1, "{c:?}");
            counts[class.trailing_zeros() as usize] += 1;
            all.push(class);
            assert_eq!(class & SPACES != 0, c.is_whitespace(), "{c:?}");
            assert!(!c.is_ascii() || ASCII[c as usize] == class, "{c:?}");
        }
        // Lu and Lt, Ll, Lm and Lo, M, N, and white space in two parts.
        assert_eq!(counts[1..], [1889, 2258, 136_881, 2501, 1911, 23, 2]);
        assert_eq!(polder_base::digest_bytes(&all).to_string(), "sha256:b331d92d1cd042c7c3c2cabd0eeb5fad46dd8e684b0cfee805c831564e2d2df0");
    }
}
