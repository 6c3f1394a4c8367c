//! Scores and the model of `language`.
//!
//! It learns from lingua's test lines (sentences, pairs of words and words of 75 languages), from BIG-bench's `language_identification` (ten
//! sentences each of 1,000 languages, undetermined where they are not among the 75), and from pieces of source code, a label that is no language. All
//! scores of lines are cross-validated: a line is judged by a classifier that has not seen it. The embedded model learns from all lines by
//! the same recipe. The declaration of human rights and Linguist's samples never train.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use polder_text::classifier::{Classifier, Evaluation, Options, fold_of, train};
use polder_text::{LanguageIdentifier, UNDETERMINED, script};

use crate::Row;

/// Parts of the cross-validation.
const N_FOLDS: usize = 5;
/// The scripts that need a classifier.
const SCRIPTS: [&str; 4] = ["Latn", "Cyrl", "Arab", "Deva"];
/// Lines of lingua, and what is asked of their accuracy.
const KINDS: [(&str, Option<f64>); 3] = [("sentences", Some(0.975)), ("word-pairs", None), ("single-words", Some(0.746))];
/// Kinds of lines beside those.
const MANY_LANGUAGES: usize = KINDS.len();
const CODE: usize = KINDS.len() + 1;
/// The label of source code: beside the many languages that are undetermined, code would hardly be noticed.
const SOURCE_CODE: &str = "code";
/// Labels of `code_repos` and of Linguist that may stand for prose.
const PROSE: [&str; 14] = [
    "",
    "AsciiDoc",
    "HTML",
    "Markdown",
    "MediaWiki",
    "Org",
    "RDoc",
    "Rich Text Format",
    "Roff",
    "TeX",
    "Text",
    "Textile",
    "licence text",
    "reStructuredText",
];

struct Line {
    text: String,
    code: String,
    /// Index into [`KINDS`], or one of the kinds beside those.
    kind: usize,
}

/// All lines; none where lingua's are missing.
fn lines(data: &Path) -> Vec<Line> {
    let set = data.join("eval_langid_lingua");
    let Ok(folders) = fs::read_dir(&set) else {
        eprintln!("language: no rows, {} is missing", set.display());
        return Vec::new();
    };
    let codes: BTreeSet<String> = folders.flatten().filter_map(|f| f.file_name().into_string().ok()).filter(|f| f.len() == 2).collect();
    let mut lines = Vec::new();
    for code in &codes {
        for (kind, (name, _)) in KINDS.iter().enumerate() {
            let text = fs::read_to_string(set.join(code).join(format!("{name}.txt"))).unwrap();
            lines.extend(text.lines().filter(|l| !l.trim().is_empty()).map(|l| Line { text: l.to_owned(), code: code.clone(), kind }));
        }
    }
    lines.extend(many_languages(data));
    lines.extend(code_lines(data));
    lines
}

/// The rows of a set of JSON lines; none, said aloud, where it is missing.
fn json_lines(path: &Path) -> Vec<serde_json::Value> {
    let Ok(text) = fs::read_to_string(path) else {
        eprintln!("language: {} is missing", path.display());
        return Vec::new();
    };
    text.lines().map(|row| serde_json::from_str(row).unwrap()).collect()
}

/// Sentences of BIG-bench, as `und` where their language is not among the 75.
fn many_languages(data: &Path) -> Vec<Line> {
    let line = |row: serde_json::Value| {
        let query = row["query"].as_str()?;
        let letter = row["choices"][row["gold"].as_u64()? as usize].as_str()?.to_owned() + ". ";
        let (_, body) = query.split_once("Sentence:")?;
        let text = body.split("\nA. ").next()?.trim().to_owned();
        let name = body.lines().rev().find_map(|l| l.strip_prefix(&letter))?;
        let code = NAMES.iter().find(|(of, _)| *of == name).map_or(UNDETERMINED, |(_, code)| code);
        Some(Line { text, code: code.to_owned(), kind: MANY_LANGUAGES })
    };
    let rows = json_lines(&data.join("bench_gauntlet/language_understanding/bigbench_language_identification.jsonl"));
    rows.into_iter().filter_map(line).filter(|l| !l.code.is_empty()).collect()
}

