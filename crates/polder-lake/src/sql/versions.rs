//! Version clauses: `VERSION AS OF 3`, `VERSION AS OF 'tag'`, `TIMESTAMP AS OF 'time'` become names of states.

use std::ops::ControlFlow;

use datafusion::error::DataFusionError;
use datafusion::scalar::ScalarValue;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectNamePart, Query, Select, SelectFlavor, SelectItem, TableAlias, TableFactor, TableVersion, Value, ValueWithSpan,
    VisitMut, VisitorMut, WildcardAdditionalOptions,
};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};
use polder_base::Timestamp;

use crate::{LakeError, tags};

/// Begins a placeholder that no user can write: it carries a tag past a parser that wants a number there.
const TAG_MARK: &str = "tag:";

/// Marks the tag of every `VERSION AS OF 'tag'`.
pub(super) fn name_tags(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut words = [Keyword::NoKeyword; 3];
    for token in &mut tokens {
        match &token.token {
            Token::Whitespace(_) => continue,
            Token::SingleQuotedString(text) if words == [Keyword::VERSION, Keyword::AS, Keyword::OF] => {
                token.token = Token::Placeholder(format!("{TAG_MARK}{text}"));
            }
            _ => {}
        }
        let word = if let Token::Word(word) = &token.token { word.keyword } else { Keyword::NoKeyword };
        words = [words[1], words[2], word];
    }
    tokens
}

/// Rewrites every table with a version into a quoted name that says its state, and proves that no clause is left.
pub(super) fn rewrite(statement: &mut Statement, params: &[(&str, ScalarValue)]) -> Result<(), LakeError> {
    let mut rewriter = Rewriter { params };
    let flow = match statement {
        Statement::Statement(sql) => sql.visit(&mut rewriter),
        Statement::Explain(explain) => return rewrite(&mut explain.statement, params),
        // Nothing else passes the refusal of writes.
        _ => ControlFlow::Continue(()),
    };
    match flow {
        ControlFlow::Break(error) => Err(*error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Rewriter<'a> {
    params: &'a [(&'a str, ScalarValue)],
}

impl VisitorMut for Rewriter<'_> {
    type Break = Box<LakeError>;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        left_out(&[
            (!query.locks.is_empty(), "FOR UPDATE"),
            (query.for_clause.is_some(), "FOR"),
            (query.settings.is_some(), "SETTINGS"),
            (query.format_clause.is_some(), "FORMAT"),
        ])
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        if matches!(select.flavor, SelectFlavor::FromFirstNoSelect) {
            select.flavor = SelectFlavor::Standard;
            select.projection = vec![SelectItem::Wildcard(WildcardAdditionalOptions::default())];
        }
        left_out(&[
            (select.prewhere.is_some(), "PREWHERE"),
            (!select.connect_by.is_empty(), "CONNECT BY"),
            (!select.cluster_by.is_empty(), "CLUSTER BY"),
            (!select.distribute_by.is_empty(), "DISTRIBUTE BY"),
            (!select.sort_by.is_empty(), "SORT BY"),
            (!select.lateral_views.is_empty(), "LATERAL VIEW"),
            (select.select_modifiers.is_some(), "a word before the columns"),
            (select.value_table_mode.is_some(), "AS VALUE"),
        ])
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Self::Break> {
        if let TableFactor::Derived { sample: Some(_), .. } = factor {
            return left_out(&[(true, "TABLESAMPLE")]);
        }
        let TableFactor::Table { name, alias, version, args, with_hints, with_ordinality, partitions, json_path, sample, index_hints } =
            factor
        else {
            return ControlFlow::Continue(());
        };
        left_out(&[
            (sample.is_some(), "TABLESAMPLE"),
            (!partitions.is_empty(), "PARTITION"),
            (!with_hints.is_empty(), "WITH"),
            (!index_hints.is_empty(), "an index hint"),
            (*with_ordinality, "WITH ORDINALITY"),
            (json_path.is_some(), "a path"),
        ])?;
        let clause = version.take();
        let last = name.0.last_mut();
        let Some(ObjectNamePart::Identifier(ident)) = last else {
            return match clause {
                Some(clause) => refuse(&clause, "it follows no table's name"),
                None => ControlFlow::Continue(()),
            };
        };
        if let Some(clause) = clause {
            if args.is_some() {
                return refuse(&clause, "it follows a function");
            }
            if ident.value.contains('@') {
                return refuse(&clause, "the table's name says a version already");
            }
            let state = match self.state(&clause) {
                Ok(state) => state,
                Err(reason) => return refuse(&clause, &reason),
            };
            let stem = std::mem::replace(ident, Ident::with_quote('"', "")).value;
            ident.value = format!("{stem}@{state}");
            name_after(alias, &stem);
        } else if let Some((stem, _)) = ident.value.split_once('@') {
            let stem = stem.to_owned();
            name_after(alias, &stem);
        }
        ControlFlow::Continue(())
    }
}

