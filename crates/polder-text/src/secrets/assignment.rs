//! Values that a name calls secret: `password = "…"`, `API_KEY=…`, `<token>…</token>`, `--password …`.

use super::examples::{entropy, is_example, is_public, is_template};
use crate::ByteSpan;

/// What a name says about its value.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Name {
    /// People choose passwords: short, with signs of several kinds.
    Password,
    /// Machines make keys: long and even.
    Key,
}

/// Names in small letters; `_` stands for itself, `-` and nothing.
pub(super) const NAMES: &[(&str, Name)] = &[
    ("password", Name::Password),
    ("passwd", Name::Password),
    ("passwort", Name::Password),
    ("kennwort", Name::Password),
    ("passphrase", Name::Password),
    ("pwd", Name::Password),
    ("db_pass", Name::Password),
    ("dbpass", Name::Password),
    ("userpass", Name::Password),
    ("user_pass", Name::Password),
    ("smtp_pass", Name::Password),
    ("contraseña", Name::Password),
    ("mot_de_passe", Name::Password),
    ("senha", Name::Password),
    ("secret", Name::Key),
    ("token", Name::Key),
    ("api_key", Name::Key),
    ("api-key", Name::Key),
    ("apikey", Name::Key),
    ("access_key", Name::Key),
    ("accesskey", Name::Key),
    ("auth_key", Name::Key),
    ("authkey", Name::Key),
    ("private_key", Name::Key),
    ("privatekey", Name::Key),
    ("encryption_key", Name::Key),
    ("encryptionkey", Name::Key),
    ("signing_key", Name::Key),
    ("account_key", Name::Key),
    ("client_key", Name::Key),
    ("app_key", Name::Key),
    ("appkey", Name::Key),
    ("master_key", Name::Key),
    ("service_key", Name::Key),
    ("license_key", Name::Key),
    ("credential", Name::Key),
    ("bearer", Name::Key),
    ("authorization", Name::Key),
    ("x-auth", Name::Key),
];

/// Longest rest of a name, and longest value.
const NAME_MAX: usize = 40;
const VALUE_MAX: usize = 256;
/// How far the pair beside a value is read.
const PAIR_MAX: usize = 96;
/// Least bits a sign of a made key has, in hexadecimal digits and in more.
const HEX_ENTROPY_MIN: f64 = 2.9;
const ENTROPY_MIN: f64 = 3.4;

/// The secret that is assigned to the name that ends at `from` and began at `start`.
pub(super) fn find(text: &str, name: Name, start: usize, from: usize) -> Option<ByteSpan> {
    let bytes = text.as_bytes();
    let rest = bytes.get(from..)?;
    let tail = rest.iter().take(NAME_MAX).take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')).count();
    let head = bytes[..start].iter().rev().take(NAME_MAX).take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')).count();
    let whole_name = bytes.get(start - head..from + tail)?;
    if names_something_else(bytes.get(from..from + tail)?) {
        return None;
    }
    // What every page sends along, and what anyone may know.
    if [&b"csrf"[..], b"xsrf", b"authenticity", b"public", b"verification"].iter().any(|w| contains(whole_name, w)) {
        return None;
    }
    let option = whole_name.starts_with(b"--");
    let (at, quote) = value_start(bytes, from + tail, option)?;
    let (value, ends_line) = value_at(bytes, at, quote)?;
    let ends_line = ends_line || quote.is_none() && ends_within_line(bytes, start - head, from + tail, at, at + value.len());
    // `Authorization: Bearer …` and `Basic …`, in quotes or not.
    let scheme = [&b"bearer"[..], b"basic", b"token"]
        .iter()
        .find(|s| value.len() >= s.len() && value[..s.len()].eq_ignore_ascii_case(s))
        .map_or(0, |s| s.len() + 1);
    let (value, at, ends_line) = match bytes.get(at + scheme.saturating_sub(1)) {
        Some(b' ') if scheme > 0 && quote.is_some() => (value.get(scheme..)?, at + scheme, ends_line),
        Some(b' ') if scheme > 0 => value_at(bytes, at + scheme, None).map(|(value, ends)| (value, at + scheme, ends))?,
        _ => (value, at, ends_line),
    };
    if is_template(value) || is_example(value) || is_public(value, whole_name) || names_itself(value, whole_name) {
        return None;
    }
    let quoted = quote.is_some();
    let score = match name {
        Name::Password if is_password(value, quoted, ends_line) => 0.7,
        Name::Password | Name::Key if is_key(value, quoted || ends_line) => 0.75,
        _ => return None,
    };
    let aws = value.len() == 40 && contains(whole_name, b"secret") && (contains(whole_name, b"aws") || contains(whole_name, b"access"));
    let kind = match name {
        Name::Password => "password",
        Name::Key if aws => "aws_secret_access_key",
        Name::Key => "secret_key",
    };
    Some(ByteSpan { kind, start: at, end: at + value.len(), score })
}

