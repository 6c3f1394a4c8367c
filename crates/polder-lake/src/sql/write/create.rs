//! CREATE TABLE with columns or from a query, and DROP TABLE.

use datafusion::common::{DFSchema, ToDFSchema};
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{DdlStatement, LogicalPlan, ident, try_cast};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    ColumnOption, CommentDef, CreateTable, CreateTableOptions, Expr as SqlExpr, GeneratedAs, HiveDistributionStyle, Ident, ObjectName,
    SqlOption, Statement as Sql, TableConstraint, Value,
};
use deltalake::DeltaTable;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel as _;
use deltalake::kernel::{MetadataValue, StructField};
use deltalake::operations::create::CreateBuilder;
use deltalake::protocol::SaveMode;
use polder_base::TableName;

use super::super::{Params, fit, with_values};
use super::{Done, Run, rows};
use crate::tables::SCHEMAS;
use crate::write::{self, WriteMode};
use crate::{LakeError, WriteOptions, ops, views};

fn refused(what: impl Into<String>) -> LakeError {
    LakeError::statement(DataFusionError::Plan(what.into()))
}

/// What a CREATE TABLE says beyond names and types of columns.
#[derive(Default)]
struct Extras {
    partition_by: Vec<String>,
    properties: Vec<(String, String)>,
    /// Name and condition.
    checks: Vec<(String, String)>,
    /// Column and expression.
    generated: Vec<(String, String)>,
    comment: Option<String>,
    column_comments: Vec<(String, String)>,
    /// Whether a column is NOT NULL.
    has_required: bool,
}

/// What a table is called while it is planned.
pub(in super::super) const NEW_TABLE: &str = "new table";

/// Makes a table.
pub(in super::super) async fn create_table(run: &Run<'_>, mut create: CreateTable, params: &Params<'_>) -> Result<Done, LakeError> {
    let extras = Extras::take(&mut create)?;
    let if_not_exists = create.if_not_exists;
    let is_replaced = create.or_replace;
    let has_query = create.query.is_some();
    let table = run.named(&create.name).await?;
    if views::exists(run.lake.layout(), &table) {
        return Err(LakeError::NameTaken { name: table, what: "view" });
    }
    let before = run.lake.known.newest(&table).await?;
    if let Some(opened) = &before
        && !is_replaced
    {
        if if_not_exists {
            return Ok(Done::new("CREATE TABLE", &table, opened.version()));
        }
        return Err(LakeError::NameTaken { name: table, what: "table" });
    }
    // Only the engine's own kind of plan is asked for: columns with types, and the query. It looks every name up, and this one is
    // not there yet.
    create.name = ObjectName::from(vec![Ident::with_quote('"', NEW_TABLE)]);
    let statement = Statement::Statement(Box::new(Sql::CreateTable(create)));
    let planned = run.session.state().statement_to_plan(statement.clone()).await;
    let planned = super::super::planned_or_why(run.lake, run.session, &statement, planned).await?;
    let LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(plan)) = planned else { return Err(refused("it is no CREATE TABLE")) };
    let input = with_values(plan.input.as_ref().clone(), params)?;
    fit::choose(run.lake, run.session, run.opened, &input);
    if let Some(missing) = extras.partition_by.iter().find(|c| !input.schema().has_column_with_unqualified_name(c)) {
        return Err(refused(format!("the table has no column `{missing}` to be partitioned by")));
    }
    if input.schema().fields().iter().all(|f| extras.partition_by.contains(f.name())) {
        return Err(refused("a table needs a column beside those that it is partitioned by"));
    }
    if !has_query {
        return empty(run, &table, before.as_ref(), input.schema(), extras).await;
    }
    if !extras.checks.is_empty() || !extras.generated.is_empty() || !extras.column_comments.is_empty() || extras.has_required {
        let what = "constraints, NOT NULL, comments on columns and generated columns belong to a table that is made without a query";
        return Err(refused(format!("{what}: make it so, and write INSERT INTO … SELECT")));
    }
    if let Some(opened) = &before {
        replaceable(opened, &table, &extras)?;
    }
    let mode = if before.is_some() { WriteMode::Overwrite } else { WriteMode::Append };
    let options = WriteOptions {
        mode,
        metadata: run.metadata(),
        partition_by: extras.partition_by,
        properties: extras.properties,
        comment: extras.comment,
        ..WriteOptions::default()
    };
    let rows = DataFrame::new(run.session.state(), input);
    // A column is not NOT NULL because its first rows come from literals.
    let columns = rows.schema().fields().iter().map(|f| try_cast(ident(f.name()), f.data_type().clone()).alias(f.name()));
    let columns: Vec<_> = columns.collect();
    let rows = rows.select(columns).map_err(LakeError::statement)?;
    let written = run.lake.commit(&table, before, rows, &options, Some(0)).await?;
    Ok(Done::new("CREATE TABLE", &table, Some(written.version)).with("n_rows_inserted", written.n_rows))
}

