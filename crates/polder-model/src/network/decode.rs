//! Text that grows: a forward pass over keys and values that are kept, and the draw of what comes next, all on the backend.
//!
//! Sequences stand in slots. A new one goes in alone, however long it is; then each pass takes one more token of every slot, whichever sequences
//! stand there, so that many share the reading of the model's matrices.

use std::hash::{DefaultHasher, Hash, Hasher};

use polder_compute::cpu::Sampling;
use polder_compute::{Attention, Backend, Dtype, IdView, KvCache, LogitsRoom, View};

use super::{Network, NetworkOptions, Recompute, Step, memory_bytes};
use crate::{ModelConfig, ModelError, Weights};

/// Rows of a pass over a text, at most.
const ROWS: usize = 2048;
/// Keys that a row's attention over the cache takes at a time; as the kernels have it.
const SPLIT: usize = 256;
/// Rows times such parts of a call of attention over the cache, at most: what it needs room for.
const PARTS: usize = 1 << 13;

/// What generation asks of a network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DecodeOptions {
    /// Sequences at once.
    pub slots: usize,
    /// How rows, matrices, keys and values are stored.
    pub dtype: Dtype,
}

impl DecodeOptions {
    fn network(self, config: &ModelConfig) -> NetworkOptions {
        let rows = config.max_position_embeddings.min(ROWS).max(self.slots).min(config.max_position_embeddings);
        NetworkOptions {
            dtype: self.dtype,
            frozen: true,
            recompute: Recompute::None,
            // A row a slot is all that is drawn from at once.
            logits: LogitsRoom { numbers: self.slots * config.vocab_size, as_rows: false },
            ..NetworkOptions::new(self.slots.div_ceil(rows), rows)
        }
    }

    /// Counts the bytes of its buffers.
    pub fn bytes(self, config: &ModelConfig) -> u64 {
        let kept =
            2 * config.num_hidden_layers * self.slots * config.max_position_embeddings * config.num_key_value_heads * config.head_dim;
        let ids = Slots::WORDS * self.slots;
        memory_bytes(config, &self.network(config)) + (kept * self.dtype.bytes() + 4 * ids) as u64
    }

    /// Counts the bytes that attention over the cache computes in on a GPU, as it grows to them by doubling.
    pub fn attention_bytes(self, config: &ModelConfig) -> u64 {
        let parts = PARTS.max(self.slots * config.max_position_embeddings.div_ceil(SPLIT));
        2 * (4 * parts * config.num_attention_heads * (config.head_dim + 2)).next_power_of_two() as u64
    }
}

/// How far a text was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// So many of its tokens.
    Until(usize),
    /// All of them, and the token drawn behind them.
    Drawn(u32),
}

/// A sequence that is to grow by the token it ends with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Growing {
    /// Its last token, which no pass has seen.
    pub token: u32,
    /// The tokens before it.
    pub n_seen: usize,
    /// Tokens drawn so far.
    pub n_drawn: usize,
    /// How the next one is drawn.
    pub sampling: Sampling,
}

/// Keys and values of all slots, and what is known of the rows of a pass.
pub(super) struct Slots {
    layers: Vec<[View; 2]>,
    n: usize,
    capacity: usize,
    /// Of each slot: token, position, tokens seen, tokens drawn, and the words of its settings; each kind together.
    ids: IdView,
}

impl Slots {
    /// What is known of a slot.
    const WORDS: usize = 4 + Sampling::WORDS;

    fn part(&self, kind: usize) -> IdView {
        self.ids.part(kind * self.n, self.n)
    }

    fn tokens(&self) -> IdView {
        self.part(0)
    }

    /// Tokens and positions of the first slots.
    pub(super) fn row_ids(&self, n: usize) -> [IdView; 2] {
        [0, 1].map(|kind| self.part(kind).part(0, n))
    }

    fn n_seen(&self) -> IdView {
        self.part(2)
    }

    fn n_drawn(&self) -> IdView {
        self.part(3)
    }

    fn settings(&self) -> IdView {
        self.ids.part(4 * self.n, Sampling::WORDS * self.n)
    }
}

/// Which slots a pass is of, and how it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Growth {
    /// Some tokens of one slot's sequence.
    One {
        slot: usize,
        /// Nothing came before them.
        is_first: bool,
        /// Tokens that it holds then, at most.
        keys_max: usize,
    },
    /// A token of each of the first slots.
    All {
        n: usize,
        /// Tokens that any of them holds then, at most.
        keys_max: usize,
    },
}

