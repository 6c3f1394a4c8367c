//! JSON lines: one object a line, of which the wanted fields are read and the rest is skipped.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufRead as _, BufReader, Read};

use polder_base::units;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::broken;
use crate::encoding;
use crate::mapping::{Scalar, Wanted};
use crate::record::{Fault, Flow, Member, Offset, Sink};

/// So many records without text at the start of a file show that it has none.
const TEXTLESS_MAX: usize = 100;
const BUFFER_BYTES: usize = 256 << 10;
/// A record's other fields may be so large beside its text.
const OTHER_FIELDS_BYTES: u64 = 1 << 20;

pub(crate) fn read(file: &Member, stream: Box<dyn Read + '_>, sink: &mut Sink<'_>) -> Flow {
    let stream = match encoding::utf8(stream) {
        Ok(stream) => stream,
        Err(e) => return sink.bad(file.clone(), broken(&e)),
    };
    // Escapes can double a text.
    let bytes_max = sink.settings.limits.record_bytes_max.saturating_mul(2).saturating_add(OTHER_FIELDS_BYTES);
    let mut lines = Lines { reader: BufReader::with_capacity(BUFFER_BYTES, stream), line: Vec::new(), n: 0, bytes_max };
    let wanted = &sink.settings.wanted;
    let mut values = Vec::new();
    // Records without text are held back while the file has shown none: if it has none at all, that is one fault of the file.
    let mut textless = Some(Vec::new());
    let mut is_empty = true;
    loop {
        let found = match lines.next() {
            Ok(Line::End) => break,
            Ok(Line::Whole) if lines.line.trim_ascii().is_empty() => continue,
            Ok(Line::Whole) => object(&lines.line, wanted, &mut values),
            Ok(Line::TooLong(bytes)) => {
                let detail = format!("a line of {}, more than {}", units::bytes(bytes), units::bytes(bytes_max));
                Err(Fault::new("too_large", detail).with_bytes(bytes))
            }
            Err(e) => {
                let fault = broken(&e).at(Offset::Line(lines.n), &lines.line);
                release(&mut textless, sink)?;
                return sink.bad(file.part(&format!("line={}", lines.n)), fault);
            }
        };
        is_empty = false;
        let n = lines.n;
        let place = || format!("line={n}");
        let found = found.map_err(|fault| Box::new((file.part(&place()), fault)));
        match found.and_then(|()| wanted.document(file, place, &mut values)) {
            Ok((member, document)) => {
                release(&mut textless, sink)?;
                sink.document(member, document, Some(Offset::Line(n)))?;
            }
            Err(refused) => {
                let (member, fault) = *refused;
                let bytes = fault.bytes.max(lines.line.len() as u64);
                let fault = fault.at(Offset::Line(n), &lines.line).with_bytes(bytes);
                match &mut textless {
                    Some(held) if fault.reason == "no_text" => {
                        held.push((member, fault));
                        if held.len() == TEXTLESS_MAX {
                            return sink.bad(file.clone(), wanted.textless(&keys(&lines.line)));
                        }
                    }
                    _ => {
                        release(&mut textless, sink)?;
                        sink.bad(member, fault)?;
                    }
                }
            }
        }
    }
    match textless {
        Some(held) if !held.is_empty() => sink.bad(file.clone(), wanted.textless(&keys(&held[0].1.excerpt))),
        _ if is_empty => sink.bad(file.clone(), Fault::new("empty", "no lines")),
        _ => Ok(()),
    }
}

/// Records without text are faults of their own once the file has shown anything else.
fn release(textless: &mut Option<Vec<(Member, Fault)>>, sink: &mut Sink<'_>) -> Flow {
    textless.take().into_iter().flatten().try_for_each(|(member, fault)| sink.bad(member, fault))
}

/// Whether the start of a file shows objects that stand on a line each.
pub(crate) fn are_lines(start: &[u8]) -> bool {
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    let mut lines = start.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).filter(|l| !l.is_empty());
    let (Some(first), Some(second)) = (lines.next(), lines.next()) else { return false };
    first.starts_with(b"{") && second.starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(first).is_ok()
}

enum Line {
    /// It is in the buffer.
    Whole,
    /// Its beginning is in the buffer; its size.
    TooLong(u64),
    End,
}

/// Lines of bounded size.
struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    /// The number of the line that was read last, from 1.
    n: u64,
    bytes_max: u64,
}

impl<R: Read> Lines<R> {
    fn next(&mut self) -> io::Result<Line> {
        self.line.clear();
        self.n += 1;
        let mut bytes = 0u64;
        loop {
            let buffer = match self.reader.fill_buf() {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if buffer.is_empty() {
                break;
            }
            let end = memchr::memchr(b'\n', buffer);
            let part = &buffer[..end.unwrap_or(buffer.len())];
            bytes += part.len() as u64;
            if bytes <= self.bytes_max {
                self.line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.reader.consume(used);
            if end.is_some() {
                return Ok(self.judged(bytes));
            }
        }
        Ok(if bytes == 0 { Line::End } else { self.judged(bytes) })
    }

    fn judged(&self, bytes: u64) -> Line {
        if bytes > self.bytes_max { Line::TooLong(bytes) } else { Line::Whole }
    }
}

/// Reads the wanted fields of one object.
fn object(line: &[u8], wanted: &Wanted, values: &mut Vec<Scalar>) -> Result<(), Fault> {
    values.clear();
    values.resize(wanted.names.len(), Scalar::Null);
    let text = std::str::from_utf8(line).map_err(|e| Fault::new("not_utf8", format!("invalid at byte {} of the line", e.valid_up_to())))?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = deserializer.deserialize_map(Fields { names: &wanted.names, values }).and_then(|()| deserializer.end());
    read.map_err(|e| Fault::new("malformed", e.to_string().replace(" at line 1 column", " at column")))
}

/// The keys of an object, as far as they can be read: an excerpt may break off.
fn keys(line: &[u8]) -> Vec<String> {
    let mut keys = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_slice(line);
    let _ = deserializer.deserialize_map(Keys(&mut keys));
    keys
}

struct Keys<'k>(&'k mut Vec<String>);

impl<'de> Visitor<'de> for Keys<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            self.0.push(key);
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// Takes the wanted fields out of an object.
struct Fields<'f> {
    names: &'f [String],
    values: &'f mut Vec<Scalar>,
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(Key)? {
            match self.names.iter().position(|n| *n == key) {
                Some(i) => self.values[i] = map.next_value_seed(Value)?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// A key, borrowed where it has no escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

struct Value;

impl<'de> DeserializeSeed<'de> for Value {
    type Value = Scalar;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Scalar, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
        Ok(Scalar::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
        Ok(i64::try_from(value).map_or(Scalar::Float(value as f64), Scalar::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
        Ok(Scalar::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Scalar, E> {
        Ok(Scalar::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Scalar, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other("a list"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Scalar, A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other("an object"))
    }
}
