//! The front step of SQL: version clauses are turned into names that the catalog resolves, or refused.
//!
//! The engine behind drops a version clause in silence and would answer with the newest rows, so no clause
//! may reach it. Statements that write are refused here: the engine's own writes pass by the table's constraints.

mod dialect;
mod show;
mod versions;

pub use dialect::LakeDialect;

use std::collections::VecDeque;
use std::ops::ControlFlow;

use datafusion::common::TableReference;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::prelude::{SQLOptions, SessionContext};
use datafusion::scalar::ScalarValue;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{ObjectName, Statement as Sql, Visit, Visitor};
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{TokenWithSpan, Tokenizer};

use crate::catalog::{CATALOG, SESSION_SCHEMA};
use crate::tables::SCHEMAS;
use crate::{Lake, LakeError, functions, ops};

/// Plans one statement that reads.
pub(crate) async fn plan(lake: &Lake, text: &str, params: &[(&str, ScalarValue)]) -> Result<DataFrame, LakeError> {
    let tokens = tokens(text)?;
    if let Some(books) = show::asked(&tokens)? {
        return show::frame(lake, books).await;
    }
    let mut statement = parse(versions::name_tags(tokens))?;
    refuse_writes(&statement)?;
    versions::rewrite(&mut statement, params)?;
    let session = lake.statement_session();
    functions::prepare(lake, &session, &mut statement, params).await?;
    let planned = match session.state().statement_to_plan(statement.clone()).await {
        Ok(plan) => plan,
        Err(e) => return Err(why(lake, &session, &statement, e)),
    };
    let reads = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    reads.verify_plan(&planned).map_err(LakeError::statement)?;
    let frame = session.execute_logical_plan(planned).await.map_err(LakeError::statement)?;
    if params.is_empty() {
        return Ok(frame);
    }
    let values: Vec<(String, ScalarValue)> = params.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    frame.with_param_values(values).map_err(LakeError::statement)
}

fn tokens(text: &str) -> Result<Vec<TokenWithSpan>, LakeError> {
    Tokenizer::new(&dialect::LakeDialect, text).tokenize_with_location().map_err(|e| LakeError::statement(ParserError::from(e).into()))
}

fn parse(tokens: Vec<TokenWithSpan>) -> Result<Statement, LakeError> {
    let parsed = DFParserBuilder::new(tokens).with_dialect(&dialect::LakeDialect).build().and_then(|mut p| p.parse_statements());
    let mut statements: VecDeque<Statement> = parsed.map_err(LakeError::statement)?;
    let plan_error = |text: &str| LakeError::statement(DataFusionError::Plan(text.to_owned()));
    match (statements.pop_front(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        (Some(_), false) => Err(plan_error("there is more than one statement")),
        (None, _) => Err(plan_error("there is no statement")),
    }
}

/// Lets statements through that read; names the kind of the others.
fn refuse_writes(statement: &Statement) -> Result<(), LakeError> {
    let kind = match statement {
        Statement::Explain(explain) => return refuse_writes(&explain.statement),
        Statement::Statement(sql) => match sql.as_ref() {
            Sql::Query(_)
            | Sql::Explain { .. }
            | Sql::ExplainTable { .. }
            | Sql::ShowTables { .. }
            | Sql::ShowColumns { .. }
            | Sql::ShowFunctions { .. }
            | Sql::ShowVariable { .. }
            | Sql::ShowVariables { .. } => return Ok(()),
            other => {
                if let Some(table) = book_in(other) {
                    return Err(LakeError::OpsWrite { table });
                }
                other.to_string()
            }
        },
        other => other.to_string(),
    };
    let kind = kind.split_whitespace().next().unwrap_or("such").to_uppercase();
    Err(LakeError::Unsupported { statement: kind })
}

/// Finds a table of the lake's own books among those a statement names.
fn book_in(statement: &Sql) -> Option<String> {
    struct Books(Option<String>);
    impl Visitor for Books {
        type Break = ();
        fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
            self.0 = self.0.take().or_else(|| book(relation));
            ControlFlow::Continue(())
        }
    }
    let mut books = Books(None);
    let _ = statement.visit(&mut books);
    // The visitor does not take what is dropped for a relation.
    if let Sql::Drop { names, .. } = statement {
        return names.iter().find_map(book);
    }
    books.0
}

fn book(name: &ObjectName) -> Option<String> {
    let parts: Vec<&str> = name.0.iter().filter_map(|p| p.as_ident()).map(|i| i.value.as_str()).collect();
    match parts[..] {
        [.., schema, name] if schema.eq_ignore_ascii_case(ops::SCHEMA) => Some(format!("{schema}.{name}")),
        _ => None,
    }
}

/// Says why a statement could not be planned: a table that is not there is named with its near misses.
fn why(lake: &Lake, session: &SessionContext, statement: &Statement, error: DataFusionError) -> LakeError {
    let error = match LakeError::statement(error) {
        LakeError::Statement { source } => source,
        ours => return ours,
    };
    let state = session.state();
    for reference in state.resolve_table_references(statement).unwrap_or_default() {
        let (schema, table) = match &reference {
            TableReference::Bare { table } => (SESSION_SCHEMA, table),
            TableReference::Partial { schema, table } => (schema.as_ref(), table),
            TableReference::Full { catalog, schema, table } if catalog.as_ref() == CATALOG => (schema.as_ref(), table),
            TableReference::Full { .. } => return lake.tables.missing(&reference.to_string()),
        };
        if schema == "information_schema" || state.table_functions().contains_key(table.as_ref()) {
            continue;
        }
        let known = state.schema_for_ref(reference.clone()).is_ok_and(|s| s.table_exist(table));
        if !known {
            let stem = table.split('@').next().unwrap_or_default();
            let asked = if SCHEMAS.contains(&schema) || schema != SESSION_SCHEMA { format!("{schema}.{stem}") } else { stem.to_owned() };
            return lake.tables.missing(&asked);
        }
    }
    LakeError::Statement { source: error }
}
