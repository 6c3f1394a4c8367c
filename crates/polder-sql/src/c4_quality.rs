//! `c4_quality(text [, dialect])`: which lines of a page C4's rules leave, and whether they are enough.

use datafusion_expr::ScalarUDF;
use polder_text::{C4_DIALECTS, C4Quality};

use crate::function::Kind;
use crate::verdicts::{Figure, Read, Rules};

pub(crate) fn figures() -> Vec<Figure<C4Quality>> {
    vec![
        ("keep", Read::Flag(|c| c.keep)),
        ("reason", Read::Reason(|c| c.reason)),
        ("text", Read::Text(|c| &c.text)),
        ("n_lines", Read::Count(|c| c.n_lines)),
        ("n_kept_lines", Read::Count(|c| c.n_kept_lines)),
        ("n_sentences", Read::Count(|c| c.n_sentences)),
        ("n_long_word_lines", Read::Count(|c| c.n_long_word_lines)),
        ("n_no_terminal_lines", Read::Count(|c| c.n_no_terminal_lines)),
        ("n_few_words_lines", Read::Count(|c| c.n_few_words_lines)),
        ("n_javascript_lines", Read::Count(|c| c.n_javascript_lines)),
        ("n_policy_lines", Read::Count(|c| c.n_policy_lines)),
    ]
}

pub(crate) fn udf() -> ScalarUDF {
    Rules {
        name: "c4_quality",
        description: "C4's rules for pages: {keep, reason, text, figures}, where `text` holds the lines that stay, citations taken out. A line goes for a word \
                      above 1000 characters, an end other than . ? ! \" ' (or ...), fewer than 3 words, javascript, or a phrase about cookies, privacy or \
                      terms. The page goes for lorem ipsum, a {, or fewer than 5 sentences. The empty text is not kept.",
        example: "SELECT c4_quality(text)['text'] FROM raw.docs WHERE c4_quality(text)['keep']",
        dialects: &C4_DIALECTS,
        dialect: &[(
            "dialect",
            Kind::Text,
            "Whose reading of the rules: datatrove (if left out), fineweb (lines may end in any way) or dolma (ends and words of lines; javascript drops the page).",
        )],
        figures,
        judge: polder_text::c4_quality,
    }
    .udf()
}