impl<B: Backend> Network<B> {
    /// Puts a decoder on a backend with room for sequences that grow to its context.
    ///
    /// # Errors
    /// No slots, or a model that does not continue text.
    pub fn for_decoding(backend: B, weights: &Weights, options: DecodeOptions) -> Result<Self, ModelError> {
        let config = &weights.config;
        if options.slots == 0 || !config.is_decoder() {
            return Err(ModelError::Input { reason: format!("{} sequences of {}", options.slots, config.family.name()) });
        }
        let mut network = Self::with_options(backend, weights, options.network(config))?;
        let (n, capacity) = (options.slots, config.max_position_embeddings);
        let kept = n * capacity * config.num_key_value_heads * config.head_dim;
        let b = &mut network.backend;
        let layers = (0..config.num_hidden_layers).map(|_| [(); 2].map(|()| b.alloc(kept, options.dtype))).collect();
        network.slots = Some(Slots { layers, n, capacity, ids: b.alloc_ids(Slots::WORDS * n) });
        Ok(network)
    }

    /// Reads a part of a text into a slot, from the token `first` on; 0 takes the place of what was there. A long text takes several calls, between
    /// which other slots may grow. With the last, the token behind the text is drawn.
    ///
    /// # Errors
    /// Tokens that are unknown, none left, or more than the context holds.
    pub fn read(&mut self, slot: usize, tokens: &[u32], first: usize, sampling: Sampling) -> Result<Reading, ModelError> {
        let wrong = |reason: String| Err(ModelError::Input { reason });
        let Some((slots, left)) = self.slots.as_ref().zip(tokens.get(first..)).filter(|(_, left)| !left.is_empty()) else {
            return wrong("no text to go on with".into());
        };
        let (n, capacity) = (slots.n, slots.capacity);
        if tokens.len() > capacity || slot >= n {
            return wrong(format!("{} tokens in slot {slot} for {n} slots of {capacity}", tokens.len()));
        }
        let ids = self.checked("token", Some(left), left.len(), self.config.vocab_size)?;
        let rows = left.len().min(self.options.time);
        let (end, id) = (first + rows, |x: usize| i32::try_from(x).unwrap_or(i32::MAX));
        self.backend.upload_ids(self.ids.tokens.part(0, rows), &ids[..rows]);
        let positions: Vec<i32> = (id(first)..id(end)).collect();
        self.backend.upload_ids(self.ids.positions.part(0, rows), &positions);
        let begins: Vec<i32> = positions.iter().copied().step_by(rows_at_once(end)).collect();
        self.backend.upload_ids(self.ids.ranges.part(0, begins.len()), &begins);
        let here = Growing { token: tokens[end - 1], n_seen: first, n_drawn: 0, sampling };
        self.upload_slots(|other| (other == slot).then_some(here));
        let step = Step { growth: Some(Growth::One { slot, is_first: first == 0, keys_max: end }), ..Step::of(rows) };
        self.forward(step);
        if end < tokens.len() {
            return Ok(Reading::Until(end));
        }
        self.draw(step, rows - 1, slot, 1);
        Ok(Reading::Drawn(self.drawn(slot, 1)[0]))
    }

    /// Grows the sequences of all slots, `None` where a slot rests, and draws the tokens behind them; those of slots that rest mean nothing. A pass
    /// costs what the last slot in use makes of it.
    ///
    /// # Errors
    /// Another number of sequences than there are slots; a token that is unknown, or a sequence that is full.
    pub fn grow(&mut self, sequences: &[Option<Growing>]) -> Result<Vec<u32>, ModelError> {
        let wrong = |reason: String| Err(ModelError::Input { reason });
        let Some(slots) = self.slots.as_ref().filter(|s| s.n == sequences.len()) else {
            return wrong(format!("{} sequences are not as many as there are slots", sequences.len()));
        };
        let capacity = slots.capacity;
        let growing = || sequences.iter().flatten();
        let longest = growing().map(|s| s.n_seen + 1).max().unwrap_or(0);
        if longest > capacity {
            return wrong(format!("{longest} tokens for a context of {capacity}"));
        }
        self.checked("token", Some(&growing().map(|s| s.token).collect::<Vec<_>>()), growing().count(), self.config.vocab_size)?;
        self.upload_slots(|slot| sequences[slot]);
        // Few sizes, so that few passes are put down.
        let keys_max = (longest.div_ceil(SPLIT).next_power_of_two() * SPLIT).min(capacity);
        let in_use = sequences.iter().rposition(Option::is_some).map_or(1, |last| last + 1);
        let n = in_use.next_power_of_two().min(sequences.len());
        let step = Step { growth: Some(Growth::All { n, keys_max }), ..Step::of(n) };
        let mut hasher = DefaultHasher::new();
        ("grow", n, keys_max).hash(&mut hasher);
        if !self.backend.replay(hasher.finish()) {
            self.forward(step);
            self.draw(step, 0, 0, n);
            self.backend.record_end();
        }
        let mut drawn = self.drawn(0, n);
        drawn.resize(sequences.len(), 0);
        Ok(drawn)
    }

