//! What is offensive, what only looks so, and what length does not change.

use std::time::Instant;

use proptest::prelude::*;

use super::{CLASSIFIERS, HapJudge, Reading, aimed, classifiers, features, hap, hap_score, sentences, tongue, tongue::Tongue};
use crate::language::detect_language;
use crate::profanity::lexicon;
use crate::words::words;

const CLEAN: &str = "The tree stands by the water and its leaves are green in the summer. People come here to read, and children play. ";
const CLEAN_GERMAN: &str = "Der Baum steht am Wasser und seine Blätter sind im Sommer grün. Die Leute lesen hier, und Kinder spielen. ";
const RUDE: &str = "You are a fucking stupid piece of shit, bitch.";
const RUDE_GERMAN: &str = "Du bist ein dummes Arschloch und ein verlogenes Drecksschwein.";

#[test]
fn the_embedded_model_holds_a_classifier_of_english_and_one_of_german() {
    let bytes = include_bytes!("../../models/hap.model");
    assert!(classifiers(bytes).iter().all(Option::is_some) && bytes.len() < 3 << 20);
    assert!(classifiers(&bytes[..bytes.len() - 1])[1].is_none() && classifiers(b"")[0].is_none());
}

#[test]
fn rude_posts_score_high_and_friendly_ones_low() {
    for text in [RUDE, RUDE_GERMAN, "shut the fuck up you dumb bitch", "Halt dein dummes Maul, du Arschloch", "u r such a b1tch lol"] {
        assert!(hap_score(text) > 0.5, "{text}: {}", hap_score(text));
    }
    let friendly = [
        CLEAN,
        CLEAN_GERMAN,
        "Thanks a lot, see you tomorrow!",
        "Vielen Dank, bis morgen!",
        "@anna here is the link https://example.org/a #GoodMorning",
        "The museum of Scunthorpe shows a painting by Dickens's friend.",
        "fn main() { println!(\"{}\", if x == 1 { \"the\" } else { \"and\" }); }",
    ];
    for text in friendly {
        assert!(hap_score(text) < 0.5, "{text}: {}", hap_score(text));
    }
}

#[test]
fn naming_what_people_are_is_no_hate() {
    // None of these is among the sentences that the classifiers are trained on.
    let neutral = [
        "I am gay and proud of it.",
        "Muslims pray five times a day.",
        "Black people founded this church.",
        "Two lesbians adopted the dog from the shelter.",
        "My Jewish grandmother came from Vienna.",
        "The refugees were given blankets and tea.",
        "Women vote since 1920.",
        "She married a Mexican engineer last year.",
        "Our imam invited the neighbours to dinner.",
        "Deaf pupils learn sign language in this school.",
        "Ich bin Jude.",
        "Muslime fasten im Ramadan.",
        "Meine Tante ist lesbisch und Lehrerin.",
        "Die Flüchtlinge lernen Deutsch in der Volkshochschule.",
        "Schwarze Deutsche erzählen aus ihrem Leben.",
        "Die Türken feiern das Zuckerfest mit ihren Nachbarn.",
        "Er ist schwul und seit drei Jahren verheiratet.",
        "Juden und Christen beteten gemeinsam.",
    ];
    let flagged: Vec<_> = neutral.iter().map(|t| (hap_score(t), t)).filter(|(score, _)| *score > 0.5).collect();
    assert!(flagged.is_empty(), "{flagged:?}");
}

#[test]
fn a_long_text_is_not_flagged_for_one_sentence_and_the_sentence_is_found() {
    for (clean, rude) in [(CLEAN, RUDE), (CLEAN_GERMAN, RUDE_GERMAN)] {
        let text = format!("Ü {}{rude} {}", clean.repeat(100), clean.repeat(100));
        let found = hap(&text);
        let sentence: String = text.chars().skip(found.start).take(found.end - found.start).collect();
        assert_eq!(sentence, rude);
        assert!(found.score < 0.3 && found.sentence_score > 0.5, "{found:?}");
        assert!(hap_score(&format!("{rude} ").repeat(100)) > 0.5);
    }
}

