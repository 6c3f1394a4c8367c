//! What tokenizers make of a table: bytes per token by language and source, which tokens never occur, how long the longest are.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, StringViewArray};
use arrow::datatypes::DataType;
use datafusion::prelude::{cast, coalesce, col, lit};
use futures::StreamExt;
use polder_base::Reference;
use polder_lake::Lake;
use polder_tokenizer::Tokenizer;
use rayon::prelude::*;
use serde::Serialize;

use crate::PipelineError;

/// Text, and the tokens it became.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Documents.
    pub n_documents: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their tokens.
    pub n_tokens: u64,
}

impl Tally {
    fn add(&mut self, bytes: usize, n_tokens: usize) {
        self.n_documents += 1;
        self.bytes += bytes as u64;
        self.n_tokens += n_tokens as u64;
    }

    /// Bytes of text a token stands for; 0 where there are no tokens.
    pub fn bytes_per_token(&self) -> f64 {
        if self.n_tokens == 0 { 0.0 } else { self.bytes as f64 / self.n_tokens as f64 }
    }
}

/// What one tokenizer made of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TokenReport {
    /// All of it.
    pub all: Tally,
    /// By language, of people or of programs, where the table says it.
    pub languages: BTreeMap<String, Tally>,
    /// By source, where the table says it.
    pub sources: BTreeMap<String, Tally>,
    /// How often each id occurs.
    #[serde(skip)]
    pub counts: Vec<u64>,
}

/// Columns that name a document's language, the first that is given.
const LANGUAGES: [&str; 4] = ["language", "programming_language", "lang", "category"];
const SOURCES: [&str; 1] = ["source"];
const NO_NAME: &str = "(unknown)";

/// Encodes the text of a table with each tokenizer. Reads at most `bytes_max` bytes of text, in order of `doc_id` where there is one.
///
/// # Errors
/// No such table, no column `text`, no rows.
pub async fn token_report(
    lake: &Lake,
    from: &Reference,
    tokenizers: &[Tokenizer],
    bytes_max: u64,
    on_progress: &mut (dyn FnMut(u64) + Send),
) -> Result<Vec<TokenReport>, PipelineError> {
    let frame = lake.table(&from.to_string()).await?;
    let has = |name: &&&str| frame.schema().has_column_with_unqualified_name(name);
    let wanted = || PipelineError::Column { what: from.to_string(), column: "text".into(), expected: "text" };
    let is_text = |kind: &DataType| matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    if !frame.schema().as_arrow().field_with_name("text").is_ok_and(|f| is_text(f.data_type())) {
        return Err(wanted());
    }
    let name_of = |columns: &[&str]| {
        let text = |name: &&str| cast(col(*name), DataType::Utf8View);
        let found: Vec<_> = columns.iter().filter(has).map(text).chain([lit(NO_NAME)]).collect();
        cast(coalesce(found), DataType::Utf8View)
    };
    let has_names = |columns: &[&str]| columns.iter().any(|c| has(&c));
    let (has_languages, has_sources) = (has_names(&LANGUAGES), has_names(&SOURCES));
    let columns =
        vec![cast(col("text"), DataType::Utf8View).alias("text"), name_of(&LANGUAGES).alias("language"), name_of(&SOURCES).alias("source")];
    let ordered = match has(&&"doc_id") {
        true => frame.clone().sort(vec![col("doc_id").sort(true, false)])?,
        false => frame.clone(),
    };
    let mut rows = ordered.select(columns)?.execute_stream().await?;
    let mut reports: Vec<TokenReport> =
        tokenizers.iter().map(|t| TokenReport { counts: vec![0; t.vocab_size()], ..TokenReport::default() }).collect();
    let mut bytes = 0;
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        let column = |i: usize| batch.column(i).as_string_view();
        let (texts, languages, sources) = (column(0), column(1), column(2));
        let mut n_rows = 0;
        while n_rows < texts.len() && bytes < bytes_max {
            bytes += texts.value(n_rows).len() as u64;
            n_rows += 1;
        }
        tokio::task::block_in_place(|| {
            reports.par_iter_mut().zip(tokenizers).for_each(|(report, tokenizer)| {
                measure(report, tokenizer, texts, languages, sources, n_rows);
            });
        });
        on_progress(bytes);
        if bytes >= bytes_max {
            break;
        }
    }
    for report in &mut reports {
        if report.all.n_documents == 0 {
            return Err(PipelineError::Empty { what: from.to_string() });
        }
        if !has_languages {
            report.languages.clear();
        }
        if !has_sources {
            report.sources.clear();
        }
    }
    Ok(reports)
}

fn measure(
    report: &mut TokenReport,
    tokenizer: &Tokenizer,
    texts: &StringViewArray,
    languages: &StringViewArray,
    sources: &StringViewArray,
    n_rows: usize,
) {
    let mut encoder = tokenizer.encoder();
    let mut ids = Vec::new();
    for i in (0..n_rows).filter(|i| texts.is_valid(*i)) {
        ids.clear();
        encoder.encode_into(texts.value(i), &mut ids);
        let n = texts.value(i).len();
        report.all.add(n, ids.len());
        tally(&mut report.languages, languages.value(i)).add(n, ids.len());
        tally(&mut report.sources, sources.value(i)).add(n, ids.len());
        for id in &ids {
            report.counts[*id as usize] += 1;
        }
    }
}

fn tally<'a>(by_name: &'a mut BTreeMap<String, Tally>, name: &str) -> &'a mut Tally {
    by_name.entry(name.to_owned()).or_default()
}
