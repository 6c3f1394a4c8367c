//! `encode(text, tokenizer)`: a text as tokens.

use std::sync::Arc;

use arrow::array::{Int32Array, ListArray};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field};
use datafusion_common::{Result, exec_datafusion_err, exec_err};
use datafusion_expr::ScalarUDF;
use polder_tokenizer::{Encoder, Tokenizer};

use crate::Artefacts;
use crate::function::{Definition, Kind};
use crate::nested::list_type;

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
        let mut encoders = Encoders::new(&*artefacts);
        let n_rows = args.rows().len();
        let (mut ids, mut offsets, mut valid) = (Vec::new(), Vec::with_capacity(n_rows + 1), Vec::with_capacity(n_rows));
        offsets.push(0);
        for row in args.rows() {
            let both = text.get(row).zip(name.get(row));
            if let Some((text, name)) = both {
                encoders.open(name)?.encode_into(text, &mut ids);
            }
            let Ok(end) = i32::try_from(ids.len()) else {
                return exec_err!("encode: the texts of one batch have more than {} tokens", i32::MAX);
            };
            offsets.push(end);
            valid.push(both.is_some());
        }
        // Ids have at most 24 bits: as signed numbers they are the same, and the memory stays where it is.
        let ids: Vec<i32> = ids.into_iter().map(u32::cast_signed).collect();
        let field = Arc::new(Field::new_list_field(DataType::Int32, true));
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        Ok(Arc::new(ListArray::try_new(field, offsets, Arc::new(Int32Array::new(ids.into(), None)), Some(NullBuffer::from(valid)))?))
    })
}

/// Opens a tokenizer once for rows that name the same, and encodes with what one thread has learned of words.
pub(crate) struct Encoders<'a> {
    tokenizers: Tokenizers<'a>,
    last: Option<(String, Encoder)>,
}

impl<'a> Encoders<'a> {
    pub(crate) fn new(artefacts: &'a dyn Artefacts) -> Self {
        Self { tokenizers: Tokenizers::new(artefacts), last: None }
    }

    pub(crate) fn open(&mut self, name: &str) -> Result<&mut Encoder> {
        let (_, encoder) = match self.last.take().filter(|(last, _)| last == name) {
            Some(same) => self.last.insert(same),
            None => self.last.insert((name.to_owned(), self.tokenizers.open(name)?.encoder())),
        };
        Ok(encoder)
    }
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
