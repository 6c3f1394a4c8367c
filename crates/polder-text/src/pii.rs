//! What a text gives away about people: e-mail addresses, IP addresses, telephone, card and bank account numbers.
//!
//! One pass over the bytes; a candidate starts at `@`, at a digit or at two capitals, and its length is bounded, so
//! the time is linear. Rules lean towards code, where most numbers are none of these: versions, hexadecimal digits and
//! decimal fractions are left alone. Addresses of reserved domains (example.com) count: a form is not read.

use crate::pii_checksum::{card_digits, iban_end};
use crate::{ByteSpan, Finding, in_characters};

/// The kinds that [`pii`] reports, which are also its placeholders in capitals.
pub const PII_KINDS: [&str; 5] = ["card", "email", "iban", "ipv4", "phone"];

/// Longest parts of an address, from RFC 5321.
const LOCAL_MAX: usize = 64;
const DOMAIN_MAX: usize = 255;
/// Endings of files that are no top-level domains: `icon@2x.png` is a picture.
const FILE_ENDINGS: [&str; 18] =
    ["png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js", "json", "html", "tgz", "gz", "exe", "dll", "jar", "pdf", "xml", "yml"];

/// Finds personal data, in order of place.
pub fn pii(text: &str) -> Vec<Finding> {
    in_characters(text, &scan(text))
}

/// Replaces every finding by its kind in capitals and angle brackets, such as `<EMAIL>`.
pub fn pii_redact(text: &str) -> String {
    pii_redact_kinds(text, |_| true)
}

