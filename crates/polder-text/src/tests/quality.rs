//! What the quality rules keep and why they don't.

use crate::{Dialect, GopherQuality, code_quality};

const SENTENCE: &str =
    "It is said that the people of the village have built a dike with their own hands and that the sea was not pleased. ";

fn gopher_quality(text: &str) -> GopherQuality {
    crate::gopher_quality(text, Dialect::Datatrove).unwrap()
}

#[test]
fn ordinary_prose_is_kept_with_its_figures() {
    let quality = gopher_quality(&SENTENCE.repeat(5));
    assert_eq!((quality.keep, quality.reason), (true, None));
    assert_eq!((quality.n_words, quality.n_stop_words), (120, 6));
    assert!((quality.mean_word_length - 3.75).abs() < 0.01, "{}", quality.mean_word_length);
    // The full stop is a word too.
    assert!((quality.alphabetic_share - 0.96).abs() < 1e-9);
}

#[test]
fn each_gopher_rule_names_itself() {
    let reason = |text: &str| gopher_quality(text).reason;
    assert_eq!(reason(""), Some("gopher_short_doc"));
    assert_eq!(reason(SENTENCE), Some("gopher_short_doc"));
    assert_eq!(reason(&"the of ".repeat(60_000)), Some("gopher_long_doc"));
    assert_eq!(reason(&"a to ".repeat(40)), Some("gopher_below_avg_threshold"));
    assert_eq!(reason(&"extraordinarily the ".repeat(10).replace("the", "incomprehensible").repeat(5)), Some("gopher_above_avg_threshold"));
    assert_eq!(reason(&format!("{}{}", SENTENCE.repeat(3), "# ".repeat(20))), Some("gopher_too_many_hashes"));
    assert_eq!(reason(&format!("{}{}", SENTENCE.repeat(3), "... ".repeat(20))), Some("gopher_too_many_ellipsis"));
    assert_eq!(reason(&format!("- {SENTENCE}\n").repeat(5)), Some("gopher_too_many_bullets"));
    assert_eq!(reason(&format!("{}...\n", SENTENCE.trim()).repeat(5)), Some("gopher_too_many_end_ellipsis"));
    assert_eq!(reason(&format!("{}{}", SENTENCE.repeat(3), "12345 ".repeat(40))), Some("gopher_below_alpha_threshold"));
    assert_eq!(reason(&"green leaves grow slowly there ".repeat(20)), Some("gopher_enough_stop_words"));
}

#[test]
fn each_code_rule_names_itself() {
    let reason = |text: &str| code_quality(text).reason;
    assert_eq!(reason("fn main() {\n    run();\n}\n"), None);
    assert_eq!(reason(""), Some("code_empty"));
    assert_eq!(reason("\n\n"), Some("code_empty"));
    assert_eq!(reason(&"x".repeat(1001)), Some("code_long_line"));
    assert_eq!(reason(&"x".repeat(101)), Some("code_long_lines"));
    assert_eq!(reason("{}();\n"), Some("code_few_alphanumeric"));
    let quality = code_quality("äöü\r\nab");
    assert_eq!((quality.n_lines, quality.max_line_length, quality.mean_line_length), (2, 3, 2.5));
}
