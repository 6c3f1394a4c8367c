//! Tokens that say what they are by how they begin, as the services that give them out document it.

use super::examples;
use crate::ByteSpan;

/// Least bits of a sign of a token without a digit: twenty letters by chance have about 4.
const LETTERS_ENTROPY_MIN: f64 = 3.5;

/// A token by its beginning and what stands behind it.
pub(super) struct Form {
    pub(super) kind: &'static str,
    pub(super) prefix: &'static str,
    /// Bounds of the number of characters behind the prefix.
    n_min: usize,
    n_max: usize,
    alphabet: Alphabet,
    chance: Chance,
}

/// What shows that chance put the characters together: names in code are mixed in case, too, and as long.
#[derive(Clone, Copy)]
enum Chance {
    /// A digit among them.
    Digit,
    /// A digit, or letters as mixed as chance mixes them.
    Letters,
    /// The prefix is enough.
    Prefix,
}

/// What the characters behind a prefix are.
#[derive(Clone, Copy)]
enum Alphabet {
    Hex,
    Capitals,
    Letters,
    Base64,
    UrlSafe,
    /// URL-safe with dots between parts, so many.
    Parts(usize),
}

use Alphabet::{Base64, Capitals, Hex, Letters, Parts, UrlSafe};

const fn form(kind: &'static str, prefix: &'static str, n_min: usize, n_max: usize, alphabet: Alphabet) -> Form {
    Form { kind, prefix, n_min, n_max, alphabet, chance: Chance::Digit }
}

/// A form whose characters may all be letters, by design or because they are few.
const fn lettered(kind: &'static str, prefix: &'static str, n_min: usize, n_max: usize, alphabet: Alphabet) -> Form {
    Form { chance: Chance::Letters, ..form(kind, prefix, n_min, n_max, alphabet) }
}

/// A form whose prefix is enough.
const fn bare(kind: &'static str, prefix: &'static str, n_min: usize, n_max: usize, alphabet: Alphabet) -> Form {
    Form { chance: Chance::Prefix, ..form(kind, prefix, n_min, n_max, alphabet) }
}