/// Replaces the findings whose kind is chosen.
pub fn pii_redact_kinds(text: &str, chosen: impl Fn(&str) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    for span in scan(text).iter().filter(|s| chosen(s.kind)) {
        out.push_str(text.get(copied..span.start).unwrap_or_default());
        out.push_str(match span.kind {
            "card" => "<CARD>",
            "email" => "<EMAIL>",
            "iban" => "<IBAN>",
            "ipv4" => "<IPV4>",
            _ => "<PHONE>",
        });
        copied = span.end;
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    out
}

/// Finds disjoint spans in order.
fn scan(text: &str) -> Vec<ByteSpan> {
    let bytes = text.as_bytes();
    let mut spans: Vec<ByteSpan> = Vec::new();
    // Nothing before `free` may be claimed again.
    let (mut i, mut free) = (0, 0);
    while i < bytes.len() {
        let b = bytes[i];
        let found = match b {
            b'@' => email(text, i, free),
            b'0'..=b'9' | b'+' | b'(' if starts_number(bytes, i) => number(bytes, i),
            b'A'..=b'Z' if starts_word(bytes, i) => iban_end(bytes, i).map(|end| ByteSpan { kind: "iban", start: i, end, score: 1.0 }),
            _ => None,
        };
        match found {
            Some(span) => {
                // An address may begin before a number that was taken for something else.
                while spans.last().is_some_and(|s| s.end > span.start) {
                    spans.pop();
                }
                free = span.end;
                i = span.end;
                spans.push(span);
            }
            None => i += 1,
        }
    }
    spans
}

fn starts_word(bytes: &[u8], i: usize) -> bool {
    i == 0 || !(bytes[i - 1].is_ascii_alphanumeric() || bytes[i - 1] == b'_' || bytes[i - 1] >= 0x80)
}

/// A number begins here, and isn't the middle of a word, a version, a fraction or a longer number.
fn starts_number(bytes: &[u8], i: usize) -> bool {
    if i == 0 {
        return true;
    }
    let before = bytes[i - 1];
    let joined =
        before.is_ascii_alphanumeric() || matches!(before, b'.' | b'_' | b'+' | b'#' | b'$' | b'%' | b'\\' | b'&') || before >= 0x80;
    // `555-0100` in `x-555-0100` belongs to what stands before the dash.
    let behind_dash = before == b'-' && i >= 2 && bytes[i - 2].is_ascii_alphanumeric();
    !(joined || behind_dash)
}

/// Nothing that would continue a number follows.
fn ends_number(bytes: &[u8], end: usize) -> bool {
    let Some(&after) = bytes.get(end) else { return true };
    if after.is_ascii_alphanumeric() || after == b'_' || after >= 0x80 {
        return false;
    }
    let continues = matches!(after, b'.' | b'-' | b',' | b'/' | b'+' | b':') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
    // A port (`:8080`), a mask (`/24`) and a list (`,`) may follow.
    !continues || matches!(after, b':' | b'/' | b',')
}

fn number(bytes: &[u8], i: usize) -> Option<ByteSpan> {
    if bytes[i].is_ascii_digit() {
        if let Some((end, grouped)) = card_digits(bytes, i).filter(|(end, _)| ends_number(bytes, *end))
            && (grouped || !stands_in_list(bytes, i, end))
        {
            return Some(ByteSpan { kind: "card", start: i, end, score: if grouped { 0.95 } else { 0.7 } });
        }
        if let Some(end) = ipv4_end(bytes, i) {
            return Some(ByteSpan { kind: "ipv4", start: i, end, score: 0.6 });
        }
    }
    phone_end(bytes, i).map(|end| ByteSpan { kind: "phone", start: i, end, score: 0.6 })
}

/// Whether a number is one of several between commas: tables of constants pass Luhn's check by chance.
fn stands_in_list(bytes: &[u8], start: usize, end: usize) -> bool {
    let blank = |b: &&u8| !b.is_ascii_whitespace();
    let near = start.saturating_sub(64)..start;
    let before = bytes.get(near).and_then(|b| b.iter().rev().find(blank));
    let after = bytes.get(end + 1..).and_then(|b| b.iter().take(64).find(|b| **b != b' '));
    before == Some(&b',')
        || (bytes.get(end) == Some(&b',') && after.is_none_or(|b| b.is_ascii_digit() || matches!(b, b'\n' | b'\r' | b'-')))
}

/// A public address in dotted form, of at least seven digits. What stands behind a `v`, an operator of
/// comparison or the word version is none.
fn ipv4_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut octets = [0u16; 4];
    let mut i = start;
    for (n, octet) in octets.iter_mut().enumerate() {
        if n > 0 {
            (bytes.get(i) == Some(&b'.')).then_some(())?;
            i += 1;
        }
        let digits = bytes.get(i..)?.iter().take(4).take_while(|b| b.is_ascii_digit()).count();
        let leading_zero = digits > 1 && bytes.get(i) == Some(&b'0');
        if digits == 0 || digits > 3 || leading_zero {
            return None;
        }
        *octet = bytes.get(i..i + digits)?.iter().fold(0, |acc, b| acc * 10 + u16::from(b - b'0'));
        i += digits;
    }
    let public = !matches!(
        octets,
        [0 | 10 | 127 | 224.., ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 168, ..]
            | [192, 0, 0 | 2, _]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
    );
    // Versions, section numbers and object identifiers have the same form, but fewer digits or their own beginnings.
    let short = i - start < 3 + 7;
    let object_identifier = matches!(octets, [1, 2 | 3, ..] | [2, 5, ..]);
    let valid = octets.iter().all(|o| *o <= 255) && ends_number(bytes, i) && bytes.get(i) != Some(&b'-');
    (valid && public && !short && !object_identifier && !follows_version_word(bytes, start)).then_some(i)
}

fn follows_version_word(bytes: &[u8], start: usize) -> bool {
    let before = bytes.get(start.saturating_sub(16)..start).unwrap_or_default().to_ascii_lowercase();
    let before = String::from_utf8_lossy(&before);
    let word = before.trim_end_matches([' ', '"', '\'', ':', '(', '=', '>', '<', '~', '^']);
    let compared = before.trim_end_matches([' ', '"', '\'']).ends_with(['=', '>', '<', '~', '^']) && !before.trim_end().ends_with(" =");
    ["version", "ver", " v", "release", "rev"].iter().any(|w| word.ends_with(w)) || (compared && before.contains(['~', '^', '>', '<']))
}

/// International numbers (`+` and 9 to 15 digits in groups or together) and North American ones
/// (`(212) 555-0187`, `212-555-0187`).
fn phone_end(bytes: &[u8], start: usize) -> Option<usize> {
    let end = match bytes[start] {
        b'+' => international_end(bytes, start)?,
        b'(' => {
            let area = digits_at(bytes, start + 1, 3)?;
            (bytes.get(area) == Some(&b')')).then_some(())?;
            let exchange = if bytes.get(area + 1) == Some(&b' ') { area + 2 } else { area + 1 };
            local_end(bytes, start + 1, exchange)?
        }
        _ => {
            let area = digits_at(bytes, start, 3)?;
            (bytes.get(area) == Some(&b'-')).then_some(())?;
            local_end(bytes, start, area + 1)?
        }
    };
    ends_number(bytes, end).then_some(end)
}

