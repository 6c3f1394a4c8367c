//! Documents in order of doc_id, whatever the table's size, in the memory that is given.
//!
//! What fits is sorted by address: batches stay as the table gave them, and text is read where it lies. What does not
//! fit goes to disk in sorted runs, which are merged as they are read back. The file has no name: the system removes it
//! with the process, however that ends.
//!
//! The engine's own sort is not asked. Its runs and its merge draw on one pool, and a merge that finds the pool full of
//! runs fails; and it copies all text once more.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{AsArray, Int32Array, RecordBatch};
use arrow::datatypes::Int32Type;
use rayon::slice::ParallelSliceMut;

use super::text::Text;
use crate::PipelineError;

/// Text in a chunk: small beside the memory for sorting, large beside what handing it over costs.
const CHUNK_TEXT_BYTES: usize = 1 << 20;
/// Documents in a chunk at most.
const CHUNK_DOCUMENTS: usize = 4096;
/// Least and most that is read of a run at a time.
const READ_BYTES: Range<usize> = 64 << 10..4 << 20;
/// Before a document's id and text in a run: their lengths and the number of its split.
const HEADER_BYTES: usize = 16;
/// The length that says that there is no text.
const NO_TEXT: u64 = u64::MAX;

/// A document as it stands in the pile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Document<'a> {
    pub(crate) doc_id: &'a str,
    /// None where the row's text is NULL.
    pub(crate) text: Option<&'a str>,
    /// The number of the split that the row names; none where the pile has no such column.
    pub(crate) split: Option<u32>,
}

/// A batch that is held as it came.
struct Held {
    ids: Text,
    texts: Text,
    splits: Option<Int32Array>,
}

impl Held {
    fn document(&self, row: usize) -> Document<'_> {
        Document {
            doc_id: self.ids.get(row).unwrap_or_default(),
            text: self.texts.get(row),
            split: self.splits.as_ref().map(|s| s.value(row).unsigned_abs()),
        }
    }
}

/// Where a document is held, and the first eight bytes of its id, which tell most ids apart.
#[derive(Clone, Copy)]
struct Entry {
    prefix: u64,
    batch: u32,
    row: u32,
}

fn prefix(id: &str) -> u64 {
    let mut first = [0; 8];
    let n = id.len().min(8);
    first[..n].copy_from_slice(&id.as_bytes()[..n]);
    u64::from_be_bytes(first)
}

/// Batches in memory, and their documents in order once sorted.
#[derive(Default)]
pub(crate) struct Run {
    held: Vec<Held>,
    entries: Vec<Entry>,
    buffers: HashSet<usize>,
    bytes: usize,
}

impl Run {
    fn document(&self, i: usize) -> Document<'_> {
        let entry = self.entries[i];
        self.held[entry.batch as usize].document(entry.row as usize)
    }

    fn sort(&mut self) {
        let held = &self.held;
        let id = |e: &Entry| held[e.batch as usize].ids.get(e.row as usize).unwrap_or_default();
        self.entries.par_sort_unstable_by(|a, b| a.prefix.cmp(&b.prefix).then_with(|| id(a).cmp(id(b))));
    }
}

/// Takes batches in any order and gives their documents in order of doc_id.
pub(crate) struct Sorter {
    what: String,
    folder: PathBuf,
    /// Bytes that a run holds at most; the run before may still be on its way to disk.
    run_bytes_max: usize,
    run: Run,
    spilled: Option<Spilled>,
    spilling: Option<tokio::task::JoinHandle<Result<Spilled, PipelineError>>>,
}

impl Sorter {
    /// Starts one that holds about `memory_bytes` and writes the rest below `folder`, which is there. `what` names the rows in errors.
    pub(crate) fn new(what: &str, folder: &Path, memory_bytes: usize) -> Self {
        Self {
            what: what.to_owned(),
            folder: folder.to_owned(),
            run_bytes_max: memory_bytes / 2,
            run: Run::default(),
            spilled: None,
            spilling: None,
        }
    }

