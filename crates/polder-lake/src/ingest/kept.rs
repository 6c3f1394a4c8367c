//! Columns of the sources that become columns of the table.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, SchemaRef};
use deltalake::DeltaTable;
use polder_base::TableName;
use polder_ingest::{Fault, IngestError, Record, Scalar};

use super::documents;
use crate::LakeError;

/// The names that were asked for.
#[derive(Default)]
pub(super) struct Kept {
    names: Vec<String>,
}

/// The same with their types; one that no record has a value of yet is left out.
pub(super) struct Types {
    columns: Vec<(String, Option<DataType>)>,
}

impl Kept {
    pub(super) fn new(names: &[String], into: &TableName, opened: Option<&DeltaTable>) -> Result<Self, LakeError> {
        let wrong = |reason: String| LakeError::from(IngestError::Mapping { reason });
        let own = documents::schema();
        for (i, name) in names.iter().enumerate() {
            if own.fields().iter().any(|f| f.name().eq_ignore_ascii_case(name)) {
                return Err(wrong(format!(
                    "`{name}` is a column that every document has; --text-column, --uri-column and the like say what goes into those"
                )));
            }
            if names[..i].contains(name) {
                return Err(wrong(format!("`{name}` is named twice")));
            }
        }
        for (name, kind) in columns(names, opened) {
            if let Some(kind) = kind.filter(|k| !is_known(k)) {
                return Err(wrong(format!("`{name}` of {into} has the type {kind}, which no value of a source can have")));
            }
        }
        Ok(Self { names: names.to_vec() })
    }

    /// The types that the table's columns have; where there is none yet, the one that fits all of the values.
    pub(super) fn types(&self, opened: Option<&DeltaTable>, records: &[Box<Record>]) -> Types {
        let mut columns = columns(&self.names, opened);
        for (i, (_, kind)) in columns.iter_mut().enumerate().filter(|(_, (_, kind))| kind.is_none()) {
            *kind = records.iter().fold(None, |kind, record| wider(kind, record.kept.get(i)));
        }
        Types { columns }
    }
}

fn schema(opened: Option<&DeltaTable>) -> Option<SchemaRef> {
    opened.and_then(|o| o.snapshot().ok()).map(|s| s.snapshot().arrow_schema())
}

fn columns(names: &[String], opened: Option<&DeltaTable>) -> Vec<(String, Option<DataType>)> {
    let schema = schema(opened);
    let kind = |name: &String| schema.as_ref().and_then(|s| s.field_with_name(name).ok()).map(|f| f.data_type().clone());
    names.iter().map(|name| (name.clone(), kind(name))).collect()
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn is_known(kind: &DataType) -> bool {
    is_text(kind) || matches!(kind, DataType::Boolean | DataType::Int64 | DataType::Float64)
}

/// The type that holds what one held and a further value.
fn wider(kind: Option<DataType>, value: Option<&Scalar>) -> Option<DataType> {
    use DataType::{Boolean, Float64, Int64, Utf8};
    let of = match value {
        None | Some(Scalar::Null | Scalar::Other(_)) => return kind,
        Some(Scalar::Bool(_)) => Boolean,
        Some(Scalar::Int(_)) => Int64,
        Some(Scalar::Float(_)) => Float64,
        Some(Scalar::Text(_)) => Utf8,
    };
    Some(match kind {
        None => of,
        Some(kind) if kind == of => kind,
        Some(Int64 | Float64) if matches!(of, Int64 | Float64) => Float64,
        Some(_) => Utf8,
    })
}

/// A value as another type, where nothing of it is lost.
fn fitted(value: &Scalar, kind: &DataType) -> Option<Scalar> {
    Some(match (value, kind) {
        (Scalar::Null, _) => Scalar::Null,
        (Scalar::Text(text), kind) if is_text(kind) => Scalar::Text(text.clone()),
        (Scalar::Bool(b), kind) if is_text(kind) => Scalar::Text(b.to_string()),
        (Scalar::Int(n), kind) if is_text(kind) => Scalar::Text(n.to_string()),
        (Scalar::Float(x), kind) if is_text(kind) => Scalar::Text(x.to_string()),
        (Scalar::Bool(b), DataType::Boolean) => Scalar::Bool(*b),
        (Scalar::Int(n), DataType::Int64) => Scalar::Int(*n),
        (Scalar::Int(n), DataType::Float64) => Scalar::Float(*n as f64),
        (Scalar::Float(x), DataType::Float64) => Scalar::Float(*x),
        // Files of values have nothing but text.
        (Scalar::Text(text), DataType::Int64) => Scalar::Int(text.trim().parse().ok()?),
        (Scalar::Text(text), DataType::Float64) => Scalar::Float(text.trim().parse().ok()?),
        (Scalar::Text(text), DataType::Boolean) => Scalar::Bool(text.trim().to_ascii_lowercase().parse().ok()?),
        _ => return None,
    })
}

impl Types {
    /// Says which value of a record does not fit its column.
    pub(super) fn unfit(&self, record: &Record) -> Option<Fault> {
        for ((name, kind), value) in self.columns.iter().zip(&record.kept) {
            if let Some(kind) = kind
                && fitted(value, kind).is_none()
            {
                return Some(Fault::new("wrong_type", format!("`{name}` is {}, and the table's column has the type {kind}", value.kind())));
            }
        }
        None
    }

    /// Whether the table lacks one of them, or has columns that documents do not have.
    pub(super) fn adds_columns(&self, opened: Option<&DeltaTable>) -> bool {
        let Some(schema) = schema(opened) else { return false };
        let own = documents::schema();
        let names = own.fields().iter().map(|f| f.name()).chain(self.columns.iter().filter(|c| c.1.is_some()).map(|c| &c.0));
        let names: Vec<&String> = names.collect();
        names.len() != schema.fields().len() || names.iter().any(|n| schema.field_with_name(n).is_err())
    }

    /// Their fields, and their values for some records.
    pub(super) fn arrays(&self, records: &[Box<Record>]) -> Vec<(Field, ArrayRef)> {
        let typed = self.columns.iter().enumerate().filter_map(|(i, (name, kind))| kind.as_ref().map(|kind| (i, name, kind)));
        typed
            .map(|(i, name, kind)| {
                let values = records.iter().map(|r| r.kept.get(i).and_then(|v| fitted(v, kind)).unwrap_or_default());
                let (kind, column): (DataType, ArrayRef) = match kind {
                    DataType::Boolean => (DataType::Boolean, Arc::new(values.map(bool_of).collect::<BooleanArray>())),
                    DataType::Int64 => (DataType::Int64, Arc::new(values.map(int_of).collect::<Int64Array>())),
                    DataType::Float64 => (DataType::Float64, Arc::new(values.map(float_of).collect::<Float64Array>())),
                    _ => (DataType::Utf8, Arc::new(values.map(text_of).collect::<StringArray>())),
                };
                (Field::new(name, kind, true), column)
            })
            .collect()
    }
}

fn bool_of(value: Scalar) -> Option<bool> {
    if let Scalar::Bool(b) = value { Some(b) } else { None }
}

fn int_of(value: Scalar) -> Option<i64> {
    if let Scalar::Int(n) = value { Some(n) } else { None }
}

fn float_of(value: Scalar) -> Option<f64> {
    if let Scalar::Float(x) = value { Some(x) } else { None }
}

fn text_of(value: Scalar) -> Option<String> {
    if let Scalar::Text(text) = value { Some(text) } else { None }
}
