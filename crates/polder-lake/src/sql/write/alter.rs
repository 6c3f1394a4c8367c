//! ALTER TABLE: columns, constraints and properties. Tags are altered by statements of the lake's own.

use std::collections::HashMap;

use datafusion::common::ToDFSchema;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{DdlStatement, LogicalPlan};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::helpers::stmt_create_table::CreateTableBuilder;
use datafusion::sql::sqlparser::ast::{
    AlterTable, AlterTableOperation, ColumnDef, ColumnOption, Ident, ObjectName, Statement as Sql, TableConstraint,
};
use deltalake::kernel::StructField;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel as _;
use polder_base::TableName;

use super::create::{NEW_TABLE, check_expression, properties};
use super::{Done, Run};
use crate::{LakeError, write};

fn refused(what: impl Into<String>) -> LakeError {
    LakeError::statement(DataFusionError::Plan(what.into()))
}

/// Runs one alteration.
pub(in super::super) async fn alter_table(run: &Run<'_>, alter: AlterTable) -> Result<Done, LakeError> {
    let table = run.named(&alter.name).await?;
    if alter.if_exists && !run.lake.tables.store().exists(&table).await? {
        return Ok(Done::new("ALTER TABLE", &table, None));
    }
    let opened = run.open(&table).await?;
    let mut operations = alter.operations;
    let (Some(operation), true) = (operations.pop(), operations.is_empty()) else {
        return Err(refused("ALTER TABLE does one thing at a time: it is one commit"));
    };
    let after = match operation {
        AlterTableOperation::AddColumn { column_def, if_not_exists, .. } => {
            let state = opened.snapshot().map_err(LakeError::delta("read the snapshot of", &table))?;
            if state.schema().field(&column_def.name.value).is_some() {
                if if_not_exists {
                    return Ok(Done::new("ALTER TABLE", &table, opened.version()));
                }
                return Err(refused(format!("`{table}` has a column `{}` already", column_def.name.value)));
            }
            let field = field(run, column_def).await?;
            opened.add_columns().with_fields([field]).with_commit_properties(run.commit()).await
        }
        AlterTableOperation::AddConstraint { constraint: TableConstraint::Check(check), .. } => {
            let Some(name) = check.name else { return Err(refused("a constraint needs a name: ADD CONSTRAINT name CHECK (…)")) };
            let text = check.expr.to_string();
            let state = opened.snapshot().map_err(LakeError::delta("read the snapshot of", &table))?;
            let schema = state.snapshot().arrow_schema().to_dfschema().map_err(LakeError::statement)?;
            check_expression(run, &schema, &text, true)?;
            opened
                .add_constraint()
                .with_constraint(name.value, text)
                .with_session_state(run.state())
                .with_commit_properties(run.commit())
                .await
        }
        AlterTableOperation::DropConstraint { name, if_exists, .. } => {
            let drop = opened.drop_constraints().with_constraint(name.value).with_raise_if_not_exists(!if_exists);
            drop.with_commit_properties(run.commit()).await
        }
        AlterTableOperation::SetTblProperties { table_properties: options } | AlterTableOperation::SetOptionsParens { options } => {
            let properties: HashMap<String, String> = properties(options)?.into_iter().collect();
            let set = opened.set_tbl_properties().with_properties(properties).with_raise_if_not_exists(false);
            set.with_commit_properties(run.commit()).await
        }
        other => {
            let known = "ADD COLUMN, ADD CONSTRAINT, DROP CONSTRAINT, SET TBLPROPERTIES, CREATE TAG, DROP TAG";
            return Err(refused(format!("ALTER TABLE cannot do `{other}`; it has {known}")));
        }
    };
    done(after, &table)
}

fn done(after: deltalake::DeltaResult<deltalake::DeltaTable>, table: &TableName) -> Result<Done, LakeError> {
    let after = after.map_err(write::failed("alter", table))?;
    Ok(Done::new("ALTER TABLE", table, after.version()))
}

/// The column that a definition makes. Rows that are there have no value in it.
async fn field(run: &Run<'_>, column: ColumnDef) -> Result<StructField, LakeError> {
    for option in &column.options {
        if !matches!(option.option, ColumnOption::Null) {
            return Err(refused(format!("a column that is added is NULL in the rows that are there: it cannot be `{}`", option.option)));
        }
    }
    // The engine's own reading of types is asked by way of a table that is never made.
    let create = CreateTableBuilder::new(ObjectName::from(vec![Ident::with_quote('"', NEW_TABLE)])).columns(vec![column]).build();
    let planned = run.session.state().statement_to_plan(Statement::Statement(Box::new(Sql::CreateTable(create)))).await;
    let LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(plan)) = planned.map_err(LakeError::statement)? else {
        return Err(refused("the column has no type"));
    };
    plan.input.schema().field(0).as_ref().try_into_kernel().map_err(|source| LakeError::Arrow { step: "give a column its type", source })
}
