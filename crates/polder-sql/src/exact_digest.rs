//! `exact_digest(text)`: a digest that every byte changes.

use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;

use crate::function::{Definition, Kind};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "exact_digest",
        description: "SHA-256 of the text's UTF-8 bytes as they are, in 64 hexadecimal digits.",
        example: "SELECT exact_digest(text) FROM raw.docs",
        required: &[("text", Kind::Text, "The text.")],
        optional: &[],
        returns: DataType::Utf8,
    }
    .udf(|args| Ok(Arc::new(args.map_text::<_, StringArray>(|t| Some(polder_text::exact_digest(t)))?)))
}
