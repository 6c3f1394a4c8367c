//! How fast the curation functions run on one core, over the sources that cargo has downloaded.
//!
//! Prints one line: MB/s for language, hate/abuse/profanity, personal data, Gopher's rules and MinHash together, then for each, and for secrets.
//! `… -- pipeline` prints instead what each function of the standard pipeline takes, over the documents of the JSON lines in
//! `POLDER_CURATION_DOCUMENTS` (fields `text` and `uri`) or over the same sources.
#![allow(clippy::print_stdout, clippy::expect_used, missing_docs)]

#[path = "curation/pipeline.rs"]
mod pipeline;
mod sources;

use std::hint::black_box;
use std::path::Path;

use polder_text::{
    Dialect, N_PERMUTATIONS, NGRAM, NormalForm, clean_text, detect_language, gopher_quality, hap_score, minhash, normalize_text, pii,
    programming_language, secrets, text_digest,
};

fn main() {
    if std::env::args().any(|a| a == "pipeline") {
        pipeline::measure();
        return;
    }
    if std::env::args().any(|a| a == "languages") {
        for _ in 0..5 {
            languages(Path::new(&std::env::var_os("POLDER_SCORE_DATA").expect("POLDER_SCORE_DATA names the labelled sets")));
        }
        return;
    }
    let texts = sources::texts();
    let bytes: usize = texts.iter().map(String::len).sum();
    let programming = |t: &str| {
        let _ = black_box(programming_language("", t));
    };
    let header = |t: &str| {
        let _ = black_box(programming_language("x.h", t));
    };
    let measure = |run: &dyn Fn(&str)| {
        let start = sources::seconds();
        texts.iter().for_each(|t| run(t));
        bytes as f64 / 1e6 / (sources::seconds() - start)
    };
    let language = |t: &str| {
        let _ = black_box(detect_language(t));
    };
    let hap = |t: &str| {
        let _ = black_box(hap_score(t));
    };
    let personal = |t: &str| {
        let _ = black_box(pii(t));
    };
    let credentials = |t: &str| {
        let _ = black_box(secrets(t));
    };
    let gopher = |t: &str| {
        let _ = black_box(gopher_quality(t, Dialect::Datatrove));
    };
    let signature = |t: &str| {
        let _ = black_box(minhash(t, N_PERMUTATIONS, NGRAM));
    };
    // The first pass loads lists and pages.
    measure(&|t| {
        hap(t);
        language(t);
        personal(t);
        credentials(t);
    });
    let together = measure(&|t| {
        language(t);
        hap(t);
        personal(t);
        gopher(t);
        signature(t);
    });
    println!(
        "curation: {together:.0} MB/s per core together (language {:.0}, hap {:.0}, pii {:.0}, secrets {:.0}, gopher {:.0}, minhash {:.0}) over {:.1} MB in {} documents",
        measure(&language),
        measure(&hap),
        measure(&personal),
        measure(&credentials),
        measure(&gopher),
        measure(&signature),
        bytes as f64 / 1e6,
        texts.len()
    );
    measure(&programming);
    println!(
        "programming_language: {:.0} MB/s per core by text alone, {:.0} MB/s where an ending is shared",
        measure(&programming),
        measure(&header)
    );
    if let Some(data) = std::env::var_os("POLDER_SCORE_DATA") {
        languages(Path::new(&data));
    }
}

/// `language` on what is not sampled: labelled sentences, in an order without runs of a language, and paragraphs of about 2,000 bytes.
fn languages(data: &Path) {
    let mut sentences: Vec<String> = Vec::new();
    for folder in std::fs::read_dir(data.join("eval_langid_lingua")).into_iter().flatten().flatten() {
        let text = std::fs::read_to_string(folder.path().join("sentences.txt")).unwrap_or_default();
        sentences.extend(text.lines().map(str::to_owned));
    }
    sentences.sort_by_cached_key(|s| polder_text::exact_digest(s));
    let mut paragraphs: Vec<String> = Vec::new();
    for file in std::fs::read_dir(data.join("text_udhr/txt_udhr2")).into_iter().flatten().flatten() {
        let text = std::fs::read_to_string(file.path()).unwrap_or_default();
        let mut paragraph = String::new();
        for line in text.lines() {
            paragraph.push_str(line);
            paragraph.push('\n');
            if paragraph.len() >= 2000 {
                paragraphs.push(std::mem::take(&mut paragraph));
            }
        }
    }
    let beyond_ascii: Vec<&String> =
        paragraphs.iter().filter(|p| p.chars().filter(|c| !c.is_ascii()).count() * 2 > p.chars().count()).collect();
    let bytes: usize = beyond_ascii.iter().map(|t| t.len()).sum();
    let rate = |run: &dyn Fn(&str) -> String| {
        let start = sources::seconds();
        (0..5).for_each(|_| beyond_ascii.iter().for_each(|t| drop(black_box(run(t)))));
        5.0 * bytes as f64 / 1e6 / (sources::seconds() - start)
    };
    let nfc = |t: &str| normalize_text(t, NormalForm::Nfc);
    rate(&nfc);
    println!(
        "outside ASCII: clean_text {:.0} MB/s per core, NFC {:.0}, NFD {:.0}, text_digest {:.0} over {} paragraphs, {:.1} MB",
        rate(&clean_text),
        rate(&nfc),
        rate(&|t| normalize_text(t, NormalForm::Nfd)),
        rate(&text_digest),
        beyond_ascii.len(),
        bytes as f64 / 1e6
    );
    let documents: Vec<String> = std::env::var_os("POLDER_CURATION_DOCUMENTS")
        .map(|f| sources::documents(Path::new(&f)).into_iter().step_by(16).map(|d| d.text).collect())
        .unwrap_or_default();
    for (what, texts) in [("sentences", sentences), ("paragraphs", paragraphs), ("documents", documents)] {
        let bytes: usize = texts.iter().map(String::len).sum();
        let start = sources::seconds();
        texts.iter().for_each(|t| {
            let _ = black_box(detect_language(t));
        });
        let rate = bytes as f64 / 1e6 / (sources::seconds() - start);
        println!("language: {rate:.1} MB/s per core over {} {what}, {:.1} MB, none sampled", texts.len(), bytes as f64 / 1e6);
    }
}
