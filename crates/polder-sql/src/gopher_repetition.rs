//! `gopher_repetition(text [, dialect])`: whether a text passes the repetition rules of the Gopher paper.

use datafusion_expr::ScalarUDF;
use polder_text::{GopherRepetition, REPETITION_DIALECTS};

use crate::function::Kind;
use crate::verdicts::{Figure, Read, Rules};

pub(crate) fn figures() -> Vec<Figure<GopherRepetition>> {
    vec![
        ("keep", Read::Flag(|r| r.keep)),
        ("reason", Read::Reason(|r| r.reason)),
        ("duplicate_lines_share", Read::Share(|r| r.duplicate_lines_share)),
        ("duplicate_paragraphs_share", Read::Share(|r| r.duplicate_paragraphs_share)),
        ("duplicate_line_chars_share", Read::Share(|r| r.duplicate_line_chars_share)),
        ("duplicate_paragraph_chars_share", Read::Share(|r| r.duplicate_paragraph_chars_share)),
        ("top_2_gram_share", Read::Share(|r| r.top_ngram_share[0])),
        ("top_3_gram_share", Read::Share(|r| r.top_ngram_share[1])),
        ("top_4_gram_share", Read::Share(|r| r.top_ngram_share[2])),
        ("duplicate_5_grams_share", Read::Share(|r| r.duplicate_ngram_share[0])),
        ("duplicate_6_grams_share", Read::Share(|r| r.duplicate_ngram_share[1])),
        ("duplicate_7_grams_share", Read::Share(|r| r.duplicate_ngram_share[2])),
        ("duplicate_8_grams_share", Read::Share(|r| r.duplicate_ngram_share[3])),
        ("duplicate_9_grams_share", Read::Share(|r| r.duplicate_ngram_share[4])),
        ("duplicate_10_grams_share", Read::Share(|r| r.duplicate_ngram_share[5])),
    ]
}

pub(crate) fn udf() -> ScalarUDF {
    Rules {
        name: "gopher_repetition",
        description: "Gopher's rules against repetition: {keep, reason, figures}; `reason` is the tool's name for the first rule that is broken, NULL when \
                      kept. Limits: duplicate_lines_share and duplicate_paragraphs_share 0.3, their characters 0.2 (dolma: 0.3); the most frequent 2-, 3- and \
                      4-gram 0.2, 0.18, 0.16; repeated 5- to 10-grams 0.15, 0.14, 0.13, 0.12, 0.11, 0.1. For other limits compare the figures yourself. \
                      The empty text is not kept.",
        example: "SELECT doc_id FROM raw.docs WHERE gopher_repetition(text)['duplicate_lines_share'] <= 0.2",
        dialects: &REPETITION_DIALECTS,
        dialect: &[("dialect", Kind::Text, "Whose reading of the rules: datatrove (if left out), dolma, dclm or curator.")],
        figures,
        judge: polder_text::gopher_repetition,
    }
    .udf()
}
