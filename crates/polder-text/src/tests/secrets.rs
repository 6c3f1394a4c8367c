//! Credentials: what is found, and what only stands for one.
//!
//! Values are put together here, so that no search for secrets takes this file for a leak.

use proptest::prelude::*;

use crate::{SECRET_KINDS, secrets};

/// A value of so many signs out of an alphabet, the same every time.
fn made(alphabet: &[u8], n: usize) -> String {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(alphabet[(state % alphabet.len() as u64) as usize])
        })
        .collect()
}

const HEX: &[u8] = b"0123456789abcdef";
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const CAPITALS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn kinds(text: &str) -> Vec<&'static str> {
    secrets(text).iter().map(|f| f.kind).collect()
}

fn values(text: &str) -> Vec<(&'static str, String)> {
    secrets(text).iter().map(|f| (f.kind, text.chars().skip(f.start).take(f.end - f.start).collect())).collect()
}

#[test]
fn credentials_are_known_by_their_form() {
    let of = |text: &str| secrets(text).iter().map(|f| (f.kind, f.end - f.start)).collect::<Vec<_>>();
    let body = "MIIEpAIBAAKCAQEA7bq0Z2v9Kx1sYw8Jt4LhQmNcRdUeFgPi3".repeat(3);
    let key = format!("-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----");
    assert_eq!(of(&format!("x = {key}\n")), [("private_key", key.len())]);
    assert_eq!(of("if line == \"-----BEGIN PRIVATE KEY-----\" {"), []);
    assert_eq!(of("-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----"), []);
    assert_eq!(of("id: AKIA2QZ7WXN4RTBM5KLP"), [("aws_access_key_id", 20)]);
    assert_eq!(of(&format!("ghp_{}", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8")), [("github_token", 40)]);
    for text in ["AKIAIOSFODNN7EXAMPLE", "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "MAKIA2QZ7WXN4RTBM5KLP", "ghp_short", "sk-learn", ""] {
        assert_eq!(of(text), [], "{text}");
    }
}

#[test]
fn tokens_of_services_are_known_by_how_they_begin() {
    for (kind, prefix, alphabet, n) in [
        ("age_key", "AGE-SECRET-KEY-1", CAPITALS, 58),
        ("anthropic_key", "sk-ant-api03-", LETTERS, 93),
        ("aws_access_key_id", "AKIA", CAPITALS, 16),
        ("azure_key", "AccountKey=", LETTERS, 86),
        ("azure_client_secret", "qpF8Q~", LETTERS, 34),
        ("databricks_token", "dapi", HEX, 32),
        ("digitalocean_token", "dop_v1_", HEX, 64),
        ("docker_token", "dckr_pat_", LETTERS, 27),
        ("gcp_api_key", "AIza", LETTERS, 35),
        ("gcp_oauth_secret", "GOCSPX-", LETTERS, 28),
        ("github_token", "gho_", LETTERS, 36),
        ("gitlab_token", "glpat-", LETTERS, 20),
        ("groq_key", "gsk_", LETTERS, 52),
        ("huggingface_token", "hf_", LETTERS, 34),
        ("npm_token", "npm_", LETTERS, 36),
        ("openai_key", "sk-proj-", LETTERS, 120),
        ("openai_key", "sk-", LETTERS, 48),
        ("pypi_token", "pypi-AgEIcHlwaS5vcmc", LETTERS, 80),
        ("shopify_token", "shpat_", HEX, 32),
        ("slack_token", "xoxb-5728293071-5738073-", LETTERS, 24),
        ("slack_webhook", "https://hooks.slack.com/services/", LETTERS, 44),
        ("stripe_key", "sk_live_", LETTERS, 24),
        ("twilio_key", "SK", HEX, 32),
        ("vault_token", "hvs.", LETTERS, 95),
    ] {
        let token = format!("{prefix}{}", made(alphabet, n));
        for text in [format!("x = \"{token}\""), format!("KEY={token}\n"), format!("<v>{token}</v>"), token.clone()] {
            assert_eq!(kinds(&text), [kind], "{text}");
        }
        assert!(SECRET_KINDS.contains(&kind));
    }
    let telegram = format!("{}:AA{}", "5512839407", made(LETTERS, 33));
    assert_eq!(values(&format!("bot {telegram}")), [("telegram_token", telegram)]);
    let jwt = format!("eyJhbGciOiJIUzI1NiJ9.eyJ{}.{}", made(LETTERS, 40), made(LETTERS, 43));
    assert_eq!(kinds(&jwt), ["jwt"]);
}

#[test]
fn tokens_without_a_digit_are_told_from_names_by_how_their_letters_mix() {
    let mixed = &LETTERS[..52];
    for (kind, prefix, n) in [
        ("huggingface_token", "hf_", 34),
        ("huggingface_token", "api_org_", 34),
        ("gitlab_token", "glpat-", 20),
        ("gitlab_token", "glrt-", 24),
        ("github_token", "ghp_", 36),
        ("stripe_key", "sk_live_", 24),
    ] {
        let token = format!("{prefix}{}", made(mixed, n));
        assert_eq!(values(&format!("x = {token}")), [(kind, token)]);
    }
    let token = format!("hf_{}", "YlExJEKTTCFpaKtnczOvqAVIjHwAHjHKwm");
    assert_eq!(values(&format!("HF_TOKEN={token}")), [("huggingface_token", token)]);
    for text in [
        format!("hf_{}", "a".repeat(34)),
        format!("hf_{}", made(&LETTERS[26..52], 34)),
        format!("HF_TOKEN=HF_{}", made(mixed, 34)),
        format!("notion secret_{}", made(mixed, 43)),
    ] {
        assert_eq!(kinds(&text), [""; 0], "{text}");
    }
    for text in [
        "hf_your_token_here",
        "hf_getPretrainedModelFromHuggingHub",
        "hf_GetPretrainedModelFromHuggingHub",
        "hf_THEPRETRAINEDMODELFROMHUGGINGFACE",
        "hf_thepretrainedmodelfromhuggingface",
        "api_org_listAllTheMembersOfAnOrganization",
        "glpat-YOUR-GITLAB-TOKEN-GOES",
        "glpat-yourGitlabTokenGoesIn",
        "glpat-the-name-of-a-branch-here",
        "sk_live_yourSecretKeyGoesInHere",
    ] {
        assert_eq!(kinds(text), [""; 0], "{text}");
    }
}

#[test]
fn values_end_within_their_line_where_the_notation_says_so() {
    let (password, key) = (format!("Xk{}", "29dlsPq7"), made(LETTERS, 32));
    for text in [
        format!("Server=db;User Id=sa;Password={password};Database=x"),
        format!("Server=db;Password={password};"),
        format!("Pwd={password}; Server=db; Uid=sa"),
        format!("PGPASSWORD={password} psql -h x"),
        format!("$ PGPASSWORD={password} ./dump"),
        format!("docker run -e MYSQL_PASSWORD={password} -p 1:1 db"),
        format!("sh -c \"PGPASSWORD={password} psql\""),
        format!("password：{password}"),
        format!("password：{password}，请保密。"),
    ] {
        assert_eq!(values(&text), [("password", password.clone())], "{text}");
    }
    assert_eq!(values(&format!("Url=x;ClientSecret={key};AuthType=y")), [("secret_key", key.clone())]);
    assert_eq!(values(&format!("API_KEY={key} make")), [("secret_key", key)]);
    for text in [
        "$password=hash29Pq7x;$user=x;",
        "user.password=hash29Pq7x;",
        "password = hash29Pq7x; user=x;",
        "password=hash29Pq7x;\nuser=x;",
        "password=hash29Pq7x; break;",
        "password=hash29Pq7x + salt",
        "pgpassword=hash29Pq7x psql",
        "PGPASSWORD=hash29Pq7x + salt",
        "a.PGPASSWORD=hash29Pq7x psql",
        "PGPASSWORD=$PASSWORD psql -h x",
        "PGPASSWORD=secret123 psql -h x",
        "Server=db;User Id=sa;Password=changeme;Database=x",
        "Server=db;User Id=sa;Password={0};Database=x",
        "password：见下文",
        "密码 password：必填",
    ] {
        assert_eq!(kinds(text), [""; 0], "{text}");
    }
}

#[test]
fn values_whose_name_calls_them_secret_are_found_in_every_notation() {
    let (password, key) = (format!("tR4{}!", "vug-9Lq"), made(LETTERS, 32));
    for text in [
        format!("password = \"{password}\""),
        format!("db_password: '{password}'"),
        format!("\"password\": \"{password}\","),
        format!("<password>{password}</password>"),
        format!("const PASSWORD: &str = \"{password}\";"),
        format!("define('DB_PASSWORD', '{password}');"),
        format!("$config['password'] = '{password}';"),
        format!("<add key=\"password\" value=\"{password}\"/>"),
        format!("passwd => \"{password}\""),
    ] {
        assert_eq!(values(&text), [("password", password.clone())], "{text}");
    }
    for text in [
        format!("API_KEY={key}\n"),
        format!("export SECRET_TOKEN=\"{key}\""),
        format!("api_key: {key}"),
        format!("\"clientSecret\": \"{key}\""),
        format!("Authorization: Bearer {key}"),
        format!("curl -H 'x-auth-token: {key}'"),
        format!("tool --token {key}\n"),
    ] {
        assert_eq!(values(&text), [("secret_key", key.clone())], "{text}");
    }
    assert_eq!(kinds(&format!("aws_secret_access_key = {}", made(LETTERS, 40))), ["aws_secret_access_key"]);
    assert_eq!(kinds("DB_PASSWORD=8ae31cacf141669ddfb5da\nDB_NAME=best_db"), ["password"]);
    assert_eq!(values(&format!("postgres://ann:{password}@db.org/x")), [("password_in_url", password)]);
}

#[test]
fn what_only_stands_for_a_secret_is_left_alone() {
    for text in [
        "password = \"changeme\"",
        "password: ${DB_PASSWORD}",
        "PASSWORD={{ vault_password }}",
        "password = \"your-password1\"",
        "api_key = \"YOUR_API_KEY_1234567890\"",
        "password = os.environ[\"DB_PASSWORD1\"]",
        "password = getpass()",
        "password = args.password1",
        "token = next_token2",
        "token: \"xxxxxxxxxxxxxxxxxxxx1234\"",
        "const passwordField = \"password_2\";",
        "secret_name = \"prod-database-2021-primary\"",
        "token_type = \"Bearer1234567890abcdef\"",
        "<password></password>",
        "if password == \"tR4vug9Lq!\"",
        "sha256_token = \"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"",
        "token = \"123e4567-e89b-12d3-a456-426614174000\"",
        "\"integrity\": \"sha512-9f86d081884c7d659a2feaa0c55ad015a3bf\"",
        "password = \"$2b$12$KIXQ4S3h0u1l9y8j7g6f5eO\"",
        "postgres://user:password@localhost/db",
        "http://user:pass@host",
        "redis://:6379@host",
        "AKIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "Enter password: ",
        "the password is secret",
        "token: string;",
        "secretKey: process.env.SECRET_KEY2,",
        "password: Optional[str] = None",
        "PASSWORD_MIN_LENGTH = 12",
        "csrf-token=Mj2qykJO5rELyHgezQ69nzUX0i3OH67V7",
        "io.jsonwebtoken:jjwt-jackson-0.11.2",
        "publicToken = \"9Cnzj4p4WGeKLs1Pt8QuKUpRKfFLfRYC\"",
        "xoxp-572370529330-573807301142-572331691188-####",
    ] {
        assert_eq!(kinds(text), [""; 0], "{text}");
    }
}

#[test]
fn putty_keys_are_found_whole() {
    let key = format!(
        "PuTTY-User-Key-File-2: ssh-rsa\nEncryption: none\nPublic-Lines: 1\n{}\nPrivate-Lines: 1\n{}\nPrivate-MAC: {}",
        made(LETTERS, 60),
        made(LETTERS, 60),
        made(HEX, 40)
    );
    assert_eq!(values(&format!("{key}\n")), [("private_key", key)]);
}

#[test]
fn kinds_of_secrets_are_sorted_and_none_is_named_twice() {
    assert!(SECRET_KINDS.windows(2).all(|w| w[0] < w[1]));
}

proptest! {
    #[test]
    fn secrets_are_disjoint_and_within_the_text(parts in proptest::collection::vec(prop::sample::select(vec![
        "password", "token", "api_key", "secret", "=", ": ", "\"", "'", "tR4vug-9Lq!", "ghp_", "AKIA", "://", "a:b1c2d3e4@", "host", "-----BEGIN RSA PRIVATE KEY-----", "-----END ", "PuTTY-User-Key-File-",
        "<", "</", ">", "\\", " ", "\n", "Bearer ", "é", "eyJhbGciOi", ".", ":AA", "1234567890", "value=", "--", "\0", ";", "Uid=sa;", "：", "，",
    ]), 0..40)) {
        let text = parts.concat();
        let n = text.chars().count();
        let found = secrets(&text);
        prop_assert!(found.iter().all(|f| f.start < f.end && f.end <= n && SECRET_KINDS.contains(&f.kind)));
        prop_assert!(found.windows(2).all(|w| w[0].end <= w[1].start));
    }
}
