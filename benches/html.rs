//! How fast text is taken from web pages and made right, on one core.
//!
//! Pages: `web_readability` below `POLDER_SCORE_DATA`, or else a made page. The functions of plain text run over the pages' text, repeated.
#![allow(clippy::print_stdout, missing_docs)]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use polder_text::{
    NormalForm, clean_text, fix_mojibake, html_metadata, html_text, normalize_text, paragraphs, remove_boilerplate, sentences,
};

fn main() {
    let data = std::env::var_os("POLDER_SCORE_DATA").map(PathBuf::from);
    let mut pages = data.map_or_else(Vec::new, |d| saved(&d.join("web_readability")));
    let from = if pages.is_empty() { "made pages" } else { "web_readability" };
    if pages.is_empty() {
        let item = "<li><a href=\"/a\">A link</a></li>".repeat(40);
        let prose = "<p>The dike holds, and the <b>water</b> stays out of the village &amp; its fields.</p>".repeat(40);
        pages.push(format!("<title>x</title><nav><ul>{item}</ul></nav><article>{prose}</article>").repeat(200));
    }
    let texts: Vec<String> = pages.iter().map(|p| html_text(p)).collect();
    report(from, &pages, &[("html_text", &|t| drop(black_box(html_text(t)))), ("html_metadata", &|t| drop(black_box(html_metadata(t))))]);
    report(
        "their text",
        &texts,
        &[
            ("fix_mojibake", &|t| drop(black_box(fix_mojibake(t)))),
            ("normalize_text", &|t| drop(black_box(normalize_text(t, NormalForm::Nfc)))),
            ("clean_text", &|t| drop(black_box(clean_text(t)))),
            ("remove_boilerplate", &|t| drop(black_box(remove_boilerplate(t)))),
            ("sentences", &|t| drop(black_box(sentences(t, None)))),
            ("paragraphs", &|t| drop(black_box(paragraphs(t)))),
        ],
    );
}

/// A function by its name.
type Named<'a> = (&'a str, &'a dyn Fn(&str));

fn report(from: &str, texts: &[String], functions: &[Named<'_>]) {
    let bytes: usize = texts.iter().map(String::len).sum();
    for (name, run) in functions {
        // The first pass loads lists and pages.
        texts.iter().for_each(|t| run(t));
        let n_passes = (64_000_000 / bytes.max(1)).clamp(1, 200);
        let start = Instant::now();
        (0..n_passes).for_each(|_| texts.iter().for_each(|t| run(t)));
        let rate = (n_passes * bytes) as f64 / 1e6 / start.elapsed().as_secs_f64();
        println!("html: {name} {rate:.0} MB/s per core over {from}, {:.1} MB in {}", bytes as f64 / 1e6, texts.len());
    }
}

fn saved(folder: &Path) -> Vec<String> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path().join("source.html")).collect();
    paths.sort();
    paths.iter().filter_map(|p| std::fs::read(p).ok()).map(|b| String::from_utf8_lossy(&b).into_owned()).collect()
}
