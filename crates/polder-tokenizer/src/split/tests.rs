//! The hand-written splitters against the expressions that they stand for, and the forms of `tokenizer.json`.

use super::*;
use proptest::prelude::*;
use std::sync::LazyLock;

/// Each hand-written splitter beside its expression in the engine.
static BOTH: LazyLock<Vec<(Splitter, Splitter)>> = LazyLock::new(|| {
    Splitter::written_by_hand()
        .map(|fast| {
            let pattern = fast.pattern().expect("an expression").into_owned();
            (fast, Splitter::Pattern(Pattern::try_new(&pattern, Behavior::Isolated, false).expect("it compiles")))
        })
        .collect()
});

fn strings<'t>(splitter: &Splitter, text: &'t str) -> Vec<&'t str> {
    splitter.pieces(text).into_iter().map(|p| std::str::from_utf8(p).expect("whole characters")).collect()
}

fn check(text: &str) {
    for (fast, slow) in BOTH.iter() {
        assert_eq!(strings(fast, text), strings(slow, text), "{fast} over {text:?}");
    }
}

/// Everything that an expression tells apart, often enough that it meets.
const MIXED: &str = "([ \\t\\n\\r]|[\\u{b}\\u{85}\\u{a0}\\u{2003}\\u{2028}\\u{3000}]|[a-zA-Zéßſǅʰ中あ가\u{5d0}K]|[0-9²٣Ⅷ]|[\u{300}\u{301}\u{903}\u{20dd}]|['’!.,/$-]|'(s|S|t|LL|ll|Ve|re|M|d|ſ|x)|[\\u{0}\\u{7f}\\u{e000}\\u{378}\\u{1f600}]|  |\\r\\n|\\PC|\\PC){0,50}";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn hand_written_splitters_agree_with_the_engine(text in MIXED) {
        check(&text);
    }

    #[test]
    fn they_agree_on_any_characters(text in proptest::collection::vec(any::<char>(), 0..40)) {
        check(&text.into_iter().collect::<String>());
    }

    #[test]
    fn the_pieces_are_the_text(text in MIXED) {
        for (fast, _) in BOTH.iter() {
            prop_assert_eq!(fast.pieces(&text).concat(), text.as_bytes());
        }
    }
}

#[test]
fn where_blocks_of_bytes_meet_makes_no_difference() {
    let meetings = [
        "'s",
        "'re's",
        "'ll've",
        "'l",
        "''t",
        " 't",
        "\n't",
        "  x",
        " \n y",
        "\u{a0}\u{a0}z",
        "\u{3000}\u{3000}",
        "é'd",
        "中文",
        "12²",
        "\u{1f600}!",
        " \u{3000}",
    ];
    for meeting in meetings {
        for before in 58..=66 {
            for behind in ["", "a", " ", "'s"] {
                check(&format!("{}{meeting}{behind}", "w".repeat(before)));
                check(&format!("{}{meeting}{behind}", " ".repeat(before)));
            }
        }
    }
}
