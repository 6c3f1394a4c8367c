//! Which column of a structured record is its text, its name, its address.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::IngestError;
use crate::record::{Document, Fault, Member};
use crate::web;

/// Which columns of structured records (JSON lines, CSV, Parquet, Arrow, Delta, databases) become what. What is not named is looked
/// for under the usual names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// The text; by default `text`, `content` or `body`.
    pub text: Option<String>,
    /// What tells a record from others of its file, also when it moves; by default `id`, and of a database the table's primary key.
    pub id: Option<String>,
    /// Where it came from; by default `uri` or `url`.
    pub uri: Option<String>,
    /// Its licence; by default `license`.
    pub license: Option<String>,
    /// What the record says as its source, in place of its folder's or host's name.
    pub source: Option<String>,
    /// Columns that become columns of the table.
    pub keep: Vec<String>,
}

const TEXT: &[&str] = &["text", "content", "body"];
const ID: &[&str] = &["id"];
const URI: &[&str] = &["uri", "url"];
const LICENSE: &[&str] = &["license"];
const KEYS: [&str; 6] = ["text", "id", "uri", "license", "source", "keep"];

#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    text: Option<String>,
    id: Option<String>,
    uri: Option<String>,
    license: Option<String>,
    source: Option<String>,
    keep: Vec<String>,
}

impl Mapping {
    /// Reads a mapping from TOML: keys `text`, `id`, `uri`, `license`, `source` (each a column's name) and `keep` (a list of them).
    ///
    /// # Errors
    /// It is no TOML, has a key that is none of these, or a value of another type.
    pub fn parse(text: &str) -> Result<Self, IngestError> {
        let wrong = |reason: String| IngestError::Mapping { reason };
        let table: BTreeMap<String, toml::Value> = toml::from_str(text).map_err(|e| wrong(e.message().to_owned()))?;
        if let Some(key) = table.keys().find(|k| !KEYS.contains(&k.as_str())) {
            return Err(wrong(format!("there is no key `{key}`; the keys are {}", KEYS.join(", "))));
        }
        let file: File = toml::from_str(text).map_err(|e| wrong(e.message().to_owned()))?;
        Ok(Self { text: file.text, id: file.id, uri: file.uri, license: file.license, source: file.source, keep: file.keep })
    }
}

/// A value of a record.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Scalar {
    /// None.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Text.
    Text(String),
    /// Something that is no scalar, by its kind.
    Other(&'static str),
}

impl Scalar {
    /// Says what it is, in words.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::Other(kind) => kind,
        }
    }

    fn text(self) -> Option<String> {
        match self {
            Self::Text(text) if !text.trim().is_empty() => Some(text),
            Self::Int(n) => Some(n.to_string()),
            _ => None,
        }
    }
}

/// What is no document, and why.
pub(crate) type Refused = Box<(Member, Fault)>;

/// The columns to read from a record, resolved once.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// Names, each once; values of a record stand in this order.
    pub(crate) names: Vec<String>,
    /// Which of them may be the text, best first; and likewise.
    pub(crate) text: Vec<usize>,
    pub(crate) id: Vec<usize>,
    uri: Vec<usize>,
    license: Vec<usize>,
    source: Vec<usize>,
    keep: Vec<usize>,
    /// Columns that the user named: a file with a header must have them.
    pub(crate) named: Vec<String>,
    /// Whether the user said which column names a record.
    pub(crate) id_is_named: bool,
}

impl Wanted {
    pub(crate) fn new(mapping: &Mapping) -> Self {
        let mut names: Vec<String> = Vec::new();
        let mut named: Vec<String> = mapping.keep.clone();
        let mut place = |name: &str| {
            names.iter().position(|n| n == name).unwrap_or_else(|| {
                names.push(name.to_owned());
                names.len() - 1
            })
        };
        let mut of = |asked: &Option<String>, usual: &[&str]| -> Vec<usize> {
            match asked {
                Some(name) => {
                    named.push(name.clone());
                    vec![place(name)]
                }
                None => usual.iter().map(|name| place(name)).collect(),
            }
        };
        let (text, id) = (of(&mapping.text, TEXT), of(&mapping.id, ID));
        let (uri, license, source) = (of(&mapping.uri, URI), of(&mapping.license, LICENSE), of(&mapping.source, &[]));
        let keep = mapping.keep.iter().map(|name| place(name)).collect();
        Self { names, text, id, uri, license, source, keep, named, id_is_named: mapping.id.is_some() }
    }

