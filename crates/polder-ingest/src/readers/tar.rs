//! A tar archive: its members are read one after the other, without unpacking them to disk.

use std::io::Read;

use ::tar::{Archive, EntryType};

use super::{Bytes, Exact, Layer, broken, is_hidden};
use crate::record::{Fault, Flow, Member, Sink};

pub(crate) fn read(archive: &Member, stream: Box<dyn Read + '_>, layer: &Layer, sink: &mut Sink<'_>) -> Flow {
    let mut opened = Archive::new(stream);
    let entries = match opened.entries() {
        Ok(entries) => entries,
        Err(e) => return sink.bad(archive.clone(), broken(&e)),
    };
    let deeper = layer.deeper();
    let mut is_empty = true;
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(e) => return sink.bad(archive.clone(), broken(&e)),
        };
        is_empty = false;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        match entry.header().entry_type() {
            EntryType::Symlink | EntryType::Link => sink.links += 1,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse if !is_hidden(&name) => {
                let whole = Exact { left: entry.size(), stream: entry };
                super::read(archive.inside(&name), Bytes::Stream(Box::new(whole)), &deeper, sink)?;
            }
            _ => {}
        }
    }
    if is_empty { sink.bad(archive.clone(), Fault::new("empty", "no members")) } else { Ok(()) }
}
