//! Private keys that are written as blocks of lines: PEM, OpenPGP and PuTTY.

use crate::ByteSpan;

/// Longest header of a block.
const HEADER_MAX: usize = 60;
/// Fewest letters and digits that a key has.
const KEY_MIN: usize = 64;
/// Longest file of PuTTY.
const PUTTY_MAX: usize = 8192;

/// A block from its first dashes to its last, if something that could be a key stands between. `block_end` is where the next end of a block
/// is; it only moves forward, so many beginnings stay linear.
pub(super) fn find(text: &str, start: usize, from: usize, block_end: &mut Option<usize>) -> Option<ByteSpan> {
    let header = text.get(from..text.floor_char_boundary((from + HEADER_MAX).min(text.len())))?;
    let header = header.split_once("-----")?.0;
    if !header.ends_with("PRIVATE KEY") && !header.ends_with("PRIVATE KEY BLOCK") {
        return None;
    }
    let body = from + header.len() + 5;
    while let Some(end) = *block_end {
        if end >= body {
            break;
        }
        *block_end = text.get(body..)?.find("-----END ").map(|i| body + i);
    }
    let end = (*block_end)?;
    let content = text.get(body..end)?;
    // Another beginning inside means that this one is only spoken of.
    let key = content.bytes().filter(u8::is_ascii_alphanumeric).count();
    let mut seen = [false; 256];
    content.bytes().for_each(|b| seen[usize::from(b)] = true);
    if content.contains("-----BEGIN ") || key < KEY_MIN || seen.iter().filter(|s| **s).count() < 16 || key * 2 < content.len() {
        return None;
    }
    let line = text.get(end + 9..)?;
    let end = line.find("-----").filter(|n| *n <= HEADER_MAX).map_or(end, |n| end + 9 + n + 5);
    Some(ByteSpan { kind: "private_key", start, end, score: 1.0 })
}

/// A key file of PuTTY, from its first line to its code.
pub(super) fn putty(text: &str, start: usize) -> Option<ByteSpan> {
    let rest = text.get(start..text.floor_char_boundary((start + PUTTY_MAX).min(text.len())))?;
    let private = rest.find("Private-Lines:")?;
    let mac = rest.get(private..)?.find("Private-MAC:")? + private;
    let end = rest.get(mac..)?.find('\n').map_or(rest.len(), |n| mac + n);
    Some(ByteSpan { kind: "private_key", start, end: start + rest.get(..end)?.trim_end().len(), score: 1.0 })
}
