//! Sets of characters by their Unicode properties.

use std::sync::LazyLock;

use regex_syntax::hir::{Class, HirKind};

/// A set of characters as ascending ranges.
pub(crate) struct CharSet(Vec<(char, char)>);

impl CharSet {
    /// The set that a character class of the `regex` crate's syntax stands for; empty if it is none.
    fn of_class(class: &str) -> Self {
        let ranges = match regex_syntax::parse(class).map(|hir| hir.into_kind()) {
            Ok(HirKind::Class(Class::Unicode(class))) => class.iter().map(|r| (r.start(), r.end())).collect(),
            _ => Vec::new(),
        };
        Self(ranges)
    }

    pub(crate) fn has(&self, c: char) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= c);
        after > 0 && c <= self.0[after - 1].1
    }
}

macro_rules! set {
    ($name:ident, $class:literal, $what:literal) => {
        #[doc = $what]
        pub(crate) fn $name(c: char) -> bool {
            static SET: LazyLock<CharSet> = LazyLock::new(|| CharSet::of_class($class));
            SET.has(c)
        }
    };
}

set!(is_word, r"\w", "Letters, marks, decimal digits, connectors: `\\w`.");
set!(is_control, r"[\p{Cc}\p{Cf}\p{Co}]", "Control, format and private characters.");
set!(is_punctuation, r"[\p{P}!-/:-@\[-`{-~]", "General category P, and the ASCII signs.");
set!(is_mark, r"\p{M}", "Marks of any kind.");
set!(is_mark_nonspacing, r"\p{Mn}", "Marks that take no room.");

/// The blocks that BERT calls Chinese.
pub(crate) fn is_chinese(c: char) -> bool {
    matches!(
        u32::from(c),
        0x4E00..=0x9FFF
            | 0x3400..=0x4DBF
            | 0x20000..=0x2A6DF
            | 0x2A700..=0x2B73F
            | 0x2B740..=0x2B81F
            | 0x2B920..=0x2CEAF
            | 0xF900..=0xFAFF
            | 0x2F800..=0x2FA1F
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sets_hold_what_they_are_called() {
        assert!(['a', 'é', '_', '5', '\u{301}', '‿', '中'].into_iter().all(is_word) && !['²', ' ', '-', '½'].into_iter().any(is_word));
        assert!(['\0', '\u{200d}', '\u{e000}'].into_iter().all(is_control) && !['a', '\u{378}'].into_iter().any(is_control));
        assert!(['!', '$', '。', '—'].into_iter().all(is_punctuation) && !['a', '€', ' '].into_iter().any(is_punctuation));
        assert!(is_mark('\u{903}') && !is_mark_nonspacing('\u{903}') && is_mark_nonspacing('\u{301}'));
    }
}
