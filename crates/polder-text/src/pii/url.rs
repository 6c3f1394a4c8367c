//! Web addresses that name a person: user names and passwords before the host, and profiles of social networks.

use super::Scan;
use crate::ByteSpan;

/// Longest part before the `@` that is looked at.
const CREDENTIALS_MAX: usize = 256;
const NAME_MAX: usize = 64;

/// Hosts and what their paths begin with where a person's page is; the name follows.
const PROFILES: &[(&str, &str)] = &[
    ("linkedin.com", "in/"),
    ("linkedin.com", "pub/"),
    ("xing.com", "profile/"),
    ("facebook.com", ""),
    ("facebook.com", "people/"),
    ("fb.com", ""),
    ("twitter.com", ""),
    ("x.com", ""),
    ("instagram.com", ""),
    ("threads.net", "@"),
    ("tiktok.com", "@"),
    ("youtube.com", "@"),
    ("youtube.com", "user/"),
    ("medium.com", "@"),
    ("t.me", ""),
    ("telegram.me", ""),
    ("vk.com", ""),
    ("reddit.com", "user/"),
    ("reddit.com", "u/"),
    ("keybase.io", ""),
    ("orcid.org", ""),
    ("snapchat.com", "add/"),
    ("pinterest.com", ""),
    ("flickr.com", "people/"),
    ("github.com", ""),
    ("gitlab.com", ""),
    ("bsky.app", "profile/"),
    ("mastodon.social", "@"),
    ("twitch.tv", ""),
    ("soundcloud.com", ""),
];

/// First parts of paths that are the networks' own pages.
const PAGES: &[&str] = &[
    "about",
    "ads",
    "api",
    "apps",
    "blog",
    "business",
    "channel",
    "contact",
    "dev",
    "developers",
    "docs",
    "download",
    "events",
    "explore",
    "features",
    "groups",
    "hashtag",
    "help",
    "home",
    "i",
    "intent",
    "jobs",
    "join",
    "legal",
    "login",
    "logout",
    "marketplace",
    "messages",
    "notifications",
    "orgs",
    "p",
    "pages",
    "plugins",
    "policies",
    "pricing",
    "privacy",
    "rules",
    "search",
    "security",
    "settings",
    "share",
    "sharer",
    "sharer.php",
    "signup",
    "site",
    "sponsors",
    "status",
    "terms",
    "topics",
    "tos",
    "tr",
    "watch",
    "widgets",
    "sitemap",
    "robots.txt",
    "favicon.ico",
    "images",
    "static",
    "joinchat",
    "addstickers",
    "dialog",
    "user-attachments",
    "collections",
    "trending",
    "new",
    "tags",
    "people",
    "profile.php",
];

/// Names of accounts that are nobody's, and passwords that stand for one.
const ROLES: &[&str] = &[
    "git",
    "hg",
    "svn",
    "user",
    "username",
    "anonymous",
    "ftp",
    "login",
    "name",
    "usr",
    "oauth2",
    "x-access-token",
    "token",
    "foo",
    "bar",
    "me",
    "www",
    "root",
    "admin",
    "postgres",
    "mysql",
    "guest",
    "test",
    "pass",
    "password",
    "passwd",
    "pwd",
    "secret",
    "example",
];

/// What a slash at `at` may belong to: `://` in front of credentials, or the path of a profile.
pub(super) fn find(scan: &Scan<'_>, at: usize) -> Option<ByteSpan> {
    if scan.bytes.get(at + 1) == Some(&b'/') {
        return (at > 0 && scan.bytes[at - 1] == b':').then(|| credentials(scan, at + 2)).flatten();
    }
    profile(scan, at)
}

/// `user:password@` or `user@` behind the slashes, before a host.
fn credentials(scan: &Scan<'_>, start: usize) -> Option<ByteSpan> {
    let rest = scan.bytes.get(start..)?;
    let ends = |b: &u8| !b.is_ascii_graphic() || br#"/?#"'<>@\`(),{}$"#.contains(b);
    let length = rest.iter().take(CREDENTIALS_MAX).position(ends)?;
    let host = rest.get(length + 1)?;
    if length == 0 || rest[length] != b'@' || !host.is_ascii_alphanumeric() {
        return None;
    }
    let user = scan.text.get(start..start + length)?;
    let name = user.split(':').next().unwrap_or_default();
    let own_host =
        ["localhost", "127.", "0.0.0.0", "example."].iter().any(|h| scan.text.get(start + length + 1..).is_some_and(|t| t.starts_with(h)));
    let generic = ROLES.iter().any(|role| role.eq_ignore_ascii_case(name));
    if own_host
        || (generic && (!user.contains(':') || user.split(':').all(|part| ROLES.iter().any(|role| role.eq_ignore_ascii_case(part)))))
    {
        return None;
    }
    Some(ByteSpan { kind: "url_credentials", start, end: start + length, score: if user.contains(':') && !generic { 0.9 } else { 0.6 } })
}

/// The address of a person's page on a network, whose host ends at `at`.
fn profile(scan: &Scan<'_>, at: usize) -> Option<ByteSpan> {
    // Cheap first: all hosts end in one of these letters behind a short top-level domain.
    let tail = scan.bytes.get(at.checked_sub(4)?..at)?;
    if !tail.contains(&b'.') || !tail[3].is_ascii_lowercase() {
        return None;
    }
    let (host, _) = PROFILES.iter().find(|(host, _)| scan.text.get(..at).is_some_and(|t| t.ends_with(host)))?;
    let mut start = at - host.len();
    for prefix in ["www.", "m.", "de.", "en.", "mobile."] {
        if scan.text.get(scan.free..start).is_some_and(|t| t.ends_with(prefix)) {
            start -= prefix.len();
            break;
        }
    }
    for scheme in ["https://", "http://"] {
        if scan.text.get(scan.free..start).is_some_and(|t| t.ends_with(scheme)) {
            start -= scheme.len();
            break;
        }
    }
    let before = start.checked_sub(1).and_then(|k| scan.bytes.get(k));
    if before.is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'@' | b'/')) {
        return None;
    }
    let path = scan.text.get(at + 1..)?;
    // The longest beginning decides: `linkedin.com/company/x` is no person's.
    let (_, beginning) = PROFILES.iter().filter(|(h, beginning)| h == host && path.starts_with(beginning)).max_by_key(|(_, b)| b.len())?;
    let name = path.get(beginning.len()..)?;
    let length =
        name.bytes().take(NAME_MAX + 1).take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'%')).count();
    let name = name.get(..length)?.trim_end_matches(['.', '-']);
    let after = path.get(beginning.len() + name.len()..)?;
    let goes_on = after
        .strip_prefix('/')
        .is_some_and(|a| a.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '{' | '<' | '@')));
    let page = PAGES.iter().any(|p| p.eq_ignore_ascii_case(name)) && beginning.is_empty();
    let file = name.contains('.') && matches!(*host, "github.com" | "gitlab.com");
    let is_name = (3..=NAME_MAX).contains(&name.len()) && name.bytes().any(|b| b.is_ascii_alphanumeric());
    let placeholder = after.starts_with(['$', '{', '<', '*', '[']);
    if goes_on || page || file || !is_name || placeholder {
        return None;
    }
    Some(ByteSpan {
        kind: "profile_url",
        start,
        end: at + 1 + beginning.len() + name.len(),
        score: if beginning.is_empty() { 0.6 } else { 0.9 },
    })
}
