//! Where people live: postal addresses in their simple forms, found by their codes, and coordinates.

use std::sync::LazyLock;

use regex::Regex;

use super::Scan;
use super::context::PLACE;
use crate::ByteSpan;

/// How far before its code an address may begin, and how long a city's name is behind it.
const BEFORE_BYTES: usize = 120;
const CITY_BYTES: usize = 40;
const COORDINATES_BYTES: usize = 72;

// Patterns of valid syntax: a failure here is a bug that the first test shows. All of them end where the code begins.
fn pattern(text: &str) -> Option<Regex> {
    Regex::new(text).ok()
}

/// States and territories of the USA, and where its mail to soldiers goes.
const STATES: &[u8] =
    b"AL AK AZ AR CA CO CT DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH OK OR PA RI SC SD TN TX \
      UT VT VA WA WV WI WY DC AS GU MP PR VI AA AE AP FM MH PW";

/// Number, street, unit, city and state: `12 North Main Street, Apt. 4, Springfield, IL `.
static AMERICAN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    pattern(concat!(
        r"(?:\b\d{1,6}[A-Za-z]?[ ]+(?:[NSEW]{1,2}\.?[ ]+)?(?:[A-Z0-9][\w.'’-]*[ ]+){0,4}?[A-Z][\w'’-]*\.?",
        r"(?:[ ]+(?:[NSEW]{1,2}|North|South|East|West)\b\.?)?|P\.?[ ]?O\.?[ ]+Box[ ]+\d{1,6}|(?:PSC|Unit|CMR)[ ]\d{1,5},?[ ]Box[ ]\d{1,5}|USN?S[ ][A-Z]\w+)",
        r"(?:,?[ \n]+(?:Apt|Apartment|Suite|Ste|Unit|Floor|Fl|Room|Rm|Bldg|#)\.?[ ]?#?[A-Za-z0-9-]{1,6})?",
        r"[ ]*[,\n][ \n]*(?:[A-Z][\w.'’-]*[ ]){0,3}[A-Z][\w.'’-]*,?[ ]+$",
    ))
});

/// Number, street and town: `10 Downing Street, London `.
static BRITISH: LazyLock<Option<Regex>> = LazyLock::new(|| {
    pattern(concat!(
        r"\b(?:(?:Flat|Unit|Apartment)[ ]\w{1,4},?[ ])?\d{1,4}[A-Za-z]?[ ]+(?:[A-Z][\w.'’-]*[ ]+){0,3}?",
        r"(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Court|Place|Square|Way|Terrace|Close|Crescent|Gardens|Grove|Hill|Mews|Row|Walk|Park|Green|Mall|Yard|Rise|View)\b\.?",
        r"[ ]*[,\n][ \n]*(?:[A-Z][\w'’-]*[ ,\n]+){1,5}$",
    ))
});

/// Street and number, or number and street, before a European code: `Hauptstraße 12a, `, `12 rue de la Paix, `.
static EUROPEAN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    pattern(concat!(
        r"(?:(?:",
        // German and Dutch, the kind of street at the end of the word or as a word of its own.
        r"\b\p{Lu}[\p{L}.'’-]*(?:[ -]\p{L}[\p{L}.'’-]*){0,3}?(?:[ -]?(?:[Ss]tra(?:ß|ss)e|[Ss]tr\.|[Ss]traat|[Ww]eg|[Pp]latz|[Pp]lein|[Aa]llee|[Gg]asse|[Rr]ing|[Dd]amm|[Uu]fer|[Cc]haussee|[Ss]teig|[Pp]fad|[Mm]arkt|[Hh]of|[Gg]raben|[Gg]racht|[Kk]ade|[Ll]aan|[Tt]or|[Bb]erg|[Pp]ark|[Bb]rücke|[Hh]öhe|[Ww]all|[Vv]ej|[Gg]ade|[Gg]atan|[Vv]ägen))",
        r"|\b(?:Am|An|Auf|Im|In|Zum|Zur|Unter)(?:[ ](?:der|dem|den))?[ ]\p{Lu}[\p{L}-]+(?:[ ]\p{Lu}[\p{L}-]+)?",
        // Italian, Spanish and Portuguese.
        r"|\b(?:Via|Viale|Piazza|Corso|Calle|C/|Avenida|Avda\.|Plaza|Paseo|Rua|Praça|Travessa|ul\.)[ ](?:[\p{L}.'’]+[ ]){0,4}[\p{L}.'’]+",
        r"),?[ ]+(?:n\.?[º°]?[ ])?\d{1,4}(?:[ ]?[a-zA-Z]\b)?(?:[ ]?[-/][ ]?\d{1,4}[a-z]?)?",
        r"|\b\d{1,4}(?:[ ](?:bis|ter))?,?[ ](?:rue|avenue|boulevard|place|chemin|impasse|quai|allée|route|cours|Rue|Avenue|Boulevard|Place|Chemin|Quai|Allée)[ ](?:[\p{L}.'’-]+[ ]?){1,5})",
        r"[ ]*[,\n|·•][ \n]*(?:(?:DE?|AT?|CH|F|FR|NL|I|IT|E|ES|PL?)[ -]{1,2})?$",
    ))
});

