//! What is known about single characters, read once from `lists/english_words.txt`.

use std::sync::LazyLock;

/// The list: classes of characters, units, and words with tokens of their own.
pub(super) static LIST: &str = include_str!("../../lists/english_words.txt");

/// The name of a class in the list, and its bit.
const CLASSES: [(&str, u32); 16] = [
    ("alpha", ALPHA),
    ("lower", LOWER),
    ("upper", UPPER),
    ("icon", ICON),
    ("quote", QUOTE),
    ("prefix", PREFIX),
    ("suffix", SUFFIX),
    ("currency", CURRENCY),
    ("before_stop", BEFORE_STOP),
    ("letter", LETTER),
    ("numeric", NUMERIC),
    ("digit", DIGIT),
    ("punctuation", PUNCTUATION),
    ("sentence_end", SENTENCE_END),
    ("terminal", TERMINAL),
    ("symbol", SYMBOL),
];

/// A letter of the scripts for which the tokenizer has infix rules.
pub(super) const ALPHA: u32 = 1;
/// Such a letter in lower case, or of a script without case.
pub(super) const LOWER: u32 = 1 << 1;
/// Such a letter in upper case, or of a script without case.
pub(super) const UPPER: u32 = 1 << 2;
/// A pictogram.
pub(super) const ICON: u32 = 1 << 3;
/// A quotation mark or bracket.
pub(super) const QUOTE: u32 = 1 << 4;
/// What is cut off at the beginning of a word.
pub(super) const PREFIX: u32 = 1 << 5;
/// What is cut off at the end of a word.
pub(super) const SUFFIX: u32 = 1 << 6;
/// A sign of a currency.
pub(super) const CURRENCY: u32 = 1 << 7;
/// After which a full stop is cut off.
pub(super) const BEFORE_STOP: u32 = 1 << 8;
/// Unicode's categories L*, as Python's `isalpha`.
pub(super) const LETTER: u32 = 1 << 9;
/// What has a numeric value, as Python's `isnumeric`.
pub(super) const NUMERIC: u32 = 1 << 10;
/// As Python's `isdigit`.
pub(super) const DIGIT: u32 = 1 << 11;
/// Unicode's categories P*.
pub(super) const PUNCTUATION: u32 = 1 << 12;
/// What ends a sentence for the tokenizer.
pub(super) const SENTENCE_END: u32 = 1 << 13;
/// What ends a line for FineWeb's rules.
pub(super) const TERMINAL: u32 = 1 << 14;
/// What makes no word for Gopher's rules.
pub(super) const SYMBOL: u32 = 1 << 15;
/// White space, as Python's `isspace`; not in the list.
pub(super) const SPACE: u32 = 1 << 16;

const BLOCK: usize = 256;

/// The classes of every character, in blocks of 256 of which equal ones are kept once.
struct Table {
    ascii: [u32; 128],
    block_of: Vec<u16>,
    blocks: Vec<[u32; BLOCK]>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut all = vec![0u32; 0x11_0000];
    let mut mark = |first: u32, last: u32, bit: u32| (first..=last).for_each(|c| all[c as usize] |= bit);
    for line in LIST.lines() {
        let mut fields = line.split(' ');
        if fields.next() != Some("class") {
            continue;
        }
        let name = fields.next();
        let Some((_, bit)) = CLASSES.iter().find(|(n, _)| Some(*n) == name) else { continue };
        for range in fields {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            if let (Ok(first), Ok(last)) = (u32::from_str_radix(first, 16), u32::from_str_radix(last, 16)) {
                mark(first, last.min(0x10_ffff), *bit);
            }
        }
    }
    (0..=0x3000).filter(|c| char::from_u32(*c).is_some_and(is_space)).for_each(|c| mark(c, c, SPACE));
    let mut ascii = [0; 128];
    ascii.copy_from_slice(&all[..128]);
    let mut blocks: Vec<[u32; BLOCK]> = Vec::new();
    let block_of = all
        .as_chunks::<BLOCK>()
        .0
        .iter()
        .map(|block| {
            let at = blocks.iter().position(|b| b == block).unwrap_or_else(|| {
                blocks.push(*block);
                blocks.len() - 1
            });
            u16::try_from(at).unwrap_or(0)
        })
        .collect();
    Table { ascii, block_of, blocks }
});

/// The classes of characters, borrowed once for many look-ups.
#[derive(Clone, Copy)]
pub(super) struct Characters(&'static Table);

impl Characters {
    pub(super) fn get() -> Self {
        Self(&TABLE)
    }

    /// The classes of a character, as bits.
    #[inline]
    pub(super) fn of(self, c: char) -> u32 {
        let at = c as usize;
        self.0.blocks[usize::from(self.0.block_of[at / BLOCK])][at % BLOCK]
    }

    /// The classes of an ASCII character; none for other bytes.
    #[inline]
    pub(super) fn of_ascii(self, byte: u8) -> u32 {
        if byte < 128 { self.0.ascii[usize::from(byte)] } else { 0 }
    }

    /// Whether the character is of one of these classes.
    #[inline]
    pub(super) fn is(self, c: Option<char>, classes: u32) -> bool {
        c.is_some_and(|c| self.of(c) & classes != 0)
    }
}

/// Whether Python calls it white space: Unicode's, and the four separators of ASCII.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}