#[test]
fn a_score_does_not_grow_with_length() {
    let page = format!("{}{RUDE} ", CLEAN.repeat(80));
    let (short, long) = (hap_score(&page.repeat(5)), hap_score(&page.repeat(100)));
    assert!((short - long).abs() < 0.1 && long < 0.5, "{short} {long}");
}

#[test]
fn other_languages_are_judged_by_their_lists() {
    let clean = "이 도시는 매우 아름답고 우리는 박물관과 정원과 오래된 거리를 아주 좋아했습니다. 내년에 다시 가고 싶습니다. ";
    assert!(hap_score(clean) < 0.1);
    let found = hap(&format!("{clean}이 씨발놈아, 개새끼. {clean}"));
    assert!(found.sentence_score > 0.5 && found.terms.contains(&"개새끼"), "{found:?}");
}

#[test]
fn short_texts_that_may_be_in_any_language_are_judged_by_all_lists() {
    for (text, term) in [
        ("Va te faire foutre connard", "connard"),
        ("Hijo de puta", "hijo de puta"),
        ("Sei un pezzo di merda, vaffanculo stronzo", "vaffanculo"),
        ("Spierdalaj, kurwa", "kurwa"),
    ] {
        let found = hap(text);
        assert!(found.score > 0.5 && found.sentence_score > 0.5 && found.terms.contains(&term), "{text}: {found:?}");
    }
    for text in [
        "Criss Angel, Kloten airport",
        "Ricette: pasta, peperoni, vino rosso",
        "Buenos dias, amigo mio",
        "Bonne nuit mon ami",
        "Pina colada, please",
        "Bono Vox sings",
        "import numpy; print(x)",
    ] {
        let found = hap(text);
        assert!(found.score < 0.5 && found.terms.is_empty(), "{text}: {found:?}");
    }
}

#[test]
fn the_empty_text_and_blanks_score_nothing() {
    for text in ["", " ", "\n\n\u{a0}"] {
        let found = hap(text);
        assert!(found.score < 0.5 && found.terms.is_empty(), "{found:?}");
    }
    let empty = hap("");
    assert_eq!((empty.score, empty.sentence_score, empty.start, empty.end), (0.0, 0.0, 0, 0));
}

#[test]
fn english_and_german_are_told_by_their_frequent_words() {
    for (text, is) in [
        (CLEAN, Tongue::English),
        (CLEAN_GERMAN, Tongue::German),
        ("hi there", Tongue::English),
        ("hi folks", Tongue::Unclear),
        ("Schönen Gruß", Tongue::German),
        ("Привет", Tongue::Other),
        (
            "Esta ciudad es muy bonita y nos gustaron mucho los museos, los jardines y las calles del centro histórico de noche y de día.",
            Tongue::Other,
        ),
    ] {
        assert_eq!(tongue::tongue(text, &words(text).collect::<Vec<_>>()), is, "{text}");
    }
}

#[test]
fn names_addresses_hashtags_and_entities_are_spelt_out() {
    let mut spelt = String::new();
    features::write("@Anna_1: a &amp; b &#8364; #TwoWords http://x.org/a?b c@d & # @ x: &bad; &#99999999;", &[], &mut spelt);
    assert_eq!(spelt, " \u{e000} : a & b  €  # Two Words  \u{e001}  c \u{e000}  & #  @ x: &bad; &# 99999999;");
}

#[test]
fn sentences_end_where_they_should() {
    let of = |text: &'static str| sentences::sentences(text).map(|r| &text[r]).collect::<Vec<_>>();
    assert_eq!(of("One. Two!) Three 3.5 v.x\nFour"), ["One.", " Two!)", " Three 3.5 v.x\n", "Four"]);
    assert_eq!(of("你好。再见！好？x"), ["你好。", "再见！", "好？", "x"]);
    assert_eq!(of(""), [""; 0]);
    assert_eq!(sentences::passages(&CLEAN[..100]).count(), 1);
    assert!(sentences::passages(&CLEAN.repeat(20)).count() >= 10);
}

