//! Scores of `hap`: offensive posts in English and German, and false alarms on books, plays and source code.
//!
//! Each set of posts is cross-validated: posts are judged as `hap_score` judges them, by classifiers that are trained like the embedded one on
//! the other folds. Near-identical posts share a fold.

#[path = "hap/plain.rs"]
mod plain;
#[path = "hap/sets.rs"]
mod sets;

use std::path::Path;

use polder_text::classifier::{Classifier, Evaluation, Features, Learning, Options, fold_of, train};
use polder_text::{HapJudge, hap_features, hap_score};

use crate::Row;
use sets::Post;

const N_FOLDS: usize = 5;
const LABELS: [&str; 2] = ["clean", "offensive"];

/// How the classifier of a language is trained; German posts are few.
fn options(language: &str) -> Options {
    let posts = Options::posts();
    let word_ngrams = if language == "en" { (1, 2) } else { (1, 1) };
    Options {
        features: Features { word_ngrams, ..posts.features },
        features_max: 160_000,
        learning: Learning::Margin { cost: 0.2, by_rarity: false, by_contrast: true },
        ..posts
    }
}

/// Trains on posts and on plain texts.
fn trained(posts: &[&Post], plain: &[String], language: &str) -> Classifier {
    let spelt: Vec<(String, &str, usize)> = posts
        .iter()
        .map(|p| (hap_features(&p.text, language), LABELS[usize::from(p.offensive)], p.times))
        .chain(plain.iter().map(|text| (hap_features(text, language), LABELS[0], 1)))
        .collect();
    let rows: Vec<(&str, &str)> =
        spelt.iter().flat_map(|(text, label, times)| std::iter::repeat_n((text.as_str(), *label), *times)).collect();
    train(&rows, &options(language), std::thread::available_parallelism().map_or(1, usize::from), &mut |_| {})
        .expect("the rows can be learnt")
}

/// Judges every post by a classifier that has not seen its fold.
fn cross_validated(posts: &[Post], plain: &[String], language: &str) -> Evaluation {
    let folds = sets::folds(posts, N_FOLDS);
    let mut verdicts = vec![0; posts.len()];
    for fold in 0..N_FOLDS {
        let others: Vec<&Post> = posts.iter().zip(&folds).filter(|(_, f)| **f != fold).map(|(post, _)| post).collect();
        let classifier = trained(&others, plain, language);
        let judge = HapJudge::of(&classifier, &classifier);
        for i in (0..posts.len()).filter(|i| folds[*i] == fold) {
            verdicts[i] = usize::from(judge.score(&posts[i].text) > 0.5);
        }
    }
    Evaluation::of_pairs(posts.iter().zip(verdicts).map(|(post, verdict)| (LABELS[usize::from(post.offensive)], LABELS[verdict])))
}

pub fn score(data: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    let (english, german) = (plain::english(data), plain::german(data));
    let mut add =
        |what: &str, asked, note: &str, figure: &dyn Fn(&Evaluation) -> f64, posts: Option<Vec<Post>>, plain: &[String], language| {
            let Some(posts) = posts else { return eprintln!("hap: no set for {what}") };
            let evaluation = cross_validated(&posts, plain, language);
            eprintln!("hap: {what}: {:?}", evaluation.confusion);
            let note = format!("{} posts, {N_FOLDS} folds; {note}", posts.len());
            rows.push(Row { what: what.to_owned(), figure: figure(&evaluation), asked: Some(asked), note });
        };
    let of_offensive = |e: &Evaluation| e.labels[1].f1;
    add("hap_davidson, F1 of the offensive class", 0.975, "plain n-gram model 0.973", &of_offensive, sets::davidson(data), &english, "en");
    add("hap_germeval2018, macro F1", 0.75, "plain n-gram model 0.736", &|e| e.macro_f1, sets::germeval(data), &german, "de");
    add(
        "hap_stormfront, macro F1",
        0.76,
        "trained on its own folds only, never embedded",
        &|e| e.macro_f1,
        sets::stormfront(data),
        &[],
        "en",
    );
    for set in ["text_books_en", "text_german_drama", "code_repos", "code_linguist_samples"] {
        rows.extend(false_alarms(data, set));
    }
    rows
}

/// The share of a set's documents that are flagged, among those that the embedded classifier has not been trained on.
fn false_alarms(data: &Path, set: &str) -> Option<Row> {
    let documents = sets::documents(data, set);
    let unseen: Vec<_> = documents.iter().filter(|(_, text)| fold_of(text, plain::ONE_IN) != 0).collect();
    if unseen.is_empty() {
        eprintln!("hap: no set {set}");
        return None;
    }
    let (mut n_flagged, start) = (0, std::time::Instant::now());
    for (name, text) in &unseen {
        let score = hap_score(text);
        if score > 0.5 {
            n_flagged += 1;
            eprintln!("hap: {set}: {score:.2} {name}");
        }
    }
    let megabytes = unseen.iter().map(|(_, text)| text.len()).sum::<usize>() as f64 / 1e6;
    eprintln!("hap: {set}: {:.1} MB/s", megabytes / start.elapsed().as_secs_f64());
    let note = format!("{n_flagged} of {} documents flagged", unseen.len());
    Some(Row { what: format!("{set}, share flagged (at most)"), figure: n_flagged as f64 / unseen.len() as f64, asked: Some(0.01), note })
}

pub fn model(data: &Path) -> Vec<u8> {
    let (Some(english), Some(german)) = (sets::davidson(data), sets::germeval(data)) else {
        panic!("the sets hap_davidson and hap_germeval2018 are needed")
    };
    let mut bytes = Vec::new();
    for (posts, plain, language) in [(english, plain::english(data), "en"), (german, plain::german(data), "de")] {
        let model = trained(&posts.iter().collect::<Vec<_>>(), &plain, language).to_bytes();
        bytes.extend((model.len() as u32).to_le_bytes());
        bytes.extend(model);
    }
    bytes
}
