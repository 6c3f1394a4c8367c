//! One call of a table function: its arguments by name, its tables opened.

use std::collections::BTreeMap;
use std::path::PathBuf;

use datafusion::common::{TableReference, plan_err};
use datafusion::dataframe::DataFrame;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr_fn::cast;
use datafusion::prelude::{SessionContext, ident};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::{self, FunctionArg, FunctionArgExpr, UnaryOperator, Value};

use polder_base::TableName;

use super::LakeFunction;
use crate::{Lake, LakeError, near};

/// What an argument may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A table in quotes: `'pile.base'`, `'pile.base@v1'`.
    Table,
    /// A text in quotes.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
}

/// One parameter of a function.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) is_required: bool,
}

impl Parameter {
    pub(crate) const fn required(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, is_required: true }
    }

    pub(crate) const fn optional(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, is_required: false }
    }
}

/// Values by the name of their parameter.
pub(super) type Arguments = BTreeMap<&'static str, ScalarValue>;

/// A call that is ready to be planned.
pub(crate) struct Call {
    name: &'static str,
    arguments: Arguments,
    tables: BTreeMap<&'static str, DataFrame>,
    lake: Lake,
}

/// Reads the arguments as they are written.
pub(super) fn read(
    function: &str,
    parameters: &'static [Parameter],
    args: &[FunctionArg],
    params: &[(&str, ScalarValue)],
) -> Result<Arguments> {
    let syntax = || {
        let of = |p: &Parameter| if p.is_required { p.name.to_owned() } else { format!("[{} =>]", p.name) };
        format!("{function}({})", parameters.iter().map(of).collect::<Vec<_>>().join(", "))
    };
    let mut arguments = Arguments::new();
    for (i, arg) in args.iter().enumerate() {
        let (name, arg) = match arg {
            FunctionArg::Named { name, arg, .. } => (Some(name.value.to_lowercase()), arg),
            FunctionArg::Unnamed(arg) => (None, arg),
            FunctionArg::ExprNamed { .. } => return plan_err!("it is written {}", syntax()),
        };
        let parameter = match &name {
            Some(name) => parameters.iter().find(|p| p.name == name),
            None => parameters.get(i),
        };
        let Some(parameter) = parameter else {
            return match name {
                Some(name) => {
                    let near = near::misses(&name, parameters.iter().map(|p| p.name.to_owned()));
                    plan_err!("`{function}` has no argument `{name}`{}; it is written {}", near::or(&near), syntax())
                }
                None => plan_err!("`{function}` has {} arguments at most; it is written {}", parameters.len(), syntax()),
            };
        };
        let FunctionArgExpr::Expr(expr) = arg else { return plan_err!("it is written {}", syntax()) };
        let found = value(expr, params).and_then(|found| fitting(parameter.kind, found));
        let Some(found) = found else {
            let kind = match parameter.kind {
                Kind::Table => "a table in single quotes, such as 'clean.docs' or 'pile.base@v1'",
                Kind::Text => "a text in single quotes",
                Kind::Integer => "a whole number",
                Kind::Number => "a number",
            };
            return plan_err!("argument `{}` of `{function}` is {expr}: it must be {kind}", parameter.name);
        };
        if arguments.insert(parameter.name, found).is_some() {
            return plan_err!("argument `{}` of `{function}` is given twice", parameter.name);
        }
    }
    match parameters.iter().find(|p| p.is_required && !arguments.contains_key(p.name)) {
        Some(missing) => plan_err!("`{function}` needs the argument `{}`; it is written {}", missing.name, syntax()),
        None => Ok(arguments),
    }
}

