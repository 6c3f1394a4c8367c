//! `language_score(text)`: how sure `language` is.

use std::sync::Arc;

use arrow::array::Float64Array;
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;
use polder_text::detect_language;

use crate::function::{Definition, Kind};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "language_score",
        description: "How sure `language` is, from 0 to 1; 0 where it says `und`.",
        example: "SELECT doc_id FROM raw.docs WHERE language(text) = 'en' AND language_score(text) > 0.9",
        required: &[("text", Kind::Text, "The text.")],
        optional: &[],
        returns: DataType::Float64,
    }
    .udf(|args| Ok(Arc::new(args.map_text::<_, Float64Array>(|t| Some(detect_language(t).score))?)))
}
