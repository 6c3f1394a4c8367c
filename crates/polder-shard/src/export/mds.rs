//! MosaicML streaming, MDS version 2: `SPLIT/shard.00000.mds` and `SPLIT/index.json`; a sample a document, with the columns `doc_id`
//! and `tokens`.
//!
//! A shard is u32 samples N, u32 offsets (N + 1, from the file's start), the configuration as JSON, the samples. A sample is a u32
//! size for each column of variable size, then the columns in order of name. An array is a byte (dimensions · 4 + width of a
//! dimension: 0 u8, 1 u16, 2 u32, 3 u64), its dimensions, its numbers.
//!
//! # Source
//! mosaicml/streaming `streaming/base/format/mds/{writer,reader,encodings}.py`, `streaming/base/format/base/writer.py`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use polder_base::{ManifestFile, digest_bytes, write_whole};
use serde::Deserialize;

use super::Sink;
use crate::documents::DocumentLine;
use crate::error::{ShardError, wrong};
use crate::mapped::MappedFile;
use crate::summed_file::SummedFile;

/// The writer's default, and what a shard is held in memory for.
const SHARD_BYTES: u64 = 1 << 26;
/// Offsets are u32.
const SHARD_BYTES_MAX: u64 = u32::MAX as u64;

/// The columns of a shard: name and encoding, in order of name.
type Columns = [(&'static str, &'static str)];

pub(super) struct Writer {
    folder: PathBuf,
    split: String,
    wide: bool,
    size_limit: u64,
    config: String,
    /// Ends of the open shard's samples within its data.
    ends: Vec<u64>,
    data: Vec<u8>,
    shards: Vec<String>,
    files: Vec<ManifestFile>,
}

impl Writer {
    pub fn create(folder: &Path, split: &str, vocab_size: usize, tokens_per_file_max: u64) -> Result<Self, ShardError> {
        let wide = vocab_size > 1 << 16;
        let inner = folder.join(split);
        fs::create_dir_all(&inner).map_err(wrong("create folder", &inner))?;
        let size_limit = tokens_per_file_max.saturating_mul(if wide { 4 } else { 2 }).clamp(1, SHARD_BYTES);
        let config = config(&columns(wide), "sha256", size_limit);
        let (ends, data, shards, files) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Ok(Self { folder: inner, split: split.to_owned(), wide, size_limit, config, ends, data, shards, files })
    }

    fn flush(&mut self) -> Result<(), ShardError> {
        if self.ends.is_empty() {
            return Ok(());
        }
        let name = format!("shard.{:05}.mds", self.shards.len());
        let mut file = SummedFile::create(&self.folder, &name)?;
        file.write(&head(&self.config, &self.ends))?;
        file.write(&self.data)?;
        let mut written = file.close()?.file;
        self.shards.push(entry(&self.config, &written, self.ends.len()));
        written.path = format!("{}/{}", self.split, written.path);
        self.files.push(written);
        self.ends.clear();
        self.data.clear();
        Ok(())
    }
}

fn columns(wide: bool) -> [(&'static str, &'static str); 2] {
    [("doc_id", "str"), ("tokens", if wide { "ndarray:uint32" } else { "ndarray:uint16" })]
}

/// The configuration as Python's `json.dumps(…, sort_keys=True)` writes it.
fn config(columns: &Columns, hash: &str, size_limit: u64) -> String {
    let quoted = |of: &dyn Fn(&(&'static str, &'static str)) -> String| columns.iter().map(of).collect::<Vec<_>>().join(", ");
    let (encodings, names) = (quoted(&|c| format!("\"{}\"", c.1)), quoted(&|c| format!("\"{}\"", c.0)));
    let sizes = quoted(&|c| fixed_size(c.1).map_or("null".into(), |n| n.to_string()));
    format!(
        "{{\"column_encodings\": [{encodings}], \"column_names\": [{names}], \"column_sizes\": [{sizes}], \"compression\": null, \
         \"format\": \"mds\", \"hashes\": [\"{hash}\"], \"size_limit\": {size_limit}, \"version\": 2}}"
    )
}

/// A shard in `index.json`.
fn entry(config: &str, file: &ManifestFile, n_samples: usize) -> String {
    let raw =
        format!("{{\"basename\": \"{}\", \"bytes\": {}, \"hashes\": {{\"sha256\": \"{}\"}}}}", file.path, file.bytes, file.digest.hex());
    let config = config.trim_end_matches('}');
    format!("{config}, \"raw_data\": {raw}, \"samples\": {n_samples}, \"zip_data\": null}}")
}

