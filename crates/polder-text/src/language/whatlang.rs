//! Which natural language a text is in.
//!
//! The identifier is the crate whatlang; this module chooses what it sees and what it is believed. It sees a sample of
//! fixed size, taken at even distances, so that long texts cost no more than short ones. Source code and
//! text that is mostly not letters are undetermined: their keywords would pass as English.

use ::whatlang::{Lang, Script, detect};

use super::DetectedLanguage;

use super::UNDETERMINED;

/// Windows of a sample, and their length in bytes.
const N_WINDOWS: usize = 6;
const WINDOW_BYTES: usize = 256;
/// Below this share of letters among non-blank characters a text is not prose.
const LETTERS_SHARE: f64 = 0.6;
/// Above this weight of programming marks per non-blank character a text is code.
const CODE_SHARE: f64 = 0.17;
/// Letters that a verdict needs; scripts that whatlang can tell apart by themselves need fewer.
const LETTERS_MIN: usize = 12;
/// Below this confidence a verdict is not believed.
const CONFIDENCE_MIN: f64 = 0.2;
/// Words that are English and nothing else, and the share of them that makes short technical prose English.
const ENGLISH_WORDS: [&str; 8] = ["the", "and", "of", "this", "with", "that", "are", "you"];
const ENGLISH_SHARE: f64 = 0.08;

const UNKNOWN: DetectedLanguage = DetectedLanguage { code: UNDETERMINED, score: 0.0 };

/// Identifies the language of a text; the empty text is undetermined.
pub(super) fn detect_language(text: &str) -> DetectedLanguage {
    let sample = sample(text);
    if sample.n_letters < LETTERS_MIN / 3
        || (sample.n_letters as f64) < LETTERS_SHARE * sample.n_visible as f64
        || sample.code_weight as f64 > CODE_SHARE * sample.n_visible as f64
    {
        return UNKNOWN;
    }
    let Some(info) = detect(&sample.words) else { return UNKNOWN };
    let alphabet_of_many = matches!(info.script(), Script::Latin | Script::Cyrillic | Script::Arabic | Script::Devanagari);
    let believed = info.is_reliable() || info.confidence() >= CONFIDENCE_MIN;
    if info.script() == Script::Latin && !info.is_reliable() && reads_english(&sample.words) {
        return DetectedLanguage { code: "en", score: info.confidence().clamp(0.5, 1.0) };
    }
    if alphabet_of_many && (sample.n_letters < LETTERS_MIN || !believed) {
        return UNKNOWN;
    }
    DetectedLanguage { code: code_of(info.lang()), score: info.confidence().clamp(0.0, 1.0) }
}

/// Names of packages and types pull short technical prose towards any language; its function words don't.
fn reads_english(words: &str) -> bool {
    let (mut n_words, mut n_english) = (0usize, 0usize);
    for word in words.split(' ').filter(|w| !w.is_empty()) {
        n_words += 1;
        n_english += usize::from(ENGLISH_WORDS.iter().any(|e| word.eq_ignore_ascii_case(e)));
    }
    n_english >= 2 && n_english as f64 >= ENGLISH_SHARE * n_words as f64
}

struct Sample {
    /// Letters and apostrophes of the windows, with single spaces between.
    words: String,
    n_letters: usize,
    n_visible: usize,
    /// Sum of [`code_weight`] over the windows.
    code_weight: usize,
}

fn sample(text: &str) -> Sample {
    let mut sample = Sample { words: String::with_capacity(N_WINDOWS * WINDOW_BYTES), n_letters: 0, n_visible: 0, code_weight: 0 };
    if text.len() <= N_WINDOWS * WINDOW_BYTES {
        sample.add(text);
        return sample;
    }
    let stride = (text.len() - WINDOW_BYTES) / (N_WINDOWS - 1);
    for i in 0..N_WINDOWS {
        let start = text.floor_char_boundary(i * stride);
        let end = text.floor_char_boundary(start + WINDOW_BYTES);
        let window = text.get(start..end).unwrap_or_default();
        // Words cut in two at the window's ends would look foreign.
        let window = if i == 0 { window } else { window.split_once(char::is_whitespace).map_or(window, |(_, rest)| rest) };
        let window = if end == text.len() { window } else { window.rsplit_once(char::is_whitespace).map_or(window, |(rest, _)| rest) };
        sample.add(window);
    }
    sample
}

