//! `language(text)`: which natural language a text is in.

use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;
use polder_text::detect_language;

use crate::function::{Definition, Kind};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "language",
        description: "The natural language of a text, one of 75 and of some that have a script to themselves: its ISO 639-1 code; `und` for other \
                      languages, for source code, and for what is mostly not letters. Texts of more than 8 KiB are sampled.",
        example: "SELECT language(text), count(*) FROM raw.docs GROUP BY 1",
        required: &[("text", Kind::Text, "The text.")],
        optional: &[],
        returns: DataType::Utf8,
    }
    .udf(|args| Ok(Arc::new(args.map_text::<_, StringArray>(|t| Some(detect_language(t).code))?)))
}
