//! The queries that facts and cards are made of; a check proves that the lists equal the folder.

macro_rules! sql_files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../sql/", $path)))),*]
    };
}

/// Queries by their path below `sql/`. Those named `card_…` read a view `documents`: the table a card is about, at its version.
pub const QUERIES: &[(&str, &str)] = sql_files![
    "queries/card_categories.sql",
    "queries/card_languages.sql",
    "queries/card_licences.sql",
    "queries/card_packages.sql",
    "queries/card_sources.sql",
    "queries/card_splits.sql",
    "queries/card_totals.sql",
    "queries/evals.sql",
    "queries/fact_ids.sql",
    "queries/facts.sql",
    "queries/lineage_sources.sql",
    "queries/quarantine_reasons.sql",
];

/// Finds a query by its file's stem.
pub fn query(stem: &str) -> Option<&'static str> {
    QUERIES.iter().find(|(path, _)| path.strip_prefix("queries/").and_then(|p| p.strip_suffix(".sql")) == Some(stem)).map(|(_, text)| *text)
}
