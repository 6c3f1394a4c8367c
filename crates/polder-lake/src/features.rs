//! Which tables are written: those whose features every writer here honours.

use deltalake::DeltaTable;
use polder_base::TableName;

use crate::LakeError;

/// Refuses a table that asks its writers for something that is not done here.
pub(crate) fn writable(opened: &DeltaTable, table: &TableName) -> Result<(), LakeError> {
    let state = opened.snapshot().map_err(LakeError::delta("read the snapshot of", table))?;
    let configuration = state.metadata().configuration();
    let says = |key: &str| configuration.get(key).map(|v| v.to_lowercase());
    let feature = if says("delta.enableDeletionVectors").is_some_and(|v| v == "true") {
        Some("deletion vectors")
    } else if says("delta.columnMapping.mode").is_some_and(|v| v != "none") {
        Some("column mapping")
    } else {
        None
    };
    match feature {
        Some(feature) => Err(LakeError::Feature { table: table.clone(), feature: feature.to_owned() }),
        None => Ok(()),
    }
}
