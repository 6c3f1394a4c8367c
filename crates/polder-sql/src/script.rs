//! `script(text)`: which script a text is written in.

use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;

use crate::function::{Definition, Kind};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "script",
        description: "The script that most letters of a text are in: its code from ISO 15924 (`Latn`, `Cyrl`, `Arab`, `Hani` …; `Jpan` for kana with or \
                      without Chinese characters), and `Zyyy` for a text without letters.",
        example: "SELECT script(text), count(*) FROM raw.docs GROUP BY 1",
        required: &[("text", Kind::Text, "The text.")],
        optional: &[],
        returns: DataType::Utf8,
    }
    .udf(|args| Ok(Arc::new(args.map_text::<_, StringArray>(|t| Some(polder_text::script(t)))?)))
}