    fn upload_slots(&mut self, of: impl Fn(usize) -> Option<Growing>) {
        let Some(slots) = &self.slots else { return };
        let (n, id) = (slots.n, |x: usize| i32::try_from(x).unwrap_or(i32::MAX));
        let mut words = vec![0; slots.ids.len];
        for slot in 0..n {
            let Some(s) = of(slot) else {
                words[2 * n + slot] = -1;
                continue;
            };
            for (kind, word) in [s.token as i32, id(s.n_seen), id(s.n_seen), id(s.n_drawn)].into_iter().enumerate() {
                words[kind * n + slot] = word;
            }
            words[4 * n + slot * Sampling::WORDS..][..Sampling::WORDS].copy_from_slice(&s.sampling.words());
        }
        self.backend.upload_ids(slots.ids, &words);
    }

    /// Draws what follows `n` rows of the last hidden states from row `first` on, into the tokens of slots from `slot` on.
    fn draw(&mut self, step: Step, first: usize, slot: usize, n: usize) {
        let (Some(slots), Some(output)) = (&self.slots, self.table.places().head.output) else { return };
        let (drawn, settings, n_drawn) = (slots.tokens(), slots.settings(), slots.n_drawn());
        let c = self.config.hidden_size;
        let rows = self.a.hidden.part(0, step.n * c).part(first * c, n * c);
        self.for_logits(rows, n, output, &mut |network, logits, from, m| {
            let (from, v) = (slot + from, output.n_out);
            let settings = settings.part(from * Sampling::WORDS, m * Sampling::WORDS);
            network.backend.sample(drawn.part(from, m), logits, settings, n_drawn.part(from, m), v, v);
        });
    }

    /// Copies out what was drawn.
    fn drawn(&mut self, slot: usize, n: usize) -> Vec<u32> {
        let mut drawn = vec![0; n];
        if let Some(slots) = &self.slots {
            self.backend.download_ids(slots.tokens().part(slot, n), &mut drawn);
        }
        drawn.into_iter().map(|id| id as u32).collect()
    }

    /// Attention of a pass over sequences that grow.
    pub(super) fn attend_cached(&mut self, step: Step, layer: usize, growth: Growth, (mixed, lse, qkv): (View, View, View)) {
        let Some(slots) = &self.slots else { return };
        let (slot, n) = match growth {
            Growth::One { slot, .. } => (slot, 1),
            Growth::All { n, .. } => (0, n),
        };
        let len = slots.layers[layer][0].len / slots.n;
        let [keys, values] = slots.layers[layer].map(|view| view.part(slot * len, n * len));
        let cache = KvCache { keys, values, capacity: slots.capacity, n_seen: slots.n_seen().part(slot, n) };
        let shape = self.attention_shape(step, layer);
        self.backend.attention_append(&cache, qkv, shape);
        match growth {
            Growth::One { is_first: true, .. } => self.backend.attention_forward(mixed, lse, qkv, None, shape),
            Growth::One { keys_max, .. } => {
                let (rows, row, width) = (rows_at_once(keys_max), shape.row(), shape.n_heads * shape.head);
                for (i, first) in (0..step.n).step_by(rows).enumerate() {
                    let time = rows.min(step.n - first);
                    // What came before these rows is in the cache, the rows before them in this pass too.
                    let cache = KvCache { n_seen: self.ids.ranges.part(i, 1), ..cache };
                    let (mixed, qkv) = (mixed.part(first * width, time * width), qkv.part(first * row, time * row));
                    self.backend.attention_decode(mixed, qkv, &cache, keys_max, Attention { time, ..shape });
                }
            }
            Growth::All { keys_max, .. } => self.backend.attention_decode(mixed, qkv, &cache, keys_max, shape),
        }
    }
}

/// Rows of a call of attention over so many keys.
fn rows_at_once(keys_max: usize) -> usize {
    (PARTS / keys_max.div_ceil(SPLIT)).max(1)
}
