//! Checks one shard: three tasks that may run at the same time, and what follows from them together.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use polder_base::{Digest, Manifest, ManifestFile, digest_bytes};

use crate::block_sums::BLOCK_BYTES;
use crate::details::ShardDetails;
use crate::documents::DocumentLines;
use crate::error::ShardError;
use crate::index::{Dtype, Index};
use crate::reader::TokenSet;
use crate::sums_file::ShardSums;
use crate::verify::scan::{BadBytes, Scan, blocks, digest, scan};
use crate::verify::{Check, Damage, in_manifest};

/// A part of the work on a shard.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    /// The digest of the tokens' file.
    Digest,
    /// What the tokens are.
    Tokens,
    /// Index, documents and sums.
    Lists,
}

impl Task {
    pub const ALL: [Self; 3] = [Self::Digest, Self::Tokens, Self::Lists];
}

const BIN: usize = 0;
const IDX: usize = 1;
const JSONL: usize = 2;
const SUMS: usize = 3;
const MANIFEST: usize = 4;
/// What the index and the tokens say together.
const MARKS: usize = 5;

/// Ids that are counted at most: no vocabulary is near it, and a broken manifest must not ask for any memory it likes.
const COUNTED_IDS_MAX: usize = 1 << 24;

/// A shard being checked.
pub(super) struct ShardCheck<'a> {
    details: &'a ShardDetails,
    /// `.bin`, `.idx`, `.jsonl`, `.sums`.
    files: [&'a ManifestFile; 4],
    /// Theirs and the manifest's.
    paths: [PathBuf; 5],
    dtype: Dtype,
    bos_id: Option<u32>,
    eos_id: Option<u32>,
    vocab_size: usize,
    found: Mutex<Found>,
}

/// What tasks found; the last of them judges it.
#[derive(Default)]
struct Found {
    n_done: usize,
    digests: [Option<Digest>; 4],
    scans: [Scan; 3],
    counts: Vec<u64>,
    /// What is wrong with what the files say, where their bytes are what they were.
    wrong: Vec<(usize, BadBytes)>,
}

