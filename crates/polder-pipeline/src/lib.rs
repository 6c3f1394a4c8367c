//! From SQL files to tables, and from tables to what is made of them: tokenizers, classifiers, token shards,
//! evaluation requests, tuning files.
//!
//! It decides what is stale, runs it at pinned versions, and records with every table what it was made
//! from. It trains nothing and serves nothing. Start with [`Pipeline`] and [`apply()`].

mod apply;
mod classifier;
mod error;
mod export;
mod front_matter;
mod graph;
mod query_inputs;
mod removed;
mod sql_files;
mod token_report;
mod tokenizer;
mod tokens;
mod word_stream;

pub use apply::{Applied, ApplyContext, PlannedStep, Progress, StepState, apply, plan};
pub use classifier::{CLASSIFIER_FILE, TrainClassifier, TrainClassifierPlan, evaluate_classifier, open_classifier};
pub use error::PipelineError;
pub use export::{Export, ExportPlan, ExportQuery};
pub use front_matter::{FrontMatter, Mode, Parameter};
pub use graph::{Pipeline, SqlFile};
pub use sql_files::{BOOK_QUERIES, FILES, QUERIES, TRAINING_QUERIES, query};
pub use token_report::{Tally, TokenReport, token_report};
pub use tokenizer::{Compression, HeldOut, TextSource, TokenizerProgress, TrainTokenizer, TrainTokenizerPlan};
pub use tokens::{Begin, BuildTokens, BuildTokensPlan, Standing, TokensBuilt, TokensPhase, TokensProgress, VALIDATION_SHARE};