impl Rewriter<'_> {
    fn state(&self, clause: &TableVersion) -> Result<String, String> {
        match clause {
            TableVersion::VersionAsOf(expr) => match value(expr) {
                Some(Value::Number(number, _)) => version(number),
                Some(Value::Placeholder(name)) => match name.strip_prefix(TAG_MARK) {
                    Some(tag) => tag_or_version(tag),
                    None => match self.param(name)? {
                        Param::Text(text) => tag_or_version(&text),
                        Param::Number(number) => version(&number.to_string()),
                    },
                },
                _ => Err("a version is a number, or a tag in single quotes".into()),
            },
            TableVersion::TimestampAsOf(expr) | TableVersion::ForSystemTimeAsOf(expr) => {
                let text = match expr {
                    Expr::TypedString(typed) => value_text(&typed.value),
                    other => match value(other) {
                        Some(Value::Placeholder(name)) => match self.param(name)? {
                            Param::Text(text) => Some(text),
                            Param::Number(_) => None,
                        },
                        Some(Value::SingleQuotedString(text)) => Some(text.clone()),
                        _ => None,
                    },
                };
                let text = text.ok_or("a time is written in single quotes, such as '2026-01-31T12:00:00Z'")?;
                Ok(format!("ts:{}", time(&text)?.0))
            }
            _ => Err("only VERSION AS OF and TIMESTAMP AS OF are known".into()),
        }
    }

    fn param(&self, placeholder: &str) -> Result<Param, String> {
        let name = placeholder.trim_start_matches('$');
        let found = self.params.iter().find(|(n, _)| *n == name).ok_or(format!("parameter `{placeholder}` has no value"))?;
        match &found.1 {
            ScalarValue::Utf8(Some(t)) | ScalarValue::Utf8View(Some(t)) | ScalarValue::LargeUtf8(Some(t)) => Ok(Param::Text(t.clone())),
            ScalarValue::Int64(Some(n)) if *n >= 0 => Ok(Param::Number(n.unsigned_abs())),
            ScalarValue::UInt64(Some(n)) => Ok(Param::Number(*n)),
            other => Err(format!("parameter `{placeholder}` is `{other}`")),
        }
    }
}

enum Param {
    Text(String),
    Number(u64),
}

/// Refuses what the planner below would leave out without a word.
fn left_out(clauses: &[(bool, &str)]) -> ControlFlow<Box<LakeError>> {
    match clauses.iter().find(|(is_there, _)| *is_there) {
        Some((_, clause)) => {
            let what = format!("{clause} is nothing that is known here: it would be left out");
            ControlFlow::Break(Box::new(LakeError::statement(DataFusionError::Plan(what))))
        }
        None => ControlFlow::Continue(()),
    }
}

fn refuse(clause: &TableVersion, reason: &str) -> ControlFlow<Box<LakeError>> {
    let clause = clause.to_string();
    // The mark stands for the quotes that the user wrote.
    let clause = match clause.split_once(TAG_MARK) {
        Some((before, tag)) => format!("{before}'{tag}'"),
        None => clause,
    };
    ControlFlow::Break(Box::new(LakeError::VersionClause { clause, reason: reason.to_owned() }))
}

/// Lets columns still be qualified by the table's own name.
fn name_after(alias: &mut Option<TableAlias>, stem: &str) {
    if alias.is_none() {
        *alias = Some(TableAlias { explicit: true, name: Ident::with_quote('"', stem), columns: Vec::new(), at: None });
    }
}

fn value(expr: &Expr) -> Option<&Value> {
    match expr {
        Expr::Value(ValueWithSpan { value, .. }) => Some(value),
        _ => None,
    }
}

fn value_text(value: &ValueWithSpan) -> Option<String> {
    match &value.value {
        Value::SingleQuotedString(text) => Some(text.clone()),
        _ => None,
    }
}

fn version(number: &str) -> Result<String, String> {
    number.parse::<u64>().map(|v| v.to_string()).map_err(|_| format!("`{number}` is not a version"))
}

fn tag_or_version(text: &str) -> Result<String, String> {
    if tags::is_tag(text) { Ok(text.to_owned()) } else { version(text).map_err(|_| format!("`{text}` is neither a tag nor a version")) }
}

/// Reads a date or a time; without a zone it is UTC.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    let text = text.trim();
    let mut full = if text.len() == 10 { format!("{text}T00:00:00") } else { text.replacen(' ', "T", 1) };
    if !full.ends_with('Z') {
        full = full.strip_suffix("+00:00").unwrap_or(&full).to_owned() + "Z";
    }
    full.parse().map_err(|_| format!("`{text}` is not a UTC time such as 2026-01-31T12:00:00Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_and_without_a_clock() {
        assert_eq!(time("1970-01-02"), Ok(Timestamp(86_400_000)));
        assert_eq!(time("1970-01-01 00:00:01"), Ok(Timestamp(1000)));
        assert_eq!(time("1970-01-01T00:00:00.250Z"), Ok(Timestamp(250)));
        assert_eq!(time("1970-01-01T00:00:01+00:00"), Ok(Timestamp(1000)));
        assert!(time("yesterday").is_err());
        assert!(time("1970-01-01T00:00:01+02:00").is_err());
    }
}
