//! What readers find: records that are kept, and what goes to quarantine with its reason.

use std::sync::Arc;

use polder_base::{Digest, Hasher, Timestamp, digest_bytes, units};

use crate::mapping::Scalar;
use crate::settings::Settings;

/// What all records of one source file share.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// What rows say as their source.
    pub source: String,
    /// The package.
    pub package: String,
}

/// A document on its way into the table.
#[derive(Clone, Debug)]
pub struct Record {
    /// What it shares with the others of its file.
    pub origin: Arc<Origin>,
    /// Its address.
    pub uri: String,
    /// Below its source, with `/`.
    pub path: String,
    /// The text.
    pub text: String,
    /// What kind of text.
    pub media_type: String,
    /// Its licence, where it says so itself.
    pub license: Option<String>,
    /// When it was fetched, where it says so itself.
    pub fetched_at: Option<Timestamp>,
    /// The values of the columns that were asked to be kept, in their order.
    pub kept: Vec<Scalar>,
    /// Digest of the text.
    pub digest: Digest,
    /// Address and content: what is compared with the rows that are there.
    pub identity: u128,
}

/// Something that is no document.
#[derive(Clone, Debug)]
pub struct Bad {
    /// What it shares with the others of its file.
    pub origin: Arc<Origin>,
    /// Its address.
    pub uri: String,
    /// Why, in one word.
    pub reason: &'static str,
    /// Why, in full.
    pub detail: String,
    /// Size of the whole, or as much of it as was read.
    pub bytes: u64,
    /// Where in the (unpacked) file it begins.
    pub offset: Option<Offset>,
    /// Its first bytes.
    pub excerpt: Vec<u8>,
}

/// A place within a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offset {
    /// Counted from 0.
    Byte(u64),
    /// Counted from 1.
    Line(u64),
    /// Counted from 1, without the header.
    Row(u64),
}

/// Bytes of what is quarantined that are kept beside the reason.
pub const EXCERPT_BYTES: usize = 4096;

impl Bad {
    /// Address, reason and size: what is compared with the rows that are there.
    pub fn identity(&self) -> u128 {
        identity(&self.uri, &format!("{} {}", self.reason, self.bytes))
    }
}

/// One thing that was found.
#[derive(Debug)]
pub enum Item {
    /// A document.
    Record(Box<Record>),
    /// None.
    Bad(Box<Bad>),
}

impl Item {
    /// About how much memory it holds.
    pub fn bytes(&self) -> usize {
        const FIELDS: usize = 512;
        match self {
            Self::Record(r) => r.text.len() + FIELDS,
            Self::Bad(b) => b.detail.len() + b.excerpt.len() + FIELDS,
        }
    }
}

/// Digests an address and what stands there to 128 bits: a set of them costs 16 bytes a row.
pub fn identity(uri: &str, what: &str) -> u128 {
    let mut hasher = Hasher::new();
    hasher.field(uri.as_bytes());
    hasher.field(what.as_bytes());
    let bytes = *hasher.finish().bytes();
    bytes[..16].iter().fold(0, |acc, b| acc << 8 | u128::from(*b))
}

/// Nobody takes what is found any more: the reader ends.
#[derive(Debug)]
pub struct Gone;

/// Whether to read on.
pub type Flow = Result<(), Gone>;

/// A file, or a member of an archive, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its address.
    pub uri: String,
    /// Below its source, with `/`.
    pub path: String,
}

impl Member {
    /// A member of this archive.
    pub(crate) fn inside(&self, name: &str) -> Self {
        let mut uri = format!("{}!/", self.uri);
        escape(name.as_bytes(), &mut uri);
        Self { uri, path: format!("{}!/{name}", self.path) }
    }

    /// A part of this file, such as `line=17`.
    #[must_use]
    pub fn part(&self, fragment: &str) -> Self {
        Self { uri: format!("{}#{fragment}", self.uri), path: format!("{}#{fragment}", self.path) }
    }
}

