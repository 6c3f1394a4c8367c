//! Which programming, data or markup language a file is in, by Linguist's names, and `Ansible` beside them.
//!
//! A file's name decides, then its ending. Where several languages share either, or none has it, a file says itself what it is (a
//! modeline, the program in its first line), or the text decides among them: lines that only one of them has, and a classifier trained on
//! Linguist's samples. Without a name that says anything, the text decides alone: by how formats begin, then prose told from code, then
//! the classifier over all its languages.
//!
//! Bounded: of a long text the first [`LOOK_BYTES`] are looked into, the first [`CLASSIFIER_BYTES`] by the classifier, and the last
//! [`TAIL_BYTES`] for a modeline.

mod ansible;
mod evidence;
mod first_line;
mod names;
mod prose;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use crate::classifier::Classifier;
use names::{LanguageIdx, Names};
use prose::{Prose, prose};

/// Bytes of a text's beginning that are looked into.
pub const LOOK_BYTES: usize = 64 << 10;
/// Bytes of a text's beginning that the classifier reads.
pub const CLASSIFIER_BYTES: usize = 16 << 10;
/// Bytes of a text's end in which a modeline may stand.
pub const TAIL_BYTES: usize = 1 << 10;

/// Of a longer name the end counts: no file system has one.
const NAME_BYTES_MAX: usize = 255;

/// Below this probability the text alone doesn't tell its language: there are 760, so the best of them may have little. A name that isn't
/// known may be of a format that isn't either, which takes more.
const PROBABILITY_MIN: f32 = 0.002;
const PROBABILITY_OF_UNKNOWN_NAME: f32 = 0.2;
/// What is less likely by so much than the likeliest isn't weighed.
const PROBABILITY_NEGLIGIBLE: f32 = 1e-3;
/// What it takes to call a text file code, and prose markup or code.
const PROBABILITY_AGAINST_NAME: f32 = 0.5;
const PROBABILITY_AGAINST_PROSE: f32 = 0.9;
/// No candidate is less likely: a language that the classifier doesn't know may still be the one.
const PROBABILITY_FLOOR: f32 = 1e-3;
/// Shorter texts are not shown to the classifier.
const CLASSIFIER_BYTES_MIN: usize = 24;
/// How much likelier the language is whose first ending a file has.
const FIRST_ENDING: f32 = 1.0;
/// How much more lines of evidence say than the classifier, and how many say all there is to say.
const EVIDENCE_WEIGHT: f32 = 0.7;
const EVIDENCE_LINES_MAX: usize = 6;

static CLASSIFIER: LazyLock<Option<Classifier>> =
    LazyLock::new(|| Classifier::from_bytes(include_bytes!("../../models/programming_language.model")).ok());

/// Names the language of a file; none where neither name nor text tells.
///
/// Either part may be empty. Prose is `Markdown`, `Text` or another of Linguist's languages of type `prose`; see
/// [`programming_language_type`].
pub fn programming_language(path: &str, text: &str) -> Option<&'static str> {
    programming_language_by(CLASSIFIER.as_ref(), path, text)
}

/// Linguist's type of a language: `data`, `markup`, `programming` or `prose`. None for a name that is no language's.
pub fn programming_language_type(name: &str) -> Option<&'static str> {
    if name == ANSIBLE { Some("data") } else { Names::get().kind(name) }
}

const ANSIBLE: &str = "Ansible";
const TEXT: &str = "Text";

/// What [`programming_language`] does with another classifier than the embedded one, or with none: to score one on texts that it wasn't
/// trained on.
pub fn programming_language_by(classifier: Option<&Classifier>, path: &str, text: &str) -> Option<&'static str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let tail = text.get(text.ceil_char_boundary(text.len().saturating_sub(TAIL_BYTES))..).unwrap_or_default();
    let text = look(text, LOOK_BYTES);
    let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
    let name = name.get(name.ceil_char_boundary(name.len().saturating_sub(NAME_BYTES_MAX))..).unwrap_or_default();
    let file = File { classifier, name, text, tail };
    let language = file.language()?;
    Some(if language == "YAML" && ansible::is_ansible(&path.replace('\\', "/"), text) { ANSIBLE } else { language })
}