fn international_end(bytes: &[u8], start: usize) -> Option<usize> {
    bytes.get(start + 1).filter(|b| matches!(b, b'1'..=b'9'))?;
    let (mut i, mut end, mut n_digits, mut n_breaks, mut n_dots) = (start + 1, start + 1, 0, 0, 0);
    while let Some(&b) = bytes.get(i).filter(|_| n_digits <= 15) {
        match b {
            b'0'..=b'9' => {
                n_digits += 1;
                end = i + 1;
            }
            // One separator, or a bracketed group, between digits.
            b' ' | b'-' | b'.' | b'/' | b'(' | b')' if end + 2 > i => {
                n_breaks += 1;
                n_dots += usize::from(b == b'.');
            }
            _ => break,
        }
        i += 1;
    }
    // `+1.234567890` is a number, `+123456789` at the start of a line a line of a patch, `+10000-12-31` a date.
    let fraction = n_dots == 1 && n_breaks == 1;
    let patch = n_breaks == 0 && (start == 0 || bytes[start - 1] == b'\n');
    let tail = bytes.get(end.saturating_sub(6)..end).unwrap_or_default();
    let date = n_breaks == 2 && matches!(tail, [b'-', _, _, b'-', _, _]);
    // Country code 1 has numbers of one length.
    let short = bytes.get(start + 1) == Some(&b'1') && n_digits != 11;
    ((9..=15).contains(&n_digits) && !fraction && !patch && !date && !short).then_some(end)
}

fn digits_at(bytes: &[u8], at: usize, n: usize) -> Option<usize> {
    bytes.get(at..at + n)?.iter().all(u8::is_ascii_digit).then_some(at + n)
}

/// `NXX-XXXX` behind an area code, neither part beginning with 0 or 1.
fn local_end(bytes: &[u8], area: usize, exchange: usize) -> Option<usize> {
    let dash = digits_at(bytes, exchange, 3)?;
    let end = digits_at(bytes, dash + 1, 4)?;
    (bytes[dash] == b'-' && bytes[area] >= b'2' && bytes[exchange] >= b'2').then_some(end)
}

fn is_local(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '%' | '+' | '-') || is_european_letter(c)
}

/// Letters of the scripts in which addresses and prose are set apart by spaces.
fn is_european_letter(c: char) -> bool {
    !c.is_ascii() && u32::from(c) < 0x530 && c.is_alphabetic()
}

/// An address around the `@` at `at`, nothing before `free` touched.
fn email(text: &str, at: usize, free: usize) -> Option<ByteSpan> {
    let mut start = at;
    for c in text.get(free..at)?.chars().rev().take(LOCAL_MAX + 1).take_while(|c| is_local(*c)) {
        start -= c.len_utf8();
    }
    let local = text.get(start..at)?;
    let trimmed = local.trim_start_matches(['.', '-', '+', '%']);
    start = at - trimmed.len();
    if trimmed.is_empty() || trimmed.chars().count() > LOCAL_MAX || trimmed.ends_with('.') || trimmed.contains("..") {
        return None;
    }
    let rest = text.get(at + 1..)?;
    let in_domain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-') || is_european_letter(*c);
    let length: usize = rest.chars().take(DOMAIN_MAX).take_while(in_domain).map(char::len_utf8).sum();
    let domain = rest.get(..length)?.trim_end_matches(['.', '-']);
    let (before, top) = domain.rsplit_once('.')?;
    let top_is_name = (2..=24).contains(&top.chars().count()) && top.chars().all(char::is_alphabetic) || top.starts_with("xn--");
    let labels_hold = before.split('.').all(|l| !l.is_empty() && !l.starts_with('-') && !l.ends_with('-'));
    // `left-pad@1.3.0.tgz`: a package and its version.
    let numbered = before.split('.').all(|l| l.chars().all(|c| c.is_ascii_digit()));
    let file = FILE_ENDINGS.iter().any(|e| top.eq_ignore_ascii_case(e));
    let after = rest.get(domain.len()..)?;
    // `git@host:path` names a repository, `user@host` in a call or a path of a module no person.
    let repository = trimmed == "git" && after.starts_with([':', '/']);
    let joined = after.starts_with(['_', '@']);
    if !top_is_name || !labels_hold || numbered || file || repository || joined {
        return None;
    }
    Some(ByteSpan { kind: "email", start, end: at + 1 + domain.len(), score: 1.0 })
}
