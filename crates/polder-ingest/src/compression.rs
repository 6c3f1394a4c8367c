//! Compressed streams, told by the end of a name, with limits on what they may become.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufReader, Read};
use std::rc::Rc;

use polder_base::units;

use crate::settings::Limits;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    Gzip,
    Zstd,
    Bzip2,
    Xz,
}

/// Expansion is judged from so many bytes on: small files of one letter are no attack.
const RATIO_FROM_BYTES: u64 = 16 << 20;
/// What a decompressor may hold for its window.
const XZ_MEMORY_BYTES: u64 = 256 << 20;
const BUFFER_BYTES: usize = 128 << 10;

/// Cuts the compression's ending off a name: `a.jsonl.zst` → (`a.jsonl`, Zstd), `a.tgz` → (`a.tar`, Gzip).
pub(crate) fn of(name: &str) -> Option<(String, Compression)> {
    use Compression::{Bzip2, Gzip, Xz, Zstd};
    const ENDINGS: [(&str, &str, Compression); 11] = [
        (".gz", "", Gzip),
        (".gzip", "", Gzip),
        (".zst", "", Zstd),
        (".zstd", "", Zstd),
        (".bz2", "", Bzip2),
        (".xz", "", Xz),
        (".tgz", ".tar", Gzip),
        (".tzst", ".tar", Zstd),
        (".tbz2", ".tar", Bzip2),
        (".tbz", ".tar", Bzip2),
        (".txz", ".tar", Xz),
    ];
    let lower = name.to_ascii_lowercase();
    let (ending, instead, compression) = ENDINGS.iter().find(|(ending, _, _)| lower.ends_with(ending))?;
    Some((format!("{}{instead}", &name[..name.len() - ending.len()]), *compression))
}

/// Decompresses; several streams one after the other are one. What grows beyond the limits ends in an error.
pub(crate) fn open<'a>(reader: Box<dyn Read + 'a>, compression: Compression, budget: &Budget) -> io::Result<Box<dyn Read + 'a>> {
    let consumed = Rc::new(Cell::new(0));
    let counted = BufReader::with_capacity(BUFFER_BYTES, Counted { reader, n: consumed.clone() });
    let decoder: Box<dyn Read + 'a> = match compression {
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(counted)),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(counted)?),
        Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(counted)),
        Compression::Xz => {
            let stream = liblzma::stream::Stream::new_auto_decoder(XZ_MEMORY_BYTES, liblzma::stream::CONCATENATED)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(counted, stream))
        }
    };
    Ok(budget.expanding(decoder, consumed))
}

/// What one source file may still become, in all its layers together.
#[derive(Clone)]
pub(crate) struct Budget {
    left: Rc<Cell<u64>>,
    limits: Limits,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { left: Rc::new(Cell::new(limits.expanded_bytes_max)), limits }
    }

    /// Counts what a decoder gives against what it took.
    pub(crate) fn expanding<'a>(&self, decoder: Box<dyn Read + 'a>, consumed: Rc<Cell<u64>>) -> Box<dyn Read + 'a> {
        Box::new(Expanding { decoder, consumed, given: 0, budget: self.clone() })
    }
}

/// Counts the bytes that are read.
pub(crate) struct Counted<R> {
    pub(crate) reader: R,
    pub(crate) n: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buf)?;
        self.n.set(self.n.get() + n as u64);
        Ok(n)
    }
}

struct Expanding<'a> {
    decoder: Box<dyn Read + 'a>,
    consumed: Rc<Cell<u64>>,
    given: u64,
    budget: Budget,
}

impl Read for Expanding<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.decoder.read(buf)? as u64;
        self.given += n;
        let limits = &self.budget.limits;
        let left = self.budget.left.get().checked_sub(n);
        self.budget.left.set(left.unwrap_or(0));
        if left.is_none() {
            return Err(io::Error::other(TooMuch(format!("it expands to more than {}", units::bytes(limits.expanded_bytes_max)))));
        }
        // A buffer that was read ahead counts as consumed: the ratio is never taken for larger than it is by more than one buffer.
        if self.given > RATIO_FROM_BYTES && self.given / self.consumed.get().max(1) > limits.expansion_ratio_max {
            let text = format!("it expands to more than {} times its size", limits.expansion_ratio_max);
            return Err(io::Error::other(TooMuch(text)));
        }
        Ok(n as usize)
    }
}

