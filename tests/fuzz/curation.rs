//! Texts as the curation functions get them: whatever was crawled.
//!
//! Pages, prose, code, manifests and site files with changes, as text with its broken characters replaced; short pieces of them
//! repeated for long; and bytes that never were text. Each answer keeps what its function promises.

use polder_base::Random;
use polder_text::{
    BenchmarkIndex, C4_DIALECTS, Finding, GOPHER_DIALECTS, LICENSE_CLASSES, NGRAM, OPT_OUT_SOURCES, PII_KINDS, REPETITION_DIALECTS,
    boilerplate, c4_quality, clean_text, code_quality, copyright_notices, detect_language, domain, exact_digest, fix_mojibake,
    gopher_quality, gopher_repetition, hap, hap_score, hash_share, host, html_metadata, html_text, html_title, jaccard, jaccard_estimate,
    license, license_class, license_expression, minhash, minhash_bands, normalized, opt_outs, paragraphs, pii, pii_redact,
    pii_redact_kinds, profanity, programming_language, quality, remove_boilerplate, robots_txt_allows, script, secrets, sentences,
    shingles, text_digest, without_spans, words,
};

use crate::mutate::fuzz_slow;

const PAGE: &str = "<!DOCTYPE html><html lang=\"de\"><head><meta name=\"robots\" content=\"noai, max-snippet: 0\"><meta name=tdm-reservation content=1>\n\
    <link rel=\"license\" href='https://creativecommons.org/licenses/by-sa/4.0/deed.de'><title>Über Deiche &amp; Mühlen</title></head>\n\
    <body><nav><a href=\"/a?b=c\">Start</a></nav><p>Der Deich hält das Wasser vom Dorf fern, und abends hört man die Mühlen. Schreiben Sie an \
    <a href=\"mailto:jürgen@müller.de\">Jürgen</a> oder rufen Sie an: +49 30 901820.</p><table><tr><td>漢字</td><td>12,5 %</td></tr></table>\
    <pre>fn main() {}</pre><footer>&copy; 1998–2026 Deichbau GmbH. Alle Rechte vorbehalten.</footer></body></html>\n";
const PROSE: &str = "The dike keeps the water out. Ann Lee (born 4 May 1971, SSN 536-90-4399) lives at 12 Mill Lane; her card is 4111 1111 1111 1111, her \
    account GB82 WEST 1234 5698 7654 32, her machine 192.168.2.17 or 2001:db8::1.\n\nWhat the fuck, said nobody … – “quoted” — #tag #tag\n• one\n• two\nصباح \
    الخير يا جماعة\nこれは日本語の文章です。\nสวัสดีชาวโลก\ne\u{301}e\u{308}\u{308}\u{308} \u{200d}\u{feff}\u{202e}abc\u{0}\n";
const CODE: &str = "#!/usr/bin/env python3\n# Copyright (C) 2001-2024, 2026 Foo & Bar <mail@foo.org>,\n#   Others\n# SPDX-License-Identifier: (MIT OR Apache-2.0) AND \
    GPL-2.0+ WITH Classpath-exception-2.0\n# This program is free software: you can redistribute it and/or modify it under the terms of the GNU General\n# Public \
    License as published by the Free Software Foundation, either version 3 of the License, or (at your option)\n# any later version.\nKEY = \
    \"AKIAIOSFODNN7EXAMPLE\"\nurl = 'https://user:hunter2@www.example.co.uk:8080/x%41?y#z'\ndef f(c):\n\treturn [c for (c) in \"\\u00e9\"]\n";
const MANIFEST: &str = "[package]\nname = \"dike\"\nlicense = \"MIT/Apache-2.0\"\n{\"license\": [\"ISC\", {\"type\": \"MIT\"}]}\n<licenses><license><name>Apache \
    2</name></license></licenses>\nLicense: GPL (>= 2) | file LICENSE\n  'License :: OSI Approved :: BSD License',\n## License\n\n[MIT](LICENSE) © Jane\n";
const SITE: &str = "\u{feff}User-agent: GPTBot/1.0\r\nUser-agent: *\r\nDisallow: /*.pdf$\r\nAllow: /%7Ejoe/ö # x\r\nContent-Signal: ai-train=no\r\n\r\nX-Robots-Tag: \
    ccbot: noai, noindex\nTDM-Reservation: 1\n[{\"location\": \"/\", \"tdm-reservation\": 1}]\n";

fn must_be_spans(text: &str, found: &[Finding]) {
    let n_chars = text.chars().count();
    assert!(found.iter().all(|f| f.start < f.end && f.end <= n_chars && (0.0..=1.0).contains(&f.score)), "{found:?}");
    assert!(found.windows(2).all(|w| w[0].end <= w[1].start), "{found:?}");
}

/// Rights: licences, notices, opt-outs, addresses.
fn must_tell_rights(text: &str) {
    if let Some(found) = license(text) {
        assert!(found.score > 0.0 && found.score <= 1.0, "{found:?}");
        assert_eq!(license_expression(&found.spdx).as_deref(), Some(found.spdx.as_str()), "written in one way");
    }
    for line in text.lines().take(50) {
        if let Some(one) = license_expression(line) {
            assert_eq!(license_expression(&one).as_ref(), Some(&one));
        }
        assert!(LICENSE_CLASSES.contains(&license_class(line)));
        if let Some(domain) = domain(line) {
            assert!(domain.is_ascii() && domain.contains('.') && host(line).is_some_and(|h| h.ends_with(&domain)), "{line}");
        }
        robots_txt_allows(text, line, line);
    }
    let mut notices = copyright_notices(text);
    assert!(notices.iter().all(|n| text.contains(&n.years)), "{notices:?}");
    let n = notices.len();
    notices.sort();
    notices.dedup();
    assert_eq!(notices.len(), n, "each once");
    for source in OPT_OUT_SOURCES {
        assert!(opt_outs(text, source).is_some_and(|all| all.iter().all(|o| o.source == source)));
    }
}

