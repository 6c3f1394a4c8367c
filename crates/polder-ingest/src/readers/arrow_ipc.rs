//! An Arrow file or stream: one row a record, of which the wanted columns are read.

use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _};

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use arrow::ipc::reader::{FileReader, StreamReader};

use super::{broken, rows};
use crate::record::{Fault, Flow, Member, Sink};

const MAGIC: &[u8; 6] = b"ARROW1";

pub(crate) fn read(file: &Member, mut opened: File, sink: &mut Sink<'_>) -> Flow {
    let mut magic = [0; MAGIC.len()];
    let n = match opened.read(&mut magic).and_then(|n| opened.rewind().map(|()| n)) {
        Ok(0) => return sink.bad(file.clone(), Fault::new("empty", "no bytes")),
        Ok(n) => n,
        Err(e) => return sink.bad(file.clone(), broken(&e)),
    };
    let opened = BufReader::new(opened);
    let corrupt = |e: ArrowError| Fault::new("corrupt", e.to_string());
    if n == MAGIC.len() && magic == *MAGIC {
        match FileReader::try_new(opened, None) {
            Ok(reader) => {
                let names = rows::names(&reader.schema());
                batches(file, &names, reader, sink)
            }
            Err(e) => sink.bad(file.clone(), corrupt(e)),
        }
    } else {
        match StreamReader::try_new(opened, None) {
            Ok(reader) => {
                let names = rows::names(&reader.schema());
                batches(file, &names, reader, sink)
            }
            Err(e) => sink.bad(file.clone(), corrupt(e)),
        }
    }
}

fn batches(file: &Member, names: &[String], batches: impl Iterator<Item = Result<RecordBatch, ArrowError>>, sink: &mut Sink<'_>) -> Flow {
    let columns = match sink.settings.wanted.among(names) {
        Ok(columns) => columns,
        Err(fault) => return sink.bad(file.clone(), fault),
    };
    rows::read_all(file, batches, &columns, sink)
}
