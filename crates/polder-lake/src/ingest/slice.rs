//! A slice of what was found, and its way into the tables.

use std::collections::{BTreeMap, HashSet};

use polder_base::{TableName, Timestamp};
use polder_ingest::{Bad, Record};

use super::kept::Kept;
use super::{documents, known, quarantine};
use crate::{Lake, LakeError, WriteOptions};

/// Documents and faults that are written together.
#[derive(Default)]
pub(super) struct Slice {
    #[expect(clippy::vec_box, reason = "records move between threads and lists; they are two hundred bytes each")]
    pub(super) records: Vec<Box<Record>>,
    #[expect(clippy::vec_box, reason = "the same")]
    pub(super) bad: Vec<Box<Bad>>,
    /// About how much memory they hold.
    pub(super) bytes: usize,
    /// The run, and the number of the slice in it.
    pub(super) transaction: (String, i64),
    /// The version with which the documents were compared.
    pub(super) known_version: Option<u64>,
}

/// Documents whose values did not fit the table.
#[derive(Clone, Copy, Default)]
pub(super) struct Unfit {
    pub(super) documents: u64,
    pub(super) bytes: u64,
}

/// What writing a slice did.
#[derive(Default)]
pub(super) struct Landed {
    pub(super) added: u64,
    pub(super) bytes_added: u64,
    /// Documents that another writer had added meanwhile.
    pub(super) present: u64,
    pub(super) unfit: BTreeMap<&'static str, Unfit>,
    pub(super) version: Option<u64>,
    /// All that the table held when another writer was found to have written.
    pub(super) others: Option<HashSet<u128>>,
}

/// So often may other writers come first.
const TRIES: usize = 50;

impl Slice {
    /// Writes the quarantine, then the documents: each is found again and left alone when the same slice comes twice.
    pub(super) async fn write(mut self, lake: &Lake, into: &TableName, at: Timestamp, kept: &Kept) -> Result<Landed, LakeError> {
        let mut landed = Landed::default();
        let mut before = lake.known.newest(into).await?;
        let types = kept.types(before.as_ref(), &self.records);
        let (fit, unfit): (Vec<_>, Vec<_>) = self.records.into_iter().partition(|r| types.unfit(r).is_none());
        for record in unfit {
            let Some(fault) = types.unfit(&record) else { continue };
            let n = landed.unfit.entry(fault.reason).or_default();
            n.documents += 1;
            n.bytes += record.text.len() as u64;
            self.bad.push(Box::new(quarantine::unfit(*record, fault)));
        }
        self.records = fit;
        if !self.bad.is_empty() {
            let (app, number) = self.transaction.clone();
            let options =
                WriteOptions { transaction: Some((format!("{app}/quarantine"), number)), add_columns: true, ..WriteOptions::default() };
            let table = quarantine::table();
            let rows = quarantine::batch(&self.bad, at)?;
            let rows = lake.session_with(Some(1)).read_batch(rows).map_err(LakeError::query("read rows for", &table))?;
            lake.write(&table, rows, &options).await?;
        }
        for left in (0..TRIES).rev() {
            let version = before.as_ref().and_then(deltalake::DeltaTable::version);
            if let Some(opened) = before.as_ref().filter(|_| version != self.known_version) {
                let others = known::documents(lake, into, opened).await?;
                let n = self.records.len();
                self.records.retain(|r| !others.contains(&r.identity));
                landed.present += (n - self.records.len()) as u64;
                landed.others = Some(others);
                self.known_version = version;
            }
            landed.version = version.or(landed.version);
            if self.records.is_empty() {
                return Ok(landed);
            }
            let rows = documents::batches(&self.records, at, &types)?;
            let rows = lake.session_with(Some(1)).read_batches(rows).map_err(LakeError::query("read rows for", into))?;
            let add_columns = types.adds_columns(before.as_ref());
            let options = WriteOptions { transaction: Some(self.transaction.clone()), add_columns, ..WriteOptions::default() };
            // No retry below: an append that was compared with an older version could double what came since.
            match lake.commit(into, before, rows, &options, Some(0)).await {
                Ok(written) => {
                    landed.added = self.records.len() as u64;
                    landed.bytes_added = self.records.iter().map(|r| r.text.len() as u64).sum();
                    landed.version = Some(written.version);
                    return Ok(landed);
                }
                Err(LakeError::Conflict { .. }) if left > 0 => before = lake.known.newest(into).await?,
                Err(e) => return Err(e),
            }
        }
        Ok(landed)
    }
}
