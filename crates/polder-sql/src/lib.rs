//! Polder's SQL functions: thin Arrow wrappers over polder-text and polder-tokenizer, one file each.
//!
//! They do no I/O. What a function needs besides its arguments (a tokenizer, a classifier) comes in through [`Artefacts`]. NULL in any
//! argument gives NULL, unless a function's description says otherwise. Integers are signed, since Delta tables know no others.
//! Start with [`functions`], or with [`expr`] for the same in Rust.

mod arguments;
mod bar;
mod boilerplate_lines;
mod c4_quality;
mod classify;
mod clean_text;
mod code_quality;
mod copyright_notices;
mod decode;
mod domain;
mod encode;
mod exact_digest;
pub mod expr;
mod findings;
mod fineweb_quality;
mod fix_mojibake;
mod function;
mod gopher_quality;
mod gopher_repetition;
mod hap;
mod hap_score;
mod hash_share;
mod host;
mod html_metadata;
mod html_text;
mod html_title;
mod jaccard;
mod language;
mod language_score;
mod license;
mod license_class;
mod lines;
mod minhash;
mod minhash_bands;
mod minhash_jaccard;
mod minhash_s_curve;
mod nested;
mod normalize_text;
mod opt_outs;
mod paragraphs;
mod pii;
mod pii_redact;
mod profanity;
mod programming_language;
mod programming_language_type;
mod quality;
mod refinedweb_quality;
mod remove_boilerplate;
mod robots_txt_allows;
mod script;
mod secrets;
mod sentences;
mod shingle_set;
mod sparkline;
mod text_digest;
mod token_count;
mod verdicts;
mod without_spans;
mod word_counts;
mod words;
mod xxhash64;

use std::sync::Arc;

use datafusion_expr::{AggregateUDF, ScalarUDF};
use polder_text::classifier::Classifier;
use polder_tokenizer::Tokenizer;

/// What functions read besides their arguments; the leaf fills it.
pub trait Artefacts: Send + Sync {
    /// Returns a tokenizer by the name it has in the lake, or why there is none.
    ///
    /// # Errors
    /// A sentence for the user: no such tokenizer, or one that can't be read.
    fn tokenizer(&self, name: &str) -> Result<Arc<Tokenizer>, String>;

    /// Returns a classifier by the name it has in the lake, its newest version where `@` names none, or why there is none.
    ///
    /// # Errors
    /// A sentence for the user: no such classifier, or one that can't be read.
    fn classifier(&self, name: &str) -> Result<Arc<Classifier>, String>;
}

/// Returns every scalar function, documented.
pub fn functions(artefacts: Arc<dyn Artefacts>) -> Vec<ScalarUDF> {
    vec![
        bar::udf(),
        boilerplate_lines::udf(),
        c4_quality::udf(),
        classify::udf(artefacts.clone()),
        clean_text::udf(),
        code_quality::udf(),
        copyright_notices::udf(),
        decode::udf(artefacts.clone()),
        domain::udf(),
        encode::udf(artefacts.clone()),
        exact_digest::udf(),
        fineweb_quality::udf(),
        fix_mojibake::udf(),
        gopher_quality::udf(),
        gopher_repetition::udf(),
        hap::udf(),
        hap_score::udf(),
        hash_share::udf(),
        host::udf(),
        html_metadata::udf(),
        html_text::udf(),
        html_title::udf(),
        jaccard::udf(),
        language::udf(),
        language_score::udf(),
        license::udf(),
        license_class::udf(),
        lines::udf(),
        minhash::udf(),
        minhash_bands::udf(),
        minhash_jaccard::udf(),
        minhash_s_curve::udf(),
        normalize_text::udf(),
        opt_outs::udf(),
        paragraphs::udf(),
        pii::udf(),
        pii_redact::udf(),
        profanity::udf(),
        programming_language::udf(),
        programming_language_type::udf(),
        quality::udf(),
        refinedweb_quality::udf(),
        remove_boilerplate::udf(),
        robots_txt_allows::udf(),
        script::udf(),
        secrets::udf(),
        sentences::udf(),
        shingle_set::udf(),
        sparkline::udf(),
        text_digest::udf(),
        token_count::udf(artefacts),
        without_spans::udf(),
        words::udf(),
        xxhash64::udf(),
    ]
}

/// Returns every aggregate function, documented.
pub fn aggregates() -> Vec<AggregateUDF> {
    vec![word_counts::udaf()]
}

#[cfg(test)]
mod tests;
