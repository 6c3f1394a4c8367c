//! Figures over models whose probabilities are known.

use super::*;
use polder_base::{Input, Reference, Timestamp, digest_bytes};
use polder_tokenizer::{TrainOptions, WordCounts, train};
use std::error::Error;

use crate::scores::Scores;

/// Every token has probability 1/8, except those of `liked` words, which have 1/2.
struct Toy {
    tokenizer: Tokenizer,
    liked: Vec<u32>,
    context: usize,
}

impl Toy {
    fn new(liked: &str) -> Self {
        let mut counts = WordCounts::new();
        counts.add("one two three four five six seven one two three");
        let options = TrainOptions { vocab_size: 290, special_tokens: vec![END_OF_TEXT.into()], min_count: 1, ..TrainOptions::default() };
        let tokenizer = train(&counts, &options, &mut |_, _| {}).expect("train");
        let liked = tokenizer.encode(liked);
        Self { tokenizer, liked, context: 1000 }
    }
}

impl Scorer for Toy {
    fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }
    fn context_tokens(&self) -> usize {
        self.context
    }
    fn logprobs(&self, sequences: &[Vec<u32>]) -> Result<Vec<Vec<f64>>, Box<dyn Error + Send + Sync>> {
        let p = |t: &u32| if self.liked.contains(t) { 0.5f64.ln() } else { 0.125f64.ln() };
        for s in sequences {
            assert!(s[0] == self.tokenizer.special_id(END_OF_TEXT).expect("special") || s.len() == self.context + 1);
        }
        Ok(sequences.iter().map(|s| s[1..].iter().map(p).collect()).collect())
    }
}

fn text(id: &str, group: &str, text: &str, contaminated: bool) -> Request {
    Request::BitsPerByte { id: id.into(), group: group.into(), text: text.into(), contaminated }
}

fn choice(id: &str, context: &str, choices: &[&str], answer: usize, contaminated: bool) -> Request {
    let choices = choices.iter().map(|c| (*c).to_owned()).collect();
    Request::MultipleChoice { id: id.into(), group: "mc".into(), context: context.into(), choices, answer, contaminated }
}

fn run(model: &Toy, requests: &[Request]) -> Evaluation {
    evaluate(model, requests, &EvalOptions::default(), &mut |_| {}, &AtomicBool::new(false)).expect("evaluate")
}

fn value(e: &Evaluation, group: &str, metric: &str) -> f64 {
    e.scores.iter().find(|s| s.group == group && s.metric == metric).expect(metric).estimate.value
}

#[test]
fn bits_per_byte_weighs_texts_by_their_bytes() {
    let model = Toy::new("");
    let requests = [text("a", "x", "one two", false), text("b", "x", "qz", false), text("c", "y", "seven", false)];
    let e = run(&model, &requests);
    let bits = |t: &str| 3.0 * model.tokenizer.encode(t).len() as f64;
    assert!((value(&e, "x", "bits_per_byte") - (bits("one two") + bits("qz")) / 9.0).abs() < 1e-12);
    assert!((value(&e, "all", "bits_per_byte") - (bits("one two") + bits("qz") + bits("seven")) / 14.0).abs() < 1e-12);
    assert_eq!(e.scores[0].group, "all");
}

#[test]
fn contaminated_items_are_counted_apart() {
    let model = Toy::new(" two");
    let requests = [
        choice("a", "one", &[" one", " two"], 1, false),
        choice("b", "one", &[" two", " one"], 1, false),
        choice("c", "one", &[" two", " one"], 0, true),
        text("d", "t", "abc", true),
    ];
    let e = run(&model, &requests);
    assert_eq!((value(&e, "all", "accuracy"), value(&e, "all", "accuracy_contaminated")), (0.5, 1.0));
    let accuracy = e.scores.iter().find(|s| s.group == "mc" && s.metric == "accuracy").expect("score");
    assert_eq!((accuracy.estimate.n, accuracy.n_contaminated), (2, 1));
    assert!(!e.scores.iter().any(|s| s.metric == "bits_per_byte"), "no clean text, no clean figure");
    assert_eq!(e.scores.iter().filter(|s| s.metric == "bits_per_byte_contaminated").count(), 2);
}

