//! Files become rows of a document table, each with where it came from; what cannot be read as text is put
//! into `raw.quarantine` with the reason.
//!
//! Two passes: the first reads every file to judge and digest it, and writes the quarantine; the second streams
//! the texts into one commit. Nothing is held but one batch, and a kill between or within the passes leaves
//! whole tables: the same request run again adds what is missing, once.

mod classify;
mod documents;
mod error;
mod globs;
mod known;
mod media;
mod quarantine;
mod sources;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use datafusion::catalog::streaming::StreamingTable;
use polder_base::{Digest, Hasher, TableName, Timestamp};

use self::classify::{Judged, Verdict};
use self::documents::Texts;
pub use self::error::IngestError;
use self::sources::Unit;
use crate::{Lake, LakeError, WriteOptions};

/// In which order packages are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By path.
    #[default]
    Path,
    /// By SHA-256 of the package's name: a sample that does not depend on which other packages there are.
    PackageHash,
}

/// What to bring in.
#[derive(Clone, Debug)]
pub struct IngestRequest {
    /// Folders, files, and patterns with `*`, `?` and `**`.
    pub sources: Vec<String>,
    /// The table, usually `raw.docs`.
    pub into: TableName,
    /// Packages are taken in order while they fit into this much text. One package gives at most a quarter of it,
    /// by the hash of its files' paths, so that a giant does not become the sample.
    pub limit_bytes: Option<u64>,
    /// In which order packages are taken.
    pub order: Order,
    /// Larger files go to quarantine.
    pub max_file_bytes: u64,
    /// What the rows say as their source; by default the folder's name.
    pub source_name: Option<String>,
    /// When it is brought in.
    pub at: Timestamp,
}

impl IngestRequest {
    /// Asks for all of the sources, in order of path, with files up to 4 MB.
    pub fn new(sources: Vec<String>, into: TableName, at: Timestamp) -> Self {
        Self { sources, into, limit_bytes: None, order: Order::Path, max_file_bytes: 4_000_000, source_name: None, at }
    }
}

/// Which pass is running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Files are read and judged.
    Reading,
    /// Rows are written.
    Writing,
}

/// How far an ingest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IngestProgress {
    /// Which pass.
    pub phase: Phase,
    /// Files done in this pass.
    pub files: u64,
    /// Bytes of text done in this pass.
    pub bytes: u64,
    /// Files of this pass, where it is known.
    pub total_files: Option<u64>,
    /// Bytes of this pass: the limit while reading, what will be written while writing.
    pub total_bytes: Option<u64>,
}

/// What an ingest did. `files = kept + sum of quarantined`, and `kept = added + present`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IngestReport {
    /// Files read.
    pub files: u64,
    /// Files that are text.
    pub kept: u64,
    /// Files that are not, by reason.
    pub quarantined: BTreeMap<String, u64>,
    /// Rows added.
    pub added: u64,
    /// Texts that the table held already.
    pub present: u64,
    /// Bytes of all kept texts.
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

/// Bytes that are read side by side before the limit is looked at again.
const WINDOW_BYTES: u64 = 16 << 20;
/// One package gives at most this part of the limit.
const PACKAGE_SHARE: u64 = 4;

struct Listing {
    judged: Vec<Judged>,
    report: IngestReport,
}

impl Lake {
    /// Brings files into a document table. Files whose (uri, digest) the table holds add nothing; a changed file
    /// adds a row of its new content.
    ///
    /// # Errors
    /// [`LakeError::Ingest`]: no such source, an empty one, one without readable text (nothing is written then),
    /// or a file that changed while it was read.
    pub async fn ingest(
        &self,
        request: &IngestRequest,
        on_progress: &mut (dyn FnMut(&IngestProgress) + Send),
    ) -> Result<IngestReport, LakeError> {
        let Listing { judged, mut report } = judge_all(request, on_progress)?;
        if report.files == 0 {
            return Err(IngestError::Empty { sources: request.sources.join(", ") }.into());
        }
        if report.kept == 0 {
            let reasons = report.quarantined.iter().map(|(r, n)| format!("{n} {r}")).collect::<Vec<_>>().join(", ");
            return Err(IngestError::NoText { sources: request.sources.join(", "), files: report.files, reasons }.into());
        }
        let listing = listing_digest(request, &judged);
        report.listing_digest = Some(listing);
        let app = |table: &TableName| Some((format!("polder/ingest/{table}/{}", listing.hex()), 1));

        let (texts, bad): (Vec<Judged>, Vec<Judged>) = judged.into_iter().partition(Judged::is_text);
        self.write_quarantine(request, bad, app).await?;

        let known = known::documents(self, &request.into).await?;
        let fresh: Vec<Judged> = texts.into_iter().filter(|j| !known.contains(&j.identity())).collect();
        report.present = report.kept - fresh.len() as u64;
        if fresh.is_empty() {
            report.version = self.tables.newest(&request.into).await?.and_then(|t| t.version()).unwrap_or_default();
            return Ok(report);
        }
        let (n, bytes) = (fresh.len() as u64, fresh.iter().map(|j| j.bytes).sum::<u64>());
        let transaction = app(&request.into);
        let written = self.write_documents(request, fresh, (n, bytes), transaction, on_progress).await?;
        report.version = written.version;
        if written.skipped {
            report.present = report.kept;
        } else {
            (report.added, report.bytes_added) = (n, bytes);
        }
        Ok(report)
    }

