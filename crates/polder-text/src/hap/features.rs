//! How a passage is spelt for a classifier: names and addresses become one word each, disguises and long-held letters plain words.

use crate::profanity::{Hit, lexicon};

/// What stands for a name of a user, an address, and a listed term, by its weight.
const USER: &str = " \u{e000} ";
const ADDRESS: &str = " \u{e001} ";
const LISTED: &str = " \u{e002}";
const AMBIGUOUS: &str = " \u{e003}";

/// Spells a text as the classifier of a language is trained on it; `language` is `en` or `de`.
pub fn hap_features(text: &str, language: &str) -> String {
    let mut spelt = String::new();
    write(text, &lexicon(language).map(|l| l.hits(text)).unwrap_or_default(), &mut spelt);
    spelt
}

/// Writes a passage's spelling in place of what stood there.
pub(super) fn write(passage: &str, hits: &[Hit], out: &mut String) {
    out.clear();
    let mut rest = passage;
    // Everything but these marks goes through as it is, in long pieces.
    while let Some(at) = rest.find(['@', '#', '&', ':']) {
        let (before, mark) = rest.split_at(at);
        out.push_str(before);
        rest = match mark.as_bytes().first() {
            Some(b'@') => user(mark, out),
            Some(b'#') => hashtag(mark, out),
            Some(b'&') => entity(mark, out),
            _ => address(mark, out),
        };
    }
    out.push_str(rest);
    for hit in hits {
        out.push_str(if hit.weight >= 1.0 { LISTED } else { AMBIGUOUS });
    }
}

/// The end of the run of bytes from `start` that `is_part` holds for.
fn run(text: &str, start: usize, is_part: impl Fn(u8) -> bool) -> usize {
    start + text.as_bytes()[start..].iter().take_while(|b| is_part(**b)).count()
}

fn is_name(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80
}

/// `@name` becomes one word.
fn user<'a>(mark: &'a str, out: &mut String) -> &'a str {
    let end = run(mark, 1, is_name);
    out.push_str(if end > 1 { USER } else { "@" });
    &mark[end..]
}

/// `#TwoWords` becomes `# Two Words`.
fn hashtag<'a>(mark: &'a str, out: &mut String) -> &'a str {
    let end = run(mark, 1, is_name);
    out.push_str("# ");
    let mut after_lower = false;
    for c in mark[1..end].chars() {
        if (after_lower && c.is_uppercase()) || c == '_' {
            out.push(' ');
        }
        if c != '_' {
            out.push(c);
        }
        after_lower = c.is_lowercase();
    }
    &mark[end..]
}

/// `&amp;` becomes `&`, `&lt;` and `&gt;` blanks, and numbered characters what they are.
fn entity<'a>(mark: &'a str, out: &mut String) -> &'a str {
    if let Some(rest) = mark.strip_prefix("&#") {
        let end = run(rest, 0, |b| b.is_ascii_digit());
        if let (Some(rest), Some(c)) = (rest[end..].strip_prefix(';'), rest[..end].parse().ok().and_then(char::from_u32)) {
            out.extend([' ', c, ' ']);
            return rest;
        }
    }
    for (name, is) in [("&amp;", "&"), ("&lt;", " "), ("&gt;", " "), ("&quot;", "\"")] {
        if let Some(rest) = mark.strip_prefix(name) {
            out.push_str(is);
            return rest;
        }
    }
    out.push('&');
    &mark[1..]
}

/// `https://…` becomes one word: called at the colon, when the scheme is written already.
fn address<'a>(mark: &'a str, out: &mut String) -> &'a str {
    if mark.starts_with("://")
        && let Some(scheme) = ["https", "http"].into_iter().find(|s| out.ends_with(s))
    {
        out.truncate(out.len() - scheme.len());
        out.push_str(ADDRESS);
        return &mark[run(mark, 0, |b| !b.is_ascii_whitespace())..];
    }
    out.push(':');
    &mark[1..]
}