/// Count, offsets and configuration of a shard whose samples end there.
fn head(config: &str, ends: &[u64]) -> Vec<u8> {
    let first = 4 + 4 * (ends.len() as u64 + 1) + config.len() as u64;
    let mut out = (ends.len() as u32).to_le_bytes().to_vec();
    // Below 2³²: `document` refuses what would not be.
    [0].iter().chain(ends).for_each(|end| out.extend_from_slice(&((first + end) as u32).to_le_bytes()));
    out.extend_from_slice(config.as_bytes());
    out
}

/// A one-dimensional array's head.
fn array_head(n: u64) -> Vec<u8> {
    let of = |code: u8, bytes: &[u8]| [&[1 << 2 | code], bytes].concat();
    match n {
        0..=0xff => of(0, &[n as u8]),
        0x100..=0xffff => of(1, &(n as u16).to_le_bytes()),
        0x1_0000..=0xffff_ffff => of(2, &(n as u32).to_le_bytes()),
        _ => of(3, &n.to_le_bytes()),
    }
}

impl Sink for Writer {
    fn document(&mut self, line: &DocumentLine, tokens: &mut [u32]) -> Result<(), ShardError> {
        // The format has no empty arrays.
        if tokens.is_empty() {
            return Ok(());
        }
        let width: u64 = if self.wide { 4 } else { 2 };
        let array_head = array_head(tokens.len() as u64);
        let array_bytes = array_head.len() as u64 + tokens.len() as u64 * width;
        let sample_bytes = 8 + line.doc_id.len() as u64 + array_bytes;
        let head_bytes = |n: usize| 8 + 4 * n as u64 + self.config.len() as u64;
        let bytes = head_bytes(self.ends.len() + 1) + self.data.len() as u64 + sample_bytes;
        if bytes > self.size_limit {
            if head_bytes(1) + sample_bytes > SHARD_BYTES_MAX {
                let reason = format!("its {sample_bytes} bytes are more than a shard of MDS has");
                return Err(ShardError::Document { doc_id: line.doc_id.clone(), reason });
            }
            self.flush()?;
        }
        self.data.extend_from_slice(&(line.doc_id.len() as u32).to_le_bytes());
        self.data.extend_from_slice(&(array_bytes as u32).to_le_bytes());
        self.data.extend_from_slice(line.doc_id.as_bytes());
        self.data.extend_from_slice(&array_head);
        match self.wide {
            true => self.data.extend(tokens.iter().flat_map(|t| t.to_le_bytes())),
            false => self.data.extend(tokens.iter().flat_map(|t| (*t as u16).to_le_bytes())),
        }
        self.ends.push(self.data.len() as u64);
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<ManifestFile>, ShardError> {
        self.flush()?;
        let index = format!("{{\"shards\": [{}], \"version\": 2}}", self.shards.join(", "));
        write_whole(&self.folder.join("index.json"), index.as_bytes())?;
        let path = format!("{}/index.json", self.split);
        self.files.push(ManifestFile { path, bytes: index.len() as u64, digest: digest_bytes(index.as_bytes()) });
        Ok(self.files)
    }
}

/// Bytes of a column that are the same in every sample.
fn fixed_size(encoding: &str) -> Option<u64> {
    match encoding {
        "uint8" | "int8" => Some(1),
        "uint16" | "int16" | "float16" => Some(2),
        "uint32" | "int32" | "float32" => Some(4),
        "uint64" | "int64" | "float64" | "int" => Some(8),
        _ => None,
    }
}

/// A folder of MDS shards that are not compressed.
#[derive(Debug)]
pub struct MdsFolder {
    shards: Vec<Shard>,
    n_samples: u64,
}

/// A sample: its columns' bytes by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MdsSample<'a> {
    /// Encoding and bytes of each column.
    pub columns: BTreeMap<&'a str, (&'a str, &'a [u8])>,
}

#[derive(Debug)]
struct Shard {
    file: MappedFile,
    entry: Entry,
    /// The number of its first sample.
    first: u64,
}

/// What is needed of `index.json`; the format is foreign, so other keys may stand in it.
#[derive(Debug, Deserialize)]
struct IndexFile {
    version: u64,
    shards: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    column_names: Vec<String>,
    column_encodings: Vec<String>,
    column_sizes: Vec<Option<u64>>,
    format: String,
    compression: Option<String>,
    samples: u64,
    raw_data: RawData,
}

#[derive(Debug, Deserialize)]
struct RawData {
    basename: String,
    bytes: u64,
}

