//! `jaccard(text_a, text_b)`: how much two texts share, exactly.

use std::sync::Arc;

use arrow::array::Float64Array;
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;
use polder_text::NGRAM;

use crate::function::{Definition, Kind};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "jaccard",
        description: "The exact Jaccard similarity of two texts' sets of five-word shingles, from 0 to 1; a shorter text is one shingle. NULL if neither \
                      has a word.",
        example: "SELECT jaccard(a.text, b.text) FROM clean.docs a JOIN clean.docs b ON a.doc_id < b.doc_id",
        required: &[("text_a", Kind::Text, "One text."), ("text_b", Kind::Text, "The other.")],
        optional: &[],
        returns: DataType::Float64,
    }
    .udf(|args| {
        let (a, b) = (args.text(0)?, args.text(1)?);
        let similarity = |row| polder_text::jaccard(a.get(row)?, b.get(row)?, NGRAM);
        Ok(Arc::new(args.rows().map(similarity).collect::<Float64Array>()))
    })
}
