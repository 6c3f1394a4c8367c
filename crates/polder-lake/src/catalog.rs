//! The lake as the engine sees it: every table is opened when a statement names it, so a statement
//! has one snapshot of each table and the next statement sees the next commit.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, MemorySchemaProvider, SchemaProvider, TableProvider};
use datafusion::common::TableReference;
use datafusion::datasource::TableType;
use datafusion::error::{DataFusionError, Result};
use deltalake::DeltaTable;
use polder_base::{At, TableName, Timestamp};

use crate::known::Known;
use crate::tables::{SCHEMAS, State};
use crate::{LakeError, store, views};

/// The catalog's name in a session.
pub(crate) const CATALOG: &str = "lake";
/// The schema that holds what a session registers for itself; names without a schema are looked up here.
pub(crate) const SESSION_SCHEMA: &str = "session";

/// The lake's tables, and what one session registered beside them.
pub(crate) struct LakeCatalog {
    known: Known,
    session: Arc<MemorySchemaProvider>,
    opened: Option<Opened>,
}

/// What a statement has opened, by name: whoever reads a table in it, reads the same snapshot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Opened(Arc<Mutex<HashMap<String, Named>>>);

/// What the log says of a table's files.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Size {
    pub file_bytes: u64,
    pub rows: u64,
}

#[derive(Debug)]
struct Named {
    provider: Arc<dyn TableProvider>,
    /// Which table, as it was opened; none for a view.
    of: Option<(TableName, DeltaTable)>,
}

impl Opened {
    fn get(&self, name: &str) -> Option<Arc<dyn TableProvider>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).map(|named| named.provider.clone())
    }

    fn insert(&self, name: String, provider: Arc<dyn TableProvider>, of: Option<(TableName, DeltaTable)>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name, Named { provider, of });
    }

    /// The newest version of a table, as the statement first met it.
    pub(crate) async fn table(&self, known: &Known, table: &TableName) -> Result<DeltaTable, LakeError> {
        let name = table.to_string();
        let met = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&name).and_then(|named| named.of.clone());
        if let Some((_, opened)) = met {
            return Ok(opened);
        }
        let opened = known.open(table, &State::At(At::Latest)).await?;
        let provider = provider(&opened).await.map_err(LakeError::query("read", table))?;
        self.insert(name, provider, Some((table.clone(), opened.clone())));
        Ok(opened)
    }

    /// How large a table is; none for what is no table of the lake.
    pub(crate) fn size(&self, reference: &TableReference) -> Size {
        let name = format!("{}.{}", reference.schema().unwrap_or_default(), reference.table());
        let named = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let state = named.get(&name).and_then(|named| named.of.as_ref()?.1.snapshot().ok());
        state.map_or_else(Size::default, |state| {
            state.log_data().iter().fold(Size::default(), |sum, file| Size {
                file_bytes: sum.file_bytes + u64::try_from(file.size()).unwrap_or_default(),
                rows: sum.rows + file.num_records().unwrap_or_default() as u64,
            })
        })
    }

    /// The tables and their versions, sorted.
    pub(crate) fn tables(&self) -> Vec<(TableName, u64)> {
        let named = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = named.values().filter_map(|named| named.of.as_ref());
        let mut tables: Vec<_> = of.map(|(table, opened)| (table.clone(), opened.version().unwrap_or_default())).collect();
        tables.sort();
        tables.dedup();
        tables
    }
}

impl LakeCatalog {
    pub(crate) fn new(known: Known) -> Self {
        Self { known, session: Arc::new(MemorySchemaProvider::new()), opened: None }
    }

    /// One for a single statement, table functions and all.
    pub(crate) fn of_statement(known: Known, opened: Opened) -> Self {
        Self { opened: Some(opened), ..Self::new(known) }
    }
}

impl fmt::Debug for LakeCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LakeCatalog").finish_non_exhaustive()
    }
}

impl CatalogProvider for LakeCatalog {
    fn schema_names(&self) -> Vec<String> {
        SCHEMAS.iter().chain(&[SESSION_SCHEMA]).map(|s| (*s).to_owned()).collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        if name == SESSION_SCHEMA {
            return Some(self.session.clone());
        }
        let schema = SCHEMAS.iter().find(|s| **s == name)?;
        Some(Arc::new(LakeSchema { schema, known: self.known.clone(), opened: self.opened.clone() }))
    }
}

