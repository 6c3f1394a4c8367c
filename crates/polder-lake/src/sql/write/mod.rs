//! Statements that write. Each becomes one commit of one table, made by the Delta library's builders: the engine's own way past
//! them would leave out constraints, NOT NULL and generated columns.

mod alter;
mod create;
mod merge;
mod rows;
mod upkeep;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::TableReference;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::{Ident, ObjectName, ObjectNamePart};
use deltalake::DeltaTable;
use deltalake::kernel::transaction::CommitProperties;
use polder_base::{TableName, Timestamp};
use serde_json::Value;

pub(super) use self::alter::alter_table;
pub(super) use self::create::{NEW_TABLE, create_table, drop_tables};
pub(super) use self::merge::{expand_stars, name_stars};
pub(super) use self::rows::{delete_where, run as write_rows};
pub(super) use self::upkeep::{detail, run as keep_up};

use crate::catalog::{CATALOG, Opened, SESSION_SCHEMA};
use crate::tables::SCHEMAS;
use crate::{Lake, LakeError, features, ops, views};

/// Who writes, and when: both stand in the table's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// The user, such as `ada@host`.
    pub actor: String,
    /// When.
    pub at: Timestamp,
}

/// What a statement that writes has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// What was done, such as `INSERT`.
    pub statement: &'static str,
    /// To which table or view.
    pub table: TableName,
    /// The version that the table has after it; none for a view and for a table that is gone.
    pub version: Option<u64>,
    /// Counts by name, such as `n_rows_inserted`.
    pub counts: Vec<(&'static str, u64)>,
    /// The other tables that were read for it, and at which versions.
    pub inputs: Vec<(TableName, u64)>,
}

impl Done {
    pub(super) fn new(statement: &'static str, table: &TableName, version: Option<u64>) -> Self {
        Self { statement, table: table.clone(), version, counts: Vec::new(), inputs: Vec::new() }
    }

    fn with(mut self, name: &'static str, n: impl TryInto<u64>) -> Self {
        self.counts.push((name, n.try_into().unwrap_or(u64::MAX)));
        self
    }

    /// Lays it out as one row.
    ///
    /// # Errors
    /// None that is known: the columns fit by construction.
    pub fn batch(&self) -> Result<RecordBatch, LakeError> {
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let mut columns: Vec<(&str, DataType, ArrayRef)> = vec![
            ("statement", DataType::Utf8, Arc::new(StringArray::from(vec![self.statement]))),
            ("table", DataType::Utf8, Arc::new(StringArray::from(vec![self.table.to_string()]))),
            ("version", DataType::Int64, Arc::new(Int64Array::from(vec![self.version.map(number)]))),
        ];
        for (name, n) in &self.counts {
            columns.push((name, DataType::Int64, Arc::new(Int64Array::from(vec![number(*n)]))));
        }
        let fields: Vec<Field> = columns.iter().map(|(name, kind, _)| Field::new(*name, kind.clone(), true)).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|c| c.2).collect())
            .map_err(|source| LakeError::Arrow { step: "lay out what was done", source })
    }
}

/// A statement on its way.
pub(super) struct Run<'a> {
    pub(super) lake: &'a Lake,
    pub(super) session: &'a SessionContext,
    /// The snapshots that it reads: what it writes starts from the same.
    pub(super) opened: &'a Opened,
    pub(super) by: &'a Author,
    /// The statement, as it was written.
    pub(super) text: &'a str,
}

/// So much of a statement's text goes into the log.
const TEXT_BYTES_MAX: usize = 4000;