fn contains(name: &[u8], part: &[u8]) -> bool {
    name.windows(part.len()).any(|w| w.eq_ignore_ascii_case(part))
}

/// Whether the rest of a name speaks of a thing beside the secret: `token_type`, `password_field`, `secretName`.
fn names_something_else(rest: &[u8]) -> bool {
    let lower = rest.to_ascii_lowercase();
    let words = [
        "name",
        "type",
        "id",
        "file",
        "path",
        "url",
        "uri",
        "field",
        "label",
        "hash",
        "length",
        "len",
        "size",
        "count",
        "prompt",
        "hint",
        "policy",
        "placeholder",
        "reset",
        "ize",
        "izer",
        "ized",
        "ref",
        "arn",
        "endpoint",
        "expir",
        "ttl",
        "lifetime",
        "scope",
        "regex",
        "pattern",
        "text",
        "title",
        "message",
        "error",
        "class",
        "input",
        "enabled",
        "required",
        "limit",
        "manager",
        "store",
        "provider",
        "format",
        "header",
        "column",
        "index",
        "salt",
        "version",
        "confirm",
        "s",
        "set",
        "link",
        "page",
        "form",
    ];
    let lower = String::from_utf8_lossy(&lower);
    let rest = lower.trim_start_matches(['_', '-', '.']);
    words.iter().any(|w| if w.len() <= 3 { rest == *w } else { rest.starts_with(w) || rest.ends_with(w) })
        || (rest.ends_with("id") && rest.len() > 2)
}

/// Where the value begins behind a name, and its quote if it has one.
fn value_start(bytes: &[u8], from: usize, option: bool) -> Option<(usize, Option<u8>)> {
    let blanks = |at: usize| at + bytes.get(at..).unwrap_or_default().iter().take(24).take_while(|b| matches!(b, b' ' | b'\t')).count();
    let quote_at = |at: usize| bytes.get(at).copied().filter(|b| matches!(b, b'"' | b'\'' | b'`'));
    let mut at = from;
    // The name may be a string itself: `"password": …`, `['token'] = …`, `'DB_PASSWORD', …`.
    let in_string = quote_at(at).is_some() || (bytes.get(at) == Some(&b'\\') && quote_at(at + 1).is_some());
    while bytes.get(at).is_some_and(|b| matches!(b, b'"' | b'\'' | b'\\' | b']' | b')')) && at < from + 3 {
        at += 1;
    }
    let spaced = blanks(at);
    let operator = bytes.get(spaced..)?;
    at = match operator {
        [b'=', b'=' | b'~', ..] | [b':', b':', ..] => return None,
        [b':' | b'?' | b'|', b'=', ..] | [b'=', b'>', ..] => spaced + 2,
        [b'=' | b':', ..] => spaced + 1,
        // Full-width `：` and `＝`.
        [0xEF, 0xBC, 0x9A | 0x9D, ..] => spaced + 3,
        [b',', ..] if in_string => spaced + 1,
        // `<password>value</password>`.
        [b'>', ..] if spaced == from => return text_of_element(bytes, spaced + 1),
        // `name="password" value="…"`.
        _ if in_string && operator.starts_with(b"value=") => spaced + 6,
        _ if option && spaced > from => spaced,
        _ => return None,
    };
    at = blanks(at);
    // A type between: `password: &str = "…"`, `token: string = '…'`.
    if quote_at(at).is_none() && bytes.get(spaced) == Some(&b':') {
        let type_length = bytes
            .get(at..)?
            .iter()
            .take(32)
            .take_while(|b| b.is_ascii_alphabetic() || matches!(b, b'&' | b'\'' | b' ' | b'<' | b'>' | b'_' | b':'))
            .count();
        if bytes.get(at + type_length) == Some(&b'=') {
            at = blanks(at + type_length + 1);
        }
    }
    // `b"…"`, `r'…'`, `@"…"`, `\"…\"`.
    if matches!(bytes.get(at), Some(b'b' | b'r' | b'u' | b'@' | b'\\')) && quote_at(at + 1).is_some() {
        at += 1;
    }
    // `group:artifact` has no blank where `name: value` has one.
    if quote_at(at).is_none() && operator.starts_with(b":") && at == spaced + 1 {
        return None;
    }
    match quote_at(at) {
        Some(quote) => Some((at + 1, Some(quote))),
        None => Some((at, None)),
    }
}

