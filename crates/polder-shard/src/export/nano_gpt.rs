//! `train.bin` and `val.bin` of nanoGPT: u16 and nothing else. The closing token stands behind each document, as it does in a set.
//!
//! # Source
//! karpathy/nanoGPT `data/openwebtext/prepare.py`, `train.py`.

use std::path::Path;

use polder_base::ManifestFile;

use super::Sink;
use super::token_file::TokenFile;
use crate::documents::DocumentLine;
use crate::error::ShardError;
use crate::index::Dtype;
use crate::mapped::MappedFile;
use crate::summed_file::SummedFile;

pub(super) struct Writer(SummedFile);

impl Writer {
    pub fn create(folder: &Path, split: &str) -> Result<Self, ShardError> {
        // Its trainer opens this name.
        let name = if split == "validation" { "val" } else { split };
        Ok(Self(SummedFile::create(folder, &format!("{name}.bin"))?))
    }
}

impl Sink for Writer {
    fn document(&mut self, _: &DocumentLine, tokens: &mut [u32]) -> Result<(), ShardError> {
        self.0.write_tokens(Dtype::U16, tokens)
    }

    fn finish(self: Box<Self>) -> Result<Vec<ManifestFile>, ShardError> {
        Ok(vec![self.0.close()?.file])
    }
}

impl TokenFile {
    /// Opens a file of nanoGPT. It says nothing about itself: any even number of bytes is one.
    ///
    /// # Errors
    /// It cannot be read, or its bytes are odd in number.
    pub fn open_nano_gpt(path: &Path) -> Result<Self, ShardError> {
        let file = MappedFile::open(path)?;
        match file.len() % 2 {
            0 => Ok(Self { file, header_bytes: 0, width: 2 }),
            _ => Err(Self::broken(&file, format!("byte {}: half a token", file.len() - 1))),
        }
    }
}
