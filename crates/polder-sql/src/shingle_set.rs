//! `shingle_set(text)`: what verifies a near duplicate without its text.

use std::sync::Arc;

use arrow::array::BinaryArray;
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;
use polder_text::NGRAM;

use crate::function::{Definition, Kind};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "shingle_set",
        description: "The set of a text's five-word shingles as sorted 32-bit hashes, four bytes each, little-endian: what `near_matches` compares new \
                      documents with. NULL for a text of fewer than five words.",
        example: "SELECT doc_id, minhash(text) AS signature, shingle_set(text) AS shingles FROM clean.docs",
        required: &[("text", Kind::Text, "The text.")],
        optional: &[],
        returns: DataType::Binary,
    }
    .udf(|args| {
        let texts = args.text(0)?;
        let mut set = Vec::new();
        let mut bytes = |row| {
            let n_words = polder_text::shingles_into(texts.get(row)?, NGRAM, &mut set);
            (n_words >= NGRAM).then(|| polder_text::short_hashes(&set).into_iter().flat_map(u32::to_le_bytes).collect::<Vec<u8>>())
        };
        Ok(Arc::new(args.rows().map(&mut bytes).collect::<BinaryArray>()))
    })
}
