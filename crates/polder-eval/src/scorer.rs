//! What an evaluation needs of a model.

use std::error::Error;

use polder_infer::{Engine, Packed};
use polder_tokenizer::Tokenizer;
use rayon::prelude::*;

/// Gives probabilities of tokens.
pub trait Scorer {
    /// The model's tokenizer.
    fn tokenizer(&self) -> &Tokenizer;

    /// The most tokens that one prediction sees.
    fn context_tokens(&self) -> usize;

    /// For each sequence, ln p of every token but the first, given those before it.
    ///
    /// # Errors
    /// What the model says.
    fn logprobs(&self, sequences: &[Vec<u32>]) -> Result<Vec<Vec<f64>>, Box<dyn Error + Send + Sync>>;
}

impl Scorer for Engine {
    fn tokenizer(&self) -> &Tokenizer {
        Engine::tokenizer(self)
    }

    fn context_tokens(&self) -> usize {
        self.config().max_position_embeddings
    }

    fn logprobs(&self, sequences: &[Vec<u32>]) -> Result<Vec<Vec<f64>>, Box<dyn Error + Send + Sync>> {
        let of_one = |tokens: &Vec<u32>| Ok(self.token_logprobs(tokens)?.into_iter().map(f64::from).collect());
        // Short sequences leave threads idle one by one; what each gives does not depend on its neighbours.
        sequences.par_iter().map(of_one).collect()
    }
}

/// A model on a GPU, with what its engine knows beside it.
pub struct OnBackend<'a> {
    engine: &'a Engine,
    packed: Packed,
}

impl<'a> OnBackend<'a> {
    /// Joins an engine and its model on a backend.
    pub fn new(engine: &'a Engine, packed: Packed) -> Self {
        Self { engine, packed }
    }
}

impl Scorer for OnBackend<'_> {
    fn tokenizer(&self) -> &Tokenizer {
        self.engine.tokenizer()
    }

    fn context_tokens(&self) -> usize {
        self.engine.config().max_position_embeddings
    }

    fn logprobs(&self, sequences: &[Vec<u32>]) -> Result<Vec<Vec<f64>>, Box<dyn Error + Send + Sync>> {
        let all = self.packed.token_logprobs(sequences)?;
        Ok(all.into_iter().map(|of_one| of_one.into_iter().map(f64::from).collect()).collect())
    }
}
