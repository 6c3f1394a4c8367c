//! The column that `pii` and `secrets` return: lists of what was found where.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
use arrow::datatypes::DataType;
use datafusion_common::Result;
use polder_text::Finding;

use crate::arguments::Arguments;
use crate::nested::{list_type, lists, struct_type, structs};

fn item_type() -> DataType {
    struct_type(&[("kind", DataType::Utf8), ("start", DataType::Int64), ("end", DataType::Int64), ("score", DataType::Float64)])
}

/// A list of {kind, start, end, score}.
pub(crate) fn findings_type() -> DataType {
    list_type(item_type())
}

/// Runs a finder over the first argument.
pub(crate) fn findings(args: &Arguments<'_>, find: fn(&str) -> Vec<Finding>) -> Result<ArrayRef> {
    let rows: Vec<Option<Vec<Finding>>> = args.map_text(|t| Some(find(t)))?;
    // `from_iter_values` panics on iterators of unknown length.
    let all: Vec<&Finding> = rows.iter().flatten().flatten().collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(all.iter().map(|f| f.kind))),
        Arc::new(Int64Array::from_iter_values(all.iter().map(|f| f.start as i64))),
        Arc::new(Int64Array::from_iter_values(all.iter().map(|f| f.end as i64))),
        Arc::new(Float64Array::from_iter_values(all.iter().map(|f| f.score))),
    ];
    let lengths: Vec<_> = rows.iter().map(|r| r.as_ref().map(Vec::len)).collect();
    lists(&lengths, structs(&item_type(), columns, None)?)
}