/// Refuses to replace by a query what a commit of rows would leave as it was: rules, partitions, and what the statement says beside.
fn replaceable(opened: &DeltaTable, table: &TableName, extras: &Extras) -> Result<(), LakeError> {
    let state = opened.snapshot().map_err(LakeError::delta("read the snapshot of", table))?;
    let kept = [
        (state.metadata().configuration().keys().any(|key| key.starts_with("delta.constraints.")), "constraints"),
        (!rows::generated(opened, table)?.is_empty(), "generated columns"),
        (*state.metadata().partition_columns() != extras.partition_by, "partitions of its own"),
        (!extras.properties.is_empty() || extras.comment.is_some(), "properties, which a query does not replace"),
    ];
    match kept.iter().find(|(is_kept, _)| *is_kept) {
        Some((_, what)) => Err(refused(format!(
            "`{table}` has {what}: replace it by CREATE OR REPLACE TABLE with columns, and write INSERT INTO … SELECT, or drop it first"
        ))),
        None => Ok(()),
    }
}

/// Makes a table without rows, or makes one anew whose rows and rules go.
async fn empty(
    run: &Run<'_>,
    table: &TableName,
    before: Option<&DeltaTable>,
    schema: &DFSchema,
    extras: Extras,
) -> Result<Done, LakeError> {
    let mut fields = Vec::new();
    for field in schema.fields() {
        if !field.is_nullable() && extras.partition_by.contains(field.name()) && field.data_type().is_string() {
            return Err(refused(format!(
                "the column `{0}` is text to partition by, and cannot be NOT NULL: the format keeps '' as NULL there; write CHECK ({0} <> '')",
                field.name()
            )));
        }
        let mut made: StructField =
            field.as_ref().try_into_kernel().map_err(|source| LakeError::Arrow { step: "give a column its type", source })?;
        let mut metadata: Vec<(String, MetadataValue)> = Vec::new();
        if let Some((_, text)) = extras.generated.iter().find(|(name, _)| name == field.name()) {
            check_expression(run, schema, text, false)?;
            metadata.push(("delta.generationExpression".into(), MetadataValue::String(text.clone())));
        }
        if let Some((_, text)) = extras.column_comments.iter().find(|(name, _)| name == field.name()) {
            metadata.push(("comment".into(), MetadataValue::String(text.clone())));
        }
        if !metadata.is_empty() {
            made = made.with_metadata(metadata);
        }
        fields.push(made);
    }
    let mut properties: Vec<(String, Option<String>)> =
        write::properties(table).into_iter().map(|(key, value)| (key.to_owned(), value.map(str::to_owned))).collect();
    for (name, text) in &extras.checks {
        check_expression(run, schema, text, true)?;
        properties.push((format!("delta.constraints.{name}"), Some(text.clone())));
    }
    if !extras.checks.is_empty() {
        // The first version of the protocol whose writers must hold them.
        properties.push(("delta.minWriterVersion".into(), Some("3".into())));
    }
    properties.extend(extras.properties.into_iter().map(|(key, value)| (key, Some(value))));
    let mut builder = CreateBuilder::new()
        .with_log_store(match before {
            Some(opened) => opened.log_store(),
            None => run.lake.tables.handle(table)?.log_store(),
        })
        .with_columns(fields)
        .with_partition_columns(extras.partition_by)
        .with_save_mode(if before.is_some() { SaveMode::Overwrite } else { SaveMode::ErrorIfExists })
        .with_raise_if_key_not_exists(false)
        .with_configuration(properties)
        .with_commit_properties(run.commit().with_max_retries(0));
    if let Some(comment) = extras.comment {
        builder = builder.with_comment(comment);
    }
    let made = builder.await.map_err(write::failed("create", table))?;
    Ok(Done::new("CREATE TABLE", table, made.version()))
}

