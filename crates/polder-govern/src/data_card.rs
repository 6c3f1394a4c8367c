//! The data card of a table of documents at a version: what it holds, which filters ran, what each removed.
//!
//! Everything in it is asked of the table, of facts and of tags; nobody types it. Markdown with the front matter of Hugging Face
//! dataset cards; the same as data through `serde`.

use std::fmt::Write;

use polder_base::{At, Reference, TableName, Timestamp, units};
use polder_lake::Lake;
use serde::{Deserialize, Serialize};

use crate::facts::{FactFilter, list};
use crate::funnel::{self, FilterStep};
use crate::markdown::{block, code, grouped, table, text, yaml};
use crate::{GovernError, lineage, rows};

/// Rows of a card's longer lists; the rest is summed up.
const LIST_MAX: usize = 25;

/// A part of a table's documents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// What they have in common.
    #[serde(alias = "reason")]
    pub name: String,
    /// How many there are.
    pub n_docs: u64,
    /// Their bytes.
    pub bytes: u64,
}

#[derive(Debug, Default, Deserialize)]
struct Totals {
    n_docs: u64,
    bytes: u64,
    first_fetched_at: Option<i64>,
    last_fetched_at: Option<i64>,
}

/// A table of documents, described.
#[derive(Clone, Debug, Serialize)]
pub struct DataCard {
    /// The table at its version.
    pub reference: Reference,
    /// The version's tags, with who set them, when, and what they said.
    pub tags: Vec<(String, String, Timestamp, String)>,
    /// Digest of the version's files.
    pub files_digest: String,
    /// Digest of the version's schema.
    pub schema_digest: String,
    /// Documents.
    pub n_docs: u64,
    /// Bytes of their text.
    pub bytes: u64,
    /// When the first and the last were fetched.
    pub fetched: Option<(Timestamp, Timestamp)>,
    /// By source.
    pub sources: Vec<Share>,
    /// By package.
    pub packages: Vec<Share>,
    /// By part: train, validation, test.
    pub splits: Vec<Share>,
    /// By natural language.
    pub languages: Vec<Share>,
    /// By kind of text.
    pub categories: Vec<Share>,
    /// By licence.
    pub licences: Vec<Share>,
    /// Files that ingest could not take, by reason.
    pub quarantined: Vec<Share>,
    /// Documents that ingest took, in the tables the lineage begins with.
    pub n_ingested: u64,
    /// What every step kept and removed.
    pub steps: Vec<FilterStep>,
    /// The policy in force when the table was made.
    pub policy_digest: Option<String>,
}

/// Describes a table of documents at a version, `pile.base@v1`.
///
/// # Errors
/// It is no table of documents, or the lake cannot be read.
pub async fn data_card(lake: &Lake, reference: &Reference) -> Result<DataCard, GovernError> {
    let no_card = |reason: &str| GovernError::NoCard { reference: reference.to_string(), card: "data card", reason: reason.into() };
    let Reference::Table(name, _) = reference else { return Err(no_card("it is not a table")) };
    let snapshot = lake.snapshot(reference).await?;
    let exact = Reference::Table(name.clone(), At::Version(snapshot.version));
    let frame = lake.table(&exact.to_string()).await?;
    let columns: Vec<String> = frame.schema().fields().iter().map(|f| f.name().clone()).collect();
    let has = |c: &str| columns.iter().any(|x| x == c);
    if let Some(missing) = ["doc_id", "source", "bytes", "fetched_at"].iter().find(|c| !has(c)) {
        return Err(no_card(&format!("it has no column `{missing}`, so its rows are not documents")));
    }
    let session = rows::session_with(lake, "documents", frame)?;
    let shares = async |stem: &'static str, column: &str| -> Result<Vec<Share>, GovernError> {
        if has(column) { rows::of_session(&session, stem).await } else { Ok(Vec::new()) }
    };
    let totals = rows::of_session::<Totals>(&session, "card_totals").await?.pop().unwrap_or_default();
    let walked = lineage(lake, &exact).await?;
    let facts = list(lake, &FactFilter::default()).await?;
    let made = walked.root.made.as_ref().and_then(|m| facts.iter().find(|f| Some(&f.fact_id) == m.fact_id.as_ref()));
    let mut n_ingested = 0;
    for (_, node) in walked.tables().iter().filter(|(t, _)| t.schema == "raw") {
        n_ingested += node.sources.iter().map(|s| s.n_docs).sum::<u64>();
    }
    let tags = lake.tags(Some(name)).await?.into_iter().filter(|t| t.version == snapshot.version);
    Ok(DataCard {
        tags: tags.map(|t| (t.tag, t.actor, t.at, t.comment)).collect(),
        files_digest: snapshot.files_digest.to_string(),
        schema_digest: snapshot.schema_digest.to_string(),
        n_docs: totals.n_docs,
        bytes: totals.bytes,
        fetched: totals.first_fetched_at.zip(totals.last_fetched_at).map(|(a, b)| (Timestamp(a), Timestamp(b))),
        sources: shares("card_sources", "source").await?,
        packages: shares("card_packages", "package").await?,
        splits: shares("card_splits", "split").await?,
        languages: shares("card_languages", "language").await?,
        categories: shares("card_categories", "category").await?,
        licences: shares("card_licences", "license").await?,
        quarantined: rows::of_table(lake, &TableName::new("raw", "quarantine"), "quarantine_reasons").await?,
        n_ingested,
        steps: funnel::steps(&walked, &facts),
        policy_digest: made.and_then(|f| f.policy_digest).map(|d| d.to_string()),
        reference: exact,
    })
}

