//! INSERT, UPDATE, DELETE, TRUNCATE; MERGE has a file of its own.

use std::collections::BTreeMap;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, ToDFSchema};
use datafusion::dataframe::DataFrame;
use datafusion::error::{DataFusionError, Result as PlanResult};
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{DmlStatement, Expr, LogicalPlan, WriteOp, ident};
use deltalake::DeltaTable;
use deltalake::delta_datafusion::SessionFallbackPolicy;
use polder_base::TableName;

use super::super::subqueries;
use super::{Done, Run, merge};
use crate::write::{self, WriteMode};
use crate::{LakeError, WriteOptions};

/// Runs a planned statement.
pub(in super::super) async fn run(run: &Run<'_>, statement: DmlStatement) -> Result<Done, LakeError> {
    let table = run.target(&statement.table_name).await?;
    let opened = run.open(&table).await?;
    let input = statement.input.as_ref().clone();
    match statement.op {
        WriteOp::Insert(op) => insert(run, &table, opened, op, input).await,
        WriteOp::Update => update(run, &table, opened, input).await,
        WriteOp::Delete => delete(run, &table, opened, input).await,
        WriteOp::Truncate => remove(run, &table, opened, None, "TRUNCATE").await,
        WriteOp::MergeInto(op) => merge::run(run, &table, &statement.table_name, opened, *op, input).await,
        other => Err(unsupported(&other.to_string())),
    }
}

fn unsupported(what: &str) -> LakeError {
    LakeError::Unsupported { statement: what.to_uppercase() }
}

async fn insert(run: &Run<'_>, table: &TableName, opened: DeltaTable, op: InsertOp, input: LogicalPlan) -> Result<Done, LakeError> {
    let mode = match op {
        InsertOp::Append => WriteMode::Append,
        InsertOp::Overwrite => WriteMode::Replace,
        InsertOp::Replace => return Err(unsupported("replace")),
    };
    let rows = DataFrame::new(run.session.state(), input);
    let rows = without_made(rows, &generated(&opened, table)?).map_err(LakeError::statement)?;
    let options = WriteOptions { mode, metadata: run.metadata(), ..WriteOptions::default() };
    let retries = (mode == WriteMode::Replace).then_some(0);
    let written = run.lake.commit(table, Some(opened), rows, &options, retries).await?;
    let statement = if mode == WriteMode::Append { "INSERT" } else { "INSERT OVERWRITE" };
    Ok(Done::new(statement, table, Some(written.version)).with("n_rows_inserted", written.n_rows))
}

/// Expressions of columns that are made from others, by name.
pub(super) fn generated(opened: &DeltaTable, table: &TableName) -> Result<BTreeMap<String, String>, LakeError> {
    let state = opened.snapshot().map_err(LakeError::delta("read the snapshot of", table))?;
    let schema = state.schema();
    let expression = |field: &deltalake::kernel::StructField| {
        let text = field.metadata().get("delta.generationExpression")?.to_string();
        // Some writers keep it as JSON text.
        Some((field.name().clone(), serde_json::from_str::<String>(&text).unwrap_or(text)))
    };
    Ok(schema.fields().filter_map(expression).collect())
}

/// Leaves out generated columns that the statement gives no value: the writer makes them.
fn without_made(rows: DataFrame, generated: &BTreeMap<String, String>) -> PlanResult<DataFrame> {
    let LogicalPlan::Projection(projection) = rows.logical_plan() else { return Ok(rows) };
    let is_null = |expr: &Expr| {
        let mut expr = expr;
        while let Expr::Alias(_) | Expr::Cast(_) = expr {
            expr = match expr {
                Expr::Alias(of) => &of.expr,
                Expr::Cast(of) => &of.expr,
                other => other,
            };
        }
        matches!(expr, Expr::Literal(value, _) if value.is_null())
    };
    let fields = rows.schema().fields().iter().zip(&projection.expr);
    let given: Vec<Expr> = fields
        .filter(|(field, expr)| !(generated.contains_key(field.name()) && is_null(expr)))
        .map(|(field, _)| ident(field.name()))
        .collect();
    if given.len() == projection.expr.len() { Ok(rows) } else { rows.select(given) }
}

async fn delete(run: &Run<'_>, table: &TableName, opened: DeltaTable, input: LogicalPlan) -> Result<Done, LakeError> {
    let (predicate, below) = filtered(input);
    only_the_table(&below, "DELETE")?;
    let predicate = match predicate {
        Some(predicate) => Some(condition(run, predicate).await.map_err(LakeError::statement)?),
        None => None,
    };
    remove(run, table, opened, predicate, "DELETE").await
}

/// Deletes the rows that a condition over the table names.
pub(in super::super) async fn delete_where(run: &Run<'_>, table: &TableName, text: &str) -> Result<Done, LakeError> {
    let opened = run.open(table).await?;
    let state = opened.snapshot().map_err(LakeError::delta("read the snapshot of", table))?;
    let schema = state.snapshot().arrow_schema().to_dfschema().map_err(LakeError::statement)?;
    let predicate = run.session.state().create_logical_expr(text, &schema).map_err(LakeError::statement)?;
    let predicate = condition(run, predicate).await.map_err(LakeError::statement)?;
    remove(run, table, opened, Some(predicate), "DELETE").await
}

