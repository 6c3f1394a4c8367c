//! Telephone numbers: international ones by country code and length, North American ones by their form, national ones beside a word.

use super::Scan;
use super::context::{CALL, PHONE, THING, VERSION};
use super::groups::{Groups, Separator, ends_number};
use crate::ByteSpan;

/// Country code, and fewest and most digits behind it, of the numbering plans (ITU-T E.164); where none is listed, 7 to 12.
const COUNTRY_LENGTHS: &[(u32, usize, usize)] = &[
    (1, 10, 10),
    (7, 10, 10),
    (20, 8, 10),
    (27, 9, 9),
    (30, 10, 10),
    (31, 9, 9),
    (32, 8, 9),
    (33, 9, 9),
    (34, 9, 9),
    (36, 8, 9),
    (39, 6, 11),
    (40, 9, 9),
    (41, 9, 9),
    (43, 5, 13),
    (44, 9, 10),
    (45, 8, 8),
    (46, 7, 10),
    (47, 8, 8),
    (48, 9, 9),
    (49, 6, 13),
    (51, 8, 9),
    (52, 10, 11),
    (54, 10, 11),
    (55, 10, 11),
    (56, 9, 9),
    (57, 8, 10),
    (58, 10, 10),
    (60, 8, 10),
    (61, 9, 9),
    (62, 8, 12),
    (63, 8, 10),
    (64, 8, 10),
    (65, 8, 8),
    (66, 8, 9),
    (81, 9, 10),
    (82, 8, 11),
    (84, 9, 10),
    (86, 9, 11),
    (90, 10, 10),
    (91, 10, 10),
    (92, 9, 10),
    (93, 9, 9),
    (94, 9, 9),
    (95, 7, 10),
    (98, 10, 10),
    (298, 6, 6),
    (299, 6, 6),
    (351, 9, 9),
    (352, 5, 11),
    (353, 7, 9),
    (354, 7, 9),
    (355, 8, 9),
    (358, 6, 11),
    (359, 7, 9),
    (370, 8, 8),
    (371, 8, 8),
    (372, 7, 8),
    (376, 6, 9),
    (380, 9, 9),
    (381, 8, 10),
    (385, 8, 9),
    (386, 8, 8),
    (420, 9, 9),
    (421, 9, 9),
    (423, 7, 9),
    (597, 6, 7),
    (687, 6, 6),
    (852, 8, 8),
    (853, 8, 8),
    (886, 8, 9),
    (971, 8, 9),
    (972, 8, 9),
];

/// Country codes of two digits; all others, but 1 and 7, have three.
const TWO_DIGITS: [u32; 43] = [
    20, 27, 30, 31, 32, 33, 34, 36, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 51, 52, 53, 54, 55, 56, 57, 58, 60, 61, 62, 63, 64, 65, 66, 81,
    82, 84, 86, 90, 91, 92, 93, 94, 95,
];

/// A telephone number around the groups, whose first digit a `+` or a bracket may precede.
pub(super) fn find(scan: &Scan<'_>, groups: &Groups) -> Option<ByteSpan> {
    let first = groups.at[0].0;
    let mut start = first;
    let before = |at: usize| at.checked_sub(1).filter(|k| *k >= scan.free).and_then(|k| scan.bytes.get(k)).copied();
    let closed = groups.n > 1 && groups.separators[1] == Separator::Bracket;
    let bracket = closed && before(start) == Some(b'(');
    start -= usize::from(bracket);
    let plus = before(start) == Some(b'+');
    start -= usize::from(plus);
    // `(+49)30` and `+(49)30` alike.
    start -= usize::from(plus && closed && !bracket && before(start) == Some(b'('));
    if !super::groups::starts_number(scan.text, start) || start < scan.free {
        return None;
    }
    let (n, score) = if plus {
        (international(scan, groups, start, 0)?, 0.8)
    } else if let Some(n) = north_american(scan.bytes, groups, bracket) {
        (n, 0.7)
    } else {
        national(scan, groups, start, bracket)?
    };
    let end = extension(scan.bytes, groups.end(n));
    let topics = scan.topics(start, end);
    if !ends_number(scan.text, end) || (!plus && topics & (THING | VERSION) != 0 && topics & PHONE == 0) {
        return None;
    }
    Some(ByteSpan { kind: "phone", start, end, score: if topics & (PHONE | CALL) != 0 { score.max(0.75) + 0.2 } else { score } })
}