/// Pieces of source code under permissive licences, by a label that stands for no language: of each file those that are so dense with marks that they hold no prose.
fn code_lines(data: &Path) -> Vec<Line> {
    let mut lines = Vec::new();
    for row in json_lines(&data.join("code_repos/code.jsonl")) {
        let cell = |name: &str| row[name].as_str().unwrap_or("");
        let text = cell("text");
        if !["MIT", "Apache-2.0"].contains(&cell("repo_license")) || PROSE.contains(&cell("label")) {
            continue;
        }
        for part in 0..3 {
            let start = text.floor_char_boundary(part * text.len() / 3);
            let piece = &text[start..text.floor_char_boundary((start + 400).min(text.len()))];
            let n_marks = piece.chars().filter(|c| ";={}<>_&|\\$()[]:".contains(*c)).count();
            if piece.len() > 100 && n_marks * 12 > piece.len() {
                lines.push(Line { text: piece.to_owned(), code: SOURCE_CODE.to_owned(), kind: CODE });
            }
        }
    }
    lines
}

/// BIG-bench's names of languages that the model knows; an empty code is too near to one of them to be called unknown.
const NAMES: [(&str, &str); 68] = [
    ("Afrikaans", "af"),
    ("Albanian", "sq"),
    ("Algerian Arabic", "ar"),
    ("Arabic", "ar"),
    ("Azerbaijani", "az"),
    ("Azeri", "az"),
    ("Basque", "eu"),
    ("Belarusian", "be"),
    ("Bosnian", "bs"),
    ("Bulgarian", "bg"),
    ("Catalan", "ca"),
    ("Central Malay", ""),
    ("Croatian", "hr"),
    ("Czech", "cs"),
    ("Danish", "da"),
    ("Dari Afghanistan", "fa"),
    ("Dutch", "nl"),
    ("Egyptian Arabic", "ar"),
    ("English", "en"),
    ("Esperanto", "eo"),
    ("Estonian", "et"),
    ("Farsi", "fa"),
    ("Filipino", "tl"),
    ("Finnish", "fi"),
    ("French", "fr"),
    ("German", "de"),
    ("Hindi", "hi"),
    ("Hungarian", "hu"),
    ("Icelandic", "is"),
    ("Indonesian", "id"),
    ("Inner Mongolian", ""),
    ("Irish Gaelic", "ga"),
    ("Italian", "it"),
    ("Latin", "la"),
    ("Latvian", "lv"),
    ("Lithuanian", "lt"),
    ("Luganda", "lg"),
    ("Macedonian", "mk"),
    ("Malay", "ms"),
    ("Marathi", "mr"),
    ("Mongolian", "mn"),
    ("Norwegian Bokmal", "nb"),
    ("Nynorsk", "nn"),
    ("Persian", "fa"),
    ("Polish", "pl"),
    ("Portugese", "pt"),
    ("Romanian", "ro"),
    ("Russian", "ru"),
    ("Serbian", "sr"),
    ("Shona", "sn"),
    ("Slovak", "sk"),
    ("Slovenian", "sl"),
    ("Somali", "so"),
    ("Spanish", "es"),
    ("Swahili", "sw"),
    ("Swedish", "sv"),
    ("Tagalog", "tl"),
    ("Tosk Albanian", "sq"),
    ("Tsonga", "ts"),
    ("Tswana", "tn"),
    ("Turkish", "tr"),
    ("Ukrainian", "uk"),
    ("Urdu", "ur"),
    ("Vietnamese", "vi"),
    ("Welsh", "cy"),
    ("Xhosa", "xh"),
    ("Yoruba", "yo"),
    ("Zulu", "zu"),
];

fn learn<'a>(lines: impl Iterator<Item = &'a Line>) -> Classifier {
    let lines = lines.filter(|l| SCRIPTS.contains(&script(&l.text)));
    let words: Vec<(String, &str)> = lines.map(|l| (LanguageIdentifier::words(&l.text), l.code.as_str())).collect();
    let rows: Vec<(&str, &str)> = words.iter().map(|(text, code)| (text.as_str(), *code)).collect();
    train(&rows, &Options::language(), 2, &mut |_| {}).unwrap()
}

pub fn model(data: &Path) -> Vec<u8> {
    learn(lines(data).iter()).to_bytes()
}