fn text_of_element(bytes: &[u8], at: usize) -> Option<(usize, Option<u8>)> {
    let length = bytes.get(at..)?.iter().take(VALUE_MAX).position(|b| *b == b'<')?;
    let closed = bytes.get(at + length + 1) == Some(&b'/');
    (closed && length > 0).then_some((at, Some(b'<')))
}

/// The value at a place, and whether nothing but a comment follows it on its line.
fn value_at(bytes: &[u8], at: usize, quote: Option<u8>) -> Option<(&[u8], bool)> {
    let rest = bytes.get(at..)?;
    match quote {
        Some(quote) => {
            let length = rest.iter().take(VALUE_MAX).position(|b| *b == quote || *b == b'\n')?;
            (rest[length] == quote).then_some(())?;
            let value = rest.get(..length)?;
            Some((value.strip_suffix(b"\\").unwrap_or(value), true))
        }
        None => {
            let length = rest
                .iter()
                .take(VALUE_MAX + 1)
                .take_while(|b| {
                    b.is_ascii_graphic()
                        && !matches!(b, b'"' | b'\'' | b'`' | b',' | b';' | b'<' | b'>' | b'(' | b')' | b'{' | b'}' | b'[' | b']' | b'|')
                })
                .count();
            let after = rest.get(length..)?;
            let blanks = after.iter().take(16).take_while(|b| matches!(b, b' ' | b'\t')).count();
            // Within a string, its end is the value's: `-H 'x-auth-token: …'`.
            let ends_line =
                matches!(after.get(blanks), None | Some(b'\n' | b'\r' | b'#')) || matches!(after.first(), Some(b'"' | b'\'' | b'`'));
            (length <= VALUE_MAX).then_some((rest.get(..length)?, ends_line))
        }
    }
}

/// Whether an unquoted value that more of its line follows ends all the same: before the next pair of `key=value;`, before the command that
/// `NAME=value command` sets it for, and before full-width punctuation. The name is `name..equals`, the value `at..end`.
fn ends_within_line(bytes: &[u8], name: usize, equals: usize, at: usize, end: usize) -> bool {
    let (Some(before), Some(after)) = (bytes.get(..name), bytes.get(end..)) else { return false };
    match after {
        [0xE3, 0x80, 0x81 | 0x82, ..] | [0xEF, 0xBC, 0x81..=0x8F | 0x9A..=0xA0, ..] => true,
        [b';', after @ ..] => bytes.get(equals) == Some(&b'=') && equals + 1 == at && (pair_before(before) || pair_after(after)),
        [b' ', next, ..] => {
            let is_name = bytes.get(name..equals).is_some_and(|n| n.iter().all(|b| matches!(b, b'A'..=b'Z' | b'0'..=b'9' | b'_')));
            let begins = matches!(before.last(), None | Some(b' ' | b'\t' | b'\n' | b'"' | b'\''));
            let is_command = next.is_ascii_alphabetic() || matches!(next, b'.' | b'/' | b'\\' | b'-');
            is_name && begins && is_command && bytes.get(equals) == Some(&b'=') && equals + 1 == at
        }
        _ => false,
    }
}

/// The letters and blanks of a key in `User Id=sa;`.
fn is_of_pair_key(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b' ' | b'_')
}

/// Whether a pair and its `;` stand right before: `Server=db;`, and at most a part of the key follows (`User ` of `User Password`).
fn pair_before(before: &[u8]) -> bool {
    let near = before.get(before.len().saturating_sub(PAIR_MAX)..).unwrap_or_default();
    let Some((b';', pair)) = near.iter().rposition(|b| !is_of_pair_key(*b)).map(|i| (near[i], &near[..i])) else { return false };
    let pair = pair.rsplit(|b| matches!(b, b';' | b'"' | b'\'' | b'`' | b'\n')).next().unwrap_or_default();
    is_pair(pair)
}