/// How many groups a number with a country code has; the code begins `skip` digits into the first.
fn international(scan: &Scan<'_>, groups: &Groups, start: usize, skip: usize) -> Option<usize> {
    // The longest row of groups that the country's plan allows.
    let n = (1..=groups.n).rev().find(|n| {
        let (digits, count) = groups.digits(scan.bytes, *n);
        digits.get(skip..count).is_some_and(|d| in_plan(d, groups, *n)) && ends_number(scan.text, extension(scan.bytes, groups.end(*n)))
    })?;
    let n_digits: usize = (0..n).map(|k| groups.len(k)).sum();
    // `+1.234567890` is a number, `+123456789` at the start of a line a line of a patch, `+10000-12-31` a date.
    let fraction = n == 2 && groups.separators[1] == Separator::Dot;
    let patch = n == 1 && (start == 0 || scan.bytes[start - 1] == b'\n') && scan.topics(start, groups.end(1)) & PHONE == 0;
    let date = n == 3 && groups.uniform(3) == Some(Separator::Dash) && groups.len(1) == 2 && groups.len(2) == 2;
    // Without separators a country's code alone says little.
    let bare_is_known = n > 1 || n_digits >= 10;
    (!fraction && !patch && !date && bare_is_known).then_some(n)
}

/// Whether a code and what follows it are as long as the country's numbers; a bracketed or leading trunk zero counts for nothing.
fn in_plan(digits: &[u8], groups: &Groups, n: usize) -> bool {
    let code = |n: usize| digits.iter().take(n).fold(0u32, |acc, d| acc * 10 + u32::from(*d));
    let width = match digits.first() {
        Some(0) | None => return false,
        Some(1 | 7) => 1,
        _ if TWO_DIGITS.contains(&code(2)) || code(2) == 98 => 2,
        _ => 3,
    };
    if width == 3
        && matches!(code(3), 210 | 214..=215 | 217 | 219 | 259 | 280..=289 | 292..=296 | 384 | 388 | 422 | 424..=499 | 693..=799 | 801..=807 | 809..=849 | 851 | 854 | 857..=869 | 871..=877 | 884..=885 | 887 | 889..=899 | 969 | 978 | 990 | 997 | 999)
    {
        return false;
    }
    let (_, min, max) = COUNTRY_LENGTHS.iter().find(|(c, _, _)| *c == code(width)).copied().unwrap_or((0, 7, 12));
    let rest = digits.get(width..).unwrap_or_default();
    let trunk = usize::from(rest.first() == Some(&0) && width > 1 && code(width) != 39);
    let fits = |n: usize| (min..=max).contains(&n);
    let holds = (fits(rest.len()) || fits(rest.len() - trunk)) && digits.len() <= 16;
    // Area codes begin with 2 to 9 in North America, and so do exchanges; where the groups are those of a number, the writer may be wrong.
    let grouped = n == 4 && [1, 3, 3, 4].into_iter().enumerate().all(|(k, length)| groups.len(k) == length);
    let american = code(1) != 1 || (rest.first() >= Some(&2) && (grouped || rest.get(3) >= Some(&2)));
    holds && american && (0..n).all(|k| groups.len(k) > 0)
}

/// `(212) 555-0187`, `212-555-0187`, `212.555.0187`, with or without `1-` or `001-` in front.
fn north_american(bytes: &[u8], groups: &Groups, bracket: bool) -> Option<usize> {
    let prefix = match groups.len(0) {
        1 if bytes[groups.at[0].0] == b'1' && groups.n >= 4 => 1,
        3 if groups.n >= 4 && bytes.get(groups.at[0].0..groups.at[0].1) == Some(b"001") => 1,
        _ => 0,
    };
    let part = |k: usize| bytes.get(groups.at[k].0).copied().unwrap_or(0);
    if groups.n < prefix + 3 || (0..3).any(|k| groups.len(prefix + k) != [3, 3, 4][k]) || part(prefix) < b'2' || part(prefix + 1) < b'2' {
        return None;
    }
    let (first, second) = (groups.separators[prefix + 1], groups.separators[prefix + 2]);
    let formed = match (first, second) {
        (Separator::Bracket, Separator::Dash | Separator::Dot | Separator::Space) => bracket || prefix == 1,
        (Separator::Dash, Separator::Dash) | (Separator::Dot, Separator::Dot) => !bracket,
        (Separator::Slash | Separator::Space, Separator::Dash) => !bracket,
        (Separator::Space, Separator::Space) => prefix == 1 && !bracket,
        _ => false,
    };
    formed.then_some(prefix + 3)
}