/// One schema of the lake.
#[derive(Debug)]
struct LakeSchema {
    schema: &'static str,
    known: Known,
    opened: Option<Opened>,
}

#[async_trait]
impl SchemaProvider for LakeSchema {
    fn table_names(&self) -> Vec<String> {
        let (schema, known) = (self.schema, self.known.clone());
        // The engine asks for names where no error can be said: a store that does not answer has none.
        let listed = store::wait(async move { known.tables().store().names(schema).await });
        let mut names = listed.and_then(Result::ok).unwrap_or_default();
        names.extend(views::names(self.known.tables().layout(), self.schema));
        names.sort();
        names
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let (table, state) = parse(self.schema, name).map_err(LakeError::through_engine)?;
        let key = format!("{}.{name}", self.schema);
        if let Some(known) = self.opened.as_ref().and_then(|of| of.get(&key)) {
            return Ok(Some(known));
        }
        let opened = self.known.open(&table, &state).await.map_err(LakeError::through_engine)?;
        let provider = provider(&opened).await.map_err(|e| LakeError::query("read", &table)(e).through_engine())?;
        if let Some(of) = &self.opened {
            of.insert(key, provider.clone(), Some((table, opened)));
        }
        Ok(Some(provider))
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>> {
        let Ok((table, _)) = parse(self.schema, name) else { return Ok(None) };
        if views::exists(self.known.tables().layout(), &table) {
            return Ok(Some(TableType::View));
        }
        let there = self.known.tables().store().exists(&table).await.map_err(LakeError::through_engine)?;
        Ok(there.then_some(TableType::Base))
    }

    fn table_exist(&self, name: &str) -> bool {
        let Ok((table, _)) = parse(self.schema, name) else { return false };
        let (known, asked) = (self.known.clone(), table.clone());
        views::exists(self.known.tables().layout(), &table)
            || store::wait(async move { known.tables().store().exists(&asked).await }).is_some_and(|found| found.unwrap_or(false))
    }

    /// Keeps what a name means for the rest of the statement: the front step puts planned views here.
    fn register_table(&self, name: String, table: Arc<dyn TableProvider>) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some(of) = &self.opened else {
            return Err(DataFusionError::Plan(format!("tables of the lake are not registered: write `{}.{name}` instead", self.schema)));
        };
        of.insert(format!("{}.{name}", self.schema), table, None);
        Ok(None)
    }
}

/// Makes the read side of an opened table: a static snapshot of the version it was opened at.
pub(crate) async fn provider(table: &DeltaTable) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    table.table_provider().await
}

/// Reads a name inside a schema: `t`, `t@3` (version), `t@v1` (tag), and `t@ts:MILLISECONDS`, which the front step writes.
fn parse(schema: &str, name: &str) -> Result<(TableName, State), LakeError> {
    let (stem, state) = match name.split_once('@') {
        None => (name, State::At(At::Latest)),
        Some((stem, at)) => {
            let wrong = || LakeError::VersionClause { clause: at.to_owned(), reason: "it is neither a version nor a tag".into() };
            let state = if let Some(time) = at.strip_prefix("ts:") {
                State::Time(Timestamp(time.parse().map_err(|_| wrong())?))
            } else if !at.is_empty() && at.bytes().all(|b| b.is_ascii_digit()) {
                State::At(At::Version(at.parse().map_err(|_| wrong())?))
            } else if crate::tags::is_tag(at) {
                State::At(At::Tag(at.to_owned()))
            } else {
                return Err(wrong());
            };
            (stem, state)
        }
    };
    // Parsing the joined name keeps `..` and other path parts out of the folder's path.
    let table = format!("{schema}.{stem}").parse::<TableName>()?;
    Ok((table, state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_its_state_and_cannot_leave_the_lake() {
        let of = |name: &str| parse("pile", name).map(|(t, s)| (t.to_string(), s)).ok();
        assert_eq!(of("base"), Some(("pile.base".into(), State::At(At::Latest))));
        assert_eq!(of("base@3"), Some(("pile.base".into(), State::At(At::Version(3)))));
        assert_eq!(of("base@v1"), Some(("pile.base".into(), State::At(At::Tag("v1".into())))));
        assert_eq!(of("base@ts:7"), Some(("pile.base".into(), State::Time(Timestamp(7)))));
        for name in ["", "../x", "base@", "base@../1", "base@ts:x", "a/b"] {
            assert!(of(name).is_none(), "{name}");
        }
    }
}
