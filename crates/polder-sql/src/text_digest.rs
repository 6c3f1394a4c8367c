//! `text_digest(text)`: a digest that spacing doesn't change.

use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;

use crate::function::{Definition, Kind};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "text_digest",
        description: "SHA-256 of the text in NFC with white space collapsed to single spaces, in 64 hexadecimal digits: equal for texts that differ \
                      only in spacing, line ends and Unicode composition.",
        example: "SELECT text_digest(text), min(doc_id) FROM raw.docs GROUP BY 1",
        required: &[("text", Kind::Text, "The text.")],
        optional: &[],
        returns: DataType::Utf8,
    }
    .udf(|args| Ok(Arc::new(args.map_text::<_, StringArray>(|t| Some(polder_text::text_digest(t)))?)))
}
