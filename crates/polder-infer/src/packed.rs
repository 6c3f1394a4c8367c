//! Probabilities of given tokens for many sequences at once, on any backend: what a GPU is worth asking.
//!
//! Sequences stand packed in rows of a network as documents that do not see each other; the values are those of
//! [`Engine::token_logprobs`](crate::Engine::token_logprobs) up to rounding.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use polder_compute::cuda::{Chosen, SCRATCH_BYTES};
use polder_compute::{Backend, LogitsRoom};
use polder_model::{Batch, Network, NetworkOptions, Recompute};

use crate::{Engine, InferError};

/// Tokens of a pass, where a context is not longer.
const TOKENS: usize = 1 << 14;

/// A model on a backend.
pub struct Packed {
    network: Mutex<Network<Box<dyn Backend>>>,
    n_rows: usize,
    time: usize,
    vocab_size: usize,
}

/// A part of a sequence that is read at once: its tokens, and which of its predictions count.
struct Window {
    sequence: usize,
    tokens: Range<usize>,
    judged: Range<usize>,
}

impl Packed {
    /// Bytes that a model takes on a GPU.
    pub fn bytes(engine: &Engine) -> u64 {
        polder_model::memory_bytes(engine.config(), &Self::options(engine)) + SCRATCH_BYTES
    }

    fn options(engine: &Engine) -> NetworkOptions {
        let time = engine.config().max_position_embeddings;
        // As many logits at once as keep a GPU busy; a processor takes fewer by itself.
        let logits = LogitsRoom { numbers: 1 << 27, as_rows: false };
        NetworkOptions { frozen: true, recompute: Recompute::None, logits, ..NetworkOptions::new((TOKENS / time).max(1), time) }
    }

    /// Puts an engine's model on a backend.
    ///
    /// # Errors
    /// A model that cannot be.
    pub fn try_new(engine: &Engine, backend: Box<dyn Backend>) -> Result<Self, InferError> {
        let options = Self::options(engine);
        let network = Network::with_options(backend, engine.weights(), options).map_err(|source| InferError::Network { source })?;
        Ok(Self { network: Mutex::new(network), n_rows: options.batch, time: options.time, vocab_size: engine.config().vocab_size })
    }

    /// The same on a machine that was chosen; `None` on the processor, where engines judge by themselves.
    ///
    /// # Errors
    /// A GPU with too little memory, or a model that cannot be put there.
    pub fn on(machine: &Chosen, engine: &Engine) -> Result<Option<Self>, InferError> {
        match machine {
            Chosen::Processor { .. } => Ok(None),
            Chosen::Gpu(_) => {
                let backend = machine.open(Self::bytes(engine)).map_err(|source| InferError::Machine { source })?;
                Self::try_new(engine, backend).map(Some)
            }
        }
    }

    /// Computes ln p(token | tokens before it) of every token but the first, of each sequence.
    ///
    /// # Errors
    /// An unknown token.
    pub fn token_logprobs(&self, sequences: &[Vec<u32>]) -> Result<Vec<Vec<f32>>, InferError> {
        if let Some(token) = sequences.iter().flatten().find(|t| **t as usize >= self.vocab_size) {
            return Err(InferError::Token { token: *token, vocab_size: self.vocab_size });
        }
        let mut out: Vec<Vec<f32>> = sequences.iter().map(|s| vec![0f32; s.len().saturating_sub(1)]).collect();
        let windows: Vec<Window> = sequences.iter().enumerate().flat_map(|(i, s)| self.windows(i, s.len())).collect();
        let mut rest = &windows[..];
        while !rest.is_empty() {
            let (rows, n_windows) = self.fill(rest);
            self.judge(sequences, &rows, &mut out)?;
            rest = &rest[n_windows..];
        }
        Ok(out)
    }

    /// Longer texts than the context are read in windows that overlap by half; each token is judged once.
    fn windows(&self, sequence: usize, len: usize) -> Vec<Window> {
        let (n, mut judged, mut windows) = (len.saturating_sub(1), 0, Vec::new());
        while judged < n {
            let last = if judged == 0 { self.time.min(n) } else { (judged + self.time.div_ceil(2)).min(n) };
            windows.push(Window { sequence, tokens: last.saturating_sub(self.time)..last, judged: judged..last });
            judged = last;
        }
        windows
    }

    /// Windows in their order in as many rows as a pass has, and how many these are.
    fn fill<'a>(&self, windows: &'a [Window]) -> (Vec<Vec<&'a Window>>, usize) {
        let (mut rows, mut n_windows) = (vec![Vec::new()], 0);
        let mut left = self.time;
        for window in windows {
            if window.tokens.len() > left {
                if rows.len() == self.n_rows {
                    break;
                }
                rows.push(Vec::new());
                left = self.time;
            }
            left -= window.tokens.len();
            n_windows += 1;
            if let Some(row) = rows.last_mut() {
                row.push(window);
            }
        }
        (rows, n_windows)
    }

    fn judge(&self, sequences: &[Vec<u32>], rows: &[Vec<&Window>], out: &mut [Vec<f32>]) -> Result<(), InferError> {
        let (mut tokens, mut targets, mut starts) = (Vec::new(), Vec::new(), vec![0i32]);
        for (i, row) in rows.iter().enumerate() {
            for window in row {
                let text = &sequences[window.sequence];
                tokens.extend(&text[window.tokens.clone()]);
                targets.extend(window.tokens.clone().map(|t| if window.judged.contains(&t) { text[t + 1] as i32 } else { -1 }));
                starts.push(tokens.len() as i32);
            }
            let end = (i + 1) * self.time;
            if tokens.len() < end {
                tokens.resize(end, 0);
                targets.resize(end, -1);
                starts.push(end as i32);
            }
        }
        let batch = Batch { cu_seqlens: Some(&starts), ..Batch::new(&tokens, &targets) };
        // A panic of another thread leaves the network as it was: every pass begins from its input.
        let mut network = self.network.lock().unwrap_or_else(PoisonError::into_inner);
        let losses = network.target_losses(&batch).map_err(|source| InferError::Network { source })?;
        for (i, row) in rows.iter().enumerate() {
            let mut at = i * self.time;
            for window in row {
                let skipped = window.judged.start - window.tokens.start;
                let of_window = &losses[at + skipped..at + window.tokens.len()];
                out[window.sequence][window.judged.clone()].iter_mut().zip(of_window).for_each(|(out, loss)| *out = -loss);
                at += window.tokens.len();
            }
        }
        Ok(())
    }
}