    /// Takes a batch with `doc_id`, `text` and maybe `split_idx`.
    pub(crate) async fn push(&mut self, batch: &RecordBatch) -> Result<(), PipelineError> {
        let (ids, texts) = (Text::of(batch, "doc_id", &self.what)?, Text::of(batch, "text", &self.what)?);
        let splits = batch.column_by_name("split_idx").map(|c| c.as_primitive::<Int32Type>().clone());
        let of_splits = splits.as_ref().map(|s| s.values().inner());
        for buffer in ids.buffers().into_iter().chain(texts.buffers()).chain(of_splits) {
            if self.run.buffers.insert(buffer.data_ptr().as_ptr() as usize) {
                self.run.bytes += buffer.capacity();
            }
        }
        let number = self.run.held.len() as u32;
        for row in 0..batch.num_rows() {
            let Some(id) = ids.get(row) else { return Err(PipelineError::NoDocId { what: self.what.clone() }) };
            self.run.entries.push(Entry { prefix: prefix(id), batch: number, row: row as u32 });
        }
        self.run.bytes += batch.num_rows() * size_of::<Entry>();
        self.run.held.push(Held { ids, texts, splits });
        if self.run.bytes >= self.run_bytes_max {
            self.spill().await?;
        }
        Ok(())
    }

    /// Sends the run to disk while the next one fills.
    async fn spill(&mut self) -> Result<(), PipelineError> {
        let mut spilled = match self.spilling.take() {
            Some(before) => joined(before.await)?,
            None => Spilled::try_new(&self.folder)?,
        };
        let mut run = std::mem::take(&mut self.run);
        self.spilling = Some(tokio::task::spawn_blocking(move || {
            run.sort();
            spilled.write(&run)?;
            Ok(spilled)
        }));
        Ok(())
    }

    /// Ends the input. What follows blocks and belongs on a thread of its own.
    pub(crate) async fn finish(mut self) -> Result<Sorted, PipelineError> {
        if self.spilling.is_some() {
            if !self.run.entries.is_empty() {
                self.spill().await?;
            }
            if let Some(last) = self.spilling.take() {
                self.spilled = Some(joined(last.await)?);
            }
        }
        let source = match self.spilled {
            Some(spilled) => Source::Disk(Box::new(Merge::try_new(spilled, self.run_bytes_max)?)),
            None => {
                let mut run = self.run;
                let sort = tokio::task::spawn_blocking(move || {
                    run.sort();
                    Ok(run)
                });
                Source::Memory { run: Arc::new(joined(sort.await)?), at: 0 }
            }
        };
        Ok(Sorted { what: self.what, source, last: None })
    }
}

fn joined<T>(task: Result<Result<T, PipelineError>, tokio::task::JoinError>) -> Result<T, PipelineError> {
    task.unwrap_or_else(|e| std::panic::resume_unwind(e.into_panic()))
}

/// Runs on disk, one after the other in one file.
struct Spilled {
    file: File,
    folder: PathBuf,
    runs: Vec<Range<u64>>,
}

impl Spilled {
    fn try_new(folder: &Path) -> Result<Self, PipelineError> {
        let file = tempfile::tempfile_in(folder).map_err(|source| PipelineError::Spill { folder: folder.to_owned(), source })?;
        Ok(Self { file, folder: folder.to_owned(), runs: Vec::new() })
    }

    fn write(&mut self, run: &Run) -> Result<(), PipelineError> {
        let start = self.runs.last().map_or(0, |r| r.end);
        let wrong = |source| PipelineError::Spill { folder: self.folder.clone(), source };
        let end = write_run(&self.file, start, run).map_err(wrong)?;
        self.runs.push(start..end);
        Ok(())
    }
}

