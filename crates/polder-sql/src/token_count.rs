//! `token_count(text, tokenizer)`: how many tokens a text is.

use std::sync::Arc;

use arrow::array::Int64Array;
use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::ScalarUDF;

use crate::Artefacts;
use crate::encode::Encoders;
use crate::function::{Definition, Kind};

pub(crate) fn udf(artefacts: Arc<dyn Artefacts>) -> ScalarUDF {
    Definition {
        name: "token_count",
        description: "The number of tokens of a text; the empty text has 0.",
        example: "SELECT sum(token_count(text, 'base')) FROM pile.base",
        required: &[("text", Kind::Text, "The text."), ("tokenizer", Kind::Text, "A tokenizer's name in the lake.")],
        optional: &[],
        returns: DataType::Int64,
    }
    .stable_udf(move |args| {
        let (text, name) = (args.text(0)?, args.text(1)?);
        let mut encoders = Encoders::new(&*artefacts);
        let mut ids = Vec::new();
        let count = |row| {
            let (Some(text), Some(name)) = (text.get(row), name.get(row)) else { return Ok(None) };
            ids.clear();
            encoders.open(name)?.encode_into(text, &mut ids);
            Ok(Some(ids.len() as i64))
        };
        Ok(Arc::new(args.rows().map(count).collect::<Result<Int64Array>>()?))
    })
}
