//! Scores and the model of `language`.
//!
//! It learns from lingua's test lines (sentences, pairs of words, words of 75 languages) and from BIG-bench's `language_identification`
//! (ten sentences each of 1,000 languages; those that are not among the 75 are undetermined). Both are cross-validated: a line is judged by a
//! classifier that has not seen it. The embedded model learns from all lines by the same recipe. The declaration of human rights and source
//! code never train.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

use polder_text::classifier::{Classifier, Evaluation, Options, fold_of, train};
use polder_text::{LanguageIdentifier, UNDETERMINED, detect_language, script};

use crate::Row;

/// Parts of the cross-validation.
const N_FOLDS: usize = 5;
/// The scripts that need a classifier.
const SCRIPTS: [&str; 4] = ["Latn", "Cyrl", "Arab", "Deva"];
const KINDS: [&str; 3] = ["sentences", "word-pairs", "single-words"];

struct Line {
    text: String,
    code: String,
    /// Index into [`KINDS`], or one more for a sentence of BIG-bench.
    kind: usize,
}

fn lines(data: &Path) -> Option<Vec<Line>> {
    let set = data.join("eval_langid_lingua");
    let Ok(folders) = fs::read_dir(&set) else {
        eprintln!("language: no rows, {} is missing", set.display());
        return None;
    };
    let mut codes: Vec<String> = folders.flatten().filter_map(|f| f.file_name().into_string().ok()).filter(|f| f.len() == 2).collect();
    codes.sort();
    let mut lines = Vec::new();
    for code in &codes {
        for (kind, name) in KINDS.iter().enumerate() {
            let text = fs::read_to_string(set.join(code).join(format!("{name}.txt"))).unwrap();
            lines.extend(text.lines().filter(|l| !l.trim().is_empty()).map(|l| Line { text: l.to_owned(), code: code.clone(), kind }));
        }
    }
    lines.extend(many_languages(data));
    if std::env::var("CODE").is_ok() {
        lines.extend(code_lines(data));
    }
    Some(lines)
}

/// Sentences of BIG-bench, as `und` where their language is none of those that lingua's lines have in the scripts to learn.
fn many_languages(data: &Path) -> Vec<Line> {
    let set = data.join("bench_gauntlet/language_understanding/bigbench_language_identification.jsonl");
    let Ok(text) = fs::read_to_string(&set) else {
        eprintln!("language: {} is missing", set.display());
        return Vec::new();
    };
    let known: BTreeMap<&str, &str> = NAMES.into_iter().collect();
    let line = |row: &str| {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        let query = row["query"].as_str().unwrap();
        let letter = row["choices"][row["gold"].as_u64().unwrap() as usize].as_str().unwrap().to_owned() + ". ";
        let (_, body) = query.split_once("Sentence:").unwrap();
        let text = body.split("\nA. ").next().unwrap().trim().to_owned();
        let name = body.lines().rev().find_map(|l| l.strip_prefix(&letter)).unwrap();
        let code = known.get(name).copied().unwrap_or(UNDETERMINED);
        Line { text, code: code.to_owned(), kind: KINDS.len() }
    };
    text.lines().map(line).filter(|l| !l.code.is_empty()).collect()
}

/// Pieces of source code, as `und`: of permissive repositories, and of each file those that are dense with marks, so that they hold no prose.
fn code_lines(data: &Path) -> Vec<Line> {
    let Ok(text) = fs::read_to_string(data.join("code_repos/code.jsonl")) else { return Vec::new() };
    let mut lines = Vec::new();
    for row in text.lines() {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        let (label, text) = (row["label"].as_str().unwrap_or(""), row["text"].as_str().unwrap_or(""));
        if !["MIT", "Apache-2.0"].contains(&row["repo_license"].as_str().unwrap_or("")) || NOT_CODE.contains(&label) {
            continue;
        }
        for i in 0..3 {
            let start = text.floor_char_boundary(i * text.len() / 3);
            let piece = &text[start..text.floor_char_boundary((start + 400).min(text.len()))];
            let marks = piece.chars().filter(|c| ";={}<>_&|\\$()[]:".contains(*c)).count();
            if marks * 12 > piece.len() && piece.len() > 100 {
                lines.push(Line { text: piece.to_owned(), code: UNDETERMINED.to_owned(), kind: KINDS.len() + 1 });
            }
        }
    }
    lines
}

const NOT_CODE: [&str; 15] = [
    "Markdown",
    "Text",
    "reStructuredText",
    "AsciiDoc",
    "HTML",
    "Org",
    "TeX",
    "RDoc",
    "Textile",
    "MediaWiki",
    "Wikitext",
    "Roff",
    "Rich Text Format",
    "licence text",
    "",
];

/// BIG-bench's names of languages that the model knows; those with an empty code are too near to one of them to be called unknown.
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

