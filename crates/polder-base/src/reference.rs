//! How everything in a lake is named: `pile.base@v1`, `tokens/NAME`, `models/NAME@VERSION`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Advice, ExitKind};

/// A table's place: schema and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TableName {
    /// `raw`, `clean`, `pile`, `eval`, `feedback` or `ops`.
    pub schema: String,
    /// The name inside its schema.
    pub name: String,
}

impl TableName {
    /// Joins two known-good parts.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self { schema: schema.into(), name: name.into() }
    }
}

/// Which state of a table is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum At {
    /// The newest version.
    Latest,
    /// A version by number.
    Version(u64),
    /// A version by its tag.
    Tag(String),
}

/// Something a lake holds, by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Reference {
    /// A table at a state.
    Table(TableName, At),
    /// Anything that stands in a folder: kind (`tokens`, `models`, …), name, version.
    Artefact {
        /// The folder under the lake: one of [`Reference::KINDS`].
        kind: String,
        /// The name inside the folder.
        name: String,
        /// The version, where one is given.
        version: Option<String>,
    },
    /// Anything outside the lake: `file:///…`, `https://…`, `package:serde-1.0.0`.
    External(String),
}

/// Why a text names nothing.
#[derive(Debug, Error)]
#[error("`{text}` is not a reference")]
pub struct ReferenceError {
    text: String,
}

impl Advice for ReferenceError {
    fn hint(&self) -> Option<String> {
        Some("References look like raw.docs, pile.base@v1, pile.base@3, tokens/NAME or models/NAME@VERSION.".into())
    }
    fn exit(&self) -> ExitKind {
        ExitKind::Usage
    }
}

/// Letters, digits, `_`, `-`, `.` (not first): safe as a path part on every system.
fn is_name(s: &str) -> bool {
    !s.is_empty() && s.len() <= 128 && !s.starts_with(['.', '-']) && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}

fn is_table_part(s: &str) -> bool {
    is_name(s) && !s.contains('.')
}

impl Reference {
    /// The folders of a lake that hold artefacts.
    pub const KINDS: [&str; 8] = ["tokenizers", "classifiers", "tokens", "requests", "tuning", "models", "adapters", "runs"];

    /// Names a table at its newest version.
    pub fn table(name: &TableName) -> Self {
        Self::Table(name.clone(), At::Latest)
    }

    /// Names an artefact without a version.
    pub fn artefact(kind: &str, name: impl Into<String>) -> Self {
        Self::Artefact { kind: kind.to_owned(), name: name.into(), version: None }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

impl FromStr for TableName {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        match text.split_once('.') {
            Some((s, n)) if is_table_part(s) && is_table_part(n) => Ok(Self::new(s, n)),
            _ => Err(ReferenceError { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(table, At::Latest) => write!(f, "{table}"),
            Self::Table(table, At::Version(v)) => write!(f, "{table}@{v}"),
            Self::Table(table, At::Tag(t)) => write!(f, "{table}@{t}"),
            Self::Artefact { kind, name, version: None } => write!(f, "{kind}/{name}"),
            Self::Artefact { kind, name, version: Some(v) } => write!(f, "{kind}/{name}@{v}"),
            Self::External(uri) => f.write_str(uri),
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let wrong = || ReferenceError { text: text.to_owned() };
        let (stem, at) = text.split_once('@').map_or((text, None), |(s, a)| (s, Some(a)));
        if let Some((kind, name)) = stem.split_once('/')
            && Self::KINDS.contains(&kind)
        {
            let sound = is_name(name) && at.is_none_or(is_name);
            return sound
                .then(|| Self::Artefact { kind: kind.into(), name: name.into(), version: at.map(str::to_owned) })
                .ok_or_else(wrong);
        }
        // An external name is anything with a scheme; it is kept as it is, never opened from here.
        if let Some((scheme, rest)) = text.split_once(':')
            && !rest.is_empty()
            && !scheme.is_empty()
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+')
        {
            return Ok(Self::External(text.to_owned()));
        }
        let table: TableName = stem.parse().map_err(|_| wrong())?;
        let at = match at {
            None => At::Latest,
            Some(v) if v.bytes().all(|b| b.is_ascii_digit()) => At::Version(v.parse().map_err(|_| wrong())?),
            Some(t) if is_name(t) => At::Tag(t.to_owned()),
            Some(_) => return Err(wrong()),
        };
        Ok(Self::Table(table, at))
    }
}

macro_rules! string_serde {
    ($t:ty) => {
        impl From<$t> for String {
            fn from(x: $t) -> Self {
                x.to_string()
            }
        }
        impl TryFrom<String> for $t {
            type Error = ReferenceError;
            fn try_from(s: String) -> Result<Self, ReferenceError> {
                s.parse()
            }
        }
    };
}
string_serde!(TableName);
string_serde!(Reference);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_read_back_what_they_print() {
        for text in
            ["raw.docs", "pile.base@v1", "pile.base@3", "tokens/base", "models/quickstart@2", "file:///tmp/x", "package:serde-1.0.228"]
        {
            assert_eq!(text.parse::<Reference>().expect(text).to_string(), text);
        }
        assert_eq!("pile.base@3".parse::<Reference>().ok(), Some(Reference::Table(TableName::new("pile", "base"), At::Version(3))));
    }

    #[test]
    fn names_that_could_leave_the_lake_are_refused() {
        for text in ["", "docs", "a.b.c", "models/../x", "models/.hidden", "raw./etc", "tokens/", "pile.base@", "raw.docs@../1"] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }
}