    async fn write_documents(
        &self,
        request: &IngestRequest,
        fresh: Vec<Judged>,
        (n, bytes): (u64, u64),
        transaction: Option<(String, i64)>,
        on_progress: &mut (dyn FnMut(&IngestProgress) + Send),
    ) -> Result<crate::Written, LakeError> {
        let done = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
        let texts = Texts::new(fresh, request.at, done.clone());
        let table = StreamingTable::try_new(documents::schema(), vec![Arc::new(texts)]);
        // One partition: the rows stand in the file in the order of the listing.
        let rows = table.and_then(|t| self.session_with(Some(1)).read_table(Arc::new(t)));
        let rows = rows.map_err(LakeError::query("read files for", &request.into))?;
        let options = WriteOptions { transaction, ..WriteOptions::default() };
        let write = self.write(&request.into, rows, &options);
        tokio::pin!(write);
        loop {
            let result = tokio::select! {
                result = &mut write => Some(result),
                () = tokio::time::sleep(Duration::from_millis(100)) => None,
            };
            let (files, at) = (done.0.load(Ordering::Relaxed), done.1.load(Ordering::Relaxed));
            on_progress(&IngestProgress { phase: Phase::Writing, files, bytes: at, total_files: Some(n), total_bytes: Some(bytes) });
            if let Some(result) = result {
                return result;
            }
        }
    }

    async fn write_quarantine(
        &self,
        request: &IngestRequest,
        bad: Vec<Judged>,
        app: impl Fn(&TableName) -> Option<(String, i64)>,
    ) -> Result<(), LakeError> {
        let table = quarantine::table();
        let known = known::quarantined(self, &table).await?;
        let fresh: Vec<Judged> = bad.into_iter().filter(|j| !known.contains(&j.identity())).collect();
        if !fresh.is_empty() {
            self.append_rows(&table, quarantine::batch(&fresh, request.at)?, app(&table)).await?;
        }
        Ok(())
    }
}

/// First pass: reads packages in order until the limit, and judges every file.
fn judge_all(request: &IngestRequest, on_progress: &mut (dyn FnMut(&IngestProgress) + Send)) -> Result<Listing, IngestError> {
    let mut units = Vec::new();
    let mut report = IngestReport::default();
    for (i, source) in globs::expand(&request.sources)?.iter().enumerate() {
        sources::units(i, source, request.source_name.as_deref(), &mut units, &mut report.links_skipped)?;
    }
    sources::sort(&mut units, request.order);
    let mut judged = Vec::new();
    let mut seen = HashSet::new();
    let packages: Vec<&[Unit]> = units.chunk_by(|a, b| a.package == b.package).collect();
    let limit = request.limit_bytes.unwrap_or(u64::MAX);
    let mut next = 0;
    let mut full = false;
    while next < packages.len() && !full {
        // A window of packages is read side by side; then they are taken one by one, so that where the limit falls
        // does not depend on the window.
        let mut window = Vec::new();
        let mut window_bytes = 0;
        while next < packages.len() && (window.is_empty() || window_bytes < WINDOW_BYTES) {
            let mut files = sources::files(packages[next], &mut report.links_skipped);
            report.packages_cut += u64::from(sources::cut(&mut files, limit / PACKAGE_SHARE, request.max_file_bytes));
            window_bytes += files.iter().map(|f| f.bytes).sum::<u64>();
            window.push(files);
            next += 1;
        }
        for mut package in classify::judge(window, request.max_file_bytes) {
            package.retain(|j| seen.insert(j.place()));
            let text: u64 = package.iter().filter(|j| j.is_text()).map(|j| j.bytes).sum();
            // The first package is taken in any case: a limit smaller than it still gives something.
            full = full || (report.packages > 0 && report.bytes.saturating_add(text) > limit);
            if full {
                break;
            }
            report.packages += u64::from(!package.is_empty());
            report.take(&package);
            judged.append(&mut package);
            on_progress(&IngestProgress {
                phase: Phase::Reading,
                files: report.files,
                bytes: report.bytes,
                total_files: None,
                total_bytes: request.limit_bytes,
            });
        }
    }
    report.limited = full || report.packages_cut > 0;
    Ok(Listing { judged, report })
}

impl IngestReport {
    fn take(&mut self, package: &[Judged]) {
        for one in package {
            self.files += 1;
            match &one.verdict {
                Verdict::Text { .. } => {
                    self.kept += 1;
                    self.bytes += one.bytes;
                }
                Verdict::Quarantine { reason, .. } => *self.quarantined.entry((*reason).to_owned()).or_default() += 1,
            }
        }
    }
}

fn listing_digest(request: &IngestRequest, judged: &[Judged]) -> Digest {
    let mut hasher = Hasher::new();
    let order = format!("{:?} {:?}", request.order, request.limit_bytes);
    for part in [request.into.to_string(), order, request.max_file_bytes.to_string()] {
        hasher.field(part.as_bytes());
    }
    for one in judged {
        hasher.field(&one.identity().to_le_bytes());
    }
    hasher.finish()
}
