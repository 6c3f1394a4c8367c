//! How fast classifiers learn and judge: pieces of about 300 bytes of the sources that cargo has downloaded, labelled by their file's ending.
//!
//! Prints a line for each number of labels and threads: rows, seconds of training, accuracy on one row in ten that was held out, bytes of the
//! classifier, and MB/s of judging on one thread.
#![allow(clippy::print_stdout, clippy::expect_used, missing_docs)]

use std::path::{Path, PathBuf};
use std::time::Instant;

use polder_text::classifier::{Options, evaluate, split, train};

const N_ROWS: usize = 100_000;
const ROW_BYTES: usize = 300;

fn main() {
    let rows = rows();
    let endings = ["rs", "md", "c", "h", "toml", "txt", "py", "json", "html", "yml"];
    let is_prose = |ending: &str| if ["md", "txt"].contains(&ending) { "prose" } else { "code" };
    let many: Vec<(&str, &str)> = rows.iter().map(|(text, ending)| (text.as_str(), endings[*ending])).collect();
    let two: Vec<(&str, &str)> = many.iter().map(|(text, ending)| (*text, is_prose(ending))).collect();
    for (what, rows, options) in [("prose, 2 labels", &two, Options::prose()), ("code, 10 labels", &many, Options::code())] {
        let (learnt, held_out) = split(rows, 10);
        for n_threads in [1, 2] {
            let start = Instant::now();
            let classifier = train(&learnt, &options, n_threads, &mut |_| {}).expect("rows have labels");
            let seconds = start.elapsed().as_secs_f64();
            let start = Instant::now();
            let evaluation = evaluate(&classifier, &held_out);
            let bytes: usize = held_out.iter().map(|(text, _)| text.len()).sum();
            println!(
                "classifier, {what}: {} rows in {seconds:.1} s on {n_threads} threads; accuracy {:.3} on {}; {} bytes; judges {:.1} MB/s",
                learnt.len(),
                evaluation.accuracy,
                held_out.len(),
                classifier.to_bytes().len(),
                bytes as f64 / 1e6 / start.elapsed().as_secs_f64()
            );
        }
    }
}

/// Pieces of files, with the index of their ending; every ending in turn, as long as it has any.
fn rows() -> Vec<(String, usize)> {
    let endings = ["rs", "md", "c", "h", "toml", "txt", "py", "json", "html", "yml"];
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| std::env::var_os("HOME").map(|h| Path::new(&h).join(".cargo")));
    let mut folders = vec![home.expect("CARGO_HOME or HOME is set").join("registry/src")];
    let mut of_ending: Vec<Vec<String>> = vec![Vec::new(); endings.len()];
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<PathBuf> = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let Some(ending) = endings.iter().position(|e| path.extension().is_some_and(|x| x == *e)) else { continue };
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            // Of a large file, as much as of a small one: no row is like all others.
            for i in 0..(text.len() / ROW_BYTES).min(20) {
                let start = text.floor_char_boundary(i * ROW_BYTES);
                of_ending[ending].push(text[start..text.floor_char_boundary(start + ROW_BYTES)].to_owned());
            }
        }
    }
    let longest = of_ending.iter().map(Vec::len).max().unwrap_or(0);
    let mut rows = Vec::new();
    for i in 0..longest {
        for (ending, pieces) in of_ending.iter().enumerate() {
            if let Some(piece) = pieces.get(i).filter(|_| rows.len() < N_ROWS) {
                rows.push((piece.clone(), ending));
            }
        }
    }
    rows
}
