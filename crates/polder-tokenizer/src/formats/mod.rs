//! Files that hold a tokenizer, one format a module: bytes or text in, a definition out, and back.
//!
//! [`open`] tells the format by what a file holds, and by names where a folder holds several files. What a file says is never believed
//! before its bytes are there: a length or an id cannot ask for more memory than the file has room for.

mod alphabet;
pub(crate) mod base64;
mod byte_level;
mod gguf;
mod tiktoken;
pub(crate) mod tokenizer_json;
mod vocab_bpe;

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use crate::definition::Definition;
use crate::error::TokenizerError;

pub(crate) use alphabet::byte_to_char;
pub use gguf::{GgufRoles, GgufValue, write_gguf_metadata};
pub use tiktoken::{RankOptions, SpecialName};
pub(crate) use {tiktoken::write as write_ranks, vocab_bpe::write as write_vocab_bpe};

/// Names of two files that together are a tokenizer: the vocabulary and the merges.
const PAIRS: [(&str, &str); 3] = [("encoder.json", "vocab.bpe"), ("vocab.json", "merges.txt"), ("vocab.json", "vocab.bpe")];

/// Opens a tokenizer of any format; errors name the file.
pub(crate) fn open(path: &Path, ranks: &RankOptions) -> Result<Definition, TokenizerError> {
    if !path.is_dir() {
        return open_file(path, ranks);
    }
    let one = path.join("tokenizer.json");
    if one.is_file() {
        return open_file(&one, ranks);
    }
    match PAIRS.iter().map(|(vocabulary, merges)| (path.join(vocabulary), path.join(merges))).find(|(v, m)| v.is_file() && m.is_file()) {
        Some((vocabulary, merges)) => open_pair(&vocabulary, &merges),
        None => Err(within(path, TokenizerError::Format)),
    }
}

fn open_file(path: &Path, ranks: &RankOptions) -> Result<Definition, TokenizerError> {
    let unreadable = |source| TokenizerError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let bytes_total = file.metadata().map_err(unreadable)?.len();
    let mut file = BufReader::new(file);
    let mut head = Vec::new();
    file.by_ref().take(4).read_to_end(&mut head).map_err(unreadable)?;
    if gguf::is_magic(&head) {
        // Only its front is read: what follows may be a model of any size.
        return gguf::read(&mut file, bytes_total).map_err(|e| e.into_error(path));
    }
    let mut bytes = head;
    file.read_to_end(&mut bytes).map_err(unreadable)?;
    let definition = match bytes.iter().find(|b| !b.is_ascii_whitespace()) {
        Some(b'{') => text(&bytes).and_then(tokenizer_json::read),
        _ if path.extension().is_some_and(|e| e == "tiktoken") || tiktoken::looks_like(&bytes) => tiktoken::read(&bytes, ranks),
        _ if path.extension().is_some_and(|e| e == "json") => text(&bytes).and_then(tokenizer_json::read),
        _ => match partner(path) {
            Some((vocabulary, merges)) => return open_pair(&vocabulary, &merges),
            None => Err(TokenizerError::Format),
        },
    };
    definition.or_else(|e| match (&e, partner(path)) {
        // A vocabulary without its merges is JSON too.
        (TokenizerError::Parse { .. }, Some((vocabulary, merges))) => open_pair(&vocabulary, &merges),
        _ => Err(within(path, e)),
    })
}

/// The files that a path is one half of, if the other half stands beside it.
fn partner(path: &Path) -> Option<(PathBuf, PathBuf)> {
    let name = path.file_name()?.to_str()?;
    let folder = path.parent()?;
    let pair = PAIRS.iter().filter(|(v, m)| [*v, *m].contains(&name));
    pair.map(|(v, m)| (folder.join(v), folder.join(m))).find(|(v, m)| v.is_file() && m.is_file())
}

fn open_pair(vocabulary: &Path, merges: &Path) -> Result<Definition, TokenizerError> {
    let read = |path: &Path| {
        let bytes = fs::read(path).map_err(|source| TokenizerError::Read { path: path.to_owned(), source })?;
        text(&bytes).map(str::to_owned).map_err(|e| within(path, e))
    };
    let (vocabulary_text, merges_text) = (read(vocabulary)?, read(merges)?);
    vocab_bpe::read(&vocabulary_text, &merges_text).map_err(|e| match e {
        Ok(of_merges) => within(merges, of_merges),
        Err(of_vocabulary) => within(vocabulary, of_vocabulary),
    })
}

fn text(bytes: &[u8]) -> Result<&str, TokenizerError> {
    std::str::from_utf8(bytes).map_err(|e| TokenizerError::byte(e.valid_up_to(), "the bytes are no UTF-8"))
}

fn within(path: &Path, source: TokenizerError) -> TokenizerError {
    TokenizerError::File { path: path.to_owned(), source: Box::new(source) }
}

#[cfg(test)]
mod tests;
