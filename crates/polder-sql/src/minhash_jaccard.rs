//! `minhash_jaccard(signature_a, signature_b)`: how much two texts share, estimated from their signatures.

use std::sync::Arc;

use arrow::array::Float64Array;
use arrow::datatypes::DataType;
use datafusion_common::{Result, exec_datafusion_err};
use datafusion_expr::ScalarUDF;
use polder_text::jaccard_estimate;

use crate::function::{Definition, Kind};
use crate::minhash_bands::signature_of;

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "minhash_jaccard",
        description: "The Jaccard similarity of two texts as their `minhash` signatures estimate it: the share of equal values. Signatures of different \
                      length are an error, empty ones give NULL.",
        example: "SELECT minhash_jaccard(a.signature, b.signature) FROM clean.signatures a JOIN clean.signatures b ON a.doc_id < b.doc_id",
        required: &[("signature_a", Kind::Any, "One signature."), ("signature_b", Kind::Any, "The other.")],
        optional: &[],
        returns: DataType::Float64,
    }
    .udf(|args| {
        let (a, b) = (args.list(0, DataType::Int64)?, args.list(1, DataType::Int64)?);
        let estimate = |row| {
            let signatures = a.get(row).and_then(|s| signature_of(&s)).zip(b.get(row).and_then(|s| signature_of(&s)));
            // Two signatures of nothing resemble each other in nothing.
            let estimated = signatures.filter(|(a, b)| !(a.is_empty() && b.is_empty())).map(|(a, b)| jaccard_estimate(&a, &b)).transpose();
            estimated.map_err(|e| exec_datafusion_err!("minhash_jaccard: {e}"))
        };
        Ok(Arc::new(args.rows().map(estimate).collect::<Result<Float64Array>>()?))
    })
}
