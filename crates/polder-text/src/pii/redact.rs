//! Placeholders in the place of personal data.
//!
//! A placeholder is the kind in capitals and a name: a number that counts the different values of a document, or a pseudonym that is the
//! same in all documents under one salt. Its length says nothing about the value. The search steps over placeholders and lets none of its
//! windows reach across one, so redacting twice changes nothing.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::{PII_KINDS, SCORE_MIN};
use crate::ByteSpan;

/// Longest name of a kind in a placeholder, and of what tells values apart.
const KIND_MAX: usize = 24;
const NAME_MAX: usize = 20;
/// Bytes of a pseudonym: with 2^32 values under one salt, two are the same with odds of one half.
const PSEUDONYM_BYTES: usize = 8;
/// Block of the hash function inside HMAC (RFC 2104).
const HMAC_BLOCK: usize = 64;

/// Replaces every finding by a placeholder such as `<EMAIL_1>`: the same value has the same number within a text.
pub fn pii_redact(text: &str) -> String {
    pii_redact_kinds(text, |_| true)
}

/// Replaces the findings whose kind is chosen.
pub fn pii_redact_kinds(text: &str, chosen: impl Fn(&str) -> bool) -> String {
    // Numbers go on behind those that the text has.
    let mut last = numbers_in_use(text);
    let mut known: HashMap<(&'static str, String), u64> = HashMap::new();
    replace(text, chosen, |kind, value, out| {
        let number = known.entry((kind, value)).or_insert_with(|| {
            let last = last.entry(kind).or_insert(0);
            *last += 1;
            *last
        });
        let _ = write!(out, "{number}");
    })
}

/// Replaces the findings whose kind is chosen by pseudonyms such as `<EMAIL_x5f0c…>`, made by HMAC-SHA-256 under a salt: the same value has
/// the same pseudonym in every text, and nobody without the salt can try values out.
pub fn pii_redact_salted(text: &str, chosen: impl Fn(&str) -> bool, salt: &str) -> String {
    replace(text, chosen, |kind, value, out| {
        let digest = hmac_sha256(salt.as_bytes(), &[kind.as_bytes(), b"\0", value.as_bytes()]);
        out.push('x');
        digest.iter().take(PSEUDONYM_BYTES).for_each(|b| {
            let _ = write!(out, "{b:02x}");
        });
    })
}

/// Passes at most. A second one finds something only where a value touched another that is a placeholder by then.
const PASSES_MAX: usize = 16;

fn replace(text: &str, chosen: impl Fn(&str) -> bool, mut name: impl FnMut(&'static str, String, &mut String)) -> String {
    let mut text = Cow::Borrowed(text);
    for _ in 0..PASSES_MAX {
        let Some(replaced) = pass(&text, &chosen, &mut name) else { break };
        text = Cow::Owned(replaced);
    }
    text.into_owned()
}

/// Replaces what is found; `None` where there is nothing.
fn pass(text: &str, chosen: &impl Fn(&str) -> bool, name: &mut impl FnMut(&'static str, String, &mut String)) -> Option<String> {
    let found: Vec<ByteSpan> = super::spans(text).into_iter().filter(|s| chosen(s.kind) && s.score >= SCORE_MIN).collect();
    let mut out = String::with_capacity(if found.is_empty() { 0 } else { text.len() });
    let mut copied = 0;
    for span in &found {
        out.push_str(text.get(copied..span.start).unwrap_or_default());
        out.push('<');
        out.extend(span.kind.chars().map(|c| c.to_ascii_uppercase()));
        out.push('_');
        name(span.kind, value(text, span), &mut out);
        out.push('>');
        copied = span.end;
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    (!found.is_empty()).then_some(out)
}

/// What makes two spellings one value: of numbers letters and digits count, of addresses all but case and blanks.
fn value(text: &str, span: &ByteSpan) -> String {
    let written = text.get(span.start..span.end).unwrap_or_default();
    let kept = |c: &char| match span.kind {
        "email" | "url_credentials" | "profile_url" | "ipv4" | "ipv6" | "address" | "coordinates" | "birth_date" => !c.is_whitespace(),
        _ => c.is_alphanumeric(),
    };
    match span.kind {
        // Case tells these apart.
        "crypto_wallet" | "url_credentials" => written.chars().filter(kept).collect(),
        _ => written.chars().filter(kept).flat_map(char::to_lowercase).collect(),
    }
}

/// The kind and the end of the placeholder that begins at `at`.
pub(super) fn placeholder(bytes: &[u8], at: usize) -> Option<(&'static str, usize)> {
    let rest = bytes.get(at..)?.strip_prefix(b"<")?;
    // No other tag begins with a capital and has an underscore before its name; most end the search here.
    rest.first().filter(|b| b.is_ascii_uppercase())?;
    let length = rest.iter().take(KIND_MAX + NAME_MAX + 2).position(|b| *b == b'>')?;
    let (kind, name) = std::str::from_utf8(&rest[..length]).ok()?.rsplit_once('_')?;
    let is_name = !name.is_empty()
        && name.len() <= NAME_MAX
        && name.bytes().all(|b| b.is_ascii_digit() || (name.starts_with('x') && b.is_ascii_lowercase()));
    let known = PII_KINDS.iter().find(|k| k.eq_ignore_ascii_case(kind) && kind.bytes().all(|b| !b.is_ascii_lowercase()))?;
    is_name.then_some((known, at + 1 + length + 1))
}

/// The highest number of each kind's placeholders in a text.
fn numbers_in_use(text: &str) -> HashMap<&'static str, u64> {
    let bytes = text.as_bytes();
    let mut last = HashMap::new();
    for (at, _) in text.match_indices('<') {
        if let Some((kind, end)) = placeholder(bytes, at)
            && let Some(number) = text.get(at..end - 1).and_then(|p| p.rsplit_once('_')?.1.parse::<u64>().ok())
        {
            let highest = last.entry(kind).or_insert(0);
            *highest = number.max(*highest).min(u64::MAX / 2);
        }
    }
    last
}

fn hmac_sha256(key: &[u8], message: &[&[u8]]) -> [u8; 32] {
    let mut block = [0u8; HMAC_BLOCK];
    if key.len() > HMAC_BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let mut inner = Sha256::new_with_prefix(block.map(|b| b ^ 0x36));
    message.iter().for_each(|part| inner.update(part));
    let mut outer = Sha256::new_with_prefix(block.map(|b| b ^ 0x5C));
    outer.update(inner.finalize());
    outer.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::hmac_sha256;

    #[test]
    fn the_keyed_hash_is_that_of_rfc_4231() {
        let hex = |d: [u8; 32]| d.iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert!(hex(hmac_sha256(b"Jefe", &[b"what do ya want ", b"for nothing?"])).starts_with("5bdcc146bf60754e6a042426089575c7"));
        assert!(
            hex(hmac_sha256(&[0xaa; 131], &[b"Test Using Larger Than Block-Size Key - Hash Key First"]))
                .starts_with("60e431591ee0b67f0d8a26aacbf5b77f")
        );
    }
}
