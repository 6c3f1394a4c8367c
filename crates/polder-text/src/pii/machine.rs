//! Addresses of machines: IPv4 and IPv6 that are global, and MAC.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::Scan;
use super::context::{MACHINE, VERSION};
use super::groups::ends_number;
use crate::ByteSpan;

/// Longest text of an IPv6 address.
const IPV6_MAX: usize = 39;
/// How much of a line is read before `user@`.
const LINE_MAX: usize = 128;
/// Words of commands that name a package by its version.
const PACKAGERS: [&str; 14] =
    ["npm", "npx", "pnpm", "yarn", "bun", "bower", "deno", "cargo", "brew", "conan", "install", "add", "package", "packages"];

/// A global IPv4 address at `start`. Versions, section numbers and object identifiers have the same form, but fewer digits, their own
/// beginnings or a word before them.
pub(super) fn ipv4(scan: &Scan<'_>, start: usize) -> Option<ByteSpan> {
    let bytes = scan.bytes;
    let mut octets = [0u8; 4];
    let mut i = start;
    for (n, octet) in octets.iter_mut().enumerate() {
        if n > 0 {
            (bytes.get(i) == Some(&b'.')).then_some(())?;
            i += 1;
        }
        let digits = bytes.get(i..)?.iter().take(4).take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 || digits > 3 || (digits > 1 && bytes[i] == b'0') {
            return None;
        }
        let value = bytes[i..i + digits].iter().fold(0u16, |acc, b| acc * 10 + u16::from(b - b'0'));
        *octet = u8::try_from(value).ok()?;
        i += digits;
    }
    if !is_global_v4(Ipv4Addr::from(octets)) || !ends_number(scan.text, i) || bytes.get(i) == Some(&b'-') {
        return None;
    }
    let topics = scan.before(start);
    let named = topics & MACHINE != 0;
    let short = i - start < 3 + 7 || octets.iter().all(|o| *o < 32);
    // A byte value that ends in zeros is a network or a version rather than a machine.
    let object_identifier = matches!(octets, [1, 2 | 3, ..] | [2, 5, ..] | [_, _, 0, 0]);
    if (topics & VERSION != 0 && !named) || is_compared(scan, start) || ((short || object_identifier) && !named) {
        return None;
    }
    Some(ByteSpan { kind: "ipv4", start, end: i, score: if named { 0.9 } else { 0.6 } })
}

/// A global IPv4 address behind the `@` of `deploy@84.23.99.7`; versions of packages stand behind an `@`, too.
pub(super) fn ipv4_of_login(scan: &Scan<'_>, start: usize) -> Option<ByteSpan> {
    let span = ipv4(scan, start)?;
    // A number that is 0 between others: versions have it, of addresses one in a hundred.
    let padded = scan.text.get(start..span.end)?.contains(".0.");
    (!padded && is_login(scan, start - 1, span.end)).then_some(span)
}

/// Whether what stands before the `@` at `at` is a user rather than a package, whose version ends at `end`.
fn is_login(scan: &Scan<'_>, at: usize, end: usize) -> bool {
    // `user:password@` in a web address is a find of its own.
    if scan.free == at {
        return scan.last == "url_credentials";
    }
    let near = scan.bytes.get(scan.free.max(at.saturating_sub(LINE_MAX))..at).unwrap_or_default();
    let line = near.rsplit(|b| *b == b'\n').next().unwrap_or_default();
    let user = line.iter().rev().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')).count();
    let (before, user) = line.split_at(line.len() - user);
    let scoped = before.ends_with(b"@") || before.ends_with(b"/") && !before.ends_with(b"//");
    let installed =
        before.split(|b| !b.is_ascii_alphanumeric()).any(|word| PACKAGERS.iter().any(|p| p.as_bytes().eq_ignore_ascii_case(word)));
    // `├── name@version`, also in ASCII; `name@version:` and `"name@version": …` in files that pin versions.
    let listed = before.ends_with("── ".as_bytes()) || before.ends_with(b"-- ");
    let after = scan.bytes.get(end..).unwrap_or_default();
    let first = !before.iter().any(u8::is_ascii_alphanumeric);
    let pinned = first && matches!(after, [b'"' | b'\'', b':', ..] | [b':'] | [b':', b'\n' | b'\r', ..]);
    user.first().is_some_and(u8::is_ascii_alphanumeric) && !(scoped || installed || listed || pinned)
}

