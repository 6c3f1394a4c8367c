//! Columns of text as the table gives them: any of Arrow's string types, read where they lie.

use arrow::array::{Array, ArrayRef, AsArray, LargeStringArray, RecordBatch, StringArray, StringViewArray};
use arrow::buffer::Buffer;
use arrow::compute::cast;
use arrow::datatypes::DataType;

use crate::PipelineError;

/// A text column of any of Arrow's string types.
#[derive(Clone, Debug)]
pub(crate) enum Text {
    Small(StringArray),
    Large(LargeStringArray),
    View(StringViewArray),
}

impl Text {
    /// Takes a column of a batch. Only dictionaries are copied; the string types stay where they are.
    pub(crate) fn of(batch: &RecordBatch, column: &str, what: &str) -> Result<Self, PipelineError> {
        let wrong = || PipelineError::Column { what: what.to_owned(), column: column.to_owned(), expected: "text" };
        let array = batch.column_by_name(column).ok_or_else(wrong)?;
        Ok(match array.data_type() {
            DataType::Utf8 => Self::Small(array.as_string::<i32>().clone()),
            DataType::LargeUtf8 => Self::Large(array.as_string::<i64>().clone()),
            DataType::Utf8View => Self::View(array.as_string_view().clone()),
            DataType::Dictionary(_, values) if values.is_string() => {
                let text: ArrayRef = cast(array, &DataType::LargeUtf8).map_err(|_| wrong())?;
                Self::Large(text.as_string_opt::<i64>().cloned().ok_or_else(wrong)?)
            }
            _ => return Err(wrong()),
        })
    }

    /// The text of a row; none where it is NULL.
    pub(crate) fn get(&self, row: usize) -> Option<&str> {
        match self {
            Self::Small(a) => a.is_valid(row).then(|| a.value(row)),
            Self::Large(a) => a.is_valid(row).then(|| a.value(row)),
            Self::View(a) => a.is_valid(row).then(|| a.value(row)),
        }
    }

    /// The memory it keeps alive; several batches may share a buffer.
    pub(crate) fn buffers(&self) -> Vec<&Buffer> {
        match self {
            Self::Small(a) => vec![a.values(), a.offsets().inner().inner()],
            Self::Large(a) => vec![a.values(), a.offsets().inner().inner()],
            Self::View(a) => a.data_buffers().iter().chain([a.views().inner()]).collect(),
        }
    }
}