/// The value of a literal or of a parameter.
pub(crate) fn value(expr: &ast::Expr, params: &[(&str, ScalarValue)]) -> Option<ScalarValue> {
    match expr {
        ast::Expr::UnaryOp { op: UnaryOperator::Minus, expr } => value(expr, params)?.arithmetic_negate().ok(),
        ast::Expr::Value(found) => match &found.value {
            Value::SingleQuotedString(text) => Some(ScalarValue::from(text.as_str())),
            Value::Number(number, _) => {
                number.parse().map(|n: i64| ScalarValue::from(n)).or_else(|_| number.parse().map(|n: f64| ScalarValue::from(n))).ok()
            }
            Value::Placeholder(name) => params.iter().find(|(n, _)| *n == name.trim_start_matches('$')).map(|(_, v)| v.clone()),
            Value::Boolean(truth) => Some(ScalarValue::from(*truth)),
            Value::Null => Some(ScalarValue::Null),
            _ => None,
        },
        _ => None,
    }
}

/// The value as the kind of its parameter; none where it is of another.
fn fitting(kind: Kind, found: ScalarValue) -> Option<ScalarValue> {
    use datafusion::arrow::datatypes::DataType;
    let is_text = matches!(found.data_type(), DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8);
    match kind {
        _ if found.is_null() => None,
        Kind::Table | Kind::Text => is_text.then(|| found.cast_to(&DataType::Utf8).ok())?,
        Kind::Integer => found.data_type().is_integer().then(|| found.cast_to(&DataType::Int64).ok())?,
        Kind::Number => found.data_type().is_numeric().then(|| found.cast_to(&DataType::Float64).ok())?,
    }
}

impl Call {
    pub(super) async fn open(
        lake: &Lake,
        session: &SessionContext,
        function: &dyn LakeFunction,
        arguments: Arguments,
    ) -> Result<Self, LakeError> {
        let mut tables = BTreeMap::new();
        for parameter in function.parameters().iter().filter(|p| p.kind == Kind::Table) {
            let Some(ScalarValue::Utf8(Some(name))) = arguments.get(parameter.name) else { continue };
            // What cannot be a table's name is refused in the words for references.
            let (stem, at) = name.split_once('@').map_or((name.as_str(), None), |(stem, at)| (stem, Some(at)));
            let table: TableName = stem.parse()?;
            let named = at.map_or(table.name.clone(), |at| format!("{}@{at}", table.name));
            let read = async { session.read_table(session.table_provider(TableReference::partial(table.schema.clone(), named)).await?) };
            tables.insert(parameter.name, read.await.map_err(LakeError::statement)?);
        }
        Ok(Self { name: function.name(), arguments, tables, lake: lake.clone() })
    }

    pub(crate) fn lake(&self) -> &Lake {
        &self.lake
    }

    /// A folder for what does not fit into memory.
    pub(crate) fn folder(&self) -> PathBuf {
        self.lake.layout().root().to_owned()
    }

    /// The rows of a table that was named.
    pub(crate) fn table(&self, parameter: &str) -> Result<&DataFrame> {
        self.tables.get(parameter).ok_or_else(|| DataFusionError::Plan(format!("`{}` needs the table `{parameter}`", self.name)))
    }

    /// A column of a table, cast to a type.
    pub(crate) fn column(&self, parameter: &str, column: &str, data_type: datafusion::arrow::datatypes::DataType) -> Result<Expr> {
        let frame = self.table(parameter)?;
        let names = || frame.schema().fields().iter().map(|f| f.name().clone());
        if !names().any(|name| name == column) {
            let near = near::misses(column, names());
            let table = self.text(parameter).unwrap_or_default();
            return plan_err!(
                "`{table}` has no column `{column}`{}; its columns are {}",
                near::or(&near),
                names().collect::<Vec<_>>().join(", ")
            );
        }
        Ok(cast(ident(column), data_type))
    }

    pub(crate) fn text(&self, parameter: &str) -> Option<&str> {
        match self.arguments.get(parameter) {
            Some(ScalarValue::Utf8(Some(text))) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn integer(&self, parameter: &str) -> Option<i64> {
        match self.arguments.get(parameter) {
            Some(ScalarValue::Int64(Some(number))) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn number(&self, parameter: &str) -> Option<f64> {
        match self.arguments.get(parameter) {
            Some(ScalarValue::Float64(Some(number))) => Some(*number),
            _ => None,
        }
    }
}
