//! Records become rows of a document table, each with where it came from; what is no document goes to `raw.quarantine`
//! with the place and the reason.
//!
//! Sources are read once, by `polder-ingest`. What they give is gathered into slices of bounded size, and each slice is one
//! commit: a kill leaves whole slices, and the same request run again adds what is missing, once.

mod documents;
mod kept;
mod known;
mod outside;
mod quarantine;
mod slice;

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use polder_base::{Digest, Hasher, TableName, Timestamp};
use polder_ingest::{Batch, Item, Reading};
pub use polder_ingest::{Format, IngestError, Limits, Mapping, Order, Pages, Request, Seen, without_secrets};
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, spawn_blocking};

use self::kept::Kept;
use self::slice::{Landed, Slice};
use crate::{Lake, LakeError, StoreAccess};

/// What to bring in.
#[derive(Clone, Debug)]
pub struct IngestRequest {
    /// The sources, and how they are read.
    pub what: Request,
    /// The table, usually `raw.docs`.
    pub into: TableName,
    /// When it is brought in.
    pub at: Timestamp,
    /// A commit is made when so much text has been gathered.
    pub slice_bytes: usize,
    /// Whether to read and count only.
    pub is_dry: bool,
}

impl IngestRequest {
    /// Asks for all of the sources, in order of path, with documents up to 4 MB.
    pub fn new(sources: Vec<String>, into: TableName, at: Timestamp) -> Self {
        Self { what: Request::new(sources), into, at, slice_bytes: SLICE_BYTES, is_dry: false }
    }
}

/// How far an ingest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IngestProgress {
    /// Files read.
    pub files: u64,
    /// Documents found.
    pub documents: u64,
    /// Bytes of their text.
    pub bytes: u64,
}

/// What an ingest did. `records = kept + sum of quarantined`, and `kept = added + present`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IngestReport {
    /// Files read.
    pub files: u64,
    /// What they hold: documents, and what is none.
    pub records: u64,
    /// Documents.
    pub kept: u64,
    /// What is no document, by reason.
    pub quarantined: BTreeMap<String, u64>,
    /// Rows added.
    pub added: u64,
    /// Documents that the table held already.
    pub present: u64,
    /// Bytes of all documents.
    pub bytes: u64,
    /// Bytes of the added ones.
    pub bytes_added: u64,
    /// Packages taken.
    pub packages: u64,
    /// Packages of which the limit allowed only a part.
    pub packages_cut: u64,
    /// Links that were not followed.
    pub links_skipped: u64,
    /// Whether the limit left something out.
    pub limited: bool,
    /// The table's version after it.
    pub version: u64,
    /// Digest of the request and of everything that was read; equal inputs have equal ones.
    pub listing_digest: Option<Digest>,
}

/// One data file of some ten megabytes.
const SLICE_BYTES: usize = 128 << 20;
const FIRST_SLICE_BYTES: usize = 16 << 20;

impl Lake {
    /// Brings documents into a table. Those whose (uri, digest) the table holds add nothing; a changed one adds a row of its
    /// new content.
    ///
    /// # Errors
    /// [`LakeError::Ingest`]: no such source, an empty one, one without readable text (nothing is written then), or a
    /// mapping that does not fit the table.
    pub async fn ingest(
        &self,
        request: &IngestRequest,
        on_progress: &mut (dyn FnMut(&IngestProgress) + Send),
    ) -> Result<IngestReport, LakeError> {
        let mut intake = Intake::new(self, request);
        let (what, handle) = (request.what.clone(), Handle::current());
        let outside = Arc::new(outside::Elsewhere::new(self, StoreAccess::of_environment()));
        // Stores are listed, which waits.
        let started = spawn_blocking(move || Reading::start(&what, outside, handle)).await;
        let mut reading = Some(started.map_err(LakeError::task("list the sources"))??);
        while let Some(mut taken) = reading.take() {
            let next = spawn_blocking(move || taken.next_batch().map(|batch| (taken, batch))).await;
            let next = next.map_err(LakeError::task("read the sources"))?;
            let Some((taken, batch)) = next else { break };
            if intake.take(batch).await? {
                reading = Some(taken);
            }
            on_progress(&intake.progress());
            if intake.slice.bytes >= intake.slice_bytes() {
                intake.write().await?;
            }
        }
        intake.finish().await
    }
}

