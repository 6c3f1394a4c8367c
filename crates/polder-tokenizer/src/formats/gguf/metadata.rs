//! The keys at the front of a GGUF file, version 2 and 3.
//!
//! Every length is compared with what is left of the file before anything is made for it.

use std::collections::BTreeMap;
use std::io::Read;

use super::GgufError;
use crate::error::TokenizerError;

/// A value under a key.
#[derive(Clone, Debug, PartialEq)]
pub enum GgufValue {
    /// Unsigned, 32 bits.
    Uint32(u32),
    /// Any integer that was read; written as 64 bits with sign.
    Integer(i64),
    /// Written as 32 bits.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// A text.
    Text(String),
    /// Texts.
    Texts(Vec<String>),
    /// Integers; written as 32 bits with sign.
    Integers(Vec<i64>),
    /// Numbers; written as 32 bits.
    Floats(Vec<f32>),
}

pub(super) const MAGIC: [u8; 4] = *b"GGUF";

/// Whether a file begins as GGUF files do.
pub(in crate::formats) fn is_magic(head: &[u8]) -> bool {
    head == MAGIC
}

/// The numbers of value types.
pub(super) const UINT32: u32 = 4;
pub(super) const INT32: u32 = 5;
pub(super) const FLOAT32: u32 = 6;
pub(super) const BOOL: u32 = 7;
pub(super) const STRING: u32 = 8;
pub(super) const ARRAY: u32 = 9;
pub(super) const INT64: u32 = 11;

/// The values under `tokenizer.` and `general.`.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Metadata(pub BTreeMap<String, GgufValue>);

impl Metadata {
    /// Reads the keys; the reader stands behind the magic number.
    pub(super) fn read(reader: &mut dyn Read, bytes_total: u64) -> Result<Self, GgufError> {
        let mut cursor = Cursor { reader, at: 4, end: bytes_total };
        let version = cursor.u32()?;
        if !(2..=3).contains(&version) {
            let found = if (2..=3).contains(&version.swap_bytes()) { "big-endian".into() } else { format!("{version}") };
            return Err(TokenizerError::unsupported("version", found, "2 and 3").into());
        }
        let (_n_tensors, n_keys) = (cursor.u64()?, cursor.u64()?);
        // A key takes its length, its type and a byte at least.
        cursor.check_room(n_keys, 13, "keys")?;
        let mut values = BTreeMap::new();
        for _ in 0..n_keys {
            let at = cursor.at;
            let key = cursor.text()?;
            let kind = cursor.u32()?;
            let wanted = key.starts_with("tokenizer.") || key.starts_with("general.");
            let value = cursor.value(kind, wanted)?;
            if let Some(value) = value
                && values.insert(key.clone(), value).is_some()
            {
                return Err(TokenizerError::byte(at as usize, format!("the key `{key}` stands there twice")).into());
            }
        }
        Ok(Self(values))
    }

    fn get<T>(&self, key: &str, known: &'static str, take: impl Fn(&GgufValue) -> Option<T>) -> Result<Option<T>, TokenizerError> {
        match self.0.get(key) {
            None => Ok(None),
            Some(value) => take(value).map(Some).ok_or_else(|| TokenizerError::unsupported(key, "a value of another type", known)),
        }
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&str>, TokenizerError> {
        match self.0.get(key) {
            None => Ok(None),
            Some(GgufValue::Text(text)) => Ok(Some(text)),
            Some(_) => Err(TokenizerError::unsupported(key, "a value of another type", "a text")),
        }
    }

    pub(super) fn texts(&self, key: &str) -> Result<Option<&[String]>, TokenizerError> {
        match self.0.get(key) {
            None => Ok(None),
            Some(GgufValue::Texts(texts)) => Ok(Some(texts)),
            Some(_) => Err(TokenizerError::unsupported(key, "a value of another type", "an array of texts")),
        }
    }

    pub(super) fn integer(&self, key: &str) -> Result<Option<i64>, TokenizerError> {
        self.get(key, "an integer", |value| match value {
            GgufValue::Integer(n) => Some(*n),
            GgufValue::Uint32(n) => Some(i64::from(*n)),
            _ => None,
        })
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, TokenizerError> {
        self.get(key, "true or false", |value| match value {
            GgufValue::Bool(b) => Some(*b),
            _ => None,
        })
    }

    pub(super) fn integers(&self, key: &str) -> Result<Option<Vec<i64>>, TokenizerError> {
        self.get(key, "an array of integers", |value| match value {
            GgufValue::Integers(all) => Some(all.clone()),
            _ => None,
        })
    }

    pub(super) fn floats(&self, key: &str) -> Result<Option<Vec<f32>>, TokenizerError> {
        self.get(key, "an array of numbers", |value| match value {
            GgufValue::Floats(all) => Some(all.clone()),
            _ => None,
        })
    }
}

/// A reader that knows where it stands and where the file ends.
struct Cursor<'a> {
    reader: &'a mut dyn Read,
    at: u64,
    end: u64,
}

impl Cursor<'_> {
    fn check_room(&self, n: u64, bytes_each: u64, what: &str) -> Result<(), GgufError> {
        if n.checked_mul(bytes_each).is_none_or(|bytes| bytes > self.end.saturating_sub(self.at)) {
            return Err(TokenizerError::byte(self.at as usize, format!("{n} {what} do not fit in the file")).into());
        }
        Ok(())
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), GgufError> {
        let at = self.at as usize;
        self.reader.read_exact(bytes).map_err(|e| match e.kind() {
            std::io::ErrorKind::UnexpectedEof => TokenizerError::byte(at, "the file ends within its keys").into(),
            _ => GgufError::Io(e),
        })?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], GgufError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, GgufError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, GgufError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn text(&mut self) -> Result<String, GgufError> {
        let n = self.u64()?;
        self.check_room(n, 1, "bytes of text")?;
        let at = self.at;
        let mut bytes = vec![0; n as usize];
        self.fill(&mut bytes)?;
        String::from_utf8(bytes).map_err(|_| TokenizerError::byte(at as usize, "the text is no UTF-8").into())
    }

