//! E-mail addresses, by RFC 5321 and what people write.

use super::Scan;
use crate::ByteSpan;

/// Longest parts of an address, from RFC 5321.
const LOCAL_MAX: usize = 64;
const DOMAIN_MAX: usize = 255;
/// Longest part of a web address that is looked at for a user and a password.
const USER_MAX: usize = 256;
/// Endings of files that are no top-level domains: `icon@2x.png` is a picture.
const FILE_ENDINGS: [&str; 24] = [
    "png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js", "mjs", "ts", "json", "html", "tgz", "gz", "exe", "dll", "jar", "pdf", "xml",
    "yml", "yaml", "scss", "ico", "service",
];

fn is_local(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '%' | '+' | '-' | '\'' | '&' | '/' | '=' | '!') || is_european_letter(c)
}

/// Letters of the scripts in which addresses and prose are set apart by spaces.
fn is_european_letter(c: char) -> bool {
    !c.is_ascii() && u32::from(c) < 0x530 && c.is_alphabetic()
}

/// An address around the `@` at `at`, nothing before the last find touched.
pub(super) fn find(scan: &Scan<'_>, at: usize) -> Option<ByteSpan> {
    let text = scan.text;
    let mut start = at;
    for c in text.get(scan.free..at)?.chars().rev().take(LOCAL_MAX + 1).take_while(|c| is_local(*c)) {
        start -= c.len_utf8();
    }
    // Signs that a local part may hold, but that sooner end what stands before: `url=/a`, `'a`, `x&y=`.
    let local = text.get(start..at)?;
    let cut = local.rfind(['=', '&', '/', '!', '\'']).map_or(0, |n| n + 1);
    let cut = if local.get(..cut).is_some_and(is_irish) { 0 } else { cut };
    let trimmed = local.get(cut..)?.trim_start_matches(['.', '-', '+', '%']);
    start = at - trimmed.len();
    if trimmed.is_empty() || trimmed.chars().count() > LOCAL_MAX || trimmed.ends_with('.') || trimmed.contains("..") {
        return None;
    }
    let end = at + 1 + domain_length(text.get(at + 1..)?)?;
    let after = text.get(end..)?;
    // `git@host:path` names a repository, `user@host` in a call or a path of a module no person.
    let repository = matches!(trimmed, "git" | "hg" | "svn") && (after.starts_with([':', '/']) || text.get(..start)?.ends_with("//"));
    let joined = after.starts_with(['_', '@']);
    if repository || joined || is_password(scan, start) {
        return None;
    }
    Some(ByteSpan { kind: "email", start, end, score: 1.0 })
}

/// Whether `start` is within the password of `scheme://user:password@host`, where a host follows and no one's mail.
fn is_password(scan: &Scan<'_>, start: usize) -> bool {
    let near = scan.bytes.get(scan.free.max(start.saturating_sub(USER_MAX))..start).unwrap_or_default();
    let is_user = |b: &u8| b.is_ascii_graphic() && !br#"/?#"'<>@,()"#.contains(b);
    let (before, user) = near.split_at(near.iter().rposition(|b| !is_user(b)).map_or(0, |i| i + 1));
    user.contains(&b':') && before.ends_with(b"://")
}

/// `O'` and `D'`, which begin names.
fn is_irish(cut: &str) -> bool {
    cut.strip_suffix('\'').is_some_and(|name| {
        let letter = name.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        letter.eq_ignore_ascii_case("o") || letter.eq_ignore_ascii_case("d")
    })
}

/// The length of the domain that the text begins with.
fn domain_length(rest: &str) -> Option<usize> {
    let in_domain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-') || is_european_letter(*c);
    let length: usize = rest.chars().take(DOMAIN_MAX).take_while(in_domain).map(char::len_utf8).sum();
    let mut domain = rest.get(..length)?.trim_end_matches(['.', '-']);
    // `ann@b.de.Next sentence`: a domain in small letters ends before a capital.
    if let Some((head, tail)) = domain.rsplit_once('.')
        && tail.starts_with(|c: char| c.is_uppercase())
        && tail.chars().skip(1).any(char::is_lowercase)
        && head.contains('.')
        && !head.chars().any(char::is_uppercase)
    {
        domain = head;
    }
    let (before, top) = domain.rsplit_once('.')?;
    let top_is_name = ((2..=24).contains(&top.chars().count()) && top.chars().all(char::is_alphabetic)) || top.starts_with("xn--");
    let labels_hold = before.split('.').all(|l| !l.is_empty() && l.len() <= 63 && !l.starts_with('-') && !l.ends_with('-'));
    // `left-pad@1.3.0.tgz`: a package and its version.
    let numbered = before.split('.').all(|l| l.chars().all(|c| c.is_ascii_digit())) && before.contains('.');
    let file = FILE_ENDINGS.iter().any(|e| top.eq_ignore_ascii_case(e));
    (top_is_name && labels_hold && !numbered && !file).then_some(domain.len())
}
