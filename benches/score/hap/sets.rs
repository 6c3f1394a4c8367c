//! The labelled sets, texts that are taken to offend nobody, and folds that keep near-identical posts together.

use std::collections::HashMap;
use std::path::Path;

use polder_text::classifier::fold_of;
use polder_text::shingles;

/// A post and whether it offends; how often it is trained on.
pub struct Post {
    pub text: String,
    pub offensive: bool,
    pub times: usize,
}

/// Tweets of which up to nine people said whether they hold hate, offend or do neither. Those that they agree on are trained on more often.
pub fn davidson(data: &Path) -> Option<Vec<Post>> {
    let file = std::fs::read_to_string(data.join("hap_davidson/labeled_data.csv")).ok()?;
    let post = |fields: Vec<String>| -> Option<Post> {
        let count = |i: usize| fields.get(i)?.parse::<f64>().ok();
        let offended = (count(2)? + count(3)?) / count(1)?;
        let times = if (0.12..0.88).contains(&offended) { 1 } else { 3 };
        Some(Post { offensive: fields.get(5)? != "2", text: fields.get(6)?.clone(), times })
    };
    Some(csv(&file).into_iter().skip(1).filter_map(post).collect())
}

/// Tweets of which a third offends: those are trained on twice.
pub fn germeval(data: &Path) -> Option<Vec<Post>> {
    let file = std::fs::read_to_string(data.join("hap_germeval2018/germeval2018.training.txt")).ok()?;
    let post = |line: &str| {
        let (text, labels) = line.split_once('\t')?;
        let offensive = labels.starts_with("OFFENSE");
        Some(Post { text: text.replace("|LBR|", " "), offensive, times: if offensive { 2 } else { 1 } })
    };
    Some(file.lines().filter_map(post).collect())
}

pub fn stormfront(data: &Path) -> Option<Vec<Post>> {
    let rows = json_lines(&data.join("hap_stormfront/train.jsonl"))?;
    Some(rows.into_iter().map(|(label, text)| Post { text, offensive: label == "hate", times: 1 }).collect())
}

/// The documents of a set that are scored for false alarms: (name, text).
pub fn documents(data: &Path, set: &str) -> Vec<(String, String)> {
    let folder = data.join(set);
    let file = if set == "code_repos" { "code.jsonl" } else { "samples.jsonl" };
    if let Some(rows) = json_lines(&folder.join(file)) {
        return rows.into_iter().enumerate().map(|(i, (label, text))| (format!("{i} {label}"), text)).collect();
    }
    let mut paths: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    paths.sort();
    let name = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let read = |path: &Path| Some((name(path), std::fs::read_to_string(path).ok()?));
    paths.iter().filter(|p| !p.ends_with("SOURCE.txt")).filter_map(|p| read(p)).collect()
}

/// Label and text of each line; behind the label stands the licence where a line names one.
fn json_lines(path: &Path) -> Option<Vec<(String, String)>> {
    let file = std::fs::read_to_string(path).ok()?;
    let row = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).ok()?;
        let name = |key: &str| value[key].as_str().unwrap_or_default();
        Some((format!("{} {}", name("label"), name("repo_license")).trim().to_owned(), value["text"].as_str()?.to_owned()))
    };
    Some(file.lines().filter_map(row).collect())
}

/// Rows of a CSV file; fields may be quoted, and then hold line ends.
fn csv(file: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = file.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                field.push('"');
                chars.next();
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut field)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut field).trim_end_matches('\r').to_owned());
                rows.push(std::mem::take(&mut row));
            }
            _ => field.push(c),
        }
    }
    rows
}

/// Which fold each post is in. Posts that share half of their triples of words are in the same one.
pub fn folds(posts: &[Post], n_folds: usize) -> Vec<usize> {
    let bare = |text: &str| {
        let words = text.split_whitespace().filter(|w| !w.starts_with('@') && !w.contains("://") && !w.starts_with("RT"));
        words.collect::<Vec<_>>().join(" ")
    };
    let sets: Vec<Vec<u64>> = posts.iter().map(|p| shingles(&bare(&p.text), 3)).collect();
    let mut having: HashMap<u64, Vec<usize>> = HashMap::new();
    sets.iter().enumerate().for_each(|(i, set)| set.iter().for_each(|s| having.entry(*s).or_default().push(i)));
    let mut leaders: Vec<usize> = (0..posts.len()).collect();
    for (i, set) in sets.iter().enumerate() {
        let mut shared: HashMap<usize, usize> = HashMap::new();
        for other in set.iter().filter(|s| having[s].len() <= 200).flat_map(|s| &having[s]).filter(|other| **other < i) {
            *shared.entry(*other).or_default() += 1;
        }
        for (other, n) in shared {
            if 3 * n >= set.len() + sets[other].len() {
                let (a, b) = (leader(&mut leaders, i), leader(&mut leaders, other));
                leaders[a.max(b)] = a.min(b);
            }
        }
    }
    (0..posts.len()).map(|i| fold_of(&posts[leader(&mut leaders, i)].text, n_folds)).collect()
}

fn leader(leaders: &mut [usize], mut i: usize) -> usize {
    while leaders[i] != i {
        leaders[i] = leaders[leaders[i]];
        i = leaders[i];
    }
    i
}
