//! Statements about the lake itself that the engine's grammar lacks: Delta's own, and Iceberg's for tags.

use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};
use polder_base::{At, TableName, Timestamp};

use super::versions;
use crate::LakeError;
use crate::tables::State;

/// What keeps a table in order and changes no row of it, but for a return to an earlier state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upkeep {
    /// Makes the rows of an earlier version the newest again.
    Restore(At),
    /// The same, by time.
    RestoreTime(Timestamp),
    /// Joins small files; in the order of columns, where some are named.
    Optimize(Vec<String>),
    /// Removes files that no kept version needs.
    Vacuum {
        /// How long what has left the table stays; a week where nothing is said.
        retain_hours: Option<u64>,
        /// Files that no version knows, too.
        is_full: bool,
        /// Only counts them.
        is_dry_run: bool,
    },
}

impl Upkeep {
    pub(super) fn of(self, table: &TableName) -> Own {
        let table = table.clone();
        match self {
            Self::Restore(at) => Own::Restore(table, State::At(at)),
            Self::RestoreTime(time) => Own::Restore(table, State::Time(time)),
            Self::Optimize(columns) => Own::Optimize(table, columns),
            Self::Vacuum { retain_hours, is_full, is_dry_run } => Own::Vacuum { table, retain_hours, is_full, is_dry_run },
        }
    }
}

/// One of these statements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Own {
    ShowTags(Option<TableName>),
    ShowSchemas,
    History(TableName, Option<usize>),
    Detail(TableName),
    CreateTag { table: TableName, tag: String, version: Option<u64>, is_materialized: bool, comment: String },
    DropTag { table: TableName, tag: String, reason: String },
    Restore(TableName, State),
    Optimize(TableName, Vec<String>),
    Vacuum { table: TableName, retain_hours: Option<u64>, is_full: bool, is_dry_run: bool },
}

impl Own {
    /// Recognises such a statement; `None` for any other.
    pub(super) fn read(tokens: &[TokenWithSpan]) -> Result<Option<Self>, LakeError> {
        let mut words = Words::new(tokens);
        if words.are(&["SHOW", "TAGS"]) {
            let usage = "SHOW TAGS [IN schema.table]";
            let table = if words.is("IN") || words.is("FROM") { Some(words.table(usage)?) } else { None };
            return words.ended(usage, Self::ShowTags(table));
        }
        if words.are(&["SHOW", "SCHEMAS"]) || words.are(&["SHOW", "DATABASES"]) {
            return words.ended("SHOW SCHEMAS", Self::ShowSchemas);
        }
        if words.are(&["DESCRIBE", "HISTORY"]) || words.are(&["DESC", "HISTORY"]) {
            let usage = "DESCRIBE HISTORY schema.table [LIMIT n]";
            let table = words.table(usage)?;
            let limit = if words.is("LIMIT") { Some(words.number(usage)? as usize) } else { None };
            return words.ended(usage, Self::History(table, limit));
        }
        if words.are(&["DESCRIBE", "DETAIL"]) || words.are(&["DESC", "DETAIL"]) {
            let usage = "DESCRIBE DETAIL schema.table";
            let table = words.table(usage)?;
            return words.ended(usage, Self::Detail(table));
        }
        if words.are(&["ALTER", "TABLE"]) {
            return words.tag();
        }
        if words.is("RESTORE") {
            let usage = "RESTORE TABLE schema.table TO VERSION AS OF n | VERSION AS OF 'tag' | TIMESTAMP AS OF 'time'";
            words.is("TABLE");
            let table = words.table(usage)?;
            words.must("TO", usage)?;
            let state = words.state(usage)?;
            return words.ended(usage, Self::Restore(table, state));
        }
        if words.is("OPTIMIZE") {
            let usage = "OPTIMIZE schema.table [ZORDER BY (column, …)]";
            words.is("TABLE");
            let table = words.table(usage)?;
            let columns = if words.are(&["ZORDER", "BY"]) { words.columns(usage)? } else { Vec::new() };
            return words.ended(usage, Self::Optimize(table, columns));
        }
        if words.is("VACUUM") {
            let usage = "VACUUM schema.table [FULL] [RETAIN n HOURS] [DRY RUN]";
            words.is("TABLE");
            let table = words.table(usage)?;
            let is_full = words.is("FULL");
            let retain_hours = if words.is("RETAIN") { Some(words.number(usage)?) } else { None };
            if retain_hours.is_some() && !words.is("HOURS") {
                words.must("HOUR", usage)?;
            }
            let is_dry_run = words.are(&["DRY", "RUN"]);
            return words.ended(usage, Self::Vacuum { table, retain_hours, is_full, is_dry_run });
        }
        Ok(None)
    }
}