/// Whether a pair follows a `;`: `Database=x`.
fn pair_after(after: &[u8]) -> bool {
    let near = after.get(..after.len().min(PAIR_MAX)).unwrap_or_default();
    is_pair(near.split(|b| matches!(b, b';' | b'"' | b'\'' | b'`' | b'\n')).next().unwrap_or_default())
}

fn is_pair(pair: &[u8]) -> bool {
    let pair = pair.trim_ascii_start();
    let key = pair.iter().take_while(|b| is_of_pair_key(**b)).count();
    let has_key = key > 0 && pair[0].is_ascii_alphabetic() && pair[key - 1] != b' ';
    has_key && pair.get(key) == Some(&b'=') && pair.get(key + 1).is_some_and(|b| b.is_ascii_graphic() && *b != b'=')
}

/// Whether a value repeats its name: `passwordField = "password_field"`, `api_key: my_api_key1`.
fn names_itself(value: &[u8], name: &[u8]) -> bool {
    let fold = |b: &[u8]| b.iter().filter(|b| b.is_ascii_alphabetic()).map(u8::to_ascii_lowercase).collect::<Vec<u8>>();
    let (value, name) = (fold(value), fold(name));
    value.len() >= 4 && (name.windows(value.len()).any(|w| w == value) || (name.len() >= 4 && value.windows(name.len()).any(|w| w == name)))
}

/// Whether a value is what people choose as a password: signs of several kinds, and no word or name of code.
fn is_password(value: &[u8], quoted: bool, ends_line: bool) -> bool {
    let has = |f: fn(&u8) -> bool| value.iter().any(f);
    let (lower, upper, digit) = (has(u8::is_ascii_lowercase), has(u8::is_ascii_uppercase), has(u8::is_ascii_digit));
    let sign = value.iter().any(|b| b.is_ascii_punctuation() && !matches!(b, b'_' | b'-' | b'.' | b'/' | b':'));
    let classes = usize::from(lower) + usize::from(upper) + usize::from(digit) + usize::from(sign);
    if !(6..=64).contains(&value.len()) || !value.iter().all(u8::is_ascii_graphic) || classes < 2 || !(digit || sign) || !(lower || upper) {
        return false;
    }
    // Calls, paths, formats and marks of code.
    let code = value.iter().any(|b| matches!(b, b'(' | b')' | b'{' | b'}' | b'[' | b']' | b'<' | b'>' | b'\\' | b'|' | b'=' | b',' | b';'))
        || value.starts_with(b"/")
        || value.starts_with(b"./")
        || value.starts_with(b"-")
        || value.windows(2).any(|w| w == b"->" || w == b"::" || w == b"//");
    // A word and a number or one sign behind it is a name more often than a password.
    let word = value.iter().position(|b| !b.is_ascii_alphabetic()).unwrap_or(value.len());
    let numbered = word >= 3 && value[word..].len() <= 2 && !sign;
    let dotted = value
        .iter()
        .filter(|b| matches!(b, b'.' | b'_' | b'-' | b':' | b'/' | b'$' | b'@' | b'!' | b'?' | b'*' | b'&' | b'%' | b'#' | b'+'))
        .count()
        >= 1
        && !digit
        && !(upper && lower);
    let strong = entropy(value) >= 2.5;
    !code && !numbered && !dotted && strong && (quoted || (ends_line && digit && entropy(value) >= 2.8 && !value.contains(&b'.')))
}

/// Whether a value is what machines make: long, even, of letters and digits.
fn is_key(value: &[u8], delimited: bool) -> bool {
    let alphabet = value.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'=' | b'+' | b'/' | b'~'));
    let digits = value.iter().filter(|b| b.is_ascii_digit()).count();
    let letters = value.iter().filter(|b| b.is_ascii_alphabetic()).count();
    if !alphabet || !delimited || !(16..=200).contains(&value.len()) || digits < 3 || letters < 3 {
        return false;
    }
    let hex = value.iter().all(u8::is_ascii_hexdigit);
    // Names join words by dots, dashes and underscores; keys change between letters and digits.
    let changes = value.windows(2).filter(|w| w[0].is_ascii_digit() != w[1].is_ascii_digit()).count();
    let longest_word = value.split(|b| !b.is_ascii_lowercase()).map(<[u8]>::len).max().unwrap_or(0);
    let path = value.iter().filter(|b| matches!(b, b'/' | b'.')).count() >= 3 && value.len() < 60;
    entropy(value) >= if hex { HEX_ENTROPY_MIN } else { ENTROPY_MIN } && changes >= value.len() / 10 && longest_word < 9 && !path
}