impl<'a> ShardCheck<'a> {
    pub fn new(set: &TokenSet, details: &'a ShardDetails, files: [&'a ManifestFile; 4]) -> Self {
        let of_set = set.details();
        Self {
            details,
            files,
            paths: [&files[0].path, &files[1].path, &files[2].path, &files[3].path, Manifest::FILE].map(|p| set.folder().join(p)),
            dtype: of_set.dtype,
            bos_id: of_set.bos_id,
            eos_id: of_set.eos_id,
            vocab_size: of_set.vocab_size,
            found: Mutex::default(),
        }
    }

    /// Does a part of the work; the last to be done reports.
    pub fn run(&self, task: Task, check: &Check<'_>) {
        let done = match task {
            Task::Digest => {
                let digest = digest(&self.paths[BIN], &|n| check.advance(n));
                self.with(|f| f.digests[BIN] = digest)
            }
            Task::Tokens => self.check_tokens(),
            Task::Lists => self.check_lists(check),
        };
        if done == Task::ALL.len() {
            let mut found = self.found.lock().map(|mut f| std::mem::take(&mut *f)).unwrap_or_default();
            if found.digests[BIN] != Some(self.files[BIN].digest) {
                self.scan_tokens(&mut found);
            }
            self.judge(found, check);
        }
    }

    /// Notes what a task found; returns how many tasks are done.
    fn with(&self, note: impl FnOnce(&mut Found)) -> usize {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        note(&mut found);
        found.n_done += 1;
        found.n_done
    }

    /// The sums it was written with, if their file can be believed.
    fn sums(&self) -> Option<ShardSums> {
        let bytes = self.small_file(SUMS)?;
        if digest_bytes(&bytes) == self.files[SUMS].digest { ShardSums::parse(&bytes).ok() } else { None }
    }

    /// A file that is read whole, if it has its size.
    fn small_file(&self, which: usize) -> Option<Vec<u8>> {
        let has_size = std::fs::metadata(&self.paths[which]).is_ok_and(|m| m.len() == self.files[which].bytes);
        if has_size { std::fs::read(&self.paths[which]).ok() } else { None }
    }

    /// Looks at the tokens. Blocks are summed only where the sums they had are lost: which block changed matters once one has.
    fn check_tokens(&self) -> usize {
        let mut of_tokens = Found::default();
        match self.sums() {
            None => self.scan_tokens(&mut of_tokens),
            Some(sums) => {
                let mut tokens = Tokens::new(self);
                // A file that cannot be read has no digest either, and is scanned.
                let _ = blocks(&self.paths[BIN], BLOCK_BYTES, &mut |at, block| tokens.block(at, block, None));
                tokens.note(&mut of_tokens);
                of_tokens.scans[BIN].sums = sums.files[BIN].clone();
            }
        }
        self.with(|f| {
            f.scans[BIN] = std::mem::take(&mut of_tokens.scans[BIN]);
            f.counts = of_tokens.counts;
            f.wrong.extend(of_tokens.wrong);
        })
    }

    /// Looks at the tokens and sums every block, in place of an earlier look.
    fn scan_tokens(&self, found: &mut Found) {
        let sums = self.sums();
        let mut tokens = Tokens::new(self);
        let was = sums.as_ref().map(|s| &s.files[BIN]);
        found.scans[BIN] = scan(&self.paths[BIN], was, &mut |at, block, changed| tokens.block(at, block, changed));
        found.wrong.retain(|(which, _)| ![BIN, MARKS].contains(which));
        tokens.note(found);
    }

    fn check_lists(&self, check: &Check<'_>) -> usize {
        let sums = self.sums();
        let of = |which: usize| {
            let scan = scan(&self.paths[which], sums.as_ref().map(|s| &s.files[which]), &mut |_, _, _| {});
            (digest(&self.paths[which], &|n| check.advance(n)), scan)
        };
        let ((idx_digest, idx), (jsonl_digest, jsonl)) = (of(IDX), of(JSONL));
        let sums_digest = digest(&self.paths[SUMS], &|n| check.advance(n));
        let mut wrong = Vec::new();
        let mut note = |which: usize, e: &ShardError| {
            let what = match e {
                ShardError::Broken { reason, .. } => reason.clone(),
                ShardError::Read { source, .. } => format!("it cannot be read: {source}"),
                other => other.to_string(),
            };
            wrong.push((which, BadBytes { bytes: 0..0, what, located: false }));
        };
        match Index::open(&self.paths[IDX]).and_then(|index| index.check_all().map(|()| index)) {
            Err(e) => note(IDX, &e),
            Ok(index) => {
                if index.dtype() != self.dtype {
                    note(IDX, &self.broken(IDX, format!("at byte 17: its tokens are stored as {:?}, not {:?}", index.dtype(), self.dtype)));
                }
                // Beside an index that changed, nothing can be said of the list.
                if idx_digest == Some(self.files[IDX].digest) {
                    match self.check_documents(&index) {
                        Err(e) => note(JSONL, &e),
                        Ok(found) if found != *self.details => note(MANIFEST, &self.unlike(&found)),
                        Ok(_) => {}
                    }
                }
            }
        }
        self.with(|f| {
            (f.digests[IDX], f.digests[JSONL], f.digests[SUMS]) = (idx_digest, jsonl_digest, sums_digest);
            (f.scans[IDX], f.scans[JSONL]) = (idx, jsonl);
            f.wrong.extend(wrong);
        })
    }

    fn broken(&self, which: usize, reason: String) -> ShardError {
        ShardError::Broken { path: self.paths[which].clone(), reason }
    }

    /// The manifest's record of the shard is not what was found.
    fn unlike(&self, found: &ShardDetails) -> ShardError {
        let of = |d: &ShardDetails| {
            let ShardDetails { n_documents, n_tokens, text_bytes, first_doc_id, last_doc_id, .. } = d;
            format!("{n_documents} documents, {n_tokens} tokens, {text_bytes} bytes of text, `{first_doc_id}` to `{last_doc_id}`")
        };
        self.broken(MANIFEST, format!("it says that {} holds {}, and it holds {}", self.details.name, of(self.details), of(found)))
    }

    /// Compares the list of documents with the index; returns what the shard holds.
    fn check_documents(&self, index: &Index) -> Result<ShardDetails, ShardError> {
        let folder = self.paths[JSONL].parent().unwrap_or(&self.paths[JSONL]);
        let mut lines = DocumentLines::open(folder, &self.details.name)?;
        let mut found = ShardDetails {
            n_tokens: 0,
            n_documents: 0,
            text_bytes: 0,
            first_doc_id: String::new(),
            last_doc_id: String::new(),
            ..self.details.clone()
        };
        while let Some(line) = lines.next() {
            let (line, number) = (line?, lines.n_lines);
            let doc_idx = number as usize - 1;
            let tokens = index.document(doc_idx)?;
            if tokens.end - tokens.start != line.n_tokens {
                let indexed = tokens.end - tokens.start;
                return Err(self.broken(JSONL, format!("line {number}: it says {} tokens, and the index {indexed}", line.n_tokens)));
            }
            if number > 1 && line.doc_id <= found.last_doc_id {
                return Err(self.broken(JSONL, format!("line {number}: `{}` does not come after `{}`", line.doc_id, found.last_doc_id)));
            }
            if number == 1 {
                found.first_doc_id.clone_from(&line.doc_id);
            }
            found.n_tokens = found.n_tokens.saturating_add(line.n_tokens);
            found.text_bytes = found.text_bytes.saturating_add(line.text_bytes);
            found.n_documents += 1;
            found.last_doc_id = line.doc_id;
        }
        if found.n_documents != index.n_documents() as u64 {
            let (listed, indexed) = (found.n_documents, index.n_documents());
            return Err(self.broken(JSONL, format!("it lists {listed} documents, and the index has {indexed}")));
        }
        Ok(found)
    }

    /// Says what is wrong, given everything that was found.
    fn judge(&self, found: Found, check: &Check<'_>) {
        let mut damages = Vec::new();
        let intact = |which: usize| found.digests[which] == Some(self.files[which].digest);
        for which in [BIN, IDX, JSONL] {
            if !intact(which) {
                self.judge_bytes(which, &found.scans[which], found.digests[which], &mut damages);
            }
            // What changed bytes say is of interest only where it is not known how they changed.
            let scan = &found.scans[which];
            let explained = scan.unread.is_some() || scan.sums.bytes != self.files[which].bytes || scan.bad.iter().any(|b| b.located);
            let exact = |b: &BadBytes| !b.bytes.is_empty();
            let wrong = found.wrong.iter().filter(|(w, b)| *w == which && (exact(b) || intact(which) || !explained));
            damages.extend(wrong.map(|(_, b)| self.damage(which, b)));
        }
        if intact(IDX) {
            damages.extend(found.wrong.iter().filter(|(w, _)| *w == MARKS).map(|(_, b)| self.damage(BIN, b)));
        }
        if intact(IDX) && intact(JSONL) {
            damages.extend(found.wrong.iter().filter(|(w, _)| *w == MANIFEST).map(|(_, b)| self.damage(MANIFEST, b)));
        }
        let all_intact = [BIN, IDX, JSONL].into_iter().all(intact);
        // Of the narrow form every id that two bytes can be was counted.
        let counts = found.counts.get(..self.vocab_size).filter(|_| all_intact);
        let files = || found.scans.each_ref().map(|s| s.sums.clone());
        let expected = counts.map(|c| ShardSums { files: files(), token_counts: c.to_vec() });
        self.judge_sums(intact(SUMS), expected.map(|s| s.to_bytes()), &mut damages);
        check.count(self.details, counts);
        let bytes = u128::from(self.details.n_tokens) * self.dtype.bytes() as u128;
        if bytes != u128::from(self.files[BIN].bytes) {
            let what = format!("{} has {} tokens in {} bytes", self.details.name, self.details.n_tokens, self.files[BIN].bytes);
            damages.push(in_manifest(check.set, what));
        }
        check.report(damages);
    }

    fn damage(&self, which: usize, bad: &BadBytes) -> Damage {
        let bytes = (!bad.bytes.is_empty()).then(|| bad.bytes.clone());
        Damage { path: self.paths[which].clone(), bytes, what: bad.what.clone() }
    }

    /// A file whose digest is not the manifest's.
    fn judge_bytes(&self, which: usize, scan: &Scan, digest: Option<Digest>, damages: &mut Vec<Damage>) {
        let before = damages.len();
        let path = self.paths[which].clone();
        let (found, expected) = (scan.sums.bytes, self.files[which].bytes);
        if let Some(unread) = &scan.unread {
            damages.push(Damage { path: path.clone(), bytes: None, what: unread.clone() });
        } else if found < expected {
            let what = format!("it ends after {found} of {expected} bytes");
            damages.push(Damage { path: path.clone(), bytes: Some(found..expected), what });
        } else if found > expected {
            let what = format!("it goes on after its {expected} bytes");
            damages.push(Damage { path: path.clone(), bytes: Some(expected..found), what });
        }
        damages.extend(scan.bad.iter().map(|b| self.damage(which, b)));
        if damages.len() == before {
            let digest = digest.map_or("unknown".into(), |d| d.to_string());
            let what = format!("its digest is {digest}, the manifest says {}, and its sums show no change", self.files[which].digest);
            damages.push(Damage { path, bytes: None, what });
        }
    }

    /// The file of sums: compared with what it should be, where that is known.
    fn judge_sums(&self, intact: bool, expected: Option<Vec<u8>>, damages: &mut Vec<Damage>) {
        let path = self.paths[SUMS].clone();
        let is = std::fs::read(&path);
        match (is, expected) {
            (Err(e), _) => damages.push(Damage { path, bytes: None, what: format!("it cannot be read: {e}") }),
            (Ok(is), Some(expected)) if is != expected => {
                let at = is.iter().zip(&expected).position(|(a, b)| a != b).unwrap_or(is.len().min(expected.len()));
                let what = match (is.get(at), expected.get(at)) {
                    (Some(is), Some(was)) => format!("it is {is:#04x} and should be {was:#04x}"),
                    (Some(_), None) => format!("it goes on after its {} bytes", expected.len()),
                    _ => format!("it ends after {} of {} bytes", is.len(), expected.len()),
                };
                damages.push(Damage { path, bytes: Some(at as u64..at as u64 + 1), what });
            }
            (Ok(_), Some(_)) if !intact => {
                let what =
                    format!("the manifest says another digest of {} than that of these sums, which are right", self.files[SUMS].path);
                damages.push(Damage { path, bytes: None, what });
            }
            (Ok(_), None) if !intact => {
                damages.push(Damage { path, bytes: None, what: "it is not what it was".into() });
            }
            _ => {}
        }
    }
}

