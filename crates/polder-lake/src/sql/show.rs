//! Statements about the lake itself: `SHOW TAGS [IN t]` and `DESCRIBE HISTORY t [LIMIT n]`.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};
use polder_base::TableName;

use crate::{Lake, LakeError, ops, tags};

/// What is asked about the lake itself.
pub(super) enum Books {
    Tags(Option<TableName>),
    History(TableName, Option<usize>),
}

/// Recognises such a statement; `None` for any other.
pub(super) fn asked(tokens: &[TokenWithSpan]) -> Result<Option<Books>, LakeError> {
    let mut words: Vec<String> = tokens
        .iter()
        .filter(|t| !matches!(t.token, Token::Whitespace(_) | Token::EOF | Token::SemiColon))
        .map(|t| match &t.token {
            Token::Word(word) => word.value.clone(),
            other => other.to_string(),
        })
        .collect();
    let upper: Vec<String> = words.iter().take(2).map(|w| w.to_uppercase()).collect();
    let kind: Vec<&str> = upper.iter().map(String::as_str).collect();
    let wrong = |text: &str| LakeError::statement(DataFusionError::Plan(format!("it is written {text}")));
    let rest = words.split_off(words.len().min(2));
    match kind[..] {
        ["SHOW", "TAGS"] => match rest.split_first() {
            None => Ok(Some(Books::Tags(None))),
            Some((preposition, name)) if ["IN", "FROM"].contains(&preposition.to_uppercase().as_str()) => {
                Ok(Some(Books::Tags(Some(name.concat().parse()?))))
            }
            Some(_) => Err(wrong("SHOW TAGS [IN schema.table]")),
        },
        ["DESCRIBE" | "DESC", "HISTORY"] => {
            let cut = rest.iter().position(|w| w.eq_ignore_ascii_case("LIMIT")).unwrap_or(rest.len());
            let limit = match &rest[cut..] {
                [] => None,
                [_, n] => Some(n.parse().map_err(|_| wrong("DESCRIBE HISTORY schema.table [LIMIT n]"))?),
                _ => return Err(wrong("DESCRIBE HISTORY schema.table [LIMIT n]")),
            };
            Ok(Some(Books::History(rest[..cut].concat().parse()?, limit)))
        }
        _ => Ok(None),
    }
}

/// Answers it as rows.
pub(super) async fn frame(lake: &Lake, books: Books) -> Result<DataFrame, LakeError> {
    let (batch, table) = match books {
        Books::Tags(table) => {
            if let Some(table) = &table
                && !lake.tables.exists(table)
            {
                return Err(lake.tables.missing(&table.to_string()));
            }
            (tags::batch(&lake.tags(table.as_ref()).await?)?, ops::table("tags"))
        }
        Books::History(table, limit) => (history(lake, &table, limit).await?, table),
    };
    lake.session().read_batch(batch).map_err(LakeError::query("describe", &table))
}

async fn history(lake: &Lake, table: &TableName, limit: Option<usize>) -> Result<RecordBatch, LakeError> {
    let commits = lake.history(table, limit).await?;
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let columns: Vec<(&str, DataType, ArrayRef)> = vec![
        ("version", DataType::Int64, Arc::new(Int64Array::from_iter_values(commits.iter().map(|c| number(c.version))))),
        (
            "timestamp",
            ops::time(),
            Arc::new(TimestampMillisecondArray::from_iter_values(commits.iter().map(|c| c.at.0)).with_timezone("UTC")),
        ),
        ("operation", DataType::Utf8, Arc::new(StringArray::from_iter_values(commits.iter().map(|c| c.operation.as_str())))),
        ("n_rows_added", DataType::Int64, Arc::new(Int64Array::from_iter(commits.iter().map(|c| c.n_rows_added.map(number))))),
        ("n_files_added", DataType::Int64, Arc::new(Int64Array::from_iter_values(commits.iter().map(|c| number(c.n_files.0))))),
        ("n_files_removed", DataType::Int64, Arc::new(Int64Array::from_iter_values(commits.iter().map(|c| number(c.n_files.1))))),
        (
            "metadata",
            DataType::Utf8,
            Arc::new(StringArray::from_iter_values(
                commits.iter().map(|c| serde_json::to_string(&c.metadata).unwrap_or_else(|e| e.to_string())),
            )),
        ),
    ];
    let fields: Vec<Field> = columns.iter().map(|(name, kind, _)| Field::new(*name, kind.clone(), true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|c| c.2).collect())
        .map_err(|source| LakeError::Arrow { step: "lay out a history", source })
}
