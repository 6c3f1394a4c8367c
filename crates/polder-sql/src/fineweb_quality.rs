//! `fineweb_quality(text [, dialect])`: whether a text passes the rules that FineWeb added.

use datafusion_expr::ScalarUDF;
use polder_text::{FINEWEB_DIALECTS, FinewebQuality};

use crate::function::Kind;
use crate::verdicts::{Figure, Read, Rules};

pub(crate) fn figures() -> Vec<Figure<FinewebQuality>> {
    vec![
        ("keep", Read::Flag(|f| f.keep)),
        ("reason", Read::Reason(|f| f.reason)),
        ("line_punct_ratio", Read::Share(|f| f.line_punct_ratio)),
        ("short_line_ratio", Read::Share(|f| f.short_line_ratio)),
        ("char_dup_ratio", Read::Share(|f| f.char_dup_ratio)),
        ("list_ratio", Read::Share(|f| f.list_ratio)),
    ]
}

pub(crate) fn udf() -> ScalarUDF {
    Rules {
        name: "fineweb_quality",
        description: "FineWeb's rules on lines: {keep, reason, figures}. Limits: line_punct_ratio (lines that end in a terminal mark) at least 0.12, \
                      short_line_ratio (at most 30 characters) 0.67, char_dup_ratio (characters in repeated lines) 0.01, list_ratio (line feeds per word) 0.3. \
                      For other limits compare the figures yourself. The empty text is `empty`.",
        example: "SELECT doc_id FROM raw.docs WHERE fineweb_quality(text)['char_dup_ratio'] <= 0.1",
        dialects: &FINEWEB_DIALECTS,
        dialect: &[("dialect", Kind::Text, "Whose reading of the rules: datatrove, which is also meant if it is left out.")],
        figures,
        judge: polder_text::fineweb_quality,
    }
    .udf()
}
