//! Scores of `secrets`: lines of the fixture trees that hold a planted credential, and documents of code and books with a find.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use polder_text::secrets;

use crate::Row;
use crate::pii::{folder, lines};

/// What the fixtures plant: the values that their rules and reports name.
const PLANTED: [&str; 2] = ["AKIALALEMEL33243OLIA", "8ae31cacf141669ddfb5da"];
/// A scanner's own repository: its rules, allow lists and tests are full of what it looks for.
const SCANNER: &str = "gitleaks/";
/// Most alarms that are printed, to look at.
const PRINTED_MAX: usize = 400;

pub fn score(data: &Path) -> Vec<Row> {
    let mut rows = fixtures(&data.join("secrets_gitleaks"));
    for (name, texts) in [
        ("code_repos", lines(&data.join("code_repos/code.jsonl"))),
        ("code_linguist_samples", lines(&data.join("code_linguist_samples/samples.jsonl"))),
        ("books", folder(&data.join("text_books_en"))),
    ] {
        rows.extend(alarms(name, &texts));
    }
    rows
}

fn fixtures(root: &Path) -> Vec<Row> {
    let (mut folders, mut files): (Vec<PathBuf>, Vec<PathBuf>) = (vec![root.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()) {
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    let (mut planted, mut found, mut right, mut n_files) = (0, 0, 0, 0);
    for path in files.iter().filter(|p| !p.ends_with("SOURCE.txt")) {
        let Ok(text) = std::fs::read_to_string(path) else { continue };
        n_files += 1;
        let characters: Vec<char> = text.chars().collect();
        let line_of = |place: usize| characters[..place].iter().filter(|c| **c == '\n').count();
        let mut alarmed: Vec<usize> = secrets(&text).iter().map(|f| line_of(f.start)).collect();
        alarmed.dedup();
        let holds: Vec<bool> = text.lines().map(|l| PLANTED.iter().any(|p| l.contains(p))).collect();
        let is_planted = |line: &usize| holds.get(*line) == Some(&true);
        planted += holds.iter().filter(|h| **h).count();
        found += alarmed.len();
        right += alarmed.iter().filter(|l| is_planted(l)).count();
        for line in alarmed.iter().filter(|l| !is_planted(l)) {
            if std::env::var_os("POLDER_SCORE_PRINT").is_some() {
                println!("wrong secret: {} {:?}", path.display(), text.lines().nth(*line));
            }
        }
    }
    if n_files == 0 {
        eprintln!("secrets: no secrets_gitleaks");
        return Vec::new();
    }
    let note = format!("{planted} lines of {n_files} files hold a planted value, {found} found, {right} of them right");
    vec![
        Row {
            what: "gitleaks fixtures, lines, recall".into(),
            figure: right as f64 / planted as f64,
            asked: Some(0.9),
            note: note.clone(),
        },
        Row { what: "gitleaks fixtures, lines, precision".into(), figure: right as f64 / found as f64, asked: Some(0.8), note },
    ]
}

fn alarms(name: &str, texts: &[(String, String)]) -> Option<Row> {
    if texts.is_empty() {
        eprintln!("secrets: no {name}");
        return None;
    }
    let (mut n, mut n_scanner, mut kinds, mut printed) = (0, 0, BTreeMap::<&str, usize>::new(), 0);
    for (path, text) in texts {
        let found = secrets(text);
        if path.starts_with(SCANNER) {
            n_scanner += usize::from(!found.is_empty());
            continue;
        }
        n += usize::from(!found.is_empty());
        for f in found {
            *kinds.entry(f.kind).or_default() += 1;
            printed += 1;
            if printed <= PRINTED_MAX && std::env::var_os("POLDER_SCORE_PRINT").is_some() {
                let around: String =
                    text.chars().skip(f.start.saturating_sub(40)).take(f.end.min(f.start + 80) - f.start.saturating_sub(40)).collect();
                println!("{name} {path}: {} {around:?}", f.kind);
            }
        }
    }
    Some(Row {
        what: format!("{name}, documents with a find"),
        figure: n as f64 / texts.len() as f64,
        asked: Some(0.01),
        note: format!("{} documents; beside them {n_scanner} of a scanner's own rules and tests; kinds {kinds:?}", texts.len()),
    })
}
