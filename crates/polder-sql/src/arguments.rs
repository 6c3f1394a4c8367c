//! How a function reads its arguments: by row, whether they are columns or constants, whatever string type they have.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, LargeStringArray, ListArray, StringArray, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type};
use datafusion_common::Result;
use datafusion_expr::ColumnarValue;

/// The evaluated arguments of one batch.
pub(crate) struct Arguments<'a> {
    values: &'a [ColumnarValue],
    n_rows: usize,
}

impl<'a> Arguments<'a> {
    pub(crate) fn new(values: &'a [ColumnarValue], n_rows: usize) -> Self {
        Self { values, n_rows }
    }

    /// The rows to answer for.
    pub(crate) fn rows(&self) -> std::ops::Range<usize> {
        0..self.n_rows
    }

    /// Whether the argument was given.
    pub(crate) fn has(&self, i: usize) -> bool {
        i < self.values.len()
    }

    /// The argument's type.
    pub(crate) fn data_type(&self, i: usize) -> DataType {
        self.values.get(i).map_or(DataType::Null, ColumnarValue::data_type)
    }

    /// The argument as a column of text.
    pub(crate) fn text(&self, i: usize) -> Result<Texts> {
        let (array, constant) = self.column(i)?;
        let values = match array.data_type() {
            DataType::Utf8 => Strings::Utf8(array.as_string::<i32>().clone()),
            DataType::LargeUtf8 => Strings::LargeUtf8(array.as_string::<i64>().clone()),
            DataType::Utf8View => Strings::Utf8View(array.as_string_view().clone()),
            _ => Strings::Utf8View(cast(&array, &DataType::Utf8View)?.as_string_view().clone()),
        };
        Ok(Texts { values, constant })
    }

    /// The argument as a column of integers.
    pub(crate) fn integer(&self, i: usize) -> Result<Numbers<Int64Array>> {
        let (array, constant) = self.column(i)?;
        Ok(Numbers { values: cast(&array, &DataType::Int64)?.as_primitive::<Int64Type>().clone(), constant })
    }

    /// The argument as a column of floating-point numbers.
    pub(crate) fn float(&self, i: usize) -> Result<Numbers<Float64Array>> {
        let (array, constant) = self.column(i)?;
        Ok(Numbers { values: cast(&array, &DataType::Float64)?.as_primitive::<Float64Type>().clone(), constant })
    }

    /// The argument as a column of lists of `item`.
    pub(crate) fn list(&self, i: usize, item: DataType) -> Result<Lists> {
        let (array, constant) = self.column(i)?;
        let target = DataType::List(Arc::new(Field::new_list_field(item, true)));
        Ok(Lists { values: cast(&array, &target)?.as_list::<i32>().clone(), constant })
    }

    /// The argument as a column of lists of whatever they hold; none where it is NULL throughout.
    pub(crate) fn items(&self, i: usize) -> Result<Option<Lists>> {
        let (array, constant) = self.column(i)?;
        match array.data_type() {
            DataType::Null => Ok(None),
            DataType::List(_) => Ok(Some(Lists { values: array.as_list::<i32>().clone(), constant })),
            DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                Ok(Some(Lists { values: cast(&array, &DataType::List(item.clone()))?.as_list::<i32>().clone(), constant }))
            }
            other => datafusion_common::exec_err!("expected a list, not {other}"),
        }
    }

    /// One text per row in, one value per row out; NULL gives NULL.
    pub(crate) fn map_text<T, C: FromIterator<Option<T>>>(&self, mut answer: impl FnMut(&str) -> Option<T>) -> Result<C> {
        let text = self.text(0)?;
        Ok(self.rows().map(|row| text.get(row).and_then(&mut answer)).collect())
    }

    fn column(&self, i: usize) -> Result<(ArrayRef, bool)> {
        match self.values.get(i) {
            Some(ColumnarValue::Array(array)) => Ok((array.clone(), false)),
            Some(ColumnarValue::Scalar(value)) => Ok((value.to_array_of_size(1)?, true)),
            None => datafusion_common::internal_err!("argument {i} is missing"),
        }
    }
}

enum Strings {
    Utf8(StringArray),
    LargeUtf8(LargeStringArray),
    Utf8View(StringViewArray),
}

/// A text argument.
pub(crate) struct Texts {
    values: Strings,
    constant: bool,
}

impl Texts {
    /// The text of a row, or none for NULL.
    pub(crate) fn get(&self, row: usize) -> Option<&str> {
        let row = if self.constant { 0 } else { row };
        match &self.values {
            Strings::Utf8(a) => a.is_valid(row).then(|| a.value(row)),
            Strings::LargeUtf8(a) => a.is_valid(row).then(|| a.value(row)),
            Strings::Utf8View(a) => a.is_valid(row).then(|| a.value(row)),
        }
    }
}

/// A numeric argument.
pub(crate) struct Numbers<A> {
    values: A,
    constant: bool,
}

impl Numbers<Int64Array> {
    /// The number of a row, or none for NULL.
    pub(crate) fn get(&self, row: usize) -> Option<i64> {
        let row = if self.constant { 0 } else { row };
        self.values.is_valid(row).then(|| self.values.value(row))
    }
}

impl Numbers<Float64Array> {
    /// The number of a row, or none for NULL.
    pub(crate) fn get(&self, row: usize) -> Option<f64> {
        let row = if self.constant { 0 } else { row };
        self.values.is_valid(row).then(|| self.values.value(row))
    }
}

/// A list argument.
pub(crate) struct Lists {
    values: ListArray,
    constant: bool,
}

impl Lists {
    /// The items of a row, or none for NULL.
    pub(crate) fn get(&self, row: usize) -> Option<ArrayRef> {
        let row = if self.constant { 0 } else { row };
        self.values.is_valid(row).then(|| self.values.value(row))
    }
}
