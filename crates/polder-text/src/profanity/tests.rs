//! Listed terms, their disguises, and words that only hold them.

use std::time::Instant;

use proptest::prelude::*;

use super::{ALIASES, LISTS, all_lexicons, foreign_lexicon, lexicon, profanity};
use crate::words::words;

/// The first listed English word that weighs 1 and has five letters, so that no test spells one.
fn listed() -> &'static str {
    let of_five = |line: &&str| line.starts_with("1\t") && line.len() == 7 && line.bytes().skip(2).all(|b| b.is_ascii_lowercase());
    &LISTS.iter().find(|(code, _)| *code == "en").unwrap().1.lines().find(of_five).unwrap()[2..]
}

#[test]
fn profanity_stands_at_word_boundaries_and_knows_its_language() {
    assert_eq!(profanity("assert the class passes", "en"), [""; 0]);
    assert_eq!(profanity("What a SHIT show, you asshole. Shit!", "en"), ["shit", "asshole"]);
    assert_eq!(profanity("So eine Scheisse, du Arschloch", "de"), ["scheisse", "arschloch"]);
    assert_eq!(profanity("Arschloch", "en"), [""; 0]);
    assert_eq!(profanity("Arschloch, shit", "und"), ["arschloch", "shit"]);
    assert_eq!(profanity("Quelle merde", "fr-CA"), ["merde"]);
    assert_eq!(profanity("Quelle merde", "xx"), [""; 0]);
}

#[test]
fn codes_of_three_letters_and_of_either_case_mean_their_language() {
    for code in ["EN", "En", "eng", "ENG", "en-GB", "eng_US", "UND", "und-Latn"] {
        assert_eq!(profanity("What a shit show", code), ["shit"], "{code}");
    }
    for (code, other) in [("deu", "de"), ("FRA", "fr"), ("nob", "no"), ("ZHO", "zh"), ("cmn-Hans", "zh"), ("fil", "FIL"), ("pes", "fa")] {
        assert!(std::ptr::eq(lexicon(code).unwrap(), lexicon(other).unwrap()), "{code}");
    }
    for code in ["e", "english", "engl", "xxx", "-", "undefined"] {
        assert_eq!(profanity("What a shit show", code), [""; 0], "{code}");
    }
}

#[test]
fn terms_of_other_languages_are_none_of_english_or_german() {
    let known: Vec<_> = ["en", "de"].map(|code| lexicon(code).unwrap()).into();
    let of = |term: &str| foreign_lexicon().hits(term).len();
    for term in ["connard", "hijo de puta", "vaffanculo", "kurwa"] {
        assert_eq!(of(term), 1, "{term}");
    }
    for text in ["shit negro nazi", "Criss and Chutia of Kloten", "Perse, Pina, Paska", "pis sexo cul huj"] {
        assert_eq!(of(text), 0, "{text}");
    }
    let lines = LISTS.iter().filter(|(code, _)| !matches!(*code, "de" | "en")).flat_map(|(_, list)| list.lines());
    for term in lines.filter_map(|l| l.split_once('\t')).map(|(_, term)| term).filter(|t| !t.contains(' ') && of(t) > 0) {
        assert!(known.iter().all(|l| l.hits(term).is_empty()), "{term}");
    }
}

#[test]
fn names_and_places_that_contain_listed_words_are_not_listed() {
    let innocent = "Scunthorpe, Penistone, Essex, Sussex, Middlesex and Cockburn. Dickens, Assange, Hancock, Babcock and Bassett. The cockpit's \
        analysis of the bass, grass, sextant, title, Titanic, shiitake, Matsushita, Arsenal, document, accumulate, circumstance, cucumber and \
        peacock. A class assembles assets; const char *cstr; assassin, embarrass, passion, therapist, analyst, raccoon, pussycat";
    assert_eq!(profanity(innocent, "en"), [""; 0]);
    assert_eq!(profanity("Barsch, Marsch, Scharschmied, Hurerei und Huren-", "de"), ["huren"]);
    assert_eq!(profanity("グローバルなファンタジー、カントとフック", "ja"), [""; 0]);
    assert_eq!(profanity("性别 成人 鸡蛋 干部 卵子 牛奶 精神", "zh"), [""; 0]);
}

