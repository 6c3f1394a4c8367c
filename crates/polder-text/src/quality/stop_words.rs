//! Stop words of several languages, and whether a text lacks those of its own.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::language::detect_language;

/// Gopher's list.
pub(super) const ENGLISH: [&str; 8] = ["the", "be", "to", "of", "and", "that", "have", "with"];

/// The same idea for other languages: articles, conjunctions, prepositions and forms of to be and to have.
pub(super) const LISTS: [(&str, &[&str]); 8] = [
    ("en", &ENGLISH),
    ("de", &["der", "die", "das", "und", "ist", "zu", "mit", "nicht", "ein", "eine", "von", "den", "auf", "dass"]),
    ("fr", &["le", "la", "les", "et", "est", "de", "des", "une", "que", "dans", "pour", "qui", "avec", "pas"]),
    ("es", &["el", "los", "las", "y", "es", "de", "que", "una", "para", "con", "por", "del", "en", "no"]),
    ("it", &["il", "di", "che", "è", "la", "per", "una", "con", "non", "sono", "del", "della", "e", "gli"]),
    ("nl", &["de", "het", "een", "en", "van", "is", "dat", "niet", "met", "voor", "zijn", "op", "aan", "te"]),
    ("pt", &["o", "os", "as", "e", "é", "de", "que", "uma", "para", "com", "não", "do", "da", "em"]),
    ("pl", &["i", "w", "na", "z", "się", "nie", "jest", "że", "do", "to", "jak", "po", "od", "są"]),
];

/// A word of at most 8 bytes as a number, letters of ASCII in lower case.
fn key(word: &str) -> u64 {
    word.bytes().fold(0, |key, b| key << 8 | u64::from(b.to_ascii_lowercase()))
}

/// For each stop word by its key, the lists it is in, and its place there.
static PLACES: LazyLock<HashMap<u64, Vec<(usize, usize)>>> = LazyLock::new(|| {
    let mut places: HashMap<u64, Vec<(usize, usize)>> = HashMap::new();
    for (l, (_, list)) in LISTS.iter().enumerate() {
        list.iter().enumerate().for_each(|(i, word)| places.entry(key(word)).or_default().push((l, i)));
    }
    places
});

/// A mark for some bits of each key, which few other words have.
static IS_LIKELY: LazyLock<[bool; FILTER]> = LazyLock::new(|| {
    let mut is = [false; FILTER];
    PLACES.keys().for_each(|key| is[bit(*key)] = true);
    is
});

const FILTER: usize = 1 << 12;
/// Bytes of the longest stop word.
const BYTES_MAX: usize = 5;

fn bit(key: u64) -> usize {
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52) as usize
}

/// Which stop words a text has, in any case.
#[derive(Default)]
pub(super) struct StopWords([u32; LISTS.len()]);

impl StopWords {
    pub(super) fn add(&mut self, word: &str) {
        if word.len() > BYTES_MAX {
            return;
        }
        let key = key(word);
        if IS_LIKELY[bit(key)] {
            PLACES.get(&key).into_iter().flatten().for_each(|(list, i)| self.0[*list] |= 1 << i);
        }
    }

    /// The most distinct ones of one language, and whether the text's language has a list of which it holds fewer than 2.
    pub(super) fn lacking(&self, text: &str) -> (usize, bool) {
        let most = self.0.iter().map(|s| s.count_ones() as usize).max().unwrap_or(0);
        if most >= 2 {
            return (most, false);
        }
        let language = detect_language(text).code;
        (most, LISTS.iter().any(|(name, _)| *name == language))
    }
}
