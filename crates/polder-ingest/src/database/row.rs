//! A row as a database sends it, and its values as those of a record.

use std::borrow::Cow;
use std::ops::Range;

use polder_base::{Digest, Hasher, units};

use crate::mapping::Scalar;
use crate::record::{EXCERPT_BYTES, Fault};

/// How the values of a column come, and what they become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Each value says itself what it is.
    Any,
    /// Text, and whatever is best kept as its database writes it: times, UUIDs, JSON.
    Text,
    /// Bytes, which are text where they are UTF-8.
    Bytes,
    /// `t` or `f`.
    Bool,
    /// A whole number, in digits.
    Int,
    /// A number, in digits.
    Float,
    /// Bits, the highest first.
    Bits,
    /// Something that is no single value; it is kept as its database writes it, and is no text of a document.
    Many(&'static str),
    /// Something that comes in a form that is no text.
    Refused(&'static str),
}

impl Kind {
    /// Whether a document's text can be of it.
    pub(super) fn is_text(self) -> bool {
        matches!(self, Self::Any | Self::Text | Self::Bytes)
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Any | Self::Text | Self::Bytes => "text",
            Self::Bool => "a boolean",
            Self::Int | Self::Float | Self::Bits => "a number",
            Self::Many(words) | Self::Refused(words) => words,
        }
    }
}

/// A value of a row.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    Null,
    /// Among the row's bytes.
    Bytes(Range<usize>),
    Int(i64),
    Float(f64),
    /// A value of so many bytes that was passed over.
    TooLarge(u64),
}

/// A row. One is filled again and again.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) bytes: Vec<u8>,
    pub(super) cells: Vec<Cell>,
    /// What is said of values that were passed over.
    pub(super) value_bytes_max: u64,
}

impl Row {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.cells.clear();
    }

    /// Adds a value whose bytes have been added since `start`.
    pub(super) fn close(&mut self, start: usize) {
        self.cells.push(Cell::Bytes(start..self.bytes.len()));
    }

    /// A value of the catalogue.
    pub(super) fn shown(&self, cell: &Cell) -> Option<String> {
        match cell {
            Cell::Null | Cell::TooLarge(_) => None,
            Cell::Int(n) => Some(n.to_string()),
            Cell::Float(x) => Some(x.to_string()),
            Cell::Bytes(range) => Some(String::from_utf8_lossy(&self.bytes[range.clone()]).into_owned()),
        }
    }

    /// A value as it is written, as a part of an address.
    pub(super) fn written(&self, cell: usize) -> Option<Cow<'_, [u8]>> {
        match self.cells.get(cell)? {
            Cell::Bytes(range) => Some(Cow::Borrowed(&self.bytes[range.clone()])),
            Cell::Int(n) => Some(Cow::Owned(n.to_string().into_bytes())),
            Cell::Float(x) => Some(Cow::Owned(x.to_string().into_bytes())),
            Cell::Null | Cell::TooLarge(_) => None,
        }
    }

    /// Digests some of its values.
    pub(super) fn digest(&self, cells: impl Iterator<Item = usize>) -> Digest {
        let mut hasher = Hasher::new();
        for cell in cells {
            match self.written(cell) {
                Some(value) => hasher.field(&value),
                None => hasher.field(format!("{:?}", self.cells.get(cell)).as_bytes()),
            };
            hasher.field(&[u8::from(matches!(self.cells.get(cell), Some(Cell::Null)))]);
        }
        hasher.finish()
    }

    /// A value of a record; or why it can be none.
    pub(super) fn value(&self, cell: usize, kind: Kind, is_text: bool) -> Result<Scalar, Fault> {
        let bytes = match self.cells.get(cell) {
            None | Some(Cell::Null) => return Ok(Scalar::Null),
            Some(Cell::Int(n)) => return Ok(Scalar::Int(*n)),
            Some(Cell::Float(x)) => return Ok(Scalar::Float(*x)),
            Some(Cell::TooLarge(bytes)) => {
                let detail = format!("{}, more than {}", units::bytes(*bytes), units::bytes(self.value_bytes_max));
                return Err(Fault::new("too_large", detail).with_bytes(*bytes));
            }
            Some(Cell::Bytes(range)) => &self.bytes[range.clone()],
        };
        if kind == Kind::Bits {
            return Ok(Scalar::Int(bytes.iter().fold(0, |n, b| n << 8 | i64::from(*b))));
        }
        let text = std::str::from_utf8(bytes).map_err(|e| Fault {
            bytes: bytes.len() as u64,
            excerpt: bytes[..bytes.len().min(EXCERPT_BYTES)].to_vec(),
            ..Fault::new("not_utf8", format!("invalid at byte {}", e.valid_up_to()))
        })?;
        let number = || text.parse::<f64>().map_or_else(|_| Scalar::Text(text.to_owned()), Scalar::Float);
        Ok(match kind {
            Kind::Bool => Scalar::Bool(text == "t"),
            Kind::Int => text.parse().map_or_else(|_| number(), Scalar::Int),
            Kind::Float => number(),
            Kind::Many(words) if is_text => Scalar::Other(words),
            _ => Scalar::Text(text.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[Option<&[u8]>]) -> Row {
        let mut row = Row::default();
        for cell in cells {
            match cell {
                Some(bytes) => {
                    let start = row.bytes.len();
                    row.bytes.extend_from_slice(bytes);
                    row.close(start);
                }
                None => row.cells.push(Cell::Null),
            }
        }
        row
    }

    #[test]
    fn values_become_what_their_column_says() {
        let value = |bytes: &[u8], kind, is_text| row(&[Some(bytes)]).value(0, kind, is_text).expect("a value");
        assert_eq!(value(b"17", Kind::Int, false), Scalar::Int(17));
        assert_eq!(value(b"18446744073709551615", Kind::Int, false), Scalar::Float(18_446_744_073_709_551_615.0));
        assert_eq!(value(b"0.5", Kind::Float, false), Scalar::Float(0.5));
        assert_eq!(value(b"t", Kind::Bool, false), Scalar::Bool(true));
        assert_eq!(value(b"\x01\x02", Kind::Bits, false), Scalar::Int(258));
        assert_eq!(value(b"{a,b}", Kind::Many("a list"), false), Scalar::Text("{a,b}".into()));
        assert_eq!(value(b"{a,b}", Kind::Many("a list"), true), Scalar::Other("a list"));
        let fault = row(&[Some(b"a\xff")]).value(0, Kind::Bytes, true).expect_err("refused");
        assert_eq!((fault.reason, fault.detail.as_str(), fault.excerpt.as_slice()), ("not_utf8", "invalid at byte 1", b"a\xff".as_slice()));
    }

    #[test]
    fn rows_of_other_values_have_other_digests() {
        let digest = |cells: &[Option<&[u8]>]| row(cells).digest(0..cells.len());
        let all = [
            digest(&[Some(b"a"), Some(b"b")]),
            digest(&[Some(b"ab"), Some(b"")]),
            digest(&[Some(b"ab"), None]),
            digest(&[Some(b"ab"), Some(b"Some(Null)")]),
        ];
        for (i, one) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|other| other != one), "{i}");
        }
    }
}
