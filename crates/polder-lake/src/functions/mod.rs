//! Table functions over tables of the lake: `near_duplicates('clean.docs', jaccard => 0.8)`.
//!
//! The engine plans a table function at once and without waiting, and knows no named arguments. So the front step of SQL
//! reads the call, opens the tables it names at the state they have for this statement, and hands the engine a number
//! under which the answer is ready. A new function is a file here that implements [`LakeFunction`], and a line in [`ALL`].

mod call;
mod contamination;
mod documents;
mod duplicate_passages;
mod duplicate_substrings;
mod near_duplicates;
mod near_matches;
mod table_changes;

pub(crate) use call::{Call, Kind, Parameter, value};

use std::ops::ControlFlow;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::Expr;
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{self, FunctionArg, FunctionArgExpr, TableFactor, VisitMut, VisitorMut};

use crate::{Lake, LakeError};

/// A function whose answer is a table.
#[async_trait]
pub(crate) trait LakeFunction: Sync {
    /// Its name in SQL.
    fn name(&self) -> &'static str;

    /// What it takes, in the order in which arguments without a name are understood.
    fn parameters(&self) -> &'static [Parameter];

    /// Plans the answer. The work itself is done when the table is read.
    async fn plan(&self, call: &Call) -> Result<Arc<dyn TableProvider>>;
}

/// Every table function of the lake.
const ALL: [&dyn LakeFunction; 7] = [
    &contamination::ContaminationFunction,
    &duplicate_passages::DUPLICATE_LINES,
    &duplicate_passages::DUPLICATE_PARAGRAPHS,
    &duplicate_substrings::DuplicateSubstrings,
    &near_duplicates::NearDuplicatesFunction,
    &near_matches::NearMatchesFunction,
    &table_changes::TableChanges,
];

/// Reads and plans every call in a statement.
pub(crate) async fn prepare(
    lake: &Lake,
    session: &SessionContext,
    statement: &mut Statement,
    params: &[(&str, ScalarValue)],
) -> Result<(), LakeError> {
    let mut calls = Calls { params, found: Vec::new() };
    let flow = match statement {
        Statement::Statement(sql) => sql.visit(&mut calls),
        Statement::Explain(explain) => match explain.statement.as_mut() {
            Statement::Statement(sql) => sql.visit(&mut calls),
            _ => return Ok(()),
        },
        _ => return Ok(()),
    };
    if let ControlFlow::Break(error) = flow {
        return Err(LakeError::statement(error));
    }
    let mut answers: Vec<Arc<dyn TableProvider>> = Vec::new();
    for (function, arguments) in calls.found {
        let call = Call::open(lake, session, function, arguments).await?;
        answers.push(function.plan(&call).await.map_err(LakeError::statement)?);
    }
    // All of them, so that SHOW FUNCTIONS names them.
    for function in ALL {
        session.register_udtf(function.name(), Arc::new(Answers { name: function.name(), answers: answers.clone() }));
    }
    Ok(())
}

struct Calls<'a> {
    params: &'a [(&'a str, ScalarValue)],
    found: Vec<(&'static dyn LakeFunction, call::Arguments)>,
}

impl VisitorMut for Calls<'_> {
    type Break = DataFusionError;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<DataFusionError> {
        let TableFactor::Table { name, args: Some(args), .. } = factor else { return ControlFlow::Continue(()) };
        let [part] = name.0.as_mut_slice() else { return ControlFlow::Continue(()) };
        let asked = part.as_ident().map(|ident| ident.value.to_lowercase()).unwrap_or_default();
        let Some(function) = ALL.into_iter().find(|f| f.name() == asked) else { return ControlFlow::Continue(()) };
        match call::read(function.name(), function.parameters(), &args.args, self.params) {
            Ok(arguments) => {
                let number = ast::Value::Number(self.found.len().to_string(), false);
                args.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(ast::Expr::Value(number.into())))];
                *part = ast::ObjectNamePart::Identifier(ast::Ident::new(function.name()));
                self.found.push((function, arguments));
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    }
}

/// What the engine calls: the answers of a statement, by number.
#[derive(Debug)]
struct Answers {
    name: &'static str,
    answers: Vec<Arc<dyn TableProvider>>,
}

impl TableFunctionImpl for Answers {
    fn call_with_args(&self, args: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let number = match args.exprs() {
            [Expr::Literal(ScalarValue::Int64(Some(number)), _)] => usize::try_from(*number).ok(),
            _ => None,
        };
        let answer = number.and_then(|number| self.answers.get(number)).cloned();
        answer.ok_or_else(|| DataFusionError::Plan(format!("`{}` stands where its arguments cannot be read", self.name)))
    }
}
