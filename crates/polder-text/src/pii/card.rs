//! Payment cards: Luhn's check and the ranges of the issuers (ISO/IEC 7812).

use super::context::{CARD, THING};
use super::groups::{Groups, Separator, ends_number, stands_in_list};
use super::{Scan, checks};
use crate::ByteSpan;

/// A card number that begins with the groups' first one.
pub(super) fn find(scan: &Scan<'_>, groups: &Groups) -> Option<ByteSpan> {
    let n = if (12..=19).contains(&groups.len(0)) { 1 } else { grouped(groups)? };
    let (start, end) = (groups.at[0].0, groups.end(n));
    let (digits, count) = groups.digits(scan.bytes, n);
    let digits = digits.get(..count)?;
    let known = issuer(digits)?;
    if !ends_number(scan.text, end) || !checks::luhn(digits) || digits.iter().all(|d| *d == digits[0]) {
        return None;
    }
    let topics = scan.topics(start, end);
    let in_context = topics & CARD != 0;
    let listed = n == 1 && stands_in_list(scan.bytes, scan.free, start, end);
    let score = match (n > 1, known, in_context) {
        (_, _, true) if !listed => 0.95,
        (true, _, _) if topics & THING == 0 => 0.9,
        (false, Issuer::Common, false) if !listed && topics & THING == 0 => 0.6,
        _ => return None,
    };
    Some(ByteSpan { kind: "card", start, end, score })
}

/// The number of groups, if they are as cards print them.
fn grouped(groups: &Groups) -> Option<usize> {
    let n =
        [&[4, 4, 4, 4, 3][..], &[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4], &[4, 5, 6], &[6, 13]].iter().find(|l| groups.begin_with(l))?.len();
    matches!(groups.uniform(n)?, Separator::Space | Separator::Dash).then_some(n)
}

#[derive(Clone, Copy, PartialEq)]
enum Issuer {
    /// Ranges and lengths of most cards, which a number seldom has by chance.
    Common,
    /// Wide ranges and odd lengths, believed only beside a word.
    Wide,
}

fn issuer(digits: &[u8]) -> Option<Issuer> {
    let prefix = |n: usize| digits.iter().take(n).fold(0u32, |acc, d| acc * 10 + u32::from(*d));
    let common = match digits.len() {
        14 => matches!(prefix(3), 300..=305) || matches!(prefix(2), 36 | 38 | 39),
        15 => matches!(prefix(2), 34 | 37),
        16 => {
            prefix(1) == 4
                || matches!(prefix(2), 51..=55 | 65)
                || matches!(prefix(3), 644..=649)
                || matches!(prefix(4), 2221..=2720 | 3528..=3589 | 6011)
        }
        _ => false,
    };
    // Visa, Mir, UnionPay, Maestro, JCB, Diners, Discover, UATP, RuPay, Elo and Verve in all their lengths.
    let wide = match digits.len() {
        13 | 18 | 19 if prefix(1) == 4 => true,
        15 if matches!(prefix(4), 1800 | 2131) || prefix(1) == 1 => true,
        16..=19 if matches!(prefix(2), 35 | 36 | 60 | 62 | 64 | 65 | 81 | 82) || matches!(prefix(4), 2200..=2205 | 3095 | 3528..=3589) => {
            true
        }
        12..=19 => matches!(prefix(2), 50 | 56..=59) || prefix(1) == 6 || prefix(4) == 604,
        _ => false,
    };
    if common { Some(Issuer::Common) } else { wide.then_some(Issuer::Wide) }
}
