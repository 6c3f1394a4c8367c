//! Safetensors files read piece by piece: the header first, checked against the file's length, then one tensor at a time,
//! so that a file never asks for more memory than it has bytes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use serde::Deserialize;
use serde_json::Value;

use super::numbers_from;
use crate::ModelError;

/// The largest header that the format allows.
const HEADER_MAX: u64 = 100_000_000;
/// Bytes that are read at once; a multiple of every size of number.
const PIECE: usize = 1 << 20;

/// One tensor of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    first: u64,
    end: u64,
}

/// A safetensors file with its header read.
#[derive(Debug)]
pub(crate) struct TensorFile {
    path: PathBuf,
    file: File,
    tensors: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Info {
    dtype: Dtype,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

impl TensorFile {
    /// Opens a file and reads what it says it holds.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let unreadable = |source| ModelError::Read { path: path.to_owned(), source };
        let wrong = |reason: String| ModelError::TensorFile { path: path.to_owned(), reason };
        let mut file = File::open(path).map_err(unreadable)?;
        let bytes = file.metadata().map_err(unreadable)?.len();
        if bytes < 8 {
            return Err(wrong(format!("it has {bytes} bytes")));
        }
        let mut prefix = [0u8; 8];
        file.read_exact(&mut prefix).map_err(unreadable)?;
        let header_bytes = u64::from_le_bytes(prefix);
        if header_bytes > HEADER_MAX || header_bytes > bytes - 8 {
            return Err(wrong(format!("its header claims {header_bytes} bytes of {bytes}")));
        }
        let mut header = vec![0u8; header_bytes as usize];
        file.read_exact(&mut header).map_err(unreadable)?;
        let header: BTreeMap<String, Value> = serde_json::from_slice(&header).map_err(|e| wrong(format!("its header is no JSON: {e}")))?;
        let data = 8 + header_bytes;
        let mut tensors = BTreeMap::new();
        for (name, value) in header {
            if name != "__metadata__" {
                let info: Info = serde_json::from_value(value).map_err(|e| wrong(format!("its header describes `{name}` wrongly: {e}")))?;
                let (first, end) = info.data_offsets;
                let numbers = info.shape.iter().try_fold(1u64, |n, s| n.checked_mul(*s as u64));
                let sound = numbers
                    .and_then(|n| n.checked_mul(info.dtype.bitsize() as u64))
                    .is_some_and(|bits| first <= end && end <= bytes - data && bits.is_multiple_of(8) && bits / 8 == end - first);
                if !sound {
                    return Err(wrong(format!("`{name}` of shape {:?} cannot stand at {first} to {end}", info.shape)));
                }
                tensors.insert(name, Entry { dtype: info.dtype, shape: info.shape, first: data + first, end: data + end });
            }
        }
        let mut spans: Vec<(u64, u64)> = tensors.values().map(|t| (t.first, t.end)).collect();
        spans.sort_unstable();
        let mut end = data;
        for (first, next) in spans {
            if first != end {
                return Err(wrong(format!("its tensors overlap or leave a gap at byte {}", end.min(first))));
            }
            end = next;
        }
        if end != bytes {
            return Err(wrong(format!("it has {bytes} bytes, its tensors end at {end}")));
        }
        Ok(Self { path: path.to_owned(), file, tensors })
    }

    /// Its tensors by name.
    pub fn tensors(&self) -> &BTreeMap<String, Entry> {
        &self.tensors
    }

    /// Reads a tensor's numbers as f32, all of them finite.
    pub fn read(&mut self, name: &str, out: &mut [f32]) -> Result<(), ModelError> {
        let mut numbers = self.numbers(name)?;
        out.chunks_mut(PIECE / 4).try_for_each(|part| numbers.fill(part))
    }

    /// Reads a tensor's numbers for nothing but to see that all of them can be had.
    pub fn check(&mut self, name: &str) -> Result<(), ModelError> {
        let mut numbers = self.numbers(name)?;
        let mut left = numbers.len;
        let mut part = vec![0f32; left.min(PIECE / 4)];
        while left > 0 {
            let n = left.min(part.len());
            numbers.fill(&mut part[..n])?;
            left -= n;
        }
        Ok(())
    }

    fn numbers<'a>(&'a mut self, name: &'a str) -> Result<Numbers<'a>, ModelError> {
        let Some(entry) = self.tensors.get(name) else { return Err(wrong_numbers(name, "is missing")) };
        let unreadable = |source| ModelError::Read { path: self.path.clone(), source };
        self.file.seek(SeekFrom::Start(entry.first)).map_err(unreadable)?;
        let (dtype, len) = (entry.dtype, entry.shape.iter().product());
        let bytes = vec![0; (PIECE / 4).min(len) * dtype.bitsize() / 8];
        Ok(Numbers { path: &self.path, file: &mut self.file, name, dtype, len, bytes })
    }
}

fn wrong_numbers(name: &str, what: &str) -> ModelError {
    ModelError::Tensors { reason: format!("`{name}` {what}") }
}

/// A tensor's numbers, of which the next ones can be read.
struct Numbers<'a> {
    path: &'a Path,
    file: &'a mut File,
    name: &'a str,
    dtype: Dtype,
    len: usize,
    bytes: Vec<u8>,
}

impl Numbers<'_> {
    fn fill(&mut self, part: &mut [f32]) -> Result<(), ModelError> {
        let bytes = &mut self.bytes[..part.len() * self.dtype.bitsize() / 8];
        self.file.read_exact(bytes).map_err(|source| ModelError::Read { path: self.path.to_owned(), source })?;
        numbers_from(part, self.dtype, bytes);
        if part.iter().all(|x| x.is_finite()) { Ok(()) } else { Err(wrong_numbers(self.name, "holds a number that is not finite")) }
    }
}
