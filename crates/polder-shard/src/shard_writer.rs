//! Writes one shard: four files that appear under their names when it is full.

use std::path::{Path, PathBuf};

use polder_base::{ManifestFile, write_whole};
use serde::{Deserialize, Serialize};

use crate::details::ShardDetails;
use crate::documents::{self, DocumentLine};
use crate::error::ShardError;
use crate::index::Dtype;
use crate::index_writer::write_index;
use crate::set_writer::ShardOptions;
use crate::summed_file::SummedFile;
use crate::sums_file::{self, FileSums, ShardSums};

/// A shard whose files stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DoneShard {
    pub details: ShardDetails,
    pub files: Vec<ManifestFile>,
}

/// A shard being written. It holds a block of two files, the lengths of its documents and a count for each id.
pub(crate) struct ShardWriter {
    folder: PathBuf,
    dtype: Dtype,
    tokens: SummedFile,
    documents: SummedFile,
    lengths: Vec<i32>,
    counts: Vec<u64>,
    details: ShardDetails,
    line: Vec<u8>,
}

impl ShardWriter {
    pub fn create(folder: &Path, split: &str, name: String, options: &ShardOptions) -> Result<Self, ShardError> {
        Ok(Self {
            folder: folder.to_owned(),
            dtype: Dtype::of_vocab(options.vocab_size),
            tokens: SummedFile::create(folder, &format!("{name}.bin"))?,
            documents: SummedFile::create(folder, &format!("{name}.{}", documents::ENDING))?,
            lengths: Vec::new(),
            counts: vec![0; options.vocab_size],
            details: ShardDetails {
                name,
                split: split.to_owned(),
                n_tokens: 0,
                n_documents: 0,
                text_bytes: 0,
                first_doc_id: String::new(),
                last_doc_id: String::new(),
            },
            line: Vec::new(),
        })
    }

    pub fn n_tokens(&self) -> u64 {
        self.details.n_tokens
    }

    /// Writes a document, given as parts that follow each other.
    pub fn push(&mut self, document: &DocumentLine, parts: &[&[u32]]) -> Result<(), ShardError> {
        let refuse = |reason| ShardError::Document { doc_id: document.doc_id.clone(), reason };
        let too_many = |_| refuse(format!("its {} tokens are more than the format's {}", document.n_tokens, i32::MAX));
        let length = i32::try_from(document.n_tokens).map_err(too_many)?;
        let vocab_size = self.counts.len();
        // The largest is found many at a time; which one it was is asked only when one is wrong.
        let largest_of = |tokens: &&[u32]| tokens.iter().fold(0, |largest, token| u32::max(largest, *token));
        let largest = parts.iter().map(largest_of).fold(0, u32::max);
        if largest as usize >= vocab_size && document.n_tokens > 0 {
            let mut tokens = parts.iter().copied().flatten().copied().enumerate();
            let (at, token) = tokens.find(|(_, t)| *t as usize >= vocab_size).unwrap_or_default();
            return Err(refuse(format!("its token {at} is {token}, outside the vocabulary of {vocab_size}")));
        }
        for tokens in parts {
            tokens.iter().for_each(|t| self.counts[*t as usize] += 1);
            self.tokens.write_tokens(self.dtype, tokens)?;
        }
        self.lengths.push(length);
        self.line.clear();
        serde_json::to_writer(&mut self.line, document).map_err(|e| refuse(e.to_string()))?;
        self.line.push(b'\n');
        self.documents.write(&self.line)?;
        let details = &mut self.details;
        if details.n_documents == 0 {
            details.first_doc_id.clone_from(&document.doc_id);
        }
        details.last_doc_id.clone_from(&document.doc_id);
        details.n_documents += 1;
        details.n_tokens += document.n_tokens;
        details.text_bytes += document.text_bytes;
        Ok(())
    }

    /// Syncs its files and gives them their names.
    pub fn close(self) -> Result<DoneShard, ShardError> {
        let mut index = SummedFile::create(&self.folder, &format!("{}.idx", self.details.name))?;
        write_index(&mut index, self.dtype, &self.lengths)?;
        let written = [self.tokens.close()?, index.close()?, self.documents.close()?];
        let sums = written.each_ref().map(|w| FileSums { bytes: w.file.bytes, blocks: w.sums.clone() });
        let sums = ShardSums { files: sums, token_counts: self.counts }.to_bytes();
        let path = format!("{}.{}", self.details.name, sums_file::ENDING);
        // The last of the four: this also syncs the folder, and with it the names of the others.
        write_whole(&self.folder.join(&path), &sums)?;
        let mut files: Vec<ManifestFile> = written.into_iter().map(|w| w.file).collect();
        files.push(ManifestFile { path, bytes: sums.len() as u64, digest: polder_base::digest_bytes(&sums) });
        Ok(DoneShard { details: self.details, files })
    }
}
