//! `gopher_quality(text [, dialect])`: whether prose passes the quality rules of the Gopher paper.

use datafusion_expr::ScalarUDF;
use polder_text::{GOPHER_DIALECTS, GopherQuality};

use crate::function::Kind;
use crate::verdicts::{Figure, Read, Rules};

pub(crate) fn figures() -> Vec<Figure<GopherQuality>> {
    vec![
        ("keep", Read::Flag(|q| q.keep)),
        ("reason", Read::Reason(|q| q.reason)),
        ("n_words", Read::Count(|q| q.n_words)),
        ("mean_word_length", Read::Share(|q| q.mean_word_length)),
        ("hash_share", Read::Share(|q| q.hash_share)),
        ("ellipsis_share", Read::Share(|q| q.ellipsis_share)),
        ("bullet_lines_share", Read::Share(|q| q.bullet_lines_share)),
        ("ellipsis_lines_share", Read::Share(|q| q.ellipsis_lines_share)),
        ("alphabetic_share", Read::Share(|q| q.alphabetic_share)),
        ("n_stop_words", Read::Count(|q| q.n_stop_words)),
        ("symbol_share", Read::Share(|q| q.symbol_share)),
    ]
}

pub(crate) fn udf() -> ScalarUDF {
    Rules {
        name: "gopher_quality",
        description: "Gopher's quality rules for English prose: {keep, reason, figures}; `reason` is the tool's name for the first rule that is broken, \
                      NULL when kept. Limits: n_words 50 to 100000; mean_word_length 3 to 10; symbol_share 0.1 (datatrove: hash_share and ellipsis_share \
                      0.1 each); bullet_lines_share 0.9; ellipsis_lines_share 0.3; alphabetic_share at least 0.8; n_stop_words at least 2. For other limits \
                      compare the figures yourself. Don't ask it about source code. The empty text is too short.",
        example: "SELECT gopher_quality(text, 'dolma')['reason'], count(*) FROM raw.docs GROUP BY 1",
        dialects: &GOPHER_DIALECTS,
        dialect: &[(
            "dialect",
            Kind::Text,
            "Whose reading of the rules: datatrove (if left out), dolma, dclm, curator, or polder: words of all scripts, stop words of the text's language.",
        )],
        figures,
        judge: polder_text::gopher_quality,
    }
    .udf()
}
