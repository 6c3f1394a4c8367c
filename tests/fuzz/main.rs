//! Hostile bytes: every reader of files gets sound files with seeded changes, and must end with a value or an error.
//!
//! A target is a file here: a sound input, and what is done with a changed one. `POLDER_SOAK=1` makes each run long. A failure prints
//! its target and number; `POLDER_FUZZ_ONLY=NUMBER` runs that change alone.

// The lint's exception for tests covers test functions alone, and fixtures are functions too.
#![allow(clippy::expect_used, clippy::print_stderr)]

mod classifiers;
mod curation;
mod models;
mod mutate;
mod shards;
mod tokenizers;