#[test]
fn disguises_are_seen_through() {
    for text in ["sh1t", "5hit", "SH!T", "sh*t", "s**t", "s.h.i.t", "S h i t", "s-h-i-t", "shiiiiit", "shhhit!!!", "so sh1t.", "(sh1t)"] {
        assert_eq!(profanity(text, "en"), ["shit"], "{text}");
    }
    assert_eq!(profanity("@$$ a55hole b1tch", "en"), ["asshole", "bitch"]);
    assert_eq!(profanity("Du 4rschl0ch, Arsch1och", "de"), ["arschloch"]);
}

#[test]
fn what_code_and_tables_hold_is_no_disguise() {
    let code = "let $hit = hits[1]; s*t; f(s,h,i,t); a b c d e f s h i t s; x1 u8 i32 sha1 utf8 md5 5h1t5 **shift** #5417 a$$b \
        s_h_i_t s h\ti t s.h-i.t sh1tty_name c0de 0xc0ck 4n41 s.h.i.tt aaa 111 ||| shii";
    assert_eq!(profanity(code, "en"), [""; 0]);
}

#[test]
fn scripts_without_spaces_and_words_with_particles_are_matched() {
    assert_eq!(profanity("你他妈的在干什么", "zh-Hant"), ["他妈的"]);
    assert_eq!(profanity("이 씨발놈아", "ko"), ["씨발놈"]);
    assert_eq!(profanity("うるせえ、マザー・ファッカー!", "ja"), ["マザー・ファッカー"]);
}

#[test]
fn every_list_is_found_by_its_code_and_finds_its_own_terms() {
    assert!(LISTS.windows(2).all(|w| w[0].0 < w[1].0));
    for (code, list) in LISTS {
        let terms: Vec<&str> = list.lines().filter_map(|l| l.split_once('\t')).map(|(_, term)| term).collect();
        let found: usize = terms.iter().filter(|term| !profanity(term, code).is_empty()).count();
        assert_eq!((terms.is_empty(), found), (false, terms.len()), "{code}");
    }
    for (alias, code) in ALIASES {
        assert!(std::ptr::eq(lexicon(alias).unwrap(), lexicon(code).unwrap()));
    }
}

#[test]
fn hits_stand_where_the_words_are() {
    let text = format!("Ünï {0}, then {0}.", listed());
    let hits = lexicon("en").unwrap().hits(&text);
    assert!(hits.len() == 2 && hits.iter().all(|h| text[h.start..].starts_with(listed())));
}

#[test]
fn a_million_repeats_take_linear_time() {
    for unit in ["a", "s ", "1", "@", "*", "$!", "s1", "씨", "グ", "\u{301}", "ü", "x.", "妈"] {
        let time = |n: usize| {
            let text = unit.repeat(n);
            let start = Instant::now();
            profanity(&text, "und");
            profanity(&text, "ko");
            profanity(&text, "zh");
            start.elapsed().as_secs_f64()
        };
        let (one, four) = (time(250_000), time(1_000_000));
        assert!(four < 40.0 * one.max(0.001), "{unit}: {one} then {four}");
    }
}

proptest! {
    #[test]
    fn any_string_gives_listed_terms_at_sound_places(text in ".{0,200}|[sfhituck1!*$@ .\\-]{0,60}|\\PC{0,80}") {
        let may_hit = all_lexicons().may_hit(&text, &words(&text).collect::<Vec<_>>());
        for (code, list) in LISTS {
            for hit in lexicon(code).unwrap().hits(&text) {
                prop_assert!(may_hit);
                prop_assert!(text.is_char_boundary(hit.start));
                prop_assert!(list.contains(hit.term));
            }
        }
    }
}