#[test]
fn hap_takes_linear_time_on_adversarial_text() {
    for unit in [
        "a",
        "@",
        "#",
        "&",
        ":",
        ".",
        "\n",
        "&#1;",
        "#aB",
        "://",
        "\u{301}",
        "\u{200f}א",
        "\u{e002}",
        "\0",
        "\u{378}",
        "the ",
        "shit ",
        "。",
        ".x",
        "..........x",
        "?)",
    ] {
        let time = |n: usize| {
            let text = unit.repeat(n);
            let start = Instant::now();
            let found = hap(&text);
            assert!((0.0..=1.0).contains(&found.score) && found.end <= text.chars().count());
            start.elapsed().as_secs_f64()
        };
        let (one, four) = (time(50_000), time(200_000));
        assert!(four < 40.0 * one.max(0.001), "{unit:?}: {one} then {four}");
    }
}

proptest! {
    #[test]
    fn any_string_has_a_score_and_a_worst_sentence_inside_it(text in ".{0,400}|[a-z@#&;: .!?\n]{0,400}|\\PC{0,200}") {
        let found = hap(&text);
        prop_assert!((0.0..=1.0).contains(&found.score) && (0.0..=1.0).contains(&found.sentence_score));
        prop_assert!(found.start <= found.end && found.end <= text.chars().count());
        prop_assert_eq!(found.score, hap_score(&text));
        let mut end = 0;
        for passage in sentences::passages(&text) {
            prop_assert!(passage.start == end && text.get(passage.clone()).is_some_and(|p| !p.is_empty()));
            end = passage.end;
        }
        prop_assert_eq!(end, text.len());
    }
}

/// Texts of many languages, some with terms of some list.
fn any_text() -> impl Strategy<Value = String> {
    let one_of = |words: &'static [&'static str]| prop::sample::select(words).prop_map(str::to_owned);
    let piece = prop_oneof![
        "[a-z]{1,7}",
        "\\PC{0,3}",
        one_of(&["you", "kill", "Hund", "это", "слова", "русские", "esto", "también", "ねこ", "한국어", "mä", "olen", "suomi"]),
        one_of(&["merde", "putain", "блядь", "씨발놈", "クソ", "f.u.c.k", "sh1t", "mierda", "perkele", "kurwa", "hijo de puta"]),
        one_of(&[". ", "\n", "\n\n", "。", "! "]),
        (1usize..3).prop_map(|n| "abcdefghij".repeat(60 * n)),
    ];
    prop::collection::vec((piece, one_of(&[" ", " ", " ", ""])), 0..60)
        .prop_map(|pieces| pieces.into_iter().map(|(piece, between)| piece + &between).collect())
}

proptest! {
    #[test]
    fn hits_are_those_of_the_list_of_the_detected_language(text in any_text()) {
        let of_text: Vec<_> = words(&text).collect();
        if tongue::tongue(&text, &of_text) == Tongue::Other {
            let list = lexicon(detect_language(super::start_of(&text, super::LANGUAGE_BYTES)).code).or_else(|| lexicon(""));
            let places = |hits: &[crate::profanity::Hit]| hits.iter().map(|h| (h.start, h.term)).collect::<Vec<_>>();
            prop_assert_eq!(places(&HapJudge::default().read(&text).hits), places(&list.unwrap().hits(&text)));
        }
    }

    #[test]
    fn a_passage_is_aimed_if_its_own_words_are(text in any_text()) {
        let reading = Reading { text: &text, words: words(&text).collect(), classifier: CLASSIFIERS[0].as_ref(), hits: Vec::new(), foreign: Vec::new() };
        for passage in sentences::passages(&text).chain(sentences::sentences(&text)) {
            prop_assert_eq!(reading.is_aimed(&passage), aimed::is_aimed(words(&text[passage])));
        }
    }
}
