//! Profanity by word lists, one a language: which listed terms stand in a text, whole words only, through common disguises.
//!
//! A list knows words, not intentions: insults without swear words pass, quotations don't. [`hap`](crate::hap()) judges sentences.
//! Start with [`profanity`]; `lexicon.rs` matches words, `disguise.rs` sees through `sh1t` and the like.

mod disguise;
mod lexicon;

use std::collections::HashSet;
use std::sync::{LazyLock, OnceLock};

pub(crate) use lexicon::{Hit, Lexicon};

/// Lists by language, each term with a weight: 1 where hardly any other meaning is in use, less where ordinary text uses it innocently.
const LISTS: [(&str, &str); 27] = [
    ("ar", include_str!("../../lists/profanity_ar.txt")),
    ("cs", include_str!("../../lists/profanity_cs.txt")),
    ("da", include_str!("../../lists/profanity_da.txt")),
    ("de", include_str!("../../lists/profanity_de.txt")),
    ("en", include_str!("../../lists/profanity_en.txt")),
    ("eo", include_str!("../../lists/profanity_eo.txt")),
    ("es", include_str!("../../lists/profanity_es.txt")),
    ("fa", include_str!("../../lists/profanity_fa.txt")),
    ("fi", include_str!("../../lists/profanity_fi.txt")),
    ("fil", include_str!("../../lists/profanity_fil.txt")),
    ("fr", include_str!("../../lists/profanity_fr.txt")),
    ("hi", include_str!("../../lists/profanity_hi.txt")),
    ("hu", include_str!("../../lists/profanity_hu.txt")),
    ("it", include_str!("../../lists/profanity_it.txt")),
    ("ja", include_str!("../../lists/profanity_ja.txt")),
    ("kab", include_str!("../../lists/profanity_kab.txt")),
    ("ko", include_str!("../../lists/profanity_ko.txt")),
    ("nl", include_str!("../../lists/profanity_nl.txt")),
    ("no", include_str!("../../lists/profanity_no.txt")),
    ("pl", include_str!("../../lists/profanity_pl.txt")),
    ("pt", include_str!("../../lists/profanity_pt.txt")),
    ("ru", include_str!("../../lists/profanity_ru.txt")),
    ("sv", include_str!("../../lists/profanity_sv.txt")),
    ("th", include_str!("../../lists/profanity_th.txt")),
    ("tlh", include_str!("../../lists/profanity_tlh.txt")),
    ("tr", include_str!("../../lists/profanity_tr.txt")),
    ("zh", include_str!("../../lists/profanity_zh.txt")),
];

/// Other codes of languages that have a list: ISO 639-3, and what a list's language includes.
const ALIASES: [(&str, &str); 35] = [
    ("ara", "ar"),
    ("arb", "ar"),
    ("ces", "cs"),
    ("cmn", "zh"),
    ("dan", "da"),
    ("deu", "de"),
    ("eng", "en"),
    ("epo", "eo"),
    ("fas", "fa"),
    ("fin", "fi"),
    ("fra", "fr"),
    ("hin", "hi"),
    ("hun", "hu"),
    ("ita", "it"),
    ("jpn", "ja"),
    ("kor", "ko"),
    ("nb", "no"),
    ("nld", "nl"),
    ("nn", "no"),
    ("nno", "no"),
    ("nob", "no"),
    ("nor", "no"),
    ("pes", "fa"),
    ("pol", "pl"),
    ("por", "pt"),
    ("prs", "fa"),
    ("rus", "ru"),
    ("spa", "es"),
    ("swe", "sv"),
    ("tgl", "fil"),
    ("tha", "th"),
    ("tl", "fil"),
    ("tur", "tr"),
    ("yue", "zh"),
    ("zho", "zh"),
];

/// Returns a language's list; that of English and German together for an empty or undetermined language.
pub(crate) fn lexicon(language: &str) -> Option<&'static Lexicon> {
    static BY_LANGUAGE: [OnceLock<Lexicon>; LISTS.len()] = [const { OnceLock::new() }; LISTS.len()];
    static BOTH: OnceLock<Lexicon> = OnceLock::new();
    let code = language.split(['-', '_']).next().unwrap_or_default();
    if language.is_empty() || code.eq_ignore_ascii_case("und") {
        let both: Vec<&str> = LISTS.iter().filter(|(code, _)| matches!(*code, "de" | "en")).map(|(_, list)| *list).collect();
        return Some(BOTH.get_or_init(|| Lexicon::parse(&both)));
    }
    let listed = |code: &str| LISTS.iter().position(|(listed, _)| listed.eq_ignore_ascii_case(code));
    let alias = || ALIASES.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(code));
    let i = listed(code).or_else(|| listed(alias()?.1))?;
    Some(BY_LANGUAGE[i].get_or_init(|| Lexicon::parse(&[LISTS[i].1])))
}

/// Returns all lists in one: what it may have no hit in, none has.
pub(crate) fn all_lexicons() -> &'static Lexicon {
    static ALL: LazyLock<Lexicon> = LazyLock::new(|| Lexicon::parse(&LISTS.map(|(_, list)| list)));
    &ALL
}

/// Terms of other languages that are words or names in English, too.
const HARMLESS: [&str; 10] = ["chutia", "cozza", "criss", "fiki", "fiku", "kloten", "paska", "perse", "pina", "slet"];
/// Shortest such term that is looked for in what may be English, in bytes.
const FOREIGN_BYTES_MIN: usize = 4;

/// Returns the terms in ASCII letters of the lists of all languages but English and German that mean nothing else in English.
pub(crate) fn foreign_lexicon() -> &'static Lexicon {
    static FOREIGN: LazyLock<Lexicon> = LazyLock::new(|| {
        let (own, others): (Vec<_>, Vec<_>) = LISTS.into_iter().partition(|(code, _)| matches!(*code, "de" | "en"));
        let term = |line: &'static str| line.split_once('\t').map(|(_, term)| term);
        let known: HashSet<&str> = own.iter().flat_map(|(_, list)| list.lines()).filter_map(term).chain(HARMLESS).collect();
        let is_foreign = |term: &str| term.is_ascii() && term.len() >= FOREIGN_BYTES_MIN && !known.contains(term);
        let lines = others.iter().flat_map(|(_, list)| list.lines());
        Lexicon::of_lines(lines.filter(|line| line.starts_with("1\t") && term(line).is_some_and(is_foreign)))
    });
    &FOREIGN
}

/// Returns the listed terms in a text, each once, in order of first appearance.
///
/// 27 languages have lists, by their codes of ISO 639-1 or 639-3 in letters of either case; what follows a hyphen is ignored. An empty or
/// undetermined (`und`) language is matched against the English and German lists; a language without a list gives nothing.
pub fn profanity(text: &str, language: &str) -> Vec<&'static str> {
    let mut found: Vec<&'static str> = Vec::new();
    let Some(lexicon) = lexicon(language) else { return found };
    for hit in lexicon.hits(text) {
        if !found.contains(&hit.term) {
            found.push(hit.term);
        }
    }
    found
}

#[cfg(test)]
mod tests;
