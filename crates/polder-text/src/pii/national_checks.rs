//! What proves the numbers of `national`: check digits, dates of birth inside, and ranges that are never given out.
//!
//! Letters count 10 (A) to 35 (Z). Every function takes as many symbols as its shape has, and answers no for any other number.

use super::checks::{is_day, iso7064_11_10, luhn, value, verhoeff, weighted};

fn is_date(digits: &[u8], year_digits: usize) -> bool {
    let (Some(month), Some(day)) = (digits.get(year_digits..year_digits + 2), digits.get(year_digits + 2..year_digits + 4)) else {
        return false;
    };
    is_day(value(month), value(day))
}

/// Day, month and two digits of the year.
fn is_day_first(digits: &[u8]) -> bool {
    digits.len() >= 6 && is_day(value(&digits[2..4]), value(&digits[..2]))
}

fn all_digits(d: &[u8], n: usize) -> bool {
    d.len() == n && d.iter().all(|x| *x < 10)
}

fn varied(d: &[u8]) -> bool {
    d.iter().any(|x| *x != d[0])
}

fn letter(d: u8) -> char {
    char::from(b'A' + d.saturating_sub(10))
}

pub(super) fn us_ssn(d: &[u8]) -> bool {
    if !all_digits(d, 9) {
        return false;
    }
    let (area, group, serial) = (value(&d[..3]), value(&d[3..5]), value(&d[5..]));
    // Numbers of an advertisement, of a pamphlet and of every example.
    let known = matches!(value(d), 78_051_120 | 219_099_999 | 123_456_789 | 987_654_321 | 111_111_111);
    !matches!(area, 0 | 666 | 900..) && group != 0 && serial != 0 && !known && varied(d)
}

pub(super) fn us_itin(d: &[u8]) -> bool {
    all_digits(d, 9) && d[0] == 9 && matches!(value(&d[3..5]), 50..=65 | 70..=88 | 90..=92 | 94..=99)
}

pub(super) fn it_fiscal_code(d: &[u8]) -> bool {
    // Values of the symbols at odd places, from the decree of 1976.
    const ODD: [u32; 26] = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    if d.len() != 16 || d[15] < 10 {
        return false;
    }
    let index = |x: u8| usize::from(if x < 10 { x } else { x - 10 });
    let sum: u32 = d[..15].iter().enumerate().map(|(i, x)| if i % 2 == 0 { ODD[index(*x)] } else { index(*x) as u32 }).sum();
    let day = value(&d[9..11]);
    let month = "ABCDEHLMPRST".contains(letter(d[8]));
    month && matches!(day, 1..=31 | 41..=71) && sum % 26 == u32::from(d[15] - 10)
}

pub(super) fn mx_curp(d: &[u8]) -> bool {
    if d.len() != 18 || d[17] > 9 || !is_date(&d[4..10], 2) || !"HMX".contains(letter(d[10])) {
        return false;
    }
    // The alphabet of the checksum has Ñ between N and O.
    let sum: u32 = d[..17].iter().enumerate().map(|(i, x)| (18 - i as u32) * u32::from(if *x >= 24 { x + 1 } else { *x })).sum();
    (10 - sum % 10) % 10 == u32::from(d[17])
}

pub(super) fn cn_resident_id(d: &[u8]) -> bool {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    if d.len() != 18 || !matches!(value(&d[6..10]), 1900..=2030) || !is_date(&d[6..14], 4) || !matches!(value(&d[..2]), 11..=82) {
        return false;
    }
    let expected = (12 - weighted(&d[..17], &WEIGHTS) % 11) % 11;
    // X, which is 33 here, stands for ten.
    u32::from(if d[17] == 33 { 10 } else { d[17] }) == expected
}

pub(super) fn fr_nir(d: &[u8]) -> bool {
    if d.len() != 15 || !matches!(d[0], 1..=4 | 7 | 8) || !matches!(value(&d[3..5]), 1..=12 | 20..=42 | 50..=99) {
        return false;
    }
    // The two departments of Corsica, 2A and 2B, count as 19 and 18.
    let mut number = [0u8; 13];
    number.copy_from_slice(&d[..13]);
    match number[6] {
        0..=9 => {}
        10 if number[5] == 2 => number[5..7].copy_from_slice(&[1, 9]),
        11 if number[5] == 2 => number[5..7].copy_from_slice(&[1, 8]),
        _ => return false,
    }
    97 - value(&number) % 97 == value(&d[13..])
}

