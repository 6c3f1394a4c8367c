//! A model with its tokenizer, ready to be asked by any number of threads.

use std::ops::ControlFlow;
use std::path::Path;

use polder_compute::cpu::Sampling;
use polder_compute::cuda::{Chosen, SCRATCH_BYTES};
use polder_compute::{Backend, CrossEntropy, Dtype, Gemm, Rope, cpu};
use polder_model::{DecodeOptions, ModelConfig, Weights};
use polder_tokenizer::Tokenizer;

use crate::InferError;
use crate::batcher::Batcher;
use crate::decoder::Decoder;
use crate::stream::TextStream;

/// How text is generated.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerateOptions {
    /// The most tokens to generate.
    pub max_tokens: usize,
    /// 0 takes the most likely token; 1 draws by the model's probabilities; between, the likely ones more often.
    pub temperature: f32,
    /// Draws from that many most likely tokens; 0 from all.
    pub top_k: usize,
    /// Draws from the most likely tokens that together reach this probability; 1 from all.
    pub top_p: f32,
    /// The same seed gives the same text.
    pub seed: u64,
    /// Texts that end the generation; they are not part of it.
    pub stop: Vec<String>,
}

impl GenerateOptions {
    fn sampling(&self) -> Sampling {
        Sampling { temperature: self.temperature, top_k: self.top_k, top_p: self.top_p, seed: self.seed }
    }
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self { max_tokens: 64, temperature: 0.0, top_k: 0, top_p: 1.0, seed: 0, stop: Vec::new() }
    }
}

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model ended the text, or a stop string came.
    Stop,
    /// The most tokens were reached, or the context is full.
    Length,
    /// The receiver wanted no more.
    Cancelled,
}

/// A generated text.
#[derive(Clone, Debug, PartialEq)]
pub struct Generation {
    /// The text, without the prompt.
    pub text: String,
    /// Tokens of the prompt, the one that begins a text included.
    pub n_prompt_tokens: usize,
    /// Tokens generated, the one that ended the text not included.
    pub n_tokens: usize,
    /// Why it ended.
    pub finish: Finish,
}

/// Logits in memory at once while probabilities of given tokens are computed.
const LOGITS: usize = 1 << 20;

/// A model with its tokenizer.
pub struct Engine {
    weights: Weights,
    tokenizer: Tokenizer,
    rope: Vec<f32>,
    /// Where texts grow, when that is not the processor.
    batcher: Option<Batcher>,
}

impl Engine {
    /// Opens a model's folder; an adapter's folder is added to its weights.
    ///
    /// # Errors
    /// A folder that holds no model, no tokenizer or no adapter, or ones that do not belong together.
    pub fn open(model_dir: &Path, adapter: Option<&Path>) -> Result<Self, InferError> {
        let mut weights = Weights::load(model_dir).map_err(|source| InferError::Model { path: model_dir.to_owned(), source })?;
        if let Some(path) = adapter {
            weights.merge_adapter(path).map_err(|source| InferError::Adapter { path: path.to_owned(), source })?;
        }
        let tokenizer = Tokenizer::open(&model_dir.join("tokenizer.json"))
            .map_err(|source| InferError::Tokenizer { path: model_dir.to_owned(), source })?;
        Self::new(weights, tokenizer)
    }

    /// Joins weights and a tokenizer in memory.
    ///
    /// # Errors
    /// A model that does not continue text, or a tokenizer with more tokens than the model.
    pub fn new(weights: Weights, tokenizer: Tokenizer) -> Result<Self, InferError> {
        let config = &weights.config;
        if !config.is_decoder() {
            return Err(InferError::NotADecoder { family: config.family.name() });
        }
        if tokenizer.vocab_size() > config.vocab_size {
            return Err(InferError::Vocabulary { tokenizer: tokenizer.vocab_size(), model: config.vocab_size });
        }
        let (context, head) = (config.max_position_embeddings, config.head_dim);
        let rope = config.rotations().first().map_or_else(Vec::new, |(theta, scaling)| Rope::table(context, head, *theta, *scaling));
        Ok(Self { weights, tokenizer, rope, batcher: None })
    }

