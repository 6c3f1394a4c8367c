//! Scores of `pii`: per kind on labelled sentences and on planted values, and false alarms on books, drama and code.
//!
//! A labelled span counts as found when a find of its kind overlaps it, a find as right when a labelled span of its kind overlaps it; the
//! exact figure asks for equal borders.

use std::collections::BTreeMap;
use std::path::Path;

use polder_text::pii;
use serde_json::Value;

use crate::Row;

/// Our kinds, what the set calls them, and the F1 that is asked for.
const KINDS: [(&str, &[&str], f64); 6] = [
    ("email", &["EMAIL_ADDRESS"], 0.95),
    ("iban", &["IBAN_CODE"], 0.95),
    ("ip", &["IP_ADDRESS"], 0.95),
    ("us_ssn", &["US_SSN"], 0.95),
    ("card", &["CREDIT_CARD"], 0.92),
    ("phone", &["PHONE_NUMBER"], 0.85),
];

/// Most alarms that are printed, to look at.
const PRINTED_MAX: usize = 400;

type Span = (String, usize, usize);

pub fn score(data: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    for (file, name) in [("synth_dataset_v2.json", "presidio 1,500"), ("generated_small.json", "presidio 100")] {
        let Ok(text) = std::fs::read_to_string(data.join("pii_presidio").join(file)) else {
            eprintln!("pii: no pii_presidio/{file}");
            continue;
        };
        let documents: Vec<Value> = serde_json::from_str(&text).expect("the set is JSON");
        let documents = documents.iter().map(|d| {
            let spans = d["spans"].as_array().into_iter().flatten();
            let gold = spans.map(|s| (string(s, "entity_type"), place(s, "start_position"), place(s, "end_position"))).collect();
            (string(d, "full_text"), gold)
        });
        rows.extend(kinds(name, documents.collect()));
    }
    rows.extend(planted(data));
    for (name, texts) in [
        ("books", folder(&data.join("text_books_en"))),
        ("German drama", folder(&data.join("text_german_drama"))),
        ("code_repos", lines(&data.join("code_repos/code.jsonl"))),
        ("code_linguist_samples", lines(&data.join("code_linguist_samples/samples.jsonl"))),
    ] {
        rows.extend(alarms(name, &texts));
    }
    rows
}

