//! Stop words of several languages, and whether a text lacks those of its own.

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

/// The most distinct stop words of one language, in lower case, and whether the text's language has a list of which it holds fewer than 2.
pub(super) fn lacks_stop_words(text: &str) -> (usize, bool) {
    let mut seen = [0u32; LISTS.len()];
    for word in words(text).filter(|w| w.end - w.start <= 5) {
        let word = &text[word.start..word.end];
        for ((_, list), seen) in LISTS.iter().zip(&mut seen) {
            if let Some(i) = list.iter().position(|s| s.eq_ignore_ascii_case(word)) {
                *seen |= 1 << i;
            }
        }
    }
    let most = seen.iter().map(|s| s.count_ones() as usize).max().unwrap_or(0);
    if most >= 2 {
        return (most, false);
    }
    let language = detect_language(text).code;
    (most, LISTS.iter().any(|(name, _)| *name == language))
}
