//! Credentials that say what they are: private key blocks and tokens with a known prefix.
//!
//! Passwords without a form are not looked for: without a model, such a search finds mostly nothing real.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use crate::{ByteSpan, Finding, in_characters};

/// The kinds that [`secrets`] reports.
pub const SECRET_KINDS: [&str; 14] = [
    "anthropic_key",
    "aws_access_key_id",
    "gcp_api_key",
    "github_token",
    "gitlab_token",
    "huggingface_token",
    "jwt",
    "npm_token",
    "openai_key",
    "private_key",
    "pypi_token",
    "sendgrid_key",
    "slack_token",
    "stripe_key",
];

struct Form {
    kind: &'static str,
    prefix: &'static str,
    /// Bounds of the number of characters behind the prefix.
    n_min: usize,
    n_max: usize,
    /// What stands behind the prefix.
    holds: fn(u8) -> bool,
}

const fn form(kind: &'static str, prefix: &'static str, n_min: usize, n_max: usize, holds: fn(u8) -> bool) -> Form {
    Form { kind, prefix, n_min, n_max, holds }
}

fn letters_and_digits(b: u8) -> bool {
    b.is_ascii_alphanumeric()
}

fn capitals_and_digits(b: u8) -> bool {
    b.is_ascii_uppercase() || b.is_ascii_digit()
}

fn url_safe(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')
}

fn url_safe_with_dots(b: u8) -> bool {
    url_safe(b) || b == b'.'
}

const PRIVATE_KEY: usize = 0;

const FORMS: [Form; 27] = [
    form("private_key", "-----BEGIN ", 0, 0, url_safe),
    form("aws_access_key_id", "AKIA", 16, 16, capitals_and_digits),
    form("aws_access_key_id", "ASIA", 16, 16, capitals_and_digits),
    form("github_token", "ghp_", 36, 36, letters_and_digits),
    form("github_token", "gho_", 36, 36, letters_and_digits),
    form("github_token", "ghu_", 36, 36, letters_and_digits),
    form("github_token", "ghs_", 36, 36, letters_and_digits),
    form("github_token", "ghr_", 36, 36, letters_and_digits),
    form("github_token", "github_pat_", 82, 82, url_safe),
    form("gitlab_token", "glpat-", 20, 64, url_safe),
    form("slack_token", "xoxb-", 24, 128, url_safe),
    form("slack_token", "xoxp-", 24, 128, url_safe),
    form("slack_token", "xoxa-", 24, 128, url_safe),
    form("slack_token", "xoxr-", 24, 128, url_safe),
    form("slack_token", "xoxs-", 24, 128, url_safe),
    form("gcp_api_key", "AIza", 35, 35, url_safe),
    form("stripe_key", "sk_live_", 20, 128, letters_and_digits),
    form("stripe_key", "rk_live_", 20, 128, letters_and_digits),
    form("openai_key", "sk-proj-", 40, 256, url_safe),
    form("openai_key", "sk-", 48, 48, letters_and_digits),
    form("anthropic_key", "sk-ant-", 80, 128, url_safe),
    form("npm_token", "npm_", 36, 36, letters_and_digits),
    form("huggingface_token", "hf_", 34, 34, letters_and_digits),
    form("pypi_token", "pypi-AgEI", 50, 512, url_safe),
    form("sendgrid_key", "SG.", 66, 66, url_safe_with_dots),
    form("jwt", "eyJhbGciOi", 60, 8192, url_safe_with_dots),
    form("jwt", "eyJ0eXAiOi", 60, 8192, url_safe_with_dots),
];

// The table is a constant of valid literals: a failure here is a bug that the first test shows.
static PREFIXES: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    AhoCorasick::builder().match_kind(aho_corasick::MatchKind::LeftmostLongest).build(FORMS.iter().map(|f| f.prefix)).ok()
});

/// Finds credentials, in order of place.
pub fn secrets(text: &str) -> Vec<Finding> {
    let bytes = text.as_bytes();
    let mut spans: Vec<ByteSpan> = Vec::new();
    let Some(prefixes) = PREFIXES.as_ref() else { return Vec::new() };
    let mut free = 0;
    // Where the next end of a key block is; it only moves forward, so many beginnings stay linear.
    let mut block_end = Some(0);
    for found in prefixes.find_iter(text) {
        if found.start() < free {
            continue;
        }
        let span = if found.pattern().as_usize() == PRIVATE_KEY {
            key_block(text, found.start(), found.end(), &mut block_end)
        } else {
            token(bytes, &FORMS[found.pattern().as_usize()], found.start(), found.end())
        };
        if let Some(span) = span {
            free = span.end;
            spans.push(span);
        }
    }
    in_characters(text, &spans)
}

fn token(bytes: &[u8], form: &Form, start: usize, from: usize) -> Option<ByteSpan> {
    if start > 0 && (bytes[start - 1].is_ascii_alphanumeric() || matches!(bytes[start - 1], b'_' | b'-')) {
        return None;
    }
    let n = bytes.get(from..)?.iter().take(form.n_max + 1).take_while(|b| (form.holds)(**b)).count();
    if n < form.n_min || n > form.n_max {
        return None;
    }
    let secret = bytes.get(from..from + n)?;
    // Documentation writes keys of one letter, and the word itself.
    let mut seen = [false; 256];
    secret.iter().for_each(|b| seen[usize::from(*b)] = true);
    let varied = seen.iter().filter(|s| **s).count() >= 6;
    let example = secret.windows(7).any(|w| w.eq_ignore_ascii_case(b"example"));
    let dots = secret.iter().filter(|b| **b == b'.').count();
    let parts_hold = match form.kind {
        "jwt" => dots == 2,
        "sendgrid_key" => dots == 1,
        _ => true,
    };
    (varied && !example && parts_hold).then_some(ByteSpan { kind: form.kind, start, end: from + n, score: 0.95 })
}

/// A block from its first dashes to its last, if something that could be a key stands between.
fn key_block(text: &str, start: usize, from: usize, block_end: &mut Option<usize>) -> Option<ByteSpan> {
    let header = text.get(from..text.floor_char_boundary(from + 40))?;
    let header = header.split_once("-----")?.0;
    if !header.ends_with("PRIVATE KEY") && !header.ends_with("PRIVATE KEY BLOCK") {
        return None;
    }
    let body = from + header.len() + 5;
    while let Some(end) = *block_end {
        if end >= body {
            break;
        }
        *block_end = text.get(body..)?.find("-----END ").map(|i| body + i);
    }
    let end = (*block_end)?;
    let content = text.get(body..end)?;
    // Another beginning inside means that this one is only spoken of.
    if content.contains("-----BEGIN ") || content.bytes().filter(|b| b.is_ascii_alphanumeric()).count() < 64 {
        return None;
    }
    let line = text.get(end + 9..)?;
    let end = line.find("-----").filter(|n| *n <= 40).map_or(end, |n| end + 9 + n + 5);
    Some(ByteSpan { kind: "private_key", start, end, score: 1.0 })
}