    /// Generates on a backend from here on, for as many callers at once as there are slots; see [`DecodeOptions::bytes`] for what it takes. The same
    /// seed draws by the same rule there.
    ///
    /// # Errors
    /// A model that cannot be put there.
    pub fn generate_on(&mut self, backend: Box<dyn Backend>, options: DecodeOptions) -> Result<(), InferError> {
        let batcher = Batcher::start(backend, &self.weights, options).map_err(|source| InferError::Network { source })?;
        self.batcher = Some(batcher);
        Ok(())
    }

    /// Generates on the machine that was chosen. The processor in f32 goes on by itself: callers that share its passes would wait for each other.
    ///
    /// # Errors
    /// A GPU with too little memory, or a model that cannot be put there.
    pub fn generate_on_machine(&mut self, machine: &Chosen, options: DecodeOptions) -> Result<(), InferError> {
        if matches!(machine, Chosen::Processor { .. }) && options.dtype == Dtype::F32 {
            return Ok(());
        }
        let bytes = options.bytes(self.config()) + options.attention_bytes(self.config()) + SCRATCH_BYTES;
        let backend = machine.open(bytes).map_err(|source| InferError::Machine { source })?;
        self.generate_on(backend, options)
    }

    /// Whether it can be asked: what generates on a backend ends when that fails.
    pub fn is_well(&self) -> bool {
        self.batcher.as_ref().is_none_or(Batcher::is_running)
    }

