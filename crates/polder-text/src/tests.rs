//! What every function answers on ordinary, empty, strange and very long text.

use proptest::prelude::*;

use super::*;

mod cleaning;
mod copyright;
mod language;
mod licenses;
mod minhash;
mod pages;
mod pii;
mod quality;
mod rights;
mod secrets;

#[test]
fn words_are_runs_of_letters_and_digits_in_any_script() {
    let of = |text: &str| words(text).map(|w| text[w.start..w.end].to_string()).collect::<Vec<_>>();
    assert_eq!(of("fn foo_bar(x: u32) -> Größe;"), ["fn", "foo", "bar", "x", "u32", "Größe"]);
    assert_eq!(of("漢字 x"), ["漢", "字", "x"]);
    assert_eq!(of(" \n-- "), [""; 0]);
    assert_eq!(words("ÄRGER").next().map(|w| w.hash), words("ärger").next().map(|w| w.hash));
}

#[test]
fn languages_are_told_by_prose_and_not_by_code() {
    let english = "The quick brown fox jumps over the lazy dog, and nobody in the whole village was surprised by it.";
    let german = "Der schnelle braune Fuchs springt über den faulen Hund, und niemand im Dorf hat sich darüber gewundert.";
    assert_eq!(detect_language(english).code, "en");
    assert_eq!(detect_language(german).code, "de");
    assert_eq!(detect_language("Съешь же ещё этих мягких французских булок, да выпей чаю.").code, "ru");
    assert_eq!(detect_language("これは日本語の文章です。とても短いです。").code, "ja");
    let code = "pub fn add(a: u32, b: u32) -> u32 {\n    let c = a + b;\n    if c > 10 { return c; }\n    c * 2\n}\n";
    for text in ["", "   ", "12 345 678", "{}();", code] {
        assert_eq!(detect_language(text), DetectedLanguage { code: "und", score: 0.0 }, "{text:?}");
    }
    let long = german.repeat(20_000);
    assert_eq!(detect_language(&long).code, "de");
}

#[test]
fn files_are_named_by_name_ending_first_line_and_content() {
    let cases = [
        ("src/main.rs", "", Some("Rust")),
        ("a\\b\\Main.JAVA", "", Some("Java")),
        ("Makefile", "", Some("Makefile")),
        ("docker/Dockerfile.dev", "", Some("Dockerfile")),
        ("README.md", "# x", Some("Markdown")),
        ("LICENSE", "MIT License", Some("Text")),
        ("notes.txt", "", Some("Text")),
        ("run", "#!/usr/bin/env -S python3.11 -u\n", Some("Python")),
        ("", "#!/bin/bash\n", Some("Shell")),
        ("x.h", "#pragma once\nclass A {\npublic:\n};\n", Some("C++")),
        ("x.h", "int f(void);\n", Some("C")),
        ("site.yml", "---\n- hosts: all\n  become: true\n  tasks: []\n", Some("Ansible")),
        ("roles/web/tasks/main.yml", "- name: x\n  copy: src=a\n", Some("Ansible")),
        (".github/workflows/ci.yml", "on: push\njobs:\n  test:\n    steps:\n      - name: x\n", Some("YAML")),
        ("", "", None),
        ("noending", "plain words", None),
    ];
    for (path, text, expected) in cases {
        assert_eq!(programming_language(path, text), expected, "{path}");
    }
}

