//! What a version of a table is: which files, which columns, how many rows.

use datafusion::prelude::SessionContext;
use deltalake::DeltaTable;
use polder_base::{Digest, Hasher, TableName, digest_json};

use crate::{LakeError, catalog};

/// A version of a table, described so that two of them can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The table.
    pub table: TableName,
    /// The version.
    pub version: u64,
    /// SHA-256 over the sorted files: path, size, partition values, deletion vector.
    pub files_digest: Digest,
    /// SHA-256 over the schema.
    pub schema_digest: Digest,
    /// Rows.
    pub n_rows: u64,
    /// Bytes of the files, as they are stored.
    pub bytes: u64,
}

impl Snapshot {
    /// Describes an opened table.
    pub(crate) async fn of(opened: &DeltaTable, table: &TableName) -> Result<Self, LakeError> {
        let state = opened.snapshot().map_err(LakeError::delta("read the snapshot of", table))?;
        let mut lines = Vec::new();
        let mut bytes = 0u64;
        let mut counted = Some(0u64);
        for file in state.log_data().iter() {
            let size = u64::try_from(file.size()).unwrap_or_default();
            bytes += size;
            let mut partition: Vec<_> = file.partition_values_map().into_iter().collect();
            partition.sort();
            let vector = file.deletion_vector_descriptor();
            let removed = vector.as_ref().map_or(0, |v| u64::try_from(v.cardinality).unwrap_or_default());
            // The unique id of a deletion vector is its storage type, its place and its offset, by the protocol.
            let vector = vector.map(|v| format!("{:?}{}@{:?}", v.storage_type, v.path_or_inline_dv, v.offset));
            counted = counted.zip(file.num_records()).map(|(sum, n)| sum + (n as u64).saturating_sub(removed));
            lines.push((file.path().into_owned(), size, partition, vector));
        }
        lines.sort();
        let mut hasher = Hasher::new();
        for (path, size, partition, vector) in &lines {
            hasher.field(path.as_bytes());
            hasher.field(&size.to_le_bytes());
            hasher.field(format!("{partition:?}").as_bytes());
            hasher.field(vector.as_deref().unwrap_or_default().as_bytes());
        }
        let n_rows = match counted {
            Some(n) => n,
            None => count(opened, table).await?,
        };
        Ok(Self {
            table: table.clone(),
            version: state.version(),
            files_digest: hasher.finish(),
            schema_digest: digest_json(state.schema().as_ref()),
            n_rows,
            bytes,
        })
    }
}

/// Counts by reading, for files whose writer left statistics out.
async fn count(opened: &DeltaTable, table: &TableName) -> Result<u64, LakeError> {
    let counted = async {
        let provider = catalog::provider(opened).await?;
        SessionContext::new().read_table(provider)?.count().await
    };
    Ok(counted.await.map_err(LakeError::query("count the rows of", table))? as u64)
}
