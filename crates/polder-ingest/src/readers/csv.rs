//! Values separated by commas, semicolons, tabs or bars, with a header.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use ::csv::{ByteRecord, ErrorKind, ReaderBuilder};

use super::{broken, text};
use crate::compression::TooMuch;
use crate::encoding;
use crate::mapping::Scalar;
use crate::record::{Fault, Flow, Member, Offset, Sink};

/// What the library reads ahead.
const BUFFER_BYTES: usize = 128 << 10;
/// The start of the file, in which the header is looked for.
const HEAD_BYTES: u64 = 64 << 10;

/// Reads a file of values. `falls_back_to` is the name by which a file without a column of text is a document of its own:
/// data that lies among code and prose.
pub(crate) fn read(member: Member, stream: Box<dyn Read + '_>, by_tab: bool, falls_back_to: Option<&str>, sink: &mut Sink<'_>) -> Flow {
    let mut stream = match encoding::utf8(stream) {
        Ok(stream) => stream,
        Err(e) => return sink.bad(member, broken(&e)),
    };
    let mut head = Vec::new();
    if let Err(e) = (&mut stream).take(HEAD_BYTES).read_to_end(&mut head) {
        return sink.bad(member, broken(&e));
    }
    if head.trim_ascii().is_empty() {
        return sink.bad(member, Fault::new("empty", if head.is_empty() { "no bytes" } else { "only white space" }));
    }
    let delimiter = if by_tab { b'\t' } else { delimiter(&head) };
    let header = header(&head, delimiter);
    let stream = io::Cursor::new(head).chain(stream);
    match sink.settings.wanted.among(&header) {
        Ok(columns) => rows(&member, Box::new(stream), delimiter, &columns, header.len(), sink),
        Err(fault) => match falls_back_to.filter(|_| fault.reason == "no_text_column") {
            Some(name) => text::read(member, Box::new(stream), name, sink),
            None => sink.bad(member, fault),
        },
    }
}

/// The sign that stands most often in the first line.
fn delimiter(head: &[u8]) -> u8 {
    let line = head.split(|b| *b == b'\n').next().unwrap_or_default();
    let count = |sign: u8| line.iter().filter(|b| **b == sign).count();
    // The last of equals is the greatest: a comma, where nothing speaks for anything else.
    b"|\t;,".iter().copied().max_by_key(|sign| count(*sign)).unwrap_or(b',')
}

fn header(head: &[u8], delimiter: u8) -> Vec<String> {
    let mut reader = ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(head);
    let mut record = ByteRecord::new();
    let _ = reader.read_byte_record(&mut record);
    record.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect()
}

fn rows(file: &Member, stream: Box<dyn Read + '_>, delimiter: u8, columns: &[Option<usize>], width: usize, sink: &mut Sink<'_>) -> Flow {
    let record_bytes_max = sink.settings.limits.record_bytes_max.saturating_mul(2).saturating_add(1 << 20);
    let left = Rc::new(Cell::new(u64::MAX));
    let limited = Limited { stream, left: left.clone() };
    let mut reader =
        ReaderBuilder::new().delimiter(delimiter).has_headers(true).flexible(true).buffer_capacity(BUFFER_BYTES).from_reader(limited);
    let wanted = &sink.settings.wanted;
    let mut record = ByteRecord::new();
    let mut n = 0;
    loop {
        // A quote that is never closed would make one record of all the rest.
        left.set(record_bytes_max);
        n += 1;
        let place = || format!("row={n}");
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return if n == 1 { sink.bad(file.clone(), Fault::new("empty", "a header without rows")) } else { Ok(()) },
            Err(e) => {
                let fault = match e.into_kind() {
                    ErrorKind::Io(e) if e.get_ref().is_some_and(|e| e.is::<TooMuch>()) && left.get() == 0 => {
                        Fault::new("too_large", "a row without an end; is a quote not closed?")
                    }
                    ErrorKind::Io(e) => broken(&e),
                    other => Fault::new("malformed", format!("{other:?}")),
                };
                return sink.bad(file.part(&place()), fault.at(Offset::Row(n), b""));
            }
        }
        let line = record.position().map_or(0, ::csv::Position::line);
        let fault = |fault: Fault| fault.at(Offset::Line(line), &joined(&record, delimiter));
        if record.len() != width {
            let ragged = Fault::new("ragged", format!("{} values where the header has {width}", record.len()));
            sink.bad(file.part(&place()), fault(ragged))?;
            continue;
        }
        let mut values = Vec::with_capacity(columns.len());
        let mut invalid = None;
        for column in columns {
            let value = column.and_then(|i| record.get(i)).unwrap_or_default();
            match std::str::from_utf8(value) {
                Ok("") => values.push(Scalar::Null),
                Ok(text) => values.push(Scalar::Text(text.to_owned())),
                Err(e) => invalid = Some(Fault::new("not_utf8", format!("invalid at byte {} of a value", e.valid_up_to()))),
            }
        }
        let found = match invalid {
            Some(invalid) => Err(Box::new((file.part(&place()), invalid))),
            None => wanted.document(file, place, &mut values),
        };
        match found {
            Ok((member, document)) => sink.document(member, document, Some(Offset::Line(line)))?,
            Err(refused) => {
                let (member, of) = *refused;
                sink.bad(member, fault(of))?;
            }
        }
    }
}

/// About what stood there.
fn joined(record: &ByteRecord, delimiter: u8) -> Vec<u8> {
    record.iter().collect::<Vec<_>>().join(&delimiter)
}

struct Limited<R> {
    stream: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.left.get() == 0 {
            return Err(io::Error::other(TooMuch("a row without an end".into())));
        }
        let n = self.stream.read(buf)?;
        self.left.set(self.left.get().saturating_sub(n as u64));
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_tells_what_separates() {
        assert_eq!(delimiter(b"a;b;c\n1,2;3;4"), b';');
        assert_eq!(delimiter(b"a,b\n"), b',');
        assert_eq!(delimiter(b"text\n"), b',');
        assert_eq!(delimiter(b"a|b|c\n"), b'|');
    }
}