fn options() -> Options {
    let env = |name: &str, default: f64| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default);
    let mut options = Options::language();
    options.epochs = env("EPOCHS", options.epochs as f64) as usize;
    options.lr = env("LR", options.lr as f64) as f32;
    options.decay = env("DECAY", options.decay as f64) as f32;
    options.prune = env("PRUNE", options.prune as f64) as f32;
    options.features_max = env("FEATURES", options.features_max as f64) as usize;
    options.rows_min = env("MIN", options.rows_min as f64) as usize;
    options.features.char_ngrams = (env("NMIN", 1.0) as usize, env("NMAX", 5.0) as usize);
    options.features.across_blanks = env("ACROSS", 0.0) > 0.0;
    if env("TOK", 0.0) > 0.0 {
        options.features.tokens = polder_text::classifier::Tokens::Words;
    }
    if env("CASE", 0.0) > 0.0 {
        options.features.fold_case = false;
    }
    options.balance = env("BALANCE", 0.0) as f32;
    options.features.word_ngrams = (env("WMAX", 1.0).min(1.0) as usize, env("WMAX", 1.0) as usize);
    if env("DAMPED", 0.0) > 0.0 {
        options.features.counting = polder_text::classifier::Counting::Damped;
    }
    options
}

fn learn<'a>(lines: impl Iterator<Item = &'a Line>) -> Classifier {
    let raw = std::env::var("RAW").is_ok();
    let words: Vec<(String, &str)> = lines
        .filter(|l| SCRIPTS.contains(&script(&l.text)))
        .filter(|l| std::env::var("NOWORDS").is_err() || l.kind != 2)
        .map(|l| (if raw { l.text.clone() } else { LanguageIdentifier::words(&l.text) }, l.code.as_str()))
        .collect();
    let rows: Vec<(&str, &str)> = words.iter().map(|(text, code)| (text.as_str(), *code)).collect();
    let start = Instant::now();
    let classifier = train(&rows, &options(), 2, &mut |_| {}).unwrap();
    eprintln!("language: {} rows in {:.1} s", rows.len(), start.elapsed().as_secs_f64());
    classifier
}

pub fn model(data: &Path) -> Vec<u8> {
    lines(data).map(|lines| learn(lines.iter()).to_bytes()).unwrap_or_default()
}

pub fn score(data: &Path) -> Vec<Row> {
    let Some(lines) = lines(data) else { return Vec::new() };
    let mut rows = Vec::new();
    let n_folds = std::env::var("FOLDS").ok().and_then(|v| v.parse().ok()).unwrap_or(N_FOLDS);
    let folds: usize = std::env::var("ONLY").ok().and_then(|v| v.parse().ok()).unwrap_or(n_folds);
    let mut verdicts = Vec::new();
    let mut last = None;
    for fold in 0..folds {
        let classifier = learn(lines.iter().filter(|l| fold_of(&l.text, n_folds) != fold));
        let n = classifier.to_bytes().len();
        let identifier = LanguageIdentifier::new(classifier);
        let judged: Vec<_> = lines.iter().filter(|l| fold_of(&l.text, n_folds) == fold).collect();
        for (kind, _) in KINDS.iter().enumerate() {
            let of_kind: Vec<_> = judged.iter().filter(|l| l.kind == kind).collect();
            let t = Instant::now();
            of_kind.iter().for_each(|l| {
                std::hint::black_box(identifier.detect(&l.text));
            });
            eprintln!(
                "{} {:.1} MB/s, {n} bytes",
                KINDS[kind],
                of_kind.iter().map(|l| l.text.len()).sum::<usize>() as f64 / 1e6 / t.elapsed().as_secs_f64()
            );
        }
        verdicts.extend(judged.iter().map(|l| (*l, identifier.detect(&l.text))));
        last = Some(identifier);
    }
    let asked = [Some(0.975), None, Some(0.746)];
    for (kind, name) in KINDS.iter().enumerate() {
        let of_kind = verdicts.iter().filter(|(line, _)| line.kind == kind);
        let evaluation = Evaluation::of_pairs(of_kind.map(|(line, found)| (line.code.as_str(), found.code)));
        if kind == 0 {
            let e = &evaluation;
            let mut w: Vec<_> = (0..e.labels.len())
                .flat_map(|i| (0..e.labels.len()).filter(move |j| *j != i).map(move |j| (i, j)))
                .map(|(i, j)| (e.confusion[i][j], e.labels[i].label.clone(), e.labels[j].label.clone()))
                .collect();
            w.sort();
            w.reverse();
            eprintln!("{:?}", &w[..16]);
        }
        let und: usize =
            evaluation.labels.iter().position(|l| l.label == "und").map_or(0, |i| evaluation.confusion.iter().map(|r| r[i]).sum());
        eprintln!(
            "{name}: {und} und, {:.4} without",
            verdicts.iter().filter(|(l, f)| l.kind == kind && l.code == f.code).count() as f64 / (evaluation.n_rows - und) as f64
        );
        let note =
            format!("{} lines of 75 languages, {n_folds}-fold cross-validated; macro F1 {:.4}", evaluation.n_rows, evaluation.macro_f1);
        rows.push(Row { what: format!("lingua {name}, accuracy"), figure: evaluation.accuracy, asked: asked[kind], note });
    }
    let unknown =
        verdicts.iter().filter(|(line, _)| line.code == UNDETERMINED && line.kind == KINDS.len() && SCRIPTS.contains(&script(&line.text)));
    let (n, und) = unknown.fold((0, 0), |(n, und), (_, found)| (n + 1, und + usize::from(found.code == UNDETERMINED)));
    rows.push(share("BIG-bench sentences of languages without a name here, share that is `und`", und, n, None));
    let identifier = last.unwrap();
    rows.extend(declarations(data, &identifier));
    rows.extend(code(data, &identifier));
    rows
}

