//! Scores of `html_text`: the text it finds against the text that people marked.

use std::collections::HashMap;
use std::hash::Hash;
use std::path::Path;
use std::process::Command;

use polder_text::html_text;

use crate::Row;

pub fn score(data: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    if let Some(pages) = articles(&data.join("web_article_extraction")) {
        let note = format!("{} pages; mean precision and mean recall, as the set's own program takes them", pages.len());
        rows.push(row("web_article_extraction, tokens, F1", Some(0.93), &pages, 1, &note));
        rows.push(row("web_article_extraction, runs of 4 tokens, F1", None, &pages, 4, &note));
    }
    if let Some(pages) = readability(&data.join("web_readability")) {
        let note = format!("{} pages; expected is what Firefox's reader shows", pages.len());
        rows.push(row("web_readability, tokens, F1", None, &pages, 1, &note));
        rows.push(row("web_readability, runs of 4 tokens, F1", None, &pages, 4, &note));
    }
    rows
}

/// A page: its name, what was expected, and what was found.
struct Page {
    name: String,
    expected: String,
    found: String,
}

fn articles(folder: &Path) -> Option<Vec<Page>> {
    let truth = std::fs::read_to_string(folder.join("ground-truth.json"))
        .map_err(|_| eprintln!("html_text: no set at {}", folder.display()))
        .ok()?;
    let truth: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&truth).expect("ground-truth.json is JSON");
    let page = |(name, entry): (&String, &serde_json::Value)| {
        let path = folder.join("html").join(format!("{name}.html.gz"));
        let html = Command::new("gzip").arg("-dc").arg(&path).output().expect("gzip runs").stdout;
        Page {
            name: name.clone(),
            expected: entry["articleBody"].as_str().unwrap_or("").to_owned(),
            found: html_text(&String::from_utf8_lossy(&html)),
        }
    };
    Some(truth.iter().map(page).collect())
}

fn readability(folder: &Path) -> Option<Vec<Page>> {
    let entries = std::fs::read_dir(folder).map_err(|_| eprintln!("html_text: no set at {}", folder.display())).ok()?;
    let mut folders: Vec<_> = entries.flatten().map(|e| e.path()).filter(|p| p.is_dir()).collect();
    folders.sort();
    let page = |folder: &std::path::PathBuf| {
        let read = |name: &str| std::fs::read(folder.join(name)).map(|b| String::from_utf8_lossy(&b).into_owned()).ok();
        let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        Some(Page { name, expected: all_text(&read("expected.html")?), found: html_text(&read("source.html")?) })
    };
    Some(folders.iter().filter_map(page).collect())
}

/// The text of a page of which everything is content: no tags, and the character references that such pages hold.
fn all_text(html: &str) -> String {
    let mut out = String::new();
    for (i, piece) in html.split('<').enumerate() {
        let text = if i == 0 { piece } else { piece.split_once('>').map_or("", |(_, text)| text) };
        out.push(' ');
        out.push_str(text);
    }
    [("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&amp;", "&")]
        .iter()
        .fold(out, |text, (from, to)| text.replace(from, to))
}

fn tokens(text: &str) -> Vec<&str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|t| !t.is_empty()).collect()
}

fn counts<T: Eq + Hash>(items: impl Iterator<Item = T>) -> HashMap<T, f64> {
    let mut counts = HashMap::new();
    items.for_each(|item| *counts.entry(item).or_default() += 1.0);
    counts
}

/// Precision and recall of the runs of `n` tokens; a text shorter than that is one run.
fn rates(expected: &str, found: &str, n: usize) -> (Option<f64>, Option<f64>) {
    let runs = |tokens: &[&str]| counts(tokens.windows(n.min(tokens.len()).max(1)).map(|w| w.join(" ")));
    let (expected, found) = (runs(&tokens(expected)), runs(&tokens(found)));
    let common: f64 = expected.iter().map(|(run, count)| count.min(*found.get(run).unwrap_or(&0.0))).sum();
    let of = |runs: &HashMap<String, f64>| {
        let total: f64 = runs.values().sum();
        (total > 0.0).then(|| common / total)
    };
    (of(&found), of(&expected))
}

fn row(what: &str, asked: Option<f64>, pages: &[Page], n: usize, note: &str) -> Row {
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let rates: Vec<_> = pages.iter().map(|p| rates(&p.expected, &p.found, n)).collect();
    let precision = mean(rates.iter().filter_map(|r| r.0).collect());
    let recall = mean(rates.iter().filter_map(|r| r.1).collect());
    if std::env::var_os("POLDER_SCORE_LIST").is_some() {
        for (page, (p, r)) in pages.iter().zip(&rates) {
            eprintln!("{what}: {} precision {:.3} recall {:.3}", page.name, p.unwrap_or(0.0), r.unwrap_or(0.0));
        }
    }
    let note = format!("{note}; precision {precision:.3}, recall {recall:.3}");
    Row { what: what.to_owned(), figure: 2.0 * precision * recall / (precision + recall), asked, note }
}
