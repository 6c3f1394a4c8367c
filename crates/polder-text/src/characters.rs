//! What is known of single characters: read from Unicode's tables once, looked up from then on.

use std::sync::LazyLock;

/// The first character of the lower case; of the few letters with a longer one, it stands for all.
pub(crate) const LOWER: u32 = (1 << 21) - 1;
/// Letters, and the marks that are written on and between them.
pub(crate) const LETTER: u32 = 1 << 21;
/// What has a numeric value, in scripts that put spaces between words.
pub(crate) const DIGIT: u32 = 1 << 22;
/// White space and controls.
pub(crate) const SPACE: u32 = 1 << 23;
pub(crate) const LINE_FEED: u32 = 1 << 24;
/// A word of its own, see [`stands_alone`].
pub(crate) const ALONE: u32 = 1 << 25;
pub(crate) const UNDERSCORE: u32 = 1 << 26;
/// As [`char::is_alphabetic`].
pub(crate) const ALPHABETIC: u32 = 1 << 27;
/// As [`char::is_alphanumeric`].
pub(crate) const ALPHANUMERIC: u32 = 1 << 28;
/// The lower case is more than one character.
pub(crate) const LONG_LOWER: u32 = 1 << 29;
/// As [`char::is_whitespace`].
pub(crate) const WHITE_SPACE: u32 = 1 << 30;

/// The characters that all but a few texts are made of.
static ABOUT: LazyLock<Vec<u32>> = LazyLock::new(|| (0..0x1_0000).map(|c| char::from_u32(c).map_or(0, by_rule)).collect());

/// What is known of characters, borrowed once for many look-ups.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Characters(&'static [u32]);

impl Characters {
    pub(crate) fn get() -> Self {
        Self(&ABOUT)
    }

    #[inline]
    pub(crate) fn of(self, c: char) -> u32 {
        self.0.get(c as usize).copied().unwrap_or_else(|| by_rule(c))
    }

    #[inline]
    pub(crate) fn is(self, c: char, flags: u32) -> bool {
        self.of(c) & flags != 0
    }
}

fn by_rule(c: char) -> u32 {
    let flag = |is: bool, flag: u32| if is { flag } else { 0 };
    let mut lower = c.to_lowercase();
    u32::from(lower.next().unwrap_or(c))
        | flag(lower.next().is_some(), LONG_LOWER)
        | flag(is_letter_by_rule(c), LETTER)
        | flag(c.is_numeric() && !stands_alone(c), DIGIT)
        | flag(c.is_whitespace() || c.is_control(), SPACE)
        | flag(c == '\n', LINE_FEED)
        | flag(stands_alone(c), ALONE)
        | flag(c == '_', UNDERSCORE)
        | flag(c.is_alphabetic(), ALPHABETIC)
        | flag(c.is_alphanumeric(), ALPHANUMERIC)
        | flag(c.is_whitespace(), WHITE_SPACE)
}

/// Letters, and the marks that are written on and between them: vowel signs and viramas aren't all alphabetic to Unicode.
pub(crate) fn is_letter(c: char) -> bool {
    Characters::get().is(c, LETTER)
}

fn is_letter_by_rule(c: char) -> bool {
    match u32::from(c) {
        0..0x300 => c.is_alphabetic(),
        0x300..=0x36f | 0x591..=0x5bd | 0x5bf | 0x5c1..=0x5c2 | 0x5c4..=0x5c5 | 0x64b..=0x65f | 0x1ab0..=0x1aff | 0x200c..=0x200d => true,
        0x964..=0x965 | 0xe3f | 0xe4f | 0xe5a..=0xe5b => false,
        0x900..=0xfff | 0x1000..=0x109f | 0x1780..=0x17d3 | 0x1712..=0x1715 => !c.is_numeric(),
        _ => c.is_alphabetic(),
    }
}

/// Whether a character is a word of its own: scripts that put no spaces between words.
pub(crate) fn stands_alone(c: char) -> bool {
    matches!(u32::from(c),
        0x0e00..=0x0eff | 0x1000..=0x109f | 0x1780..=0x17ff | 0x3040..=0x30ff | 0x3400..=0x9fff | 0xf900..=0xfaff | 0x20000..=0x3ffff)
}

#[test]
fn the_table_says_of_every_character_what_the_standard_library_says() {
    let table = Characters::get();
    for c in '\0'..=char::MAX {
        let about = table.of(c);
        let lower: Vec<char> = c.to_lowercase().collect();
        assert_eq!((about & LOWER, about & LONG_LOWER != 0), (u32::from(lower[0]), lower.len() > 1), "{c:?}");
        assert_eq!(about & ALPHABETIC != 0, c.is_alphabetic(), "{c:?}");
        assert_eq!(about & ALPHANUMERIC != 0, c.is_alphanumeric(), "{c:?}");
        assert_eq!(about & WHITE_SPACE != 0, c.is_whitespace(), "{c:?}");
        assert_eq!(about & ALONE != 0, stands_alone(c), "{c:?}");
    }
}