/// Writes a path's bytes as those of an address.
pub(crate) fn escape(path: &[u8], uri: &mut String) {
    for byte in path {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' | b'+' | b'@' | b',' | b'=' => {
                uri.push(char::from(*byte));
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
}

/// A document as a reader gives it.
#[derive(Debug, Default)]
pub struct Document {
    pub(crate) text: String,
    pub(crate) media_type: String,
    pub(crate) license: Option<String>,
    /// In place of what all records of the file say.
    pub(crate) source: Option<String>,
    pub(crate) fetched_at: Option<Timestamp>,
    pub(crate) kept: Vec<Scalar>,
}

/// Why something is no document.
#[derive(Clone, Debug, Default)]
pub struct Fault {
    /// Why, in one word.
    pub reason: &'static str,
    /// Why, in full.
    pub detail: String,
    /// Size of the whole, or as much of it as was read.
    pub bytes: u64,
    /// Where it begins.
    pub offset: Option<Offset>,
    /// Its first bytes.
    pub excerpt: Vec<u8>,
}

impl Fault {
    /// Names the reason.
    pub fn new(reason: &'static str, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), ..Self::default() }
    }

    /// Adds where it is and what stands there.
    #[must_use]
    pub fn at(mut self, offset: Offset, bytes: &[u8]) -> Self {
        self.offset = Some(offset);
        self.bytes = bytes.len() as u64;
        self.excerpt = bytes[..bytes.len().min(EXCERPT_BYTES)].to_vec();
        self
    }

    /// Adds the size of the whole.
    #[must_use]
    pub fn with_bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }
}

/// Where readers put what they find.
pub struct Sink<'a> {
    pub(crate) origin: Arc<Origin>,
    pub(crate) settings: &'a Settings,
    /// Links that were met and not followed.
    pub(crate) links: u64,
    emit: &'a mut dyn FnMut(Item) -> Flow,
}

impl<'a> Sink<'a> {
    pub(crate) fn new(origin: Arc<Origin>, settings: &'a Settings, emit: &'a mut dyn FnMut(Item) -> Flow) -> Self {
        Self { origin, settings, links: 0, emit }
    }

    /// Keeps a document, or puts it into quarantine when it is empty, too large or no text.
    pub(crate) fn document(&mut self, member: Member, document: Document, offset: Option<Offset>) -> Flow {
        let max = self.settings.limits.record_bytes_max;
        let bytes = document.text.len() as u64;
        let text = document.text.as_bytes();
        let fault = if bytes > max {
            Some(Fault::new("too_large", format!("{}, more than {}", units::bytes(bytes), units::bytes(max))))
        } else if let Some(at) = memchr::memchr(0, text) {
            Some(Fault::new("binary", format!("NUL at byte {at}")))
        } else if document.text.trim_start().is_empty() {
            Some(Fault::new("empty", if text.is_empty() { "no text" } else { "only white space" }))
        } else {
            None
        };
        if let Some(fault) = fault {
            let excerpt = text[..text.len().min(EXCERPT_BYTES)].to_vec();
            return self.bad(member, Fault { bytes, offset, excerpt, ..fault });
        }
        let digest = digest_bytes(text);
        let identity = identity(&member.uri, &digest.to_string());
        let origin = match document.source {
            Some(source) => Arc::new(Origin { source, package: self.origin.package.clone() }),
            None => self.origin.clone(),
        };
        (self.emit)(Item::Record(Box::new(Record {
            origin,
            uri: member.uri,
            path: member.path,
            text: document.text,
            media_type: document.media_type,
            license: document.license,
            fetched_at: document.fetched_at,
            kept: document.kept,
            digest,
            identity,
        })))
    }

    /// Puts something into quarantine.
    ///
    /// # Errors
    /// Nobody takes what is found.
    pub fn bad(&mut self, member: Member, fault: Fault) -> Flow {
        (self.emit)(Item::Bad(Box::new(Bad {
            origin: self.origin.clone(),
            uri: member.uri,
            reason: fault.reason,
            detail: fault.detail,
            bytes: fault.bytes,
            offset: fault.offset,
            excerpt: fault.excerpt,
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_keep_odd_names_apart() {
        let mut uri = String::new();
        escape("/a b/ü%.rs".as_bytes(), &mut uri);
        assert_eq!(uri, "/a%20b/%C3%BC%25.rs");
        assert_ne!(identity("ab", "c"), identity("a", "bc"));
        let archive = Member { uri: "file:///a.zip".into(), path: "a.zip".into() };
        assert_eq!(archive.inside("b c.txt").part("line=2").uri, "file:///a.zip!/b%20c.txt#line=2");
    }
}
