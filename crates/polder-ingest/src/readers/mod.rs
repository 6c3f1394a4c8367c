//! Readers: one file each for what a source file can be. Here is decided which one reads it.
//!
//! A reader gets a stream and puts what it finds into a [`Sink`]: documents, and faults with where and why. It never fails
//! itself: what cannot be read is a fault.

mod arrow_ipc;
mod csv;
mod html;
mod jsonl;
mod parquet;
pub mod rows;
mod tar;
mod text;
mod warc;
mod zip;

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, Write as _};
use std::path::Path;

use polder_base::units;
use url::Url;

use crate::compression::{self, Budget};
use crate::record::{Fault, Flow, Member, Sink};

/// What a file is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One document.
    Text,
    /// One web page.
    Html,
    /// One JSON object a line.
    JsonLines,
    /// Values separated by commas or the like, with a header.
    Csv,
    /// Values separated by tabs, with a header.
    Tsv,
    /// A Parquet file.
    Parquet,
    /// An Arrow file or stream.
    Arrow,
    /// Web archive records, as they were sent or as text.
    Warc,
    /// A tar archive.
    Tar,
    /// A zip archive.
    Zip,
}

impl Format {
    /// All that can be asked for.
    pub const ALL: [(&'static str, Self); 10] = [
        ("text", Self::Text),
        ("html", Self::Html),
        ("jsonl", Self::JsonLines),
        ("csv", Self::Csv),
        ("tsv", Self::Tsv),
        ("parquet", Self::Parquet),
        ("arrow", Self::Arrow),
        ("warc", Self::Warc),
        ("tar", Self::Tar),
        ("zip", Self::Zip),
    ];

    /// What a name without its compression says.
    fn of(name: &str) -> Self {
        let name = name.rsplit('/').next().unwrap_or(name);
        match name.rsplit_once('.').map_or("", |(_, e)| e).to_ascii_lowercase().as_str() {
            "html" | "htm" | "xhtml" => Self::Html,
            "jsonl" | "ndjson" => Self::JsonLines,
            "csv" => Self::Csv,
            "tsv" | "tab" => Self::Tsv,
            "parquet" => Self::Parquet,
            "arrow" | "arrows" | "feather" | "ipc" => Self::Arrow,
            "warc" | "wet" => Self::Warc,
            "tar" => Self::Tar,
            "zip" => Self::Zip,
            _ => Self::Text,
        }
    }

    /// Whether a file of it has many records.
    pub(crate) fn has_many(self) -> bool {
        !matches!(self, Self::Text | Self::Html)
    }
}

/// What a file's whole name says, below its compression.
pub(crate) fn format_of(name: &str) -> Format {
    compression::of(name).map_or_else(|| Format::of(name), |(inner, _)| Format::of(&inner))
}

/// Whether the size of a file on disk says nothing about the size of its records.
pub(crate) fn is_container(name: &str) -> bool {
    compression::of(name).is_some() || format_of(name).has_many()
}

/// Where a file's bytes come from.
pub(crate) enum Bytes<'a> {
    /// A file on disk, which can be read at any place.
    File(File),
    /// A stream.
    Stream(Box<dyn Read + 'a>),
}

impl<'a> Bytes<'a> {
    pub(crate) fn stream(self) -> Box<dyn Read + 'a> {
        match self {
            Self::File(file) => Box::new(file),
            Self::Stream(stream) => stream,
        }
    }

    /// A file that can be read at any place: streams go through one without a name.
    fn file(self) -> io::Result<File> {
        let mut stream = match self {
            Self::File(file) => return Ok(file),
            Self::Stream(stream) => stream,
        };
        let mut file = tempfile::tempfile()?;
        io::copy(&mut stream, &mut file)?;
        file.flush()?;
        file.rewind()?;
        Ok(file)
    }
}

/// How deep in archives a file is, and what it may still become.
#[derive(Clone)]
pub(crate) struct Layer {
    pub(crate) depth: u32,
    pub(crate) budget: Budget,
    /// Whether the user named this very file: then its format is meant.
    pub(crate) is_named: bool,
}

impl Layer {
    /// The layer of an archive's members.
    pub(crate) fn deeper(&self) -> Self {
        Self { depth: self.depth + 1, budget: self.budget.clone(), is_named: false }
    }
}

/// A stream of a known size: one that ends before is broken, and what it gave is no document.
pub(crate) struct Exact<R> {
    pub(crate) stream: R,
    pub(crate) left: u64,
}

impl<R: Read> Read for Exact<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = buf.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let n = self.stream.read(&mut buf[..most])?;
        self.left -= n as u64;
        if n == 0 && most > 0 {
            let detail = format!("it ends {} early", units::bytes(self.left));
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, detail));
        }
        Ok(n)
    }
}

/// Whether a path within an archive has a part that a folder's listing would leave out.
pub(crate) fn is_hidden(name: &str) -> bool {
    name.split('/').any(|part| (part.starts_with('.') && part != "." && part != "..") || part == "__MACOSX")
}

/// Opens a file on disk and reads it.
pub(crate) fn read_file(path: &Path, member: Member, layer: &Layer, sink: &mut Sink<'_>) -> Flow {
    let opened = File::open(path).and_then(|file| file.metadata().map(|m| (file, m.len())));
    let max = sink.settings.limits.record_bytes_max;
    match opened {
        // A larger one could be text within the limit only as UTF-16.
        Ok((_, bytes)) if bytes > max.saturating_mul(2) && sink.settings.format.is_none() && !is_container(&member.path) => {
            sink.bad(member, text::too_large(bytes, max))
        }
        Ok((file, _)) => read(member, Bytes::File(file), layer, sink),
        Err(e) => sink.bad(member, Fault::new("unreadable", e.to_string())),
    }
}

