//! Scores of a model over rendered requests: bits per byte and multiple choice, with intervals.
//!
//! It reads `requests.jsonl` and writes `scores.json`; it renders no prompts and knows no tables. Scores do not depend on
//! the number of threads. Start with [`read_requests`] and [`evaluate()`].

mod error;
mod evaluate;
mod interval;
mod requests;
mod scorer;
mod scores;

pub use error::EvalError;
pub use evaluate::{EvalOptions, Item, Outcome, Progress, evaluate};
pub use interval::{Estimate, mean, proportion, ratio};
pub use requests::{REQUESTS_FILE, Request, read_requests};
pub use scorer::{OnMachine, Scorer};
pub use scores::{Evaluation, Score, Scores};
