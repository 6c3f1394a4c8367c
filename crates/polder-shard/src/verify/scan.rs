//! Reads a file block by block, and says which blocks are not what their sums say.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use polder_base::{Digest, Hasher};

use crate::block_sums::{BLOCK_BYTES, BlockSums};
use crate::sums_file::FileSums;

/// A part of a file that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadBytes {
    pub bytes: Range<u64>,
    pub what: String,
    /// Whether it is one byte whose old value is known.
    pub located: bool,
}

/// What blocks came to.
#[derive(Clone, Debug, Default)]
pub(super) struct Scan {
    pub sums: FileSums,
    pub bad: Vec<BadBytes>,
    /// It could not be read beyond what was summed.
    pub unread: Option<String>,
}

/// What is digested at a time: small enough to stay in the processor's nearer caches until then.
const DIGEST_BYTES: usize = 128 << 10;

/// Calls `each` with so many bytes at a time and their place. A file that cannot be read further ends with the place and the reason.
pub(super) fn blocks(path: &Path, block_bytes: usize, each: &mut dyn FnMut(u64, &[u8])) -> Result<(), (u64, io::Error)> {
    let mut file = File::open(path).map_err(|e| (0, e))?;
    let mut block = vec![0; block_bytes];
    let mut at = 0u64;
    loop {
        let mut filled = 0;
        while filled < block_bytes {
            match file.read(&mut block[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err((at + filled as u64, e)),
            }
        }
        if filled == 0 {
            return Ok(());
        }
        each(at, &block[..filled]);
        at += filled as u64;
    }
}

/// The digest of a file; `None` if it cannot be read.
pub(super) fn digest(path: &Path, advance: &dyn Fn(u64)) -> Option<Digest> {
    let mut hasher = Hasher::new();
    let read = blocks(path, DIGEST_BYTES, &mut |_, block| {
        hasher.update(block);
        advance(block.len() as u64);
    });
    read.ok().map(|()| hasher.finish())
}

/// Sums a file and compares it with the sums it had; `each` sees every block and the changed byte in it, if there is just one.
pub(super) fn scan(path: &Path, expected: Option<&FileSums>, each: &mut impl FnMut(u64, &[u8], Option<u64>)) -> Scan {
    let mut scan = Scan::default();
    let read = blocks(path, BLOCK_BYTES, &mut |at, block| {
        let sums = BlockSums::of(block);
        scan.sums.blocks.push(sums);
        scan.sums.bytes += block.len() as u64;
        let mut changed = None;
        // The block in which a file was cut or grew has no sums to compare with.
        let whole = |f: &&FileSums| at + block.len() as u64 == f.bytes.min(at + BLOCK_BYTES as u64);
        if let Some(was) = expected.filter(whole).and_then(|f| f.blocks.get(at as usize / BLOCK_BYTES)).filter(|was| **was != sums) {
            let found = was.locate(block);
            changed = found.map(|c| at + c.at as u64);
            scan.bad.push(match found {
                Some(c) => {
                    let place = at + c.at as u64;
                    let what = format!("it is {:#04x} and was {:#04x}", block[c.at], c.was);
                    BadBytes { bytes: place..place + 1, what, located: true }
                }
                None => {
                    let what = "more than one byte here is not what it was".into();
                    BadBytes { bytes: at..at + block.len() as u64, what, located: false }
                }
            });
        }
        each(at, block, changed);
    });
    scan.unread = read.err().map(|(at, e)| format!("it cannot be read at byte {at}: {e}"));
    scan
}