pub fn score(data: &Path) -> Vec<Row> {
    let lines = lines(data);
    if lines.is_empty() {
        return Vec::new();
    }
    let mut verdicts = Vec::new();
    for fold in 0..N_FOLDS {
        let identifier = LanguageIdentifier::new(learn(lines.iter().filter(|l| fold_of(&l.text, N_FOLDS) != fold)));
        let judged = lines.iter().filter(|l| fold_of(&l.text, N_FOLDS) == fold);
        verdicts.extend(judged.map(|l| (l, identifier.detect(&l.text).code)));
    }
    let mut rows = Vec::new();
    for (kind, (name, asked)) in KINDS.iter().enumerate() {
        let of_kind = verdicts.iter().filter(|(line, _)| line.kind == kind);
        let evaluation = Evaluation::of_pairs(of_kind.map(|(line, code)| (line.code.as_str(), *code)));
        if kind == 0 {
            print_confusions(&evaluation);
        }
        let note = format!(
            "{} lines of 75 languages, {N_FOLDS}-fold cross-validated; macro F1 {:.4}; lingua, high accuracy: {}",
            evaluation.n_rows,
            evaluation.macro_f1,
            ["0.966", "–", "0.746"][kind]
        );
        rows.push(Row { what: format!("lingua {name}, accuracy"), figure: evaluation.accuracy, asked: *asked, note });
    }
    let unknown: Vec<_> = verdicts
        .iter()
        .filter(|(l, _)| l.kind == MANY_LANGUAGES && l.code == UNDETERMINED && SCRIPTS.contains(&script(&l.text)))
        .map(|(_, code)| *code == UNDETERMINED)
        .collect();
    rows.push(share("BIG-bench, sentences of other languages in these scripts, share `und`", &unknown, None, "5-fold cross-validated"));
    let identifier = LanguageIdentifier::new(learn(lines.iter()));
    rows.push(declarations(data, &identifier));
    rows.push(samples(data, &identifier));
    rows
}

/// What is mistaken for what, most often first.
fn print_confusions(evaluation: &Evaluation) {
    let mut pairs = Vec::new();
    for (has, row) in evaluation.labels.iter().zip(&evaluation.confusion) {
        let wrong = evaluation.labels.iter().zip(row).filter(|(got, n)| got.label != has.label && **n > 0);
        pairs.extend(wrong.map(|(got, n)| (*n, format!("{} as {}", has.label, got.label))));
    }
    pairs.sort_by(|a, b| b.cmp(a));
    eprintln!("language: of sentences {:?} …", &pairs[..pairs.len().min(20)]);
}

fn share(what: &str, right: &[bool], asked: Option<f64>, note: &str) -> Row {
    let n = right.iter().filter(|r| **r).count();
    let figure = n as f64 / right.len().max(1) as f64;
    Row { what: what.to_owned(), figure, asked, note: format!("{n} of {}; {note}", right.len()) }
}

/// The declaration of human rights in the languages and scripts that lingua's lines have, from two sources.
fn declarations(data: &Path, identifier: &LanguageIdentifier) -> Row {
    let set = data.join("text_udhr");
    let index = fs::read_to_string(set.join("index.tsv")).unwrap_or_default();
    let one = |code: &str| if ["bs", "hr", "sr"].contains(&code) { "Serbo-Croatian".to_owned() } else { code.to_owned() };
    let mut right = Vec::new();
    for cells in index.lines().skip(1).map(|row| row.split('\t').collect::<Vec<_>>()) {
        let code = match cells[2].split('-').next().unwrap() {
            "als" => "sq",
            "zlm" => "ms",
            code => code,
        };
        let Ok(sentences) = fs::read_to_string(data.join("eval_langid_lingua").join(code).join("sentences.txt")) else { continue };
        for (folder, ending) in [("html", "html"), ("txt_udhr2", "txt")] {
            let Ok(text) = fs::read_to_string(set.join(folder).join(format!("{}.{ending}", cells[0]))) else { continue };
            let text = if ending == "html" { without_tags(&text) } else { text };
            let written = script(&text);
            if written != script(&sentences) && !(code == "sr" && written == "Latn") {
                continue;
            }
            let found = identifier.detect(&text);
            let is_same = found.code == code || (written == "Latn" && one(code) == one(found.code));
            if !is_same {
                eprintln!("language: {} of {folder}, {}, as {} {:.2}", cells[0], cells[4], found.code, found.score);
            }
            right.push(is_same);
        }
    }
    share("UDHR, documents in the 75 languages, accuracy", &right, Some(0.96), "by a classifier of all lines, none of them from here")
}

fn without_tags(html: &str) -> String {
    html.split('<').map(|piece| piece.split_once('>').map_or(piece, |(_, text)| text)).collect::<Vec<_>>().join(" ")
}

/// Source code has no language, whatever its comments are in.
fn samples(data: &Path, identifier: &LanguageIdentifier) -> Row {
    let rows = json_lines(&data.join("code_linguist_samples/samples.jsonl"));
    let code = rows.iter().filter(|row| !PROSE.contains(&row["label"].as_str().unwrap_or("")));
    let right: Vec<bool> = code.map(|row| identifier.detect(row["text"].as_str().unwrap_or("")).code == UNDETERMINED).collect();
    share("Linguist's samples, documents of programming languages, share `und`", &right, None, "the same classifier; comments can be long")
}
