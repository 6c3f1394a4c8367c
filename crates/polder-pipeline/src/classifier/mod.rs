//! From a query over the lake to a trained classifier of text, and its scores on rows that it has not seen.
//!
//! Rows come as the query gives them; they are put in order of their text and drawn by it, so that no order of arrival, partitioning or
//! number of threads shows. One row in [`HELD_OUT_ONE_IN`] is held out and judged. Start with [`TrainClassifier`].

mod rows;

use std::fs;

use datafusion::prelude::DataFrame;
use polder_base::{
    ClassifierDetails, ClassifierScores, Digest, Input, LabelScores, Manifest, Reference, Timestamp, digest_json, publish_dir, write_whole,
};
use polder_lake::Lake;
use polder_text::classifier::{self, Classifier, ClassifierError, Evaluation, Features, LabelEvaluation, Learning, Options, Progress};

use crate::PipelineError;
use crate::query_inputs::planned;
use rows::LabelledRows;

/// The file of a classifier's weights in its folder.
pub const CLASSIFIER_FILE: &str = "classifier.model";
/// One row in so many is held out.
const HELD_OUT_ONE_IN: usize = 5;
/// Labels whose confusion is kept with a classifier; more would fill its card.
const CONFUSION_LABELS_MAX: usize = 40;

/// What to train a classifier on.
#[derive(Clone, Debug)]
pub struct TrainClassifier {
    /// Its name under `classifiers/`.
    pub name: String,
    /// A query with the columns `text` and `label`.
    pub query: String,
    /// What it looks at, and how it learns.
    pub options: Options,
    /// Bytes of text to read at most; where there are more, rows are drawn.
    pub bytes_max: u64,
}

/// A classifier with its input fixed.
#[derive(Debug)]
pub struct TrainClassifierPlan {
    request: TrainClassifier,
    frame: DataFrame,
    inputs: Vec<Input>,
    config: Digest,
}

fn scores(e: Evaluation) -> ClassifierScores {
    let label =
        |l: LabelEvaluation| LabelScores { label: l.label, precision: l.precision, recall: l.recall, f1: l.f1, n_rows: l.support as u64 };
    let confusion = e.confusion.into_iter().map(|row| row.into_iter().map(|n| n as u64).collect()).collect();
    ClassifierScores {
        n_rows: e.n_rows as u64,
        accuracy: e.accuracy,
        macro_f1: e.macro_f1,
        confusion: (e.labels.len() <= CONFUSION_LABELS_MAX).then_some(confusion),
        labels: e.labels.into_iter().map(label).collect(),
    }
}

impl TrainClassifier {
    /// Fixes the versions of the tables that the query reads.
    ///
    /// # Errors
    /// A query that cannot be planned.
    pub async fn plan(self, lake: &Lake) -> Result<TrainClassifierPlan, PipelineError> {
        let (frame, inputs) = planned(lake, &self.query).await?;
        rows::check_columns(&frame)?;
        let config = digest_json(&(&self.query, self.bytes_max, described(&self.options), HELD_OUT_ONE_IN));
        Ok(TrainClassifierPlan { request: self, frame, inputs, config })
    }
}

impl TrainClassifierPlan {
    /// Digest of what it is made from.
    pub fn inputs_digest(&self) -> Digest {
        self.manifest(Reference::artefact("classifiers", &self.request.name), Timestamp(0)).inputs_digest()
    }

    fn manifest(&self, reference: Reference, at: Timestamp) -> Manifest {
        Manifest::new(reference, at, self.inputs.clone(), self.config, serde_json::Value::Null)
    }