pub(super) const FORMS: &[Form] = &[
    form("age_key", "AGE-SECRET-KEY-1", 58, 58, Capitals),
    form("anthropic_key", "sk-ant-", 80, 128, UrlSafe),
    form("onepassword_token", "ops_eyJ", 240, 2048, Base64),
    form("artifactory_token", "AKCp", 69, 69, Letters),
    form("artifactory_token", "cmVmd", 59, 59, Letters),
    form("atlassian_token", "ATATT3", 180, 240, Base64),
    form("atlassian_token", "ATCTT3", 180, 240, Base64),
    bare("aws_access_key_id", "AKIA", 16, 16, Capitals),
    bare("aws_access_key_id", "ASIA", 16, 16, Capitals),
    bare("aws_access_key_id", "ABIA", 16, 16, Capitals),
    bare("aws_access_key_id", "ACCA", 16, 16, Capitals),
    form("aws_bedrock_key", "ABSKQmVkcm9ja0FQSUtleS1", 109, 269, Base64),
    form("azure_client_secret", "Q~", 31, 34, Parts(0)),
    form("azure_key", "AccountKey=", 86, 88, Base64),
    form("azure_key", "SharedAccessKey=", 43, 44, Base64),
    form("databricks_token", "dapi", 32, 34, Hex),
    form("digitalocean_token", "dop_v1_", 64, 64, Hex),
    form("digitalocean_token", "doo_v1_", 64, 64, Hex),
    form("digitalocean_token", "dor_v1_", 64, 64, Hex),
    lettered("docker_token", "dckr_pat_", 27, 32, UrlSafe),
    form("doppler_token", "dp.pt.", 40, 44, Letters),
    form("dynatrace_token", "dt0c01.", 89, 89, Parts(2)),
    form("adobe_secret", "p8e-", 32, 32, Letters),
    form("facebook_token", "EAA", 100, 400, Letters),
    form("figma_token", "figd_", 36, 60, UrlSafe),
    lettered("gcp_api_key", "AIza", 35, 35, UrlSafe),
    form("gcp_oauth_token", "ya29.", 30, 512, UrlSafe),
    lettered("gcp_oauth_secret", "GOCSPX-", 28, 28, UrlSafe),
    lettered("github_token", "ghp_", 36, 36, Letters),
    lettered("github_token", "gho_", 36, 36, Letters),
    lettered("github_token", "ghu_", 36, 36, Letters),
    lettered("github_token", "ghs_", 36, 36, Letters),
    lettered("github_token", "ghr_", 36, 76, Letters),
    lettered("github_token", "github_pat_", 82, 82, UrlSafe),
    lettered("gitlab_token", "glpat-", 20, 320, Parts(0)),
    form("gitlab_token", "glptt-", 40, 40, Hex),
    lettered("gitlab_token", "gldt-", 20, 64, UrlSafe),
    lettered("gitlab_token", "glrt-", 20, 64, UrlSafe),
    lettered("gitlab_token", "glcbt-", 20, 64, UrlSafe),
    lettered("gitlab_token", "glsoat-", 20, 64, UrlSafe),
    lettered("gitlab_token", "GR1348941", 20, 20, UrlSafe),
    form("grafana_token", "glsa_", 41, 41, UrlSafe),
    form("grafana_token", "glc_", 32, 400, Base64),
    form("groq_key", "gsk_", 52, 52, Letters),
    form("heroku_key", "HRKU-", 36, 60, UrlSafe),
    lettered("huggingface_token", "hf_", 34, 40, Letters),
    lettered("huggingface_token", "api_org_", 34, 34, Letters),
    form("jwt", "eyJhbGciOi", 60, 8192, Parts(2)),
    form("jwt", "eyJ0eXAiOi", 60, 8192, Parts(2)),
    form("jwt", "eyJraWQiOi", 60, 8192, Parts(2)),
    form("linear_key", "lin_api_", 40, 40, Letters),
    form("mailgun_key", "key-", 32, 32, Hex),
    form("mapbox_token", "sk.eyJ", 60, 200, Parts(1)),
    lettered("netlify_token", "nfp_", 36, 40, Letters),
    form("newrelic_key", "NRAK-", 27, 27, Capitals),
    form("notion_token", "ntn_", 43, 46, Letters),
    form("notion_token", "secret_", 43, 43, Letters),
    lettered("npm_token", "npm_", 36, 36, Letters),
    form("nvidia_key", "nvapi-", 60, 72, UrlSafe),
    form("openai_key", "sk-proj-", 40, 256, UrlSafe),
    form("openai_key", "sk-svcacct-", 40, 256, UrlSafe),
    form("openai_key", "sk-admin-", 40, 256, UrlSafe),
    form("openai_key", "sk-", 48, 51, Letters),
    form("perplexity_key", "pplx-", 48, 56, Letters),
    form("planetscale_token", "pscale_", 36, 80, Parts(0)),
    form("postman_key", "PMAK-", 59, 59, UrlSafe),
    form("pulumi_token", "pul-", 40, 40, Hex),
    form("pypi_token", "pypi-AgEI", 50, 512, UrlSafe),
    lettered("replicate_token", "r8_", 37, 37, Letters),
    form("rubygems_key", "rubygems_", 48, 48, Hex),
    form("sendgrid_key", "SG.", 66, 66, Parts(1)),
    form("sendinblue_key", "xkeysib-", 81, 81, UrlSafe),
    form("sentry_token", "sntrys_", 80, 400, Base64),
    form("sentry_token", "sntryu_", 64, 64, Hex),
    form("shopify_token", "shpat_", 32, 32, Hex),
    form("shopify_token", "shpca_", 32, 32, Hex),
    form("shopify_token", "shppa_", 32, 32, Hex),
    form("shopify_token", "shpss_", 32, 32, Hex),
    form("slack_token", "xoxb-", 24, 128, UrlSafe),
    form("slack_token", "xoxp-", 24, 128, UrlSafe),
    form("slack_token", "xoxa-", 24, 128, UrlSafe),
    form("slack_token", "xoxr-", 24, 128, UrlSafe),
    form("slack_token", "xoxs-", 24, 128, UrlSafe),
    form("slack_token", "xoxe.xoxp-", 100, 256, UrlSafe),
    form("slack_token", "xapp-", 60, 160, UrlSafe),
    form("slack_webhook", "hooks.slack.com/services/", 36, 60, Base64),
    form("slack_webhook", "hooks.slack.com/workflows/", 36, 90, Base64),
    form("slack_webhook", "hooks.slack.com/triggers/", 36, 90, Base64),
    form("discord_webhook", "discord.com/api/webhooks/", 80, 100, Base64),
    form("discord_webhook", "discordapp.com/api/webhooks/", 80, 100, Base64),
    lettered("square_token", "sq0atp-", 22, 22, UrlSafe),
    lettered("square_token", "sq0csp-", 43, 43, UrlSafe),
    lettered("stripe_key", "sk_live_", 20, 128, Letters),
    lettered("stripe_key", "rk_live_", 20, 128, Letters),
    lettered("stripe_key", "sk_test_", 20, 128, Letters),
    lettered("stripe_key", "rk_test_", 20, 128, Letters),
    lettered("stripe_key", "whsec_", 32, 64, Letters),
    form("supabase_token", "sbp_", 40, 40, Hex),
    form("telegram_token", ":AA", 33, 33, UrlSafe),
    form("terraform_token", ".atlasv1.", 60, 70, UrlSafe),
    form("twilio_key", "SK", 32, 32, Hex),
    form("typeform_token", "tfp_", 40, 70, Parts(0)),
    form("vault_token", "hvs.", 90, 120, UrlSafe),
    form("vault_token", "hvb.", 130, 220, UrlSafe),
    form("xai_key", "xai-", 80, 80, Letters),
];

