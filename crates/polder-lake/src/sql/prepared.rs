//! Statements one after another, among them PREPARE, EXECUTE and DEALLOCATE.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::error::DataFusionError;
use datafusion::scalar::ScalarValue;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Expr, Ident, ObjectName, ObjectNamePart, Statement as Sql, Value, ValueWithSpan, visit_expressions};
use polder_base::Timestamp;

use super::{Answer, Author, Params, Parsed, answer};
use crate::functions;
use crate::{Lake, LakeError, near};

/// A user's statements: what one of them prepares, a later one executes.
pub struct Statements {
    lake: Lake,
    actor: String,
    prepared: HashMap<String, Prepared>,
}

/// Values of a statement's parameters, by their places.
type Values = Vec<(String, ScalarValue)>;

struct Prepared {
    statement: Sql,
    text: String,
}

impl Statements {
    /// Begins with nothing prepared.
    pub fn new(lake: Lake, actor: impl Into<String>) -> Self {
        Self { lake, actor: actor.into(), prepared: HashMap::new() }
    }

    /// Runs one statement.
    ///
    /// # Errors
    /// Those of [`Lake::execute`]; a prepared statement that is not there, or is given other values than it needs.
    pub async fn run(&mut self, text: &str, at: Timestamp) -> Result<Option<Answer>, LakeError> {
        let parsed = Parsed::read(text)?;
        let by = Author { actor: self.actor.clone(), at };
        if let Parsed::Sql(statement) = &parsed
            && let Statement::Statement(sql) = statement.as_ref()
        {
            match sql.as_ref() {
                Sql::Prepare { name, statement, .. } => {
                    let prepared = Prepared { statement: statement.as_ref().clone(), text: text.to_owned() };
                    self.prepared.insert(name.value.clone(), prepared);
                    return Ok(None);
                }
                Sql::Deallocate { name, .. } => {
                    self.forget(name)?;
                    return Ok(None);
                }
                Sql::Execute { name: Some(name), parameters, immediate: false, .. } => {
                    let (prepared, values) = self.execution(name, parameters)?;
                    let parsed = Parsed::Sql(Box::new(Statement::Statement(Box::new(prepared.statement.clone()))));
                    let params: Vec<(&str, ScalarValue)> = values.iter().map(|(n, v)| (n.as_str(), v.clone())).collect();
                    let params: &Params<'_> = &params;
                    return answer(&self.lake, parsed, &prepared.text, params, &by).await.map(Some);
                }
                _ => {}
            }
        }
        answer(&self.lake, parsed, text, &[], &by).await.map(Some)
    }

    fn unknown(&self, name: &str) -> LakeError {
        let near = near::misses(name, self.prepared.keys().cloned());
        plan(format!("there is no prepared statement `{name}`{}", near::or(&near)))
    }

    fn forget(&mut self, name: &Ident) -> Result<(), LakeError> {
        if name.value.eq_ignore_ascii_case("all") {
            self.prepared.clear();
            return Ok(());
        }
        self.prepared.remove(&name.value).map(|_| ()).ok_or_else(|| self.unknown(&name.value))
    }

    fn execution(&self, name: &ObjectName, values: &[Expr]) -> Result<(&Prepared, Values), LakeError> {
        let name = name.0.last().and_then(ObjectNamePart::as_ident).map(|i| i.value.clone()).unwrap_or_default();
        let prepared = self.prepared.get(&name).ok_or_else(|| self.unknown(&name))?;
        let needed = needed(&prepared.statement);
        if values.len() != needed {
            let many = |n: usize| format!("{n} value{}", if n == 1 { "" } else { "s" });
            return Err(plan(format!("`{name}` needs {}, and {} stand in EXECUTE", many(needed), many(values.len()))));
        }
        let mut params = Vec::new();
        for (i, value) in values.iter().enumerate() {
            let found = functions::value(value, &[]).ok_or_else(|| plan(format!("`{value}` is no value for EXECUTE: write a literal")))?;
            params.push(((i + 1).to_string(), found));
        }
        Ok((prepared, params))
    }
}

/// How many values a statement's `$1`, `$2`, … ask for.
fn needed(statement: &Sql) -> usize {
    let mut most = 0;
    let _ = visit_expressions(statement, |expr| {
        if let Expr::Value(ValueWithSpan { value: Value::Placeholder(name), .. }) = expr
            && let Some(n) = name.strip_prefix('$').and_then(|n| n.parse().ok())
        {
            most = most.max(n);
        }
        ControlFlow::<()>::Continue(())
    });
    most
}

fn plan(what: String) -> LakeError {
    LakeError::statement(DataFusionError::Plan(what))
}
