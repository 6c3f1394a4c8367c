//! The token sets of a run: one, or several by weights, and the loaders that read them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use polder_base::{Digest, Input, Reference};
use polder_shard::{Loader, LoaderOptions, Masking, Order, Packing, Source, TokenSet, Weight};
use polder_tokenizer::Tokenizer;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{RunConfig, TrainConfig, TrainError};

/// The folders of the token sets that a run reads, with their weights, and the tokenizer that made them.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenFolders {
    folders: Vec<(PathBuf, Weight)>,
    tokenizer: Option<PathBuf>,
}

impl TokenFolders {
    /// Several sets; a weight says how many samples come from a set in proportion to the others.
    ///
    /// # Errors
    /// None at all.
    pub fn try_new(folders: Vec<(PathBuf, Weight)>) -> Result<Self, TrainError> {
        if folders.is_empty() {
            return Err(TrainError::Option { option: "tokens", value: "none".into() });
        }
        Ok(Self { folders, tokenizer: None })
    }

    /// Names the `tokenizer.json` that the sets were made with; encoders need it, to know which token hides others.
    pub fn with_tokenizer(self, tokenizer: &Path) -> Self {
        Self { tokenizer: Some(tokenizer.to_owned()), ..self }
    }

    /// How tokens are masked; `None` where the next one is to be guessed.
    pub(crate) fn masking(&self, sets: &[TokenSet], config: &TrainConfig) -> Result<Option<Masking>, TrainError> {
        let Some(masked) = &config.masking else { return Ok(None) };
        let path = self.tokenizer.as_ref().ok_or(TrainError::TokenizerNeeded)?;
        let tokenizer = Tokenizer::open(path).map_err(|source| TrainError::Tokenizer { source })?;
        if tokenizer.digest() != sets[0].details().tokenizer_digest {
            return Err(TrainError::OtherTokenizer { path: path.clone() });
        }
        Ok(Some(masked.masking(&tokenizer)?))
    }
}

impl<P: AsRef<Path> + ?Sized> From<&P> for TokenFolders {
    fn from(folder: &P) -> Self {
        Self { folders: vec![(folder.as_ref().to_owned(), Weight::ONE)], tokenizer: None }
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
    for (folder, weight) in &folders.folders {
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

/// The loader of a run's samples, to look at which documents they are of; it masks nothing.
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
    train_loader(sets, &config.tokens, &config.train, None)
}

pub(crate) fn train_loader(
    sets: &[TokenSet],
    mixed: &[MixedTokens],
    config: &TrainConfig,
    masking: Option<Masking>,
) -> Result<Loader, TrainError> {
    let sources = sources(sets, mixed, "train")?;
    for source in &sources {
        if source.split().n_samples(config.context) == 0 {
            let (tokens, n_tokens) = (source.name().to_owned(), source.split().n_tokens());
            return Err(TrainError::TooFewTokens { tokens, n_tokens, context: config.context });
        }
    }
    Ok(Loader::try_new(
        sources,
        LoaderOptions { packing: config.packing, masking, ..LoaderOptions::of_context(config.context, config.seed) },
    )?)
}

/// The samples that are judged, in the order in which they stand; `None` without any.
pub(crate) fn validation_loader(
    sets: &[TokenSet],
    mixed: &[MixedTokens],
    config: &TrainConfig,
    masking: Option<Masking>,
) -> Result<Option<Loader>, TrainError> {
    let mut sources = sources(sets, mixed, "validation")?;
    sources.retain(|source| source.split().n_samples(config.context) > 0);
    if sources.is_empty() {
        return Ok(None);
    }
    // What is judged needs no order that fills sequences well.
    let packing = if config.packing == Packing::Joined { Packing::Joined } else { Packing::Contiguous };
    let options = LoaderOptions { order: Order::Sequential, packing, masking, ..LoaderOptions::of_context(config.context, config.seed) };
    Ok(Some(Loader::try_new(sources, options)?))
}

/// A stretch of a document that a step has seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenDocument {
    /// Place of the sample in the order of all.
    pub sample: u64,
    /// The token set.
    pub tokens: String,
    /// How often the set was seen whole before.
    pub epoch: u64,
    /// The shard.
    pub shard: String,
    /// The document's place in the shard.
    pub doc_idx: u64,
    /// Its row in the table that the tokens were built from.
    pub doc_id: String,
    /// First token of the document that was seen.
    pub from_token: u64,
    /// End of what was seen.
    pub to_token: u64,
}

/// Names the documents that samples hold, by the shards' own indexes.
///
/// # Errors
/// Shards that cannot be read.
pub fn seen_documents(loader: &Loader, sets: &[TokenSet], samples: std::ops::Range<u64>) -> Result<Vec<SeenDocument>, TrainError> {
    let samples = loader.rows(samples)?;
    let mut wanted: BTreeMap<(usize, &str), BTreeSet<u64>> = BTreeMap::new();
    for sample in &samples {
        for document in &sample.documents {
            wanted.entry((sample.place.source, document.shard)).or_default().insert(document.doc_idx);
        }
    }
    let mut doc_ids = BTreeMap::new();
    for ((source, shard), doc_idxs) in &wanted {
        let set = &sets[*source];
        let found = set.doc_ids(shard, doc_idxs).map_err(|source| TrainError::Tokens { path: set.folder().to_owned(), source })?;
        doc_ids.extend(found.into_iter().map(|(doc_idx, doc_id)| ((*source, *shard, doc_idx), doc_id)));
    }
    let mut seen = Vec::new();
    for sample in &samples {
        for d in &sample.documents {
            let doc_id = doc_ids.get(&(sample.place.source, d.shard, d.doc_idx)).cloned().unwrap_or_default();
            seen.push(SeenDocument {
                sample: sample.position,
                tokens: sample.set.to_owned(),
                epoch: sample.place.epoch,
                shard: d.shard.to_owned(),
                doc_idx: d.doc_idx,
                doc_id,
                // Within the document, where a reader of it would look.
                from_token: d.tokens.start - d.document.start,
                to_token: d.tokens.end - d.document.start,
            });
        }
    }
    Ok(seen)
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
