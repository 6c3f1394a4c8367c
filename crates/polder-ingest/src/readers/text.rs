//! A file that is one document: text, Markdown, code.

use std::io::Read;

use polder_base::units;

use super::broken;
use crate::encoding;
use crate::media::media_type;
use crate::record::{Document, EXCERPT_BYTES, Fault, Flow, Member, Sink};

pub(crate) fn read(member: Member, stream: Box<dyn Read + '_>, name: &str, sink: &mut Sink<'_>) -> Flow {
    let text = whole(stream, sink.settings.limits.record_bytes_max).and_then(|bytes| encoding::decode(bytes, None));
    match text {
        Ok(text) => sink.document(member, Document { text, media_type: media_type(name).into(), ..Document::default() }, None),
        Err(fault) => sink.bad(member, fault),
    }
}

/// Reads a document whole, or says why not.
pub(crate) fn whole(stream: Box<dyn Read + '_>, bytes_max: u64) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    // UTF-16 takes up to twice the room of its text, which is judged once it is decoded.
    let raw_max = bytes_max.saturating_mul(2);
    let mut limited = stream.take(raw_max + 1);
    if let Err(e) = limited.read_to_end(&mut bytes) {
        let excerpt = bytes[..bytes.len().min(EXCERPT_BYTES)].to_vec();
        return Err(Fault { excerpt, bytes: bytes.len() as u64, ..broken(&e) });
    }
    if bytes.len() as u64 > raw_max {
        return Err(too_large(bytes.len() as u64, bytes_max));
    }
    if bytes.is_empty() {
        return Err(Fault::new("empty", "no bytes"));
    }
    Ok(bytes)
}

/// The fault of a document that is larger than is allowed; `bytes` is its size, or as much of it as was read.
pub(crate) fn too_large(bytes: u64, bytes_max: u64) -> Fault {
    let detail = format!("{}, more than {}", units::bytes(bytes), units::bytes(bytes_max));
    Fault::new("too_large", detail).with_bytes(bytes)
}
