//! The host and the registered domain of an address.
//!
//! What may be registered under is told by the public-suffix list that the package `psl` carries, private suffixes such as
//! `github.io` among them, so two users of one hoster are two domains. Names come back in lower case and in ASCII (`xn--…`).

/// Longest host name there is, in bytes, and how much of an address is looked at for one.
const HOST_BYTES_MAX: usize = 253;
const ADDRESS_BYTES_MAX: usize = 4096;

/// Returns the host of an address: without scheme, user, port and path, in lower case; names in ASCII, IPv6 without brackets.
///
/// The scheme may be missing. None for what has no host, such as `mailto:`, a path or an empty text.
pub fn host(url: &str) -> Option<String> {
    let url = url.trim_matches(|c: char| c.is_whitespace() || c.is_control());
    let url = url.get(..url.floor_char_boundary(ADDRESS_BYTES_MAX))?;
    let rest = match url.split_once(':') {
        // A scheme with an authority, or a scheme without one, but not `host:port`.
        Some((scheme, rest)) if is_scheme(scheme) => match rest.strip_prefix("//") {
            Some(rest) => rest,
            None if rest.starts_with(|c: char| c.is_ascii_digit()) || scheme.contains('.') => url,
            None => return None,
        },
        _ => url.strip_prefix("//").unwrap_or(url),
    };
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let authority = authority.rsplit('@').next()?;
    if let Some(inside) = authority.strip_prefix('[') {
        let address: std::net::Ipv6Addr = inside.split_once(']')?.0.parse().ok()?;
        return Some(address.to_string());
    }
    let (name, port) = authority.split_once(':').unwrap_or((authority, ""));
    if !port.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let name = percent_decoded(name)?;
    let ascii = idna::domain_to_ascii(&name).ok()?;
    let ascii = ascii.strip_suffix('.').unwrap_or(&ascii);
    let label = |l: &str| !l.is_empty() && l.len() <= 63 && l.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    (ascii.len() <= HOST_BYTES_MAX && ascii.split('.').all(label)).then(|| ascii.to_string())
}

/// Returns the registered domain of an address: the public suffix and one label more, such as `example.co.uk`.
///
/// None for IP addresses, `localhost`, names under no known suffix, suffixes themselves, and what has no host.
pub fn domain(url: &str) -> Option<String> {
    let host = host(url)?;
    // A last label of digits (or `0x…`) makes an IPv4 address.
    let last = host.rsplit('.').next()?;
    if host.contains(':') || last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x") {
        return None;
    }
    let found = psl::domain(host.as_bytes()).filter(|d| d.suffix().is_known())?;
    std::str::from_utf8(found.as_bytes()).ok().map(str::to_string)
}

fn is_scheme(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic())
        && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

fn percent_decoded(name: &str) -> Option<String> {
    if !name.contains('%') {
        return Some(name.to_string());
    }
    String::from_utf8(crate::robots::percent_decoded(name.as_bytes())).ok()
}
