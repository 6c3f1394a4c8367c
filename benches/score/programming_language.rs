//! Scores of `programming_language`: on Linguist's samples, each by a classifier that hasn't seen it, and on whole repositories.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use polder_text::classifier::{Classifier, Features, Learning, Options, fold_of, train};
use polder_text::{classifier_text, programming_language, programming_language_by, programming_language_type};
use serde_json::Value;

use crate::Row;

/// Parts of the samples; each is scored by a classifier trained on the others.
const FOLDS: usize = 5;

/// Programming languages by the number of people who pushed them from the United States in 2023 Q2, most first: the first 60 of the
/// GitHub Innovation Graph's table.
const MOST_USED: [&str; 60] = [
    "JavaScript",
    "Python",
    "Shell",
    "Dockerfile",
    "TypeScript",
    "Makefile",
    "Java",
    "C++",
    "C",
    "Ruby",
    "C#",
    "Batchfile",
    "CMake",
    "Go",
    "PowerShell",
    "PHP",
    "R",
    "Rust",
    "Lua",
    "Perl",
    "Assembly",
    "Objective-C",
    "Swift",
    "Kotlin",
    "HCL",
    "Procfile",
    "Vim script",
    "Smarty",
    "HLSL",
    "MATLAB",
    "Nix",
    "ShaderLab",
    "GLSL",
    "XSLT",
    "M4",
    "Objective-C++",
    "Starlark",
    "Emacs Lisp",
    "Cuda",
    "PLpgSQL",
    "Cython",
    "Dart",
    "Groovy",
    "Fortran",
    "Awk",
    "Yacc",
    "Hack",
    "Scala",
    "Gherkin",
    "Solidity",
    "Tcl",
    "TSQL",
    "Lex",
    "Mako",
    "sed",
    "Wolfram Language",
    "GDB",
    "Julia",
    "NASL",
    "Haskell",
];

/// Labels of `code_repos` that Linguist calls otherwise; of several names each is right. BMS and IMS have none.
const NAMES: [(&str, &[&str]); 7] = [
    ("COBOL copybook", &["COBOL"]),
    ("CUDA", &["Cuda"]),
    ("C/C++ header", &["C", "C++"]),
    ("licence text", &["Text"]),
    ("XML", &["XML", "Maven POM"]),
    ("BMS", &[]),
    ("IMS", &[]),
];

/// Labels of `code_repos` that are programming languages without doubt.
const CODE: [&str; 6] = ["C", "COBOL", "Go", "Java", "Python", "Rust"];

struct Sample {
    path: String,
    label: String,
    text: String,
}

fn read(file: &Path) -> Option<Vec<Sample>> {
    let Ok(lines) = std::fs::read_to_string(file) else {
        eprintln!("programming_language: skipped, no {}", file.display());
        return None;
    };
    let sample = |line: &str| {
        let row: Value = serde_json::from_str(line).expect("a row is JSON");
        let field = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        // Folders that can't have the names of their languages.
        let label = match field("label").as_str() {
            "Fstar" => "F*".to_owned(),
            "ProC" => "Pro*C".to_owned(),
            label => label.to_owned(),
        };
        Sample { path: field("path"), label, text: field("text") }
    };
    Some(lines.lines().map(sample).collect())
}

fn samples(data: &Path) -> Option<Vec<Sample>> {
    read(&data.join("code_linguist_samples/samples.jsonl"))
}

/// Tokens alone: pieces of them made the model twice as large and no better.
fn options() -> Options {
    let features = Features { char_ngrams: (0, 0), ..Options::code().features };
    Options {
        features,
        features_max: 80_000,
        rows_min: 1,
        epochs: 10,
        learning: Learning::OwnMargin { cost: 3.0 },
        balance: 0.5,
        ..Options::code()
    }
}

fn trained(samples: &[&Sample]) -> Classifier {
    let rows: Vec<(&str, &str)> = samples.iter().map(|s| (classifier_text(&s.text), s.label.as_str())).collect();
    let n_threads = std::thread::available_parallelism().map_or(1, usize::from);
    train(&rows, &options(), n_threads, &mut |_| {}).expect("samples of hundreds of languages can be told apart")
}

/// How many are right, and of how many.
#[derive(Default, Clone, Copy)]
struct Share {
    right: usize,
    all: usize,
}

impl Share {
    fn add(&mut self, right: bool) {
        self.right += usize::from(right);
        self.all += 1;
    }

    fn row(self, what: &str, asked: Option<f64>, note: &str) -> Row {
        let figure = self.right as f64 / self.all.max(1) as f64;
        Row { what: what.to_owned(), figure, asked, note: format!("{} of {}; {note}", self.right, self.all) }
    }
}

pub fn score(data: &Path) -> Vec<Row> {
    let mut rows = samples(data).map(|samples| of_samples(&samples)).unwrap_or_default();
    let files = read(&data.join("code_repos/code.jsonl")).unwrap_or_default();
    if !files.is_empty() {
        rows.extend(of_repositories(&files));
    }
    rows.extend(of_prose_and_code(data, &files));
    rows
}

