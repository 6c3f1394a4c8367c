//! What a text gives away about people: addresses, numbers that name them, and what belongs to them.
//!
//! One pass over the bytes. A candidate starts at a digit, `@`, `:` or `/`; its length is bounded, and so is what is read around it, so the
//! time is linear. Each family of kinds has a file; [`context`] reads the words near by, which make a number of no form of its own a
//! telephone or a passport number, and raise the score of the others. Rules lean towards code, where most numbers are none of these:
//! versions, hexadecimal digits, decimal fractions and tables are left alone. Addresses of reserved domains (example.com) count: a form is
//! not read.

mod birth_date;
mod card;
mod checks;
mod context;
mod email;
mod groups;
mod iban;
mod machine;
mod national;
mod national_checks;
mod phone;
mod place;
mod redact;
mod url;
mod wallet;
mod words;

use crate::{ByteSpan, Finding, in_characters};
use context::Topics;
use groups::Groups;
pub use redact::{pii_redact, pii_redact_kinds, pii_redact_salted};

/// The kinds that [`pii`] reports, which are also its placeholders in capitals.
pub const PII_KINDS: [&str; 58] = [
    "address",
    "ar_cuit",
    "at_social_security",
    "au_medicare",
    "au_tfn",
    "be_national_number",
    "bg_egn",
    "birth_date",
    "br_cpf",
    "ca_sin",
    "card",
    "ch_ahv",
    "cl_rut",
    "cn_resident_id",
    "coordinates",
    "crypto_wallet",
    "cz_birth_number",
    "de_id_card",
    "de_social_security",
    "de_tax_id",
    "dk_cpr",
    "driver_license",
    "ee_lt_identity",
    "email",
    "es_nie",
    "es_nif",
    "fi_hetu",
    "fr_nir",
    "hr_oib",
    "iban",
    "ie_pps",
    "in_aadhaar",
    "in_pan",
    "ipv4",
    "ipv6",
    "it_fiscal_code",
    "kr_rrn",
    "mac",
    "mx_curp",
    "nl_bsn",
    "no_fodselsnummer",
    "passport",
    "phone",
    "pl_pesel",
    "profile_url",
    "pt_nif",
    "ro_cnp",
    "ru_inn",
    "ru_snils",
    "se_personnummer",
    "sg_nric",
    "tr_identity",
    "uk_nhs",
    "uk_nino",
    "url_credentials",
    "us_itin",
    "us_ssn",
    "za_id",
];

/// What is less sure than this isn't reported.
const SCORE_MIN: f64 = 0.5;
/// Longest word that is looked at as a whole.
const WORD_MAX: usize = 100;
/// Fewest digits of any number of a person.
const DIGITS_MIN: usize = 6;

/// Finds personal data, in order of place.
pub fn pii(text: &str) -> Vec<Finding> {
    in_characters(text, &spans(text))
}

/// What is known while the text is read.
struct Scan<'t> {
    text: &'t str,
    bytes: &'t [u8],
    /// One past the last find or placeholder; nothing before it may be claimed or read again.
    free: usize,
    /// The kind of that find.
    last: &'static str,
}

impl Scan<'_> {
    /// What the words around a candidate speak of.
    fn topics(&self, start: usize, end: usize) -> Topics {
        context::topics(self.text, self.free, start, end) | self.beside_last(start)
    }

    /// What the words before a candidate speak of.
    fn before(&self, start: usize) -> Topics {
        context::before(self.text, self.free, start) | self.beside_last(start)
    }

    /// A telephone number close behind another is one, too, as in `030 1234567 or 0171 1234567`.
    fn beside_last(&self, start: usize) -> Topics {
        let near = self.last == "phone" && start <= self.free + 12;
        if near && !self.text.get(self.free..start).is_some_and(|t| t.contains('\n')) { context::PHONE } else { 0 }
    }
}

