//! Pure functions on text: what language it is in, what it gives away about people, under which
//! licence it stands, how good it looks, and which other texts it resembles.
//!
//! It does no I/O, keeps no state, knows neither Arrow nor SQL, and never panics on any string.
//! Every function takes time linear in the length of the text and has a stated answer for the
//! empty one. Start with [`words()`], which says what a word is for all the others.

pub mod classifier;
mod code_quality;
mod copyright;
mod digest;
mod gopher_quality;
mod language;
mod license;
mod minhash;
mod pii;
mod pii_checksum;
mod profanity;
mod programming_language;
mod script;
mod secrets;
mod words;

pub use code_quality::{CodeQuality, code_quality};
pub use copyright::{CopyrightNotice, copyright_notices};
pub use digest::{exact_digest, hash_share, normalized, text_digest};
pub use gopher_quality::{GopherQuality, gopher_quality};
pub use language::{DetectedLanguage, LanguageIdentifier, UNDETERMINED, detect_language};
pub use license::{LicenseMatch, license};
pub use minhash::{BANDS, MinhashError, N_PERMUTATIONS, NGRAM, ROWS, jaccard, jaccard_estimate, minhash, minhash_bands, shingles};
pub use pii::{PII_KINDS, pii, pii_redact, pii_redact_kinds};
pub use profanity::{hap_score, profanity};
pub use programming_language::{
    CLASSIFIER_BYTES, LOOK_BYTES, classifier_text, programming_language, programming_language_by, programming_language_type,
};
pub use script::{NO_SCRIPT, script};
pub use secrets::{SECRET_KINDS, secrets};
pub use words::{Word, Words, words};

/// Something found at a place in a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What it is, in lower-case words joined by `_`.
    pub kind: &'static str,
    /// Where it begins, in characters.
    pub start: usize,
    /// Where it ends, in characters, one past the last.
    pub end: usize,
    /// How sure the rule is, from 0 to 1.
    pub score: f64,
}

/// Turns sorted, disjoint byte spans into findings that count characters.
fn in_characters(text: &str, spans: &[ByteSpan]) -> Vec<Finding> {
    let (mut at_byte, mut at_char) = (0, 0);
    let mut advance = |to: usize| {
        at_char += text.get(at_byte..to).map_or(0, |s| s.chars().count());
        at_byte = to;
        at_char
    };
    spans.iter().map(|s| Finding { kind: s.kind, start: advance(s.start), end: advance(s.end), score: s.score }).collect()
}

/// A finding that still counts bytes.
#[derive(Clone, Copy, Debug)]
struct ByteSpan {
    kind: &'static str,
    start: usize,
    end: usize,
    score: f64,
}

#[cfg(test)]
mod tests;
