//! The lake: a folder that is opened, asked and written; its tables may stand in an object store.

use std::path::Path;
use std::sync::Arc;

use datafusion::catalog::CatalogProvider;
use datafusion::dataframe::DataFrame;
use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::scalar::ScalarValue;
use polder_base::{At, Layout, Reference, TableName};
use polder_sql::Artefacts;

use crate::catalog::{self, CATALOG, LakeCatalog, Opened, SESSION_SCHEMA};
use crate::known::Known;
use crate::memory::{BATCH_ROWS, QueryMemory};
use crate::planner::Planner;
use crate::settings::Settings;
use crate::store::Store;
use crate::tables::{State, Tables};
use crate::watch::Watched;
use crate::{Answer, Author, Commit, Done, LakeError, Place, Snapshot, StoreAccess, Upkeep, commits, sql};

/// A lake. Clones are handles of the same one.
#[derive(Clone)]
pub struct Lake {
    layout: Layout,
    settings: Arc<Settings>,
    pub(crate) tables: Tables,
    pub(crate) known: Known,
    pub(crate) memory: QueryMemory,
    pub(crate) watched: Watched,
    artefacts: Arc<dyn Artefacts>,
}

/// Knows no tokenizer and no classifier: the functions that need one say so.
struct NoArtefacts;

impl Artefacts for NoArtefacts {
    fn tokenizer(&self, name: &str) -> Result<Arc<polder_tokenizer::Tokenizer>, String> {
        Err(format!("tokenizer `{name}` cannot be opened here"))
    }

    fn classifier(&self, name: &str) -> Result<Arc<polder_text::classifier::Classifier>, String> {
        Err(format!("classifier `{name}` cannot be opened here"))
    }
}

impl Lake {
    /// Makes a lake at a folder, or opens the one that is there.
    ///
    /// # Errors
    /// The folder cannot be made, or holds a lake that this program cannot read.
    pub async fn init(root: &Path) -> Result<Self, LakeError> {
        Self::init_at(root, None, &StoreAccess::of_environment()).await
    }

    /// The same, with its tables at a place of an object store if one is given. Whoever makes a lake over a place where tables stand shares
    /// them.
    ///
    /// # Errors
    /// Those of [`Lake::init`]; a lake that is there with its tables elsewhere; a store that cannot be used, or that writes over what it
    /// was told to leave.
    pub async fn init_at(root: &Path, place: Option<&Place>, access: &StoreAccess) -> Result<Self, LakeError> {
        let layout = Layout::new(root);
        if Settings::exist(root) {
            let settings = Settings::read(&layout)?;
            let there = settings.place()?;
            if place.is_some() && place != there.as_ref() {
                let there = there.map_or_else(|| layout.tables().display().to_string(), |place| place.to_string());
                return Err(LakeError::TablesElsewhere { path: layout.root().to_owned(), there });
            }
            return Self::with(layout, settings, access);
        }
        let settings = Settings::of_new(place);
        if let Some(place) = place {
            Store::at(place, access)?.probe(&settings.id).await?;
        }
        settings.create(&layout)?;
        Self::with(layout, settings, access)
    }

    /// Opens a lake.
    ///
    /// # Errors
    /// [`LakeError::Absent`] where there is none, [`LakeError::Format`] where another program version made it.
    pub async fn open(root: &Path) -> Result<Self, LakeError> {
        Self::open_with(root, &StoreAccess::of_environment()).await
    }

    /// The same, with what opens the store of its tables.
    ///
    /// # Errors
    /// Those of [`Lake::open`].
    pub async fn open_with(root: &Path, access: &StoreAccess) -> Result<Self, LakeError> {
        let layout = Layout::new(root);
        let settings = Settings::read(&layout)?;
        Self::with(layout, settings, access)
    }

    fn with(layout: Layout, settings: Settings, access: &StoreAccess) -> Result<Self, LakeError> {
        let memory = QueryMemory::of_machine(layout.root())?;
        let store = match settings.place()? {
            Some(place) => Store::at(&place, access)?,
            None => Store::in_folder(&layout.tables())?,
        };
        let tables = Tables::new(layout.clone(), store);
        let known = Known::new(tables.clone());
        Ok(Self {
            layout,
            settings: Arc::new(settings),
            tables,
            known,
            memory,
            watched: Watched::default(),
            artefacts: Arc::new(NoArtefacts),
        })
    }

    /// Gives the SQL functions what was trained.
    #[must_use]
    pub fn with_artefacts(mut self, artefacts: Arc<dyn Artefacts>) -> Self {
        self.artefacts = artefacts;
        self
    }

