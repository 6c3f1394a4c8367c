//! How the quality rules leave a function: one struct per row, the verdict first, then its figures.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow::datatypes::DataType;
use datafusion_common::{Result, exec_datafusion_err};
use datafusion_expr::ScalarUDF;
use polder_text::{Dialect, DialectError};

use crate::arguments::Arguments;
use crate::function::{Argument, Definition, Kind};
use crate::nested::{struct_type, structs};

/// A field of a verdict: its name, and how it is read.
pub(crate) type Figure<T> = (&'static str, Read<T>);

/// The type of a figure and where it stands.
pub(crate) enum Read<T> {
    Flag(fn(&T) -> bool),
    Reason(fn(&T) -> Option<&'static str>),
    Text(fn(&T) -> &str),
    Count(fn(&T) -> usize),
    Share(fn(&T) -> f64),
}

impl<T> Read<T> {
    fn data_type(&self) -> DataType {
        match self {
            Self::Flag(_) => DataType::Boolean,
            Self::Reason(_) | Self::Text(_) => DataType::Utf8,
            Self::Count(_) => DataType::Int64,
            Self::Share(_) => DataType::Float64,
        }
    }

    fn column(&self, rows: &[Option<&T>]) -> ArrayRef {
        match self {
            Self::Flag(read) => Arc::new(rows.iter().map(|r| r.map(read)).collect::<BooleanArray>()),
            Self::Reason(read) => Arc::new(rows.iter().map(|r| r.and_then(read)).collect::<StringArray>()),
            Self::Text(read) => Arc::new(rows.iter().map(|r| r.map(read)).collect::<StringArray>()),
            Self::Count(read) => Arc::new(rows.iter().map(|r| r.map(|r| read(r) as i64)).collect::<Int64Array>()),
            Self::Share(read) => Arc::new(rows.iter().map(|r| r.map(read)).collect::<Float64Array>()),
        }
    }
}

/// The type of such structs.
pub(crate) fn verdict_type<T>(figures: &[Figure<T>]) -> DataType {
    struct_type(&figures.iter().map(|(name, read)| (*name, read.data_type())).collect::<Vec<_>>())
}

/// One struct per row, NULL where there is none.
pub(crate) fn verdicts<T>(figures: &[Figure<T>], rows: &[Option<&T>]) -> Result<ArrayRef> {
    let columns = figures.iter().map(|(_, read)| read.column(rows)).collect();
    structs(&verdict_type(figures), columns, Some(rows.iter().map(Option::is_some).collect()))
}

/// The parts of a rule set's function.
pub(crate) struct Rules<T: 'static> {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    pub(crate) example: &'static str,
    /// The dialects; the first is the default.
    pub(crate) dialects: &'static [Dialect],
    pub(crate) dialect: &'static [Argument],
    pub(crate) figures: fn() -> Vec<Figure<T>>,
    pub(crate) judge: fn(&str, Dialect) -> Result<T, DialectError>,
}

impl<T: 'static> Rules<T> {
    pub(crate) fn udf(self) -> ScalarUDF {
        let Self { name, description, example, dialects, dialect, figures, judge } = self;
        let definition = Definition {
            name,
            description,
            example,
            required: &[("text", Kind::Text, "The text.")],
            optional: dialect,
            returns: verdict_type(&figures()),
        };
        definition.udf(move |args| {
            let rows = judged(args, name, dialects, judge)?;
            verdicts(&figures(), &rows.iter().map(Option::as_ref).collect::<Vec<_>>())
        })
    }
}

fn judged<T>(
    args: &Arguments<'_>,
    name: &str,
    dialects: &'static [Dialect],
    judge: fn(&str, Dialect) -> Result<T, DialectError>,
) -> Result<Vec<Option<T>>> {
    let text = args.text(0)?;
    let dialect = if args.has(1) { Some(args.text(1)?) } else { None };
    let default = dialects.first().map_or("", |d| d.name());
    args.rows()
        .map(|row| {
            let dialect = dialect.as_ref().map_or(Some(default), |d| d.get(row));
            let (Some(text), Some(dialect)) = (text.get(row), dialect) else { return Ok(None) };
            let judged = Dialect::parse(dialect, dialects).and_then(|dialect| judge(text, dialect));
            judged.map(Some).map_err(|e| exec_datafusion_err!("{name}: {e}"))
        })
        .collect()
}