    /// Trains it, judges it, and writes it whole as the version that `reference` names.
    ///
    /// # Errors
    /// Fewer than two labels, no text, files that cannot be written.
    pub async fn run(
        self,
        lake: &Lake,
        reference: &Reference,
        at: Timestamp,
        on_progress: &mut (dyn FnMut(&str, u64, u64) + Send),
    ) -> Result<Manifest, PipelineError> {
        on_progress("reading rows", 0, 0);
        let all =
            LabelledRows::read(self.frame.clone(), self.request.bytes_max, &mut |bytes| on_progress("reading rows", bytes, 0)).await?;
        let pairs = all.pairs();
        let (learn, held_out) = classifier::split(&pairs, HELD_OUT_ONE_IN);
        let n_threads = std::thread::available_parallelism().map_or(1, usize::from);
        let mut on_pass = |p: Progress| on_progress("learning", p.epoch as u64, p.epochs as u64);
        let trained = classifier::train(&learn, &self.request.options, n_threads, &mut on_pass)?;
        on_progress("judging held-out rows", 0, 0);
        let details = ClassifierDetails {
            query: self.request.query.clone(),
            n_rows: learn.len() as u64,
            bytes: learn.iter().map(|(text, _)| text.len() as u64).sum(),
            labels: trained.labels().to_vec(),
            n_features: trained.n_features() as u64,
            options: described(&self.request.options),
            held_out: scores(classifier::evaluate(&trained, &held_out)),
            held_out_one_in: HELD_OUT_ONE_IN as u64,
            n_rows_left_out: all.n_left_out(),
        };
        let mut manifest = self.manifest(reference.clone(), at);
        manifest.details = serde_json::to_value(&details).unwrap_or_default();
        write(lake, &trained, manifest)
    }
}

/// Options as text: every one by its name.
fn described(options: &Options) -> String {
    let Options { features, features_max, rows_min, epochs, learning, balance, prune, seed } = options;
    let Features { tokens, fold_case, fold_digits, char_ngrams, across_blanks, word_ngrams, counting } = features;
    let tokens = format!("{tokens:?}").to_lowercase();
    let counting = format!("{counting:?}").to_lowercase();
    let learning = match learning {
        Learning::Softmax { lr, decay } => format!("softmax lr={lr} decay={decay}"),
        Learning::Margin { cost, by_rarity, by_contrast } => format!("margin cost={cost} by_rarity={by_rarity} by_contrast={by_contrast}"),
        Learning::OwnMargin { cost } => format!("own-margin cost={cost}"),
        Learning::Bayes { smoothing } => format!("bayes smoothing={smoothing}"),
    };
    let range = |(from, to): &(usize, usize)| format!("{from}-{to}");
    format!(
        "tokens={tokens} fold_case={fold_case} fold_digits={fold_digits} char_ngrams={} across_blanks={across_blanks} word_ngrams={} counting={counting} \
         features_max={features_max} rows_min={rows_min} epochs={epochs} learning={learning} balance={balance} prune={prune} seed={seed}",
        range(char_ngrams),
        range(word_ngrams)
    )
}

fn write(lake: &Lake, trained: &Classifier, mut manifest: Manifest) -> Result<Manifest, PipelineError> {
    let Some(folder) = lake.layout().artefact(&manifest.reference) else {
        return Err(PipelineError::Graph { message: format!("`{}` is no place for files", manifest.reference) });
    };
    let temporary = folder.with_extension(format!("{}.tmp", std::process::id()));
    fs::create_dir_all(&temporary).map_err(|source| PipelineError::Read { path: temporary.clone(), source })?;
    write_whole(&temporary.join(CLASSIFIER_FILE), &trained.to_bytes())?;
    manifest.describe(&temporary, &[CLASSIFIER_FILE])?;
    manifest.write(&temporary)?;
    publish_dir(&temporary, &folder)?;
    Ok(manifest)
}

/// Judges a classifier on a query's rows.
///
/// # Errors
/// A query that cannot be run, or gives no rows with text and label.
pub async fn evaluate_classifier(lake: &Lake, judged: &Classifier, query: &str, bytes_max: u64) -> Result<ClassifierScores, PipelineError> {
    let (frame, _) = planned(lake, query).await?;
    rows::check_columns(&frame)?;
    let all = LabelledRows::read(frame, bytes_max, &mut |_| {}).await?;
    let pairs = all.pairs();
    if pairs.is_empty() {
        return Err(PipelineError::Empty { what: "the query".into() });
    }
    Ok(scores(classifier::evaluate(judged, &pairs)))
}

/// Reads a classifier's file.
///
/// # Errors
/// It cannot be read, or is none.
pub fn open_classifier(folder: &std::path::Path) -> Result<Classifier, PipelineError> {
    let path = folder.join(CLASSIFIER_FILE);
    let bytes = fs::read(&path).map_err(|source| PipelineError::Read { path: path.clone(), source })?;
    Classifier::from_bytes(&bytes).map_err(|source| PipelineError::ClassifierFile { path, source })
}

impl From<ClassifierError> for PipelineError {
    fn from(source: ClassifierError) -> Self {
        Self::Classifier { source }
    }
}

#[cfg(test)]
mod tests;
