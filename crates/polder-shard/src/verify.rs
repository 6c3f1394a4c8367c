//! Checks a set: digests, tokens, and that the list of documents says what the shards hold.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use polder_base::Manifest;

use crate::documents::read_documents;
use crate::error::ShardError;
use crate::reader::TokenSet;

const TOKENS_AT_ONCE: u64 = 1 << 20;

/// Checks a whole set and returns it.
///
/// # Errors
/// The first thing that is not as it was written.
pub fn verify(folder: &Path) -> Result<TokenSet, ShardError> {
    Manifest::verify(folder)?;
    let set = TokenSet::open(folder)?;
    let details = set.details();
    let broken = |file: &str, reason: String| ShardError::Broken { path: folder.join(file), reason };
    let mut lengths: HashMap<String, Vec<u64>> = HashMap::new();
    let mut buffer = Vec::new();
    for split in details.n_tokens.keys() {
        let part = set.split(split)?;
        let mut n_documents = 0;
        for from in (0..part.n_tokens()).step_by(TOKENS_AT_ONCE as usize) {
            part.read(from, from + TOKENS_AT_ONCE, &mut buffer)?;
        }
        for shard in part.shards() {
            let (stem, start, index) = shard?;
            index.check_all()?;
            n_documents += index.n_documents() as u64;
            let of_shard = lengths.entry(stem.to_owned()).or_default();
            for doc_idx in 0..index.n_documents() {
                let Range { start: first, end } = index.document(doc_idx)?;
                part.read(start + end.saturating_sub(1), start + end, &mut buffer)?;
                if details.eos_id.is_some_and(|eos| buffer != [eos]) {
                    return Err(broken(&format!("{stem}.bin"), format!("document {doc_idx} does not end with its closing token")));
                }
                of_shard.push(end - first);
            }
        }
        if n_documents != part.n_documents() {
            return Err(broken(Manifest::FILE, format!("{split} holds {n_documents} documents, which it does not say")));
        }
    }
    let mut n_listed: HashMap<String, u64> = HashMap::new();
    for document in read_documents(folder)? {
        let document = document?;
        let of_shard = n_listed.entry(document.shard.clone()).or_default();
        let length = lengths.get(&document.shard).and_then(|l| l.get(document.doc_idx as usize));
        if document.doc_idx != *of_shard || length != Some(&document.n_tokens) {
            return Err(broken(Manifest::FILE, format!("`{}` is not where it says", document.doc_id)));
        }
        *of_shard += 1;
    }
    match lengths.iter().find(|(shard, l)| n_listed.get(*shard).copied().unwrap_or(0) != l.len() as u64) {
        None => Ok(set),
        Some((shard, _)) => Err(broken(Manifest::FILE, format!("it leaves out documents of {shard}"))),
    }
}