/// What has been taken, and what is on its way into the tables.
struct Intake<'a> {
    lake: &'a Lake,
    request: &'a IngestRequest,
    /// Whether it has been looked what the tables hold.
    is_open: bool,
    kept: Arc<Kept>,
    report: IngestReport,
    listing: Hasher,
    /// Documents that the table holds, or that are on their way into it.
    known: HashSet<u128>,
    /// The version of which that is true; `None` where there is no table.
    known_version: Option<u64>,
    /// What the quarantine holds.
    quarantined: HashSet<u128>,
    /// The first fault, in words.
    first_fault: Option<(&'static str, String)>,
    slice: Slice,
    writing: Option<JoinHandle<Result<Landed, LakeError>>>,
    /// Tells the commits of this run from those of others.
    app: String,
    n_slices: i64,
}

impl<'a> Intake<'a> {
    fn new(lake: &'a Lake, request: &'a IngestRequest) -> Self {
        let into = &request.into;
        let mut listing = Hasher::new();
        let order = format!("{:?} {:?}", request.what.order, request.what.limit_bytes);
        for part in [into.to_string(), order, request.what.limits.record_bytes_max.to_string()] {
            listing.field(part.as_bytes());
        }
        // Process-random keys of the standard hash maps: a run needs to differ from others, not to be secret.
        let run = RandomState::new().hash_one((&request.what.sources, request.at.0, std::process::id()));
        Self {
            lake,
            request,
            is_open: false,
            kept: Arc::default(),
            report: IngestReport::default(),
            listing,
            known: HashSet::new(),
            known_version: None,
            quarantined: HashSet::new(),
            first_fault: None,
            slice: Slice::default(),
            writing: None,
            app: format!("polder/ingest/{into}/{run:016x}"),
            n_slices: 0,
        }
    }

    /// Looks what the tables hold. A source that is followed and gives nothing new costs no such look.
    async fn open(&mut self) -> Result<(), LakeError> {
        let (lake, into) = (self.lake, &self.request.into);
        let opened = lake.known.newest(into).await?;
        self.kept = Arc::new(Kept::new(&self.request.what.mapping.keep, into, opened.as_ref())?);
        self.known_version = opened.as_ref().and_then(deltalake::DeltaTable::version);
        self.report.version = self.known_version.unwrap_or_default();
        if let Some(opened) = &opened {
            self.known = known::documents(lake, into, opened).await?;
        }
        let quarantine = quarantine::table();
        if let Some(opened) = lake.known.newest(&quarantine).await? {
            self.quarantined = known::quarantined(lake, &quarantine, &opened).await?;
        }
        self.is_open = true;
        Ok(())
    }

    /// Takes what was found; says whether to read on.
    async fn take(&mut self, batch: Batch) -> Result<bool, LakeError> {
        if !self.is_open && !batch.items.is_empty() {
            self.open().await?;
        }
        let (report, tally) = (&mut self.report, batch.tally);
        report.files += tally.files;
        report.packages += tally.packages;
        report.packages_cut += tally.packages_cut;
        report.links_skipped += tally.links;
        report.limited |= tally.is_limited;
        for item in batch.items {
            if let Item::Record(record) = &item
                && self.request.what.limit_bytes.is_some_and(|limit| report.kept > 0 && report.bytes + record.text.len() as u64 > limit)
            {
                report.limited = true;
                return Ok(false);
            }
            report.records += 1;
            let bytes = item.bytes();
            match item {
                Item::Record(record) => {
                    self.listing.field(&record.identity.to_le_bytes());
                    report.kept += 1;
                    report.bytes += record.text.len() as u64;
                    if self.known.insert(record.identity) {
                        self.slice.records.push(record);
                        self.slice.bytes += bytes;
                    } else {
                        report.present += 1;
                    }
                }
                Item::Bad(bad) => {
                    self.listing.field(&bad.identity().to_le_bytes());
                    *report.quarantined.entry(bad.reason.to_owned()).or_default() += 1;
                    self.first_fault.get_or_insert_with(|| (bad.reason, bad.detail.clone()));
                    if self.quarantined.insert(bad.identity()) {
                        self.slice.bad.push(bad);
                        self.slice.bytes += bytes;
                    }
                }
            }
        }
        Ok(true)
    }

