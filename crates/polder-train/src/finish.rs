//! Turns a finished run into a model's folder that Polder and transformers load.

use std::fs;
use std::path::Path;

use polder_base::{Clearance, Digest, Input, Manifest, Reference, Timestamp, digest_json, publish_dir, write_whole};
use polder_compute::Backend;
use polder_model::Weights;
use polder_tokenizer::Tokenizer;
use serde_json::{Value, json};

use crate::checkpoint;
use crate::masked::mask_token;
use crate::{MixedTokens, TrainError, TrainRun};

const TOKENIZER_FILE: &str = "tokenizer.json";
const TOKENIZER_CONFIG_FILE: &str = "tokenizer_config.json";

impl<B: Backend> TrainRun<B> {
    /// What the model will be made from.
    pub fn inputs(&self) -> Vec<Input> {
        self.config.tokens.iter().map(MixedTokens::input).chain(self.config.initial_model.clone()).collect()
    }

    /// Digest of the model's inputs and settings, which a clearance judges.
    pub fn inputs_digest(&self) -> Digest {
        self.manifest(Reference::artefact("models", "model"), Timestamp::default()).inputs_digest()
    }

    fn manifest(&self, reference: Reference, created_at: Timestamp) -> Manifest {
        Manifest::new(reference, created_at, self.inputs(), digest_json(&self.config), self.details())
    }

    /// What the model's manifest says: only what the run's inputs determine, no speeds.
    fn details(&self) -> Value {
        let lines = &self.metrics.lines;
        let last = &lines[lines.len().saturating_sub(20)..];
        let loss = (!last.is_empty()).then(|| last.iter().map(|m| m.loss).sum::<f64>() / last.len() as f64);
        let (step, validation_loss) = self.result_step();
        let c = &self.config.train;
        json!({
            "n_params": self.config.model.n_params(),
            "steps": self.step,
            "weights_of_step": step,
            "tokens": self.step * c.tokens_per_step(),
            // More than what 64 bits count, soon.
            "flops": self.config.model.flops_per_token(c.context) as f64 * (self.step * c.tokens_per_step()) as f64,
            "loss": loss,
            "validation_loss": validation_loss,
            "unigram_entropy_nats": self.unigram_entropy_nats(),
            "tokenizer_digest": self.tokens[0].details().tokenizer_digest,
            "run_id": self.run_dir.file_name().map(|n| n.to_string_lossy().into_owned()),
            "train": c,
            "model": self.config.model,
        })
    }

    /// Entropy of single tokens, of each set by its weight: what a model that knows the set and its frequencies only would lose.
    fn unigram_entropy_nats(&self) -> f64 {
        let parts = self.config.tokens.iter().zip(&self.tokens).map(|(t, set)| (f64::from(t.weight), set.details().unigram_entropy_nats));
        let (sum, total) = parts.fold((0.0, 0.0), |(sum, total), (weight, nats)| (sum + weight * nats, total + weight));
        sum / total
    }

    /// The weights that the model gets.
    fn result(&mut self) -> Result<Weights, TrainError> {
        let mut weights = self.network.weights();
        let (step, _) = self.result_step();
        if step != self.step {
            let found = checkpoint::read_step(&self.run_dir, step, weights.data.len())?;
            let [params, ..] = found.ok_or_else(|| TrainError::NoCheckpoint { step, path: self.run_dir.clone() })?.numbers;
            weights.data = params;
        }
        Ok(weights)
    }

    /// The step that the model's weights are of, and its loss on validation: the last one, or the best where that is kept.
    fn result_step(&self) -> (u64, Option<f64>) {
        let best = if self.config.train.keep_best { checkpoint::best(&self.run_dir).ok().flatten() } else { None };
        match best {
            Some((step, loss)) => (step, Some(loss)),
            None => (self.step, self.metrics.lines.iter().rev().find_map(|m| m.validation_loss)),
        }
    }

    /// Writes the model's folder whole: configuration, weights, tokenizer, manifest last. `tokenizer` is the
    /// `tokenizer.json` that the tokens were made with.
    ///
    /// # Errors
    /// A run with steps left, another tokenizer, or files that cannot be written.
    pub fn finish(
        &mut self,
        model_dir: &Path,
        tokenizer: &Path,
        reference: Reference,
        created_at: Timestamp,
        clearance: Option<Clearance>,
    ) -> Result<Manifest, TrainError> {
        if self.step < self.config.train.steps {
            return Err(TrainError::Unfinished { step: self.step, steps: self.config.train.steps });
        }
        let opened = Tokenizer::open(tokenizer).map_err(|source| TrainError::Tokenizer { source })?;
        if opened.digest() != self.tokens[0].details().tokenizer_digest {
            return Err(TrainError::OtherTokenizer { path: tokenizer.to_owned() });
        }
        // A folder with something else in it is somebody's.
        let is_free = !model_dir.exists() || Manifest::read(model_dir).is_ok_and(|m| m.reference == reference);
        if !is_free {
            return Err(TrainError::Occupied { path: model_dir.to_owned() });
        }
        let name = model_dir.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let temporary = model_dir.with_file_name(format!(".{name}.tmp"));
        if temporary.exists() {
            fs::remove_dir_all(&temporary).map_err(TrainError::file("remove", &temporary))?;
        }
        fs::create_dir_all(&temporary).map_err(TrainError::file("create folder", &temporary))?;
        let mut files = self.result()?.save(&temporary)?;
        let text = fs::read(tokenizer).map_err(TrainError::file("read", tokenizer))?;
        write_whole(&temporary.join(TOKENIZER_FILE), &text)?;
        let mut tokenizer_config = json!({
            "clean_up_tokenization_spaces": false,
            "model_max_length": self.config.model.max_position_embeddings,
            "tokenizer_class": "PreTrainedTokenizerFast",
        });
        // A name that the tokenizer does not have would become a token that the model does not have.
        let text = |id: Option<u32>| id.and_then(|id| Some(String::from_utf8_lossy(opened.token_bytes(id)?).into_owned()));
        let (bos, eos) = (text(self.config.model.bos_token_id), text(self.config.model.eos_token_id));
        let named = [
            ("bos_token", bos),
            ("eos_token", eos.clone()),
            ("unk_token", eos),
            ("mask_token", mask_token(&opened).map(|m| m.1.to_owned())),
        ];
        for (key, token) in named.into_iter().filter_map(|(key, token)| Some((key, token?))) {
            tokenizer_config[key] = token.into();
        }
        write_whole(&temporary.join(TOKENIZER_CONFIG_FILE), format!("{tokenizer_config:#}\n").as_bytes())?;
        files.extend([TOKENIZER_FILE, TOKENIZER_CONFIG_FILE].map(str::to_owned));
        let mut manifest = self.manifest(reference, created_at);
        manifest.clearance = clearance;
        manifest.describe(&temporary, &files.iter().map(String::as_str).collect::<Vec<_>>())?;
        manifest.write(&temporary)?;
        publish_dir(&temporary, model_dir)?;
        Ok(manifest)
    }
}