fn write_run(file: &File, start: u64, run: &Run) -> io::Result<u64> {
    let mut end = start;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    for i in 0..run.entries.len() {
        let document = run.document(i);
        let id_bytes = u32::try_from(document.doc_id.len()).map_err(|_| io::Error::other("a doc_id of more than 4 GB"))?;
        out.write_all(&id_bytes.to_le_bytes())?;
        out.write_all(&document.split.unwrap_or(u32::MAX).to_le_bytes())?;
        out.write_all(&document.text.map_or(NO_TEXT, |t| t.len() as u64).to_le_bytes())?;
        out.write_all(document.doc_id.as_bytes())?;
        out.write_all(document.text.unwrap_or_default().as_bytes())?;
        end += (HEADER_BYTES + document.doc_id.len() + document.text.map_or(0, str::len)) as u64;
    }
    out.flush()?;
    Ok(end)
}

/// A document's parts within the bytes of a record or a chunk.
#[derive(Clone)]
pub(crate) struct Place {
    id: Range<usize>,
    text: Option<Range<usize>>,
    split: Option<u32>,
}

impl Place {
    fn end(&self) -> usize {
        self.text.as_ref().map_or(self.id.end, |t| t.end)
    }
}

/// Reads one run, always holding its next record whole.
struct RunReader {
    left: Range<u64>,
    buffer: Vec<u8>,
    at: usize,
    read_bytes: usize,
    next: Option<Place>,
}

impl RunReader {
    fn try_new(file: &File, run: Range<u64>, read_bytes: usize) -> io::Result<Self> {
        let mut reader = Self { left: run, buffer: Vec::new(), at: 0, read_bytes, next: None };
        reader.advance(file)?;
        Ok(reader)
    }

    /// Makes sure that `n` bytes from here on are in the buffer.
    fn need(&mut self, file: &File, n: usize) -> io::Result<()> {
        let has = self.buffer.len() - self.at;
        if has >= n {
            return Ok(());
        }
        self.buffer.drain(..self.at);
        self.at = 0;
        let more = ((n - has).max(self.read_bytes) as u64).min(self.left.end - self.left.start) as usize;
        if has + more < n {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.buffer.resize(has + more, 0);
        file.read_exact_at(&mut self.buffer[has..], self.left.start)?;
        self.left.start += more as u64;
        Ok(())
    }

    /// Goes to the next record; `next` is none after the last.
    fn advance(&mut self, file: &File) -> io::Result<()> {
        if let Some(done) = self.next.take() {
            self.at = done.end();
        }
        if self.at == self.buffer.len() && self.left.is_empty() {
            return Ok(());
        }
        self.need(file, HEADER_BYTES)?;
        let number = |from: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| self.buffer[self.at + from + i]));
        let (id_bytes, split) = (number(0) as usize, number(4));
        let text_bytes = u64::from(number(8)) | u64::from(number(12)) << 32;
        let has_text = text_bytes != NO_TEXT;
        let text_bytes = if has_text { text_bytes as usize } else { 0 };
        self.need(file, HEADER_BYTES + id_bytes + text_bytes)?;
        let id = self.at + HEADER_BYTES..self.at + HEADER_BYTES + id_bytes;
        let text = has_text.then(|| id.end..id.end + text_bytes);
        self.next = Some(Place { id, text, split: (split != u32::MAX).then_some(split) });
        Ok(())
    }

    fn id(&self) -> &[u8] {
        self.next.as_ref().map_or(&[], |n| &self.buffer[n.id.clone()])
    }
}

/// The runs on disk as one.
struct Merge {
    spilled: Spilled,
    readers: Vec<RunReader>,
    /// The next id of each run, least first.
    next: BinaryHeap<Reverse<(Vec<u8>, usize)>>,
}

impl Merge {
    fn try_new(spilled: Spilled, memory_bytes: usize) -> Result<Self, PipelineError> {
        let read_bytes = (memory_bytes / spilled.runs.len().max(1)).clamp(READ_BYTES.start, READ_BYTES.end);
        let readers: io::Result<Vec<_>> = spilled.runs.iter().map(|r| RunReader::try_new(&spilled.file, r.clone(), read_bytes)).collect();
        let readers = readers.map_err(|source| PipelineError::Spill { folder: spilled.folder.clone(), source })?;
        let begun = readers.iter().enumerate().filter(|(_, r)| r.next.is_some());
        let next = begun.map(|(i, r)| Reverse((r.id().to_vec(), i))).collect();
        Ok(Self { spilled, readers, next })
    }