    /// An integer or a number of a scalar type, both forms; `None` for types that are neither.
    fn scalar(&mut self, kind: u32) -> Result<Option<(i64, f64)>, GgufError> {
        let integer = |n: i64| Some((n, n as f64));
        Ok(match kind {
            0 => integer(i64::from(u8::from_le_bytes(self.array()?))),
            1 => integer(i64::from(i8::from_le_bytes(self.array()?))),
            2 => integer(i64::from(u16::from_le_bytes(self.array()?))),
            3 => integer(i64::from(i16::from_le_bytes(self.array()?))),
            UINT32 => integer(i64::from(self.u32()?)),
            INT32 => integer(i64::from(i32::from_le_bytes(self.array()?))),
            10 => integer(i64::try_from(self.u64()?).unwrap_or(i64::MAX)),
            INT64 => integer(i64::from_le_bytes(self.array()?)),
            FLOAT32 => Some((0, f64::from(f32::from_le_bytes(self.array()?)))),
            12 => Some((0, f64::from_le_bytes(self.array()?))),
            _ => None,
        })
    }

    /// Reads a value; `None` if it is not wanted, or an array of arrays.
    fn value(&mut self, kind: u32, wanted: bool) -> Result<Option<GgufValue>, GgufError> {
        let at = self.at as usize;
        Ok(match kind {
            BOOL => Some(GgufValue::Bool(self.array::<1>()?[0] != 0)).filter(|_| wanted),
            STRING => Some(GgufValue::Text(self.text()?)).filter(|_| wanted),
            ARRAY => {
                let kind = self.u32()?;
                let n = self.u64()?;
                self.list(kind, n, wanted)?
            }
            _ => match self.scalar(kind)? {
                Some((_, x)) if kind == FLOAT32 || kind == 12 => Some(GgufValue::Float(x)),
                Some((n, _)) if kind == UINT32 => Some(GgufValue::Uint32(n as u32)),
                Some((n, _)) => Some(GgufValue::Integer(n)),
                None => return Err(TokenizerError::byte(at - 4, format!("{kind} is no type of value")).into()),
            }
            .filter(|_| wanted),
        })
    }

    fn list(&mut self, kind: u32, n: u64, wanted: bool) -> Result<Option<GgufValue>, GgufError> {
        let at = self.at as usize;
        let bytes_each = match kind {
            0 | 1 | BOOL => 1,
            2 | 3 => 2,
            UINT32 | INT32 | FLOAT32 => 4,
            STRING | 10 | INT64 | 12 => 8,
            _ => return Err(TokenizerError::byte(at - 12, format!("arrays of type {kind} are not understood")).into()),
        };
        self.check_room(n, bytes_each, "values")?;
        if kind == STRING {
            let mut texts = Vec::new();
            for _ in 0..n {
                let text = self.text()?;
                if wanted {
                    texts.push(text);
                }
            }
            return Ok(wanted.then_some(GgufValue::Texts(texts)));
        }
        let (mut integers, mut floats) = (Vec::new(), Vec::new());
        for _ in 0..n {
            let scalar = if kind == BOOL { self.scalar(0)? } else { self.scalar(kind)? };
            match scalar {
                Some((_, x)) if wanted && (kind == FLOAT32 || kind == 12) => floats.push(x as f32),
                Some((n, _)) if wanted => integers.push(n),
                _ => {}
            }
        }
        Ok(match kind {
            _ if !wanted => None,
            FLOAT32 | 12 => Some(GgufValue::Floats(floats)),
            _ => Some(GgufValue::Integers(integers)),
        })
    }
}
