//! Numbers that prove themselves: payment cards (Luhn, ISO/IEC 7812) and bank accounts (IBAN, ISO 13616).

/// Length of an IBAN by country, from the registry of ISO 13616.
const IBAN_LENGTHS: &[(&[u8; 2], usize)] = &[
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HN", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SO", 23),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
    (b"YE", 30),
];

/// Returns where the IBAN that starts at `start` ends. It may be written in groups of four.
pub(crate) fn iban_end(bytes: &[u8], start: usize) -> Option<usize> {
    let country: [u8; 2] = bytes.get(start..start + 2)?.try_into().ok()?;
    let length = IBAN_LENGTHS.iter().find(|(c, _)| **c == country)?.1;
    let mut symbols = [0u8; 34];
    let (mut n, mut i) = (0, start);
    while n < length {
        let b = *bytes.get(i)?;
        if b == b' ' && n > 0 && n % 4 == 0 && bytes.get(i - 1) != Some(&b' ') {
            i += 1;
            continue;
        }
        if !(b.is_ascii_digit() || b.is_ascii_uppercase()) {
            return None;
        }
        symbols[n] = b;
        n += 1;
        i += 1;
    }
    if bytes.get(i).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_') {
        return None;
    }
    let symbols = &symbols[..length];
    let rotated = symbols[4..].iter().chain(&symbols[..4]);
    let rest = rotated.fold(0u32, |rest, b| match b {
        b'0'..=b'9' => (rest * 10 + u32::from(b - b'0')) % 97,
        letter => (rest * 100 + u32::from(letter - b'A') + 10) % 97,
    });
    (symbols[2..4].iter().all(u8::is_ascii_digit) && rest == 1).then_some(i)
}

/// Returns where the card number that starts at `start` ends, and whether it is written in groups.
pub(crate) fn card_digits(bytes: &[u8], start: usize) -> Option<(usize, bool)> {
    let mut digits = [0u8; 20];
    let (mut n, mut i, mut separator) = (0, start, None);
    let (mut group, mut groups) = (0usize, [0usize; 8]);
    let mut n_groups = 0;
    while let Some(&b) = bytes.get(i) {
        if b.is_ascii_digit() {
            if n == 20 {
                return None;
            }
            digits[n] = b - b'0';
            n += 1;
            group += 1;
        } else if matches!(b, b' ' | b'-') && separator.is_none_or(|s| s == b) && bytes.get(i + 1).is_some_and(u8::is_ascii_digit) {
            if n_groups == groups.len() {
                return None;
            }
            separator = Some(b);
            groups[n_groups] = group;
            n_groups += 1;
            group = 0;
        } else {
            break;
        }
        i += 1;
    }
    let grouping_holds = match (n_groups, n) {
        (0, _) => true,
        (3, 16) => groups[..3] == [4, 4, 4],
        (2, 14 | 15) => groups[..2] == [4, 6],
        _ => false,
    };
    let digits = &digits[..n];
    (grouping_holds && has_issuer(digits) && luhn(digits)).then_some((i, n_groups > 0))
}

fn has_issuer(digits: &[u8]) -> bool {
    let prefix = |n: usize| digits.iter().take(n).fold(0u32, |acc, d| acc * 10 + u32::from(*d));
    match digits.len() {
        14 => matches!(prefix(3), 300..=305) || matches!(prefix(2), 36 | 38 | 39),
        15 => matches!(prefix(2), 34 | 37),
        16 => {
            prefix(1) == 4
                || matches!(prefix(2), 51..=55 | 65)
                || matches!(prefix(3), 644..=649)
                || matches!(prefix(4), 2221..=2720 | 3528..=3589 | 6011)
        }
        _ => false,
    }
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, d)| {
            let d = u32::from(*d) << (i % 2);
            if d > 9 { d - 9 } else { d }
        })
        .sum();
    sum.is_multiple_of(10)
}