/// What the classifier reads of a text.
pub fn classifier_text(text: &str) -> &str {
    look(text.strip_prefix('\u{feff}').unwrap_or(text), CLASSIFIER_BYTES)
}

fn look(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or_default()
}

struct File<'a> {
    classifier: Option<&'a Classifier>,
    name: &'a str,
    text: &'a str,
    tail: &'a str,
}

impl File<'_> {
    fn language(&self) -> Option<&'static str> {
        let names = Names::get();
        if let Some(language) = self.of_long_name() {
            return Some(language);
        }
        let mut candidates = names.of_file_name(self.name);
        if candidates.is_empty() {
            candidates = names.of_ending(self.name);
        }
        let is_text = candidates.iter().any(|idx| names.name(*idx) == TEXT);
        if let [only] = candidates
            && !is_text
        {
            return Some(names.name(*only));
        }
        if let Some(language) = first_line::of_modeline(self.text, self.tail) {
            return Some(names.name(language));
        }
        let run_by = first_line::of_shebang(self.text);
        let both: Vec<LanguageIdx> = run_by.iter().filter(|idx| candidates.contains(idx)).copied().collect();
        if !both.is_empty() {
            return self.among(&both);
        }
        if !run_by.is_empty() && (candidates.is_empty() || is_text) {
            return self.among(run_by);
        }
        match candidates {
            [] => self.of_text(),
            several if is_text => self.of_text_file(several),
            several => self.among(several),
        }
    }

    /// Names whose beginning says what they are, `Dockerfile.dev`, and templates and copies: `config.toml.in`.
    fn of_long_name(&self) -> Option<&'static str> {
        let lower = self.name.to_lowercase();
        if lower.starts_with("dockerfile.") || lower.starts_with("containerfile.") {
            return Some("Dockerfile");
        }
        let (stem, ending) = lower.rsplit_once('.')?;
        let is_copy = ["in", "tmpl", "template", "dist", "example", "sample", "orig", "bak"].contains(&ending);
        if !is_copy || !Names::get().of_ending(&lower).is_empty() || Names::get().of_ending(stem).is_empty() {
            return None;
        }
        File { name: stem, ..*self }.language()
    }

    /// The likeliest of several languages.
    fn among(&self, candidates: &[LanguageIdx]) -> Option<&'static str> {
        let names = Names::get();
        let has = |name: &str| candidates.iter().any(|idx| names.name(*idx) == name);
        if self.text.trim().is_empty() {
            return self.most_common(candidates);
        }
        if let Some(language) = evidence::settled(self.text, has) {
            return Some(language);
        }
        let probabilities = if candidates.len() > 1 && !self.is_short() { self.probabilities() } else { None };
        let score = |idx: LanguageIdx| {
            let name = names.name(idx);
            let n_lines = evidence::n_lines(name, self.text).min(EVIDENCE_LINES_MAX) as f32;
            let probability = probabilities.as_ref().map_or(0.0, |p| p(name)).max(PROBABILITY_FLOOR);
            probability.ln() + self.prior(idx) + EVIDENCE_WEIGHT * n_lines
        };
        let possible = candidates.iter().filter(|idx| !evidence::is_ruled_out(names.name(**idx), self.text));
        let best = possible.map(|idx| (score(*idx), *idx)).max_by(|a, b| a.0.total_cmp(&b.0));
        best.map_or_else(|| self.most_common(candidates), |(_, idx)| Some(names.name(idx)))
    }

    /// Which of several languages a file without text is in.
    fn most_common(&self, candidates: &[LanguageIdx]) -> Option<&'static str> {
        let best = candidates.iter().map(|idx| (self.prior(*idx), *idx)).max_by(|a, b| a.0.total_cmp(&b.0))?;
        Some(Names::get().name(best.1))
    }

    /// How much likelier a language is than others before the text is read, as a logarithm.
    fn prior(&self, idx: LanguageIdx) -> f32 {
        let names = Names::get();
        let name = names.name(idx);
        let common = names.how_common(idx).ln();
        if names.is_first_ending(idx, self.name) {
            common + FIRST_ENDING
        } else if names.of_ending(self.name).is_empty() {
            common
        } else if matches!(names.kind(name), Some("data" | "prose")) {
            // A format of data has any number of endings, each of them seldom.
            0.0
        } else if name == "C" {
            // Headers: C and C++ are about as common, and what has nothing of C++'s is rather C's.
            common + 0.5
        } else {
            common
        }
    }

    /// Whether there is too little text for the classifier.
    fn is_short(&self) -> bool {
        self.text.trim().len() < CLASSIFIER_BYTES_MIN
    }

    /// A file whose name says text: it is, unless it is plainly something else.
    fn of_text_file(&self, candidates: &[LanguageIdx]) -> Option<&'static str> {
        if prose(self.text).is_some() {
            return Some(TEXT);
        }
        if let Some(language) = evidence::of_beginning(self.text) {
            return Some(language);
        }
        if prose::is_code(self.text)
            && let Some((language, probability)) = self.classified()
            && probability >= PROBABILITY_AGAINST_NAME
        {
            return Some(language);
        }
        self.among(candidates)
    }

    /// The language by the text alone.
    fn of_text(&self) -> Option<&'static str> {
        if self.text.trim().is_empty() {
            return None;
        }
        if let Some(language) = evidence::of_beginning(self.text) {
            return Some(language);
        }
        let plain = prose(self.text).map(|kind| if kind == Prose::Markdown { "Markdown" } else { TEXT });
        let classified = self.classified();
        let Some(plain) = plain else {
            let least = if self.name.is_empty() { PROBABILITY_MIN } else { PROBABILITY_OF_UNKNOWN_NAME };
            return classified.filter(|(_, probability)| *probability >= least).map(|(language, _)| language);
        };
        // Markup is prose with few marks, and code may be mostly comments: a sure classifier knows better.
        Some(classified.filter(|(_, probability)| *probability >= PROBABILITY_AGAINST_PROSE).map_or(plain, |(language, _)| language))
    }

    /// What the classifier and how common languages are make likeliest, and how sure that is.
    fn classified(&self) -> Option<(&'static str, f32)> {
        if self.is_short() {
            return None;
        }
        let classifier = self.classifier?;
        let names = Names::get();
        let mut scores = Vec::new();
        classifier.scores(look(self.text, CLASSIFIER_BYTES), &mut scores);
        let most = scores.iter().copied().fold(0.0, f32::max);
        let (mut best, mut sum) = (None, 0.0);
        for (label, probability) in classifier.labels().iter().zip(scores) {
            // Too unlikely to win or to matter, however common: few languages are looked up.
            if probability < most * PROBABILITY_NEGLIGIBLE {
                sum += probability;
                continue;
            }
            let Some(idx) = names.idx(label) else { continue };
            let score = probability * names.how_common(idx);
            sum += score;
            if best.is_none_or(|(_, most)| score > most) && !evidence::is_ruled_out(names.name(idx), self.text) {
                best = Some((idx, score));
            }
        }
        best.map(|(idx, score)| (names.name(idx), score / sum))
    }

    /// The classifier's probability of a language, by its name.
    fn probabilities(&self) -> Option<impl Fn(&str) -> f32> {
        let classifier = self.classifier?;
        let mut scores = Vec::new();
        classifier.scores(look(self.text, CLASSIFIER_BYTES), &mut scores);
        Some(move |name: &str| {
            let found = classifier.labels().binary_search_by(|label| label.as_str().cmp(name));
            found.ok().and_then(|i| scores.get(i)).copied().unwrap_or(0.0)
        })
    }
}