#[test]
fn length_decides_only_without_normalisation() {
    let model = Toy::new("");
    // The long choice costs more in all and less a byte.
    let long = " three seven three seven";
    let n = |t: &str| model.tokenizer.encode(t).len() as f64;
    assert!(n(&format!("one{long}")) / (long.len() as f64) < (n("one q") - 1.0) / 2.0);
    let e = run(&model, &[choice("a", "one", &[" q", long], 1, false)]);
    assert_eq!((value(&e, "all", "accuracy"), value(&e, "all", "accuracy_per_byte")), (0.0, 1.0));
}

#[test]
fn white_space_between_context_and_choice_may_stand_on_either_side() {
    let model = Toy::new(" two");
    let left = run(&model, &[choice("a", "one ", &["one", "two"], 1, false)]);
    let right = run(&model, &[choice("a", "one", &[" one", " two"], 1, false)]);
    let of = |e: &Evaluation| match &e.items[0].outcome {
        Outcome::MultipleChoice { logprobs, .. } => logprobs.clone(),
        _ => Vec::new(),
    };
    assert_eq!(of(&left), of(&right));
    assert_eq!(of(&left).len(), 2);
}

#[test]
fn a_context_that_is_too_long_loses_its_beginning() {
    let model = Toy { context: 6, ..Toy::new(" two") };
    let long = "one two three four five six seven one two three four five six seven";
    let e = run(&model, &[choice("a", long, &[" one", " two"], 1, false)]);
    assert_eq!(value(&e, "all", "accuracy"), 1.0);
}

#[test]
fn a_stop_ends_it_and_progress_counts_up() {
    let model = Toy::new("");
    let requests: Vec<Request> = (0..3).map(|i| text(&format!("t{i}"), "g", &"one ".repeat(20_000), false)).collect();
    let stop = AtomicBool::new(false);
    let mut seen = Vec::new();
    let result = evaluate(
        &model,
        &requests,
        &EvalOptions::default(),
        &mut |p| {
            seen.push(p.done);
            stop.store(p.done == 2, Ordering::Relaxed);
        },
        &stop,
    );
    assert!(matches!(result, Err(EvalError::Stopped { done: 2, total: 3 })));
    assert_eq!(seen, [1, 2]);
}

#[test]
fn scores_are_the_same_again_and_read_back() {
    let model = Toy::new(" two three");
    let requests: Vec<Request> = (0..30).map(|i| text(&format!("t{i}"), "g", &"two seven three"[..5 + i % 9], false)).collect();
    let e = run(&model, &requests);
    assert_eq!(e, run(&model, &requests));
    let input = |name| Input { reference: Reference::artefact("models", name), digest: digest_bytes(b"x") };
    let scores = Scores {
        model: input("m"),
        requests: input("r"),
        tokenizer_digest: model.tokenizer.digest(),
        at: Timestamp(0),
        scores: e.scores.clone(),
    };
    let dir = tempfile::tempdir().expect("temporary folder");
    scores.write(dir.path()).expect("write");
    assert_eq!(Scores::read(dir.path()).expect("read"), scores);
    let all = scores.get("all", "bits_per_byte").expect("score");
    assert!(all.low.expect("low") <= all.value && all.value <= all.high.expect("high"));
    e.write_items(&dir.path().join("items.jsonl")).expect("items");
    let lines = std::fs::read_to_string(dir.path().join("items.jsonl")).expect("read");
    assert_eq!(lines.lines().map(|l| serde_json::from_str::<Item>(l).expect("item")).collect::<Vec<_>>(), e.items);
}
