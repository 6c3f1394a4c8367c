//! A web page: kept as it is, or its main text and title.

use std::io::Read;

use encoding_rs::Encoding;
use polder_text::html_text;

use super::text::whole;
use crate::encoding;
use crate::record::{Document, Flow, Member, Sink};
use crate::settings::Pages;

pub(crate) fn read(member: Member, stream: Box<dyn Read + '_>, sink: &mut Sink<'_>) -> Flow {
    let page = whole(stream, sink.settings.limits.record_bytes_max).and_then(|bytes| {
        let label = label(&bytes);
        encoding::decode(bytes, label)
    });
    match page {
        Ok(page) => {
            let document = document(page, sink.settings.pages);
            sink.document(member, document, None)
        }
        Err(fault) => sink.bad(member, fault),
    }
}

/// Makes a document of a page.
pub(crate) fn document(page: String, pages: Pages) -> Document {
    match pages {
        Pages::Source => Document { text: page, media_type: "text/html".into(), ..Document::default() },
        Pages::Text => Document { text: html_text(&page), media_type: "text/plain".into(), ..Document::default() },
    }
}

/// The encoding that a page names in its first kilobyte.
pub(crate) fn label(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = &bytes[..bytes.len().min(1024)].to_ascii_lowercase();
    let at = memchr::memmem::find(head, b"charset=")?;
    named(&head[at + 8..])
}

/// The encoding at the start of a value.
pub(crate) fn named(value: &[u8]) -> Option<&'static Encoding> {
    let value = value.strip_prefix(b"\"").or_else(|| value.strip_prefix(b"'")).unwrap_or(value);
    let end = value.iter().position(|b| !(b.is_ascii_alphanumeric() || b"-_:.".contains(b))).unwrap_or(value.len());
    Encoding::for_label(&value[..end])
}
