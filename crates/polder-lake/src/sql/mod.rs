//! The front step of SQL: version clauses are turned into names that the catalog resolves, or refused; statements of the lake's
//! own are read here; those that write go to [`mod@write`].
//!
//! The engine behind drops a version clause in silence and would answer with the newest rows, so no clause
//! may reach it. Its own writes pass by the table's constraints, so none is left to it.

mod dialect;
mod fit;
mod own;
mod prepared;
mod show;
mod subqueries;
mod versions;
mod view;
mod write;

pub use dialect::LakeDialect;
pub use own::Upkeep;
pub use prepared::Statements;
pub use write::{Author, Done};

use std::collections::VecDeque;
use std::ops::ControlFlow;

use datafusion::common::TableReference;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SQLOptions, SessionContext};
use datafusion::scalar::ScalarValue;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{
    Assignment, Expr, Insert, Merge, ObjectName, ObjectType, Statement as Sql, TableFactor, TableObject, Value, Visit, Visitor,
    visit_expressions_mut,
};
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{TokenWithSpan, Tokenizer};
use polder_base::TableName;

use self::own::Own;
use self::write::Run;
use crate::catalog::{CATALOG, Opened, SESSION_SCHEMA};
use crate::tables::SCHEMAS;
use crate::{Lake, LakeError, functions, ops};

/// Values of a statement's `$name` parameters.
pub(crate) type Params<'a> = [(&'a str, ScalarValue)];

/// What a statement gives.
#[derive(Debug)]
pub enum Answer {
    /// Rows, not yet read.
    Rows(DataFrame),
    /// What was written.
    Done(Done),
}

/// A statement, read.
#[derive(Clone)]
enum Parsed {
    Own(Own),
    Sql(Box<Statement>),
}

impl Parsed {
    fn read(text: &str) -> Result<Self, LakeError> {
        let tokens = tokens(text)?;
        match Own::read(&tokens)? {
            Some(own) => Ok(Self::Own(own)),
            None => Ok(Self::Sql(Box::new(parse(versions::name_tags(write::name_stars(tokens)))?))),
        }
    }
}

/// Plans one statement that reads.
pub(crate) async fn plan(lake: &Lake, text: &str, params: &Params<'_>) -> Result<DataFrame, LakeError> {
    match Parsed::read(text)? {
        Parsed::Own(own) => match show::frame(lake, &own).await? {
            Some(frame) => Ok(frame),
            None => Err(LakeError::Writes { statement: first_word(text) }),
        },
        Parsed::Sql(statement) if reads(&statement) => rows(lake, *statement, params).await,
        Parsed::Sql(statement) => Err(refused(&statement)),
    }
}

/// Runs one statement of any kind.
pub(crate) async fn run(lake: &Lake, text: &str, params: &Params<'_>, by: &Author) -> Result<Answer, LakeError> {
    answer(lake, Parsed::read(text)?, text, params, by).await
}

async fn answer(lake: &Lake, parsed: Parsed, text: &str, params: &Params<'_>, by: &Author) -> Result<Answer, LakeError> {
    let opened = Opened::default();
    let session = lake.statement_session(&opened);
    let run = Run { lake, session: &session, opened: &opened, by, text };
    match parsed {
        Parsed::Own(own) => match show::frame(lake, &own).await? {
            Some(frame) => Ok(Answer::Rows(frame)),
            None => Ok(Answer::Done(write::keep_up(&run, own).await?)),
        },
        Parsed::Sql(statement) if reads(&statement) => Ok(Answer::Rows(rows(lake, *statement, params).await?)),
        Parsed::Sql(statement) => {
            let mut done = written(&run, *statement, params).await?;
            done.inputs = opened.tables().into_iter().filter(|(table, _)| *table != done.table).collect();
            Ok(Answer::Done(done))
        }
    }
}