#[test]
fn digests_ignore_spacing_and_composition_only_where_they_say_so() {
    assert_eq!(exact_digest(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_eq!(text_digest(" \t\n"), exact_digest(""));
    // The algorithm's published values.
    assert_eq!(["", "a", "abc"].map(xxhash64), [0xef46_db37_51d8_e999, 0xd24e_c4f1_a98c_6e5b, 0x44bc_2cf5_ad77_0999]);
    assert_eq!(text_digest("a\r\n  b"), text_digest("a b"));
    assert_eq!(text_digest("u\u{308}ber"), text_digest("über"));
    assert_ne!(exact_digest("a  b"), exact_digest("a b"));
    assert_ne!(text_digest("A"), text_digest("a"));
}

#[test]
fn hash_shares_spread_evenly_and_never_change() {
    assert_eq!(hash_share("polder"), hash_share("polder"));
    let below = (0..10_000).filter(|i| hash_share(&format!("package-{i}")) < 0.1).count();
    assert!((850..1150).contains(&below), "{below}");
    // The first bits of SHA-256 of the empty text are e3b0c44298fc1c….
    assert!((hash_share("") - 0.889_415_9).abs() < 1e-6);
}

#[test]
fn very_long_text_without_spaces_or_full_of_marks_takes_linear_time() {
    for unit in [
        "a",
        "@",
        "a@",
        "a.",
        "1",
        "1 ",
        "+1",
        "(",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----",
        "(c)",
        "copyright ",
        "ghp_",
        "AKIA",
        "<",
        ":",
        "/",
        "1:",
        "://",
        "1-",
        "12 ",
        "<EMAIL_1",
        "tel 1 ",
        "born 12 May ",
        "password=",
        "token",
        "\u{308}",
        "\u{e000}",
        "\u{378}",
        "é",
        "\n",
        "1.",
        "DE12",
        "license ",
        "License: ",
        "under ",
        "licensed under the ",
        "general public license version ",
        "SPDX-License-Identifier: MIT\n",
        "permission is hereby granted free of charge ",
        "<a rel=license ",
        "<meta name=robots content=",
        "creativecommons",
        "user-agent: *\ndisallow: /*a\n",
        "*a",
        "%41",
        "Copyright 2020 A,\n",
        "dnl ",
        "xn--",
    ] {
        let text = unit.repeat((1 << 20) / unit.len());
        run_all(&text);
    }
}

fn run_all(text: &str) {
    let n_chars = text.chars().count();
    let language = detect_language(text);
    assert!((0.0..=1.0).contains(&language.score));
    programming_language(text, text);
    profanity(text, "und");
    assert!((0.0..=1.0).contains(&hap_score(text)));
    for found in [pii(text), secrets(text)] {
        for f in &found {
            assert!(f.start < f.end && f.end <= n_chars && f.score > 0.0 && f.score <= 1.0);
        }
        assert!(found.windows(2).all(|w| w[0].end <= w[1].start));
    }
    pii_redact(text);
    if let Some(found) = license(text) {
        assert!(
            found.score > 0.0 && found.score <= 1.0 && license_expression(&found.spdx).as_deref() == Some(found.spdx.as_str()),
            "{found:?}"
        );
    }
    assert!(LICENSE_CLASSES.contains(&license_class(text)));
    copyright_notices(text);
    for source in OPT_OUT_SOURCES {
        assert!(opt_outs(text, source).is_some());
    }
    if let Some(domain) = domain(text) {
        assert!(host(text).is_some_and(|h| h.ends_with(&domain)));
    }
    let _ = gopher_quality(text, Dialect::Datatrove);
    quality(text);
    robots_txt_allows(text, text, text);
    code_quality(text);
    text_digest(text);
    assert!((0.0..1.0).contains(&hash_share(text)));
    if let Some(signature) = crate::minhash(text, 16, NGRAM).unwrap() {
        assert_eq!(minhash_bands(&signature, 4, 4).unwrap().len(), 4);
    }
}

/// What the words of a text are, said plainly: where each stands, and FNV-1a of it in lower case.
fn slow_words(text: &str) -> Vec<(usize, usize, u64)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    let mut goes_on = false;
    for (i, c) in text.char_indices() {
        let alone = crate::characters::stands_alone(c);
        match found.last_mut() {
            _ if !c.is_alphanumeric() => {}
            Some(last) if goes_on && !alone => last.1 = i + c.len_utf8(),
            _ => found.push((i, i + c.len_utf8())),
        }
        goes_on = c.is_alphanumeric() && !alone;
    }
    let lower = |word: &str| word.chars().flat_map(char::to_lowercase).collect::<String>();
    let hash = |word: &str| lower(word).bytes().fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    found.into_iter().map(|(start, end)| (start, end, hash(&text[start..end]))).collect()
}

/// The same of source code's figures: lines, the longest, their mean, the share of letters and digits.
fn slow_code_figures(text: &str) -> (usize, usize, f64, f64) {
    let lengths: Vec<usize> = text.split('\n').map(|line| line.chars().filter(|c| *c != '\r').count()).collect();
    let n_lines = lengths.len() - usize::from(lengths.last() == Some(&0));
    let share = |part: usize, whole: usize| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    let n_alphanumeric = text.chars().filter(|c| c.is_alphanumeric()).count();
    let longest = lengths.iter().copied().max().unwrap_or(0);
    (n_lines, longest, share(lengths.iter().sum(), n_lines), share(n_alphanumeric, text.chars().count()))
}

proptest! {
    #[test]
    fn words_digests_and_figures_of_code_are_those_of_the_slow_truth(parts in proptest::collection::vec(prop_oneof![
        any::<char>().prop_map(String::from),
        "[a-zA-Z0-9_.,;(){}]{1,12}",
        "[ \t\r\n\u{b}\u{c}\u{1c}\u{85}\u{a0}\u{1680}\u{2003}\u{2028}\u{3000}]{1,3}",
        "[äÖßİéñǅΣﬁ²⅓]{1,3}",
        "[ก-๙一-丂あ-んक-हा-्ֱ-ׇ가-힣]{1,4}",
        "[e\u{301}\u{323}]{1,4}",
    ], 0..30)) {
        let text = parts.concat();
        prop_assert_eq!(words(&text).map(|w| (w.start, w.end, w.hash)).collect::<Vec<_>>(), slow_words(&text));
        let plain: String = unicode_normalization::UnicodeNormalization::nfc(text.as_str()).collect();
        prop_assert_eq!(crate::normalized(&text), plain.split_whitespace().collect::<Vec<_>>().join(" "));
        let q = code_quality(&text);
        prop_assert_eq!((q.n_lines, q.max_line_length, q.mean_line_length, q.alphanumeric_share), slow_code_figures(&text));
    }

    #[test]
    fn nothing_panics_on_any_text(text in "\\PC*") {
        run_all(&text);
    }

    #[test]
    fn nothing_panics_on_text_made_of_what_the_rules_look_for(parts in proptest::collection::vec(prop::sample::select(vec![
        "@", ".", "a", "bob", "example.com", "+1", "212-555-0187", " ", "\n", "4111", "-", "1.2.3.4", "(c)", "©", "Copyright", "2020", "-----BEGIN ",
        "RSA PRIVATE KEY-----", "-----END ", "ghp_", "AKIA", "DE89", "é", "漢", "license", "SPDX-License-Identifier:", "MIT", " OR ", "(", "License: ", "under the ", "GPL", "v3", "+", "<a rel=license href=", "<meta name=robots content=", "noai", ">",
        "User-agent: *\n", "Disallow: /", "*", "$", "%7e", "http://", "xn--", "[::1]", "creativecommons.org/licenses/by/4.0/", "...", "…", "#", "fuck", "\u{0}",
        "\u{308}", "(", ")", "999", "eyJhbGciOi", "🖕", "::", "{", "}", "ä",
    ]), 0..60)) {
        run_all(&parts.concat());
    }

    #[test]
    fn redaction_leaves_no_address_behind(name in "[a-z]{1,8}(\\.[a-z]{1,8})?", host in "[a-z]{1,8}", before in "[ <(\"':,;]", after in "[ >)\"':,;\n]") {
        let text = format!("write to{before}{name}@{host}.org{after}today");
        prop_assert_eq!(pii_redact(&text), format!("write to{before}<EMAIL_1>{after}today"));
    }
}