    /// Lets queries hold so much memory together, in place of 60 % of the machine's: what needs more goes to files in the
    /// lake's folder where the operator can, and is refused where it cannot.
    ///
    /// # Errors
    /// None that is known.
    pub fn with_memory_max(mut self, bytes: usize) -> Result<Self, LakeError> {
        self.memory = QueryMemory::try_new(bytes, self.layout.root())?;
        Ok(self)
    }

    /// Where things stand under the lake's folder.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Where its tables stand, if not in its own folder.
    pub fn tables_place(&self) -> Option<&str> {
        self.settings.tables.as_deref()
    }

    /// What tells this lake from others.
    pub fn id(&self) -> &str {
        &self.settings.id
    }

    /// Makes a session: functions registered, the lake as default catalog. What is registered in it stays in it,
    /// and names without a schema mean that.
    pub fn session(&self) -> SessionContext {
        self.session_with(None)
    }

    /// A session for one statement, which sees one snapshot of each table.
    pub(crate) fn statement_session(&self, opened: &Opened) -> SessionContext {
        let session = self.session();
        session.register_catalog(CATALOG, Arc::new(LakeCatalog::of_statement(self.known.clone(), opened.clone())));
        session
    }

    pub(crate) fn session_with(&self, partitions: Option<usize>) -> SessionContext {
        self.session_of(partitions, BATCH_ROWS)
    }

    fn session_of(&self, partitions: Option<usize>, batch_rows: usize) -> SessionContext {
        let mut config = SessionConfig::new()
            .with_default_catalog_and_schema(CATALOG, SESSION_SCHEMA)
            .with_create_default_catalog_and_schema(false)
            .with_information_schema(true)
            .with_batch_size(batch_rows)
            .set_bool("datafusion.sql_parser.enable_ident_normalization", false)
            // Texts shrink, and disks are slower than that.
            .set_str("datafusion.execution.spill_compression", "lz4_frame")
            // Filters on dictionary keys that the join pushes into scans panic there; hash look-ups are right.
            .set_usize("datafusion.optimizer.hash_join_inlist_pushdown_max_size", 0)
            .set_usize("datafusion.optimizer.hash_join_inlist_pushdown_max_distinct_values", 0);
        if let Some(n) = partitions {
            config = config.with_target_partitions(n);
        }
        let merge_bytes = self.memory.merge_bytes(config.target_partitions());
        config = config.with_sort_spill_reservation_bytes(merge_bytes);
        let state = SessionStateBuilder::new()
            .with_default_features()
            .with_config(config)
            .with_runtime_env(self.memory.runtime())
            .with_query_planner(Arc::new(Planner::new(self.memory.clone(), self.watched.clone())))
            .build();
        let session = SessionContext::new_with_state(state);
        let catalog: Arc<dyn CatalogProvider> = Arc::new(LakeCatalog::new(self.known.clone()));
        session.register_catalog(CATALOG, catalog);
        for function in polder_sql::functions(self.artefacts.clone()) {
            session.register_udf(function);
        }
        for function in polder_sql::aggregates() {
            session.register_udaf(function);
        }
        session
    }

    /// Reads a table at a state: `pile.base`, `pile.base@v1` (tag), `raw.docs@3` (version).
    ///
    /// ```
    /// use polder_base::Timestamp;
    /// use polder_lake::{Author, Lake};
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let root = folder.path().join("lake");
    /// let by = Author { actor: "ada@here".into(), at: Timestamp::now() };
    /// let lake = Lake::init(&root).await?;
    /// for sql in [
    ///     "CREATE TABLE pile.base AS SELECT 'a' AS doc_id",
    ///     "ALTER TABLE pile.base CREATE TAG v1",
    ///     "INSERT INTO pile.base VALUES ('b')",
    /// ] {
    ///     lake.execute(sql, &[], &by).await?;
    /// }
    ///
    /// let lake = Lake::open(&root).await?;
    /// assert_eq!(lake.table("pile.base@v1").await?.count().await?, 1);
    /// assert_eq!(lake.table("pile.base").await?.count().await?, 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// No such table, version or tag; the error names near misses.
    pub async fn table(&self, reference: &str) -> Result<DataFrame, LakeError> {
        let (table, at) = table_of(&reference.parse()?)?;
        let opened = self.known.open(&table, &State::At(at)).await?;
        let read = async { self.session().read_table(catalog::provider(&opened).await?) };
        read.await.map_err(LakeError::query("read", &table))
    }