    /// The first slices are smaller, so that writing begins soon and goes on beside the reading.
    fn slice_bytes(&self) -> usize {
        let grown = u32::try_from(self.n_slices).ok().and_then(|n| FIRST_SLICE_BYTES.checked_shl(n)).filter(|n| *n > 0);
        grown.unwrap_or(usize::MAX).min(self.request.slice_bytes)
    }

    fn progress(&self) -> IngestProgress {
        IngestProgress { files: self.report.files, documents: self.report.kept, bytes: self.report.bytes }
    }

    /// Begins to write the slice, once the one before it is written.
    async fn write(&mut self) -> Result<(), LakeError> {
        self.settle().await?;
        let mut slice = std::mem::take(&mut self.slice);
        if self.request.is_dry {
            self.report.added += slice.records.len() as u64;
            self.report.bytes_added += slice.records.iter().map(|r| r.text.len() as u64).sum::<u64>();
            return Ok(());
        }
        self.n_slices += 1;
        slice.transaction = (self.app.clone(), self.n_slices);
        slice.known_version = self.known_version;
        let (lake, into, at, kept) = (self.lake.clone(), self.request.into.clone(), self.request.at, self.kept.clone());
        self.writing = Some(tokio::spawn(async move { slice.write(&lake, &into, at, &kept).await }));
        Ok(())
    }

    /// Waits for the slice that is being written.
    async fn settle(&mut self) -> Result<(), LakeError> {
        let Some(writing) = self.writing.take() else { return Ok(()) };
        let landed = writing.await.map_err(LakeError::task("write documents"))??;
        let report = &mut self.report;
        report.added += landed.added;
        report.bytes_added += landed.bytes_added;
        report.present += landed.present;
        for (reason, n) in landed.unfit {
            // They were counted as documents before their values were compared with the table's columns.
            report.kept -= n.documents;
            report.bytes -= n.bytes;
            *report.quarantined.entry(reason.to_owned()).or_default() += n.documents;
        }
        if let Some(version) = landed.version {
            report.version = version;
            self.known_version = Some(version);
        }
        if let Some(others) = landed.others {
            // What another writer added meanwhile: what waits here is compared with it.
            let before = self.slice.records.len();
            self.slice.records.retain(|r| !others.contains(&r.identity));
            self.report.present += (before - self.slice.records.len()) as u64;
            self.known.extend(others);
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<IngestReport, LakeError> {
        let sources = || self.request.what.sources.iter().map(|s| without_secrets(s)).collect::<Vec<_>>().join(", ");
        let is_followed = self.request.what.only_changed.is_some();
        if self.report.records == 0 && !is_followed {
            return Err(IngestError::Empty { sources: sources() }.into());
        }
        if self.report.kept == 0 && self.n_slices == 0 && !is_followed {
            let (reason, detail) = self.first_fault.clone().unwrap_or_default();
            let n = |(r, n): (&String, &u64)| if r == reason { format!("{n} {r} ({detail})") } else { format!("{n} {r}") };
            let reasons = self.report.quarantined.iter().map(n).collect::<Vec<_>>().join(", ");
            return Err(IngestError::NoText { sources: sources(), files: self.report.files, reasons, first: reason }.into());
        }
        if !self.slice.records.is_empty() || !self.slice.bad.is_empty() {
            self.write().await?;
        }
        self.settle().await?;
        self.report.listing_digest = Some(self.listing.finish());
        Ok(self.report)
    }
}