/// Whether an operator that compares versions stands in front.
fn is_compared(scan: &Scan<'_>, start: usize) -> bool {
    let from = scan.free.max(start.saturating_sub(4));
    let before = scan.bytes.get(from..start).unwrap_or_default();
    let operator = before.iter().rev().find(|b| !matches!(b, b' ' | b'"' | b'\''));
    match operator {
        Some(b'~' | b'^') => true,
        Some(b'=') => before.iter().any(|b| matches!(b, b'>' | b'<' | b'~' | b'^')) || before.ends_with(b"=="),
        _ => false,
    }
}

/// Whether an address may be a machine's on the Internet (the registries of special-purpose addresses, RFC 6890).
fn is_global_v4(address: Ipv4Addr) -> bool {
    !matches!(
        address.octets(),
        [0 | 10 | 127 | 239.., ..]
            | [224, 0, ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 168, ..]
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
    )
}

/// A global IPv6 address whose first group begins at `start`.
pub(super) fn ipv6(scan: &Scan<'_>, start: usize) -> Option<ByteSpan> {
    let rest = scan.bytes.get(start..)?;
    let mut length = rest.iter().take(IPV6_MAX + 1).take_while(|b| b.is_ascii_hexdigit() || **b == b':').count();
    while length > 0 && rest[length - 1] == b':' {
        length -= 1;
    }
    let written = scan.text.get(start..start + length)?;
    let n_colons = written.bytes().filter(|b| *b == b':').count();
    let compressed = written.contains("::");
    if length > IPV6_MAX
        || n_colons < 2
        || (!compressed && n_colons != 7)
        || rest.get(length).is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':'))
    {
        return None;
    }
    let address: Ipv6Addr = written.parse().ok()?;
    // With groups left out, only what is given out so far: names in code join by two colons as well.
    let given_out = matches!(address.segments()[0], 0x2000..=0x3FFF) && n_colons >= 3;
    let global = is_global_v6(address) && (given_out || !compressed);
    let varied = address.segments().iter().filter(|s| **s > 0xFF).count() >= 3 || compressed;
    let end = start + length;
    (global && varied && ends_number(scan.text, end)).then_some(ByteSpan { kind: "ipv6", start, end, score: 0.9 })
}

fn is_global_v6(address: Ipv6Addr) -> bool {
    let s = address.segments();
    let special = matches!(
        s,
        [0, ..]
            | [0x64, 0xFF9B, ..]
            | [0x100, 0, ..]
            | [0x2001, 0..=0x1FF | 0xDB8, ..]
            | [0x2002, ..]
            | [0x3FFF, 0..=0xFFF, ..]
            | [0xFC00..=0xFDFF, ..]
            | [0xFE80..=0xFEBF, ..]
    );
    // Sequences such as 1:2:3:4:5:6:7:8 and ffff:ffff:… are examples.
    let counted = s.windows(2).all(|w| w[1] == w[0] || w[1] == w[0].wrapping_add(1) || w[1] == w[0].wrapping_add(0x1111));
    !special && !counted
}

/// A hardware address of six bytes at `start`.
pub(super) fn mac(scan: &Scan<'_>, start: usize) -> Option<ByteSpan> {
    let rest = scan.bytes.get(start..start + 17)?;
    let separator = rest[2];
    let end = start + 17;
    let mut address = [0u8; 6];
    for (k, byte) in address.iter_mut().enumerate() {
        let pair = rest.get(3 * k..3 * k + 2)?;
        *byte = u8::try_from((char::from(pair[0]).to_digit(16)? << 4) | char::from(pair[1]).to_digit(16)?).ok()?;
        (k == 5 || rest[3 * k + 2] == separator).then_some(())?;
    }
    let joined = scan.bytes.get(end).is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':'))
        || scan.bytes.get(end) == Some(&separator);
    // A group address, one made up by a virtual machine, and sequences are no card's.
    let own = address[0] & 3 != 0;
    let counted = address
        .windows(2)
        .all(|w| w[1] == w[0] || w[1].wrapping_sub(w[0]) == 0x11 || w[1].wrapping_sub(w[0]) == 0x22 || w[1].wrapping_sub(w[0]) == 1);
    // A random private address (phones on a wireless network) needs its word.
    let zeros = address[..3] == [0; 3];
    let named = scan.before(start) & MACHINE != 0;
    let score = match (own, named) {
        (false, true) => 0.95,
        (false, false) => 0.7,
        (true, true) if address[0] & 1 == 0 && address[..2] != [0x02, 0x42] => 0.6,
        _ => return None,
    };
    (matches!(separator, b':' | b'-') && !joined && !counted && !zeros && ends_number(scan.text, end)).then_some(ByteSpan {
        kind: "mac",
        start,
        end,
        score,
    })
}
