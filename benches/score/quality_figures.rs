//! The verdicts and figures of every quality rule set in every dialect, by name: what the tools' answers are compared with.

use polder_text::{
    C4_DIALECTS, Dialect, GOPHER_DIALECTS, REPETITION_DIALECTS, c4_quality, code_quality, fineweb_quality, gopher_quality,
    gopher_repetition, refinedweb_quality,
};
use serde_json::{Map, Value, json};

/// The verdict of every rule set in every dialect, as `{"RULES/DIALECT": {…}}`.
pub fn figures(text: &str) -> Value {
    let mut all = Map::new();
    for dialect in GOPHER_DIALECTS {
        let q = gopher_quality(text, dialect).expect("a known dialect");
        let figures = json!({
            "reason": q.reason, "n_words": q.n_words, "mean_word_length": q.mean_word_length, "hash_share": q.hash_share,
            "ellipsis_share": q.ellipsis_share, "symbol_share": q.symbol_share, "bullet_lines_share": q.bullet_lines_share,
            "ellipsis_lines_share": q.ellipsis_lines_share, "alphabetic_share": q.alphabetic_share, "n_stop_words": q.n_stop_words,
        });
        all.insert(format!("gopher_quality/{}", dialect.name()), figures);
    }
    for dialect in REPETITION_DIALECTS {
        let r = gopher_repetition(text, dialect).expect("a known dialect");
        let figures = json!({
            "reason": r.reason, "lines": r.duplicate_lines_share, "paragraphs": r.duplicate_paragraphs_share,
            "line_chars": r.duplicate_line_chars_share, "paragraph_chars": r.duplicate_paragraph_chars_share,
            "top": r.top_ngram_share, "duplicate": r.duplicate_ngram_share,
        });
        all.insert(format!("gopher_repetition/{}", dialect.name()), figures);
    }
    for dialect in C4_DIALECTS {
        let c = c4_quality(text, dialect).expect("a known dialect");
        let figures = json!({ "reason": c.reason, "text": c.text, "n_lines": c.n_lines, "n_sentences": c.n_sentences });
        all.insert(format!("c4_quality/{}", dialect.name()), figures);
    }
    let f = fineweb_quality(text, Dialect::Datatrove).expect("a known dialect");
    let figures = json!({
        "reason": f.reason, "line_punct_ratio": f.line_punct_ratio, "short_line_ratio": f.short_line_ratio, "char_dup_ratio": f.char_dup_ratio,
        "list_ratio": f.list_ratio,
    });
    all.insert("fineweb_quality/datatrove".to_owned(), figures);
    let r = refinedweb_quality(text, Dialect::Dclm).expect("a known dialect");
    let figures = json!({ "reason": r.reason, "text": r.text, "n_words": r.n_words, "removed_words_share": r.removed_words_share });
    all.insert("refinedweb_quality/dclm".to_owned(), figures);
    let c = code_quality(text);
    let figures = json!({
        "reason": c.reason, "n_lines": c.n_lines, "max_line_length": c.max_line_length, "mean_line_length": c.mean_line_length,
        "alphanumeric_share": c.alphanumeric_share,
    });
    all.insert("code_quality".to_owned(), figures);
    Value::Object(all)
}
