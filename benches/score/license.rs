//! Scores of `license` and `copyright_notices`: whole texts as they are and changed, and documents that hold none.

use std::collections::BTreeMap;
use std::path::Path;

use polder_text::{copyright_notices, license};
use serde_json::Value;

use crate::Row;

/// Documents of a set whose wrong answers are printed.
const SHOWN_MAX: usize = 12;

pub fn score(data: &Path) -> Vec<Row> {
    let texts = texts(&data.join("licence_texts"));
    let mut rows = Vec::new();
    if texts.is_empty() {
        eprintln!("license: no licence_texts");
    } else {
        rows.extend(whole_texts(&texts));
    }
    rows.extend(repositories(&data.join("code_repos/code.jsonl")));
    rows.extend(books(data));
    rows
}

/// The texts by identifier, without front matter.
fn texts(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        let Some((head, body)) = text.strip_prefix("---\n").and_then(|t| t.split_once("\n---\n")) else { continue };
        if let Some(spdx) = head.lines().find_map(|l| l.strip_prefix("spdx-id: ")) {
            let gnu = ["GPL-", "LGPL-", "AGPL-", "GFDL-"].iter().any(|g| spdx.starts_with(g));
            found.insert(if gnu { format!("{spdx}-only") } else { spdx.to_string() }, body.to_string());
        }
    }
    found
}

/// A small generator: the same changes in every run.
struct Draws(u64);

impl Draws {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % n.max(1)
    }
}

fn wrapped(text: &str, columns: usize) -> String {
    let mut out = String::new();
    for paragraph in text.split("\n\n") {
        let mut line = 0;
        for word in paragraph.split_whitespace() {
            if line + word.len() > columns {
                out.push('\n');
                line = 0;
            }
            out.push_str(word);
            out.push(' ');
            line += word.len() + 1;
        }
        out.push_str("\n\n");
    }
    out
}

fn commented(text: &str, mark: &str) -> String {
    text.lines().map(|line| format!("{mark} {line}\n")).collect()
}

/// Holders and years filled in, as a copy has them.
fn signed(text: &str, holder: &str, year: &str) -> String {
    let mut text = text.to_string();
    for (from, to) in [
        ("[year]", year),
        ("[yyyy]", year),
        ("[fullname]", holder),
        ("[name of copyright owner]", holder),
        ("[project]", "Dike"),
        ("<year>", year),
        ("<name of author>", holder),
    ] {
        text = text.replace(from, to);
    }
    text
}

/// One word in fifty left out, doubled or replaced.
fn edited(text: &str, draws: &mut Draws) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let mut out = Vec::with_capacity(words.len());
    for word in &words {
        match if draws.below(50) == 0 { draws.below(3) } else { 3 } {
            0 => {}
            1 => out.extend([*word, *word]),
            2 => out.push("polder"),
            _ => out.push(*word),
        }
    }
    out.join(" ")
}

fn readme() -> String {
    (0..50).map(|n| format!("{n}. The dike keeps the water out of the village, and mill number {n} pumps what comes in.\n")).collect()
}