/// What is left of a statement's tokens.
struct Words<'a> {
    tokens: Vec<&'a Token>,
    at: usize,
}

fn wrong(usage: &str) -> LakeError {
    LakeError::statement(DataFusionError::Plan(format!("it is written {usage}")))
}

impl<'a> Words<'a> {
    fn new(tokens: &'a [TokenWithSpan]) -> Self {
        let tokens = tokens.iter().map(|t| &t.token).filter(|t| !matches!(t, Token::Whitespace(_) | Token::EOF | Token::SemiColon));
        Self { tokens: tokens.collect(), at: 0 }
    }

    fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at).copied()
    }

    /// Takes a word if it is the next one.
    fn is(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(w)) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    /// Takes words if all of them are next.
    fn are(&mut self, words: &[&str]) -> bool {
        let from = self.at;
        let all = words.iter().all(|word| self.is(word));
        if !all {
            self.at = from;
        }
        all
    }

    fn must(&mut self, word: &str, usage: &str) -> Result<(), LakeError> {
        if self.is(word) { Ok(()) } else { Err(wrong(usage)) }
    }

    fn ended(&self, usage: &str, statement: Own) -> Result<Option<Own>, LakeError> {
        if self.peek().is_none() { Ok(Some(statement)) } else { Err(wrong(usage)) }
    }

    fn number(&mut self, usage: &str) -> Result<u64, LakeError> {
        let Some(Token::Number(number, _)) = self.peek() else { return Err(wrong(usage)) };
        self.at += 1;
        number.parse().map_err(|_| wrong(usage))
    }

    /// A name, quoted or not.
    fn name(&mut self, usage: &str) -> Result<String, LakeError> {
        let name = match self.peek() {
            Some(Token::Word(word)) => word.value.clone(),
            Some(Token::SingleQuotedString(text)) => text.clone(),
            _ => return Err(wrong(usage)),
        };
        self.at += 1;
        Ok(name)
    }

    fn text(&mut self, usage: &str) -> Result<String, LakeError> {
        let Some(Token::SingleQuotedString(text)) = self.peek() else { return Err(wrong(usage)) };
        self.at += 1;
        Ok(text.clone())
    }

    /// `schema.table`, or the same in one pair of quotes.
    fn table(&mut self, usage: &str) -> Result<TableName, LakeError> {
        let mut name = self.name(usage)?;
        while self.peek() == Some(&Token::Period) {
            self.at += 1;
            name = format!("{name}.{}", self.name(usage)?);
        }
        Ok(name.strip_prefix("lake.").unwrap_or(&name).parse()?)
    }

    fn columns(&mut self, usage: &str) -> Result<Vec<String>, LakeError> {
        let open = self.peek() == Some(&Token::LParen);
        self.at += usize::from(open);
        let mut columns = vec![self.name(usage)?];
        while self.peek() == Some(&Token::Comma) {
            self.at += 1;
            columns.push(self.name(usage)?);
        }
        if open {
            if self.peek() != Some(&Token::RParen) {
                return Err(wrong(usage));
            }
            self.at += 1;
        }
        Ok(columns)
    }

    fn state(&mut self, usage: &str) -> Result<State, LakeError> {
        if self.are(&["TIMESTAMP", "AS", "OF"]) {
            let text = self.text(usage)?;
            let clause = || format!("TIMESTAMP AS OF '{text}'");
            let time = versions::time(&text).map_err(|reason| LakeError::VersionClause { clause: clause(), reason })?;
            return Ok(State::Time(time));
        }
        if !self.are(&["VERSION", "AS", "OF"]) {
            return Err(wrong(usage));
        }
        match self.peek() {
            Some(Token::SingleQuotedString(tag)) => {
                self.at += 1;
                Ok(State::At(At::Tag(tag.clone())))
            }
            _ => Ok(State::At(At::Version(self.number(usage)?))),
        }
    }

    /// `ALTER TABLE t CREATE TAG | DROP TAG`; other alterations are the engine's grammar.
    fn tag(&mut self) -> Result<Option<Own>, LakeError> {
        // Without a table's name it is none of ours, and the parser says what is wrong.
        let Ok(table) = self.table("") else { return Ok(None) };
        if self.are(&["CREATE", "TAG"]) {
            let usage = "ALTER TABLE schema.table CREATE TAG name [AS OF VERSION n] [MATERIALIZED] [COMMENT 'text']";
            let tag = self.name(usage)?;
            let is_versioned = self.are(&["AS", "OF", "VERSION"]) || self.are(&["VERSION", "AS", "OF"]);
            let version = if is_versioned { Some(self.number(usage)?) } else { None };
            let is_materialized = self.is("MATERIALIZED");
            let comment = if self.is("COMMENT") { self.text(usage)? } else { String::new() };
            return self.ended(usage, Own::CreateTag { table, tag, version, is_materialized, comment });
        }
        if self.are(&["DROP", "TAG"]) {
            let usage = "ALTER TABLE schema.table DROP TAG name REASON 'why'";
            let tag = self.name(usage)?;
            self.must("REASON", usage)?;
            let reason = self.text(usage)?;
            return self.ended(usage, Own::DropTag { table, tag, reason });
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;

    use super::*;

    fn read(text: &str) -> Result<Option<Own>, LakeError> {
        Own::read(&Tokenizer::new(&super::super::LakeDialect, text).tokenize_with_location().expect("tokens"))
    }

    #[test]
    fn statements_of_the_lake_are_told_from_those_of_the_engine() {
        let table = || TableName::new("pile", "base");
        let all = [
            ("show tags", Own::ShowTags(None)),
            ("SHOW TAGS IN pile.base;", Own::ShowTags(Some(table()))),
            ("DESCRIBE HISTORY lake.pile.base LIMIT 3", Own::History(table(), Some(3))),
            ("desc detail \"pile\".\"base\"", Own::Detail(table())),
            ("OPTIMIZE pile.base", Own::Optimize(table(), vec![])),
            ("OPTIMIZE pile.base ZORDER BY (id, \"text\")", Own::Optimize(table(), vec!["id".into(), "text".into()])),
            ("RESTORE TABLE pile.base TO VERSION AS OF 'v1'", Own::Restore(table(), State::At(At::Tag("v1".into())))),
            ("RESTORE pile.base TO VERSION AS OF 3", Own::Restore(table(), State::At(At::Version(3)))),
            (
                "VACUUM pile.base RETAIN 12 HOURS DRY RUN",
                Own::Vacuum { table: table(), retain_hours: Some(12), is_full: false, is_dry_run: true },
            ),
            (
                "ALTER TABLE pile.base CREATE TAG v1 AS OF VERSION 2 COMMENT 'it''s good'",
                Own::CreateTag { table: table(), tag: "v1".into(), version: Some(2), is_materialized: false, comment: "it's good".into() },
            ),
            (
                "alter table pile.base drop tag 'v1.2' reason 'wrong'",
                Own::DropTag { table: table(), tag: "v1.2".into(), reason: "wrong".into() },
            ),
        ];
        for (text, expected) in all {
            assert_eq!(read(text).expect(text), Some(expected), "{text}");
        }
        for text in ["SELECT 1", "SHOW TABLES", "ALTER TABLE pile.base ADD COLUMN a INT", "DESCRIBE pile.base", ""] {
            assert_eq!(read(text).expect(text), None, "{text}");
        }
        for text in [
            "SHOW TAGS pile.base",
            "OPTIMIZE",
            "VACUUM pile.base RETAIN 3",
            "VACUUM pile.base DRY",
            "RESTORE TABLE pile.base",
            "ALTER TABLE pile.base DROP TAG v1",
            "ALTER TABLE pile.base CREATE TAG",
            "DESCRIBE HISTORY pile.base LIMIT x",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