impl MdsFolder {
    /// Opens a folder with an `index.json`.
    ///
    /// # Errors
    /// It cannot be read, is not of this format, or its shards are compressed.
    pub fn open(folder: &Path) -> Result<Self, ShardError> {
        let path = folder.join("index.json");
        let broken = |reason: String| ShardError::Broken { path: path.clone(), reason };
        let text = fs::read(&path).map_err(|source| ShardError::Read { path: path.clone(), source })?;
        let index: IndexFile = serde_json::from_slice(&text).map_err(|e| broken(format!("it is not an index of MDS: {e}")))?;
        if index.version != 2 {
            return Err(broken(format!("its version is {}, only 2 is known", index.version)));
        }
        let (mut shards, mut n_samples) = (Vec::new(), 0u64);
        for entry in index.shards {
            let name = &entry.raw_data.basename;
            if entry.format != "mds" || entry.compression.is_some() {
                return Err(broken(format!("`{name}` is compressed or of another format than MDS")));
            }
            if Path::new(name).file_name().is_none_or(|n| n != name.as_str()) {
                return Err(broken(format!("`{name}` names no file beside it")));
            }
            if entry.column_names.len() != entry.column_encodings.len() || entry.column_names.len() != entry.column_sizes.len() {
                return Err(broken(format!("`{name}` has columns without an encoding or a size")));
            }
            let file = MappedFile::open(&folder.join(name))?;
            let first = n_samples;
            n_samples = n_samples.checked_add(entry.samples).ok_or_else(|| broken("it counts too many samples".into()))?;
            shards.push(Shard::check(file, entry, first)?);
        }
        Ok(Self { shards, n_samples })
    }

    /// Number of samples.
    pub fn n_samples(&self) -> u64 {
        self.n_samples
    }

    /// A sample.
    ///
    /// # Errors
    /// No such sample, or one that points outside its shard.
    pub fn sample(&self, idx: u64) -> Result<MdsSample<'_>, ShardError> {
        let shard = self.shards.iter().rev().find(|s| s.first <= idx && idx - s.first < s.entry.samples);
        shard.ok_or(ShardError::Sample { idx, n_samples: self.n_samples })?.sample(idx)
    }
}

impl Shard {
    fn check(file: MappedFile, entry: Entry, first: u64) -> Result<Self, ShardError> {
        let shard = Self { file, entry, first };
        let (found, said) = (shard.file.len() as u64, shard.entry.raw_data.bytes);
        if found != said {
            return Err(shard.broken(format!("it has {found} bytes, and its index says {said}")));
        }
        match shard.number(0) {
            Some(n) if u64::from(n) == shard.entry.samples => Ok(shard),
            _ => Err(shard.broken(format!("byte 0: it does not hold the {} samples that its index says", shard.entry.samples))),
        }
    }

    fn broken(&self, reason: String) -> ShardError {
        ShardError::Broken { path: self.file.path().to_owned(), reason }
    }

    fn number(&self, at: usize) -> Option<u32> {
        self.file.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn sample(&self, idx: u64) -> Result<MdsSample<'_>, ShardError> {
        let at = 4 + 4 * (idx - self.first) as usize;
        let range = self.number(at).zip(self.number(at + 4)).map(|(start, end)| start as usize..end as usize);
        let bytes = range.clone().and_then(|r| self.file.get(r));
        let bytes = bytes.ok_or_else(|| self.broken(format!("byte {at}: sample {idx} lies outside of it")))?;
        let (names, encodings) = (&self.entry.column_names, &self.entry.column_encodings);
        // A size of 0 stands for none, as the format's reader has it.
        let n_sizes = self.entry.column_sizes.iter().filter(|s| s.unwrap_or(0) == 0).count();
        let start = range.map_or(0, |r| r.start);
        let short = || self.broken(format!("byte {start}: sample {idx} is shorter than its columns"));
        let (mut sizes, mut data) = bytes.split_at_checked(4 * n_sizes).ok_or_else(short)?;
        let mut columns = BTreeMap::new();
        for (i, fixed) in self.entry.column_sizes.iter().enumerate() {
            let size = match fixed.filter(|s| *s > 0) {
                Some(size) => usize::try_from(size).ok(),
                None => sizes.split_off(..4).and_then(|s| s.try_into().ok()).map(|s| u32::from_le_bytes(s) as usize),
            };
            let (column, rest) = size.and_then(|n| data.split_at_checked(n)).ok_or_else(short)?;
            columns.insert(names[i].as_str(), (encodings[i].as_str(), column));
            data = rest;
        }
        if data.is_empty() { Ok(MdsSample { columns }) } else { Err(self.broken(format!("byte {start}: sample {idx} is too long"))) }
    }
}