pub(super) fn br_cpf(d: &[u8]) -> bool {
    let digit = |n: usize| {
        let sum: u32 = d[..n].iter().enumerate().map(|(i, x)| u32::from(*x) * (n as u32 + 1 - i as u32)).sum();
        sum * 10 % 11 % 10
    };
    all_digits(d, 11) && varied(d) && digit(9) == u32::from(d[9]) && digit(10) == u32::from(d[10])
}

pub(super) fn cl_rut(d: &[u8]) -> bool {
    let Some((check, body)) = d.split_last().filter(|(_, body)| body.len() >= 7 && varied(body)) else { return false };
    let sum: u32 = body.iter().rev().enumerate().map(|(i, x)| u32::from(*x) * (2 + i as u32 % 6)).sum();
    // K, which is 20 here, stands for ten.
    let expected = match 11 - sum % 11 {
        11 => 0,
        10 => 20,
        other => other,
    };
    u32::from(*check) == expected
}

pub(super) fn ar_cuit(d: &[u8]) -> bool {
    if !all_digits(d, 11) || !matches!(value(&d[..2]), 20 | 23 | 24 | 27) {
        return false;
    }
    let expected = (11 - weighted(&d[..10], &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11) % 11;
    expected == u32::from(d[10])
}

pub(super) fn ch_ahv(d: &[u8]) -> bool {
    let sum = |d: &[u8]| d.iter().enumerate().map(|(i, x)| u32::from(*x) * (1 + 2 * (i as u32 % 2))).sum::<u32>();
    all_digits(d, 13) && value(&d[..3]) == 756 && sum(d).is_multiple_of(10)
}

pub(super) fn be_national_number(d: &[u8]) -> bool {
    if !all_digits(d, 11) || !(is_date(d, 2) || value(&d[2..6]) == 0) {
        return false;
    }
    let (body, check) = (value(&d[..9]), value(&d[9..]));
    // Those born from 2000 on have a 2 in front of it.
    97 - body % 97 == check || 97 - (2_000_000_000 + body) % 97 == check
}

pub(super) fn fi_hetu(d: &[u8]) -> bool {
    const LETTERS: &[u8; 31] = b"0123456789ABCDEFHJKLMNPRSTUVWXY";
    let (century, rest) = match d.len() {
        10 => (true, &d[6..]),
        11 => (matches!(letter(d[6]), 'A'..='F' | 'U'..='Y'), &d[7..]),
        _ => return false,
    };
    let number = value(&d[..6]) * 1000 + value(&rest[..3]);
    let expected = LETTERS[(number % 31) as usize];
    let check = if rest[3] < 10 { b'0' + rest[3] } else { b'A' + rest[3] - 10 };
    century && is_day_first(d) && check == expected && value(&rest[..3]) >= 2
}

pub(super) fn kr_rrn(d: &[u8]) -> bool {
    const WEIGHTS: [u32; 12] = [2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5];
    all_digits(d, 13) && is_date(d, 2) && matches!(d[6], 1..=8) && (11 - weighted(&d[..12], &WEIGHTS) % 11) % 10 == u32::from(d[12])
}

pub(super) fn uk_nino(d: &[u8]) -> bool {
    if d.len() != 9 || d[0] < 10 || d[1] < 10 || d[8] < 10 {
        return false;
    }
    let (first, second) = (letter(d[0]), letter(d[1]));
    let unused = matches!((first, second), ('B', 'G') | ('G', 'B') | ('K', 'N') | ('N', 'K') | ('N', 'T') | ('T', 'N') | ('Z', 'Z'));
    !"DFIQUV".contains(first) && !"DFIQUVO".contains(second) && !unused && matches!(letter(d[8]), 'A'..='D')
}

pub(super) fn de_social_security(d: &[u8]) -> bool {
    const WEIGHTS: [u32; 12] = [2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1];
    if d.len() != 12 || d[8] < 10 || !is_day(value(&d[4..6]), value(&d[2..4]) % 50) {
        return false;
    }
    let place = d[8] - 9;
    let written = d[..8].iter().copied().chain([place / 10, place % 10]).chain(d[9..11].iter().copied());
    let sum: u32 = written.zip(WEIGHTS).map(|(x, w)| u32::from(x) * w).map(|p| p / 10 + p % 10).sum();
    sum % 10 == u32::from(d[11])
}

pub(super) fn de_id_card(d: &[u8]) -> bool {
    // Only consonants that can't be taken for digits, and no vowels, so that no words arise.
    let symbols = d.iter().take(9).all(|x| *x < 10 || "CFGHJKLMNPRTVWXYZ".contains(letter(*x)));
    let digits = d.iter().filter(|x| **x < 10).count();
    let begins = d.first().is_some_and(|x| *x >= 10);
    if d.len() < 9 || !symbols || !begins || digits < 4 {
        return false;
    }
    let sum = weighted(&d[..9], &[7, 3, 1, 7, 3, 1, 7, 3, 1]);
    d.get(9).is_some_and(|check| u32::from(*check) == sum % 10)
}

pub(super) fn de_tax_id(d: &[u8]) -> bool {
    if !all_digits(d, 11) || d[0] == 0 {
        return false;
    }
    // Among the first ten digits one stands two or three times, and no more than one does.
    let mut counts = [0u8; 10];
    d[..10].iter().for_each(|x| counts[usize::from(*x)] += 1);
    counts.iter().filter(|c| **c >= 2).count() == 1 && counts.iter().all(|c| *c <= 3) && iso7064_11_10(d)
}

const SPANISH: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";

pub(super) fn es_nif(d: &[u8]) -> bool {
    d.len() == 9 && d[8] >= 10 && SPANISH[(value(&d[..8]) % 23) as usize] == letter(d[8]) as u8
}

pub(super) fn es_nie(d: &[u8]) -> bool {
    if d.len() != 9 || d[8] < 10 || !(33..=35).contains(&d[0]) {
        return false;
    }
    let number = u64::from(d[0] - 33) * 10_000_000 + value(&d[1..8]);
    SPANISH[(number % 23) as usize] == letter(d[8]) as u8
}

pub(super) fn pt_nif(d: &[u8]) -> bool {
    let check = |d: &[u8]| (11 - weighted(&d[..8], &[9, 8, 7, 6, 5, 4, 3, 2]) % 11) % 11 % 10;
    all_digits(d, 9) && matches!(d[0], 1..=3) && check(d) == u32::from(d[8])
}

pub(super) fn nl_bsn(d: &[u8]) -> bool {
    // The last digit counts minus one: ten is one less than eleven.
    all_digits(d, 9) && varied(d) && weighted(d, &[9, 8, 7, 6, 5, 4, 3, 2, 10]).is_multiple_of(11)
}

pub(super) fn pl_pesel(d: &[u8]) -> bool {
    const WEIGHTS: [u32; 11] = [1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1];
    // The century is in the month: 80, 20, 40 and 60 are added to it.
    all_digits(d, 11) && is_day(value(&d[2..4]) % 20, value(&d[4..6])) && weighted(d, &WEIGHTS).is_multiple_of(10)
}

pub(super) fn se_personnummer(d: &[u8]) -> bool {
    let d = if d.len() == 12 { &d[2..] } else { d };
    // Those of people not yet registered have 60 added to the day.
    all_digits(d, 10) && is_day(value(&d[2..4]), value(&d[4..6]) % 60) && luhn(d)
}

pub(super) fn no_fodselsnummer(d: &[u8]) -> bool {
    let first = |d: &[u8]| weighted(d, &[3, 7, 6, 1, 8, 9, 4, 5, 2, 1]).is_multiple_of(11);
    let second = |d: &[u8]| weighted(d, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11);
    all_digits(d, 11) && is_day(value(&d[2..4]) % 40, value(&d[..2]) % 40) && first(d) && second(d)
}

pub(super) fn dk_cpr(d: &[u8]) -> bool {
    // The check digit isn't kept since 2007, so the date must do.
    all_digits(d, 10) && is_day_first(d)
}

pub(super) fn at_social_security(d: &[u8]) -> bool {
    const WEIGHTS: [u32; 10] = [3, 7, 9, 0, 5, 8, 4, 2, 1, 6];
    all_digits(d, 10) && d[0] != 0 && is_day(value(&d[6..8]), value(&d[4..6])) && weighted(d, &WEIGHTS) % 11 == u32::from(d[3])
}

pub(super) fn in_aadhaar(d: &[u8]) -> bool {
    all_digits(d, 12) && d[0] >= 2 && varied(d) && verhoeff(d)
}

pub(super) fn in_pan(d: &[u8]) -> bool {
    d.len() == 10 && d[..5].iter().all(|x| *x >= 10) && "ABCFGHJLPT".contains(letter(d[3])) && d[9] >= 10
}

pub(super) fn ca_sin(d: &[u8]) -> bool {
    all_digits(d, 9) && !matches!(d[0], 0 | 8) && luhn(d)
}

pub(super) fn au_tfn(d: &[u8]) -> bool {
    all_digits(d, 9) && varied(d) && weighted(d, &[1, 4, 3, 7, 5, 8, 6, 9, 10]).is_multiple_of(11)
}

pub(super) fn au_medicare(d: &[u8]) -> bool {
    all_digits(d, 10) && matches!(d[0], 2..=6) && weighted(&d[..8], &[1, 3, 7, 9, 1, 3, 7, 9]) % 10 == u32::from(d[8])
}

pub(super) fn uk_nhs(d: &[u8]) -> bool {
    all_digits(d, 10) && varied(d) && (11 - weighted(&d[..9], &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11) % 11 == u32::from(d[9])
}

pub(super) fn sg_nric(d: &[u8]) -> bool {
    if d.len() != 9 || d[0] < 10 || d[8] < 10 {
        return false;
    }
    let sum = weighted(&d[1..8], &[2, 7, 6, 5, 4, 3, 2]);
    let (letters, offset): (&[u8; 11], u32) = match letter(d[0]) {
        'S' => (b"JZIHGFEDCBA", 0),
        'T' => (b"JZIHGFEDCBA", 4),
        'F' => (b"XWUTRQPNMLK", 0),
        'G' => (b"XWUTRQPNMLK", 4),
        _ => return false,
    };
    letters[((sum + offset) % 11) as usize] == letter(d[8]) as u8
}

pub(super) fn za_id(d: &[u8]) -> bool {
    all_digits(d, 13) && is_date(d, 2) && matches!(d[10], 0..=2) && luhn(d)
}

pub(super) fn ie_pps(d: &[u8]) -> bool {
    const LETTERS: &[u8; 23] = b"WABCDEFGHIJKLMNOPQRSTUV";
    if d.len() < 8 || d[7] < 10 {
        return false;
    }
    let second = d.get(8).map_or(0, |x| if letter(*x) == 'W' { 0 } else { u32::from(x - 9) });
    let sum = weighted(&d[..7], &[8, 7, 6, 5, 4, 3, 2]) + 9 * second;
    LETTERS[(sum % 23) as usize] == letter(d[7]) as u8
}

pub(super) fn tr_identity(d: &[u8]) -> bool {
    if !all_digits(d, 11) || d[0] == 0 {
        return false;
    }
    let (odd, even) = (weighted(d, &[1, 0, 1, 0, 1, 0, 1, 0, 1]), weighted(d, &[0, 1, 0, 1, 0, 1, 0, 1]));
    (7 * odd + 10 * 9 - even) % 10 == u32::from(d[9]) && (odd + even + u32::from(d[9])) % 10 == u32::from(d[10])
}

pub(super) fn cz_birth_number(d: &[u8]) -> bool {
    let month = if d.len() == 10 { value(&d[2..4]) % 50 % 20 } else { 0 };
    all_digits(d, 10) && is_day(month, value(&d[4..6])) && value(d).is_multiple_of(11)
}

pub(super) fn ee_lt_identity(d: &[u8]) -> bool {
    if !all_digits(d, 11) || !matches!(d[0], 1..=8) || !is_date(&d[1..], 2) {
        return false;
    }
    let first = weighted(&d[..10], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 1]) % 11;
    let check = if first < 10 { first } else { weighted(&d[..10], &[3, 4, 5, 6, 7, 8, 9, 1, 2, 3]) % 11 % 10 };
    check == u32::from(d[10])
}

pub(super) fn ro_cnp(d: &[u8]) -> bool {
    let check = |d: &[u8]| match weighted(&d[..12], &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]) % 11 {
        10 => 1,
        other => other,
    };
    all_digits(d, 13) && d[0] != 0 && is_date(&d[1..], 2) && check(d) == u32::from(d[12])
}

pub(super) fn bg_egn(d: &[u8]) -> bool {
    let month = if d.len() == 10 { value(&d[2..4]) % 20 } else { 0 };
    all_digits(d, 10) && is_day(month, value(&d[4..6])) && weighted(&d[..9], &[2, 4, 8, 5, 10, 9, 7, 3, 6]) % 11 % 10 == u32::from(d[9])
}

pub(super) fn ru_snils(d: &[u8]) -> bool {
    all_digits(d, 11) && u64::from(weighted(&d[..9], &[9, 8, 7, 6, 5, 4, 3, 2, 1])) % 101 % 100 == value(&d[9..])
}

pub(super) fn ru_inn(d: &[u8]) -> bool {
    let first = |d: &[u8]| weighted(&d[..10], &[7, 2, 4, 10, 3, 5, 9, 4, 6, 8]) % 11 % 10;
    let second = |d: &[u8]| weighted(&d[..11], &[3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8]) % 11 % 10;
    all_digits(d, 12) && first(d) == u32::from(d[10]) && second(d) == u32::from(d[11])
}
