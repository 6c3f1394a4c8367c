//! A zip archive: the directory at its end says where members stand, and each is read from there.
//!
//! # Source
//! PKWARE's APPNOTE.TXT 6.3.10, §4.3 and §4.4.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};

use flate2::Crc;

use super::{Bytes, Layer, broken, is_hidden};
use crate::compression::Counted;
use crate::encoding;
use crate::record::{Fault, Flow, Member, Sink};

const END: u32 = 0x0605_4b50;
const END_BYTES: usize = 22;
const END_64_LOCATOR: u32 = 0x0706_4b50;
const END_64: u32 = 0x0606_4b50;
const ENTRY: u32 = 0x0201_4b50;
const ENTRY_BYTES: usize = 46;
const LOCAL: u32 = 0x0403_4b50;
const LOCAL_BYTES: usize = 30;
/// The directory's end is followed by a comment of at most 65,535 bytes.
const TAIL_BYTES: u64 = 65_535 + END_BYTES as u64 + 20;
/// Directories are held in memory.
const DIRECTORY_BYTES_MAX: u64 = 1 << 30;
const BUFFER_BYTES: usize = 64 << 10;
/// File type and symbolic link in the mode of a file.
const S_IFMT: u32 = 0o170_000;
const S_IFLNK: u32 = 0o120_000;

struct Entry {
    name: String,
    method: u16,
    is_encrypted: bool,
    is_link: bool,
    crc: u32,
    packed_bytes: u64,
    bytes: u64,
    at: u64,
}

pub(crate) fn read(archive: &Member, mut file: File, layer: &Layer, sink: &mut Sink<'_>) -> Flow {
    let entries = match directory(&mut file) {
        Ok(entries) => entries,
        Err(e) => return sink.bad(archive.clone(), broken(&e)),
    };
    if entries.is_empty() {
        return sink.bad(archive.clone(), Fault::new("empty", "no members"));
    }
    let deeper = layer.deeper();
    for entry in entries {
        if entry.is_link {
            sink.links += 1;
        } else if !entry.name.ends_with('/') && !is_hidden(&entry.name) {
            let member = archive.inside(&entry.name);
            match open(&file, &entry, layer) {
                Ok(stream) => super::read(member, Bytes::Stream(stream), &deeper, sink)?,
                Err(fault) => sink.bad(member, fault)?,
            }
        }
    }
    Ok(())
}

/// Opens one member.
fn open<'f>(file: &'f File, entry: &Entry, layer: &Layer) -> Result<Box<dyn Read + 'f>, Fault> {
    if entry.is_encrypted {
        return Err(Fault::new("encrypted", "it needs a password").with_bytes(entry.bytes));
    }
    let mut part = Part { file, at: entry.at, left: LOCAL_BYTES as u64 };
    let mut local = [0; LOCAL_BYTES];
    part.read_exact(&mut local).map_err(|e| broken(&e))?;
    if u32_at(&local, 0) != LOCAL {
        return Err(Fault::new("corrupt", "its member does not stand where the directory says"));
    }
    let at = entry.at + LOCAL_BYTES as u64 + u64::from(u16_at(&local, 26)) + u64::from(u16_at(&local, 28));
    let consumed = std::rc::Rc::default();
    let packed = Counted { reader: Part { file, at, left: entry.packed_bytes }, n: std::rc::Rc::clone(&consumed) };
    let packed = BufReader::with_capacity(BUFFER_BYTES, packed);
    let unpacked: Box<dyn Read + 'f> = match entry.method {
        0 => Box::new(packed),
        8 => Box::new(flate2::bufread::DeflateDecoder::new(packed)),
        12 => Box::new(bzip2::bufread::BzDecoder::new(packed)),
        93 => Box::new(zstd::stream::read::Decoder::with_buffer(packed).map_err(|e| broken(&e))?),
        95 => Box::new(liblzma::bufread::XzDecoder::new(packed)),
        other => return Err(Fault::new("unsupported", format!("compression method {other}")).with_bytes(entry.bytes)),
    };
    let checked = Box::new(Checked { stream: unpacked, crc: Crc::new(), expected: entry.crc });
    Ok(layer.budget.expanding(checked, consumed))
}

