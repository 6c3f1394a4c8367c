//! Scores of `quality`: how often the dialects give the figures of the tools that they are named for.
//!
//! The sets of other tools are Parquet and hold few expectations, so `tests/golden/check_quality.py expected` writes both those and the tools'
//! own answers into `peer_quality/expected.jsonl` once.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::Row;
use crate::quality_figures::figures;

pub fn score(data: &Path) -> Vec<Row> {
    let file = data.join("peer_quality/expected.jsonl");
    let Ok(lines) = std::fs::read_to_string(&file) else {
        eprintln!("quality: no {}, see tests/golden/check_quality.py", file.display());
        return Vec::new();
    };
    // By rule set and dialect: documents, and those on which every figure agrees.
    let mut agreement: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for line in lines.lines() {
        let row: Value = serde_json::from_str(line).expect("a line is JSON");
        let ours = figures(row["text"].as_str().expect("a line has a text"));
        for (name, expected) in row["expected"].as_object().expect("a line has expectations") {
            // The Data Prep Kit's figures are datatrove's, but for its words; code has one dialect.
            let ours = &ours[name.replace("/dpk", "/datatrove").replace("code_quality/datatrove", "code_quality")];
            let agrees = expected.as_object().expect("figures by name").iter().all(|(figure, value)| equal(&ours[figure], value));
            let (n, n_same) = agreement.entry(name.clone()).or_default();
            *n += 1;
            *n_same += usize::from(agrees);
        }
    }
    let row = |(name, (n, n_same)): (String, (usize, usize))| Row {
        what: format!("{name}, documents with the tool's verdict and figures"),
        figure: n_same as f64 / n as f64,
        asked: Some(0.99),
        note: format!("{n_same} of {n} documents of peer_dolma and peer_dpk, every figure to 1e-9"),
    };
    agreement.into_iter().map(row).collect()
}

fn equal(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Array(ours), Value::Array(theirs)) => ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| equal(a, b)),
        (Value::Number(ours), Value::Number(theirs)) => {
            ours.as_f64().zip(theirs.as_f64()).is_some_and(|(ours, theirs)| (ours - theirs).abs() < 1e-9)
        }
        _ => ours == theirs,
    }
}