/// Something would become larger than is allowed.
#[derive(Debug)]
pub(crate) struct TooMuch(pub(crate) String);

impl fmt::Display for TooMuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TooMuch {}

/// Names the reason why a stream could not be read to its end.
pub(crate) fn reason(error: &io::Error) -> &'static str {
    if error.get_ref().is_some_and(|e| e.is::<TooMuch>()) {
        return "expansion";
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "truncated",
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other => "corrupt",
        _ => "unreadable",
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn read(bytes: &[u8], compression: Compression, limits: Limits) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        open(Box::new(bytes), compression, &Budget::new(limits))?.read_to_end(&mut out)?;
        Ok(out)
    }

    fn packed(text: &[u8]) -> [(Compression, Vec<u8>); 4] {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 6);
        // Without one, what was stored as it is can be changed unseen.
        let mut zstd = zstd::stream::write::Encoder::new(Vec::new(), 3).expect("zstd");
        zstd.include_checksum(true).expect("zstd");
        zstd.write_all(text).expect("zstd");
        gzip.write_all(text).expect("gzip");
        bzip2.write_all(text).expect("bzip2");
        xz.write_all(text).expect("xz");
        [
            (Compression::Gzip, gzip.finish().expect("gzip")),
            (Compression::Bzip2, bzip2.finish().expect("bzip2")),
            (Compression::Xz, xz.finish().expect("xz")),
            (Compression::Zstd, zstd.finish().expect("zstd")),
        ]
    }

    #[test]
    fn every_compression_is_read_back_also_from_several_streams_and_a_cut_one_is_told() {
        let text: Vec<u8> = (0..200_000u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        for (compression, packed) in packed(&text) {
            assert_eq!(read(&packed, compression, Limits::default()).expect("whole"), text, "{compression:?}");
            let twice = [packed.clone(), packed.clone()].concat();
            assert_eq!(read(&twice, compression, Limits::default()).expect("two streams").len(), 2 * text.len(), "{compression:?}");
            let error = read(&packed[..packed.len() / 2], compression, Limits::default()).map(|b| b.len()).expect_err("cut");
            assert_eq!(reason(&error), "truncated", "{compression:?}: {error}");
            let mut broken = packed.clone();
            let middle = broken.len() / 2;
            broken[middle..middle + 40].fill(0x55);
            let error = read(&broken, compression, Limits::default()).map(|b| b.len()).expect_err("broken");
            assert!(matches!(reason(&error), "corrupt" | "truncated"), "{compression:?}: {error:?}");
        }
    }

    #[test]
    fn what_expands_beyond_the_limits_is_stopped() {
        let zeros = vec![b'a'; 40 << 20];
        for (compression, packed) in packed(&zeros) {
            let error = read(&packed, compression, Limits::default()).map(|b| b.len()).expect_err("too much");
            assert_eq!((reason(&error), error.to_string().as_str()), ("expansion", "it expands to more than 200 times its size"));
            let lenient = Limits { expansion_ratio_max: u64::MAX, expanded_bytes_max: 1 << 20, ..Limits::default() };
            let error = read(&packed, compression, lenient).map(|b| b.len()).expect_err("too much");
            assert_eq!(reason(&error), "expansion", "{compression:?}: {error}");
        }
    }

    #[test]
    fn names_tell_the_compression() {
        assert_eq!(of("a.jsonl.ZST"), Some(("a.jsonl".into(), Compression::Zstd)));
        assert_eq!(of("a.tgz"), Some(("a.tar".into(), Compression::Gzip)));
        assert_eq!(of("a.txt"), None);
    }
}
