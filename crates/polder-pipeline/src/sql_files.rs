//! The SQL files that are part of the program; a check proves that the list equals the folder.

macro_rules! sql_files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../sql/", $path)))),*]
    };
}

/// Numbered files, each making one table: (path below `sql/`, text).
pub const FILES: &[(&str, &str)] = sql_files![
    "10_stage/docs_stage.sql",
    "10_stage/license_policy.sql",
    "10_stage/packages.sql",
    "20_clean/docs_clean.sql",
    "30_dedup/docs_exact.sql",
    "30_dedup/docs_near.sql",
    "30_dedup/docs_signatures.sql",
    "30_dedup/near_pairs.sql",
    "40_mix/base.sql",
    "50_eval/contamination.sql",
    "50_eval/heldout.sql",
    "50_eval/next_line.sql",
    "50_eval/signatures.sql",
];

/// Files that return rows: what evaluation and tuning read, and audits, whose rows are offences.
pub const QUERIES: &[(&str, &str)] = sql_files![
    "90_audit/emails_left.sql",
    "queries/requests_bits_per_byte.sql",
    "queries/requests_next_line.sql",
    "queries/tuning_signatures.sql",
];

/// Queries over tables that exist while a tokenizer is trained: `texts`, what it learns from, and `words`, counted in parts.
pub const TRAINING_QUERIES: &[(&str, &str)] = sql_files!["queries/text_sizes.sql", "queries/word_counts.sql"];

/// What the books are asked for by name; they are there once something was written into them.
pub const BOOK_QUERIES: &[(&str, &str)] = sql_files!["queries/token_documents.sql"];

/// Returns a query's text by its path below `sql/`; empty for a path that is in no list.
pub fn query(path: &str) -> &'static str {
    QUERIES.iter().chain(TRAINING_QUERIES).chain(BOOK_QUERIES).find(|(p, _)| *p == path).map_or("", |(_, text)| text)
}