fn whole_texts(texts: &BTreeMap<String, String>) -> Vec<Row> {
    let mut draws = Draws(7);
    type Change<'a> = (&'a str, Box<dyn FnMut(&str) -> String + 'a>);
    let changes: Vec<Change<'_>> = vec![
        ("as they are", Box::new(str::to_string)),
        ("re-wrapped at 60 columns", Box::new(|t| wrapped(t, 60))),
        ("on one line", Box::new(|t| t.split_whitespace().collect::<Vec<_>>().join(" "))),
        ("behind //", Box::new(|t| commented(t, "//"))),
        ("behind *", Box::new(|t| format!("/*\n{}*/\n", commented(&wrapped(t, 70), " *")))),
        ("behind dnl", Box::new(|t| commented(t, "dnl"))),
        ("other holder and year", Box::new(|t| signed(t, "Jane Doe and the Dike Authors <jane@dike.example>", "1999-2026"))),
        ("2 % of words edited", Box::new(move |t| edited(t, &mut draws))),
        ("after 50 lines of a readme", Box::new(|t| format!("{}\n## License\n\n{t}", readme()))),
        ("in upper case", Box::new(str::to_uppercase)),
    ];
    let mut rows = Vec::new();
    let (mut n_all, mut n_right, mut n_named) = (0, 0, 0);
    for (what, mut change) in changes {
        let mut right = 0;
        for (spdx, text) in texts {
            let found = license(&change(text));
            n_named += usize::from(found.is_some());
            let same = found.as_ref().is_some_and(|m| m.spdx == *spdx && m.how == "text");
            right += usize::from(same);
            if !same {
                eprintln!("license: {what}: {spdx} is taken for {found:?}");
            }
        }
        n_all += texts.len();
        n_right += right;
        if what == "as they are" {
            let note =
                format!("{right} of {}; fingerprints are of the SPDX list's texts, of these only for CeCILL 2.1 and LGPL 3.0", texts.len());
            rows.push(Row {
                what: "licence_texts, whole texts named".into(),
                figure: right as f64 / texts.len() as f64,
                asked: Some(1.0),
                note,
            });
        }
    }
    let note = format!(
        "{n_right} of {n_all}: as they are and nine changes (re-wrapped, in comments, other holders, 2 % of words edited, behind a readme …)"
    );
    rows.push(Row { what: "licence_texts and changed, recall".into(), figure: n_right as f64 / n_all as f64, asked: Some(0.95), note });
    let note = format!("{n_right} of {n_named} named");
    rows.push(Row {
        what: "licence_texts and changed, precision".into(),
        figure: n_right as f64 / n_named as f64,
        asked: Some(0.98),
        note,
    });
    rows
}

/// Files that name a licence against the licence of their repository.
fn repositories(path: &Path) -> Vec<Row> {
    let Ok(text) = std::fs::read_to_string(path) else {
        eprintln!("license: no {}", path.display());
        return Vec::new();
    };
    let (mut n_files, mut n_named, mut n_other, mut n_notices) = (0usize, 0usize, 0usize, 0usize);
    for row in text.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok()) {
        let get = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default();
        // A collection of licences and pages about them.
        if get("repo") == "github/choosealicense.com" {
            continue;
        }
        n_files += 1;
        n_notices += usize::from(!copyright_notices(get("text")).is_empty());
        let Some(found) = license(get("text")) else { continue };
        n_named += 1;
        let of = get("repo_license");
        // Of a choice one is enough.
        let same = found.spdx.split(" OR ").any(|one| of.split(" OR ").any(|other| one == other));
        n_other += usize::from(!same);
        if !same && n_other <= 4 * SHOWN_MAX {
            eprintln!("license: {} stands under {of}, {} says {} ({})", get("repo"), get("path"), found.spdx, found.how);
        }
    }
    let note = format!(
        "{} of {n_named} files that name one, of {n_files}; {n_notices} have a copyright notice; what differs are files of others and tests",
        n_named - n_other
    );
    vec![Row {
        what: "code_repos, licence as the repository's".into(),
        figure: (n_named - n_other) as f64 / n_named.max(1) as f64,
        asked: None,
        note,
    }]
}

/// Documents of sets that hold no licence.
fn books(data: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    for set in ["text_books_en", "text_german_drama", "neardup_minhash", "eval_langid_lingua", "text_nltk"] {
        let (mut n_docs, mut n_named, mut folders) = (0usize, 0usize, vec![data.join(set)]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|e| e.path()) {
                if entry.is_dir() {
                    folders.push(entry);
                    continue;
                }
                let own = entry
                    .file_name()
                    .and_then(|n| n.to_str())
                    .is_some_and(|n| n == "SOURCE.txt" || n.to_uppercase().contains("LICENSE") || n.to_uppercase().contains("README"));
                let Ok(text) = std::fs::read_to_string(&entry) else { continue };
                if own {
                    continue;
                }
                n_docs += 1;
                if let Some(found) = license(&text) {
                    n_named += 1;
                    if n_named <= SHOWN_MAX {
                        eprintln!("license: {} says {found:?}", entry.display());
                    }
                }
            }
        }
        if n_docs > 0 {
            let note = format!("{n_named} of {n_docs} files");
            rows.push(Row {
                what: format!("{set}, files said to name a licence"),
                figure: n_named as f64 / n_docs as f64,
                asked: None,
                note,
            });
        }
    }
    rows
}
