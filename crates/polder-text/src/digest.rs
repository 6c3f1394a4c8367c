//! Digests of text: exact, and of what is left when spacing and Unicode composition don't count.

use sha2::{Digest as _, Sha256};
use twox_hash::XxHash64;

use crate::clean::composed;

/// Returns SHA-256 of the bytes as they are, in 64 hexadecimal digits.
pub fn exact_digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

/// Returns XXH64, seed 0, of the bytes as they are: told apart in a hundredth of a digest's time, but not what somebody makes to collide.
pub fn xxhash64(text: &str) -> u64 {
    XxHash64::oneshot(0, text.as_bytes())
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
    let text = composed(text);
    let bytes = text.as_bytes();
    let is_space = |at: usize| match bytes.get(at) {
        Some(b) if b.is_ascii() => matches!(b, b'\t'..=b'\r' | b' '),
        // The first bytes of white space beyond ASCII.
        Some(0xc2 | 0xe1..=0xe3) => text.get(at..).is_some_and(|rest| rest.starts_with(char::is_whitespace)),
        _ => false,
    };
    // Words with single spaces between them are copied together.
    let (mut start, mut at) = (0, 0);
    let mut push = |words: &str| {
        if !out.is_empty() && !words.is_empty() {
            out.push(' ');
        }
        out.push_str(words);
    };
    while at < bytes.len() {
        if !MAY_BE_SPACE[usize::from(bytes[at])] || !is_space(at) {
            at += 1;
        } else if bytes[at] == b' ' && at > start && at + 1 < bytes.len() && !is_space(at + 1) {
            at += 2;
        } else {
            push(text.get(start..at).unwrap_or_default());
            at += text.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8);
            start = at;
        }
    }
    push(text.get(start..).unwrap_or_default());
    out
}

/// Bytes with which white space may begin.
static MAY_BE_SPACE: [bool; 256] = {
    let (mut may, mut b) = ([false; 256], 0);
    while b < 256 {
        may[b] = matches!(b, 0x09..=0x0d | 0x20 | 0xc2 | 0xe1..=0xe3);
        b += 1;
    }
    may
};

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
