//! How fast the quality rules run on one core: the four of FineWeb's pipeline together, and each.
//!
//! `cargo bench --profile release -p polder-text --bench quality` measures over the documents of the JSON lines in
//! `POLDER_QUALITY_DOCUMENTS` (field `text`), or over the sources that cargo has downloaded.
//! `… -- figures` prints the verdicts and figures of each document instead, for `tests/golden/check_quality.py`.
#![allow(clippy::print_stdout, clippy::expect_used, missing_docs)]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use polder_text::{
    C4_DIALECTS, Dialect, GOPHER_DIALECTS, REPETITION_DIALECTS, c4_quality, fineweb_quality, gopher_quality, gopher_repetition, quality,
    refinedweb_quality,
};
use serde_json::{Map, Value, json};

/// Text to measure on: enough to leave the caches, little enough to finish in seconds.
const CORPUS_BYTES: usize = 32 << 20;

fn main() {
    let texts = std::env::var_os("POLDER_QUALITY_DOCUMENTS").map_or_else(sources, |file| documents(Path::new(&file)));
    if std::env::args().any(|a| a == "figures") {
        texts.iter().for_each(|text| println!("{}", figures(text)));
        return;
    }
    let bytes: usize = texts.iter().map(String::len).sum();
    let measure = |run: &dyn Fn(&str)| {
        let start = Instant::now();
        texts.iter().for_each(|t| run(t));
        bytes as f64 / 1e6 / start.elapsed().as_secs_f64()
    };
    let together = |t: &str| {
        let _ = black_box(quality(t));
    };
    let datatrove = Dialect::Datatrove;
    // The first pass loads lists and pages.
    measure(&together);
    println!(
        "quality: {:.0} MB/s per core together (repetition {:.0}, gopher {:.0}, c4 {:.0}, fineweb {:.0}, refinedweb {:.0}) over {:.1} MB in {} documents",
        measure(&together),
        measure(&|t| drop(black_box(gopher_repetition(t, datatrove)))),
        measure(&|t| drop(black_box(gopher_quality(t, datatrove)))),
        measure(&|t| drop(black_box(c4_quality(t, datatrove)))),
        measure(&|t| drop(black_box(fineweb_quality(t, datatrove)))),
        measure(&|t| drop(black_box(refinedweb_quality(t, Dialect::Dclm)))),
        bytes as f64 / 1e6,
        texts.len()
    );
}

/// The verdict of every rule set in every dialect, as `{"RULES/DIALECT": {…}}`.
fn figures(text: &str) -> Value {
    let mut all = Map::new();
    for dialect in GOPHER_DIALECTS {
        let q = gopher_quality(text, dialect).expect("a known dialect");
        let figures = json!({
            "reason": q.reason, "n_words": q.n_words, "mean_word_length": q.mean_word_length, "hash_share": q.hash_share,
            "ellipsis_share": q.ellipsis_share, "symbol_share": q.symbol_share, "bullet_lines_share": q.bullet_lines_share,
            "ellipsis_lines_share": q.ellipsis_lines_share, "alphabetic_share": q.alphabetic_share, "n_stop_words": q.n_stop_words,
        });
        all.insert(format!("gopher_quality/{}", dialect.name()), figures);
    }
    for dialect in REPETITION_DIALECTS {
        let r = gopher_repetition(text, dialect).expect("a known dialect");
        let figures = json!({
            "reason": r.reason, "lines": r.duplicate_lines_share, "paragraphs": r.duplicate_paragraphs_share,
            "line_chars": r.duplicate_line_chars_share, "paragraph_chars": r.duplicate_paragraph_chars_share,
            "top": r.top_ngram_share, "duplicate": r.duplicate_ngram_share,
        });
        all.insert(format!("gopher_repetition/{}", dialect.name()), figures);
    }
    for dialect in C4_DIALECTS {
        let c = c4_quality(text, dialect).expect("a known dialect");
        let figures = json!({ "reason": c.reason, "text": c.text, "n_lines": c.n_lines, "n_sentences": c.n_sentences });
        all.insert(format!("c4_quality/{}", dialect.name()), figures);
    }
    let f = fineweb_quality(text, Dialect::Datatrove).expect("a known dialect");
    let figures = json!({
        "reason": f.reason, "line_punct_ratio": f.line_punct_ratio, "short_line_ratio": f.short_line_ratio, "char_dup_ratio": f.char_dup_ratio,
        "list_ratio": f.list_ratio,
    });
    all.insert("fineweb_quality/datatrove".to_owned(), figures);
    let r = refinedweb_quality(text, Dialect::Dclm).expect("a known dialect");
    let figures = json!({ "reason": r.reason, "text": r.text, "n_words": r.n_words, "removed_words_share": r.removed_words_share });
    all.insert("refinedweb_quality/dclm".to_owned(), figures);
    Value::Object(all)
}

fn documents(file: &Path) -> Vec<String> {
    let lines = std::fs::read_to_string(file).expect("POLDER_QUALITY_DOCUMENTS can be read");
    let text = |line: &str| serde_json::from_str::<Value>(line).ok()?.get("text")?.as_str().map(str::to_owned);
    lines.lines().map(|line| text(line).expect("a line has a text")).collect()
}

fn sources() -> Vec<String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| std::env::var_os("HOME").map(|h| Path::new(&h).join(".cargo")));
    let mut folders = vec![home.expect("CARGO_HOME or HOME is set").join("registry/src")];
    let (mut texts, mut bytes) = (Vec::new(), 0);
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<PathBuf> = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| ["rs", "md", "c", "h", "toml", "txt", "py"].iter().any(|x| e == *x))
                && let Ok(text) = std::fs::read_to_string(&path)
            {
                bytes += text.len();
                texts.push(text);
            }
            if bytes >= CORPUS_BYTES {
                return texts;
            }
        }
    }
    texts
}
