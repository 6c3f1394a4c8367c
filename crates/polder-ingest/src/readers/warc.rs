//! Web archives: one document a record, from responses, resources and extracted text.
//!
//! # Source
//! ISO 28500 (WARC 1.1); RFC 9112 for what stands within a response.

use std::io::{self, BufRead as _, BufReader, Read};

use encoding_rs::Encoding;
use polder_base::Timestamp;

use super::{Exact, broken, html};
use crate::encoding;
use crate::record::{Document, Fault, Flow, Gone, Member, Offset, Sink};
use crate::settings::Pages;
use crate::web::without_secrets;

const BUFFER_BYTES: usize = 128 << 10;
/// A record's head, or a response's, with all its lines.
const HEAD_BYTES_MAX: u64 = 256 << 10;

/// Lines of `name: value`, names in lower case.
#[derive(Default)]
struct Head {
    first: String,
    fields: Vec<(String, String)>,
    bytes: u64,
}

impl Head {
    fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Reads lines up to an empty one; `None` at the end of the stream.
    fn read(reader: &mut dyn io::BufRead) -> io::Result<Option<Self>> {
        let mut head = Self::default();
        let mut line = Vec::new();
        loop {
            line.clear();
            let n = reader.take(HEAD_BYTES_MAX - head.bytes).read_until(b'\n', &mut line)? as u64;
            head.bytes += n;
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\r', '\n']);
            if n == 0 || head.bytes >= HEAD_BYTES_MAX {
                let is_end = head.first.is_empty() && n == 0;
                return if is_end { Ok(None) } else { Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a head without an end")) };
            }
            if head.first.is_empty() {
                head.first = text.to_owned();
                if text.is_empty() {
                    // Empty lines stand between records, two where all is well.
                    head.bytes = 0;
                }
            } else if text.is_empty() {
                return Ok(Some(head));
            } else if let Some(rest) = text.strip_prefix([' ', '\t']) {
                if let Some((_, value)) = head.fields.last_mut() {
                    value.push(' ');
                    value.push_str(rest.trim());
                }
            } else if let Some((name, value)) = text.split_once(':') {
                head.fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
    }
}

pub(crate) fn read(file: &Member, stream: Box<dyn Read + '_>, sink: &mut Sink<'_>) -> Flow {
    let mut reader = Counting { reader: BufReader::with_capacity(BUFFER_BYTES, stream), at: 0 };
    let mut is_empty = true;
    loop {
        let at = reader.at;
        let here = |fault: Fault| fault.at(Offset::Byte(at), b"");
        let head = match Head::read(&mut reader) {
            Ok(Some(head)) => head,
            Ok(None) if is_empty => return sink.bad(file.clone(), Fault::new("empty", "no records")),
            Ok(None) => return Ok(()),
            Err(e) => return sink.bad(file.part(&format!("byte={at}")), here(broken(&e))),
        };
        is_empty = false;
        let length = head.get("content-length").and_then(|v| v.parse::<u64>().ok());
        let Some(length) = length.filter(|_| head.first.starts_with("WARC/")) else {
            let first: String = head.first.chars().take(60).collect();
            let detail = format!("`{first}` begins no record with a length");
            return sink.bad(file.part(&format!("byte={at}")), here(Fault::new("malformed", detail)));
        };
        let mut block = Exact { stream: &mut reader, left: length };
        let is_told = record(file, &head, at, &mut block, sink)?;
        if let Err(e) = io::copy(&mut block, &mut io::sink()) {
            return if is_told { Ok(()) } else { sink.bad(file.part(&format!("byte={at}")), here(broken(&e))) };
        }
    }
}

/// One record. What is no document of its own (requests, metadata, revisits, the archive's own record) is passed over.
/// Says whether something was found wrong with it.
fn record(file: &Member, head: &Head, at: u64, block: &mut Exact<&mut Counting<'_>>, sink: &mut Sink<'_>) -> Result<bool, Gone> {
    let Some(kind) = head.get("warc-type").map(str::to_ascii_lowercase) else {
        let fault = Fault::new("malformed", "a record without a type").at(Offset::Byte(at), b"");
        return sink.bad(file.part(&format!("byte={at}")), fault).map(|()| true);
    };
    if !matches!(kind.as_str(), "response" | "resource" | "conversion") {
        return Ok(false);
    }
    let id = head.get("warc-record-id").unwrap_or_default().trim_matches(['<', '>']);
    let mut member = if id.is_empty() { file.part(&format!("byte={at}")) } else { file.part(&format!("id={id}")) };
    if let Some(uri) = head.get("warc-target-uri") {
        member.uri = without_secrets(uri.trim_matches(['<', '>']));
    }
    let fetched_at = head.get("warc-date").and_then(|d| d.parse::<Timestamp>().ok());
    let is_http = kind == "response" && head.get("content-type").is_some_and(|t| t.to_ascii_lowercase().starts_with("application/http"));
    let found = if is_http {
        response(block, sink)
    } else if block.left == 0 {
        Err(Fault::new("empty", "no bytes"))
    } else {
        let media_type = head.get("content-type").unwrap_or("text/plain").to_owned();
        body(block, &media_type, sink)
    };
    match found {
        Ok(document) => sink.document(member, Document { fetched_at, ..document }, Some(Offset::Byte(at))).map(|()| false),
        Err(fault) => {
            let bytes = fault.bytes.max(block.left);
            let excerpt = fault.excerpt.clone();
            sink.bad(member, Fault { bytes, ..fault.at(Offset::Byte(at), &excerpt) }).map(|()| true)
        }
    }
}

/// A response as it was sent: status, head, and a body that may be cut into chunks and compressed.
fn response(block: &mut Exact<&mut Counting<'_>>, sink: &Sink<'_>) -> Result<Document, Fault> {
    let mut reader = BufReader::new(block);
    let head = Head::read(&mut reader).map_err(|e| broken(&e))?.ok_or_else(|| Fault::new("empty", "no bytes"))?;
    let status = head.first.split(' ').nth(1).unwrap_or_default();
    if !status.starts_with('2') {
        return Err(Fault::new("http_status", format!("the server answered {status}")));
    }
    let media_type = head.get("content-type").unwrap_or("text/html").to_owned();
    let is_chunked = head.get("transfer-encoding").is_some_and(|v| v.to_ascii_lowercase().contains("chunked"));
    let stream: Box<dyn Read + '_> = if is_chunked { Box::new(Chunked { reader, left: 0, is_over: false }) } else { Box::new(reader) };
    let coding = head.get("content-encoding").unwrap_or("identity").trim().to_ascii_lowercase();
    let mut stream: Box<dyn Read + '_> = match coding.as_str() {
        "" | "identity" => stream,
        "gzip" | "x-gzip" => Box::new(flate2::read::MultiGzDecoder::new(stream)),
        "deflate" => Box::new(flate2::read::ZlibDecoder::new(stream)),
        "zstd" => Box::new(zstd::stream::read::Decoder::new(stream).map_err(|e| broken(&e))?),
        other => return Err(Fault::new("unsupported", format!("its body is encoded as `{other}`"))),
    };
    body(&mut stream, &media_type, sink)
}

/// The text of a body, where it is text.
fn body(stream: &mut dyn Read, media_type: &str, sink: &Sink<'_>) -> Result<Document, Fault> {
    let lower = media_type.to_ascii_lowercase();
    let name = lower.split(';').next().unwrap_or_default().trim();
    let is_page = matches!(name, "text/html" | "application/xhtml+xml");
    let is_text = name.starts_with("text/") || name.ends_with("+xml") || name.ends_with("+json");
    if !is_page && !is_text && !matches!(name, "" | "application/json" | "application/xml" | "application/javascript") {
        return Err(Fault::new("not_text", format!("its media type is `{name}`")));
    }
    let bytes = super::text::whole(Box::new(stream), sink.settings.limits.record_bytes_max)?;
    let said = lower.split_once("charset=").and_then(|(_, value)| html::named(value.as_bytes()));
    let label: Option<&'static Encoding> = said.or_else(|| if is_page { html::label(&bytes) } else { None });
    let text = encoding::decode(bytes, label)?;
    let pages = if is_page { sink.settings.pages } else { Pages::Source };
    let document = html::document(text, pages);
    let kept_as = if is_page {
        document.media_type
    } else if name.is_empty() {
        "text/plain".into()
    } else {
        name.to_owned()
    };
    Ok(Document { media_type: kept_as, ..document })
}

/// A body sent in chunks: a line with the size of each in hexadecimal digits before it.
struct Chunked<R> {
    reader: R,
    left: u64,
    is_over: bool,
}

impl<R: io::BufRead> Read for Chunked<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 && !self.is_over {
            let mut line = Vec::new();
            (&mut self.reader).take(1024).read_until(b'\n', &mut line)?;
            let text = String::from_utf8_lossy(&line);
            let digits = text.split(';').next().unwrap_or_default().trim();
            match (digits, u64::from_str_radix(digits, 16)) {
                // The line break behind the chunk before.
                ("", _) if !line.is_empty() => {}
                (_, Ok(0)) => self.is_over = true,
                (_, Ok(n)) => self.left = n,
                _ if line.is_empty() => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a chunk is missing")),
                _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "a chunk has no size")),
            }
        }
        if self.is_over {
            return Ok(0);
        }
        let most = buf.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let n = self.reader.read(&mut buf[..most])?;
        self.left -= n as u64;
        if n == 0 && most > 0 { Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a chunk is cut off")) } else { Ok(n) }
    }
}

/// Counts the bytes that were taken from a buffered stream.
struct Counting<'a> {
    reader: BufReader<Box<dyn Read + 'a>>,
    at: u64,
}

impl Read for Counting<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buf)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl io::BufRead for Counting<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    fn consume(&mut self, n: usize) {
        self.at += n as u64;
        self.reader.consume(n);
    }
}