/// Deletes the rows that a condition names; the condition is one that [`Lake::purge`] has understood.
pub(crate) async fn delete_where(lake: &Lake, table: &TableName, condition: &str, by: &Author) -> Result<Done, LakeError> {
    let opened = Opened::default();
    let session = lake.statement_session(&opened);
    let text = format!("purge: {condition}");
    write::delete_where(&Run { lake, session: &session, opened: &opened, by, text: &text }, table, condition).await
}

/// Does what a statement of upkeep does that nobody wrote.
pub(crate) async fn keep_up(lake: &Lake, table: &TableName, work: Upkeep, text: &str, by: &Author) -> Result<Done, LakeError> {
    let opened = Opened::default();
    let session = lake.statement_session(&opened);
    write::keep_up(&Run { lake, session: &session, opened: &opened, by, text }, work.of(table)).await
}

fn first_word(text: &str) -> String {
    text.split_whitespace().next().unwrap_or("such").to_uppercase()
}

async fn rows(lake: &Lake, mut statement: Statement, params: &Params<'_>) -> Result<DataFrame, LakeError> {
    let opened = Opened::default();
    let session = lake.statement_session(&opened);
    let planned = planned(lake, &session, &opened, &mut statement, params).await?;
    let reads = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    reads.verify_plan(&planned).map_err(LakeError::statement)?;
    session.execute_logical_plan(planned).await.map_err(LakeError::statement)
}

/// Plans a statement over the snapshots that its session has opened or opens.
async fn planned(
    lake: &Lake,
    session: &SessionContext,
    opened: &Opened,
    statement: &mut Statement,
    params: &Params<'_>,
) -> Result<LogicalPlan, LakeError> {
    prepare(lake, session, statement, params).await?;
    let planned = session.state().statement_to_plan(statement.clone()).await;
    let planned = planned_or_why(lake, session, statement, planned).await?;
    fit::choose(lake, session, opened, &planned);
    with_values(planned, params)
}

/// A plan with a statement's parameters in it.
fn with_values(plan: LogicalPlan, params: &Params<'_>) -> Result<LogicalPlan, LakeError> {
    if params.is_empty() {
        return Ok(plan);
    }
    let values: Vec<(String, ScalarValue)> = params.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    plan.with_param_values(values).map_err(LakeError::statement)
}

/// Everything that must be done before the engine may see a statement.
async fn prepare(lake: &Lake, session: &SessionContext, statement: &mut Statement, params: &Params<'_>) -> Result<(), LakeError> {
    versions::rewrite(statement, params)?;
    view::expand(lake, session, statement, &[]).await?;
    functions::prepare(lake, session, statement, params).await
}

async fn written(run: &Run<'_>, statement: Statement, params: &Params<'_>) -> Result<Done, LakeError> {
    let Statement::Statement(mut sql) = statement else { return Err(refused(&statement)) };
    if let Some(table) = written_book(&sql) {
        return Err(LakeError::OpsWrite { table });
    }
    match sql.as_mut() {
        Sql::Insert(insert) => leave_out_generated(run, insert).await?,
        Sql::Update(update) => assigned_once(&update.assignments)?,
        Sql::Merge(merge) => {
            expand_stars(run, merge).await?;
            write_values(merge, params)?;
        }
        _ => {}
    }
    match *sql {
        Sql::Insert(_) | Sql::Update(_) | Sql::Delete(_) | Sql::Truncate(_) | Sql::Merge(_) => {
            let planned = planned(run.lake, run.session, run.opened, &mut Statement::Statement(sql), params).await?;
            let LogicalPlan::Dml(statement) = planned else { return Err(LakeError::Unsupported { statement: first_word(run.text) }) };
            write::write_rows(run, statement).await
        }
        Sql::CreateTable(_) => {
            let mut statement = Statement::Statement(sql);
            prepare(run.lake, run.session, &mut statement, params).await?;
            match statement {
                Statement::Statement(sql) => match *sql {
                    Sql::CreateTable(create) => write::create_table(run, create, params).await,
                    other => Err(refused(&Statement::Statement(Box::new(other)))),
                },
                other => Err(refused(&other)),
            }
        }
        Sql::CreateView(create) => view::create(run, create).await,
        Sql::AlterTable(alter) => write::alter_table(run, alter).await,
        Sql::Drop { object_type: ObjectType::Table, if_exists, names, .. } => write::drop_tables(run, &names, if_exists).await,
        Sql::Drop { object_type: ObjectType::View, if_exists, names, .. } => view::drop(run, &names, if_exists).await,
        other => Err(refused(&Statement::Statement(Box::new(other)))),
    }
}

