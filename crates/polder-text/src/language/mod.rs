//! Which natural language a text is in.
//!
//! [`detect_language`] asks the embedded model (`models/README.md`) by way of [`LanguageIdentifier`]: the script decides first, since most
//! scripts are written by one language; for the Latin, Cyrillic, Arabic and Devanagari scripts a linear classifier over n-grams of letters
//! does, trained by `benches/score/language.rs`. Source code, numbers and what is mostly not letters are undetermined.

mod prose;

use std::sync::LazyLock;

use unicode_script::Script;

use crate::classifier::{Classifier, ClassifierError};
use crate::script::ScriptCounts;
use prose::Prose;

/// The code of a text whose language can't be told, from ISO 639-2.
pub const UNDETERMINED: &str = "und";

/// A language and how sure the identifier is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DetectedLanguage {
    /// ISO 639-1 code where one exists, else ISO 639-3, or [`UNDETERMINED`].
    pub code: &'static str,
    /// Confidence from 0 to 1; 0 when undetermined.
    pub score: f64,
}

const UNKNOWN: DetectedLanguage = DetectedLanguage { code: UNDETERMINED, score: 0.0 };

/// Below this share of letters among visible characters a text is not prose, nor below that of letters in words.
const LETTERS_SHARE: f64 = 0.5;
const WORD_LETTERS_SHARE: f64 = 0.4;
/// Above this weight of programming marks per visible character a text is code.
const CODE_SHARE: f64 = 0.17;
/// Texts of fewer letters are believed to be in a language that is known.
const UNKNOWN_LETTERS_MIN: usize = 25;
/// An unknown language must be so likely beside the best of the known ones.
const UNKNOWN_FACTOR: f32 = 0.5;
/// And so likely where the best one's own small words are a good part of the text.
const SPOKEN_UNKNOWN_FACTOR: f32 = 4.0;
const SPOKEN_CODE_SHARE: f64 = 0.11;
const SPOKEN_SHARE: f64 = 0.25;
const SPOKEN_MIN: usize = 3;
/// Words that hold sentences together, and that few other languages have.
const SMALL_WORDS: [(&str, &str); 2] = [
    ("en", " the of and to is was it that for with as but are not be have had there from by at his her they you we this an on in "),
    ("de", " der die und ist nicht das ich ein eine zu mit den auf für von dem sich sie wir auch wie aber im es dass noch nur "),
];
/// Below this probability a verdict is not believed.
const SCORE_MIN: f32 = 0.1;

/// Scripts that one language is written in, of those that are written by many people.
const ONE_LANGUAGE: [(Script, &str); 24] = [
    (Script::Armenian, "hy"),
    (Script::Bengali, "bn"),
    (Script::Ethiopic, "am"),
    (Script::Georgian, "ka"),
    (Script::Greek, "el"),
    (Script::Gujarati, "gu"),
    (Script::Gurmukhi, "pa"),
    (Script::Han, "zh"),
    (Script::Hangul, "ko"),
    (Script::Hebrew, "he"),
    (Script::Hiragana, "ja"),
    (Script::Kannada, "kn"),
    (Script::Katakana, "ja"),
    (Script::Khmer, "km"),
    (Script::Lao, "lo"),
    (Script::Malayalam, "ml"),
    (Script::Myanmar, "my"),
    (Script::Oriya, "or"),
    (Script::Sinhala, "si"),
    (Script::Tamil, "ta"),
    (Script::Telugu, "te"),
    (Script::Thaana, "dv"),
    (Script::Thai, "th"),
    (Script::Tibetan, "bo"),
];

/// The languages that the classifier tells apart by script; any script may also hold an unknown one.
const CYRILLIC: &[&str] = &["be", "bg", "kk", "mk", "mn", "ru", "sr", "uk"];
const ARABIC: &[&str] = &["ar", "fa", "ur"];
const DEVANAGARI: &[&str] = &["hi", "mr"];
const LATIN: &[&str] = &[
    "af", "az", "bs", "ca", "cs", "cy", "da", "de", "en", "eo", "es", "et", "eu", "fi", "fr", "ga", "hr", "hu", "id", "is", "it", "la",
    "lg", "lt", "lv", "mi", "ms", "nb", "nl", "nn", "pl", "pt", "ro", "sk", "sl", "sn", "so", "sq", "st", "sv", "sw", "tl", "tn", "tr",
    "ts", "vi", "xh", "yo", "zu",
];

fn languages_of(script: Script) -> &'static [&'static str] {
    match script {
        Script::Latin => LATIN,
        Script::Cyrillic => CYRILLIC,
        Script::Arabic => ARABIC,
        Script::Devanagari => DEVANAGARI,
        _ => &[],
    }
}

/// Tells the language of texts by a classifier whose labels are language codes and [`UNDETERMINED`].
#[derive(Clone, Debug)]
pub struct LanguageIdentifier {
    classifier: Classifier,
    /// For each label of the classifier, its code and script.
    codes: Vec<(&'static str, Option<Script>)>,
}

impl LanguageIdentifier {
    /// Uses a classifier; its labels other than the codes that are known here are never answered.
    pub fn new(classifier: Classifier) -> Self {
        let code_of = |label: &String| {
            for script in [Script::Latin, Script::Cyrillic, Script::Arabic, Script::Devanagari] {
                if let Some(code) = languages_of(script).iter().find(|code| *code == label) {
                    return (*code, Some(script));
                }
            }
            (UNDETERMINED, None)
        };
        Self { codes: classifier.labels().iter().map(code_of).collect(), classifier }
    }