impl Sample {
    fn add(&mut self, window: &str) {
        for token in window.split_whitespace() {
            // Addresses, paths and identifiers belong to no language.
            let is_name = token.contains("://") || token.contains("::") || token.contains('@') || token.contains('_');
            let mut wrote = false;
            for c in token.chars() {
                self.n_visible += 1;
                if c.is_alphabetic() {
                    self.n_letters += 1;
                } else {
                    self.code_weight += code_weight(c);
                }
                if !is_name {
                    if c.is_alphabetic() || matches!(c, '\'' | '’') || !(c.is_ascii() || c.is_numeric() || c.is_whitespace()) {
                        self.words.push(c);
                        wrote = true;
                    } else if wrote && !self.words.ends_with(' ') {
                        self.words.push(' ');
                    }
                }
            }
            if wrote && !self.words.ends_with(' ') {
                self.words.push(' ');
            }
        }
    }
}

/// How much a mark speaks for code: Markdown is full of brackets, prose has hardly any of the others.
fn code_weight(c: char) -> usize {
    match c {
        ';' | '=' => 4,
        '{' | '}' | '<' | '>' | '_' | '&' | '|' | '\\' | '$' | '%' => 2,
        '(' | ')' | '[' | ']' | ':' => 1,
        _ => 0,
    }
}

/// ISO 639-1 where the language has one. Individual languages stand for their macrolanguages: Mandarin
/// for Chinese, Iranian Persian for Persian, Bokmål for itself (`nb`).
fn code_of(lang: Lang) -> &'static str {
    match lang {
        Lang::Epo => "eo",
        Lang::Eng => "en",
        Lang::Rus => "ru",
        Lang::Cmn => "zh",
        Lang::Spa => "es",
        Lang::Por => "pt",
        Lang::Ita => "it",
        Lang::Ben => "bn",
        Lang::Fra => "fr",
        Lang::Deu => "de",
        Lang::Ukr => "uk",
        Lang::Kat => "ka",
        Lang::Ara => "ar",
        Lang::Hin => "hi",
        Lang::Jpn => "ja",
        Lang::Heb => "he",
        Lang::Yid => "yi",
        Lang::Pol => "pl",
        Lang::Amh => "am",
        Lang::Jav => "jv",
        Lang::Kor => "ko",
        Lang::Nob => "nb",
        Lang::Dan => "da",
        Lang::Swe => "sv",
        Lang::Fin => "fi",
        Lang::Tur => "tr",
        Lang::Nld => "nl",
        Lang::Hun => "hu",
        Lang::Ces => "cs",
        Lang::Ell => "el",
        Lang::Bul => "bg",
        Lang::Bel => "be",
        Lang::Mar => "mr",
        Lang::Kan => "kn",
        Lang::Ron => "ro",
        Lang::Slv => "sl",
        Lang::Hrv => "hr",
        Lang::Srp => "sr",
        Lang::Mkd => "mk",
        Lang::Lit => "lt",
        Lang::Lav => "lv",
        Lang::Est => "et",
        Lang::Tam => "ta",
        Lang::Vie => "vi",
        Lang::Urd => "ur",
        Lang::Tha => "th",
        Lang::Guj => "gu",
        Lang::Uzb => "uz",
        Lang::Pan => "pa",
        Lang::Aze => "az",
        Lang::Ind => "id",
        Lang::Tel => "te",
        Lang::Pes => "fa",
        Lang::Mal => "ml",
        Lang::Ori => "or",
        Lang::Mya => "my",
        Lang::Nep => "ne",
        Lang::Sin => "si",
        Lang::Khm => "km",
        Lang::Tuk => "tk",
        Lang::Aka => "ak",
        Lang::Zul => "zu",
        Lang::Sna => "sn",
        Lang::Afr => "af",
        Lang::Lat => "la",
        Lang::Slk => "sk",
        Lang::Cat => "ca",
        Lang::Tgl => "tl",
        Lang::Hye => "hy",
        Lang::Cym => "cy",
    }
}