impl MdsSample<'_> {
    /// A text column.
    ///
    /// # Errors
    /// There is none of that name, or it is no text.
    pub fn text(&self, name: &str) -> Result<&str, io::Error> {
        match self.columns.get(name) {
            Some(("str", bytes)) => std::str::from_utf8(bytes).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e)),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, format!("there is no text column `{name}`"))),
        }
    }

    /// A column of unsigned numbers in one dimension.
    ///
    /// # Errors
    /// There is none of that name, or its bytes are not such an array.
    pub fn tokens(&self, name: &str) -> Result<Vec<u32>, io::Error> {
        let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidData, format!("column `{name}` {why}"));
        let (encoding, bytes) = self.columns.get(name).ok_or_else(|| wrong("is not there"))?;
        let width = match *encoding {
            "ndarray:uint16" => 2,
            "ndarray:uint32" => 4,
            _ => return Err(wrong("is no array of u16 or u32")),
        };
        let (head, rest) = bytes.split_first().ok_or_else(|| wrong("is empty"))?;
        let dimension_bytes = 1 << (head & 3);
        let (dimension, data) =
            rest.split_at_checked(dimension_bytes).filter(|_| head >> 2 == 1).ok_or_else(|| wrong("has not one dimension"))?;
        let n = dimension.iter().rev().fold(0u64, |n, b| n << 8 | u64::from(*b));
        if n.checked_mul(width) != Some(data.len() as u64) {
            return Err(wrong("has not as many numbers as it says"));
        }
        Ok(data.chunks_exact(width as usize).map(|c| c.iter().rev().fold(0, |n, b| n << 8 | u32::from(*b))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_has_the_bytes_that_streaming_writes() {
        // MDSWriter(columns={tokens: ndarray:uint16, id: str, n: uint32}, hashes=[sha1], size_limit=1<<20),
        // samples ([1, 2, 3, 50256], "a", 4) and ([7], "bc", 1).
        let config = config(&[("id", "str"), ("n", "uint32"), ("tokens", "ndarray:uint16")], "sha1", 1 << 20);
        let (mut data, mut ends) = (Vec::new(), Vec::new());
        for (id, n, tokens) in [("a", 4u32, &[1u16, 2, 3, 50256][..]), ("bc", 1, &[7])] {
            let array = [array_head(tokens.len() as u64), tokens.iter().flat_map(|t| t.to_le_bytes()).collect()].concat();
            data.extend_from_slice(&(id.len() as u32).to_le_bytes());
            data.extend_from_slice(&(array.len() as u32).to_le_bytes());
            data.extend_from_slice(id.as_bytes());
            data.extend_from_slice(&n.to_le_bytes());
            data.extend_from_slice(&array);
            ends.push(data.len() as u64);
        }
        let bytes = [head(&config, &ends), data].concat();
        assert_eq!(bytes.len(), 281);
        assert_eq!(digest_bytes(&bytes).hex(), "919306b4d63124d33dac8eb42afcb56baf59a4f2e77c92ab09c7648d24451291");
        // And it is understood.
        let dir = tempfile::tempdir().expect("temporary folder");
        let file = SummedFile::create(dir.path(), "shard.00000.mds").and_then(|mut f| f.write(&bytes).map(|()| f)).expect("write");
        let written = file.close().expect("close").file;
        let index = format!("{{\"shards\": [{}], \"version\": 2}}", entry(&config, &written, 2));
        fs::write(dir.path().join("index.json"), index).expect("write");
        let folder = MdsFolder::open(dir.path()).expect("open");
        let sample =
            |i| folder.sample(i).map(|s| (s.text("id").expect("id").to_owned(), s.columns["n"].1[0], s.tokens("tokens").expect("tokens")));
        assert_eq!(sample(0).expect("sample"), ("a".into(), 4, vec![1, 2, 3, 50256]));
        assert_eq!(sample(1).expect("sample"), ("bc".into(), 1, vec![7]));
        assert!(sample(2).is_err());
    }

    #[test]
    fn the_head_of_an_array_takes_the_narrowest_number() {
        assert_eq!(array_head(255), [4, 255]);
        assert_eq!(array_head(256), [5, 0, 1]);
        assert_eq!(array_head(65_536), [6, 0, 0, 1, 0]);
        assert_eq!(array_head(1 << 32), [7, 0, 0, 0, 0, 1, 0, 0, 0]);
    }
}