/// An expression over a table's columns must mean something before it is kept.
pub(super) fn check_expression(run: &Run<'_>, schema: &DFSchema, text: &str, is_condition: bool) -> Result<(), LakeError> {
    use datafusion::arrow::datatypes::DataType;
    use datafusion::logical_expr::ExprSchemable as _;
    let plain = schema.as_arrow().clone().to_dfschema().map_err(LakeError::statement)?;
    let expr = run.session.state().create_logical_expr(text, &plain).map_err(LakeError::statement)?;
    let kind = expr.get_type(&plain).map_err(LakeError::statement)?;
    if is_condition && kind != DataType::Boolean {
        return Err(refused(format!("the constraint `{text}` is no condition: it gives {kind}")));
    }
    Ok(())
}

impl Extras {
    fn take(create: &mut CreateTable) -> Result<Self, LakeError> {
        let mut extras = Self::default();
        if create.external || create.location.is_some() || create.file_format.is_some() {
            return Err(LakeError::Unsupported { statement: "CREATE EXTERNAL TABLE".into() });
        }
        if create.temporary || create.like.is_some() || create.clone.is_some() || create.version.is_some() {
            return Err(refused("a table of the lake is made from columns or from a query, and it stays"));
        }
        extras.comment = create.comment.take().map(text_of);
        let distribution = std::mem::replace(&mut create.hive_distribution, HiveDistributionStyle::NONE);
        if let HiveDistributionStyle::PARTITIONED { columns } = distribution {
            extras.partition_by.extend(columns.into_iter().map(|c| c.name.value));
        }
        if let Some(by) = create.partition_by.take() {
            let columns = match *by {
                SqlExpr::Tuple(columns) => columns,
                SqlExpr::Nested(inner) => vec![*inner],
                other => vec![other],
            };
            for column in columns {
                match column {
                    SqlExpr::Identifier(ident) => extras.partition_by.push(ident.value),
                    other => return Err(refused(format!("a table is partitioned by columns, not by `{other}`"))),
                }
            }
        }
        let options = std::mem::take(&mut create.table_options);
        let options = match options {
            CreateTableOptions::None => Vec::new(),
            CreateTableOptions::With(options) | CreateTableOptions::TableProperties(options) | CreateTableOptions::Options(options) => {
                options
            }
            CreateTableOptions::Plain(options) => options,
        };
        let (comments, options): (Vec<_>, Vec<_>) = options.into_iter().partition(|o| matches!(o, SqlOption::Comment(_)));
        for comment in comments {
            if let SqlOption::Comment(comment) = comment {
                extras.comment = Some(text_of(comment));
            }
        }
        extras.properties = properties(options)?;
        // The name that it was given or the one that it gets, and the condition.
        let mut checks: Vec<(Option<Ident>, String, String)> = Vec::new();
        for column in &mut create.columns {
            let name = column.name.value.clone();
            let mut kept = Vec::new();
            for option in std::mem::take(&mut column.options) {
                match option.option {
                    ColumnOption::Check(check) => checks.push((option.name, format!("{name}_check"), check.expr.to_string())),
                    ColumnOption::Generated {
                        generated_as: GeneratedAs::Always | GeneratedAs::ExpStored,
                        generation_expr: Some(expr),
                        ..
                    } => {
                        extras.generated.push((name.clone(), expr.to_string()));
                    }
                    ColumnOption::Comment(text) => extras.column_comments.push((name.clone(), text)),
                    ColumnOption::Null => kept.push(option),
                    ColumnOption::NotNull => {
                        extras.has_required = true;
                        kept.push(option);
                    }
                    other => return Err(refused(format!("`{other}` of column `{name}` is nothing that a table here can hold to"))),
                }
            }
            column.options = kept;
        }
        for constraint in std::mem::take(&mut create.constraints) {
            match constraint {
                TableConstraint::Check(check) => checks.push((check.name, "check".into(), check.expr.to_string())),
                other => return Err(refused(format!("`{other}` is nothing that a table here can hold to: it has CHECK and NOT NULL"))),
            }
        }
        // Names are given before they are made up.
        checks.sort_by_key(|(name, ..)| name.is_none());
        for (name, stem, text) in checks {
            let is_taken = |name: &str| extras.checks.iter().any(|(taken, _)| taken == name);
            let name = match name {
                Some(name) if is_taken(&name.value) => return Err(refused(format!("two constraints are called `{}`", name.value))),
                Some(name) => name.value,
                None => {
                    std::iter::once(stem.clone()).chain((2..).map(|n| format!("{stem}_{n}"))).find(|name| !is_taken(name)).unwrap_or(stem)
                }
            };
            extras.checks.push((name, text));
        }
        Ok(extras)
    }
}

