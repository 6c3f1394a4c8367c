//! `hap_score(text)`: how much hate, abuse and profanity stands in a text.

use std::sync::Arc;

use arrow::array::Float64Array;
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;

use crate::function::{Definition, Kind};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "hap_score",
        description: "Hate, abuse and profanity from 0 to 1: the mean over the worst tenth of a text's passages. English and German are judged by an \
                      embedded classifier, other languages by their word lists. More than 0.5 is offensive; the empty text scores 0.",
        example: "SELECT doc_id FROM raw.docs WHERE hap_score(text) < 0.5",
        required: &[("text", Kind::Text, "The text.")],
        optional: &[],
        returns: DataType::Float64,
    }
    .udf(|args| Ok(Arc::new(args.map_text::<_, Float64Array>(|t| Some(polder_text::hap_score(t)))?)))
}
