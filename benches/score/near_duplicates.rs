//! Scores of near duplicates: labelled pairs of news articles, the Declaration of Human Rights from two sources, planted pairs.

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use polder_duplicates::{Document, NearDuplicates, NearOptions};
use polder_text::{N_PERMUTATIONS, NGRAM, jaccard_of_sets, minhash, shingles};

use crate::Row;

pub fn score(data: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    for n in [100, 1000] {
        rows.extend(articles(&data.join("neardup_minhash"), n));
    }
    rows.extend(declarations(&data.join("text_udhr")));
    rows.extend(planted(std::env::var_os("POLDER_SCORE_CORPUS").map(PathBuf::from)));
    rows
}

/// Ids and texts.
type Texts = Vec<(String, String)>;

/// What a search said: the keeper and the most similar document of each duplicate.
struct Said {
    keepers: BTreeMap<String, (String, f64)>,
    matches: BTreeMap<String, (String, f64)>,
}

impl Said {
    fn of(texts: &Texts, jaccard_min: f64) -> Self {
        let search = NearDuplicates::new(NearOptions { jaccard_min, ..NearOptions::default() }).expect("options");
        let mut reader = search.reader();
        for (id, text) in texts {
            reader.add(&Document { id, text, preference: b"" }).expect("read");
        }
        reader.finish().expect("read");
        let found = search.finish().expect("compared");
        let mut said = Self { keepers: BTreeMap::new(), matches: BTreeMap::new() };
        for row in (0..found.len()).map(|i| found.row(i).expect("row")) {
            said.keepers.insert(row.doc_id.to_owned(), (row.dup_of.to_owned(), row.jaccard));
            said.matches.insert(row.doc_id.to_owned(), (row.match_id.to_owned(), row.match_jaccard));
        }
        said
    }

    fn is_one_cluster(&self, a: &str, b: &str) -> bool {
        let keeper = |id| self.keepers.get(id).map_or(id, |(keeper, _)| keeper.as_str());
        keeper(a) == keeper(b)
    }
}

fn share(n: usize, of: usize) -> f64 {
    if of == 0 { 0.0 } else { n as f64 / of as f64 }
}

fn missing(path: &Path) -> Vec<Row> {
    eprintln!("near_duplicates: {} is missing", path.display());
    Vec::new()
}

fn articles(folder: &Path, n: usize) -> Vec<Row> {
    let read = |kind: &str| std::fs::read_to_string(folder.join(format!("articles_{n}.{kind}")));
    let (Ok(train), Ok(truth)) = (read("train"), read("truth")) else { return missing(folder) };
    let texts: Texts = train.lines().filter_map(|line| line.split_once(' ')).map(|(id, text)| (id.to_owned(), text.to_owned())).collect();
    let pairs: Vec<(&str, &str)> = truth.lines().filter_map(|line| line.trim().split_once(' ')).collect();
    let said = Said::of(&texts, 0.5);
    let n_found = pairs.iter().filter(|(a, b)| said.is_one_cluster(a, b)).count();
    let labelled = |a: &str, b: &str| pairs.iter().any(|(x, y)| (*x, *y) == (a, b) || (*x, *y) == (b, a));
    let n_right = said.keepers.iter().filter(|(id, (keeper, _))| labelled(id, keeper)).count();
    let note = format!("{} articles, {} labelled pairs, {} reported, at Jaccard 0.5", texts.len(), pairs.len(), said.keepers.len());
    vec![
        Row { what: format!("{n} articles, recall of pairs"), figure: share(n_found, pairs.len()), asked: Some(1.0), note: note.clone() },
        Row { what: format!("{n} articles, precision of pairs"), figure: share(n_right, said.keepers.len()), asked: Some(1.0), note },
    ]
}

/// The text between tags; enough for pages that hold nothing else.
fn without_tags(html: &str) -> String {
    let body = html.find("<body").map_or(html, |at| &html[at..]);
    body.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text)).collect::<Vec<_>>().join(" ").replace("&#x27;", "'")
}