    /// Takes the next documents; none after the last.
    fn chunk(&mut self) -> io::Result<Option<Chunk>> {
        let mut bytes = String::new();
        let mut places = Vec::new();
        while bytes.len() < CHUNK_TEXT_BYTES && places.len() < CHUNK_DOCUMENTS {
            let Some(Reverse((mut id, i))) = self.next.pop() else { break };
            let reader = &mut self.readers[i];
            let Some(record) = &reader.next else { continue };
            let mut take = |range: &Range<usize>| {
                let from = bytes.len();
                let text = std::str::from_utf8(&reader.buffer[range.clone()]).map_err(io::Error::other)?;
                bytes.push_str(text);
                Ok::<_, io::Error>(from..bytes.len())
            };
            let id_place = take(&record.id)?;
            let text = record.text.as_ref().map(take).transpose()?;
            places.push(Place { id: id_place, text, split: record.split });
            reader.advance(&self.spilled.file)?;
            if reader.next.is_some() {
                id.clear();
                id.extend_from_slice(reader.id());
                self.next.push(Reverse((id, i)));
            }
        }
        Ok((!places.is_empty()).then_some(Chunk::Disk { bytes, places }))
    }
}

enum Source {
    Memory { run: Arc<Run>, at: usize },
    Disk(Box<Merge>),
}

/// The documents in order, in chunks of about a megabyte.
pub(crate) struct Sorted {
    what: String,
    source: Source,
    /// The id of the last document given.
    last: Option<String>,
}

impl Sorted {
    /// Takes the next chunk; none after the last. It blocks.
    ///
    /// # Errors
    /// An id that stands in two rows; a file that cannot be read back.
    pub(crate) fn next_chunk(&mut self) -> Result<Option<Chunk>, PipelineError> {
        let chunk = match &mut self.source {
            Source::Memory { run, at } => {
                let start = *at;
                let mut bytes = 0;
                while *at < run.entries.len() && bytes < CHUNK_TEXT_BYTES && *at - start < CHUNK_DOCUMENTS {
                    bytes += run.document(*at).text.map_or(0, str::len);
                    *at += 1;
                }
                (start < *at).then(|| Chunk::Memory { run: run.clone(), range: start..*at })
            }
            Source::Disk(merge) => {
                let folder = merge.spilled.folder.clone();
                merge.chunk().map_err(|source| PipelineError::Spill { folder, source })?
            }
        };
        let Some(chunk) = chunk else { return Ok(None) };
        let mut last = self.last.as_deref();
        for i in 0..chunk.len() {
            let id = chunk.document(i).doc_id;
            if last == Some(id) {
                return Err(PipelineError::SameDocId { what: self.what.clone(), doc_id: id.to_owned() });
            }
            last = Some(id);
        }
        self.last = last.map(str::to_owned);
        Ok(Some(chunk))
    }
}

/// Documents that follow each other.
pub(crate) enum Chunk {
    Memory { run: Arc<Run>, range: Range<usize> },
    Disk { bytes: String, places: Vec<Place> },
}

impl Chunk {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Memory { range, .. } => range.len(),
            Self::Disk { places, .. } => places.len(),
        }
    }

    pub(crate) fn document(&self, i: usize) -> Document<'_> {
        match self {
            Self::Memory { run, range } => run.document(range.start + i),
            Self::Disk { bytes, places } => {
                let place = &places[i];
                Document { doc_id: &bytes[place.id.clone()], text: place.text.clone().map(|t| &bytes[t]), split: place.split }
            }
        }
    }
}

#[cfg(test)]
mod tests;
