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
    boilerplate_lines(text);
    c4_quality(text);
    clean_text(text);
    code_quality(text);
    copyright_notices(text);
    domain(url);
    exact_digest(text);
    fineweb_quality(text);
    fix_mojibake(text);
    gopher_quality(text);
    gopher_repetition(text);
    hap(text);
    hap_score(text);
    hash_share(text);
    host(url);
    html_metadata(html);
    html_text(html);
    html_title(html);
    jaccard(text_a, text_b);
    language(text);
    language_score(text);
    license(text);
    license_class(spdx);
    lines(text);
    minhash(text);
    minhash_bands(text);
    minhash_jaccard(signature_a, signature_b);
    minhash_s_curve(jaccard);
    normalize_text(text, form);
    opt_outs(text);
    paragraphs(text);
    pii(text);
    pii_redact(text);
    profanity(text, language);
    programming_language(path, text);
    programming_language_type(name);
    quality(text);
    refinedweb_quality(text);
    remove_boilerplate(text);
    robots_txt_allows(robots, user_agent, path);
    script(text);
    secrets(text);
    sentences(text);
    shingle_set(text);
    sparkline(list);
    text_digest(text);
}