/// Reads an object of a store.
pub(crate) fn read_object(address: &Url, member: Member, layer: &Layer, sink: &mut Sink<'_>) -> Flow {
    match sink.settings.outside.open(address) {
        Ok(stream) => read(member, Bytes::Stream(stream), layer, sink),
        Err(why) => sink.bad(member, Fault::new("unreachable", why)),
    }
}

/// Fetches an address and reads what it gives. Where its path tells no format, the server does.
pub(crate) fn read_web(url: &Url, member: Member, layer: &Layer, sink: &mut Sink<'_>) -> Flow {
    let fetched = match crate::web::open(url, sink.settings) {
        Ok(fetched) => fetched,
        Err(fault) => return sink.bad(member, fault),
    };
    let format = match fetched.media_type.as_deref().unwrap_or_default() {
        "text/html" | "application/xhtml+xml" => Some(Format::Html),
        "application/x-ndjson" | "application/jsonl" | "application/x-jsonlines" => Some(Format::JsonLines),
        "text/csv" => Some(Format::Csv),
        "text/tab-separated-values" => Some(Format::Tsv),
        "application/vnd.apache.parquet" => Some(Format::Parquet),
        "application/vnd.apache.arrow.file" | "application/vnd.apache.arrow.stream" => Some(Format::Arrow),
        "application/warc" => Some(Format::Warc),
        "application/x-tar" => Some(Format::Tar),
        "application/zip" => Some(Format::Zip),
        _ => None,
    };
    let format = format.filter(|_| !is_container(&member.path));
    // An answer may go on for ever.
    let most = sink.settings.limits.expanded_bytes_max;
    read_as(member, Bytes::Stream(Box::new(fetched.stream.take(most))), format, layer, sink)
}

/// Reads a file: decompresses it as its name says, and gives it to the reader of its format.
pub(crate) fn read(member: Member, bytes: Bytes<'_>, layer: &Layer, sink: &mut Sink<'_>) -> Flow {
    read_as(member, bytes, None, layer, sink)
}

/// The same; `told` is what somebody else says that it is.
fn read_as(member: Member, mut bytes: Bytes<'_>, told: Option<Format>, layer: &Layer, sink: &mut Sink<'_>) -> Flow {
    let mut name = member.path.clone();
    // A compressed file within a compressed file counts as an archive does.
    let mut depth = layer.depth;
    while let Some((inner, compression)) = compression::of(&name) {
        if depth > sink.settings.limits.depth_max {
            return sink.bad(member, too_deep(depth));
        }
        match compression::open(bytes.stream(), compression, &layer.budget) {
            Ok(stream) => bytes = Bytes::Stream(stream),
            Err(e) => return sink.bad(member, broken(&e)),
        }
        name = inner;
        depth += 1;
    }
    let by_name = Format::of(&name);
    // What was asked for says what the files are, within archives too.
    let asked = sink.settings.format.or(told).filter(|_| !matches!(by_name, Format::Tar | Format::Zip));
    let format = asked.unwrap_or(by_name);
    if matches!(format, Format::Tar | Format::Zip) && layer.depth >= sink.settings.limits.depth_max {
        return sink.bad(member, too_deep(layer.depth));
    }
    match format {
        Format::Text if name.to_ascii_lowercase().ends_with(".json") && asked.is_none() => json(member, bytes.stream(), &name, sink),
        Format::Text => text::read(member, bytes.stream(), &name, sink),
        Format::Html => html::read(member, bytes.stream(), sink),
        Format::JsonLines => jsonl::read(&member, bytes.stream(), sink),
        Format::Csv | Format::Tsv => {
            let falls_back = !layer.is_named && asked.is_none();
            csv::read(member, bytes.stream(), format == Format::Tsv, falls_back.then_some(name.as_str()), sink)
        }
        Format::Parquet => match bytes.file() {
            Ok(file) => parquet::read(&member, file, sink),
            Err(e) => sink.bad(member, broken(&e)),
        },
        Format::Arrow => match bytes.file() {
            Ok(file) => arrow_ipc::read(&member, file, sink),
            Err(e) => sink.bad(member, broken(&e)),
        },
        Format::Warc => warc::read(&member, bytes.stream(), sink),
        Format::Tar => tar::read(&member, bytes.stream(), layer, sink),
        Format::Zip => match bytes.file() {
            Ok(file) => zip::read(&member, file, layer, sink),
            Err(e) => sink.bad(member, broken(&e)),
        },
    }
}

/// A `.json` file is a document, unless its first lines are objects of their own: then it is JSON lines under another name.
fn json(member: Member, stream: Box<dyn Read + '_>, name: &str, sink: &mut Sink<'_>) -> Flow {
    const PEEK_BYTES: u64 = 256 << 10;
    let mut stream = BufReader::new(stream);
    let mut start = Vec::new();
    let peeked = (&mut stream).take(PEEK_BYTES).read_to_end(&mut start);
    if let Err(e) = peeked {
        return sink.bad(member, broken(&e));
    }
    let lines = jsonl::are_lines(&start);
    let all = Box::new(io::Cursor::new(start).chain(stream));
    if lines { jsonl::read(&member, all, sink) } else { text::read(member, all, name, sink) }
}

fn too_deep(depth: u32) -> Fault {
    Fault::new("too_deep", format!("it lies {depth} archives deep"))
}

/// The fault of a stream that ended in an error.
pub(crate) fn broken(error: &io::Error) -> Fault {
    Fault::new(compression::reason(error), error.to_string())
}
