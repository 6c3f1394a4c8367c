//! What each document costs in the standard pipeline: the functions that `sql/10_stage` to `sql/30_dedup` call, one after the other, on
//! what the ones before left of it.

use std::hint::black_box;
use std::path::Path;

use polder_text::{
    Dialect, N_PERMUTATIONS, NGRAM, clean_text, code_quality, detect_language, domain, fix_mojibake, gopher_quality, gopher_repetition,
    hap_score, html_text, license, license_class, minhash, opt_outs, pii, pii_redact_kinds, programming_language,
    programming_language_type, script, secrets, set_digest, shingles_into, short_hashes, sketch_into, text_digest,
};

use crate::sources::{Document, documents, files, seconds};

/// Kinds of personal data that code and data lose.
const KINDS: [&str; 8] = ["email", "phone", "card", "iban", "ipv4", "us_ssn", "crypto_wallet", "url_credentials"];

/// Passes over the documents: what runs beside them takes the caches, so the best of several counts.
const N_PASSES: usize = 3;

/// Seconds that a function took, and of how many documents.
#[derive(Default)]
struct Table(Vec<(&'static str, f64, usize)>);

impl Table {
    fn row<T>(&mut self, name: &'static str, over: impl Iterator<Item = T>, mut run: impl FnMut(T)) {
        let (start, mut n) = (seconds(), 0);
        over.for_each(|item| {
            run(item);
            n += 1;
        });
        let seconds = seconds() - start;
        match self.0.iter_mut().find(|row| row.0 == name) {
            Some(row) => row.1 = row.1.min(seconds),
            None => self.0.push((name, seconds, n)),
        }
    }

    fn print(&mut self, n_documents: usize, bytes: usize) {
        let all: f64 = self.0.iter().map(|(_, s, _)| s).sum();
        self.0.sort_by(|a, b| b.1.total_cmp(&a.1));
        println!("pipeline: {:.1} MB/s per core over {:.1} MB in {n_documents} documents", bytes as f64 / 1e6 / all, bytes as f64 / 1e6);
        for (name, seconds, n) in &self.0 {
            let each = seconds * 1e6 / n_documents as f64;
            println!("{name:<24} {each:8.1} µs a document {:5.1} % · called {n} times", 100.0 * seconds / all);
        }
    }
}

/// A document between two steps.
struct Staged {
    path: String,
    text: String,
    is_page: bool,
    is_prose: bool,
    license: Option<String>,
}

pub fn measure() {
    let all = std::env::var_os("POLDER_CURATION_DOCUMENTS").map_or_else(files, |file| documents(Path::new(&file)));
    let (n, bytes) = (all.len(), all.iter().map(|d| d.text.len()).sum());
    // The first documents load lists and models.
    pass(&mut Table::default(), all.iter().take(n / 20).map(staged).collect());
    let mut table = Table::default();
    for _ in 0..N_PASSES {
        pass(&mut table, all.iter().map(staged).collect());
    }
    table.print(n, bytes);
}

fn staged(document: &Document) -> Staged {
    // As ingest takes it: a page by what it is, not by its name alone, since the text of a page may stand under its name too.
    let head = document.text.get(..document.text.floor_char_boundary(1000)).unwrap_or_default().to_ascii_lowercase();
    let is_page = head.contains("<html") || head.contains("<!doctype html");
    Staged { path: document.path.clone(), text: document.text.clone(), is_page, is_prose: false, license: None }
}

/// All documents through one function after the other.
fn pass(table: &mut Table, mut all: Vec<Staged>) {
    table.row("opt_outs", all.iter().filter(|d| d.is_page), |d| drop(black_box(opt_outs(&d.text, "html"))));
    table.row("license", all.iter_mut(), |d| d.license = license(&d.text).map(|l| l.spdx));
    table.row("license_class", all.iter().filter_map(|d| d.license.as_ref()), |l| _ = black_box(license_class(l)));
    table.row("domain", all.iter(), |d| drop(black_box(domain(&d.path))));
    table.row("programming_language", all.iter_mut(), |d| {
        let kind = programming_language(&d.path, &d.text).and_then(programming_language_type);
        d.is_prose = d.is_page || kind.is_none_or(|k| k == "prose");
    });
    table.row("html_text", all.iter_mut().filter(|d| d.is_page), |d| d.text = html_text(&d.text));
    table.row("fix_mojibake", all.iter_mut().filter(|d| d.is_prose), |d| d.text = fix_mojibake(&d.text));
    table.row("clean_text", all.iter_mut().filter(|d| d.is_prose), |d| d.text = clean_text(&d.text));
    table.row("language", all.iter(), |d| _ = black_box(detect_language(&d.text)));
    table.row("script", all.iter(), |d| _ = black_box(script(&d.text)));
    table.row("hap_score", all.iter(), |d| _ = black_box(hap_score(&d.text)));
    let prose = || all.iter().filter(|d| d.is_prose);
    table.row("gopher_quality", prose(), |d| _ = black_box(gopher_quality(&d.text, Dialect::Polder)));
    table.row("gopher_repetition", prose(), |d| _ = black_box(gopher_repetition(&d.text, Dialect::Datatrove)));
    table.row("code_quality", all.iter().filter(|d| !d.is_prose), |d| _ = black_box(code_quality(&d.text)));
    table.row("secrets", all.iter(), |d| drop(black_box(secrets(&d.text))));
    table.row("pii", all.iter(), |d| drop(black_box(pii(&d.text))));
    table.row("pii_redact", all.iter_mut(), |d| {
        let is_prose = d.is_prose;
        d.text = pii_redact_kinds(&d.text, |kind| is_prose || KINDS.contains(&kind));
    });
    table.row("text_digest", all.iter(), |d| drop(black_box(text_digest(&d.text))));
    let mut set = Vec::new();
    let mut slots = vec![0; N_PERMUTATIONS];
    table.row("near_duplicates' sets", all.iter(), |d| {
        shingles_into(&d.text, NGRAM, &mut set);
        sketch_into(&set, &mut slots);
        black_box(set_digest(&set));
    });
    table.row("minhash", all.iter(), |d| drop(black_box(minhash(&d.text, N_PERMUTATIONS, NGRAM))));
    table.row("shingle_set", all.iter(), |d| {
        shingles_into(&d.text, NGRAM, &mut set);
        drop(black_box(short_hashes(&set)));
    });
}