/// An INSERT that names no columns gives those that are not made from others.
async fn leave_out_generated(run: &Run<'_>, insert: &mut Insert) -> Result<(), LakeError> {
    let TableObject::TableName(name) = &insert.table else { return Ok(()) };
    if insert.columns.is_empty()
        && let Some(columns) = write::given_columns(run, name).await?
    {
        insert.columns = columns;
    }
    Ok(())
}

/// An UPDATE gives a column one value.
fn assigned_once(assignments: &[Assignment]) -> Result<(), LakeError> {
    let targets: Vec<String> = assignments.iter().map(|a| a.target.to_string()).collect();
    match targets.iter().enumerate().find(|(i, target)| targets[..*i].contains(target)) {
        Some((_, twice)) => Err(LakeError::statement(DataFusionError::Plan(format!("UPDATE gives `{twice}` two values")))),
        None => Ok(()),
    }
}

/// Writes a MERGE's parameters as literals: its plan has expressions that they would not reach.
fn write_values(merge: &mut Merge, params: &Params<'_>) -> Result<(), LakeError> {
    let flow = visit_expressions_mut(merge, |expr| {
        let Expr::Value(value) = expr else { return ControlFlow::Continue(()) };
        let Value::Placeholder(name) = &value.value else { return ControlFlow::Continue(()) };
        match params.iter().find(|(n, _)| *n == name.trim_start_matches('$')).map(|(_, found)| literal(found)) {
            Some(Some(literal)) => {
                value.value = literal;
                ControlFlow::Continue(())
            }
            Some(None) => ControlFlow::Break(format!("the value of `{name}` is none that MERGE takes")),
            // A version's parameter has been read by then; others have no value.
            None => ControlFlow::Continue(()),
        }
    });
    match flow {
        ControlFlow::Break(what) => Err(LakeError::statement(DataFusionError::Plan(what))),
        ControlFlow::Continue(()) => Ok(()),
    }
}

fn literal(value: &ScalarValue) -> Option<Value> {
    Some(match value {
        ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)) | ScalarValue::LargeUtf8(Some(text)) => {
            Value::SingleQuotedString(text.clone())
        }
        ScalarValue::Boolean(Some(is)) => Value::Boolean(*is),
        value if value.is_null() => Value::Null,
        value if value.data_type().is_numeric() => Value::Number(value.to_string(), false),
        _ => return None,
    })
}

async fn expand_stars(run: &Run<'_>, merge: &mut Merge) -> Result<(), LakeError> {
    let TableFactor::Table { name, .. } = &merge.table else { return Ok(()) };
    let columns = write::columns(run, name).await?;
    match write::expand_stars(merge, &columns) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(what) => Err(LakeError::statement(DataFusionError::Plan(what))),
    }
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

/// Whether a statement only reads.
fn reads(statement: &Statement) -> bool {
    match statement {
        Statement::Explain(explain) => reads(&explain.statement),
        Statement::Statement(sql) => matches!(
            sql.as_ref(),
            Sql::Query(_)
                | Sql::Explain { .. }
                | Sql::ExplainTable { .. }
                | Sql::ShowTables { .. }
                | Sql::ShowColumns { .. }
                | Sql::ShowFunctions { .. }
                | Sql::ShowVariable { .. }
                | Sql::ShowVariables { .. }
        ),
        _ => false,
    }
}

