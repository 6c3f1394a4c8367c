//! How lists and structs leave a function.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, ListArray, StringArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion_common::Result;

/// The type of a struct whose fields may all be NULL.
pub(crate) fn struct_type(fields: &[(&str, DataType)]) -> DataType {
    DataType::Struct(fields.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect())
}

/// The type of a list of such items.
pub(crate) fn list_type(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, true)))
}

/// One struct per row; rows that aren't `valid` are NULL.
pub(crate) fn structs(kind: &DataType, columns: Vec<ArrayRef>, valid: Option<Vec<bool>>) -> Result<ArrayRef> {
    let fields = match kind {
        DataType::Struct(fields) => fields.clone(),
        _ => Fields::empty(),
    };
    Ok(Arc::new(StructArray::try_new(fields, columns, valid.map(NullBuffer::from))?))
}

/// Lists from their lengths (none for NULL) and all their items one behind the other.
pub(crate) fn lists(lengths: &[Option<usize>], items: ArrayRef) -> Result<ArrayRef> {
    let field = Arc::new(Field::new_list_field(items.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths(lengths.iter().map(|n| n.unwrap_or(0)));
    let nulls = NullBuffer::from(lengths.iter().map(Option::is_some).collect::<Vec<_>>());
    Ok(Arc::new(ListArray::try_new(field, offsets, items, Some(nulls))?))
}

/// Lists of integers; signatures keep their 64 bits in signed ones.
pub(crate) fn integer_lists(rows: Vec<Option<Vec<u64>>>) -> Result<ArrayRef> {
    let lengths: Vec<_> = rows.iter().map(|r| r.as_ref().map(Vec::len)).collect();
    let items: Int64Array = rows.into_iter().flatten().flatten().map(|v| v.cast_signed()).collect();
    lists(&lengths, Arc::new(items))
}

/// Lists of short texts.
pub(crate) fn text_lists(rows: &[Option<Vec<&'static str>>]) -> Result<ArrayRef> {
    let lengths: Vec<_> = rows.iter().map(|r| r.as_ref().map(Vec::len)).collect();
    // `from_iter_values` panics on iterators of unknown length.
    let all: Vec<&str> = rows.iter().flatten().flatten().copied().collect();
    let items = StringArray::from_iter_values(all);
    lists(&lengths, Arc::new(items))
}
