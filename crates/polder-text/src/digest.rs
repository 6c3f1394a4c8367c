//! Digests of text: exact, and of what is left when spacing and Unicode composition don't count.

use sha2::{Digest as _, Sha256};

use crate::clean::composed;

/// Returns SHA-256 of the bytes as they are, in 64 hexadecimal digits.
pub fn exact_digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

/// Returns SHA-256 of the [`normalized`] text, in 64 hexadecimal digits.
///
/// Equal digests mean: the same characters but for white space and composition. The empty text,
/// and text of white space only, have the digest of the empty string.
pub fn text_digest(text: &str) -> String {
    hex(&Sha256::digest(normalized(text).as_bytes()))
}

/// Returns the text in NFC with every run of white space as one space, and none at either end.
pub fn normalized(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut push = |word: &str| {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    };
    composed(text).split_whitespace().for_each(&mut push);
    out
}

/// Maps a text to a number in [0, 1) by the first 53 bits of its SHA-256.
///
/// The same text always falls into the same split, on any machine and in any version.
pub fn hash_share(text: &str) -> f64 {
    let digest = Sha256::digest(text.as_bytes());
    let prefix = digest.iter().take(8).fold(0u64, |acc, b| acc << 8 | u64::from(*b));
    (prefix >> 11) as f64 / (1u64 << 53) as f64
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]).map(char::from).collect()
}
