//! What a table holds already, so that it is not added again.

use std::collections::HashSet;

use datafusion::arrow::array::{Array, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::cast::as_string_array;
use deltalake::DeltaTable;
use futures::TryStreamExt as _;
use polder_base::TableName;
use polder_ingest::identity;

use crate::{Lake, LakeError, catalog};

/// Address and digest of every document.
pub(super) async fn documents(lake: &Lake, table: &TableName, opened: &DeltaTable) -> Result<HashSet<u128>, LakeError> {
    let mut known = HashSet::new();
    each(lake, table, opened, ["uri", "digest", "bytes"], |uri, digest, _| {
        known.insert(identity(uri, digest));
    })
    .await?;
    Ok(known)
}

/// Address, reason and size of every quarantined file.
pub(super) async fn quarantined(lake: &Lake, table: &TableName, opened: &DeltaTable) -> Result<HashSet<u128>, LakeError> {
    let mut known = HashSet::new();
    each(lake, table, opened, ["uri", "reason", "bytes"], |uri, reason, bytes| {
        known.insert(identity(uri, &format!("{reason} {bytes}")));
    })
    .await?;
    Ok(known)
}

async fn each(
    lake: &Lake,
    table: &TableName,
    opened: &DeltaTable,
    columns: [&str; 3],
    mut visit: impl FnMut(&str, &str, &str),
) -> Result<(), LakeError> {
    let read = async {
        let rows = lake.session().read_table(catalog::provider(opened).await?)?.select_columns(&columns)?;
        let mut stream = rows.execute_stream().await?;
        while let Some(batch) = stream.try_next().await? {
            let texts: Vec<_> = batch.columns().iter().map(|c| cast(c, &DataType::Utf8)).collect::<Result<_, _>>()?;
            let texts: Vec<&StringArray> = texts.iter().map(|c| as_string_array(c)).collect::<Result<_, _>>()?;
            for i in (0..batch.num_rows()).filter(|i| !texts[0].is_null(*i)) {
                visit(texts[0].value(i), texts[1].value(i), texts[2].value(i));
            }
        }
        Ok(())
    };
    read.await.map_err(LakeError::query("read", table))
}
