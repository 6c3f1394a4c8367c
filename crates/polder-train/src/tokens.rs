//! The token sets of a run: one, or several by weights, and the loaders that read them.

use std::path::{Path, PathBuf};

use polder_base::{Digest, Input, Reference};
use polder_shard::{Loader, LoaderOptions, Order, Source, TokenSet, Weight};
use serde::{Deserialize, Deserializer, Serialize};

use crate::{RunConfig, TrainConfig, TrainError};

/// The folders of the token sets that a run reads, with their weights.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenFolders(Vec<(PathBuf, Weight)>);

impl TokenFolders {
    /// Several sets; a weight says how many samples come from a set in proportion to the others.
    ///
    /// # Errors
    /// None at all.
    pub fn try_new(folders: Vec<(PathBuf, Weight)>) -> Result<Self, TrainError> {
        if folders.is_empty() { Err(TrainError::Option { option: "tokens", value: "none".into() }) } else { Ok(Self(folders)) }
    }
}

impl<P: AsRef<Path> + ?Sized> From<&P> for TokenFolders {
    fn from(folder: &P) -> Self {
        Self(vec![(folder.as_ref().to_owned(), Weight::ONE)])
    }
}

/// A token set of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixedTokens {
    /// Its name.
    pub reference: Reference,
    /// Its content.
    pub digest: Digest,
    /// How many samples come from it, in proportion to the others.
    #[serde(default = "one")]
    pub weight: Weight,
}

impl MixedTokens {
    /// Without its weight.
    pub fn input(&self) -> Input {
        Input { reference: self.reference.clone(), digest: self.digest }
    }
}

fn one() -> Weight {
    Weight::ONE
}

/// Reads the sets of a run; a run of one set may name it alone.
pub(crate) fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<MixedTokens>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Tokens {
        One(MixedTokens),
        Many(Vec<MixedTokens>),
    }
    Ok(match Tokens::deserialize(deserializer)? {
        Tokens::One(tokens) => vec![tokens],
        Tokens::Many(tokens) => tokens,
    })
}

/// Opens the sets, which one tokenizer must have made, and says what they are.
pub(crate) fn open_sets(folders: &TokenFolders) -> Result<(Vec<TokenSet>, Vec<MixedTokens>), TrainError> {
    let (mut sets, mut mixed): (Vec<TokenSet>, Vec<MixedTokens>) = (Vec::new(), Vec::new());
    for (folder, weight) in &folders.0 {
        let set = TokenSet::open(folder).map_err(|source| TrainError::Tokens { path: folder.clone(), source })?;
        let reference = set.manifest().reference.clone();
        if mixed.iter().any(|m| m.reference == reference) {
            return Err(TrainError::Option { option: "tokens", value: format!("{reference} twice") });
        }
        let of = |set: &TokenSet| (set.details().tokenizer_digest, set.details().vocab_size);
        if let Some(first) = sets.first().filter(|first| of(first) != of(&set)) {
            return Err(TrainError::OtherVocabulary { first: first.manifest().reference.to_string(), other: reference.to_string() });
        }
        mixed.push(MixedTokens { reference, digest: set.fingerprint(), weight: *weight });
        sets.push(set);
    }
    Ok((sets, mixed))
}

/// The loader of a run's samples.
///
/// # Errors
/// Sets that are not those of the run, or that cannot be read.
pub fn loader(config: &RunConfig, sets: &[TokenSet]) -> Result<Loader, TrainError> {
    let found: Vec<Digest> = sets.iter().map(TokenSet::fingerprint).collect();
    for (i, expected) in config.tokens.iter().enumerate() {
        if found.get(i) != Some(&expected.digest) {
            return Err(TrainError::OtherTokens { reference: expected.reference.to_string() });
        }
    }
    train_loader(sets, &config.tokens, &config.train)
}

pub(crate) fn train_loader(sets: &[TokenSet], mixed: &[MixedTokens], config: &TrainConfig) -> Result<Loader, TrainError> {
    let sources = sources(sets, mixed, "train")?;
    for source in &sources {
        if source.split().n_samples(config.context) == 0 {
            let (tokens, n_tokens) = (source.name().to_owned(), source.split().n_tokens());
            return Err(TrainError::TooFewTokens { tokens, n_tokens, context: config.context });
        }
    }
    Ok(Loader::try_new(sources, LoaderOptions::of_context(config.context, config.seed))?)
}

/// The samples that are judged, in the order in which they stand; `None` without any.
pub(crate) fn validation_loader(sets: &[TokenSet], mixed: &[MixedTokens], config: &TrainConfig) -> Result<Option<Loader>, TrainError> {
    let mut sources = sources(sets, mixed, "validation")?;
    sources.retain(|source| source.split().n_samples(config.context) > 0);
    if sources.is_empty() {
        return Ok(None);
    }
    let options = LoaderOptions { order: Order::Sequential, ..LoaderOptions::of_context(config.context, config.seed) };
    Ok(Some(Loader::try_new(sources, options)?))
}

/// Opens a part of each set; sets without the part `validation` are left out.
fn sources(sets: &[TokenSet], mixed: &[MixedTokens], part: &str) -> Result<Vec<Source>, TrainError> {
    let mut sources = Vec::with_capacity(sets.len());
    for (set, of_run) in sets.iter().zip(mixed) {
        if part == "validation" && !set.details().n_tokens.contains_key(part) {
            continue;
        }
        sources.push(Source::open(set, part, of_run.weight)?);
    }
    Ok(sources)
}