    /// The identifier that this crate carries.
    ///
    /// # Errors
    /// None, as long as the crate is whole.
    pub fn embedded() -> Result<Self, ClassifierError> {
        Classifier::from_bytes(include_bytes!("../../models/language.model")).map(Self::new)
    }

    /// The words of a text that the classifier sees: what it is trained on has to come from here.
    pub fn words(text: &str) -> String {
        Prose::of(text).words
    }

    /// Identifies the language of a text; the empty text is undetermined.
    pub fn detect(&self, text: &str) -> DetectedLanguage {
        let prose = Prose::of(text);
        let share = |n: usize| n as f64 / prose.n_visible.max(1) as f64;
        if prose.n_word_letters == 0
            || share(prose.n_letters) < LETTERS_SHARE
            || share(prose.n_word_letters) < WORD_LETTERS_SHARE
            || share(prose.code_weight) > CODE_SHARE
        {
            return UNKNOWN;
        }
        let scripts = ScriptCounts::of(&prose.words);
        let Some((script, share)) = scripts.dominant_by(information) else { return UNKNOWN };
        if let Some((_, code)) = ONE_LANGUAGE.iter().find(|(of, _)| *of == script) {
            return DetectedLanguage { code: variant(code, &prose.words), score: share };
        }
        self.among(script, &prose, share)
    }

    /// Decides among the languages of a script.
    fn among(&self, script: Script, prose: &Prose, share: f64) -> DetectedLanguage {
        let mut scores = Vec::new();
        if self.classifier.scores(&prose.words, &mut scores) == 0 {
            return UNKNOWN;
        }
        let (mut best, mut best_score, mut sum, mut unknown) = (UNDETERMINED, 0.0, 0.0, 0.0);
        for (score, (code, of)) in scores.iter().zip(&self.codes) {
            if of.is_none() {
                unknown += score;
            } else if *of == Some(script) {
                sum += score;
                if *score > best_score {
                    (best, best_score) = (code, *score);
                }
            }
        }
        if prose.n_word_letters < UNKNOWN_LETTERS_MIN {
            unknown = 0.0;
        }
        let score = best_score / (sum + unknown).max(f32::MIN_POSITIVE);
        let is_plain = (prose.code_weight as f64) < SPOKEN_CODE_SHARE * prose.n_visible as f64;
        let factor = if is_plain && is_spoken(best, &prose.words) { SPOKEN_UNKNOWN_FACTOR } else { UNKNOWN_FACTOR };
        if unknown > best_score * factor || score < SCORE_MIN {
            return UNKNOWN;
        }
        DetectedLanguage { code: best, score: f64::from(score).clamp(0.0, 1.0) * share }
    }
}

/// Whether a text has enough of a language's small words to be in it, and in none that nobody here knows.
fn is_spoken(code: &str, words: &str) -> bool {
    let Some((_, small)) = SMALL_WORDS.iter().find(|(of, _)| *of == code) else { return false };
    let (mut n, mut n_small) = (0usize, 0usize);
    for word in words.split_whitespace().take(200) {
        let word = word.trim_matches(|c: char| !c.is_alphabetic());
        n += usize::from(!word.is_empty());
        n_small += usize::from(word.len() < 8 && !word.is_empty() && small.contains(&format!(" {} ", word.to_lowercase())));
    }
    n_small >= SPOKEN_MIN && n_small as f64 >= SPOKEN_SHARE * n as f64
}

/// How much a character of a script says: those that write syllables and words take fewer of them.
fn information(script: Script) -> usize {
    match script {
        Script::Han | Script::Hangul | Script::Hiragana | Script::Katakana => 3,
        _ => 1,
    }
}

/// Letters that mark a second language of a script.
fn variant(code: &'static str, words: &str) -> &'static str {
    let share = |is: fn(char) -> bool| {
        let (n, all) = words.chars().fold((0usize, 0usize), |(n, all), c| (n + usize::from(is(c)), all + usize::from(c != ' ')));
        n as f64 / all.max(1) as f64
    };
    match code {
        // Assamese has letters for r and w of its own.
        "bn" if share(|c| matches!(c, 'ৰ' | 'ৱ')) > 0.01 => "as",
        // Yiddish writes e by the letter that is rare in Hebrew, and has letters of two.
        "he" if share(|c| matches!(c, 'ע' | 'װ' | 'ױ' | 'ײ')) > 0.09 => "yi",
        _ => code,
    }
}

static EMBEDDED: LazyLock<Option<LanguageIdentifier>> = LazyLock::new(|| LanguageIdentifier::embedded().ok());

/// Identifies the language of a text by the embedded model; the empty text is undetermined.
///
/// The score says how sure that is: above 0.9 it is hardly ever wrong; of single words it is often low.
pub fn detect_language(text: &str) -> DetectedLanguage {
    EMBEDDED.as_ref().map_or(UNKNOWN, |identifier| identifier.detect(text))
}
