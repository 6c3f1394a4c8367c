//! `clean_text(text)`: a text without what readers don't see.

use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;

use crate::function::{Definition, Kind};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "clean_text",
        description: "A text with `\\n` as its line end, composed (NFC), without control characters, zero-width characters, marks of writing direction, spaces at line ends and third blank lines; odd spaces are spaces. Joiners stay.",
        example: "SELECT clean_text(text) AS text FROM raw.docs",
        required: &[("text", Kind::Text, "The text.")],
        optional: &[],
        returns: DataType::Utf8,
    }
    .udf(|args| Ok(Arc::new(args.map_text::<_, StringArray>(|t| Some(polder_text::clean_text(t)))?)))
}
