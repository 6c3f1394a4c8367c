//! Threads that make batches before they are asked for, and hand them out in their order.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use super::{Batch, Loader, LoaderError};

/// Which batches are made, and by how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchPlan {
    /// Samples a batch, over all ranks.
    pub batch_samples: usize,
    /// Which part of every batch is ours, from 0.
    pub rank: usize,
    /// In how many parts a batch is cut; divides `batch_samples`.
    pub world: usize,
    /// Threads that read ahead; with 0 a batch is made when it is asked for.
    pub n_readers: usize,
    /// Batches each of them makes ahead, at least 1.
    pub n_ahead: usize,
    /// The order ends before this sample; `None` for no end.
    pub end: Option<u64>,
}

impl BatchPlan {
    /// Whole batches on one machine with one reader, without end.
    pub fn of_batch(batch_samples: usize) -> Self {
        Self { batch_samples, rank: 0, world: 1, n_readers: 1, n_ahead: 2, end: None }
    }

    /// Place of our first sample of a batch, and how many are ours; a batch that the end cuts is shorter.
    fn part(&self, from: u64, batch: u64) -> (u64, usize) {
        let size = self.batch_samples / self.world;
        let first = from + batch * self.batch_samples as u64 + (self.rank * size) as u64;
        let left = self.end.map_or(u64::MAX, |end| end.saturating_sub(first));
        (first, left.min(size as u64) as usize)
    }

    fn has(&self, from: u64, batch: u64) -> bool {
        self.end.is_none_or(|end| from + batch * (self.batch_samples as u64) < end)
    }
}

/// Batches in the order of all samples; dropping it stops its threads.
#[derive(Debug)]
pub struct Batches {
    loader: Arc<Loader>,
    plan: BatchPlan,
    from: u64,
    n_taken: u64,
    readers: Vec<Reader>,
}

#[derive(Debug)]
struct Reader {
    made: Option<Receiver<Result<Batch, LoaderError>>>,
    used: Sender<Batch>,
    thread: Option<JoinHandle<()>>,
}

impl Batches {
    pub(super) fn start(loader: Arc<Loader>, from: u64, plan: BatchPlan) -> Result<Self, LoaderError> {
        let wrong = |option, value: String| Err(LoaderError::Option { option, value });
        if plan.world == 0 || plan.rank >= plan.world {
            return wrong("rank", format!("{} of {}", plan.rank, plan.world));
        }
        if plan.batch_samples == 0 || !plan.batch_samples.is_multiple_of(plan.world) {
            return wrong("batch_samples", format!("{} for {} ranks", plan.batch_samples, plan.world));
        }
        let mut batches = Self { loader: loader.clone(), plan, from, n_taken: 0, readers: Vec::with_capacity(plan.n_readers) };
        for number in 0..plan.n_readers as u64 {
            let (to_us, made) = sync_channel(plan.n_ahead.max(1));
            let (used, from_us) = channel();
            let loader = loader.clone();
            let work = move || read_ahead(&loader, &plan, from, number, &to_us, &from_us);
            let thread = thread::Builder::new().name(format!("reader-{number}")).spawn(work);
            let thread = thread.map_err(|source| LoaderError::Reader { source })?;
            batches.readers.push(Reader { made: Some(made), used, thread: Some(thread) });
        }
        Ok(batches)
    }

    /// Puts the next batch into `batch`, whose buffers are used again; false at the end.
    ///
    /// # Errors
    /// The batch could not be made. Nothing comes after it.
    pub fn next(&mut self, batch: &mut Batch) -> Result<bool, LoaderError> {
        if !self.plan.has(self.from, self.n_taken) {
            return Ok(false);
        }
        if self.readers.is_empty() {
            let (first, n_samples) = self.plan.part(self.from, self.n_taken);
            self.loader.fill(first, n_samples, batch)?;
        } else {
            let n = self.readers.len() as u64;
            let reader = &self.readers[(self.n_taken % n) as usize];
            let made = reader.made.as_ref().and_then(|made| made.recv().ok()).ok_or(LoaderError::ReaderStopped)??;
            // A reader that has ended needs no buffers.
            let _ = reader.used.send(std::mem::replace(batch, made));
        }
        self.n_taken += 1;
        Ok(true)
    }

    /// Samples of the order that were handed out, over all ranks.
    pub fn position(&self) -> u64 {
        let position = self.from + self.n_taken * self.plan.batch_samples as u64;
        self.plan.end.map_or(position, |end| position.min(end.max(self.from)))
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        // Without a receiver the next batch cannot be sent, and its reader ends.
        self.readers.iter_mut().for_each(|r| r.made = None);
        for reader in &mut self.readers {
            if let Some(thread) = reader.thread.take() {
                // A panic was already seen as a reader that stopped.
                let _ = thread.join();
            }
        }
    }
}

/// Makes every n-th batch until there are no more, one fails, or nobody takes them.
fn read_ahead(
    loader: &Loader,
    plan: &BatchPlan,
    from: u64,
    number: u64,
    made: &SyncSender<Result<Batch, LoaderError>>,
    used: &Receiver<Batch>,
) {
    let mut next = number;
    while plan.has(from, next) {
        let (first, n_samples) = plan.part(from, next);
        let mut batch = used.try_recv().unwrap_or_default();
        let result = loader.fill(first, n_samples, &mut batch).map(|()| batch);
        let is_last = result.is_err();
        if made.send(result).is_err() || is_last {
            return;
        }
        next += plan.n_readers as u64;
    }
}
