//! `SHARD.jsonl`: which documents a shard holds, one line each, in the order of its tokens.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use polder_base::Digest;
use serde::{Deserialize, Serialize};

use crate::details::ShardDetails;
use crate::error::ShardError;
use crate::reader::TokenSet;

pub(crate) const ENDING: &str = "jsonl";

/// Longer lines are no documents: a `doc_id` is a short name.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// A line of a shard's list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DocumentLine {
    /// Its id in the table it came from.
    pub doc_id: String,
    /// Digest of its text.
    pub text_digest: Digest,
    /// Bytes of its text.
    pub text_bytes: u64,
    /// Its tokens, opening and closing ones included.
    pub n_tokens: u64,
}

impl DocumentLine {
    /// Parses a line of the very form in which shards are written, their ids without an escape; `None` is any other, which the
    /// reader of JSON understands. Checks of large sets are mostly lists.
    fn parse_as_written(line: &[u8]) -> Option<Self> {
        let rest = line.strip_prefix(b"{\"doc_id\":\"")?;
        let end = rest.iter().position(|b| *b == b'"' || *b == b'\\' || *b < b' ')?;
        let (doc_id, rest) = rest.split_at(end);
        let (digest, rest) = rest.strip_prefix(b"\",\"text_digest\":\"")?.split_at_checked("sha256:".len() + 64)?;
        let (text_bytes, rest) = number(rest.strip_prefix(b"\",\"text_bytes\":")?)?;
        let (n_tokens, rest) = number(rest.strip_prefix(b",\"n_tokens\":")?)?;
        let doc_id = std::str::from_utf8(doc_id).ok()?.to_owned();
        let text_digest = std::str::from_utf8(digest).ok()?.parse().ok()?;
        (rest == b"}\n").then_some(Self { doc_id, text_digest, text_bytes, n_tokens })
    }
}

/// A number as JSON writes it, and what follows.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let n = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, rest) = bytes.split_at(n);
    if n > 1 && digits[0] == b'0' {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok().map(|number| (number, rest))
}

/// A document's place in a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenDocument {
    /// `train`, `validation`, …
    pub split: String,
    /// The shard's files without their endings: `train-00000`.
    pub shard: String,
    /// Its number within the shard.
    pub doc_idx: u64,
    /// Its id in the table it came from.
    pub doc_id: String,
    /// Digest of its text.
    pub text_digest: Digest,
    /// Bytes of its text.
    pub text_bytes: u64,
    /// Its tokens, opening and closing ones included.
    pub n_tokens: u64,
}

/// Reads a shard's list line by line; it holds one line.
pub(crate) struct DocumentLines {
    path: PathBuf,
    file: BufReader<File>,
    line: Vec<u8>,
    /// Lines read.
    pub n_lines: u64,
    /// Bytes read.
    pub bytes: u64,
}

impl DocumentLines {
    pub fn open(folder: &Path, shard: &str) -> Result<Self, ShardError> {
        let path = folder.join(format!("{shard}.{ENDING}"));
        let file = File::open(&path).map_err(|source| ShardError::Read { path: path.clone(), source })?;
        Ok(Self { path, file: BufReader::with_capacity(1 << 18, file), line: Vec::new(), n_lines: 0, bytes: 0 })
    }

    fn read(&mut self) -> Result<Option<DocumentLine>, ShardError> {
        self.line.clear();
        let read = (&mut self.file).take(LINE_BYTES_MAX).read_until(b'\n', &mut self.line);
        let n = read.map_err(|source| ShardError::Read { path: self.path.clone(), source })?;
        if n == 0 {
            return Ok(None);
        }
        let (number, at) = (self.n_lines + 1, self.bytes);
        let broken = |why: String| ShardError::Broken { path: self.path.clone(), reason: format!("line {number}, byte {at}: {why}") };
        if self.line.last() != Some(&b'\n') {
            return Err(broken("it does not end".into()));
        }
        let line = match DocumentLine::parse_as_written(&self.line) {
            Some(line) => line,
            None => serde_json::from_slice(&self.line).map_err(|e| broken(format!("it is not a document: {e}")))?,
        };
        self.n_lines += 1;
        self.bytes += n as u64;
        Ok(Some(line))
    }
}

impl Iterator for DocumentLines {
    type Item = Result<DocumentLine, ShardError>;
    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// Reads a set's documents one at a time, shard by shard in the order of the set.
///
/// # Errors
/// There is no set; a list or a line that cannot be read is an error in its turn.
pub fn read_documents(folder: &Path) -> Result<impl Iterator<Item = Result<TokenDocument, ShardError>> + use<>, ShardError> {
    let set = TokenSet::open(folder)?;
    let folder = folder.to_owned();
    Ok(set.details().shards.clone().into_iter().flat_map(move |shard| shard_documents(&folder, shard)))
}

/// Reads one shard's documents in order, of a set whose folder is given. A list or a line that cannot be read is an error in its turn.
pub fn shard_documents(folder: &Path, shard: ShardDetails) -> Box<dyn Iterator<Item = Result<TokenDocument, ShardError>>> {
    let lines = match DocumentLines::open(folder, &shard.name) {
        Ok(lines) => lines,
        Err(e) => return Box::new(std::iter::once(Err(e))),
    };
    Box::new(lines.zip(0..).map(move |(line, doc_idx)| {
        let DocumentLine { doc_id, text_digest, text_bytes, n_tokens } = line?;
        let (split, shard) = (shard.split.clone(), shard.name.clone());
        Ok(TokenDocument { split, shard, doc_idx, doc_id, text_digest, text_bytes, n_tokens })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use polder_base::digest_bytes;
    use proptest::prelude::*;

    fn by_json(line: &[u8]) -> Option<DocumentLine> {
        serde_json::from_slice(line).ok()
    }

    proptest! {
        #[test]
        fn a_line_is_read_as_json_reads_it(doc_id in "[a-z0-9/]{0,30}|\\PC{0,9}|[\"\\\\\\n]{1,3}", text_bytes in any::<u64>(), n_tokens in any::<u64>(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let line = DocumentLine { text_digest: digest_bytes(doc_id.as_bytes()), doc_id, text_bytes, n_tokens };
            let mut written = serde_json::to_vec(&line).expect("JSON");
            written.push(b'\n');
            let plain = !line.doc_id.contains(|c: char| c == '"' || c == '\\' || c < ' ');
            prop_assert_eq!(DocumentLine::parse_as_written(&written).is_some(), plain);
            prop_assert_eq!(DocumentLine::parse_as_written(&written).or_else(|| by_json(&written)), Some(line));
            // What it takes, JSON takes too.
            let at = at.index(written.len());
            written[at] = byte;
            if let Some(line) = DocumentLine::parse_as_written(&written) {
                prop_assert_eq!(by_json(&written), Some(line));
            }
        }
    }

    #[test]
    fn numbers_that_json_refuses_are_left_to_it() {
        for (text, expected) in
            [("0,", Some(0)), ("07,", None), ("18446744073709551615}", Some(u64::MAX)), ("18446744073709551616}", None), (",", None)]
        {
            assert_eq!(number(text.as_bytes()).map(|(n, _)| n), expected, "{text}");
        }
    }
}