fn declarations(folder: &Path) -> Vec<Row> {
    let read = |kind: &str, of: fn(&str) -> String| -> Option<Texts> {
        let mut texts = Texts::new();
        let mut paths: Vec<PathBuf> = std::fs::read_dir(folder.join(kind)).ok()?.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            let name = path.file_name()?.to_string_lossy().into_owned();
            texts.push((format!("{kind}/{name}"), of(&String::from_utf8_lossy(&std::fs::read(path).ok()?))));
        }
        Some(texts)
    };
    let (Some(html), Some(txt)) = (read("html", without_tags), read("txt_udhr2", str::to_owned)) else { return missing(folder) };
    let sets = |texts: &Texts| -> Vec<Vec<u64>> { texts.iter().map(|(_, text)| shingles(text, NGRAM)).collect() };
    let (of_html, of_txt) = (sets(&html), sets(&txt));
    let mut pairs = BTreeSet::new();
    for (a, one) in html.iter().zip(&of_html) {
        let alike = txt.iter().zip(&of_txt).filter(|(_, other)| jaccard_of_sets(one, other, 0.8).is_some());
        pairs.extend(alike.map(|(b, _)| (a.0.as_str(), b.0.as_str())));
    }
    let said = Said::of(&html.iter().chain(&txt).cloned().collect(), 0.8);
    let n_found = pairs.iter().filter(|(a, b)| said.is_one_cluster(a, b)).count();
    vec![Row {
        what: "declarations from two sources at Jaccard ≥ 0.8, recall of pairs".into(),
        figure: share(n_found, pairs.len()),
        asked: Some(0.99),
        note: format!("{} and {} texts, {} such pairs by comparing all", html.len(), txt.len(), pairs.len()),
    }]
}

fn planted(folder: Option<PathBuf>) -> Vec<Row> {
    let Some(folder) = folder else {
        eprintln!("near_duplicates: POLDER_SCORE_CORPUS names no corpus with planted pairs");
        return Vec::new();
    };
    let read = |name: &str| std::fs::read_to_string(folder.join(name));
    let (Ok(corpus), Ok(truth)) = (read("corpus.jsonl"), read("truth_pairs.jsonl")) else { return missing(&folder) };
    let rows = |text: &str| -> Vec<serde_json::Value> { text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect() };
    let own = |row: &serde_json::Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let texts: Texts = rows(&corpus).iter().map(|row| (own(row, "id"), own(row, "text"))).collect();
    let truth: Vec<_> =
        rows(&truth).iter().map(|r| (own(r, "a"), own(r, "b"), r["jaccard"].as_f64().unwrap_or_default(), own(r, "kind"))).collect();
    let bytes: usize = texts.iter().map(|(_, text)| text.len()).sum();
    let start = Instant::now();
    texts.iter().for_each(|(_, text)| _ = black_box(minhash(text, N_PERMUTATIONS, NGRAM)));
    let signatures_s = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let said = Said::of(&texts, 0.7);
    let mb = bytes as f64 / 1e6;
    eprintln!(
        "signatures: {:.0} MB/s per core; {mb:.0} MB read by one thread and compared in {:.2} s",
        mb / signatures_s,
        start.elapsed().as_secs_f64()
    );
    let of: BTreeMap<&str, &str> = texts.iter().map(|(id, text)| (id.as_str(), text.as_str())).collect();
    let is_right = |a: &str, b: &str| of[a] == of[b] || polder_text::jaccard(of[a], of[b], NGRAM).is_some_and(|j| j >= 0.7);
    let n_right = |pairs: &BTreeMap<String, (String, f64)>| pairs.iter().filter(|(a, (b, _))| is_right(a, b)).count();
    let recall = |least: f64, kind: &str| {
        let asked: Vec<_> = truth.iter().filter(|t| t.2 >= least && t.3 == kind).collect();
        (share(asked.iter().filter(|t| said.is_one_cluster(&t.0, &t.1)).count(), asked.len()), asked.len())
    };
    let ((at_07, n_07), (at_08, n_08), (exact, n_exact)) = (recall(0.7, "near"), recall(0.8, "near"), recall(0.0, "exact"));
    let n = said.keepers.len();
    let row = |what: &str, figure, asked, note| Row { what: format!("planted pairs, {what}"), figure, asked, note };
    vec![
        row("recall at Jaccard ≥ 0.7", at_07, Some(0.95), format!("{n_07} pairs in {} documents", texts.len())),
        row("recall at Jaccard ≥ 0.8", at_08, None, format!("{n_08} pairs")),
        row("recall of exact copies", exact, None, format!("{n_exact} pairs")),
        row(
            "precision, with the most similar document",
            share(n_right(&said.matches), n),
            Some(0.99),
            format!("{n} duplicates reported at Jaccard 0.7"),
        ),
        row("precision, with the keeper", share(n_right(&said.keepers), n), None, "a chain of pairs may lead to a keeper below 0.7".into()),
    ]
}