impl DataCard {
    /// What a reader calls it: its first tag, else its version.
    pub fn title(&self) -> String {
        match (&self.reference, self.tags.first()) {
            (Reference::Table(name, _), Some((tag, ..))) => format!("{name}@{tag}"),
            (reference, _) => reference.to_string(),
        }
    }

    /// The card, Markdown with front matter.
    pub fn markdown(&self) -> String {
        let mut out = self.front_matter();
        let _ = writeln!(out, "# {}\n", text(&self.title()));
        let _ = writeln!(
            out,
            "{} documents, {} of text. Written from the lake's facts; every number below can be asked again in SQL.\n",
            grouped(self.n_docs),
            units::bytes(self.bytes)
        );
        out.push_str(&table(&["", ""], &self.identity()));
        section(&mut out, "Sources", &self.sources, self.bytes);
        section(&mut out, "Packages", &self.packages, self.bytes);
        section(&mut out, "Parts", &self.splits, self.bytes);
        section(&mut out, "Kinds of text", &self.categories, self.bytes);
        section(&mut out, "Natural languages", &self.languages, self.bytes);
        section(&mut out, "Licences", &self.licences, self.bytes);
        self.filters(&mut out);
        self.queries(&mut out);
        out
    }

    fn front_matter(&self) -> String {
        let mut out = String::from("---\n");
        let _ = writeln!(out, "pretty_name: {}", yaml(&self.title()));
        list_of(&mut out, "language", &known_languages(&self.languages));
        list_of(&mut out, "license", &licence_ids(&self.licences));
        list_of(&mut out, "size_categories", &[size_category(self.n_docs).to_owned()]);
        list_of(&mut out, "task_categories", &["text-generation".to_owned()]);
        list_of(&mut out, "annotations_creators", &["machine-generated".to_owned()]);
        list_of(&mut out, "language_creators", &["found".to_owned()]);
        list_of(&mut out, "source_datasets", &["original".to_owned()]);
        list_of(&mut out, "tags", &["polder".to_owned(), "code".to_owned()]);
        out.push_str("---\n\n");
        out
    }

    fn identity(&self) -> Vec<Vec<String>> {
        let mut rows = vec![vec!["Table and version".to_owned(), code(&self.reference.to_string())]];
        for (tag, actor, at, comment) in &self.tags {
            let said = if comment.is_empty() { String::new() } else { format!(": {}", text(comment)) };
            rows.push(vec!["Tag".into(), format!("{} by {} on {}{said}", code(tag), text(actor), at.date())]);
        }
        if let Some((first, last)) = self.fetched {
            rows.push(vec!["Fetched".into(), format!("{} to {}", first.date(), last.date())]);
        }
        rows.push(vec!["Digest of the files".into(), code(&self.files_digest)]);
        rows.push(vec!["Digest of the schema".into(), code(&self.schema_digest)]);
        let policy = self.policy_digest.as_ref().map_or_else(|| "not recorded".to_owned(), |d| code(d));
        rows.push(vec!["Policy in force".into(), policy]);
        rows
    }

    fn filters(&self, out: &mut String) {
        out.push_str("\n## Filters\n\n");
        if self.n_ingested > 0 {
            let n_left: u64 = self.quarantined.iter().map(|s| s.n_docs).sum();
            let _ = writeln!(out, "Ingest took {} documents and left {} files in quarantine.\n", grouped(self.n_ingested), grouped(n_left));
        }
        let mut rows: Vec<Vec<String>> = Vec::new();
        for step in &self.steps {
            let n_in = step.rows_in.map_or_else(|| "–".to_owned(), grouped);
            rows.push(vec![code(&step.table.to_string()), n_in, grouped(step.rows_out), String::new(), String::new()]);
            for (reason, n) in &step.removed {
                rows.push(vec![String::new(), String::new(), String::new(), text(reason), grouped(*n)]);
            }
        }
        if rows.is_empty() {
            out.push_str("No step is recorded for this table.\n");
        } else {
            out.push_str(&table(&["Step", ">Rows in", ">Rows out", "Removed because", ">Rows removed"], &rows));
        }
        if !self.quarantined.is_empty() {
            out.push_str("\n### Quarantine\n\n");
            out.push_str(&shares_table(&self.quarantined, self.quarantined.iter().map(|s| s.bytes).sum()));
        }
    }

