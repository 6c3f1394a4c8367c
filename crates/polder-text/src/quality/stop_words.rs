//! Stop words of several languages, and whether a text lacks those of its own.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::language::detect_language;
use crate::words::words;

/// Gopher's list.
pub(super) const ENGLISH: [&str; 8] = ["the", "be", "to", "of", "and", "that", "have", "with"];

/// The same idea for other languages: articles, conjunctions, prepositions and forms of to be and to have.
const LISTS: [(&str, &[&str]); 8] = [
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

/// For each stop word, the lists it is in, and its place there.
static PLACES: LazyLock<HashMap<u64, Vec<(usize, usize)>>> = LazyLock::new(|| {
    let mut places: HashMap<u64, Vec<(usize, usize)>> = HashMap::new();
    for (l, (_, list)) in LISTS.iter().enumerate() {
        list.iter().enumerate().for_each(|(i, word)| places.entry(key(word)).or_default().push((l, i)));
    }
    places
});

/// The most distinct stop words of one language, in any case, and whether the text's language has a list of which it holds fewer than 2.
pub(super) fn lacks_stop_words(text: &str) -> (usize, bool) {
    let places = &*PLACES;
    let mut seen = [0u32; LISTS.len()];
    for word in words(text).filter(|w| w.end - w.start <= 5) {
        for (list, i) in places.get(&key(&text[word.start..word.end])).into_iter().flatten() {
            seen[*list] |= 1 << i;
        }
    }
    let most = seen.iter().map(|s| s.count_ones() as usize).max().unwrap_or(0);
    if most >= 2 {
        return (most, false);
    }
    let language = detect_language(text).code;
    (most, LISTS.iter().any(|(name, _)| *name == language))
}
