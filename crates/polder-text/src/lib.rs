//! Pure functions on text: what language it is in, what it gives away about people, under which
//! licence it stands, how good it looks, and which other texts it resembles.
//!
//! It does no I/O, keeps no state, knows neither Arrow nor SQL, and never panics on any string.
//! Every function takes time linear in the length of the text and has a stated answer for the
//! empty one. Start with [`words()`], which says what a word is for all the others.

mod characters;
pub mod classifier;
mod clean;
mod code_quality;
mod contamination;
mod copyright;
mod digest;
mod domain;
mod hap;
mod html;
mod language;
mod license;
mod minhash;
mod opt_out;
mod pii;
mod profanity;
mod programming_language;
mod quality;
mod robots;
mod script;
mod secrets;
mod sentences;
mod words;

pub use clean::{Boilerplate, NormalForm, boilerplate, clean_text, fix_mojibake, normalize_text, remove_boilerplate};
pub use code_quality::{CodeQuality, code_quality};
pub use contamination::{BenchmarkIndex, CONTAMINATION_NGRAM, Overlap, without_spans};
pub use copyright::{CopyrightNotice, copyright_notices};
pub use digest::{exact_digest, hash_share, normalized, text_digest, xxhash64};
pub use domain::{domain, host};
pub use hap::{Hap, HapJudge, hap, hap_features, hap_score};
pub use html::{HtmlMetadata, html_metadata, html_text, html_title};
pub use language::{DetectedLanguage, LanguageIdentifier, UNDETERMINED, detect_language};
pub use license::{LICENSE_CLASSES, LicenseMatch, license, license_class, license_expression};
pub use minhash::{
    BANDS, MinhashError, N_PERMUTATIONS, NGRAM, ROWS, jaccard, jaccard_estimate, jaccard_of_sets, minhash, minhash_bands, s_curve,
    set_digest, shingles, shingles_into, short_hashes, sketch_into,
};
pub use opt_out::{OPT_OUT_SOURCES, OptOut, opt_outs};
pub use pii::{PII_KINDS, pii, pii_redact, pii_redact_kinds, pii_redact_salted};
pub use profanity::profanity;
pub use programming_language::{
    CLASSIFIER_BYTES, LOOK_BYTES, classifier_text, programming_language, programming_language_by, programming_language_type,
};
pub use quality::{
    C4_DIALECTS, C4Quality, Dialect, DialectError, FINEWEB_DIALECTS, FinewebQuality, GOPHER_DIALECTS, GopherQuality, GopherRepetition,
    Quality, REFINEDWEB_DIALECTS, REPETITION_DIALECTS, RefinedwebQuality, c4_quality, fineweb_quality, gopher_quality, gopher_repetition,
    quality, refinedweb_quality,
};
pub use robots::robots_txt_allows;
pub use script::{NO_SCRIPT, script};
pub use secrets::{SECRET_KINDS, secrets};
pub use sentences::{paragraphs, sentences};
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
