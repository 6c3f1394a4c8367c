//! What came in and what went out between two states of a table.

use datafusion::arrow::array::{Array as _, AsArray as _};
use datafusion::arrow::datatypes::{DataType, Int64Type, Schema};
use datafusion::common::JoinType;
use datafusion::dataframe::DataFrame;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::{cast, ident, lit};
use polder_base::{Reference, TableName};

use crate::{Lake, LakeError, near, ops};

/// Rows that came or went, by one column's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The column: `source`, `language`, … or `reason` for what was left out on the way.
    pub by: String,
    /// Its value; none for NULL.
    pub value: Option<String>,
    /// Rows that only the newer state has.
    pub n_in: u64,
    /// Rows that only the older state has.
    pub n_out: u64,
}

/// The difference of two states.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// Columns that came, with their types.
    pub columns_in: Vec<(String, String)>,
    /// Columns that went.
    pub columns_out: Vec<(String, String)>,
    /// Columns whose type changed: from, to.
    pub columns_changed: Vec<(String, String, String)>,
    /// Rows that only the newer state has.
    pub n_in: u64,
    /// Rows that only the older state has.
    pub n_out: u64,
    /// Rows that both have.
    pub n_both: u64,
    /// The same, by columns that both states have.
    pub shares: Vec<Share>,
}

/// Columns by which rows are counted, where a table has them.
const BY: [&str; 6] = ["source", "language", "programming_language", "kind", "split", "license"];
/// The step of a pipeline that left a document out says why.
const REASON: &str = "reason";

impl Lake {
    /// Compares two states of a table, or two tables, row by row by a key.
    ///
    /// # Errors
    /// No such state, or one without the key.
    pub async fn diff(&self, old: &Reference, new: &Reference, key: &str) -> Result<Diff, LakeError> {
        let (before, after) = (self.keyed(old, key).await?, self.keyed(new, key).await?);
        let mut diff = Diff::default();
        diff.columns(before.schema().as_arrow(), after.schema().as_arrow());
        let table = match new {
            Reference::Table(table, _) => table.clone(),
            _ => TableName::new("", ""),
        };
        let counted = async {
            // Rows are compared by key alone: text stays where it is.
            let keys = |frame: &DataFrame, name: &str| frame.clone().select(vec![ident(key).alias(name)])?.distinct();
            let (only_after, only_before) = (
                after.clone().join(keys(&before, "other")?, JoinType::LeftAnti, &[key], &["other"], None)?,
                before.clone().join(keys(&after, "other")?, JoinType::LeftAnti, &[key], &["other"], None)?,
            );
            diff.n_in = only_after.clone().count().await? as u64;
            diff.n_out = only_before.clone().count().await? as u64;
            diff.n_both = (after.clone().count().await? as u64).saturating_sub(diff.n_in);
            for by in BY {
                let has = |frame: &DataFrame| frame.schema().has_column_with_unqualified_name(by);
                if has(&before) && has(&after) {
                    let (came, went) = (by_value(&only_after, by).await?, by_value(&only_before, by).await?);
                    diff.share(by, came, went);
                }
            }
            let book = ops::table("removed");
            if self.tables.store().exists(&book).await.map_err(LakeError::through_engine)? && key == "doc_id" {
                let why = self.table(&book.to_string()).await.map_err(LakeError::through_engine)?;
                let why = why.select(vec![ident("doc_id").alias("other"), ident(REASON)])?.distinct()?;
                let went = only_before.clone().select(vec![ident(key)])?.join(why, JoinType::Inner, &[key], &["other"], None)?;
                let went = by_value(&went, REASON).await?;
                diff.share(REASON, Vec::new(), went);
            }
            Ok(())
        };
        counted.await.map_err(LakeError::query("compare", &table))?;
        Ok(diff)
    }

    async fn keyed(&self, reference: &Reference, key: &str) -> Result<DataFrame, LakeError> {
        let frame = self.table(&reference.to_string()).await?;
        if frame.schema().has_column_with_unqualified_name(key) {
            return Ok(frame);
        }
        let near = near::misses(key, frame.schema().fields().iter().map(|f| f.name().clone()));
        Err(LakeError::NoColumn { name: reference.to_string(), column: key.to_owned(), near })
    }
}

/// Rows by the value of a column.
async fn by_value(frame: &DataFrame, by: &str) -> datafusion::error::Result<Vec<(Option<String>, u64)>> {
    let counted = frame.clone().aggregate(vec![cast(ident(by), DataType::Utf8).alias("value")], vec![count(lit(1i64)).alias("n")])?;
    let mut all = Vec::new();
    for batch in counted.collect().await? {
        let (values, counts) = (batch.column(0).as_string::<i32>(), batch.column(1).as_primitive::<Int64Type>());
        let value = |i: usize| values.is_valid(i).then(|| values.value(i).to_owned());
        all.extend((0..batch.num_rows()).map(|i| (value(i), counts.value(i).unsigned_abs())));
    }
    Ok(all)
}

impl Diff {
    fn columns(&mut self, before: &Schema, after: &Schema) {
        let of = |schema: &Schema, name: &str| schema.field_with_name(name).ok().map(|f| f.data_type().to_string());
        for field in after.fields() {
            let is = field.data_type().to_string();
            match of(before, field.name()) {
                None => self.columns_in.push((field.name().clone(), is)),
                Some(was) if was != is => self.columns_changed.push((field.name().clone(), was, is)),
                Some(_) => {}
            }
        }
        let gone = before.fields().iter().filter(|f| of(after, f.name()).is_none());
        self.columns_out = gone.map(|f| (f.name().clone(), f.data_type().to_string())).collect();
    }

    fn share(&mut self, by: &str, came: Vec<(Option<String>, u64)>, went: Vec<(Option<String>, u64)>) {
        let mut all = std::collections::BTreeMap::<Option<String>, (u64, u64)>::new();
        came.into_iter().for_each(|(value, n)| all.entry(value).or_default().0 += n);
        went.into_iter().for_each(|(value, n)| all.entry(value).or_default().1 += n);
        let mut shares: Vec<Share> =
            all.into_iter().map(|(value, (n_in, n_out))| Share { by: by.to_owned(), value, n_in, n_out }).collect();
        shares.sort_by_key(|s| std::cmp::Reverse(s.n_in + s.n_out));
        self.shares.append(&mut shares);
    }
}
