//! Classifier files.
//!
//! What is read in spite of the change must be what is written again, and must judge any text; what isn't says where it is wrong.

use polder_text::classifier::{Classifier, ClassifierError, Learning, Options, train};

use crate::mutate::{fuzz, memory_peak};

const TEXTS: [&str; 4] =
    ["", "the polder lies below the lake", "fn main() { 12345\r\n\t\u{3000}né ²中文 🚀\u{0} }", "ab ab  abab Ω\u{301}"];

/// Memory that the whole test program may take at most; the files are far smaller.
const MEMORY_BYTES_MAX: u64 = 1 << 30;

fn small(options: &Options, n_labels: usize) -> Vec<u8> {
    let rows: Vec<(String, String)> = (0..n_labels * 6)
        .map(|i| (format!("row {i} of dike {}, lake {} {{ x_{} }}", i % n_labels, i % 3, i % 5), format!("label {}", i % n_labels)))
        .collect();
    let rows: Vec<(&str, &str)> = rows.iter().map(|(text, label)| (text.as_str(), label.as_str())).collect();
    train(&rows, &Options { features_max: 120, epochs: 2, ..*options }, 1, &mut |_| {}).expect("rows with labels").to_bytes()
}

fn must_be_refused_or_work(bytes: &[u8]) {
    match Classifier::from_bytes(bytes) {
        Ok(classifier) => {
            assert!(classifier.to_bytes() == bytes, "written otherwise than read");
            for text in TEXTS {
                let (label, probability) = classifier.classify(text);
                assert!(classifier.labels().iter().any(|l| l == label) && (0.0..=1.0).contains(&probability), "{label}: {probability}");
            }
        }
        Err(error) => {
            let says_where = matches!(error, ClassifierError::Format { offset, reason } if offset <= bytes.len() && !reason.is_empty());
            assert!(says_where, "{error}");
        }
    }
}

#[test]
fn a_mutated_classifier_is_an_error_or_works() {
    let descended = Options { learning: Learning::Softmax { lr: 0.5, decay: 1e-5 }, ..Options::prose() };
    for (name, options) in [
        ("prose", Options::prose()),
        ("posts", Options::posts()),
        ("code", Options::code()),
        ("language", Options::language()),
        ("descended", descended),
    ] {
        for n_labels in [2, 40] {
            fuzz(&format!("classifier, {name}, {n_labels} labels"), &small(&options, n_labels), &mut must_be_refused_or_work);
        }
    }
    if let Some(bytes) = memory_peak() {
        assert!(bytes < MEMORY_BYTES_MAX, "{bytes} bytes of memory");
    }
}

/// A file of two labels with so many features, their hashes so far apart.
fn crowded(n_features: u32, apart: u8) -> Vec<u8> {
    let mut bytes = small(&Options::language(), 2);
    // Magic, features, labels, and five floats: the bias of each label, calibration and range.
    bytes.truncate(8 + 6 + 1 + 2 * (1 + "label 0".len()) + 4 * 5);
    let mut n = n_features;
    while n >= 0x80 {
        bytes.push(n as u8 | 0x80);
        n >>= 7;
    }
    bytes.push(n as u8);
    // A hash, one label, the second, a weight.
    (0..n_features).for_each(|_| bytes.extend([apart, 1, 1, 5]));
    bytes
}

#[test]
fn hashes_as_close_as_can_be_are_read_and_judged_in_linear_time() {
    for apart in [1, 2, 3, 16, 0x40] {
        let bytes = crowded(1 << 20, apart);
        assert_eq!(Classifier::from_bytes(&bytes).map(|c| c.n_features()), Ok(1 << 20));
        must_be_refused_or_work(&bytes);
    }
}
