//! Polder's SQL functions: thin Arrow wrappers over polder-text and polder-tokenizer, one file each.
//!
//! They do no I/O. What a function needs besides its arguments (a tokenizer) comes in through [`Artefacts`]. NULL in any
//! argument gives NULL, unless a function's description says otherwise. Integers are signed, since Delta tables know no others.
//! Start with [`functions`], or with [`expr`] for the same in Rust.

mod arguments;
mod bar;
mod code_quality;
mod copyright_notices;
mod decode;
mod encode;
mod exact_digest;
pub mod expr;
mod findings;
mod function;
mod gopher_quality;
mod hap_score;
mod hash_share;
mod jaccard;
mod language;
mod language_score;
mod license;
mod lines;
mod minhash;
mod minhash_bands;
mod minhash_jaccard;
mod nested;
mod pii;
mod pii_redact;
mod profanity;
mod programming_language;
mod programming_language_type;
mod script;
mod secrets;
mod sparkline;
mod text_digest;
mod token_count;
mod word_counts;
mod words;

use std::sync::Arc;

use datafusion_expr::{AggregateUDF, ScalarUDF};
use polder_tokenizer::Tokenizer;

/// What functions read besides their arguments; the leaf fills it.
pub trait Artefacts: Send + Sync {
    /// Returns a tokenizer by the name it has in the lake, or why there is none.
    ///
    /// # Errors
    /// A sentence for the user: no such tokenizer, or one that can't be read.
    fn tokenizer(&self, name: &str) -> Result<Arc<Tokenizer>, String>;
}

/// Returns every scalar function, documented.
pub fn functions(artefacts: Arc<dyn Artefacts>) -> Vec<ScalarUDF> {
    vec![
        bar::udf(),
        code_quality::udf(),
        copyright_notices::udf(),
        decode::udf(artefacts.clone()),
        encode::udf(artefacts.clone()),
        exact_digest::udf(),
        gopher_quality::udf(),
        hap_score::udf(),
        hash_share::udf(),
        jaccard::udf(),
        language::udf(),
        language_score::udf(),
        license::udf(),
        lines::udf(),
        minhash::udf(),
        minhash_bands::udf(),
        minhash_jaccard::udf(),
        pii::udf(),
        pii_redact::udf(),
        profanity::udf(),
        programming_language::udf(),
        programming_language_type::udf(),
        script::udf(),
        secrets::udf(),
        sparkline::udf(),
        text_digest::udf(),
        token_count::udf(artefacts),
        words::udf(),
    ]
}

/// Returns every aggregate function, documented.
pub fn aggregates() -> Vec<AggregateUDF> {
    vec![word_counts::udaf()]
}

#[cfg(test)]
mod tests;
