//! One model on one backend for many callers at once: sequences share passes, and come and go between them.
//!
//! A thread of its own holds the backend. Callers hand it tokens and take what is drawn from a channel; who drops the channel wants no more. Between
//! two passes over all that runs, it reads one part of one new text, so that nobody stands still for long.

use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

use polder_compute::Backend;
use polder_compute::cpu::Sampling;
use polder_model::{DecodeOptions, Growing, ModelError, Network, Reading, Weights};

/// A sequence to go on with.
struct Request {
    tokens: Vec<u32>,
    sampling: Sampling,
    /// The most tokens to draw.
    limit: usize,
    /// `None` stands for a part that was read: it finds out whether anybody waits.
    drawn: Sender<Option<u32>>,
}

/// A sequence in a slot.
struct Running {
    growing: Growing,
    limit: usize,
    drawn: Sender<Option<u32>>,
}

/// What was asked of a batcher.
pub(crate) struct Drawn(Receiver<Option<u32>>);

impl Drawn {
    /// Waits for the next token; `None` when the worker is gone, or has none left to give.
    pub fn next(&self) -> Option<u32> {
        self.0.iter().flatten().next()
    }
}

/// A model on a backend, and the thread that runs it.
pub(crate) struct Batcher {
    requests: Option<Sender<Request>>,
    worker: Option<JoinHandle<()>>,
}

impl Batcher {
    /// Puts a model on a backend.
    ///
    /// # Errors
    /// A model that cannot be.
    pub fn start(backend: Box<dyn Backend>, weights: &Weights, options: DecodeOptions) -> Result<Self, ModelError> {
        let network = Network::for_decoding(backend, weights, options)?;
        let (requests, receiver) = channel();
        let mut worker =
            Worker { network, end: weights.config.eos_token_id, running: (0..options.slots).map(|_| None).collect(), reading: None };
        let worker = std::thread::spawn(move || while worker.advance(&receiver) {});
        Ok(Self { requests: Some(requests), worker: Some(worker) })
    }

    /// Gives a sequence in; of what is drawn behind it at most `limit` tokens come out, one by one, the last of them the one that ends the text
    /// where it ends before.
    pub fn draw(&self, tokens: &[u32], sampling: Sampling, limit: usize) -> Drawn {
        let (drawn, receiver) = channel();
        if let Some(requests) = self.requests.as_ref().filter(|_| limit > 0) {
            // A worker that is gone shows in a channel that is closed too early.
            let _ = requests.send(Request { tokens: tokens.to_vec(), sampling, limit, drawn });
        }
        Drawn(receiver)
    }

    /// Whether its thread still works: it ends when the backend fails.
    pub fn is_running(&self) -> bool {
        self.worker.as_ref().is_some_and(|worker| !worker.is_finished())
    }
}

impl Drop for Batcher {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

struct Worker {
    network: Network<Box<dyn Backend>>,
    end: Option<u32>,
    running: Vec<Option<Running>>,
    /// A text that is being read: its slot, and how far it was.
    reading: Option<(usize, Request, usize)>,
}

impl Worker {
    /// Reads a part of a new text and draws a token for each that runs; waits where there is nothing to do. Says whether to go on.
    fn advance(&mut self, requests: &Receiver<Request>) -> bool {
        if self.reading.is_none()
            && let Some(slot) = self.running.iter().position(Option::is_none)
        {
            let is_idle = self.running.iter().all(Option::is_none);
            let request = if is_idle { requests.recv().map_err(|_| TryRecvError::Disconnected) } else { requests.try_recv() };
            match request {
                Ok(request) => self.reading = Some((slot, request, 0)),
                Err(TryRecvError::Disconnected) if is_idle => return false,
                Err(_) => {}
            }
        }
        if let Some((slot, request, first)) = self.reading.take()
            && request.drawn.send(None).is_ok()
        {
            match self.network.read(slot, &request.tokens, first, request.sampling) {
                Ok(Reading::Until(end)) => self.reading = Some((slot, request, end)),
                Ok(Reading::Drawn(token)) => {
                    let Request { tokens, sampling, limit, drawn } = request;
                    let mut began = Running { growing: Growing { token, n_seen: tokens.len() - 1, n_drawn: 0, sampling }, limit, drawn };
                    self.running[slot] = began.take(token, self.end).then_some(began);
                }
                // What cannot be begun was checked before it came here; dropping the channel tells that it failed.
                Err(_) => {}
            }
        }
        if self.running.iter().all(Option::is_none) {
            return true;
        }
        let sequences: Vec<Option<Growing>> = self.running.iter().map(|r| r.as_ref().map(|r| r.growing)).collect();
        // Who waits sees the channel close.
        let Ok(drawn) = self.network.grow(&sequences) else { return false };
        for (slot, token) in self.running.iter_mut().zip(drawn) {
            if slot.as_mut().is_some_and(|r| !r.take(token, self.end)) {
                *slot = None;
            }
        }
        true
    }
}

impl Running {
    /// Hands a token on; says whether it goes on.
    fn take(&mut self, token: u32, end: Option<u32>) -> bool {
        self.growing = Growing { token, n_seen: self.growing.n_seen + 1, n_drawn: self.growing.n_drawn + 1, ..self.growing };
        self.drawn.send(Some(token)).is_ok() && self.growing.n_drawn < self.limit && Some(token) != end
    }
}
