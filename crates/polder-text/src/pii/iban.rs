//! International bank account numbers: the length of the country and the check digits (ISO 13616).

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

/// Where the IBAN that starts at `start` ends. It may be written in groups of four, and in small letters.
pub(super) fn end(bytes: &[u8], start: usize) -> Option<usize> {
    let country: [u8; 2] = bytes.get(start..start + 2)?.try_into().ok()?;
    let country = country.map(|b| b.to_ascii_uppercase());
    let length = IBAN_LENGTHS.iter().find(|(c, _)| **c == country)?.1;
    let mut symbols = [0u8; 34];
    let (mut n, mut i) = (0, start);
    while n < length {
        let b = *bytes.get(i)?;
        let after_group = n > 0 && n % 4 == 0;
        match bytes.get(i..)? {
            [b' ' | b'-', next, ..] if after_group && next.is_ascii_alphanumeric() => i += 1,
            [0xC2, 0xA0, ..] if after_group => i += 2,
            _ if b.is_ascii_alphanumeric() => {
                symbols[n] = b.to_ascii_uppercase();
                n += 1;
                i += 1;
            }
            _ => return None,
        }
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
