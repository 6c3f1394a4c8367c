//! Whether a word is a web address, and so one token: `user@host.tld:80/path`, `scheme://` before it, or an IPv4 address for the host.

use super::characters::{Characters, LETTER, LOWER, NUMERIC};

/// Whether the whole word is an address of a public host.
pub(super) fn is_web_address(word: &str, characters: Characters) -> bool {
    // Without a full stop inside there is no host.
    if !word.as_bytes().iter().skip(1).any(|b| *b == b'.') {
        return false;
    }
    if is_host_and_path(word, characters) {
        return true;
    }
    let behind_scheme = word.find("://").filter(|end| is_scheme(&word[..*end], characters)).map_or(0, |end| end + 3);
    if behind_scheme > 0 && is_host_and_path(&word[behind_scheme..], characters) {
        return true;
    }
    // Who asks stands before an `@`, in at least one character; a host holds none, so that each place is read once.
    word.match_indices('@').any(|(i, _)| i > 0 && is_host_and_path(&word[i + 1..], characters))
}

fn is_scheme(text: &str, characters: Characters) -> bool {
    text.chars().count() >= 2 && text.chars().all(|c| matches!(c, '_' | '+' | '-' | '.') || characters.of(c) & (LETTER | NUMERIC) != 0)
}

fn is_host_and_path(text: &str, characters: Characters) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || ('\u{a1}'..='\u{ffff}').contains(&c);
    let end = text.find(|c| !(is_inner(c) || matches!(c, '.' | '-' | '_'))).unwrap_or(text.len());
    let (host, rest) = text.split_at(end);
    (is_public_ip(host) || is_domain(host, is_inner, characters)) && is_port_and_path(rest)
}

fn is_domain(host: &str, is_inner: impl Fn(char) -> bool, characters: Characters) -> bool {
    let Some((labels, top)) = host.rsplit_once('.') else { return false };
    let n_top = top.chars().take(64).count();
    (2..=63).contains(&n_top)
        && top.chars().all(|c| characters.of(c) & LOWER != 0)
        && labels.split('.').all(|label| {
            let edges = [label.chars().next(), label.chars().next_back()];
            edges.into_iter().all(|c| c.is_some_and(&is_inner)) && label.chars().take(65).count() <= 64
        })
}

fn is_port_and_path(rest: &str) -> bool {
    let path = match rest.strip_prefix(':') {
        Some(rest) => {
            let path = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            if !(2..=5).contains(&(rest.len() - path.len())) {
                return false;
            }
            path
        }
        None => rest,
    };
    path.is_empty() || path.starts_with(['/', '?', '#'])
}

fn is_public_ip(host: &str) -> bool {
    let mut octets = [0u16; 4];
    let mut n = 0;
    for part in host.split('.') {
        if n == 4 || part.is_empty() || part.len() > 3 || !part.bytes().all(|b| b.is_ascii_digit()) {
            return false;
        }
        let Ok(octet) = part.parse() else { return false };
        // A leading zero may stand in the middle, before one digit.
        if part.starts_with('0') && (n == 0 || n == 3 || part.len() == 3) {
            return false;
        }
        octets[n] = octet;
        n += 1;
    }
    let [a, b, c, d] = octets;
    let is_private = matches!((a, b), (10 | 127, _) | (169, 254) | (192, 168) | (172, 16..=31));
    n == 4 && (1..=223).contains(&a) && b <= 255 && c <= 255 && (1..=254).contains(&d) && !is_private
}