    /// The same, in batches of `rows` rows: fewer where rows are long, so that a batch stays small.
    ///
    /// # Errors
    /// Those of [`Lake::table`].
    pub async fn table_in_batches(&self, reference: &str, rows: usize) -> Result<DataFrame, LakeError> {
        let (table, at) = table_of(&reference.parse()?)?;
        let opened = self.known.open(&table, &State::At(at)).await?;
        let read = async { self.session_of(None, rows).read_table(catalog::provider(&opened).await?) };
        read.await.map_err(LakeError::query("read", &table))
    }

    /// Plans one SQL statement that reads.
    ///
    /// # Errors
    /// Those of [`Lake::sql_with`].
    pub async fn sql(&self, text: &str) -> Result<DataFrame, LakeError> {
        self.sql_with(text, &[]).await
    }

    /// Plans one SQL statement that reads, with values for its `$name` parameters.
    ///
    /// `VERSION AS OF n | 'tag'` and `TIMESTAMP AS OF 'time'` are honoured wherever a table may stand. Besides queries:
    /// `EXPLAIN`, `DESCRIBE [HISTORY | DETAIL]`, `SHOW TABLES | SCHEMAS | COLUMNS | FUNCTIONS | TAGS [IN t]`.
    ///
    /// # Errors
    /// What cannot be parsed or planned; unknown tables, columns, functions, versions and tags, with near misses;
    /// statements that write.
    pub async fn sql_with(&self, text: &str, params: &[(&str, ScalarValue)]) -> Result<DataFrame, LakeError> {
        sql::plan(self, text, params).await
    }

    /// Runs one SQL statement, which may write: INSERT, UPDATE, DELETE, MERGE, TRUNCATE, CREATE TABLE, CREATE VIEW, DROP, ALTER TABLE,
    /// RESTORE, OPTIMIZE, VACUUM. What it writes is one commit, which holds to the table's constraints.
    ///
    /// # Errors
    /// Those of [`Lake::sql_with`]; rows that break a rule of the table, a table that another writer changed meanwhile, a table
    /// that tags keep, the lake's own books.
    pub async fn execute(&self, text: &str, params: &[(&str, ScalarValue)], by: &Author) -> Result<Answer, LakeError> {
        sql::run(self, text, params, by).await
    }

    /// Does what RESTORE, OPTIMIZE and VACUUM do; `why` goes into the table's log as the statement would.
    ///
    /// # Errors
    /// Those of [`Lake::execute`].
    pub async fn keep_up(&self, table: &TableName, work: Upkeep, why: &str, by: &Author) -> Result<Done, LakeError> {
        sql::keep_up(self, table, work, why, by).await
    }

    /// Describes a table's version.
    ///
    /// # Errors
    /// No such table, version or tag, or a reference that is no table.
    pub async fn snapshot(&self, reference: &Reference) -> Result<Snapshot, LakeError> {
        let (table, at) = table_of(reference)?;
        let opened = self.known.open(&table, &State::At(at)).await?;
        Snapshot::of(&opened, &table).await
    }

    /// Describes a table's newest version; `None` when the table is not there.
    ///
    /// # Errors
    /// The table cannot be read.
    pub async fn snapshot_opt(&self, table: &TableName) -> Result<Option<Snapshot>, LakeError> {
        match self.known.newest(table).await? {
            Some(opened) => Ok(Some(Snapshot::of(&opened, table).await?)),
            None => Ok(None),
        }
    }

    /// Lists the tables, in order of schema and name.
    ///
    /// # Errors
    /// The store does not list them.
    pub async fn tables(&self) -> Result<Vec<TableName>, LakeError> {
        self.tables.all().await
    }

    /// Lists a table's commits, newest first.
    ///
    /// # Errors
    /// No such table, or a log that cannot be read.
    pub async fn history(&self, table: &TableName, limit: Option<usize>) -> Result<Vec<Commit>, LakeError> {
        let opened = self.known.open(table, &State::At(At::Latest)).await?;
        commits::history(&opened, table, limit).await
    }

    /// Returns the version that the given transaction of an application made, where it is recorded.
    ///
    /// # Errors
    /// The table's log cannot be read.
    pub async fn transaction(&self, table: &TableName, transaction: &(String, i64)) -> Result<Option<Commit>, LakeError> {
        match self.known.newest(table).await? {
            Some(opened) => commits::carrying(&opened, table, transaction).await,
            None => Ok(None),
        }
    }
}

fn table_of(reference: &Reference) -> Result<(TableName, At), LakeError> {
    match reference {
        Reference::Table(table, at) => Ok((table.clone(), at.clone())),
        other => Err(LakeError::NotATable { reference: other.to_string() }),
    }
}

impl std::fmt::Debug for Lake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lake").field("root", &self.layout.root()).field("id", &self.settings.id).finish_non_exhaustive()
    }
}
