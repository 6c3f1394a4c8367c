//! Check digits of numbers that prove themselves, over digits as numbers.

/// Luhn's sum, as on cards.
pub(super) fn luhn(digits: &[u8]) -> bool {
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

/// The sum of digits times their weights.
pub(super) fn weighted(digits: &[u8], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(d, w)| u32::from(*d) * w).sum()
}

/// The number that the digits write.
pub(super) fn value(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |acc: u64, d| acc.wrapping_mul(10).wrapping_add(u64::from(*d)))
}

/// ISO/IEC 7064, modulus 11,10: the last digit checks the others.
pub(super) fn iso7064_11_10(digits: &[u8]) -> bool {
    let Some((check, body)) = digits.split_last() else { return false };
    let product = body.iter().fold(10u32, |product, d| {
        let sum = (u32::from(*d) + product) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    (11 - product) % 10 == u32::from(*check)
}

/// Verhoeff's check in the dihedral group of ten elements.
pub(super) fn verhoeff(digits: &[u8]) -> bool {
    // The group by its rule, reflections being 5 to 9.
    let multiply = |a: u8, b: u8| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => 5 + (a + b - 5) % 5,
        (false, true) => 5 + (a - b) % 5,
        (false, false) => (a + 5 - b) % 5,
    };
    const PERMUTATION: [u8; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let permuted = |d: u8, times: usize| (0..times % 8).fold(d, |d, _| PERMUTATION[usize::from(d)]);
    digits.iter().rev().enumerate().fold(0, |check, (i, d)| multiply(check, permuted(*d, i))) == 0
}

/// Whether day and month exist, February having 29 days.
pub(super) fn is_day(month: u64, day: u64) -> bool {
    let last = match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=last).contains(&day)
}