/// Counts tokens, and looks at the first and last one of every document.
struct Tokens<'a> {
    shard: &'a ShardCheck<'a>,
    index: Option<Index>,
    /// The document whose first or last token is looked for next.
    doc_idx: usize,
    counts: Vec<u64>,
    /// Tokens that are none.
    outside: Vec<BadBytes>,
    /// Documents that do not begin or end as they should.
    marks: Vec<BadBytes>,
}

impl<'a> Tokens<'a> {
    fn new(shard: &'a ShardCheck<'a>) -> Self {
        let marked = shard.bos_id.is_some() || shard.eos_id.is_some();
        let index = Index::open(&shard.paths[IDX]).ok().filter(|i| marked && i.dtype() == shard.dtype);
        // Any two bytes are an index into the counts of the narrow form.
        let n_counts = if shard.dtype == Dtype::U16 { 1 << 16 } else { shard.vocab_size.min(COUNTED_IDS_MAX) };
        Self { shard, index, doc_idx: 0, counts: vec![0; n_counts], outside: Vec::new(), marks: Vec::new() }
    }

    fn note(self, found: &mut Found) {
        found.counts = self.counts;
        found.wrong.extend(self.outside.into_iter().map(|w| (BIN, w)));
        found.wrong.extend(self.marks.into_iter().map(|w| (MARKS, w)));
    }

