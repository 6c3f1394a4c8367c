//! Rows of Arrow batches as records: what Parquet files, Arrow files and tables of others have in common.

use std::fmt::Display;

use arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use arrow::error::ArrowError;

use crate::mapping::Scalar;
use crate::record::{Fault, Flow, Member, Offset, Sink};

/// Rows a batch: with long texts a batch stays in the megabytes.
pub const BATCH_ROWS: usize = 256;

/// Puts the rows of a batch into the sink. `columns` says where each wanted column stands; `n_before` counts the rows before it.
///
/// # Errors
/// [`Gone`](crate::Gone) where nobody takes what is found.
pub fn read(file: &Member, batch: &RecordBatch, columns: &[Option<usize>], n_before: u64, by_content: bool, sink: &mut Sink<'_>) -> Flow {
    let cells: Result<Vec<Option<Cells>>, ArrowError> =
        columns.iter().map(|c| c.map(|i| Cells::new(batch.column(i))).transpose()).collect();
    let cells = match cells {
        Ok(cells) => cells,
        Err(e) => return sink.bad(file.clone(), Fault::new("corrupt", e.to_string()).at(Offset::Row(n_before + 1), b"")),
    };
    let wanted = &sink.settings.wanted;
    for i in 0..batch.num_rows() {
        let n = n_before + i as u64 + 1;
        let mut values: Vec<Scalar> = cells.iter().map(|c| c.as_ref().map_or(Scalar::Null, |c| c.get(i))).collect();
        let place = || {
            if by_content {
                format!("digest={}", &polder_base::digest_bytes(format!("{values:?}").as_bytes()).hex()[..32])
            } else {
                format!("row={n}")
            }
        };
        let place = place();
        match wanted.document(file, || place, &mut values) {
            Ok((member, document)) => sink.document(member, document, Some(Offset::Row(n)))?,
            Err(refused) => {
                let (member, fault) = *refused;
                sink.bad(member, fault.at(Offset::Row(n), b""))?;
            }
        }
    }
    Ok(())
}

/// Puts the rows of all batches into the sink, up to one that cannot be read.
pub(crate) fn read_all<E: Display>(
    file: &Member,
    batches: impl Iterator<Item = Result<RecordBatch, E>>,
    columns: &[Option<usize>],
    sink: &mut Sink<'_>,
) -> Flow {
    let mut n = 0;
    for batch in batches {
        match batch {
            Ok(batch) => {
                read(file, &batch, columns, n, false, sink)?;
                n += batch.num_rows() as u64;
            }
            Err(e) => {
                let fault = Fault::new("corrupt", e.to_string()).at(Offset::Row(n + 1), b"");
                return sink.bad(file.part(&format!("row={}", n + 1)), fault);
            }
        }
    }
    if n == 0 { sink.bad(file.clone(), Fault::new("empty", "no rows")) } else { Ok(()) }
}

/// A column in one of the types that a record's value can have.
enum Cells {
    Text(ArrayRef),
    Int(ArrayRef),
    Float(ArrayRef),
    Bool(ArrayRef),
    Other(ArrayRef, &'static str),
}

impl Cells {
    fn new(column: &ArrayRef) -> Result<Self, ArrowError> {
        use DataType::{
            Boolean, Decimal128, Decimal256, Dictionary, FixedSizeList, Float16, Float32, Float64, Int8, Int16, Int32, Int64, LargeList,
            List, Map, Struct, UInt8, UInt16, UInt32, UInt64, Union,
        };
        Ok(match column.data_type() {
            Boolean => Self::Bool(column.clone()),
            Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64 => Self::Int(cast(column, &Int64)?),
            Float16 | Float32 | Float64 | Decimal128(..) | Decimal256(..) => Self::Float(cast(column, &Float64)?),
            Dictionary(_, values) if !matches!(values.as_ref(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) => {
                Self::new(&cast(column, values)?)?
            }
            List(_) | LargeList(_) | FixedSizeList(..) => Self::Other(column.clone(), "a list"),
            Struct(_) | Map(..) | Union(..) => Self::Other(column.clone(), "an object"),
            // Text in all its layouts, bytes that are text, and times as they are written.
            _ => Self::Text(cast(column, &DataType::Utf8)?),
        })
    }

    fn get(&self, i: usize) -> Scalar {
        match self {
            Self::Text(c) | Self::Int(c) | Self::Float(c) | Self::Bool(c) | Self::Other(c, _) if c.is_null(i) => Scalar::Null,
            Self::Text(c) => Scalar::Text(c.as_string::<i32>().value(i).to_owned()),
            Self::Int(c) => Scalar::Int(c.as_primitive::<Int64Type>().value(i)),
            Self::Float(c) => Scalar::Float(c.as_primitive::<Float64Type>().value(i)),
            Self::Bool(c) => Scalar::Bool(c.as_boolean().value(i)),
            Self::Other(_, kind) => Scalar::Other(kind),
        }
    }
}

/// Names of a schema's columns.
pub fn names(schema: &arrow::datatypes::Schema) -> Vec<String> {
    schema.fields().iter().map(|f| f.name().clone()).collect()
}

/// Of a file's columns, the ones to read, in their order, and where each wanted one stands among them.
///
/// # Errors
/// None can be the text, or one that the user named is missing.
pub fn wanted(names: &[String], sink: &Sink<'_>) -> Result<(Vec<usize>, Vec<Option<usize>>), Fault> {
    let columns = sink.settings.wanted.among(names)?;
    let mut read: Vec<usize> = columns.iter().flatten().copied().collect();
    read.sort_unstable();
    read.dedup();
    let among = columns.iter().map(|c| c.and_then(|c| read.iter().position(|r| *r == c))).collect();
    Ok((read, among))
}