fn share(what: &str, part: usize, whole: usize, asked: Option<f64>) -> Row {
    Row { what: what.to_owned(), figure: part as f64 / whole.max(1) as f64, asked, note: format!("{part} of {whole}") }
}

/// The declaration of human rights, in the languages and scripts that lingua's lines have.
fn declarations(data: &Path, identifier: &LanguageIdentifier) -> Vec<Row> {
    let set = data.join("text_udhr");
    let Ok(index) = fs::read_to_string(set.join("index.tsv")) else { return Vec::new() };
    let (mut n, mut right) = (0, 0);
    let serbo_croatian = |code: &str| ["bs", "hr", "sr"].contains(&code);
    for row in index.lines().skip(1) {
        let cells: Vec<&str> = row.split('\t').collect();
        let code = match cells[2].split('-').next().unwrap() {
            "als" => "sq",
            "zlm" => "ms",
            code => code,
        };
        if code.len() != 2 || !data.join("eval_langid_lingua").join(code).exists() {
            continue;
        }
        for (folder, ending) in [("html", "html"), ("txt_udhr2", "txt")] {
            let Ok(text) = fs::read_to_string(set.join(folder).join(format!("{}.{ending}", cells[0]))) else { continue };
            let text = if ending == "html" { without_tags(&text) } else { text };
            let written = script(&text);
            let held = match code {
                "ar" | "fa" | "ur" => "Arab",
                "be" | "bg" | "kk" | "mk" | "mn" | "ru" | "uk" => "Cyrl",
                "bs" | "hr" => "Latn",
                "sr" => written,
                "hi" | "mr" => "Deva",
                "el" => "Grek",
                "he" => "Hebr",
                "hy" => "Armn",
                "ja" => "Jpan",
                "ka" => "Geor",
                "ko" => "Hang",
                "zh" => "Hani",
                "th" => "Thai",
                "ta" => "Taml",
                "te" => "Telu",
                "bn" => "Beng",
                "gu" => "Gujr",
                "pa" => "Guru",
                _ => "Latn",
            };
            if written != held {
                continue;
            }
            let found = identifier.detect(&text);
            n += 1;
            let same = found.code == code || (written == "Latn" && serbo_croatian(code) && serbo_croatian(found.code));
            right += usize::from(same);
            if !same {
                eprintln!("UDHR {} {}: {found:?}", cells[0], cells[4]);
            }
        }
    }
    vec![share("UDHR documents of the 75 languages, accuracy", right, n, Some(0.96))]
}

fn without_tags(html: &str) -> String {
    html.split('<').map(|piece| piece.split_once('>').map_or(piece, |(_, text)| text)).collect::<Vec<_>>().join(" ")
}

fn code(data: &Path, identifier: &LanguageIdentifier) -> Vec<Row> {
    let mut rows = Vec::new();
    for (set, file) in [("code_repos", "code.jsonl"), ("code_linguist_samples", "samples.jsonl")] {
        let Ok(text) = fs::read_to_string(data.join(set).join(file)) else { continue };
        let (mut n, mut found) = (0, 0);
        let mut labels: BTreeMap<(String, &str), usize> = BTreeMap::new();
        for row in text.lines() {
            let row: serde_json::Value = serde_json::from_str(row).unwrap();
            let (label, text) = (row["label"].as_str().unwrap_or("").to_owned(), row["text"].as_str().unwrap_or(""));
            if [
                "Markdown",
                "Text",
                "reStructuredText",
                "AsciiDoc",
                "HTML",
                "Org",
                "TeX",
                "RDoc",
                "Textile",
                "MediaWiki",
                "Wikitext",
                "Roff",
                "Rich Text Format",
                "",
            ]
            .contains(&label.as_str())
            {
                continue;
            }
            n += 1;
            let code = identifier.detect(text).code;
            if code != UNDETERMINED {
                found += 1;
                *labels.entry((label, code)).or_default() += 1;
            }
        }
        let mut w: Vec<_> = labels.into_iter().map(|(k, v)| (v, k)).collect();
        w.sort();
        w.reverse();
        eprintln!("{:?}", &w[..w.len().min(30)]);
        rows.push(share(&format!("{set}, documents of programming languages that get a language"), found, n, None));
    }
    let _ = detect_language;
    rows
}
