//! What a `robots.txt` allows, by RFC 9309: groups by user agent, the longest rule wins, `*` and `$` in paths.
//!
//! An `ai.txt` has the same form, and so can be asked in the same way.

/// How much of a file is read: the RFC asks for 500 KiB at least.
const FILE_BYTES_MAX: usize = 512 * 1024;
/// Longest path and rule that are compared, in bytes.
const PATH_BYTES_MAX: usize = 2048;

/// One rule of a group.
pub(crate) struct Rule<'a> {
    pub(crate) allows: bool,
    pub(crate) path: &'a str,
}

/// The groups of a file: the agents in lower case, and their rules. Lines outside groups are given to `other`.
pub(crate) fn groups<'a>(robots: &'a str, mut other: impl FnMut(&[String], &str, &'a str)) -> Vec<(Vec<String>, Vec<Rule<'a>>)> {
    let robots = robots.get(..robots.floor_char_boundary(FILE_BYTES_MAX)).unwrap_or_default();
    let robots = robots.strip_prefix('\u{feff}').unwrap_or(robots);
    let mut groups: Vec<(Vec<String>, Vec<Rule<'a>>)> = Vec::new();
    let mut open = false;
    for line in robots.split(['\n', '\r']) {
        let line = line.split('#').next().unwrap_or_default();
        let Some((key, value)) = line.split_once(':') else { continue };
        let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
        match (key.as_str(), groups.last_mut()) {
            ("user-agent", Some(group)) if open => group.0.push(product(value)),
            ("user-agent", _) => {
                groups.push((vec![product(value)], Vec::new()));
                open = true;
            }
            ("allow" | "disallow", Some(group)) => {
                group.1.push(Rule { allows: key == "allow", path: value });
                open = false;
            }
            (_, group) => {
                open &= !key.starts_with("content-");
                other(group.map_or(&[], |g| g.0.as_slice()), &key, value);
            }
        }
    }
    groups
}

/// The product's name of an agent: `Googlebot/2.1 (+https://…)` is `googlebot`.
fn product(agent: &str) -> String {
    let agent = agent.trim();
    let end = agent.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '*' | '.'))).unwrap_or(agent.len());
    agent.get(..end).unwrap_or_default().to_ascii_lowercase()
}

/// Says whether a `robots.txt` lets an agent fetch a path.
///
/// The groups that name the agent's product count together, else those of `*`; without a rule that fits, all is allowed. Of rules that
/// fit, the longest decides, and `Allow` between equal ones. The path may be a whole address; `/robots.txt` is always allowed.
///
/// # Source
/// RFC 9309, section 2.2.
pub fn robots_txt_allows(robots: &str, user_agent: &str, path: &str) -> bool {
    let path = path.split_once("://").map_or(path, |(_, rest)| rest.find('/').and_then(|n| rest.get(n..)).unwrap_or("/"));
    let path = path.split('#').next().unwrap_or_default();
    let path = if path.is_empty() { "/" } else { path };
    if path == "/robots.txt" {
        return true;
    }
    allowed(&groups(robots, |_, _, _| {}), &product(user_agent), path)
}

pub(crate) fn allowed(groups: &[(Vec<String>, Vec<Rule<'_>>)], product: &str, path: &str) -> bool {
    let named = groups.iter().any(|(agents, _)| agents.iter().any(|a| a == product));
    let of = if named { product } else { "*" };
    let path = normalized(path);
    let mut best: Option<(usize, bool)> = None;
    for rule in groups.iter().filter(|(agents, _)| agents.iter().any(|a| a == of)).flat_map(|(_, rules)| rules) {
        let pattern = normalized(rule.path);
        // An empty rule says nothing.
        if pattern.is_empty() || !fits(&pattern, &path) {
            continue;
        }
        let found = (pattern.len(), rule.allows);
        best = Some(best.map_or(found, |b| b.max(found)));
    }
    best.is_none_or(|(_, allows)| allows)
}

/// Whether a path begins with a pattern in which `*` is any run of bytes and a last `$` the end.
fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, anchored) = pattern.strip_suffix('$').map_or((pattern, false), |p| (p, true));
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| path.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return !anchored || rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() && anchored {
            return rest.ends_with(part);
        }
        // The first place is the best: what follows has the most left.
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    true
}

/// Percent codes of letters, digits and other unreserved bytes as themselves, all others in capitals, bytes beyond ASCII as codes.
fn normalized(path: &str) -> String {
    let bytes = path.as_bytes().get(..path.len().min(PATH_BYTES_MAX)).unwrap_or_default();
    let mut out = String::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(b) = bytes.get(at) {
        let coded = (*b == b'%').then(|| code(bytes, at)).flatten();
        let byte = coded.unwrap_or(*b);
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        if byte >= 0x80 || (coded.is_some() && !plain) {
            out.push_str(&format!("%{byte:02X}"));
        } else {
            out.push(char::from(byte));
        }
        at += if coded.is_some() { 3 } else { 1 };
    }
    out
}

fn code(bytes: &[u8], at: usize) -> Option<u8> {
    let digits = std::str::from_utf8(bytes.get(at + 1..at + 3)?).ok()?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

pub(crate) fn percent_decoded(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(b) = bytes.get(at) {
        let coded = (*b == b'%').then(|| code(bytes, at)).flatten();
        out.push(coded.unwrap_or(*b));
        at += if coded.is_some() { 3 } else { 1 };
    }
    out
}