    /// Where each wanted column stands among a file's; or why the file cannot be read.
    pub(crate) fn among(&self, columns: &[String]) -> Result<Vec<Option<usize>>, Fault> {
        let there = |name: &String| columns.iter().position(|c| c == name);
        if let Some(absent) = self.named.iter().find(|n| there(n).is_none()) {
            return Err(Fault::new("no_column", format!("there is no column `{absent}`; its columns are {}", list(columns))));
        }
        let found: Vec<Option<usize>> = self.names.iter().map(there).collect();
        if self.text.iter().all(|i| found[*i].is_none()) {
            return Err(self.textless(columns));
        }
        Ok(found)
    }

    /// No column can be the text.
    pub(crate) fn textless(&self, columns: &[String]) -> Fault {
        let names: Vec<String> = self.text.iter().map(|i| format!("`{}`", self.names[*i])).collect();
        Fault::new("no_text_column", format!("there is no column {}; its columns are {}", names.join(" or "), list(columns)))
    }

    /// Makes a document of a record's values; `member` is where it would stand without an id or an address of its own.
    pub(crate) fn document(
        &self,
        file: &Member,
        fallback: impl FnOnce() -> String,
        values: &mut [Scalar],
    ) -> Result<(Member, Document), Refused> {
        let mut member = None;
        if let Some(id) = self.id.iter().find_map(|i| self.share(values, *i).text()) {
            let mut fragment = String::from("id=");
            crate::record::escape(id.as_bytes(), &mut fragment);
            member = Some(file.part(&fragment));
        }
        let mut member = member.unwrap_or_else(|| file.part(&fallback()));
        if let Some(uri) = self.uri.iter().find_map(|i| self.share(values, *i).text()) {
            member.uri = web::without_secrets(&uri);
        }
        let kept: Vec<Scalar> = self.keep.iter().map(|i| self.share(values, *i)).collect();
        if let Some((i, value)) = kept.iter().enumerate().find(|(_, v)| matches!(v, Scalar::Other(_))) {
            let name = &self.names[self.keep[i]];
            return Err(Box::new((
                member,
                Fault::new("wrong_type", format!("`{name}` is {}, and only single values can be kept", value.kind())),
            )));
        }
        let license = self.license.iter().find_map(|i| self.share(values, *i).text());
        let source = self.source.iter().find_map(|i| self.share(values, *i).text());
        let mut other = None;
        for i in &self.text {
            match std::mem::take(&mut values[*i]) {
                Scalar::Text(text) => {
                    let document = Document { text, media_type: "text/plain".into(), license, source, fetched_at: None, kept };
                    return Ok((member, document));
                }
                Scalar::Null => {}
                value => other = Some(format!("`{}` is {}, not text", self.names[*i], value.kind())),
            }
        }
        let fault = match other {
            Some(detail) => Fault::new("wrong_type", detail),
            None => Fault::new("no_text", "the record has no text"),
        };
        Err(Box::new((member, fault)))
    }

    /// A value that may be wanted under several headings.
    fn share(&self, values: &[Scalar], i: usize) -> Scalar {
        values.get(i).cloned().unwrap_or_default()
    }
}

fn list(columns: &[String]) -> String {
    let mut text = columns.iter().take(30).cloned().collect::<Vec<_>>().join(", ");
    if columns.len() > 30 {
        text.push_str(&format!(" and {} more", columns.len() - 30));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_with_an_unknown_key_names_the_near_one() {
        let good = Mapping::parse("text = 'question'\nkeep = ['intent']\n").expect("a mapping");
        assert_eq!((good.text.as_deref(), good.keep.as_slice()), (Some("question"), ["intent".to_owned()].as_slice()));
        let said = |text: &str| Mapping::parse(text).expect_err("refused").to_string();
        assert!(said("txt = 'a'").contains("there is no key `txt`; the keys are text, id"));
        assert!(said("keep = 'a'").contains("expected a sequence"), "{}", said("keep = 'a'"));
        assert!(!said("text = ").is_empty());
    }

    #[test]
    fn the_usual_columns_are_found_and_what_is_missing_is_said() {
        let columns = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let usual = Wanted::new(&Mapping::default());
        assert!(usual.among(&columns(&["id", "body"])).is_ok());
        let fault = usual.among(&columns(&["question", "answer"])).expect_err("refused");
        assert_eq!(
            (fault.reason, fault.detail.as_str()),
            ("no_text_column", "there is no column `text` or `content` or `body`; its columns are question, answer")
        );
        let asked = Wanted::new(&Mapping { text: Some("question".into()), keep: vec!["label".into()], ..Mapping::default() });
        let fault = asked.among(&columns(&["question"])).expect_err("refused");
        assert_eq!(fault.detail, "there is no column `label`; its columns are question");
    }
}
