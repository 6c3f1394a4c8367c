//! The functions as Rust expressions, for those who build a DataFrame's plan themselves.
//!
//! `frame.filter(expr::language(col("text")).eq(lit("en")))`. Functions that need artefacts are called by name in a session.

use datafusion_expr::Expr;

macro_rules! expressions {
    ($($name:ident($($argument:ident),+);)+) => {$(
        #[doc = concat!("Calls the SQL function `", stringify!($name), "`.")]
        pub fn $name($($argument: Expr),+) -> Expr {
            crate::$name::udf().call(vec![$($argument),+])
        }
    )+};
}

expressions! {
    bar(x, max);
    code_quality(text);
    copyright_notices(text);
    exact_digest(text);
    gopher_quality(text);
    hap_score(text);
    hash_share(text);
    jaccard(text_a, text_b);
    language(text);
    language_score(text);
    license(text);
    lines(text);
    minhash(text);
    minhash_bands(text);
    minhash_jaccard(signature_a, signature_b);
    pii(text);
    pii_redact(text);
    profanity(text, language);
    programming_language(path, text);
    programming_language_type(name);
    script(text);
    secrets(text);
    sparkline(list);
    text_digest(text);
}