async fn remove(
    run: &Run<'_>,
    table: &TableName,
    opened: DeltaTable,
    predicate: Option<Expr>,
    statement: &'static str,
) -> Result<Done, LakeError> {
    let mut builder = opened
        .delete()
        .with_session_state(run.state())
        .with_session_fallback_policy(SessionFallbackPolicy::RequireSessionState)
        .with_writer_properties(write::parquet())
        .with_commit_properties(run.commit());
    if let Some(predicate) = predicate {
        builder = builder.with_predicate(predicate);
    }
    let (after, metrics) = builder.await.map_err(write::failed("delete from", table))?;
    let done = Done::new(statement, table, after.version());
    Ok(match metrics.num_deleted_rows {
        Some(n) => done.with("n_rows_deleted", n as u64),
        None => done,
    })
}

async fn update(run: &Run<'_>, table: &TableName, opened: DeltaTable, input: LogicalPlan) -> Result<Done, LakeError> {
    let LogicalPlan::Projection(projection) = input else { return Err(unsupported("update")) };
    let (predicate, below) = filtered(projection.input.as_ref().clone());
    only_the_table(&below, "UPDATE")?;
    let mut values = BTreeMap::new();
    for (field, expr) in projection.schema.fields().iter().zip(projection.expr) {
        let expr = expr.unalias();
        if !matches!(&expr, Expr::Column(column) if column.name == *field.name()) {
            values.insert(field.name().clone(), condition(run, expr).await.map_err(LakeError::statement)?);
        }
    }
    make_anew(run, table, &opened, &mut values, &|name, _| Ok(ident(name))).map_err(LakeError::statement)?;
    let mut builder = opened
        .update()
        .with_session_state(run.state())
        .with_session_fallback_policy(SessionFallbackPolicy::RequireSessionState)
        .with_writer_properties(write::parquet())
        .with_commit_properties(run.commit());
    for (column, value) in values {
        builder = builder.with_update(Column::new_unqualified(column), value);
    }
    if let Some(predicate) = predicate {
        builder = builder.with_predicate(condition(run, predicate).await.map_err(LakeError::statement)?);
    }
    let (after, metrics) = builder.await.map_err(write::failed("update", table))?;
    Ok(Done::new("UPDATE", table, after.version()).with("n_rows_updated", metrics.num_updated_rows as u64))
}

/// Adds the generated columns that get no value, made from those that do and from what `others` stand for.
pub(super) fn make_anew(
    run: &Run<'_>,
    table: &TableName,
    opened: &DeltaTable,
    values: &mut BTreeMap<String, Expr>,
    others: &dyn Fn(&str, &DFSchema) -> PlanResult<Expr>,
) -> PlanResult<()> {
    let generated = generated(opened, table).map_err(LakeError::through_engine)?;
    if generated.is_empty() {
        return Ok(());
    }
    let state = opened.snapshot().map_err(|e| DataFusionError::External(Box::new(e)))?;
    let schema = state.snapshot().arrow_schema().to_dfschema()?;
    let mut made = Vec::new();
    for (column, text) in generated {
        if values.contains_key(&column) {
            continue;
        }
        let expr = run.session.state().create_logical_expr(&text, &schema)?;
        let replaced = expr.transform(|e| match &e {
            Expr::Column(of) => match values.get(&of.name) {
                Some(value) => Ok(Transformed::yes(value.clone())),
                None => Ok(Transformed::yes(others(&of.name, &schema)?)),
            },
            _ => Ok(Transformed::no(e)),
        })?;
        made.push((column, replaced.data));
    }
    values.extend(made);
    Ok(())
}

fn filtered(plan: LogicalPlan) -> (Option<Expr>, LogicalPlan) {
    match plan {
        LogicalPlan::Filter(filter) => (Some(filter.predicate), filter.input.as_ref().clone()),
        other => (None, other),
    }
}

/// Refuses what reads more than the table itself, or a part of it that no condition says.
fn only_the_table(plan: &LogicalPlan, statement: &str) -> Result<(), LakeError> {
    match plan {
        LogicalPlan::TableScan(_) => Ok(()),
        LogicalPlan::SubqueryAlias(alias) => only_the_table(&alias.input, statement),
        _ => {
            let what = format!("{statement} has a condition over its own table alone; write MERGE INTO … USING … for more");
            Err(LakeError::statement(DataFusionError::Plan(what)))
        }
    }
}

/// An expression over the table's rows alone: sub-queries answered, columns by their own names.
async fn condition(run: &Run<'_>, expr: Expr) -> PlanResult<Expr> {
    let answered = subqueries::answered(run.session, expr).await?;
    let plain = answered.transform(|e| match e {
        Expr::Column(column) if column.relation.is_some() => Ok(Transformed::yes(Expr::Column(Column::new_unqualified(column.name)))),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(plain.data)
}
