//! `hash_share(text)`: a number that splits by text and never changes.

use std::sync::Arc;

use arrow::array::Float64Array;
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;

use crate::function::{Definition, Kind};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "hash_share",
        description: "A number in [0, 1) from the first bits of the text's SHA-256: evenly spread, and the same on any machine.",
        example: "SELECT CASE WHEN hash_share(package) < 0.05 THEN 'validation' ELSE 'train' END AS split FROM clean.docs",
        required: &[("text", Kind::Text, "What to split by.")],
        optional: &[],
        returns: DataType::Float64,
    }
    .udf(|args| Ok(Arc::new(args.map_text::<_, Float64Array>(|t| Some(polder_text::hash_share(t)))?)))
}
