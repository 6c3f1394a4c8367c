//! Identity, tax and social security numbers of countries, each with its own check digits; and numbers of passports and driving licences,
//! which have none and need a word near by.

use super::context::{self, Topics};
use super::groups::ends_number;
use super::national_checks as check;
use super::{Scan, checks};
use crate::ByteSpan;

/// A kind of number: what it looks like, and what proves it.
struct Form {
    kind: &'static str,
    /// Words that speak of it.
    topics: Topics,
    /// `9` a digit, `A` a letter, `X` either; anything else stands for itself, and `?` behind it makes it optional.
    shape: &'static str,
    /// How sure it is without a word; below [`SCORE_MIN`](super::SCORE_MIN) it isn't reported.
    alone: f64,
    /// Whether digits (of letters, 10 and up) are such a number. Separators are left out.
    holds: fn(&[u8]) -> bool,
}

const fn form(kind: &'static str, topics: Topics, shape: &'static str, alone: f64, holds: fn(&[u8]) -> bool) -> Form {
    Form { kind, topics, shape, alone, holds }
}

// Tightest first: the first that holds is taken.
const FORMS: &[Form] = &[
    form("us_ssn", context::SSN | context::TAX, "999-99-9999", 0.6, check::us_ssn),
    form("us_ssn", context::SSN, "999 99 9999", 0.0, check::us_ssn),
    form("us_ssn", context::SSN, "999999999", 0.0, check::us_ssn),
    form("us_itin", context::SSN | context::TAX, "999-99-9999", 0.5, check::us_itin),
    form("us_itin", context::SSN | context::TAX, "999 ?99 ?9999", 0.0, check::us_itin),
    form("it_fiscal_code", context::IT, "AAAAAA99A99A999A", 0.9, check::it_fiscal_code),
    form("mx_curp", context::LATIN_AMERICA, "AAAA999999AAAAAAX9", 0.9, check::mx_curp),
    form("cn_resident_id", context::CN | context::IDENTITY, "99999999999999999X", 0.8, check::cn_resident_id),
    form("fr_nir", context::FR, "9 99 99 9X 999 999 99", 0.9, check::fr_nir),
    form("fr_nir", context::FR, "9 ?99 ?99 ?9X ?999 ?999 ?/?99", 0.0, check::fr_nir),
    form("br_cpf", context::BR, "999.999.999-99", 0.9, check::br_cpf),
    form("br_cpf", context::BR, "99999999999", 0.0, check::br_cpf),
    form("cl_rut", context::LATIN_AMERICA, "99.999.999-X", 0.7, check::cl_rut),
    form("cl_rut", context::LATIN_AMERICA, "9.999.999-X", 0.7, check::cl_rut),
    form("cl_rut", context::LATIN_AMERICA, "99999999-X", 0.0, check::cl_rut),
    form("ar_cuit", context::LATIN_AMERICA, "99-?99999999-?9", 0.0, check::ar_cuit),
    form("ch_ahv", context::AT_CH, "756.9999.9999.99", 0.95, check::ch_ahv),
    form("ch_ahv", context::AT_CH, "7569999999999", 0.0, check::ch_ahv),
    form("be_national_number", context::BE, "99.99.99-999.99", 0.95, check::be_national_number),
    form("be_national_number", context::BE, "999999 ?-?999 ?-?.?99", 0.0, check::be_national_number),
    form("fi_hetu", context::DK_NO_SE_FI, "999999-999X", 0.7, check::fi_hetu),
    form("fi_hetu", context::DK_NO_SE_FI, "999999A999X", 0.0, check::fi_hetu),
    form("kr_rrn", context::KR, "999999-9999999", 0.6, check::kr_rrn),
    form("uk_nino", context::UK_NINO, "AA 99 99 99 A", 0.8, check::uk_nino),
    form("uk_nino", context::UK_NINO, "AA ?99 ?99 ?99 ?A", 0.0, check::uk_nino),
    form("de_social_security", context::DE_SV, "99 ?999999 ?A ?999", 0.0, check::de_social_security),
    form("de_id_card", context::DE_ID, "AXXXXXXXX ?9", 0.0, check::de_id_card),
    form("de_tax_id", context::DE_TAX | context::TAX, "99 ?999 ?999 ?999", 0.0, check::de_tax_id),
    form("es_nie", context::ES_PT | context::IDENTITY, "A-?9999999-?A", 0.0, check::es_nie),
    form("es_nif", context::ES_PT | context::IDENTITY, "99.999.999-?A", 0.8, check::es_nif),
    form("es_nif", context::ES_PT | context::IDENTITY, "99999999 ?-?A", 0.0, check::es_nif),
    form("pt_nif", context::ES_PT, "999 ?999 ?999", 0.0, check::pt_nif),
    form("nl_bsn", context::NL, "9999 ?.?99 ?.?999", 0.0, check::nl_bsn),
    form("pl_pesel", context::PL, "99999999999", 0.0, check::pl_pesel),
    form("se_personnummer", context::DK_NO_SE_FI, "99999999-?9999", 0.0, check::se_personnummer),
    form("se_personnummer", context::DK_NO_SE_FI, "999999-9999", 0.0, check::se_personnummer),
    form("se_personnummer", context::DK_NO_SE_FI, "999999+9999", 0.0, check::se_personnummer),
    form("no_fodselsnummer", context::DK_NO_SE_FI, "999999 ?99999", 0.0, check::no_fodselsnummer),
    form("dk_cpr", context::DK_NO_SE_FI, "999999-9999", 0.0, check::dk_cpr),
    form("at_social_security", context::AT_CH, "9999 ?999999", 0.0, check::at_social_security),
    form("in_aadhaar", context::IN_AADHAAR | context::IDENTITY, "9999 ?-?9999 ?-?9999", 0.0, check::in_aadhaar),
    form("in_pan", context::IN_PAN, "AAAAA9999A", 0.0, check::in_pan),
    form("ca_sin", context::CA, "999 ?-?999 ?-?999", 0.0, check::ca_sin),
    form("au_tfn", context::AU, "999 ?999 ?999", 0.0, check::au_tfn),
    form("au_medicare", context::AU, "9999 ?99999 ?9", 0.0, check::au_medicare),
    form("uk_nhs", context::UK_NHS, "999 ?-?999 ?-?9999", 0.0, check::uk_nhs),
    form("sg_nric", context::SG, "A9999999A", 0.0, check::sg_nric),
    form("za_id", context::ZA | context::IDENTITY, "999999 ?9999 ?99 ?9", 0.0, check::za_id),
    form("ie_pps", context::IE, "9999999A", 0.0, check::ie_pps),
    form("ie_pps", context::IE, "9999999AA", 0.0, check::ie_pps),
    form("tr_identity", context::TR, "99999999999", 0.0, check::tr_identity),
    form("cz_birth_number", context::CZ | context::BALTIC_BALKAN, "999999/?9999", 0.0, check::cz_birth_number),
    form("hr_oib", context::BALTIC_BALKAN, "99999999999", 0.0, checks::iso7064_11_10),
    form("ee_lt_identity", context::BALTIC_BALKAN, "99999999999", 0.0, check::ee_lt_identity),
    form("ro_cnp", context::BALTIC_BALKAN, "9999999999999", 0.0, check::ro_cnp),
    form("bg_egn", context::BALTIC_BALKAN, "9999999999", 0.0, check::bg_egn),
    form("ru_snils", context::RU, "999-999-999 ?-?99", 0.0, check::ru_snils),
    form("ru_inn", context::RU, "999999999999", 0.0, check::ru_inn),
];