impl Run<'_> {
    /// What the commit says besides.
    fn metadata(&self) -> BTreeMap<String, String> {
        let text = &self.text.trim()[..self.text.trim().floor_char_boundary(TEXT_BYTES_MAX)];
        [("userName", self.by.actor.as_str()), ("polder.statement", text)].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    }

    fn commit(&self) -> CommitProperties {
        let metadata = self.metadata().into_iter().map(|(k, v)| (k, Value::from(v)));
        CommitProperties::default().with_metadata(metadata).with_cleanup_expired_logs(Some(false))
    }

    fn state(&self) -> Arc<SessionState> {
        Arc::new(self.session.state())
    }

    /// The table that a statement names as the one to write.
    pub(super) async fn named(&self, name: &ObjectName) -> Result<TableName, LakeError> {
        // Names keep their case: the engine's own reading of a text would lower it.
        let parts: Vec<&str> = name.0.iter().filter_map(ObjectNamePart::as_ident).map(|i| i.value.as_str()).collect();
        self.target(&match parts[..] {
            [table] => TableReference::bare(table),
            [schema, table] => TableReference::partial(schema, table),
            [catalog, schema, table] => TableReference::full(catalog, schema, table),
            _ => return Err(self.lake.tables.missing(&name.to_string()).await),
        })
        .await
    }

    /// The same, as the engine's planner names it.
    async fn target(&self, reference: &TableReference) -> Result<TableName, LakeError> {
        let (schema, name) = match reference {
            TableReference::Bare { table } => (SESSION_SCHEMA, table),
            TableReference::Partial { schema, table } => (schema.as_ref(), table),
            TableReference::Full { catalog, schema, table } if catalog.as_ref() == CATALOG => (schema.as_ref(), table),
            TableReference::Full { .. } => return Err(self.lake.tables.missing(&reference.to_string()).await),
        };
        if let Some((_, clause)) = name.split_once('@') {
            let reason = "a version that is there is never written".to_owned();
            return Err(LakeError::VersionClause { clause: clause.to_owned(), reason });
        }
        if schema == ops::SCHEMA {
            return Err(LakeError::OpsWrite { table: format!("{schema}.{name}") });
        }
        if schema == SESSION_SCHEMA || !SCHEMAS.contains(&schema) {
            return Err(match schema {
                SESSION_SCHEMA => self.lake.tables.missing(name).await,
                other => LakeError::NoSchema { name: other.to_owned() },
            });
        }
        Ok(format!("{schema}.{name}").parse()?)
    }

    /// The columns of the table that a statement writes, and whether each is made from others.
    async fn columns_of(&self, name: &ObjectName) -> Result<Vec<(String, bool)>, LakeError> {
        let table = self.named(name).await?;
        let opened = self.opened.table(&self.lake.known, &table).await?;
        let generated = rows::generated(&opened, &table)?;
        let schema = opened.snapshot().map_err(LakeError::delta("read the snapshot of", &table))?.schema();
        Ok(schema.fields().map(|f| (f.name().clone(), generated.contains_key(f.name()))).collect())
    }

    /// Opens a table to write it, at its newest version.
    async fn open(&self, table: &TableName) -> Result<DeltaTable, LakeError> {
        if views::exists(self.lake.layout(), table) && !self.lake.tables.store().exists(table).await? {
            let what = format!("`{table}` is a view: write the tables that it is made from");
            return Err(LakeError::statement(DataFusionError::Plan(what)));
        }
        let opened = self.opened.table(&self.lake.known, table).await?;
        features::writable(&opened, table)?;
        Ok(opened)
    }
}

/// The columns of the table that a statement writes, but for those that are made from others.
pub(super) async fn columns(run: &Run<'_>, name: &ObjectName) -> Result<Vec<String>, LakeError> {
    Ok(run.columns_of(name).await?.into_iter().filter(|(_, is_made)| !is_made).map(|(column, _)| column).collect())
}

/// The columns that are not made from others, where some are.
pub(super) async fn given_columns(run: &Run<'_>, name: &ObjectName) -> Result<Option<Vec<ObjectName>>, LakeError> {
    let columns = run.columns_of(name).await?;
    if columns.iter().all(|(_, is_made)| !is_made) {
        return Ok(None);
    }
    let given = columns.into_iter().filter(|(_, is_made)| !is_made);
    Ok(Some(given.map(|(column, _)| ObjectName::from(vec![Ident::with_quote('"', column)])).collect()))
}
