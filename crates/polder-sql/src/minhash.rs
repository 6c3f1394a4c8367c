//! `minhash(text [, n_permutations])`: a signature by which texts are compared without reading them again.

use arrow::datatypes::DataType;
use datafusion_common::{Result, exec_datafusion_err};
use datafusion_expr::ScalarUDF;
use polder_text::{N_PERMUTATIONS, NGRAM};

use crate::function::{Definition, Kind};
use crate::nested::{integer_lists, list_type};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "minhash",
        description: "The MinHash signature of a text's five-word shingles: a list of 64-bit integers, equal at a place with the probability of the \
                      Jaccard similarity. NULL for text without words, so that empty texts resemble nothing.",
        example: "SELECT doc_id, minhash(text) AS signature FROM clean.docs",
        required: &[("text", Kind::Text, "The text.")],
        optional: &[("n_permutations", Kind::Integer, "Length of the signature, 1 to 4096; 112 if left out.")],
        returns: list_type(DataType::Int64),
    }
    .udf(|args| {
        let text = args.text(0)?;
        let n = if args.has(1) { Some(args.integer(1)?) } else { None };
        let rows: Result<Vec<_>> = args
            .rows()
            .map(|row| {
                let n = n.as_ref().map_or(Some(N_PERMUTATIONS as i64), |n| n.get(row));
                let (Some(text), Some(n)) = (text.get(row), n) else { return Ok(None) };
                let n = usize::try_from(n).unwrap_or(0);
                polder_text::minhash(text, n, NGRAM).map_err(|e| exec_datafusion_err!("minhash: {e}"))
            })
            .collect();
        integer_lists(rows?)
    })
}