/// A national number that begins at `start`.
pub(super) fn find(scan: &Scan<'_>, start: usize) -> Option<ByteSpan> {
    let mut topics = None;
    let mut best: Option<ByteSpan> = None;
    for form in FORMS {
        let Some((end, symbols, n)) = matches_shape(scan.bytes, start, form.shape) else { continue };
        if !(form.holds)(symbols.get(..n)?) || !ends_number(scan.text, end) {
            continue;
        }
        let topics = *topics.get_or_insert_with(|| scan.topics(start, end));
        let score = if topics & form.topics != 0 { 0.95 } else { form.alone };
        if score >= super::SCORE_MIN && best.is_none_or(|b| score > b.score) {
            best = Some(ByteSpan { kind: form.kind, start, end, score });
        }
    }
    best
}

/// Follows a shape from `start`: where it ends, and its letters and digits as numbers.
fn matches_shape(bytes: &[u8], start: usize, shape: &str) -> Option<(usize, [u8; 20], usize)> {
    let shape = shape.as_bytes();
    let (mut symbols, mut n, mut i, mut k) = ([0u8; 20], 0, start, 0);
    while let Some(&want) = shape.get(k) {
        let optional = shape.get(k + 1) == Some(&b'?');
        let byte = bytes.get(i).copied();
        let fits = byte.is_some_and(|b| match want {
            b'9' => b.is_ascii_digit(),
            b'A' => b.is_ascii_alphabetic(),
            b'X' => b.is_ascii_alphanumeric(),
            other => b == other,
        });
        if fits {
            let b = bytes[i];
            if b.is_ascii_alphanumeric() {
                *symbols.get_mut(n)? = if b.is_ascii_digit() { b - b'0' } else { b.to_ascii_uppercase() - b'A' + 10 };
                n += 1;
            }
            i += 1;
        } else if !optional {
            return None;
        }
        k += 1 + usize::from(optional);
    }
    Some((i, symbols, n))
}

/// Longest number of a passport or licence, separators included.
const DOCUMENT_MAX: usize = 20;

/// The number of a passport or a driving licence: a word of capitals and digits behind the document's name.
pub(super) fn document(scan: &Scan<'_>, start: usize) -> Option<ByteSpan> {
    let rest = scan.bytes.get(start..)?;
    let mut length = rest.iter().take(DOCUMENT_MAX + 1).take_while(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || **b == b'-').count();
    while length > 0 && rest[length - 1] == b'-' {
        length -= 1;
    }
    let word = rest.get(..length)?;
    let n_digits = word.iter().filter(|b| b.is_ascii_digit()).count();
    let n = word.iter().filter(|b| **b != b'-').count();
    if !(5..=18).contains(&n) || n_digits < 5 || !ends_number(scan.text, start + length) {
        return None;
    }
    let topics = scan.before(start);
    // `2021-05-06` is when it was issued.
    let dated = n == 8 && word.len() == 10;
    let kind = match topics {
        t if t & context::LICENCE != 0 && !dated => "driver_license",
        t if t & context::PASSPORT != 0 && (6..=9).contains(&word.len()) && n == word.len() => "passport",
        _ => return None,
    };
    Some(ByteSpan { kind, start, end: start + length, score: 0.8 })
}
