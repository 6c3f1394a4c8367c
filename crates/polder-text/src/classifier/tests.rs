//! Training, scoring and storing classifiers, each beside its slow truth.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::classifier::features::Streams;

/// Two hundred rows in two made-up tongues that share their alphabet, and a third that is rarer.
fn rows() -> Vec<(String, &'static str)> {
    let tongues: [(&str, &[&str], usize); 3] = [
        ("north", &["strand", "fjell", "skog", "natt", "vinter", "hus", "elv"], 100),
        ("south", &["playa", "monte", "bosque", "noche", "invierno", "casa", "rio"], 80),
        ("rare", &["qila", "nanuq", "tuttu", "siku", "aput", "iglu", "kuuk"], 20),
    ];
    let mut rows = Vec::new();
    for (label, words, n) in tongues {
        for i in 0..n {
            let pick = |k: usize| words[(i * 31 + k * 17 + k * i) % words.len()];
            rows.push((format!("{} {}, {}. {} {i}", pick(0), pick(1), pick(2), pick(3)), label));
        }
    }
    rows
}

fn borrowed<'a>(rows: &'a [(String, &'static str)]) -> Vec<(&'a str, &'a str)> {
    rows.iter().map(|(text, label)| (text.as_str(), *label)).collect()
}

fn all_options() -> Vec<Options> {
    let descended = Options { learning: Learning::Softmax { lr: 0.5, decay: 1e-5 }, ..Options::prose() };
    let own = Options { learning: Learning::OwnMargin { cost: 3.0 }, ..Options::code() };
    vec![Options::prose(), Options::posts(), Options::code(), Options::language(), descended, own]
}

fn small(options: &Options) -> Classifier {
    let rows = rows();
    train(&borrowed(&rows), options, 2, &mut |_| {}).unwrap()
}

#[test]
fn rows_that_were_held_out_get_their_labels() {
    let rows = rows();
    for options in all_options() {
        let (learnt, held_out) = split(&borrowed(&rows), 4);
        assert!(learnt.len() > 100 && held_out.len() > 20, "{} and {}", learnt.len(), held_out.len());
        let classifier = train(&learnt, &options, 2, &mut |_| {}).unwrap();
        let evaluation = evaluate(&classifier, &held_out);
        assert_eq!((evaluation.accuracy, evaluation.macro_f1), (1.0, 1.0), "{options:?}\n{evaluation:?}");
    }
}

#[test]
fn two_labels_are_told_apart_by_one_weight_a_feature() {
    let rows: Vec<_> = rows().into_iter().filter(|(_, label)| *label != "rare").collect();
    let classifier = train(&borrowed(&rows), &Options::prose(), 1, &mut |_| {}).unwrap();
    assert_eq!(classifier.weights.stored.len(), classifier.n_features());
    assert_eq!(evaluate(&classifier, &borrowed(&rows)).accuracy, 1.0);
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let rows = rows();
    for options in all_options() {
        let bytes = |n_threads| train(&borrowed(&rows), &options, n_threads, &mut |_| {}).unwrap().to_bytes();
        let one = bytes(1);
        assert!(one == bytes(2) && one == bytes(5), "{options:?}");
    }
}

#[test]
fn progress_is_heard_of_after_every_pass() {
    let rows = rows();
    let mut heard = Vec::new();
    train(&borrowed(&rows), &Options { epochs: 4, ..Options::prose() }, 1, &mut |p| heard.push(p)).unwrap();
    assert_eq!(heard.iter().map(|p| (p.epoch, p.epochs)).collect::<Vec<_>>(), [(1, 4), (2, 4), (3, 4), (4, 4)]);
    assert!(heard[3].loss < heard[0].loss);
}

#[test]
fn no_more_features_are_kept_than_asked_for() {
    let classifier = small(&Options { features_max: 150, ..Options::prose() });
    assert!((50..=150).contains(&classifier.n_features()), "{}", classifier.n_features());
    let rows = rows();
    let evaluation = evaluate(&classifier, &borrowed(&rows));
    assert!(evaluation.accuracy > 0.95, "{evaluation:?}");
}

#[test]
fn balance_finds_rare_labels_among_rows_that_could_be_either() {
    let rows: Vec<(String, &'static str)> = (0..200)
        .map(|i| match i % 10 {
            1 | 3 => (format!("perhaps this {i}"), "rare"),
            5 | 7 | 9 => (format!("perhaps this {i}"), "common"),
            _ => (format!("plainly common {i}"), "common"),
        })
        .collect();
    let label = |balance| {
        let classifier = train(&borrowed(&rows), &Options { balance, rows_min: 3, ..Options::prose() }, 1, &mut |_| {}).unwrap();
        classifier.classify("perhaps this").0.to_owned()
    };
    assert_eq!((label(0.0).as_str(), label(1.0).as_str()), ("common", "rare"));
}

#[test]
fn probabilities_are_as_high_as_verdicts_are_right() {
    // One row in five has the wrong label, so no honest classifier is surer than four in five.
    let mut rows = Vec::new();
    for i in 0..2000 {
        let (word, other) = if i % 2 == 0 { ("alpha", "beta") } else { ("beta", "alpha") };
        let label = if i % 10 < 2 { other } else { word };
        rows.push((format!("{word} {} {}", i % 37, i % 11), label));
    }
    let rows: Vec<(&str, &str)> = rows.iter().map(|(text, label)| (text.as_str(), *label)).collect();
    let classifier = train(&rows, &Options::prose(), 2, &mut |_| {}).unwrap();
    let (label, probability) = classifier.classify("alpha 5 6");
    assert_eq!(label, "alpha");
    assert!((0.65..0.95).contains(&probability), "{probability}");
}

#[test]
fn a_text_without_known_features_has_the_label_that_rows_make_likeliest() {
    let classifier = small(&Options::prose());
    let (label, probability) = classifier.classify("");
    assert_eq!(label, "north");
    assert!(probability < 0.9, "{probability}");
    assert_eq!(classifier.classify("ΨΨΨΨΨΨ").0, "north");
}

#[test]
fn what_cannot_be_trained_says_why() {
    let error = |rows: &[(&str, &str)], options: &Options| train(rows, options, 1, &mut |_| {}).unwrap_err().to_string();
    assert_eq!(error(&[], &Options::prose()), "0 rows have 0 different labels; at least 2 are needed");
    assert_eq!(error(&[("a", "x"), ("b", "x")], &Options::prose()), "2 rows have 1 different labels; at least 2 are needed");
    assert_eq!(error(&[("", "x"), ("", "y")], &Options::prose()), "no n-gram is in 2 of 2 rows");
    let mut options = Options::prose();
    options.features.char_ngrams = (3, 9);
    assert_eq!(
        error(&[("a", "x"), ("b", "y")], &options),
        "char_ngrams is (3, 9); it must be (0, 0), or from 1 to 8 with the shorter first"
    );
    for (learning, option) in [
        (Learning::Softmax { lr: f32::NAN, decay: 0.0 }, "lr is NaN"),
        (Learning::Margin { cost: 0.0, by_rarity: true, by_contrast: false }, "1 / cost is inf"),
        (Learning::Bayes { smoothing: 0.0 }, "1 / smoothing is inf"),
    ] {
        assert!(error(&[("a", "x"), ("b", "y")], &Options { learning, ..Options::prose() }).starts_with(option));
    }
}

#[test]
fn bytes_that_are_cut_or_changed_give_an_error_or_a_classifier_but_never_a_panic() {
    for options in all_options() {
        let bytes = small(&Options { features_max: 300, ..options }).to_bytes();
        for end in 0..bytes.len() {
            let error = Classifier::from_bytes(&bytes[..end]).unwrap_err();
            assert!(matches!(error, ClassifierError::Format { offset, .. } if offset <= end), "{error}");
        }
        for at in 0..bytes.len() {
            for change in [1, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= change;
                if let Ok(classifier) = Classifier::from_bytes(&changed) {
                    let (_, probability) = classifier.classify("strand og bosque, 7 nanuq");
                    assert!((0.0..=1.0).contains(&probability), "byte {at}: {probability}");
                }
            }
        }
        assert_eq!(
            Classifier::from_bytes(&[bytes.as_slice(), b"x"].concat()).unwrap_err(),
            ClassifierError::Format { offset: bytes.len(), reason: "something follows the last weight" }
        );
    }
}

#[test]
fn a_count_that_no_input_of_that_size_can_hold_is_refused_before_memory_is_taken() {
    let bytes = small(&Options { features_max: 10, ..Options::prose() }).to_bytes();
    // Where the number of features stands: after magic, features, labels ("north", "rare", "south"), five floats and the range.
    let at = 8 + 6 + 1 + (1 + 5) + (1 + 4) + (1 + 5) + 4 * 6;
    let huge = [&bytes[..at], &[0xff, 0xff, 0xff, 0xff, 0x0f], &bytes[at + 1..]].concat();
    assert_eq!(
        Classifier::from_bytes(&huge).unwrap_err().to_string(),
        format!("not a classifier: at byte {at}, a count that the bytes left can't hold")
    );
}

#[test]
fn an_evaluation_counts_as_one_does_by_hand() {
    let e = Evaluation::of_pairs([("a", "a"), ("a", "b"), ("b", "b"), ("b", "b"), ("c", "a"), ("b", "d")]);
    assert_eq!((e.n_rows, e.accuracy), (6, 0.5));
    let figures: Vec<_> = e.labels.iter().map(|l| (l.label.as_str(), l.precision, l.recall, l.support)).collect();
    assert_eq!(figures, [("a", 0.5, 0.5, 2), ("b", 2.0 / 3.0, 2.0 / 3.0, 3), ("c", 0.0, 0.0, 1), ("d", 0.0, 0.0, 0)]);
    assert_eq!(e.confusion, [[1, 1, 0, 0], [0, 2, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]]);
    // The label `d` is in no row: it lowers the others' recall, not the mean.
    assert!((e.macro_f1 - (0.5 + 2.0 / 3.0 + 0.0) / 3.0).abs() < 1e-12);
    assert_eq!(Evaluation::of_pairs([]).accuracy, 0.0);
}

#[test]
fn a_text_that_occurs_twice_is_never_on_both_sides() {
    for text in ["Grüß Gott", "a  b", ""] {
        let fold = fold_of(text, 5);
        assert!(fold < 5);
        assert_eq!(fold, fold_of(&format!("  {}\n", text.to_uppercase().replace("SS", "ß")), 5));
    }
    let rows: Vec<String> = (0..1000).map(|i| format!("row {i}")).collect();
    let sizes = rows.iter().fold(BTreeMap::<usize, usize>::new(), |mut sizes, row| {
        *sizes.entry(fold_of(row, 4)).or_default() += 1;
        sizes
    });
    assert!(sizes.len() == 4 && sizes.values().all(|n| (200..300).contains(n)), "{sizes:?}");
}

#[test]
fn cross_validation_judges_every_row_once() {
    let rows = rows();
    let evaluation = cross_validate(&borrowed(&rows), &Options { epochs: 3, ..Options::prose() }, 3, 2, &mut |_| {}).unwrap();
    assert_eq!(evaluation.n_rows, rows.len());
    assert!(evaluation.accuracy > 0.95, "{evaluation:?}");
}

#[test]
fn a_text_of_many_megabytes_is_judged() {
    let classifier = small(&Options::prose());
    assert_eq!(classifier.classify(&"playa noche ".repeat(1 << 18)).0, "south");
    for c in ['@', '\u{300}', '\u{5d0}', '\u{e000}', '\0', '\u{378}', 'ا', '字'] {
        let (_, probability) = classifier.classify(&c.to_string().repeat(1 << 18));
        assert!((0.0..=1.0).contains(&probability));
    }
}

fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-zA-Z0-9_]{1,8}",
        "[ \t\r\n]{1,3}",
        "\\PC{0,4}",
        "[äÖßİéñ]{1,3}",
        "[ก-๙一-丂あ-んक-हा-्ֱ-ׇ]{1,4}",
        any::<char>().prop_map(String::from),
        Just("strand".to_owned()),
    ];
    proptest::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn features_are_those_of_the_reference(text in any_text(), across_blanks: bool, fold_case: bool, fold_digits: bool) {
        for options in all_options() {
            let features = Features { across_blanks, fold_case, fold_digits, ..options.features };
            let mut counts = BTreeMap::new();
            features.each(&text, &mut Streams::default(), |hash| *counts.entry(hash).or_default() += 1);
            prop_assert_eq!(counts, reference::ngrams(&features, &text));
        }
    }
}

#[test]
fn scores_are_those_of_the_reference_before_and_after_writing_and_reading() {
    for options in all_options() {
        let classifier = small(&options);
        let bytes = classifier.to_bytes();
        let read = Classifier::from_bytes(&bytes).unwrap();
        assert_eq!(bytes, read.to_bytes());
        proptest!(|(text in any_text())| {
            let expected = reference::scores(&classifier, &text);
            for classifier in [&classifier, &read] {
                let mut scores = Vec::new();
                classifier.scores(&text, &mut scores);
                for (got, expected) in scores.iter().zip(&expected) {
                    prop_assert!((f64::from(*got) - expected).abs() < 1e-4, "{} beside {}", got, expected);
                }
            }
        });
    }
}