/// Numbers as a country writes them at home, which only a word near by tells from other numbers.
fn national(scan: &Scan<'_>, groups: &Groups, start: usize, bracket: bool) -> Option<(usize, f64)> {
    if groups.n_digits < 6 || (groups.n == 1 && groups.len(0) < 7) {
        return None;
    }
    let zeros = scan.bytes.get(groups.at[0].0..).is_some_and(|b| b.starts_with(b"00"));
    // Words are looked for only around what has the form.
    if !zeros && !(1..=groups.n).any(|n| is_national(scan.bytes, groups, n, true, bracket)) {
        return None;
    }
    let topics = scan.topics(start, groups.end(groups.n));
    if zeros
        && topics & (PHONE | CALL) != 0
        && let Some(n) = international(scan, groups, start, 2)
    {
        return Some((n, 0.7));
    }
    let strong = topics & PHONE != 0;
    if !strong && (topics & CALL == 0 || topics & (THING | VERSION) != 0) {
        return None;
    }
    let n = (1..=groups.n)
        .rev()
        .find(|n| is_national(scan.bytes, groups, *n, strong, bracket) && ends_number(scan.text, extension(scan.bytes, groups.end(*n))))?;
    Some((n, if strong { 0.7 } else { 0.5 }))
}

fn is_national(bytes: &[u8], groups: &Groups, n: usize, strong: bool, bracket: bool) -> bool {
    let n_digits: usize = (0..n).map(|k| groups.len(k)).sum();
    let leading_zero = bytes.get(groups.at[0].0) == Some(&b'0');
    if n == 1 {
        return (7..=12).contains(&n_digits) && (strong && !bracket) && !bytes[groups.at[0].0..groups.at[0].1].iter().all(|b| *b == b'0')
            || leading_zero && !bracket && (9..=12).contains(&n_digits);
    }
    let lengths: [usize; 8] = std::array::from_fn(|k| if k < n { groups.len(k) } else { 0 });
    let dated = matches!((n, &lengths[..3]), (3, [4, 2, 2] | [2, 2, 4] | [1 | 2, 1 | 2, 4] | [4, 1 | 2, 1 | 2]))
        && matches!(groups.uniform(3), Some(Separator::Dash | Separator::Dot | Separator::Slash));
    // `1.5`, `12/2020` and ranges of years and pages (`1990-1995`) are two numbers.
    let pair = n == 2
        && !bracket
        && match groups.separators[1] {
            Separator::Dot => true,
            Separator::Slash => !leading_zero,
            Separator::Dash => lengths[0] == lengths[1] && (!strong || is_year(bytes, groups.at[0].0)),
            _ => false,
        };
    // Decimals and blanks in one number are several numbers.
    let decimal = groups.separators[1] != Separator::Bracket
        && (1..n).any(|k| groups.separators[k] == Separator::Dot)
        && !(groups.uniform(n) == Some(Separator::Dot) && (n >= 4 || strong || leading_zero));
    let extension_like = lengths[n - 1] == 1;
    let parts = (1..n).all(|k| (2..=8).contains(&lengths[k])) && (1..=6).contains(&lengths[0]) && n <= 6;
    // Thousands are grouped by three, and rarely begin with a zero.
    let thousands = !leading_zero
        && !bracket
        && lengths[0] <= 3
        && (1..n).all(|k| lengths[k] == 3)
        && matches!(groups.uniform(n), Some(Separator::Dot | Separator::Space))
        && !strong;
    let fits = if bracket || leading_zero { (7..=13).contains(&n_digits) } else { (7..=11).contains(&n_digits) };
    fits && parts && !dated && !pair && !decimal && !extension_like && !thousands
}

/// Whether four digits begin as a year of our time does.
fn is_year(bytes: &[u8], at: usize) -> bool {
    matches!(bytes.get(at..at + 2), Some(b"18" | b"19" | b"20"))
}

/// The end of the extension that follows a number, or of the number.
fn extension(bytes: &[u8], end: usize) -> usize {
    let rest = bytes.get(end..).unwrap_or_default();
    let blanks = rest.iter().take(2).take_while(|b| matches!(b, b' ' | b',')).count();
    let word = rest.get(blanks..).unwrap_or_default();
    let lower: Vec<u8> = word.iter().take(10).map(u8::to_ascii_lowercase).collect();
    let Some(length) =
        ["extension", "ext.", "ext", "x", "#", "durchwahl", "dw"].iter().find(|w| lower.starts_with(w.as_bytes())).map(|w| w.len())
    else {
        return end;
    };
    let behind = word.get(length..).unwrap_or_default();
    let gap = behind.iter().take(2).take_while(|b| matches!(b, b' ' | b':' | b'.')).count();
    let n = behind.get(gap..).unwrap_or_default().iter().take(8).take_while(|b| b.is_ascii_digit()).count();
    if (1..=6).contains(&n) && !(length == 1 && gap > 0) { end + blanks + length + gap + n } else { end }
}