/// Why a statement is not run: by kind.
fn refused(statement: &Statement) -> LakeError {
    let text = match statement {
        Statement::Explain(explain) => return refused(&explain.statement),
        Statement::Statement(sql) => {
            if let Some(table) = written_book(sql) {
                return LakeError::OpsWrite { table };
            }
            let writes = matches!(
                sql.as_ref(),
                Sql::Insert(_)
                    | Sql::Update(_)
                    | Sql::Delete(_)
                    | Sql::Truncate(_)
                    | Sql::Merge(_)
                    | Sql::CreateTable(_)
                    | Sql::CreateView(_)
                    | Sql::AlterTable(_)
                    | Sql::Drop { .. }
            );
            if writes {
                return LakeError::Writes { statement: first_word(&sql.to_string()) };
            }
            sql.to_string()
        }
        other => other.to_string(),
    };
    LakeError::Unsupported { statement: first_word(&text) }
}

/// Finds a table of the lake's own books that a statement writes.
fn written_book(statement: &Sql) -> Option<String> {
    match statement {
        // These also read: a book may be a source.
        Sql::Insert(Insert { table: TableObject::TableName(name), .. }) => book(name),
        Sql::Merge(Merge { table: TableFactor::Table { name, .. }, .. }) => book(name),
        Sql::CreateTable(create) => book(&create.name),
        Sql::CreateView(create) => book(&create.name),
        Sql::Drop { names, .. } => names.iter().find_map(book),
        Sql::AlterTable(alter) => book(&alter.name),
        Sql::Truncate(truncate) => truncate.table_names.iter().find_map(|t| book(&t.name)),
        Sql::Update(update) => book_in(&update.table),
        Sql::Delete(delete) => book_in(&delete.from),
        other => book_in(other),
    }
}

/// Finds one among the tables that a part of a statement names.
fn book_in(part: &impl Visit) -> Option<String> {
    struct Books(Option<String>);
    impl Visitor for Books {
        type Break = ();
        fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
            self.0 = self.0.take().or_else(|| book(relation));
            ControlFlow::Continue(())
        }
    }
    let mut books = Books(None);
    let _ = part.visit(&mut books);
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
async fn planned_or_why<T>(
    lake: &Lake,
    session: &SessionContext,
    statement: &Statement,
    planned: Result<T, DataFusionError>,
) -> Result<T, LakeError> {
    let error = match planned.map_err(LakeError::statement) {
        Err(LakeError::Statement { source }) => source,
        other => return other,
    };
    let state = session.state();
    for reference in state.resolve_table_references(statement).unwrap_or_default() {
        let (schema, table) = match &reference {
            TableReference::Bare { table } => (SESSION_SCHEMA, table),
            TableReference::Partial { schema, table } => (schema.as_ref(), table),
            TableReference::Full { catalog, schema, table } if catalog.as_ref() == CATALOG => (schema.as_ref(), table),
            TableReference::Full { .. } => return Err(lake.tables.missing(&reference.to_string()).await),
        };
        if schema == "information_schema" || table.as_ref() == write::NEW_TABLE || state.table_functions().contains_key(table.as_ref()) {
            continue;
        }
        let known = match state.schema_for_ref(reference.clone()) {
            Ok(of) => of.table_type(table).await.is_ok_and(|kind| kind.is_some()),
            Err(_) => false,
        };
        if !known {
            let stem = table.split('@').next().unwrap_or_default();
            let asked = if SCHEMAS.contains(&schema) || schema != SESSION_SCHEMA { format!("{schema}.{stem}") } else { stem.to_owned() };
            return Err(lake.tables.missing(&asked).await);
        }
    }
    Err(LakeError::Statement { source: error })
}