/// Bytes at which something may be found.
const TRIGGERS: [bool; 256] = {
    let mut triggers = [false; 256];
    let mut digit = b'0';
    while digit <= b'9' {
        triggers[digit as usize] = true;
        digit += 1;
    }
    triggers[b'@' as usize] = true;
    triggers[b':' as usize] = true;
    triggers[b'/' as usize] = true;
    triggers[b'<' as usize] = true;
    triggers
};

/// Finds disjoint spans in order.
fn spans(text: &str) -> Vec<ByteSpan> {
    let bytes = text.as_bytes();
    let mut spans: Vec<ByteSpan> = Vec::new();
    let mut scan = Scan { text, bytes, free: 0, last: "" };
    let mut i = 0;
    while let Some(n) = bytes.get(i..).and_then(|rest| rest.iter().position(|b| TRIGGERS[usize::from(*b)])) {
        i += n;
        let mut next = i + 1;
        let found = match bytes[i] {
            b'@' => email::find(&scan, i),
            b'/' => url::find(&scan, i),
            b':' => behind_colon(&scan, i),
            b'<' => {
                if let Some((kind, end)) = redact::placeholder(bytes, i) {
                    (scan.free, scan.last, next) = (end, kind, end);
                }
                None
            }
            _ => {
                let word = Word::around(&scan, i);
                next = word.end;
                word.find(&scan)
            }
        };
        // What touches a find or a placeholder is a rest of it: next to the placeholder it might look whole.
        let apart = |s: &ByteSpan| (s.start > scan.free || scan.free == 0) && redact::placeholder(bytes, s.end).is_none();
        if let Some(span) = found.filter(|s| s.score >= SCORE_MIN && apart(s)) {
            (scan.free, scan.last, next) = (span.end, span.kind, span.end);
            spans.push(span);
        }
        i = next;
    }
    spans
}

/// An address of a machine whose first group holds no digit, such as `fe:…`.
fn behind_colon(scan: &Scan<'_>, at: usize) -> Option<ByteSpan> {
    let width = scan.bytes.get(scan.free..at)?.iter().rev().take(5).take_while(|b| b.is_ascii_hexdigit()).count();
    let start = at - width;
    let begins = (1..=4).contains(&width)
        && (start > scan.free || start == 0)
        && (start == 0 || !is_word_byte(scan.bytes[start - 1]) && scan.bytes[start - 1] != b':');
    if !begins || !scan.bytes.get(at + 1).is_some_and(|b| b.is_ascii_hexdigit() || *b == b':') {
        return None;
    }
    if width == 2 { machine::mac(scan, start).or_else(|| machine::ipv6(scan, start)) } else { machine::ipv6(scan, start) }
}

fn is_word_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80
}

/// A run of letters and digits with its first digit.
struct Word {
    start: usize,
    end: usize,
    /// Where its first digit is.
    digit: usize,
}

impl Word {
    fn around(scan: &Scan<'_>, digit: usize) -> Word {
        let letters = scan
            .bytes
            .get(scan.free..digit)
            .unwrap_or_default()
            .iter()
            .rev()
            .take(WORD_MAX)
            .take_while(|b| b.is_ascii_alphabetic())
            .count();
        let rest = scan.bytes[digit..].iter().take_while(|b| b.is_ascii_alphanumeric()).count();
        Word { start: digit - letters, end: digit + rest, digit }
    }

    fn find(&self, scan: &Scan<'_>) -> Option<ByteSpan> {
        if self.end - self.start > WORD_MAX {
            return None;
        }
        let pure = self.start == self.digit && scan.bytes[self.start..self.end].iter().all(u8::is_ascii_digit);
        if pure { self.number(scan) } else { self.mixed(scan) }
    }

