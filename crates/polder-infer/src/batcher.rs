//! One model on one backend for many callers at once: sequences share passes, and come and go between them.
//!
//! A thread of its own holds the backend. Callers hand it tokens and take what is drawn from a channel; who drops the channel wants no more.

use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

use polder_compute::Backend;
use polder_compute::cpu::Sampling;
use polder_model::{DecodeOptions, Growing, ModelError, Network, Weights};

/// A sequence to go on with.
struct Request {
    tokens: Vec<u32>,
    sampling: Sampling,
    /// The most tokens to draw.
    limit: usize,
    drawn: Sender<u32>,
}

/// A sequence in a slot.
struct Running {
    growing: Growing,
    limit: usize,
    drawn: Sender<u32>,
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
        let end = weights.config.eos_token_id;
        let worker = std::thread::spawn(move || run(network, &receiver, options.slots, end));
        Ok(Self { requests: Some(requests), worker: Some(worker) })
    }

    /// Gives a sequence in; of what is drawn behind it at most `limit` tokens come out, one by one, the last of them the one that ends the text
    /// where it ends before.
    pub fn draw(&self, tokens: &[u32], sampling: Sampling, limit: usize) -> Receiver<u32> {
        let (drawn, receiver) = channel();
        if let Some(requests) = &self.requests {
            // A worker that is gone shows in a channel that is closed too early.
            let _ = requests.send(Request { tokens: tokens.to_vec(), sampling, limit, drawn });
        }
        receiver
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

/// Runs sequences until nobody can ask for more.
fn run(mut network: Network<Box<dyn Backend>>, requests: &Receiver<Request>, slots: usize, end: Option<u32>) {
    let mut running: Vec<Option<Running>> = (0..slots).map(|_| None).collect();
    loop {
        while let Some(slot) = running.iter().position(Option::is_none) {
            let is_idle = running.iter().all(Option::is_none);
            let request = match is_idle {
                true => requests.recv().map_err(|_| TryRecvError::Disconnected),
                false => requests.try_recv(),
            };
            let request = match request {
                Ok(request) => request,
                Err(TryRecvError::Disconnected) if is_idle => return,
                Err(_) => break,
            };
            let Request { tokens, sampling, limit, drawn } = request;
            if limit == 0 {
                continue;
            }
            // What cannot be begun was checked before it came here; dropping the channel tells that it failed.
            let Ok(token) = network.begin(slot, &tokens, sampling) else { continue };
            let mut began = Running { growing: Growing { token, n_seen: tokens.len() - 1, n_drawn: 0, sampling }, limit, drawn };
            running[slot] = began.take(token, end).then_some(began);
        }
        let sequences: Vec<Option<Growing>> = running.iter().map(|r| r.as_ref().map(|r| r.growing)).collect();
        if sequences.iter().all(Option::is_none) {
            continue;
        }
        // Who waits sees the channel close.
        let Ok(drawn) = network.grow(&sequences) else { return };
        for (slot, token) in running.iter_mut().zip(drawn) {
            if slot.as_mut().is_some_and(|r| !r.take(token, end)) {
                *slot = None;
            }
        }
    }
}

impl Running {
    /// Hands a token on; says whether it goes on.
    fn take(&mut self, token: u32, end: Option<u32>) -> bool {
        self.growing = Growing { token, n_seen: self.growing.n_seen + 1, n_drawn: self.growing.n_drawn + 1, ..self.growing };
        self.drawn.send(token).is_ok() && self.growing.n_drawn < self.limit && Some(token) != end
    }
}
