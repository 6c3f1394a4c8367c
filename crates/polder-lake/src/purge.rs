//! Erasure: rows leave a table and every tag that holds them. It is the only way a tagged row goes.
//!
//! First each tag gets a successor, a copy of its rows without those; then the newest version loses them; then the old tags
//! retire, and their files go. A purge that is broken off and run again goes on: each step looks whether it is done.

use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::dataframe::DataFrame;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::Expr;
use datafusion::prelude::ident;
use futures::TryStreamExt as _;
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use polder_base::{At, Reference, TableName};

use crate::sql::{self, Done};
use crate::tables::State;
use crate::{Author, Lake, LakeError, Snapshot, Tag, Upkeep, WriteOptions, catalog, ops, tags};

/// What a purge did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Rows that left the newest version.
    pub n_rows: u64,
    /// The version without them.
    pub version: Option<u64>,
    /// Tags that held such rows, and those that follow them.
    pub successors: Vec<(Tag, Tag)>,
    /// Data files that were removed.
    pub n_files: u64,
    /// The `doc_id` of every row that left, where rows have one.
    pub doc_ids: Vec<String>,
}

impl Lake {
    /// Deletes rows from a table and from every version that a tag names.
    ///
    /// # Errors
    /// No such table; a condition that cannot be understood; no reason; what the store says.
    pub async fn purge(&self, table: &TableName, condition: &str, reason: &str, by: &Author) -> Result<Purged, LakeError> {
        if table.schema == ops::SCHEMA {
            return Err(LakeError::OpsWrite { table: table.to_string() });
        }
        if reason.trim().is_empty() {
            return Err(LakeError::NoReason { table: table.clone(), tag: condition.to_owned() });
        }
        let mut purged = Purged::default();
        let newest = self.rows_of(table, &At::Latest).await?;
        let matching = condition_over(&newest, condition).map_err(LakeError::statement)?;
        purged.doc_ids = doc_ids(newest, &matching).await.map_err(LakeError::query("read", table))?;
        let active: Vec<Tag> = self.tags(Some(table)).await?.into_iter().filter(Tag::is_active).collect();
        for tag in active {
            let rows = self.rows_of(table, &At::Tag(tag.tag.clone())).await?;
            let matching = condition_over(&rows, condition).map_err(LakeError::statement)?;
            let found = rows.clone().filter(matching.clone());
            let n = async { found?.count().await }.await.map_err(LakeError::query("read", table))?;
            if n > 0 {
                let ids = doc_ids(rows.clone(), &matching).await.map_err(LakeError::query("read", table))?;
                purged.doc_ids.extend(ids);
                let successor = self.succeed(&tag, rows, matching, reason, by).await?;
                purged.successors.push((tag, successor));
            }
        }
        purged.doc_ids.sort();
        purged.doc_ids.dedup();
        let deleted = sql::delete_where(self, table, condition, by).await?;
        let count = |done: &Done, name: &str| done.counts.iter().find(|(n, _)| *n == name).map_or(0, |(_, n)| *n);
        (purged.n_rows, purged.version) = (count(&deleted, "n_rows_deleted"), deleted.version);
        for (tag, successor) in &purged.successors {
            let why = format!("{reason}; follows: {}", successor.tag);
            self.retire_tag(tag, &why, by).await?;
        }
        let all = Upkeep::Vacuum { retain_hours: Some(0), is_full: false, is_dry_run: false };
        let vacuumed = self.keep_up(table, all, "purge", by).await?;
        purged.n_files = count(&vacuumed, "n_files_deleted") + self.forget_changes(table).await?;
        Ok(purged)
    }

    /// Removes what a table with a change feed keeps of rows that changed; those of the erasure itself are among it.
    async fn forget_changes(&self, table: &TableName) -> Result<u64, LakeError> {
        let opened = self.known.open(table, &State::At(At::Latest)).await?;
        let store = opened.log_store().object_store(None);
        let failed = |e: object_store::Error| LakeError::delta("remove the change feed of", table)(e.into());
        let found: Vec<_> = store.list(Some(&Path::from("_change_data"))).try_collect().await.map_err(failed)?;
        for file in &found {
            store.delete(&file.location).await.map_err(failed)?;
        }
        Ok(found.len() as u64)
    }

    async fn rows_of(&self, table: &TableName, at: &At) -> Result<DataFrame, LakeError> {
        let opened = self.known.open(table, &State::At(at.clone())).await?;
        let rows = async { self.session().read_table(catalog::provider(&opened).await?) };
        rows.await.map_err(LakeError::query("read", table))
    }

    /// Makes the tag that follows one whose rows must go.
    async fn succeed(&self, tag: &Tag, rows: DataFrame, matching: Expr, reason: &str, by: &Author) -> Result<Tag, LakeError> {
        let all = self.tags(Some(&tag.table)).await?;
        let names = (1..).map(|n| format!("{}.purged-{n}", stem(&tag.tag)));
        // A successor that an earlier attempt made names what it follows.
        let comment = format!("follows {}: {reason}", tag.tag);
        let made = all.iter().find(|t| t.is_active() && t.comment == comment && t.copy.is_some());
        if let Some(made) = made {
            return Ok(made.clone());
        }
        let name = names.into_iter().find(|name| all.iter().all(|t| t.tag != *name)).unwrap_or_default();
        let copy = tags::copy_name(&tag.table, &name);
        self.tables.store().remove(&copy).await?;
        let kept = rows.filter(matching.is_not_true()).map_err(LakeError::query("read", &tag.table))?;
        self.commit(&copy, None, kept, &WriteOptions::default(), Some(0)).await?;
        let opened = self.known.open(&copy, &State::At(At::Latest)).await?;
        let snapshot = Snapshot::of(&opened, &copy).await?;
        let version = self.snapshot(&Reference::table(&tag.table)).await?.version;
        let made = Tag {
            tag: name,
            version,
            schema_digest: snapshot.schema_digest.to_string(),
            files_digest: snapshot.files_digest.to_string(),
            n_rows: snapshot.n_rows,
            comment,
            actor: by.actor.clone(),
            at: by.at,
            copy: Some(copy.name),
            reason: None,
            rows_digest: None,
            ..tag.clone()
        };
        self.add_tag(made).await
    }
}

fn stem(tag: &str) -> &str {
    tag.split_once(".purged-").map_or(tag, |(stem, _)| stem)
}

/// A condition over a table's rows.
fn condition_over(rows: &DataFrame, condition: &str) -> EngineResult<Expr> {
    let expr = rows.parse_sql_expr(condition)?;
    let plain = expr.transform(|e| match e {
        Expr::Column(column) => Ok(Transformed::yes(ident(column.name))),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(plain.data)
}

async fn doc_ids(rows: DataFrame, matching: &Expr) -> EngineResult<Vec<String>> {
    use datafusion::arrow::array::AsArray as _;
    use datafusion::arrow::datatypes::DataType;
    if !rows.schema().has_column_with_unqualified_name("doc_id") {
        return Ok(Vec::new());
    }
    let ids = rows.filter(matching.clone())?.select(vec![datafusion::logical_expr::cast(ident("doc_id"), DataType::Utf8)])?;
    let mut all = Vec::new();
    for batch in ids.collect().await? {
        all.extend(batch.column(0).as_string::<i32>().iter().flatten().map(str::to_owned));
    }
    Ok(all)
}