fn of_samples(samples: &[Sample]) -> Vec<Row> {
    let fold = |sample: &Sample| fold_of(&sample.text, FOLDS);
    let (mut named, mut most_used, mut alone, mut alone_seen, mut wrong) =
        (Share::default(), Share::default(), Share::default(), Share::default(), BTreeMap::new());
    for held_out in 0..FOLDS {
        let learnt: Vec<&Sample> = samples.iter().filter(|s| fold(s) != held_out).collect();
        let mut seen: HashMap<&str, usize> = HashMap::new();
        learnt.iter().for_each(|s| *seen.entry(s.label.as_str()).or_default() += 1);
        let classifier = trained(&learnt);
        for sample in samples.iter().filter(|s| fold(s) == held_out) {
            // The folder's name gives the label away; the file's own name is what a file has.
            let name = sample.path.rsplit('/').next().unwrap_or_default();
            let by_both = programming_language_by(Some(&classifier), name, &sample.text);
            let by_text = programming_language_by(Some(&classifier), "", &sample.text);
            let is_right = |found: Option<&str>| found == Some(sample.label.as_str());
            named.add(is_right(by_both));
            alone.add(is_right(by_text));
            if MOST_USED.contains(&sample.label.as_str()) {
                most_used.add(is_right(by_both));
            }
            if seen.contains_key(sample.label.as_str()) {
                alone_seen.add(is_right(by_text));
            }
            for (how, found) in [("name", by_both), ("text", by_text)] {
                if !is_right(found) {
                    wrong.entry((how, sample.path.as_str())).or_insert(found);
                }
            }
        }
    }
    if std::env::var_os("POLDER_SCORE_ERRORS").is_some() {
        wrong.iter().for_each(|((how, path), found)| eprintln!("{how}: {path} taken for {found:?}"));
    }
    vec![
        named.row("Linguist samples by name and text, accuracy", Some(0.90), "classifier cross-validated in 5 parts"),
        most_used.row("the 60 most used languages of these, accuracy", Some(0.97), "ranked by the GitHub Innovation Graph"),
        alone_seen.row("by text alone, accuracy", Some(0.70), "samples whose language the other four parts hold"),
        alone.row("by text alone, all samples, accuracy", None, "393 of 760 languages have one sample only"),
    ]
}

fn of_repositories(files: &[Sample]) -> Vec<Row> {
    let (mut all, mut ansible) = (Share::default(), BTreeMap::<(bool, bool), usize>::new());
    for file in files {
        let found = programming_language(&file.path, &file.text);
        let names = NAMES.iter().find(|(label, _)| *label == file.label).map(|(_, names)| *names);
        let is_right = match names {
            Some([]) => found.is_none(),
            Some(names) => found.is_some_and(|f| names.contains(&f)),
            None => found == Some(file.label.as_str()),
        };
        all.add(is_right);
        if ["YAML", "Ansible"].contains(&file.label.as_str()) {
            *ansible.entry((file.label == "Ansible", found == Some("Ansible"))).or_default() += 1;
        }
        if !is_right && std::env::var_os("POLDER_SCORE_ERRORS").is_some() {
            eprintln!("repository: {} of {} taken for {found:?}", file.path, file.label);
        }
    }
    let n = |is: bool, found: bool| ansible.get(&(is, found)).copied().unwrap_or(0);
    let f1 = 2.0 * n(true, true) as f64 / (2 * n(true, true) + n(true, false) + n(false, true)).max(1) as f64;
    let note =
        format!("{} right, {} missed, {} false, of {}", n(true, true), n(true, false), n(false, true), ansible.values().sum::<usize>());
    vec![
        all.row("code_repos by path and text, accuracy", Some(0.98), "13 repositories; BMS and IMS shall have no name"),
        Row { what: "Ansible against other YAML, F1".to_owned(), figure: f1, asked: Some(0.97), note },
    ]
}

/// Prose told from code where there is no name.
fn of_prose_and_code(data: &Path, files: &[Sample]) -> Vec<Row> {
    let is_prose = |text: &str| programming_language("", text).and_then(programming_language_type) == Some("prose");
    let mut rows = Vec::new();
    let mut prose = Share::default();
    for set in ["text_books_en", "text_german_drama", "text_udhr/txt_udhr2"] {
        let Ok(entries) = std::fs::read_dir(data.join(set)) else {
            eprintln!("programming_language: skipped, no {set}");
            continue;
        };
        for path in entries.flatten().map(|e| e.path()).filter(|p| !p.ends_with("SOURCE.txt")) {
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            let is_right = is_prose(&text);
            prose.add(is_right);
            if !is_right && std::env::var_os("POLDER_SCORE_ERRORS").is_some() {
                eprintln!("prose: {} taken for {:?}", path.display(), programming_language("", &text));
            }
        }
    }
    if prose.all > 0 {
        rows.push(prose.row("books, plays and declarations without a name taken for prose", None, "English, German, 400 languages"));
    }
    let mut code = Share::default();
    for file in files.iter().filter(|f| CODE.contains(&f.label.as_str()) && !f.text.trim().is_empty()) {
        let is_right = !is_prose(&file.text);
        code.add(is_right);
        if !is_right && std::env::var_os("POLDER_SCORE_ERRORS").is_some() {
            eprintln!("code: {} taken for {:?}", file.path, programming_language("", &file.text));
        }
    }
    if code.all > 0 {
        rows.push(code.row("code of code_repos without a name not taken for prose", None, "C, COBOL, Go, Java, Python, Rust"));
    }
    rows
}

pub fn model(data: &Path) -> Vec<u8> {
    let samples = samples(data).unwrap_or_default();
    trained(&samples.iter().collect::<Vec<_>>()).to_bytes()
}
