//! How fast the quality rules run on one core: the four of FineWeb's pipeline together, and each.
//!
//! `cargo bench --profile release -p polder-text --bench quality` measures over the documents of the JSON lines in
//! `POLDER_QUALITY_DOCUMENTS` (field `text`), or over the sources that cargo has downloaded.
//! `… -- figures` prints the verdicts and figures of each document instead, for `tests/golden/check_quality.py`.
#![allow(clippy::print_stdout, clippy::expect_used, missing_docs)]

#[path = "score/quality_figures.rs"]
mod quality_figures;

mod sources;

use std::hint::black_box;
use std::path::Path;

use polder_text::{Dialect, c4_quality, fineweb_quality, gopher_quality, gopher_repetition, quality, refinedweb_quality};

fn main() {
    let texts = std::env::var_os("POLDER_QUALITY_DOCUMENTS").map_or_else(sources::texts, |file| texts(Path::new(&file)));
    if std::env::args().any(|a| a == "figures") {
        texts.iter().for_each(|text| println!("{}", quality_figures::figures(text)));
        return;
    }
    let bytes: usize = texts.iter().map(String::len).sum();
    let measure = |run: &dyn Fn(&str)| {
        let start = sources::seconds();
        texts.iter().for_each(|t| run(t));
        bytes as f64 / 1e6 / (sources::seconds() - start)
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

fn texts(file: &Path) -> Vec<String> {
    sources::documents(file).into_iter().map(|d| d.text).collect()
}