/// The token whose prefix ends at `from`.
pub(super) fn token(bytes: &[u8], form: &Form, start: usize, from: usize) -> Option<ByteSpan> {
    let prefix = bytes.get(start..from)?;
    let before = start.checked_sub(1).map(|k| bytes[k]);
    let joins = before.is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    let mut first = start;
    match form.kind {
        // The number of the bot, or the name of the workspace, is the beginning.
        "telegram_token" => {
            first -= bytes[..start].iter().rev().take(11).take_while(|b| b.is_ascii_digit()).count();
            (8..=10).contains(&(start - first)).then_some(())?;
        }
        "terraform_token" => {
            first -= bytes[..start].iter().rev().take(15).take_while(|b| b.is_ascii_alphanumeric()).count();
            (start - first == 14).then_some(())?;
        }
        "slack_webhook" | "discord_webhook" => {}
        // Three signs and a digit stand before the mark.
        "azure_client_secret" => {
            first = start.checked_sub(4)?;
            let head = bytes.get(first..start)?;
            let joined = first.checked_sub(1).is_some_and(|k| bytes[k].is_ascii_alphanumeric());
            (head[3].is_ascii_digit()
                && !joined
                && head.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'~' | b'.' | b'-')))
            .then_some(())?;
        }
        // `%22ghp_…` and `\nghp_…` are not joined, but too rare to ask for.
        _ if joins => return None,
        _ => {}
    }
    if prefix != form.prefix.as_bytes() {
        return None;
    }
    let holds = |b: &u8| match form.alphabet {
        Hex => b.is_ascii_digit() || matches!(b, b'a'..=b'f'),
        Capitals => b.is_ascii_uppercase() || b.is_ascii_digit(),
        Letters => b.is_ascii_alphanumeric(),
        Base64 => b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'_' | b'-'),
        UrlSafe => b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'),
        Parts(_) => b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.') || (*b == b'~' && form.kind == "azure_client_secret"),
    };
    let mut n = bytes.get(from..)?.iter().take(form.n_max + 1).take_while(|b| holds(b)).count();
    // The end of a sentence is no part.
    while n > 0 && bytes[from + n - 1] == b'.' {
        n -= 1;
    }
    let ends = bytes.get(from + n).is_none_or(|b| !(b.is_ascii_alphanumeric() || *b == b'_'));
    if n < form.n_min || n > form.n_max || !ends {
        return None;
    }
    let secret = bytes.get(from..from + n)?;
    let dots = secret.iter().filter(|b| **b == b'.').count();
    // Numbers of workspace and bot come first, and nothing ends in the dash before the last part.
    let numbered =
        !matches!(form.prefix, "xoxb-" | "xoxp-") || (secret.iter().take(9).all(u8::is_ascii_digit) && secret.last() != Some(&b'-'));
    let parts_hold = numbered && !matches!(form.alphabet, Parts(asked) if asked > 0 && dots != asked);
    let by_chance = match form.chance {
        Chance::Prefix => true,
        Chance::Digit => secret.iter().any(u8::is_ascii_digit),
        Chance::Letters => secret.iter().any(u8::is_ascii_digit) || is_mixed(secret),
    };
    (parts_hold && by_chance && !examples::is_example(secret)).then_some(ByteSpan {
        kind: form.kind,
        start: first,
        end: from + n,
        score: 0.95,
    })
}

/// Whether letters are mixed as chance mixes them: many different ones, about as many capitals as small letters, and capitals side by side,
/// which the words of `getTheNextToken` have not.
fn is_mixed(secret: &[u8]) -> bool {
    let n_letters = secret.iter().filter(|b| b.is_ascii_alphabetic()).count();
    let n_capitals = secret.iter().filter(|b| b.is_ascii_uppercase()).count();
    let beside = secret.windows(2).filter(|w| w.iter().all(u8::is_ascii_uppercase)).count();
    examples::entropy(secret) >= LETTERS_ENTROPY_MIN && (n_letters..=3 * n_letters).contains(&(4 * n_capitals)) && beside >= 2
}
