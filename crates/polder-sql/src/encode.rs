//! `encode(text, tokenizer)`: a text as tokens.

use std::sync::Arc;

use arrow::array::Int32Array;
use arrow::datatypes::DataType;
use datafusion_common::{Result, exec_datafusion_err};
use datafusion_expr::ScalarUDF;
use polder_tokenizer::Tokenizer;

use crate::Artefacts;
use crate::function::{Definition, Kind};
use crate::nested::{list_type, lists};

pub(crate) fn udf(artefacts: Arc<dyn Artefacts>) -> ScalarUDF {
    Definition {
        name: "encode",
        description: "The ids of a text's tokens. It stands in the place of DataFusion's function of that name.",
        example: "SELECT encode('let x = 1;', 'base')",
        required: &[("text", Kind::Text, "The text."), ("tokenizer", Kind::Text, "A tokenizer's name in the lake.")],
        optional: &[],
        returns: list_type(DataType::Int32),
    }
    .stable_udf(move |args| {
        let (text, name) = (args.text(0)?, args.text(1)?);
        let mut tokenizers = Tokenizers::new(&*artefacts);
        let (mut lengths, mut ids) = (Vec::with_capacity(args.rows().len()), Vec::new());
        for row in args.rows() {
            let (Some(text), Some(name)) = (text.get(row), name.get(row)) else {
                lengths.push(None);
                continue;
            };
            let before = ids.len();
            tokenizers.open(name)?.encode_into(text, &mut ids);
            lengths.push(Some(ids.len() - before));
        }
        lists(&lengths, Arc::new(Int32Array::from_iter_values(ids.iter().map(|id| id.cast_signed()))))
    })
}

/// Opens a tokenizer once for rows that name the same.
pub(crate) struct Tokenizers<'a> {
    artefacts: &'a dyn Artefacts,
    last: Option<(String, Arc<Tokenizer>)>,
}

impl<'a> Tokenizers<'a> {
    pub(crate) fn new(artefacts: &'a dyn Artefacts) -> Self {
        Self { artefacts, last: None }
    }

    pub(crate) fn open(&mut self, name: &str) -> Result<Arc<Tokenizer>> {
        if let Some((_, tokenizer)) = self.last.as_ref().filter(|(last, _)| last == name) {
            return Ok(tokenizer.clone());
        }
        let tokenizer = self.artefacts.tokenizer(name).map_err(|e| exec_datafusion_err!("{e}"))?;
        self.last = Some((name.to_owned(), tokenizer.clone()));
        Ok(tokenizer)
    }
}
