//! Read ∥ encode ∥ write: one thread takes documents in order, one a core encodes, one writes in that order.
//!
//! A chunk of documents goes through as one. It is digested; the writer says which of its documents it wants; those are
//! encoded and written. Where nothing is there to go on from, every document is wanted, and a chunk is digested and encoded
//! at once.

use std::collections::VecDeque;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Mutex, PoisonError};
use std::thread;

use polder_base::{Digest, digest_bytes};
use polder_shard::{Document, Offer, TokenSetWriter};
use polder_tokenizer::{Encoder, Tokenizer};

use super::TokensProgress;
use super::sort::{Chunk, Sorted};
use crate::PipelineError;

/// Chunks on their way, for each thread that encodes: enough to go on while the writer closes a shard.
const CHUNKS_PER_THREAD: usize = 6;
/// Fewer bytes a token than most text has, so that a chunk's tokens find room at once.
const TOKEN_BYTES_MIN: usize = 2;

/// Which split a document belongs to.
#[derive(Clone, Debug)]
pub(super) enum Splitting {
    /// The one that its row names.
    Column,
    /// The second for this share of the ids by their hash, else the first.
    Share(f64),
}

/// What a build writes, besides the documents.
pub(super) struct Work<'a> {
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) splits: &'a [String],
    pub(super) splitting: &'a Splitting,
    /// Whether the writer may know documents already.
    pub(super) asks_first: bool,
    /// What chunks that were written held their tokens in, for those to come: memory given back and asked for again would be
    /// cleared each time, and kept by the allocator of each thread.
    pub(super) spare: Mutex<Vec<Vec<u32>>>,
}

/// A document of a chunk on its way.
struct Ready {
    /// Its number in the chunk.
    at: usize,
    split: usize,
    digest: Digest,
    text_bytes: u64,
    /// Where its tokens end in the chunk's; before encoding, 0.
    end: usize,
    wanted: bool,
}

/// A chunk on its way: documents without text are no longer in `ready`.
struct Passing {
    chunk: Chunk,
    ready: Vec<Ready>,
    tokens: Vec<u32>,
}

enum Job {
    Prepare(Chunk),
    Encode(Passing),
}

impl Work<'_> {
    fn prepare(&self, chunk: Chunk) -> Passing {
        let mut ready = Vec::with_capacity(chunk.len());
        for at in 0..chunk.len() {
            let document = chunk.document(at);
            let Some(text) = document.text else { continue };
            let split = match self.splitting {
                Splitting::Column => document.split.unwrap_or_default() as usize,
                Splitting::Share(share) => usize::from(polder_text::hash_share(document.doc_id) < *share),
            };
            ready.push(Ready {
                at,
                split,
                digest: digest_bytes(text.as_bytes()),
                text_bytes: text.len() as u64,
                end: 0,
                wanted: !self.asks_first,
            });
        }
        Passing { chunk, ready, tokens: Vec::new() }
    }

    fn encode(&self, encoder: &mut Encoder, passing: &mut Passing) {
        let Passing { chunk, ready, tokens } = passing;
        *tokens = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        let bytes: u64 = ready.iter().filter(|r| r.wanted).map(|r| r.text_bytes).sum();
        tokens.reserve(bytes as usize / TOKEN_BYTES_MIN);
        for r in ready {
            if r.wanted {
                encoder.encode_into(chunk.document(r.at).text.unwrap_or_default(), tokens);
            }
            r.end = tokens.len();
        }
    }

    /// Works until no jobs come; answers of those whose asker went away are dropped.
    fn serve(&self, jobs: &Mutex<Receiver<(Job, Sender<Passing>)>>) {
        let mut encoder = self.tokenizer.encoder();
        loop {
            // The guard is gone before the work begins.
            let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok((job, answer)) = next else { return };
            let passing = match job {
                Job::Prepare(chunk) => {
                    let mut passing = self.prepare(chunk);
                    if !self.asks_first {
                        self.encode(&mut encoder, &mut passing);
                    }
                    passing
                }
                Job::Encode(mut passing) => {
                    self.encode(&mut encoder, &mut passing);
                    passing
                }
            };
            let _ = answer.send(passing);
        }
    }
}

type Jobs = Sender<(Job, Sender<Passing>)>;
/// Chunks in order: each a promise of one, or why there are no more.
type InOrder = Result<Receiver<Passing>, PipelineError>;

