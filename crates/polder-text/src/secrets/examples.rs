//! What only stands for a secret: values of documentation, placeholders, and numbers that are public by nature.

/// Parts of a value that say it is none, in small letters.
const PARTS: &[&str] = &[
    "example",
    "changeme",
    "change-me",
    "change_me",
    "placeholder",
    "xxxx",
    "your_",
    "your-",
    "yourp",
    "youra",
    "yours",
    "yourt",
    "insert",
    "replace",
    "dummy",
    "sample",
    "redacted",
    "notreal",
    "not-real",
    "not_real",
    "fake",
    "mypass",
    "my_pass",
    "my-pass",
    "mysecret",
    "my-secret",
    "my_secret",
    "mytoken",
    "supersecret",
    "super-secret",
    "super_secret",
    "topsecret",
    "s3cr3t",
    "password",
    "passw0rd",
    "p@ssw",
    "pa$$w",
    "passwort",
    "passphrase",
    "letmein",
    "qwerty",
    "hunter2",
    "foobar",
    "foo-bar",
    "deadbeef",
    "cafebabe",
    "lorem",
    "1234567",
    "abcdefg",
    "aaaaaa",
    "000000",
    "111111",
    "zzzz",
    "......",
    "****",
    "----",
    "____",
    "testtest",
    "default",
    "secret_here",
    "todo",
];
/// Whole values that are none, in small letters.
const WHOLE: &[&str] = &[
    "secret",
    "pass",
    "passwd",
    "pwd",
    "test",
    "testing",
    "admin",
    "root",
    "user",
    "guest",
    "none",
    "null",
    "nil",
    "true",
    "false",
    "undefined",
    "empty",
    "token",
    "apikey",
    "bar",
    "foo",
    "baz",
    "string",
    "optional",
    "required",
    "hidden",
    "123456",
    "12345678",
    "test123",
    "test1234",
    "pass123",
    "abc123",
    "secret123",
    "admin123",
    "root123",
    "user123",
    "postgres",
    "mysql",
    "mongo",
    "redis",
];

/// Whether a value is a placeholder, an example of documentation, or has too few different signs to be anything.
pub(super) fn is_example(value: &[u8]) -> bool {
    let mut seen = [false; 256];
    value.iter().for_each(|b| seen[usize::from(*b)] = true);
    if seen.iter().filter(|s| **s).count() < 6.min(value.len().max(1)) {
        return true;
    }
    let lower = value.to_ascii_lowercase();
    let holds = |part: &str| lower.windows(part.len()).any(|w| w == part.as_bytes());
    // In long random values, short parts stand by chance.
    let mut parts = PARTS.iter().filter(|p| value.len() <= 64 || p.len() >= 7);
    parts.any(|p| holds(p)) || counts(&lower) || WHOLE.iter().any(|w| w.as_bytes() == lower)
}

/// Whether eight signs in a row count up or down, or are the same.
fn counts(value: &[u8]) -> bool {
    let mut run = (0i16, 1);
    value.windows(2).any(|w| {
        let step = i16::from(w[1]) - i16::from(w[0]);
        run = if step == run.0 { (step, run.1 + 1) } else { (step, 1) };
        step.abs() <= 1 && run.1 >= 7
    })
}

/// Whether a value is filled in later: `${VAR}`, `{{ value }}`, `%(name)s`, `<token>`, `$VAR`, `os.environ[…]`.
pub(super) fn is_template(value: &[u8]) -> bool {
    let holds = |part: &[u8]| value.windows(part.len()).any(|w| w == part);
    let marked = [&b"${"[..], b"{{", b"%(", b"$(", b"#{", b"<%", b"%s", b"%d", b"{0}", b"[[", b"@@", b"://"].iter().any(|m| holds(m));
    let wrapped = matches!(
        (value.first(), value.last()),
        (Some(b'<'), Some(b'>'))
            | (Some(b'{'), Some(b'}'))
            | (Some(b'%'), Some(b'%'))
            | (Some(b'['), Some(b']'))
            | (Some(b'('), Some(b')'))
    );
    let variable = value.first() == Some(&b'$')
        && value[1..].iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
        && value.len() > 1
        && value[1].is_ascii_alphabetic();
    marked || wrapped || variable
}

/// Whether a value is a number that is no secret by its form: a UUID, a version, a date, a digest of a usual length with a name in front.
pub(super) fn is_public(value: &[u8], name: &[u8]) -> bool {
    let hex = value.iter().all(u8::is_ascii_hexdigit);
    let uuid = value.len() == 36
        && value.iter().enumerate().all(|(i, b)| if matches!(i, 8 | 13 | 18 | 23) { *b == b'-' } else { b.is_ascii_hexdigit() });
    let lower = name.to_ascii_lowercase();
    let digest_name = [
        &b"hash"[..],
        b"sha",
        b"md5",
        b"digest",
        b"checksum",
        b"integrity",
        b"fingerprint",
        b"commit",
        b"revision",
        b"etag",
        b"public",
        b"pubkey",
    ]
    .iter()
    .any(|w| lower.windows(w.len()).any(|n| n == *w));
    let labelled = [
        &b"sha1-"[..],
        b"sha256-",
        b"sha384-",
        b"sha512-",
        b"sha256:",
        b"md5:",
        b"$2a$",
        b"$2b$",
        b"$2y$",
        b"$argon2",
        b"$6$",
        b"$5$",
        b"{SHA}",
        b"{bcrypt}",
        b"pbkdf2",
    ]
    .iter()
    .any(|p| value.starts_with(p));
    uuid || labelled || (hex && digest_name) || value.iter().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b':' | b'/' | b' '))
}

/// Bits of Shannon entropy of a sign of the value.
pub(super) fn entropy(value: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    value.iter().for_each(|b| counts[usize::from(*b)] += 1);
    let n = value.len() as f64;
    counts.iter().filter(|c| **c > 0).map(|c| f64::from(*c) / n).map(|p| -p * p.log2()).sum()
}
