//! `decode(ids, tokenizer)`: tokens as text.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringViewBuilder};
use arrow::datatypes::{DataType, Int64Type};
use datafusion_common::{Result, exec_err};
use datafusion_expr::ScalarUDF;

use crate::Artefacts;
use crate::arguments::Arguments;
use crate::encode::Tokenizers;
use crate::function::{Definition, Kind};

pub(crate) fn udf(artefacts: Arc<dyn Artefacts>) -> ScalarUDF {
    Definition {
        name: "decode",
        description: "The text of token ids; bytes that are no UTF-8 become �. NULL if an id is NULL, an error if one isn't the tokenizer's.",
        example: "SELECT decode(encode('let x = 1;', 'base'), 'base')",
        required: &[("ids", Kind::Any, "A list of token ids."), ("tokenizer", Kind::Text, "A tokenizer's name in the lake.")],
        optional: &[],
        returns: DataType::Utf8View,
    }
    .stable_udf(move |args| decode(args, &*artefacts))
}

fn decode(args: &Arguments<'_>, artefacts: &dyn Artefacts) -> Result<ArrayRef> {
    let (ids, name) = (args.list(0, DataType::Int64)?, args.text(1)?);
    let mut tokenizers = Tokenizers::new(artefacts);
    let mut out = StringViewBuilder::with_capacity(args.rows().len());
    let mut tokens = Vec::new();
    for row in args.rows() {
        let items = ids.get(row);
        let items = items.as_ref().and_then(|items| items.as_primitive_opt::<Int64Type>()).filter(|items| items.null_count() == 0);
        let (Some(items), Some(name)) = (items, name.get(row)) else {
            out.append_null();
            continue;
        };
        let tokenizer = tokenizers.open(name)?;
        tokens.clear();
        tokens.extend(items.values().iter().map_while(|id| u32::try_from(*id).ok().filter(|id| (*id as usize) < tokenizer.vocab_size())));
        if tokens.len() < items.len() {
            return exec_err!("decode: an id is outside the {} of tokenizer `{name}`", tokenizer.vocab_size());
        }
        out.append_value(tokenizer.decode(&tokens));
    }
    Ok(Arc::new(out.finish()))
}