    /// The model's tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The model's configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.weights.config
    }

    /// The model's weights, an adapter's included.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    fn check(&self, tokens: &[u32]) -> Result<(), InferError> {
        let vocab_size = self.weights.config.vocab_size;
        match tokens.iter().find(|t| **t as usize >= vocab_size) {
            Some(token) => Err(InferError::Token { token: *token, vocab_size }),
            None => Ok(()),
        }
    }

    fn check_fits(&self, n_tokens: usize) -> Result<(), InferError> {
        let context = self.weights.config.max_position_embeddings;
        if n_tokens > context { Err(InferError::PromptTooLong { n_tokens, context }) } else { Ok(()) }
    }

    /// Hands out logits of hidden states a block of rows at a time: the block's first row, and its logits.
    fn for_logits(&self, hidden: &[f32], mut receive: impl FnMut(usize, &mut [f32])) {
        let (c, v) = (self.weights.config.hidden_size, self.weights.config.vocab_size);
        let rows = (LOGITS / v).max(1);
        let mut logits = Vec::new();
        for (i, block) in hidden.chunks(rows * c).enumerate() {
            let n = block.len() / c;
            logits.resize(n * v, 0.0);
            let shape = Gemm { m: n, n: v, k: c, transpose_a: false, transpose_b: true, accumulate: false };
            cpu::gemm(&mut logits, block, self.weights.head(), None, shape);
            receive(i * rows, &mut logits);
        }
    }

    /// Computes the logits (N, V) after each of the tokens.
    ///
    /// # Errors
    /// An unknown token, or more tokens than the context.
    pub fn logits(&self, tokens: &[u32]) -> Result<Vec<f32>, InferError> {
        self.check(tokens)?;
        self.check_fits(tokens.len())?;
        let mut out = Vec::with_capacity(tokens.len() * self.weights.config.vocab_size);
        if !tokens.is_empty() {
            let mut decoder = Decoder::new(&self.weights, &self.rope, tokens.len());
            self.for_logits(decoder.extend(tokens), |_, logits| out.extend_from_slice(logits));
        }
        Ok(out)
    }

    /// Computes ln p(token | tokens before it) of every token but the first.
    ///
    /// A text longer than the context is read in windows that overlap by half; each token is judged once, with at least
    /// half a context before it.
    ///
    /// # Errors
    /// An unknown token.
    pub fn token_logprobs(&self, tokens: &[u32]) -> Result<Vec<f32>, InferError> {
        self.check(tokens)?;
        let (context, v) = (self.weights.config.max_position_embeddings, self.weights.config.vocab_size);
        let n = tokens.len().saturating_sub(1);
        let mut out = vec![0f32; n];
        let mut judged = 0;
        while judged < n {
            let last = if judged == 0 { context.min(n) } else { (judged + context.div_ceil(2)).min(n) };
            let first = last.saturating_sub(context);
            let mut decoder = Decoder::new(&self.weights, &self.rope, last - first);
            let hidden = decoder.extend(&tokens[first..last]);
            let from = judged - first;
            self.for_logits(&hidden[from * self.weights.config.hidden_size..], |row, logits| {
                let place = judged + row;
                let targets: Vec<i32> = tokens[place + 1..][..logits.len() / v].iter().map(|t| *t as i32).collect();
                let part = &mut out[place..place + targets.len()];
                cpu::cross_entropy(part, logits, &targets, None, CrossEntropy { vocab: v, ..CrossEntropy::default() });
                part.iter_mut().for_each(|loss| *loss = -*loss);
            });
            judged = last;
        }
        Ok(out)
    }

    /// Continues a prompt; text is handed out as it comes. The token that begins a text is put before the prompt.
    ///
    /// # Errors
    /// A prompt longer than the context, or an option that means nothing.
    pub fn generate(
        &self,
        prompt: &str,
        options: &GenerateOptions,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Generation, InferError> {
        let mut tokens: Vec<u32> = self.weights.config.bos_token_id.into_iter().collect();
        self.tokenizer.encode_into(prompt, &mut tokens);
        self.generate_from(&tokens, options, on_text)
    }

    /// Continues tokens as they are, at least one.
    ///
    /// # Errors
    /// No token or an unknown one, more than the context holds, or an option that means nothing.
    pub fn generate_from(
        &self,
        tokens: &[u32],
        options: &GenerateOptions,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Generation, InferError> {
        if !(options.temperature >= 0.0 && options.temperature.is_finite()) {
            return Err(InferError::Option { option: "temperature", value: options.temperature });
        }
        if !(options.top_p > 0.0 && options.top_p <= 1.0) {
            return Err(InferError::Option { option: "top-p", value: options.top_p });
        }
        self.check(tokens)?;
        self.check_fits(tokens.len())?;
        if tokens.is_empty() {
            return Err(InferError::EmptyPrompt);
        }
        // The last token needs no place of its own.
        let limit = options.max_tokens.min(self.weights.config.max_position_embeddings - tokens.len() + 1);
        let mut next = self.drawing(tokens, options.sampling(), limit);
        let mut stream = TextStream::new(&options.stop);
        let mut n_tokens = 0;
        let finish = loop {
            if n_tokens == limit {
                break Finish::Length;
            }
            let token = next()?;
            if Some(token) == self.weights.config.eos_token_id {
                break Finish::Stop;
            }
            n_tokens += 1;
            let (text, stopped) = stream.push(self.tokenizer.token_bytes(token).unwrap_or_default());
            if !text.is_empty() && on_text(text).is_break() {
                break Finish::Cancelled;
            }
            if stopped {
                break Finish::Stop;
            }
        };
        let mut finish = finish;
        if finish != Finish::Cancelled {
            let (text, stopped) = stream.finish();
            if stopped {
                finish = Finish::Stop;
            }
            if !text.is_empty() && on_text(text).is_break() {
                finish = Finish::Cancelled;
            }
        }
        Ok(Generation { text: stream.into_text(), n_prompt_tokens: tokens.len(), n_tokens, finish })
    }

    /// What draws the tokens behind some, one a call, up to a limit.
    fn drawing<'a>(&'a self, tokens: &[u32], sampling: Sampling, limit: usize) -> Box<dyn FnMut() -> Result<u32, InferError> + 'a> {
        if let Some(batcher) = &self.batcher {
            let drawn = batcher.draw(tokens, sampling, limit);
            return Box::new(move || drawn.next().ok_or(InferError::Backend));
        }
        let mut decoder = Decoder::new(&self.weights, &self.rope, tokens.len() + limit.saturating_sub(1));
        let (words, mut next, mut logits, mut n_drawn) = (sampling.words(), tokens.to_vec(), Vec::new(), 0);
        Box::new(move || {
            decoder.next_logits(&next, &mut logits);
            let mut token = [0];
            cpu::sample(&mut token, &logits, &words, &[n_drawn], logits.len(), logits.len());
            n_drawn += 1;
            next = vec![token[0] as u32];
            Ok(next[0])
        })
    }
}

#[cfg(test)]
mod tests;