/// The rest of a pair of decimals behind its first number, and degrees, minutes and seconds from the first on.
static COORDINATES: LazyLock<Option<Regex>> = LazyLock::new(|| {
    pattern(concat!(
        r#"^(?:\d{1,3}\.\d{3,17}°?[ ]?[NSns]?["']?[ ]?[,;/ ]\s{0,3}["']?(?:lon|lng|long|longitude|Lon|Lng|Long|Longitude|LON|LNG)?["']?[ ]?[:=]?[ ]?["']?[+-]?\d{1,3}\.\d{3,17}°?(?:[ ]?[EWOewo]\b)?"#,
        r#"|\d{1,3}(?:\.\d+)?°[ ]?(?:\d{1,2}(?:\.\d+)?['′’][ ]?(?:\d{1,2}(?:\.\d+)?(?:["″”]|'')[ ]?)?)?[NSns][ ,;/]{1,3}\d{1,3}(?:\.\d+)?°[ ]?(?:\d{1,2}(?:\.\d+)?['′’][ ]?(?:\d{1,2}(?:\.\d+)?(?:["″”]|'')[ ]?)?)?[EWOewo]\b)"#,
    ))
});

/// An address whose code is, or begins with, the token `start..end`.
pub(super) fn address(scan: &Scan<'_>, start: usize, end: usize) -> Option<ByteSpan> {
    let bytes = scan.bytes;
    let token = bytes.get(start..end)?;
    let digits = token.iter().all(u8::is_ascii_digit);
    if token.len() == 5 && digits {
        let state = bytes.get(start.checked_sub(4)?..start)?;
        if matches!(state[0], b' ' | b',') && state[3] == b' ' && STATES.split(|b| *b == b' ').any(|s| s == &state[1..3]) {
            let plus_four = bytes.get(end) == Some(&b'-') && bytes.get(end + 1..end + 5).is_some_and(|b| b.iter().all(u8::is_ascii_digit));
            return reaching_back(scan, &AMERICAN, start - 3, if plus_four { end + 5 } else { end });
        }
    }
    if digits && (token.len() == 4 || token.len() == 5) {
        // `1012 AB Amsterdam`.
        let dutch = matches!(bytes.get(end..end + 4), Some([b' ', a, b, b' ']) if a.is_ascii_uppercase() && b.is_ascii_uppercase());
        let code_end = if dutch && token.len() == 4 { end + 3 } else { end };
        let city = city_end(scan.text, code_end)?;
        return reaching_back(scan, &EUROPEAN, start, city);
    }
    // `SW1A 2AA`.
    let outward = (2..=4).contains(&token.len()) && token[0].is_ascii_uppercase() && token.iter().any(u8::is_ascii_digit);
    let inward = bytes.get(end..end + 4)?;
    let british =
        outward && inward[0] == b' ' && inward[1].is_ascii_digit() && inward[2].is_ascii_uppercase() && inward[3].is_ascii_uppercase();
    (british && !bytes.get(end + 4).is_some_and(u8::is_ascii_alphanumeric)).then(|| reaching_back(scan, &BRITISH, start, end + 4)).flatten()
}

fn reaching_back(scan: &Scan<'_>, street: &LazyLock<Option<Regex>>, code: usize, end: usize) -> Option<ByteSpan> {
    let from = scan.text.ceil_char_boundary(scan.free.max(code.saturating_sub(BEFORE_BYTES)));
    let found = street.as_ref()?.find(scan.text.get(from..code)?)?;
    Some(ByteSpan { kind: "address", start: from + found.start(), end, score: 0.8 })
}

/// The end of the city's name behind a code: one to three words with a capital.
fn city_end(text: &str, at: usize) -> Option<usize> {
    let rest = text.get(at..text.floor_char_boundary((at + CITY_BYTES).min(text.len())))?.strip_prefix(' ')?;
    let mut length = 0;
    for word in rest.split(' ').take(3) {
        let name: usize = word.chars().take_while(|c| c.is_alphabetic() || matches!(c, '-' | '\'' | '’')).map(char::len_utf8).sum();
        let connecting = ["am", "an", "der", "de", "la", "im", "bei", "a."].contains(&word) && length > 0;
        if name == 0 || !(word.starts_with(char::is_uppercase) || connecting) {
            break;
        }
        length += name + usize::from(length > 0);
        if name < word.len() {
            break;
        }
    }
    (length >= 3).then_some(at + 1 + length)
}

/// A pair of coordinates whose first digits are the token `start..end`.
pub(super) fn coordinates(scan: &Scan<'_>, start: usize, end: usize) -> Option<ByteSpan> {
    let bytes = scan.bytes;
    let degrees = bytes.get(end..end + 2) == Some(&[0xC2, 0xB0]);
    let decimals = match bytes.get(end) {
        Some(b'.') => bytes.get(end + 1..)?.iter().take(18).take_while(|b| b.is_ascii_digit()).count(),
        _ => 0,
    };
    let behind = bytes.get(end + 1 + decimals).copied();
    let paired = decimals >= 3 && matches!(behind, Some(b',' | b';' | b' ' | b'/' | b'"' | b'\'' | 0xC2));
    let with_degrees = degrees || (decimals > 0 && behind == Some(0xC2));
    if end - start > 3 || !(paired || with_degrees) {
        return None;
    }
    // Two degrees with their sides of the world say it themselves; plain decimals need a word.
    if !with_degrees && scan.before(start) & PLACE == 0 {
        return None;
    }
    let window = scan.text.get(start..scan.text.floor_char_boundary((start + COORDINATES_BYTES).min(scan.text.len())))?;
    let found = COORDINATES.as_ref()?.find(window)?;
    // Parts of one are colours and textures.
    let whole = window
        .get(..found.end())?
        .split(|c: char| !(c.is_ascii_digit() || c == '.'))
        .any(|number| number.split('.').next().is_some_and(|n| n.len() > 1));
    if !whole && !with_degrees {
        return None;
    }
    let sign = start > scan.free && matches!(bytes[start - 1], b'-' | b'+');
    let start = start - usize::from(sign);
    let to = start + usize::from(sign) + found.end();
    super::groups::ends_number(scan.text, to).then_some(ByteSpan {
        kind: "coordinates",
        start,
        end: to,
        score: if with_degrees { 0.8 } else { 0.6 },
    })
}
