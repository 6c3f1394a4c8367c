//! `copyright_notices(text)`: who claims copyright in a text.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;
use polder_text::CopyrightNotice;

use crate::function::{Definition, Kind};
use crate::nested::{list_type, lists, struct_type, structs};

fn item_type() -> DataType {
    struct_type(&[("holder", DataType::Utf8), ("years", DataType::Utf8)])
}

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "copyright_notices",
        description: "The copyright notices of a text as a list of {holder, years}, each once, in order of place; years as written, '' if none.",
        example: "SELECT doc_id, unnest(copyright_notices(text)) FROM raw.docs",
        required: &[("text", Kind::Text, "The text.")],
        optional: &[],
        returns: list_type(item_type()),
    }
    .udf(|args| {
        let rows: Vec<Option<Vec<CopyrightNotice>>> = args.map_text(|t| Some(polder_text::copyright_notices(t)))?;
        // `from_iter_values` panics on iterators of unknown length.
        let all: Vec<&CopyrightNotice> = rows.iter().flatten().flatten().collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(all.iter().map(|n| &n.holder))),
            Arc::new(StringArray::from_iter_values(all.iter().map(|n| &n.years))),
        ];
        let lengths: Vec<_> = rows.iter().map(|r| r.as_ref().map(Vec::len)).collect();
        lists(&lengths, structs(&item_type(), columns, None)?)
    })
}