fn string(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn place(value: &Value, key: &str) -> usize {
    value[key].as_u64().unwrap_or_default() as usize
}

/// Values planted in the documents of a corpus, if its folder stands beside the sets.
fn planted(data: &Path) -> Vec<Row> {
    let corpus = data.join("../corpus");
    let (Ok(truth), Ok(text)) =
        (std::fs::read_to_string(corpus.join("truth_pii.jsonl")), std::fs::read_to_string(corpus.join("corpus.jsonl")))
    else {
        eprintln!("pii: no corpus with planted values");
        return Vec::new();
    };
    let mut gold: BTreeMap<String, Vec<Span>> = BTreeMap::new();
    for line in truth.lines() {
        let value: Value = serde_json::from_str(line).expect("the truth is JSON");
        gold.entry(string(&value, "id")).or_default().push((string(&value, "entity"), place(&value, "start"), place(&value, "end")));
    }
    let documents = text.lines().filter_map(|line| {
        let value: Value = serde_json::from_str(line).ok()?;
        let spans = gold.remove(value["id"].as_str()?)?;
        Some((string(&value, "text"), spans))
    });
    // The documents hold real values beside the planted ones, so only what was planted can be counted.
    kinds("planted values", documents.collect()).into_iter().filter(|r| r.what.ends_with("recall")).collect()
}

fn kinds(name: &str, documents: Vec<(String, Vec<Span>)>) -> Vec<Row> {
    let found: Vec<Vec<Span>> = documents
        .iter()
        .map(|(text, _)| {
            let kind = |k: &str| if k.starts_with("ipv") { "ip".to_owned() } else { k.to_owned() };
            pii(text).into_iter().map(|f| (kind(f.kind), f.start, f.end)).collect()
        })
        .collect();
    let mut rows = Vec::new();
    for (kind, names, asked) in KINDS {
        let (mut n_gold, mut n_found, mut hit_gold, mut hit_found, mut exact) = (0, 0, 0, 0, 0);
        for ((text, gold), found) in documents.iter().zip(&found) {
            let gold: Vec<&Span> = gold.iter().filter(|g| names.contains(&g.0.as_str())).collect();
            let found: Vec<&Span> = found.iter().filter(|f| f.0 == kind).collect();
            let overlaps = |a: &Span, b: &Span| a.1 < b.2 && b.1 < a.2;
            n_gold += gold.len();
            n_found += found.len();
            for g in &gold {
                let hit = found.iter().any(|f| overlaps(f, g));
                hit_gold += usize::from(hit);
                exact += usize::from(found.iter().any(|f| (f.1, f.2) == (g.1, g.2)));
                if !hit && std::env::var_os("POLDER_SCORE_PRINT").is_some() {
                    println!("missed {kind}: {:?} in {:?}", cut(text, g.1, g.2), cut(text, g.1.saturating_sub(50), g.2 + 30));
                }
            }
            for f in &found {
                let hit = gold.iter().any(|g| overlaps(f, g));
                hit_found += usize::from(hit);
                if !hit && std::env::var_os("POLDER_SCORE_PRINT").is_some() && !name.starts_with("planted") {
                    println!("wrong {kind}: {:?} in {:?}", cut(text, f.1, f.2), cut(text, f.1.saturating_sub(50), f.2 + 30));
                }
            }
        }
        if n_gold == 0 {
            continue;
        }
        let ratio = |a: usize, b: usize| if b == 0 { 0.0 } else { a as f64 / b as f64 };
        let (precision, recall) = (ratio(hit_found, n_found), ratio(hit_gold, n_gold));
        let f1 = if precision + recall > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 };
        let exact_f1 = ratio(2 * exact, n_gold + n_found);
        let note = format!("{n_gold} labelled, precision {precision:.3}, recall {recall:.3}, exact F1 {exact_f1:.3}");
        rows.push(Row { what: format!("{name}, {kind}, F1"), figure: f1, asked: Some(asked), note: note.clone() });
        rows.push(Row { what: format!("{name}, {kind}, recall"), figure: recall, asked: None, note });
    }
    if name.starts_with("planted") { rows } else { rows.into_iter().filter(|r| r.what.ends_with("F1")).collect() }
}

/// The share of documents with a find, those with a real e-mail address or person's page apart.
fn alarms(name: &str, texts: &[(String, String)]) -> Option<Row> {
    if texts.is_empty() {
        eprintln!("pii: no {name}");
        return None;
    }
    let (mut n, mut n_addressed, mut kinds, mut printed) = (0, 0, BTreeMap::<&str, usize>::new(), 0);
    for (path, text) in texts {
        let found = pii(text);
        let (addresses, others): (Vec<_>, Vec<_>) = found.iter().partition(|f| matches!(f.kind, "email" | "profile_url"));
        n += usize::from(!others.is_empty());
        n_addressed += usize::from(!addresses.is_empty());
        for f in others {
            *kinds.entry(f.kind).or_default() += 1;
            printed += 1;
            if printed <= PRINTED_MAX && std::env::var_os("POLDER_SCORE_PRINT").is_some() {
                println!(
                    "{name} {path}: {} {:?} in {:?}",
                    f.kind,
                    cut(text, f.start, f.end),
                    cut(text, f.start.saturating_sub(50), f.end + 20)
                );
            }
        }
    }
    let note = format!("{} documents; beside them {n_addressed} with e-mail addresses or profiles; kinds {kinds:?}", texts.len());
    Some(Row { what: format!("{name}, documents with a find"), figure: n as f64 / texts.len() as f64, asked: Some(0.01), note })
}

fn cut(text: &str, from: usize, to: usize) -> String {
    text.chars().skip(from).take(to - from).collect()
}

/// The files of a folder: name and text.
pub fn folder(path: &Path) -> Vec<(String, String)> {
    let mut files: Vec<_> =
        std::fs::read_dir(path).into_iter().flatten().flatten().map(|e| e.path()).filter(|p| !p.ends_with("SOURCE.txt")).collect();
    files.sort();
    files.iter().filter_map(|p| Some((p.file_name()?.to_string_lossy().into_owned(), std::fs::read_to_string(p).ok()?))).collect()
}

/// The documents of a file of JSON lines: repository and path, and text.
pub fn lines(path: &Path) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let named = |v: &Value| [string(v, "repo"), string(v, "path")].join("/");
    text.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok()).map(|v| (named(&v), string(&v, "text"))).collect()
}