    fn block(&mut self, at: u64, block: &[u8], changed: Option<u64>) {
        let mut outside = 0u64;
        match self.shard.dtype {
            Dtype::U16 => {
                let before: u64 = self.counts.get(self.shard.vocab_size..).map_or(0, |c| c.iter().sum());
                block.as_chunks().0.iter().for_each(|b| self.counts[usize::from(u16::from_le_bytes(*b))] += 1);
                outside += self.counts.get(self.shard.vocab_size..).map_or(0, |c| c.iter().sum::<u64>()) - before;
            }
            Dtype::I32 => block.as_chunks().0.iter().for_each(|b| match self.counts.get_mut(u32::from_le_bytes(*b) as usize) {
                Some(count) => *count += 1,
                // Also one that is not counted: the list then names only those outside.
                None => outside += 1,
            }),
        }
        if outside > 0 {
            self.list_outside(at, block, changed);
        }
        self.marks(at, block, changed);
    }

    /// Lists tokens that are no tokens, but for the one in which a changed byte was found.
    fn list_outside(&mut self, at: u64, block: &[u8], changed: Option<u64>) {
        let (width, vocab_size) = (self.shard.dtype.bytes(), self.shard.vocab_size);
        for (i, token) in block.chunks_exact(width).enumerate() {
            let token = token.iter().rev().fold(0u32, |n, b| n << 8 | u32::from(*b));
            let place = at + (i * width) as u64;
            let bytes = place..place + width as u64;
            if token as usize >= vocab_size && !changed.is_some_and(|c| bytes.contains(&c)) {
                let what = format!("token {token} is outside the vocabulary of {vocab_size}");
                self.outside.push(BadBytes { bytes, what, located: false });
            }
        }
    }

