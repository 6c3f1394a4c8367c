//! Bytes as text: UTF-8 as it is, UTF-16 and the single-byte and East Asian encodings by their marks or by guessing.

use std::io::{self, Read};

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE};

use crate::record::{Fault, Offset};

/// As much of a stream as is looked at to tell its encoding.
const SAMPLE_BYTES: usize = 64 << 10;
/// How a file of SQLite begins.
const SQLITE: &[u8] = b"SQLite format 3\0";

/// Decodes a whole document, or says why it is no text. `label` is the encoding that the document itself names, if any.
pub(crate) fn decode(bytes: Vec<u8>, label: Option<&'static Encoding>) -> Result<String, Fault> {
    if let Some((encoding, mark_bytes)) = Encoding::for_bom(&bytes) {
        return whole(&bytes[mark_bytes..], encoding);
    }
    if bytes.starts_with(SQLITE) {
        let fault = Fault::new("binary", "a SQLite database: `sqlite:FILE?table=NAME` reads it");
        return Err(fault.at(Offset::Byte(0), &bytes));
    }
    if let Some(encoding) = wide(&bytes) {
        return whole(&bytes, encoding);
    }
    // NUL is valid UTF-8, but no text.
    if let Some(at) = memchr::memchr(0, &bytes) {
        return Err(Fault::new("binary", format!("NUL at byte {at}")).at(Offset::Byte(at as u64), &bytes[at..]));
    }
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return Ok(text),
        Err(e) => e.into_bytes(),
    };
    let encoding = label.filter(|l| *l != UTF_8).unwrap_or_else(|| guess(&bytes));
    whole(&bytes, encoding)
}

/// Decodes without replacing anything: a byte that means nothing, or a control character, shows that it is no text.
fn whole(bytes: &[u8], encoding: &'static Encoding) -> Result<String, Fault> {
    let text = encoding.decode_without_bom_handling_and_without_replacement(bytes);
    match text.filter(|t| encoding == UTF_8 || is_text(t)) {
        Some(text) if !text.contains('\0') => Ok(text.into_owned()),
        _ => {
            let at = std::str::from_utf8(bytes).err().map_or(0, |e| e.valid_up_to());
            let detail = format!("invalid at byte {at}, and no text in {} either", encoding.name());
            Err(Fault::new("not_text", detail).at(Offset::Byte(at as u64), &bytes[at..]))
        }
    }
}

/// Whether decoded text has no control characters but those of layout: what has some was decoded wrongly, or is no text.
fn is_text(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{c}' | '\u{1b}' | '\u{8}' | '\u{85}' | '\u{1a}'))
}

fn guess(bytes: &[u8]) -> &'static Encoding {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(bytes, true);
    detector.guess(None, Utf8Detection::Allow)
}

/// UTF-16 without a mark: of its first bytes, nearly every second one is zero, and none of the others.
fn wide(bytes: &[u8]) -> Option<&'static Encoding> {
    let sample = &bytes[..bytes.len().min(4096) & !1];
    let zeros = |parity: usize| sample.iter().skip(parity).step_by(2).filter(|b| **b == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    let many = sample.len() / 2 * 7 / 10;
    match (even, odd) {
        _ if sample.len() < 4 => None,
        (0, n) if n > many => Some(UTF_16LE),
        (n, 0) if n > many => Some(UTF_16BE),
        _ => None,
    }
}

/// Makes a stream one of UTF-8, by what its beginning shows. What is invalid later stays, for the reader of records to find.
pub(crate) fn utf8<'a>(mut reader: Box<dyn Read + 'a>) -> io::Result<Box<dyn Read + 'a>> {
    let mut sample = Vec::new();
    let read = (&mut reader).take(SAMPLE_BYTES as u64).read_to_end(&mut sample);
    // A stream that breaks off is read as far as it goes; its error comes again where the reader meets it.
    let rest: Box<dyn Read + 'a> = match read {
        Ok(_) => reader,
        Err(e) => Box::new(Broken(Some(e))),
    };
    let (encoding, mark_bytes) = match Encoding::for_bom(&sample) {
        Some(found) => found,
        None => match (wide(&sample), std::str::from_utf8(&sample)) {
            (Some(encoding), _) => (encoding, 0),
            (None, Ok(_)) => (UTF_8, 0),
            // A character may be cut at the end of the sample.
            (None, Err(e)) if e.error_len().is_none() => (UTF_8, 0),
            (None, Err(_)) if memchr::memchr(0, &sample).is_some() => (UTF_8, 0),
            (None, Err(_)) => (guess(&sample), 0),
        },
    };
    let all = io::Cursor::new(sample.split_off(mark_bytes)).chain(rest);
    if encoding == UTF_8 {
        return Ok(Box::new(all));
    }
    Ok(Box::new(Decoded {
        reader: all,
        decoder: encoding.new_decoder_without_bom_handling(),
        raw: Vec::new(),
        text: Vec::new(),
        at: 0,
        ended: false,
    }))
}

