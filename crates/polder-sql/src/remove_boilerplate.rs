//! `remove_boilerplate(text)`: a text without the lines that pages add.

use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;

use crate::function::{Definition, Kind};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "remove_boilerplate",
        description: "A text without the lines that web pages add to it, in English and German: cookie notices, logging in, sharing, rights, counters. boilerplate_lines gives those.",
        example: "SELECT remove_boilerplate(text) AS text FROM raw.docs",
        required: &[("text", Kind::Text, "The text.")],
        optional: &[],
        returns: DataType::Utf8,
    }
    .udf(|args| Ok(Arc::new(args.map_text::<_, StringArray>(|t| Some(polder_text::remove_boilerplate(t)))?)))
}
