//! SHA-256 digests, written `sha256:` and 64 lower-case hexadecimal digits.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest of bytes that were read whole.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// Returns the 32 raw bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the first 64 bits, for seeds and short names.
    pub fn prefix_u64(&self) -> u64 {
        self.0[..8].iter().fold(0, |acc, b| acc << 8 | u64::from(*b))
    }

    /// Returns the 64 hexadecimal digits without the algorithm's name.
    pub fn hex(&self) -> String {
        // Lists of documents hold one a line, so this is no place for the general formatter.
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        self.0.iter().flat_map(|b| [b >> 4, b & 15]).map(|d| char::from(DIGITS[usize::from(d)])).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Digest> for String {
    fn from(d: Digest) -> Self {
        d.to_string()
    }
}

impl TryFrom<String> for Digest {
    type Error = String;
    fn try_from(s: String) -> Result<Self, String> {
        s.parse()
    }
}

/// What lower-case hexadecimal digits are worth; of other bytes, [`NO_DIGIT`]. Lists of documents hold one digest a line.
const HEX_VALUE: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        values[b"0123456789abcdef"[value] as usize] = value as u8;
        value += 1;
    }
    values
};
const NO_DIGIT: u8 = u8::MAX;

impl FromStr for Digest {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let wrong = || format!("`{s}` is not `sha256:` and 64 hexadecimal digits");
        let hex = s.strip_prefix("sha256:").ok_or_else(wrong)?;
        let mut out = [0u8; 32];
        let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
        if pairs.len() != out.len() || !rest.is_empty() {
            return Err(wrong());
        }
        let mut all = 0;
        for (byte, [high, low]) in out.iter_mut().zip(pairs) {
            let (high, low) = (HEX_VALUE[usize::from(*high)], HEX_VALUE[usize::from(*low)]);
            *byte = high << 4 | low;
            all |= high | low;
        }
        if all == NO_DIGIT { Err(wrong()) } else { Ok(Self(out)) }
    }
}

/// Digests bytes as they come.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Starts an empty digest.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Adds a field with its length, so that neighbouring fields cannot run into each other.
    pub fn field(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// Ends the digest.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

/// Digests bytes in memory.
pub fn digest_bytes(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(bytes);
    hasher.finish()
}

/// Digests a value by its JSON text; struct fields keep their order, so equal values agree.
pub fn digest_json(value: &impl Serialize) -> Digest {
    // A value that JSON cannot hold (a map with non-string keys) digests as its error text.
    digest_bytes(&serde_json::to_vec(value).unwrap_or_else(|e| e.to_string().into_bytes()))
}

/// Digests a file without holding it in memory.
///
/// # Errors
/// Those of opening and reading; the caller attaches the path.
pub fn digest_file(path: &Path) -> io::Result<Digest> {
    let mut file = File::open(path)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0u8; 1 << 20];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(&buffer[..n]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_back_what_it_prints() {
        let d = digest_bytes(b"polder");
        assert_eq!(d.to_string().parse::<Digest>(), Ok(d));
        assert!("sha256:zz".parse::<Digest>().is_err());
        let text = d.to_string();
        for bad in [text.to_uppercase(), text.replace("sha256:", ""), format!("{text}0"), text.replace(|c: char| c.is_ascii_digit(), "+")] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
        assert!(text.replace("sha256:", "SHA256:").parse::<Digest>().is_err());
        assert_eq!(digest_bytes(b"").hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn fields_cannot_run_into_each_other() {
        let of = |parts: &[&str]| {
            let mut h = Hasher::new();
            parts.iter().for_each(|p| h.field(p.as_bytes()));
            h.finish()
        };
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
    }
}
