//! Credentials: private keys, tokens that say what they are, passwords in addresses, and values whose name calls them secret.
//!
//! One search for the beginnings of tokens and for the names; what stands there is then read to a bounded length, so the time is linear.
//! Without a form or a name nothing is found: a search for anything random finds mostly hashes. What stands for a secret in documentation,
//! what is filled in later, and what is public by its form is left alone (see [`examples`]).

mod assignment;
mod examples;
mod forms;
mod key_block;

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use crate::{ByteSpan, Finding, in_characters};
use assignment::NAMES;
use forms::FORMS;

/// The kinds that [`secrets`] reports.
pub const SECRET_KINDS: [&str; 64] = [
    "adobe_secret",
    "age_key",
    "anthropic_key",
    "artifactory_token",
    "atlassian_token",
    "aws_access_key_id",
    "aws_bedrock_key",
    "aws_secret_access_key",
    "azure_client_secret",
    "azure_key",
    "databricks_token",
    "digitalocean_token",
    "discord_webhook",
    "docker_token",
    "doppler_token",
    "dynatrace_token",
    "facebook_token",
    "figma_token",
    "gcp_api_key",
    "gcp_oauth_secret",
    "gcp_oauth_token",
    "github_token",
    "gitlab_token",
    "grafana_token",
    "groq_key",
    "heroku_key",
    "huggingface_token",
    "jwt",
    "linear_key",
    "mailgun_key",
    "mapbox_token",
    "netlify_token",
    "newrelic_key",
    "notion_token",
    "npm_token",
    "nvidia_key",
    "onepassword_token",
    "openai_key",
    "password",
    "password_in_url",
    "perplexity_key",
    "planetscale_token",
    "postman_key",
    "private_key",
    "pulumi_token",
    "pypi_token",
    "replicate_token",
    "rubygems_key",
    "secret_key",
    "sendgrid_key",
    "sendinblue_key",
    "sentry_token",
    "shopify_token",
    "slack_token",
    "slack_webhook",
    "square_token",
    "stripe_key",
    "supabase_token",
    "telegram_token",
    "terraform_token",
    "twilio_key",
    "typeform_token",
    "vault_token",
    "xai_key",
];

/// Longest password in an address.
const PASSWORD_MAX: usize = 128;

/// Beginnings that have a reader of their own.
const BLOCK: usize = 0;
const PUTTY: usize = 1;
const ADDRESS: usize = 2;
const N_READERS: usize = 3;

// A table of valid literals: a failure here is a bug that the first test shows.
static SEARCH: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let readers = ["-----BEGIN ", "PuTTY-User-Key-File-", "://"];
    AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .kind(Some(AhoCorasickKind::DFA))
        .ascii_case_insensitive(true)
        .build(readers.into_iter().chain(FORMS.iter().map(|f| f.prefix)).chain(NAMES.iter().map(|(n, _)| *n)))
        .ok()
});

/// Finds credentials, in order of place.
pub fn secrets(text: &str) -> Vec<Finding> {
    let bytes = text.as_bytes();
    let mut spans: Vec<ByteSpan> = Vec::new();
    let Some(search) = SEARCH.as_ref() else { return Vec::new() };
    let mut free = 0;
    let mut block_end = Some(0);
    for found in search.find_iter(text) {
        let (start, end) = (found.start(), found.end());
        if start < free {
            continue;
        }
        let span = match found.pattern().as_usize() {
            BLOCK => key_block::find(text, start, end, &mut block_end),
            PUTTY => key_block::putty(text, start),
            ADDRESS => password_in_address(bytes, end),
            n => match FORMS.get(n - N_READERS) {
                Some(form) => forms::token(bytes, form, start, end),
                None => NAMES.get(n - N_READERS - FORMS.len()).and_then(|(_, name)| assignment::find(text, *name, start, end)),
            },
        };
        if let Some(span) = span.filter(|s| s.start >= free) {
            free = span.end;
            spans.push(span);
        }
    }
    in_characters(text, &named(text, spans))
}

/// Values behind a name that have a form of their own get its kind.
fn named(text: &str, mut spans: Vec<ByteSpan>) -> Vec<ByteSpan> {
    let bytes = text.as_bytes();
    for span in spans.iter_mut().filter(|s| matches!(s.kind, "secret_key" | "password")) {
        let whole = bytes.get(span.start..span.end).unwrap_or_default();
        let form = FORMS
            .iter()
            .filter(|f| whole.starts_with(f.prefix.as_bytes()))
            .find_map(|f| forms::token(bytes, f, span.start, span.start + f.prefix.len()));
        if let Some(found) = form.filter(|f| f.end >= span.end) {
            *span = ByteSpan { end: span.end, ..found };
        }
    }
    spans
}

/// The password of `scheme://user:password@host`.
fn password_in_address(bytes: &[u8], from: usize) -> Option<ByteSpan> {
    let rest = bytes.get(from..)?;
    let length = rest.iter().take(2 * PASSWORD_MAX).position(|b| {
        !b.is_ascii_graphic()
            || matches!(b, b'@' | b'/' | b'?' | b'#' | b'"' | b'\'' | b'<' | b'>' | b'`' | b'(' | b')' | b'{' | b'}' | b'[' | b']' | b'|')
    })?;
    (rest[length] == b'@' && rest.get(length + 1).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'[')).then_some(())?;
    let user = rest.get(..length)?.iter().position(|b| *b == b':')?;
    let (name, password) = (rest.get(..user)?, rest.get(user + 1..length)?);
    // `user:pass@` and its kin, one or the other repeated, are how documentation writes it.
    let stands_for = examples::is_template(password) || examples::is_example(password) || name.eq_ignore_ascii_case(password);
    let plain = password.len() < 4
        || password.iter().all(u8::is_ascii_lowercase) && password.len() < 12
        || password.iter().all(u8::is_ascii_uppercase);
    let port = password.iter().all(u8::is_ascii_digit) && password.len() <= 5;
    if stands_for || plain || port {
        return None;
    }
    let start = from + user + 1;
    Some(ByteSpan { kind: "password_in_url", start, end: start + password.len(), score: 0.8 })
}
