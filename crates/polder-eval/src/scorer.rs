//! What an evaluation needs of a model.

use std::error::Error;

use polder_compute::cuda::Chosen;
use polder_infer::{Engine, InferError, Packed};
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

/// A model on the machine that was chosen.
pub struct OnMachine<'a> {
    engine: &'a Engine,
    /// Where the machine is not the processor.
    packed: Option<Packed>,
}

impl<'a> OnMachine<'a> {
    /// Puts an engine's model there; on the processor it stays where it is.
    ///
    /// # Errors
    /// A GPU with too little memory, or a model that cannot be put there.
    pub fn open(machine: &Chosen, engine: &'a Engine) -> Result<Self, InferError> {
        Ok(Self { engine, packed: Packed::on(machine, engine)? })
    }
}

impl Scorer for OnMachine<'_> {
    fn tokenizer(&self) -> &Tokenizer {
        self.engine.tokenizer()
    }

    fn context_tokens(&self) -> usize {
        self.engine.context_tokens()
    }

    fn logprobs(&self, sequences: &[Vec<u32>]) -> Result<Vec<Vec<f64>>, Box<dyn Error + Send + Sync>> {
        let Some(packed) = &self.packed else { return self.engine.logprobs(sequences) };
        Ok(packed.token_logprobs(sequences)?.into_iter().map(|of_one| of_one.into_iter().map(f64::from).collect()).collect())
    }
}