    /// Looks at the tokens in a block that open or close documents, but for the one in which a changed byte was found.
    fn marks(&mut self, at: u64, block: &[u8], changed: Option<u64>) {
        let Some(index) = &self.index else { return };
        let width = self.shard.dtype.bytes() as u64;
        let (first, end) = (at / width, (at + block.len() as u64) / width);
        while self.doc_idx < index.n_documents() {
            let Ok(document) = index.document(self.doc_idx) else { break };
            if document.start >= end {
                return;
            }
            let last = document.end.saturating_sub(1);
            for (token, id, verb) in [(document.start, self.shard.bos_id, "open"), (last, self.shard.eos_id, "close")] {
                let Some(id) = id.filter(|_| (first..end).contains(&token)) else { continue };
                let from = ((token - first) * width) as usize;
                let bytes = &block[from..from + width as usize];
                let is = bytes.iter().rev().fold(0u32, |n, b| n << 8 | u32::from(*b));
                let place = at + from as u64;
                let known = changed.is_some_and(|c| (place..place + width).contains(&c));
                if (is != id || document.is_empty()) && !known {
                    let what = format!("token {is} does not {verb} document {}, as token {id} does", self.doc_idx);
                    self.marks.push(BadBytes { bytes: place..place + width, what, located: false });
                }
            }
            if last >= end {
                return;
            }
            self.doc_idx += 1;
        }
    }
}