    fn queries(&self, out: &mut String) {
        if self.steps.is_empty() {
            return;
        }
        out.push_str("\n## Steps\n");
        for step in &self.steps {
            let _ = writeln!(out, "\n### {}\n\n{}\n", text(&step.path), text(&step.why));
            let inputs: Vec<String> = step.inputs.iter().map(|i| code(&i.to_string())).collect();
            let _ = writeln!(out, "Made {} from {}; query {}.\n", code(&step.table.to_string()), inputs.join(", "), code(&step.sql_digest));
            out.push_str(&block("sql", &step.sql));
        }
    }
}

fn section(out: &mut String, title: &str, shares: &[Share], whole: u64) {
    if !shares.is_empty() {
        let _ = write!(out, "\n## {title}\n\n{}", shares_table(shares, whole));
    }
}

fn shares_table(shares: &[Share], whole: u64) -> String {
    let row = |name: String, n_docs: u64, bytes: u64| {
        vec![name, grouped(n_docs), units::bytes(bytes), units::percent(bytes as f64, whole as f64)]
    };
    let mut rows: Vec<Vec<String>> = shares.iter().take(LIST_MAX).map(|s| row(text(&s.name), s.n_docs, s.bytes)).collect();
    if let Some(rest) = shares.get(LIST_MAX..).filter(|r| !r.is_empty()) {
        let name = format!("{} more", rest.len());
        rows.push(row(name, rest.iter().map(|s| s.n_docs).sum(), rest.iter().map(|s| s.bytes).sum()));
    }
    table(&["", ">Documents", ">Bytes", ">Share"], &rows)
}

pub(crate) fn list_of(out: &mut String, key: &str, values: &[String]) {
    if !values.is_empty() {
        let _ = writeln!(out, "{key}:");
        values.iter().for_each(|v| {
            let _ = writeln!(out, "- {}", yaml(v));
        });
    }
}

/// Codes of ISO 639, without what stands for none.
pub(crate) fn known_languages(shares: &[Share]) -> Vec<String> {
    let is_code = |n: &str| (2..=3).contains(&n.len()) && n.bytes().all(|b| b.is_ascii_lowercase()) && n != "und";
    shares.iter().map(|s| s.name.clone()).filter(|n| is_code(n)).collect()
}

/// The identifiers under which licences go on Hugging Face's hub; `other` where one has none there.
fn licence_ids(licences: &[Share]) -> Vec<String> {
    const KNOWN: [&str; 22] = [
        "0bsd",
        "agpl-3.0",
        "apache-2.0",
        "artistic-2.0",
        "bsd-2-clause",
        "bsd-3-clause",
        "bsl-1.0",
        "cc-by-4.0",
        "cc-by-sa-4.0",
        "cc0-1.0",
        "epl-2.0",
        "gpl-2.0",
        "gpl-3.0",
        "isc",
        "lgpl-2.1",
        "lgpl-3.0",
        "mit",
        "mpl-2.0",
        "ncsa",
        "postgresql",
        "unlicense",
        "zlib",
    ];
    let mut ids: Vec<String> = Vec::new();
    for share in licences {
        let spaced = share.name.replace(['/', '(', ')'], " ");
        for word in spaced.split_whitespace().filter(|w| !["OR", "AND", "WITH"].contains(w)) {
            let id = word.to_lowercase();
            let id = id.trim_end_matches("-only").trim_end_matches("-or-later");
            let id = if KNOWN.contains(&id) { id } else { "other" };
            if !ids.iter().any(|i| i == id) {
                ids.push(id.to_owned());
            }
        }
    }
    ids
}

fn size_category(n: u64) -> &'static str {
    match n {
        0..1_000 => "n<1K",
        1_000..10_000 => "1K<n<10K",
        10_000..100_000 => "10K<n<100K",
        100_000..1_000_000 => "100K<n<1M",
        1_000_000..10_000_000 => "1M<n<10M",
        10_000_000..100_000_000 => "10M<n<100M",
        100_000_000..1_000_000_000 => "100M<n<1B",
        1_000_000_000..10_000_000_000 => "1B<n<10B",
        10_000_000_000..100_000_000_000 => "10B<n<100B",
        100_000_000_000..1_000_000_000_000 => "100B<n<1T",
        _ => "n>1T",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_named_as_the_hub_names_them() {
        let share = |name: &str| Share { name: name.into(), n_docs: 1, bytes: 1 };
        let ids = licence_ids(&[
            share("MIT OR Apache-2.0"),
            share("(MIT/Unlicense)"),
            share("GPL-3.0-or-later"),
            share("My-Own"),
            share("(none)"),
        ]);
        assert_eq!(ids, ["mit", "apache-2.0", "unlicense", "gpl-3.0", "other"]);
        assert_eq!(known_languages(&[share("en"), share("und"), share("(none)"), share("nds")]), ["en", "nds"]);
        assert_eq!([size_category(999), size_category(1000), size_category(12_345)], ["n<1K", "1K<n<10K", "10K<n<100K"]);
    }
}