/// Reads the directory of members.
fn directory(file: &mut File) -> io::Result<Vec<Entry>> {
    let bad = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text.to_owned());
    let size = file.seek(SeekFrom::End(0))?;
    let tail_at = size.saturating_sub(TAIL_BYTES);
    let tail = exactly(file, tail_at, size - tail_at)?;
    let end = (0..(tail.len() + 1).saturating_sub(END_BYTES)).rev().find(|i| u32_at(&tail, *i) == END);
    let end = end.ok_or_else(|| bad("it has no directory of members: it is no zip archive, or its end is missing"))?;
    let mut n = u64::from(u16_at(&tail, end + 10));
    let mut bytes = u64::from(u32_at(&tail, end + 12));
    let mut at = u64::from(u32_at(&tail, end + 16));
    // What does not fit there stands in a second record, which a third one finds.
    if end >= 20 && u32_at(&tail, end - 20) == END_64_LOCATOR {
        let large = exactly(file, u64_at(&tail, end - 12), 56)?;
        if u32_at(&large, 0) != END_64 {
            return Err(bad("its directory does not stand where its end says"));
        }
        (n, bytes, at) = (u64_at(&large, 32), u64_at(&large, 40), u64_at(&large, 48));
    }
    if at.checked_add(bytes).is_none_or(|end| end > size) || bytes > DIRECTORY_BYTES_MAX {
        return Err(bad("its directory does not fit into it"));
    }
    let directory = exactly(file, at, bytes)?;
    let mut entries = Vec::new();
    let mut rest = directory.as_slice();
    for _ in 0..n {
        if rest.len() < ENTRY_BYTES || u32_at(rest, 0) != ENTRY {
            return Err(bad("its directory breaks off"));
        }
        let [name, extra, comment] = [28, 30, 32].map(|i| usize::from(u16_at(rest, i)));
        let whole = ENTRY_BYTES + name + extra + comment;
        if rest.len() < whole {
            return Err(bad("its directory breaks off"));
        }
        entries.push(entry(
            &rest[..ENTRY_BYTES],
            &rest[ENTRY_BYTES..ENTRY_BYTES + name],
            &rest[ENTRY_BYTES + name..ENTRY_BYTES + name + extra],
        ));
        rest = &rest[whole..];
    }
    Ok(entries)
}

fn entry(fixed: &[u8], name: &[u8], extra: &[u8]) -> Entry {
    let [mut packed_bytes, mut bytes, mut at] = [20, 24, 42].map(|i| u64::from(u32_at(fixed, i)));
    // A field of 32 ones stands in the extra part, in this order, and only those do.
    let mut rest = extra;
    while rest.len() >= 4 {
        let (kind, len) = (u16_at(rest, 0), usize::from(u16_at(rest, 2)));
        let mut field = rest.get(4..4 + len).unwrap_or_default();
        if kind == 1 {
            for value in [&mut bytes, &mut packed_bytes, &mut at] {
                if *value == u64::from(u32::MAX) && field.len() >= 8 {
                    *value = u64_at(field, 0);
                    field = &field[8..];
                }
            }
        }
        rest = rest.get(4 + len..).unwrap_or_default();
    }
    let name = match std::str::from_utf8(name) {
        Ok(name) => name.to_owned(),
        Err(_) => encoding::decode(name.to_vec(), None).unwrap_or_else(|_| String::from_utf8_lossy(name).into_owned()),
    };
    let is_unix = u16_at(fixed, 4) >> 8 == 3;
    Entry {
        name: name.replace('\\', "/"),
        method: u16_at(fixed, 10),
        is_encrypted: u16_at(fixed, 8) & 1 != 0,
        is_link: is_unix && (u32_at(fixed, 38) >> 16) & S_IFMT == S_IFLNK,
        crc: u32_at(fixed, 16),
        packed_bytes,
        bytes,
        at,
    }
}

fn exactly(file: &mut File, at: u64, n: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    file.take(n).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == n { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn u16_at(bytes: &[u8], i: usize) -> u16 {
    bytes.get(i..i + 2).and_then(|b| b.try_into().ok()).map_or(0, u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], i: usize) -> u32 {
    bytes.get(i..i + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], i: usize) -> u64 {
    bytes.get(i..i + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// A part of a file.
struct Part<'f> {
    file: &'f File,
    at: u64,
    left: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = buf.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.file.seek(SeekFrom::Start(self.at))?;
        let n = self.file.read(&mut buf[..most])?;
        self.at += n as u64;
        self.left -= n as u64;
        Ok(n)
    }
}

/// A stream whose checksum is compared at its end.
struct Checked<'a> {
    stream: Box<dyn Read + 'a>,
    crc: Crc,
    expected: u32,
}

impl Read for Checked<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.stream.read(buf)?;
        self.crc.update(&buf[..n]);
        if n == 0 && !buf.is_empty() && self.crc.sum() != self.expected {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its checksum differs"));
        }
        Ok(n)
    }
}