    /// A word of digits alone.
    fn number(&self, scan: &Scan<'_>) -> Option<ByteSpan> {
        let (start, end, length) = (self.start, self.end, self.end - self.start);
        let begins = groups::starts_number(scan.text, start);
        let after = scan.bytes.get(end).copied().unwrap_or(0);
        if length <= 4
            && matches!(after, b':' | b'-')
            && let Some(span) = self.hexadecimal(scan)
        {
            return Some(span);
        }
        if length <= 5 && begins {
            let short = match after {
                b'.' if length <= 3 => machine::ipv4(scan, start).or_else(|| place::coordinates(scan, start, end)),
                0xC2 if length <= 3 => place::coordinates(scan, start, end),
                _ => None,
            };
            if let Some(span) = short.or_else(|| birth_date::find(scan, start, end)).or_else(|| place::address(scan, start, end)) {
                return Some(span);
            }
        } else if length <= 3 && after == b'.' && scan.bytes[start - 1] == b'-' {
            return place::coordinates(scan, start, end);
        } else if length <= 3
            && after == b'.'
            && scan.bytes[start - 1] == b'@'
            && let Some(span) = machine::ipv4_of_login(scan, start)
        {
            return Some(span);
        }
        let spaced_nino = length == 2 && start >= 3 && scan.bytes[start - 1] == b' ' && scan.bytes[start - 2].is_ascii_uppercase();
        if spaced_nino
            && let Some(span) = start
                .checked_sub(3)
                .filter(|s| *s >= scan.free && groups::starts_number(scan.text, *s))
                .and_then(|s| national::find(scan, s))
        {
            return Some(span);
        }
        let groups = Groups::read(scan.bytes, start);
        if groups.n_digits < DIGITS_MIN && !(length == 5 && begins) {
            return None;
        }
        let in_form = if begins {
            card::find(scan, &groups).or_else(|| national::find(scan, start)).or_else(|| national::document(scan, start))
        } else {
            None
        };
        in_form.or_else(|| phone::find(scan, &groups)).or_else(|| begins.then(|| wallet::find(scan, start, end)).flatten())
    }

    /// Parts of an address of a machine, in hexadecimal digits.
    fn hexadecimal(&self, scan: &Scan<'_>) -> Option<ByteSpan> {
        let begins =
            self.start == 0 || !(is_word_byte(scan.bytes[self.start - 1]) || matches!(scan.bytes[self.start - 1], b':' | b'-' | b'.'));
        if !begins {
            return None;
        }
        let colon = scan.bytes.get(self.end) == Some(&b':');
        let pair = if self.end - self.start == 2 { machine::mac(scan, self.start) } else { None };
        pair.or_else(|| colon.then(|| machine::ipv6(scan, self.start)).flatten())
    }

    /// A word of letters and digits.
    fn mixed(&self, scan: &Scan<'_>) -> Option<ByteSpan> {
        let (start, end) = (self.start, self.end);
        let length = end - start;
        let bytes = scan.bytes;
        if length <= 4
            && matches!(bytes.get(end), Some(b':' | b'-'))
            && let Some(span) = self.hexadecimal(scan)
        {
            return Some(span);
        }
        if !groups::starts_number(scan.text, start) {
            return None;
        }
        let n_letters = self.digit - start;
        if n_letters == 2
            && bytes.get(self.digit + 1).is_some_and(u8::is_ascii_digit)
            && let Some(iban_end) = iban::end(bytes, start)
        {
            return Some(ByteSpan { kind: "iban", start, end: iban_end, score: 1.0 });
        }
        if length <= 4
            && bytes.get(end) == Some(&b' ')
            && let Some(span) = place::address(scan, start, end)
        {
            return Some(span);
        }
        // A telephone number with its extension: `345-899-3560x4587` begins with a word of digits, `9498777106x12` doesn't.
        let digits = bytes[start..end].iter().take_while(|b| b.is_ascii_digit()).count();
        if n_letters == 0
            && (7..=12).contains(&digits)
            && matches!(bytes[start + digits], b'x' | b'X')
            && let Some(span) = phone::find(scan, &Groups::read(bytes, start))
        {
            return Some(span);
        }
        if length < 5 {
            return None;
        }
        if length >= 14
            && let Some(span) = wallet::find(scan, start, end)
        {
            return Some(span);
        }
        if length > 20 || bytes[start..end].iter().filter(|b| b.is_ascii_digit()).count() < 4 {
            return None;
        }
        national::find(scan, start).or_else(|| national::document(scan, start))
    }
}
