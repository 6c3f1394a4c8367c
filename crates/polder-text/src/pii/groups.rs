//! Digits as people write them: in groups, with one kind or another of separator between.

/// Most groups that one number is read as, and most digits.
pub(super) const GROUPS_MAX: usize = 8;
const DIGITS_MAX: usize = 24;

/// What stands between two groups.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Separator {
    Space,
    Dash,
    Dot,
    Slash,
    /// A closing bracket, alone or with a blank, dash or slash behind it.
    Bracket,
}

/// Groups of digits from a place on, as many as hang together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Groups {
    pub(super) n: usize,
    /// First byte of each group and one past its last.
    pub(super) at: [(usize, usize); GROUPS_MAX],
    /// What stands before each group but the first.
    pub(super) separators: [Separator; GROUPS_MAX],
    pub(super) n_digits: usize,
}

impl Groups {
    /// Reads groups from `start`, which is a digit.
    pub(super) fn read(bytes: &[u8], start: usize) -> Groups {
        let mut groups = Groups { n: 0, at: [(start, start); GROUPS_MAX], separators: [Separator::Space; GROUPS_MAX], n_digits: 0 };
        let (mut i, mut separator) = (start, Separator::Space);
        while groups.n < GROUPS_MAX && groups.n_digits <= DIGITS_MAX {
            let length = bytes.get(i..).unwrap_or_default().iter().take(DIGITS_MAX + 1).take_while(|b| b.is_ascii_digit()).count();
            if length == 0 {
                break;
            }
            // A group that runs on as a word belongs to something else, and so does what follows it.
            if bytes.get(i + length).is_some_and(|b| b.is_ascii_alphabetic() && !matches!(b, b'x' | b'X')) && groups.n > 0 {
                break;
            }
            groups.at[groups.n] = (i, i + length);
            groups.separators[groups.n] = separator;
            groups.n += 1;
            groups.n_digits += length;
            let Some((next, width)) = read_separator(bytes, i + length) else { break };
            separator = next;
            i += length + width;
        }
        groups
    }

    pub(super) fn len(&self, k: usize) -> usize {
        self.at[k].1 - self.at[k].0
    }

    /// Whether the first groups have these lengths.
    pub(super) fn begin_with(&self, lengths: &[usize]) -> bool {
        self.n >= lengths.len() && lengths.iter().enumerate().all(|(k, length)| self.len(k) == *length)
    }

    /// Whether the separators of groups 1 to `n` - 1 are all the same; which one.
    pub(super) fn uniform(&self, n: usize) -> Option<Separator> {
        let inner = self.separators.get(1..n).unwrap_or_default();
        inner.first().copied().filter(|first| inner.iter().all(|s| s == first))
    }

    /// The digits of the first `n` groups as numbers, and how many.
    pub(super) fn digits(&self, bytes: &[u8], n: usize) -> ([u8; 32], usize) {
        let (mut digits, mut count) = ([0; 32], 0);
        for (from, to) in self.at.iter().take(n) {
            for b in bytes.get(*from..*to).unwrap_or_default().iter().take(32 - count) {
                digits[count] = b - b'0';
                count += 1;
            }
        }
        (digits, count)
    }

    pub(super) fn end(&self, n: usize) -> usize {
        self.at[n - 1].1
    }
}

/// One separator between two groups, and its length; a digit or a bracket with a digit must follow.
fn read_separator(bytes: &[u8], i: usize) -> Option<(Separator, usize)> {
    let (mut separator, mut width) = match bytes.get(i..)? {
        [b' ', b'/', b' ', ..] => (Separator::Slash, 3),
        [b' ', b'-', b' ', ..] => (Separator::Dash, 3),
        // No-break spaces, wide and narrow; hyphens that don't break, and dashes.
        [b' ', ..] => (Separator::Space, 1),
        [0xC2, 0xA0, ..] => (Separator::Space, 2),
        [0xE2, 0x80, 0xAF, ..] => (Separator::Space, 3),
        [0xE2, 0x80, 0x90..=0x93, ..] => (Separator::Dash, 3),
        [b'-', ..] => (Separator::Dash, 1),
        [b'.', ..] => (Separator::Dot, 1),
        [b'/', ..] => (Separator::Slash, 1),
        [b')', b' ' | b'-' | b'/' | b'.', ..] => (Separator::Bracket, 2),
        [b')', ..] => (Separator::Bracket, 1),
        [b'(', ..] => (Separator::Space, 0),
        _ => return None,
    };
    if bytes.get(i + width) == Some(&b'(') && separator != Separator::Bracket {
        (separator, width) = (Separator::Space, width + 1);
    }
    bytes.get(i + width)?.is_ascii_digit().then_some((separator, width))
}

/// A number may begin at `i`: what stands before is no part of a word, a version, a fraction or a longer number.
pub(super) fn starts_number(text: &str, i: usize) -> bool {
    let bytes = text.as_bytes();
    let Some(&before) = i.checked_sub(1).and_then(|k| bytes.get(k)) else { return true };
    if before >= 0x80 {
        return !text.get(..i).and_then(|t| t.chars().next_back()).is_some_and(is_joining_letter);
    }
    let joined = before.is_ascii_alphanumeric() || matches!(before, b'.' | b'_' | b'+' | b'$' | b'%' | b'\\' | b'&' | b'@');
    // `555-0100` in `x-555-0100` belongs to what stands before the dash.
    let behind = matches!(before, b'-' | b',' | b'/') && i >= 2 && bytes[i - 2].is_ascii_digit()
        || before == b'-' && i >= 2 && bytes[i - 2].is_ascii_alphanumeric();
    !(joined || behind)
}

/// Nothing that would continue a number follows.
pub(super) fn ends_number(text: &str, end: usize) -> bool {
    let bytes = text.as_bytes();
    let Some(&after) = bytes.get(end) else { return true };
    if after.is_ascii_alphanumeric() || matches!(after, b'_' | b'@') {
        return false;
    }
    if after >= 0x80 {
        return !text.get(end..).and_then(|t| t.chars().next()).is_some_and(is_joining_letter);
    }
    // A placeholder that touches it stands where something else was.
    if after == b'<' && super::redact::placeholder(bytes, end).is_some() {
        return false;
    }
    let continues = matches!(after, b'.' | b'-' | b',' | b'/' | b'+' | b':') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
    // A port (`:8080`), a mask (`/24`) and a list (`,`) may follow.
    !continues || matches!(after, b':' | b'/' | b',')
}

/// Letters of the scripts that set numbers apart by spaces.
pub(super) fn is_joining_letter(c: char) -> bool {
    u32::from(c) < 0x600 && c.is_alphabetic()
}

/// Whether a number is one of several between commas: tables of constants pass Luhn's check by chance.
pub(super) fn stands_in_list(bytes: &[u8], free: usize, start: usize, end: usize) -> bool {
    let near = free.max(start.saturating_sub(64))..start;
    let before = bytes.get(near).and_then(|b| b.iter().rev().find(|b| !b.is_ascii_whitespace() && !matches!(b, b'"' | b'\'')));
    let rest = bytes.get(end..).unwrap_or_default();
    let rest = rest.strip_prefix(b"\"").or(rest.strip_prefix(b"'")).unwrap_or(rest);
    let after = rest.iter().skip(1).take(64).find(|b| **b != b' ');
    let numbers_follow = |b: &u8| b.is_ascii_digit() || matches!(b, b'\n' | b'\r' | b'-' | b'"' | b'\'' | b'<');
    before == Some(&b',') || (rest.first() == Some(&b',') && after.is_none_or(numbers_follow))
}