struct Broken(Option<io::Error>);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        match self.0.take() {
            Some(e) => Err(e),
            None => Ok(0),
        }
    }
}

/// A stream of another encoding as UTF-8. What cannot be decoded becomes U+FFFD.
struct Decoded<R> {
    reader: R,
    decoder: Decoder,
    raw: Vec<u8>,
    text: Vec<u8>,
    at: usize,
    ended: bool,
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.at == self.text.len() && !self.ended {
            self.fill()?;
        }
        let n = buf.len().min(self.text.len() - self.at);
        buf[..n].copy_from_slice(&self.text[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

impl<R: Read> Decoded<R> {
    fn fill(&mut self) -> io::Result<()> {
        let mut chunk = [0; 8192];
        let n = self.reader.read(&mut chunk)?;
        self.ended = n == 0;
        self.raw.extend_from_slice(&chunk[..n]);
        self.text.resize(self.decoder.max_utf8_buffer_length(self.raw.len()).unwrap_or(self.raw.len() * 3 + 16), 0);
        let (result, read, written, _) = self.decoder.decode_to_utf8(&self.raw, &mut self.text, self.ended);
        debug_assert!(matches!(result, CoderResult::InputEmpty));
        self.raw.drain(..read);
        self.text.truncate(written);
        self.at = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, is_little: bool) -> Vec<u8> {
        text.encode_utf16().flat_map(|u| if is_little { u.to_le_bytes() } else { u.to_be_bytes() }).collect()
    }

    #[test]
    fn encodings_are_told_by_their_marks_and_by_guessing() {
        let text = "Grüße aus dem Köge: die Flut steigt heute später als gestern.\n";
        let latin: Vec<u8> = text.chars().map(|c| c as u8).collect();
        let is = |bytes: &[u8]| assert_eq!(decode(bytes.to_vec(), None).expect("text"), text);
        is(text.as_bytes());
        is(&[b"\xef\xbb\xbf", text.as_bytes()].concat());
        is(&[b"\xff\xfe".to_vec(), utf16(text, true)].concat());
        is(&[b"\xfe\xff".to_vec(), utf16(text, false)].concat());
        is(&utf16(text, true));
        is(&utf16(text, false));
        is(&latin);
        let japanese = encoding_rs::SHIFT_JIS.encode("堤防は夜に見張られている。水位は静かに上がる。").0.into_owned();
        assert_eq!(decode(japanese, None).expect("text"), "堤防は夜に見張られている。水位は静かに上がる。");
        let said = encoding_rs::WINDOWS_1251.encode("Вода").0.into_owned();
        assert_eq!(decode(said, Some(encoding_rs::WINDOWS_1251)).expect("text"), "Вода");
    }

    #[test]
    fn binaries_are_no_text() {
        assert_eq!(decode(b"\x7fELF\0\0\x01".to_vec(), None).expect_err("binary").reason, "binary");
        let fault = decode(b"SQLite format 3\0\x10\0".to_vec(), None).expect_err("a database");
        assert!(fault.reason == "binary" && fault.detail.contains("sqlite:FILE?table=NAME"), "{fault:?}");
        let noise: Vec<u8> = (1..=255u8).cycle().take(4000).collect();
        let fault = decode(noise, None).expect_err("noise");
        assert_eq!((fault.reason, fault.excerpt.len()), ("not_text", 4000 - 127));
        assert_eq!(decode(b"\xff\xfe\0\xd8a\0".to_vec(), None).expect_err("a lone surrogate").reason, "not_text");
    }

    #[test]
    fn streams_become_utf8_whatever_the_size_of_the_pieces() {
        struct Small<'a>(&'a [u8]);
        impl Read for Small<'_> {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                let n = buf.len().min(self.0.len()).min(3);
                buf[..n].copy_from_slice(&self.0[..n]);
                self.0 = &self.0[n..];
                Ok(n)
            }
        }
        let text = "ein Satz mit Umläuten: äöü ß\n".repeat(5000);
        let latin: Vec<u8> = text.chars().map(|c| c as u8).collect();
        for bytes in [text.clone().into_bytes(), latin, [b"\xff\xfe".to_vec(), utf16(&text, true)].concat()] {
            let mut out = String::new();
            utf8(Box::new(Small(&bytes))).expect("a stream").read_to_string(&mut out).expect("UTF-8");
            assert!(out == text);
        }
    }
}
