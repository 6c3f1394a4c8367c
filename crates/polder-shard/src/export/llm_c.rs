//! `SPLIT_000000.bin` of llm.c: 256 i32 of header, of which three are used, then tokens.
//!
//! llm.c and its descendants mark the beginning of a document, so a closing token is written before its document instead of behind
//! it where no other opens it. A file's header counts its tokens: the lists of documents are read beforehand to know it.
//!
//! # Source
//! karpathy/llm.c `dev/data/data_common.py`, `llmc/dataloader.h`: magic 20240520 and version 1 for u16, 20240801 and 7 for u32;
//! fewer than 2³¹ tokens a file.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use polder_base::ManifestFile;

use super::token_file::TokenFile;
use super::{ExportFormat, ExportOptions, Sink};
use crate::documents::{DocumentLine, DocumentLines};
use crate::error::ShardError;
use crate::index::Dtype;
use crate::mapped::MappedFile;
use crate::reader::TokenSet;
use crate::summed_file::SummedFile;

const HEADER_BYTES: usize = 1024;
const NARROW: (i32, i32) = (20_240_520, 1);
const WIDE: (i32, i32) = (20_240_801, 7);
const TOKENS_MAX: u64 = (1 << 31) - 1;

/// What goes into a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Planned {
    n_documents: u64,
    n_tokens: u64,
}

pub(super) struct Writer {
    folder: PathBuf,
    split: String,
    wide: bool,
    /// The closing token goes before the document.
    turned: bool,
    planned: VecDeque<Planned>,
    open: Option<(SummedFile, Planned)>,
    files: Vec<ManifestFile>,
}

impl Writer {
    pub fn plan(set: &TokenSet, split: &str, folder: &Path, options: &ExportOptions) -> Result<Self, ShardError> {
        let max = options.tokens_per_file_max.min(TOKENS_MAX);
        let mut planned = VecDeque::new();
        let mut file = Planned::default();
        for shard in set.details().shards.iter().filter(|s| s.split == split) {
            for line in DocumentLines::open(set.folder(), &shard.name)? {
                let n_tokens = line?.n_tokens;
                if file.n_documents > 0 && file.n_tokens.saturating_add(n_tokens) > max {
                    planned.push_back(std::mem::take(&mut file));
                }
                file.n_documents += 1;
                file.n_tokens = file.n_tokens.saturating_add(n_tokens);
            }
        }
        if file.n_documents > 0 {
            planned.push_back(file);
        }
        let wide = options.format == ExportFormat::LlmCWide;
        let turned = set.details().bos_id.is_none() && set.details().eos_id.is_some();
        Ok(Self { folder: folder.to_owned(), split: split.to_owned(), wide, turned, planned, open: None, files: Vec::new() })
    }
}

impl Sink for Writer {
    fn document(&mut self, line: &DocumentLine, tokens: &mut [u32]) -> Result<(), ShardError> {
        if self.turned {
            tokens.rotate_right(1);
        }
        let (mut file, mut left) = match self.open.take() {
            Some(open) => open,
            None => {
                let name = format!("{}_{:06}.bin", self.split, self.files.len());
                let planned = self.planned.pop_front().unwrap_or_default();
                let mut file = SummedFile::create(&self.folder, &name)?;
                file.write(&header(self.wide, planned.n_tokens as i32))?;
                (file, planned)
            }
        };
        // Two bytes or four; the sign of i32 is never set.
        file.write_tokens(if self.wide { Dtype::I32 } else { Dtype::U16 }, tokens)?;
        let counted = left.n_documents.checked_sub(1).zip(left.n_tokens.checked_sub(line.n_tokens));
        let Some((n_documents, n_tokens)) = counted else {
            let reason = "the list of documents changed while it was read".into();
            return Err(ShardError::Document { doc_id: line.doc_id.clone(), reason });
        };
        left = Planned { n_documents, n_tokens };
        if n_documents == 0 {
            self.files.push(file.close()?.file);
        } else {
            self.open = Some((file, left));
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Vec<ManifestFile>, ShardError> {
        Ok(self.files)
    }
}

pub(super) fn header(wide: bool, n_tokens: i32) -> [u8; HEADER_BYTES] {
    let (magic, version) = if wide { WIDE } else { NARROW };
    let mut out = [0; HEADER_BYTES];
    for (place, number) in out.chunks_exact_mut(4).zip([magic, version, n_tokens]) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    out
}

impl TokenFile {
    /// Opens a file of llm.c, of either width.
    ///
    /// # Errors
    /// It cannot be read, or is not one.
    pub fn open_llm_c(path: &Path) -> Result<Self, ShardError> {
        let file = MappedFile::open(path)?;
        if file.len() < HEADER_BYTES {
            return Err(Self::broken(&file, format!("its {} bytes are too few for a header of {HEADER_BYTES}", file.len())));
        }
        let number = |i: usize| i32::from_le_bytes([file[4 * i], file[4 * i + 1], file[4 * i + 2], file[4 * i + 3]]);
        let width = match (number(0), number(1)) {
            NARROW => 2,
            WIDE => 4,
            (magic, version) => return Err(Self::broken(&file, format!("byte 0: magic {magic} with version {version} is not known"))),
        };
        let wanted = i64::from(number(2)) * width as i64 + HEADER_BYTES as i64;
        if number(2) < 0 || wanted != file.len() as i64 {
            return Err(Self::broken(&file, format!("byte 8: it has {} bytes, not the {wanted} of {} tokens", file.len(), number(2))));
        }
        Ok(Self { file, header_bytes: HEADER_BYTES, width })
    }
}