fn text_of(comment: CommentDef) -> String {
    match comment {
        CommentDef::WithEq(text) | CommentDef::WithoutEq(text) => text,
    }
}

/// Table properties as they are written; those that would break a promise of the lake are refused.
pub(super) fn properties(options: Vec<SqlOption>) -> Result<Vec<(String, String)>, LakeError> {
    let mut properties = Vec::new();
    for option in options {
        let SqlOption::KeyValue { key, value } = option else { return Err(refused(format!("`{option}` is no table property"))) };
        let value = match value {
            SqlExpr::Value(v) => match v.value {
                Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => text,
                other => other.to_string(),
            },
            other => other.to_string(),
        };
        let key = key.value;
        let is = |v: &str| value.eq_ignore_ascii_case(v);
        let why = match key.as_str() {
            "delta.enableDeletionVectors" if is("true") => Some("deletion vectors are read here and not written"),
            "delta.columnMapping.mode" if !is("none") => Some("tables with column mapping are read here and not written"),
            "delta.enableExpiredLogCleanup" if is("true") => Some("a cleaned log loses the versions that tags name"),
            "delta.logRetentionDuration" | "delta.deletedFileRetentionDuration" => Some("a lake keeps what tags name; use VACUUM … RETAIN"),
            key if key.starts_with("delta.constraints.") => Some("constraints are added with ALTER TABLE … ADD CONSTRAINT"),
            _ => None,
        };
        if let Some(why) = why {
            return Err(refused(format!("the property `{key}` cannot be `{value}`: {why}")));
        }
        properties.push((key, value));
    }
    Ok(properties)
}

/// Drops tables. One that a tag names stays.
pub(in super::super) async fn drop_tables(run: &Run<'_>, names: &[ObjectName], if_exists: bool) -> Result<Done, LakeError> {
    let [name] = names else { return Err(refused("DROP TABLE takes one table")) };
    let table = run.named(name).await?;
    if !SCHEMAS.contains(&table.schema.as_str()) || table.schema == ops::SCHEMA {
        return Err(LakeError::OpsWrite { table: table.to_string() });
    }
    if !run.lake.tables.store().exists(&table).await? {
        if if_exists {
            return Ok(Done::new("DROP TABLE", &table, None));
        }
        return Err(run.lake.tables.missing(&table.to_string()).await);
    }
    let tags: Vec<String> = run.lake.tags(Some(&table)).await?.into_iter().filter(|t| t.is_active()).map(|t| t.tag).collect();
    if !tags.is_empty() {
        return Err(LakeError::Tagged { table, tags });
    }
    run.lake.tables.store().remove(&table).await?;
    Ok(Done::new("DROP TABLE", &table, None))
}