fn read(mut sorted: Sorted, jobs: &Jobs, in_order: &SyncSender<InOrder>) {
    loop {
        let promise = match sorted.next_chunk() {
            Ok(None) => return,
            Err(error) => Err(error),
            Ok(Some(chunk)) => {
                let (answer, promise) = mpsc::channel();
                // Nobody takes jobs any more only when the writer has failed, which is what it then says.
                if jobs.send((Job::Prepare(chunk), answer)).is_err() {
                    return;
                }
                Ok(promise)
            }
        };
        let is_last = promise.is_err();
        if in_order.send(promise).is_err() || is_last {
            return;
        }
    }
}

/// The side that writes.
struct Writing<'a, 'b> {
    work: &'a Work<'a>,
    writer: &'a mut TokenSetWriter,
    progress: TokensProgress,
    on_progress: &'b mut dyn FnMut(&TokensProgress) -> bool,
}

impl Writing<'_, '_> {
    fn offer(&mut self, passing: &mut Passing) -> Result<(), PipelineError> {
        for r in &mut passing.ready {
            let id = passing.chunk.document(r.at).doc_id;
            r.wanted = self.writer.offer(&self.work.splits[r.split], id, &r.digest)? == Offer::Wanted;
        }
        Ok(())
    }

    fn push(&mut self, passing: &Passing) -> Result<(), PipelineError> {
        let mut start = 0;
        for r in &passing.ready {
            if r.wanted {
                let doc_id = passing.chunk.document(r.at).doc_id;
                let document = Document { doc_id, text_digest: r.digest, text_bytes: r.text_bytes };
                self.writer.push(&self.work.splits[r.split], &document, &passing.tokens[start..r.end])?;
            }
            start = r.end;
            self.progress.bytes += r.text_bytes;
        }
        self.progress.n_documents += passing.ready.len() as u64;
        self.progress.n_without_text += (passing.chunk.len() - passing.ready.len()) as u64;
        self.progress.n_tokens += passing.tokens.len() as u64;
        if (self.on_progress)(&self.progress) { Ok(()) } else { Err(PipelineError::Stopped) }
    }

    /// Offers run ahead of pushes, so that encoding never waits for writing.
    fn run(&mut self, in_order: &Receiver<InOrder>, jobs: Jobs, ahead_max: usize) -> Result<(), PipelineError> {
        // Taken by value, so that the threads that encode end with this function.
        let jobs = jobs;
        let mut ahead: VecDeque<Receiver<Passing>> = VecDeque::new();
        loop {
            while ahead.len() < ahead_max {
                let next = if ahead.is_empty() { in_order.recv().ok() } else { in_order.try_recv().ok() };
                let Some(promise) = next else { break };
                let promise = promise?;
                if !self.work.asks_first {
                    ahead.push_back(promise);
                    continue;
                }
                let mut passing = promised(&promise)?;
                self.offer(&mut passing)?;
                let (answer, promise) = mpsc::channel();
                let _ = jobs.send((Job::Encode(passing), answer));
                ahead.push_back(promise);
            }
            let Some(promise) = ahead.pop_front() else { return Ok(()) };
            let mut passing = promised(&promise)?;
            if !self.work.asks_first {
                self.offer(&mut passing)?;
            }
            self.push(&passing)?;
            passing.tokens.clear();
            self.work.spare.lock().unwrap_or_else(PoisonError::into_inner).push(passing.tokens);
        }
    }
}

/// Waits for a chunk. Whoever promised it keeps the promise, unless its thread panicked.
fn promised(promise: &Receiver<Passing>) -> Result<Passing, PipelineError> {
    promise.recv().map_err(|_| PipelineError::Stopped)
}

/// Takes all documents through; `on_progress` says whether to go on.
///
/// # Errors
/// Those of reading and writing, and [`PipelineError::Stopped`]; what is durable then stays.
pub(super) fn encode_all(
    work: &Work<'_>,
    sorted: Sorted,
    writer: &mut TokenSetWriter,
    progress: TokensProgress,
    on_progress: &mut dyn FnMut(&TokensProgress) -> bool,
) -> Result<TokensProgress, PipelineError> {
    let n_threads = thread::available_parallelism().map_or(1, usize::from);
    let ahead_max = n_threads * CHUNKS_PER_THREAD;
    let (jobs, taken) = mpsc::channel();
    let (in_order_sender, in_order) = mpsc::sync_channel(ahead_max);
    let taken = Mutex::new(taken);
    thread::scope(|scope| {
        let reader_jobs: Jobs = jobs.clone();
        scope.spawn(move || read(sorted, &reader_jobs, &in_order_sender));
        for _ in 0..n_threads {
            scope.spawn(|| work.serve(&taken));
        }
        let mut writing = Writing { work, writer, progress, on_progress };
        let result = writing.run(&in_order, jobs, ahead_max);
        // The reader ends at its next chunk.
        drop(in_order);
        result.map(|()| writing.progress)
    })
}
