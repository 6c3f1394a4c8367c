//! What a run begins with: weights that fit the tokens and the settings, and a folder that is this run's.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use polder_base::{Clearance, Digest, Input, Manifest, digest_json, write_whole};
use polder_model::{Head, ModelConfig, Weights};
use polder_shard::TokenSetDetails;
use polder_tokenizer::Tokenizer;

use super::{Init, RunConfig};
use crate::{TrainConfig, TrainError};

/// Checks that a model's head is asked what it answers.
pub(super) fn check_head(model: &ModelConfig, config: &TrainConfig) -> Result<(), TrainError> {
    let wrong = |from: &'static str| Err(TrainError::Family { family: model.family.name(), from });
    match (&model.head, &config.masking) {
        (Head::LanguageModel, None) | (Head::MaskedLm, Some(_)) => Ok(()),
        (Head::LanguageModel, Some(_)) => wrong("next tokens"),
        (Head::MaskedLm, None) => wrong("hidden tokens"),
        (Head::Classifier { .. }, _) => wrong("labelled texts, which runs do not read"),
        (Head::Embedding, _) => wrong("nothing: it has no loss"),
    }
}

/// The weights that a run begins with, and where they are from.
pub(super) struct Beginning {
    pub weights: Weights,
    pub digest: Option<Digest>,
    pub model: Option<Input>,
}

pub(super) fn initial(init: &Init, seed: u64, tokens: &TokenSetDetails) -> Result<Beginning, TrainError> {
    let fits = |model: &ModelConfig| match tokens.vocab_size <= model.vocab_size {
        true => Ok(()),
        false => Err(TrainError::Vocabulary { tokens: tokens.vocab_size, model: model.vocab_size }),
    };
    match init {
        Init::Fresh(model) => {
            fits(model)?;
            let mut model = model.clone();
            // Where no token opens texts, the next one begins after the token that closes them.
            model.bos_token_id = model.bos_token_id.or(tokens.bos_id).or(tokens.eos_id);
            model.eos_token_id = model.eos_token_id.or(tokens.eos_id);
            Ok(Beginning { weights: Weights::init(&model, seed)?, digest: None, model: None })
        }
        Init::Weights(dir) => {
            let weights = Weights::load(dir)?;
            fits(&weights.config)?;
            let digest = polder_base::digest_bytes(bytemuck::cast_slice(&weights.data));
            // Folders of others say neither what they are nor which tokenizer is theirs.
            let model = if dir.join(Manifest::FILE).exists() { Some(model_of(dir)?) } else { None };
            let tokenizer = dir.join("tokenizer.json");
            if tokenizer.exists() {
                let opened = Tokenizer::open(&tokenizer).map_err(|source| TrainError::Tokenizer { source })?;
                if opened.digest() != tokens.tokenizer_digest {
                    return Err(TrainError::OtherTokenizer { path: tokenizer });
                }
            }
            Ok(Beginning { weights, digest: Some(digest), model })
        }
    }
}

/// What a model's folder says it is; it must be cleared to be built upon.
fn model_of(dir: &Path) -> Result<Input, TrainError> {
    let manifest = Manifest::verify(dir)?;
    Clearance::require(manifest.clearance.as_ref(), &manifest.reference.to_string(), &manifest.inputs_digest())?;
    Ok(Input { reference: manifest.reference.clone(), digest: manifest.content_digest() })
}

/// Keeps others from writing to a run until it is dropped, or this process has ended in whatever way.
///
/// # Errors
/// Somebody has it; a file that cannot be made.
pub(super) fn lock(run_dir: &Path) -> Result<File, TrainError> {
    let path = run_dir.join("lock");
    fs::create_dir_all(run_dir).map_err(TrainError::file("create folder", run_dir))?;
    let file = File::options().create(true).append(true).open(&path).map_err(TrainError::file("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(TrainError::Busy { path: run_dir.to_owned() }),
        // Where a file system has no locks, a run goes on without.
        Err(TryLockError::Error(e)) if e.kind() == std::io::ErrorKind::Unsupported => Ok(file),
        Err(TryLockError::Error(source)) => Err(TrainError::file("lock", &path)(source)),
    }
}

/// Writes the run's settings, or checks that they are the ones that are there.
pub(super) fn claim(run_dir: &Path, config: &RunConfig) -> Result<(), TrainError> {
    let path = run_dir.join("config.json");
    let parse = |source| TrainError::Parse { path: path.clone(), source };
    let found = match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice::<RunConfig>(&bytes).map_err(parse)?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let mut text = serde_json::to_vec_pretty(config).map_err(parse)?;
            text.push(b'\n');
            return Ok(write_whole(&path, &text)?);
        }
        Err(source) => return Err(TrainError::file("read", &path)(source)),
    };
    let differences = [
        (found.tokens != config.tokens, "token set"),
        (found.model != config.model, "model"),
        ((found.initial_weights, &found.initial_model) != (config.initial_weights, &config.initial_model), "beginning"),
        (digest_json(&found) != digest_json(config), "configuration"),
    ];
    match differences.iter().find(|(differs, _)| *differs) {
        Some((_, what)) => Err(TrainError::OtherRun { path: run_dir.to_owned(), what }),
        None => Ok(()),
    }
}
