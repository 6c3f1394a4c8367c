//! `xxhash64(text)`: a number that nearly tells texts apart.

use std::sync::Arc;

use arrow::array::Int64Array;
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;

use crate::function::{Definition, Kind};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "xxhash64",
        description: "XXH64 (seed 0) of the text's UTF-8 bytes, as a signed number: the fastest way to find texts that may be equal. Of a billion \
                      different texts two share a number with a chance of 3 %; where that matters, take `exact_digest`.",
        example: "SELECT xxhash64(text), min(doc_id), count(*) FROM raw.docs GROUP BY 1 HAVING count(*) > 1",
        required: &[("text", Kind::Text, "The text.")],
        optional: &[],
        returns: DataType::Int64,
    }
    .udf(|args| Ok(Arc::new(args.map_text::<_, Int64Array>(|t| Some(polder_text::xxhash64(t).cast_signed()))?)))
}