/// Persons and secrets: findings in order, redaction without a trace of them.
fn must_find(text: &str) {
    let found = pii(text);
    must_be_spans(text, &found);
    assert!(found.iter().all(|f| PII_KINDS.contains(&f.kind)));
    must_be_spans(text, &secrets(text));
    let redacted = pii_redact(text);
    assert_eq!(found.is_empty(), redacted == text);
    assert_eq!(pii_redact_kinds(text, |_| false), text);
    profanity(text, "und");
    assert!((0.0..=1.0).contains(&hap_score(text)));
}

/// Categories, quality, digests, resemblance.
fn must_measure(text: &str) {
    let language = detect_language(text);
    assert!((0.0..=1.0).contains(&language.score) && !language.code.is_empty());
    programming_language(text.lines().next().unwrap_or_default(), text);
    for dialect in GOPHER_DIALECTS {
        let judged = gopher_quality(text, dialect).expect("a dialect of it");
        assert_eq!(judged.keep, judged.reason.is_none(), "{dialect:?}");
    }
    for dialect in REPETITION_DIALECTS {
        let judged = gopher_repetition(text, dialect).expect("a dialect of it");
        assert_eq!(judged.keep, judged.reason.is_none(), "{dialect:?}");
    }
    C4_DIALECTS.iter().for_each(|dialect| assert!(c4_quality(text, *dialect).is_ok()));
    quality(text);
    code_quality(text);
    assert_eq!(exact_digest(text).len(), 64);
    assert_eq!(text_digest(text), text_digest(&normalized(text)));
    assert!((0.0..1.0).contains(&hash_share(text)));
    let mut end = 0;
    for word in words(text) {
        assert!(word.start >= end && text.get(word.start..word.end).is_some_and(|w| !w.is_empty()));
        end = word.end;
    }
    let half = &text[..text.floor_char_boundary(text.len() / 2)];
    let alike = jaccard(text, half, NGRAM);
    assert_eq!(alike, jaccard(half, text, NGRAM));
    assert!(alike.is_none_or(|j| (0.0..=1.0).contains(&j)));
    assert!(shingles(text, NGRAM).is_sorted());
    if let (Some(a), Some(b)) = (minhash(text, 32, NGRAM).expect("32 values"), minhash(half, 32, NGRAM).expect("32 values")) {
        assert!((0.0..=1.0).contains(&jaccard_estimate(&a, &b).expect("of one length")));
        assert_eq!(minhash_bands(&a, 8, 4).expect("8 × 4").len(), 8);
    }
}

/// Reading: pages, repair, cuts.
fn must_read(text: &str) {
    let page = html_text(text);
    assert!(page.len() <= 4 * text.len() + 64, "{} of {}", page.len(), text.len());
    html_title(text);
    html_metadata(text);
    assert_eq!(script(text).len(), 4);
    clean_text(&fix_mojibake(text));
    assert!(remove_boilerplate(text).len() <= text.len());
    boilerplate(text);
    let kept: usize = paragraphs(text).iter().map(|p| p.len()).sum();
    assert!(kept <= text.len() && sentences(text, None).iter().all(|s| text.contains(*s)));
    let worst = hap(text);
    assert!(worst.start <= worst.end && worst.end <= text.chars().count(), "{worst:?}");
    let mut index = BenchmarkIndex::new(8);
    index.add(text);
    let found: Vec<(usize, usize)> = index.overlaps(text).iter().map(|o| (o.start, o.end)).collect();
    without_spans(text, &found, 3, 5);
}

fn must_answer(text: &str) {
    must_read(text);
    must_tell_rights(text);
    must_find(text);
    must_measure(text);
}

#[test]
fn changed_pages_prose_code_manifests_and_site_files_are_answered() {
    for (name, sound) in [("page", PAGE), ("prose", PROSE), ("code", CODE), ("manifest", MANIFEST), ("site", SITE)] {
        fuzz_slow(&format!("curation, {name}"), sound.as_bytes(), 4, &mut |bytes| must_answer(&String::from_utf8_lossy(bytes)));
    }
}

#[test]
fn short_pieces_repeated_for_long_are_answered() {
    // Each change draws another piece: rules that look back or ahead meet their own beginnings again and again.
    for (name, sound) in [("page", PAGE), ("prose", PROSE), ("code", CODE), ("site", SITE)] {
        let mut n = 0;
        fuzz_slow(&format!("curation, {name} repeated"), sound.as_bytes(), 20, &mut |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let random = Random::new(n, name);
            n += 1;
            let start = text.floor_char_boundary((random.at(0) % text.len().max(1) as u64) as usize);
            let piece = &text[start..text.floor_char_boundary(start + 1 + (random.at(1) % 24) as usize)];
            must_answer(&piece.repeat(20_000 / piece.len().max(1)));
        });
    }
}

#[test]
fn bytes_that_never_were_text_are_answered() {
    let random = Random::new(1, "curation");
    let bytes: Vec<u8> = (0..600).map(|i| random.at(i) as u8).collect();
    fuzz_slow("curation, random", &bytes, 4, &mut |bytes| must_answer(&String::from_utf8_lossy(bytes)));
}
