//! Whether a text is worth reading: the rule sets of Gopher, C4, FineWeb and RefinedWeb, each in the dialects of the tools that run them.
//!
//! The rules have one paper each, and one reading per tool: what a word is, where a line ends, which occurrences of a repeated line
//! count, what is divided by what. A [`Dialect`] names the tool whose figures, limits, order and reason names are reproduced. Every
//! function returns all its figures with the verdict, so that other limits are a comparison away; the defaults stand at each function.
//! The rules are made for prose, those of every dialect but [`Dialect::Polder`] for English prose.
//!
//! What tools answer to the empty text differs or fails; here it is never kept.

mod c4;
mod characters;
mod english_words;
mod fineweb;
mod gopher;
mod lines;
mod ngrams;
mod refinedweb;
mod repetition;
mod spans;
mod stop_words;
mod web_address;

use std::cell::{Cell, OnceCell};

pub use c4::{C4_DIALECTS, C4Quality, c4_quality};
pub use fineweb::{FINEWEB_DIALECTS, FinewebQuality, fineweb_quality};
pub use gopher::{GOPHER_DIALECTS, GopherQuality, gopher_quality};
pub use refinedweb::{REFINEDWEB_DIALECTS, RefinedwebQuality, refinedweb_quality};
pub use repetition::{GopherRepetition, REPETITION_DIALECTS, gopher_repetition};

use lines::Lines;
use spans::Span;

/// Whose reading of the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// datatrove, which made FineWeb.
    Datatrove,
    /// datatrove as FineWeb ran it: C4's rules without the one on the ends of lines.
    Fineweb,
    /// Dolma, version 1.6.
    Dolma,
    /// DCLM, which rebuilt RefinedWeb.
    Dclm,
    /// NeMo Curator, its filters for English.
    Curator,
    /// Polder's own: words of all scripts, stop words of several languages.
    Polder,
}

const NAMES: [(Dialect, &str); 6] = [
    (Dialect::Datatrove, "datatrove"),
    (Dialect::Fineweb, "fineweb"),
    (Dialect::Dolma, "dolma"),
    (Dialect::Dclm, "dclm"),
    (Dialect::Curator, "curator"),
    (Dialect::Polder, "polder"),
];

/// A rule set was asked for in a dialect that it isn't known in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no dialect `{name}`, it knows {}", list(known))]
pub struct DialectError {
    /// What was asked for.
    pub name: String,
    /// What there is.
    pub known: &'static [Dialect],
}

fn list(dialects: &[Dialect]) -> String {
    dialects.iter().map(|d| format!("`{}`", d.name())).collect::<Vec<_>>().join(", ")
}

impl Dialect {
    /// The name by which SQL calls it.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(d, _)| *d == self).map_or("", |(_, name)| name)
    }

    /// Finds a dialect among those that a function knows.
    ///
    /// # Errors
    /// The function doesn't know it.
    pub fn parse(name: &str, known: &'static [Dialect]) -> Result<Self, DialectError> {
        let found = NAMES.iter().find(|(d, n)| *n == name && known.contains(d));
        found.map(|(d, _)| *d).ok_or_else(|| DialectError { name: name.to_owned(), known })
    }

    fn among(self, known: &'static [Dialect]) -> Result<Self, DialectError> {
        Self::parse(self.name(), known)
    }
}

/// The verdicts of four rule sets in datatrove's dialect.
#[derive(Clone, Debug, PartialEq)]
pub struct Quality {
    /// Whether all four keep it.
    pub keep: bool,
    /// The first reason against it, in FineWeb's order: repetition, Gopher, C4, FineWeb.
    pub reason: Option<&'static str>,
    /// See [`gopher_repetition`].
    pub gopher_repetition: GopherRepetition,
    /// See [`gopher_quality`].
    pub gopher_quality: GopherQuality,
    /// See [`c4_quality`].
    pub c4_quality: C4Quality,
    /// See [`fineweb_quality`].
    pub fineweb_quality: FinewebQuality,
}

/// Judges a text by the rules of Gopher (repetition and quality), C4 and FineWeb at once, in the dialects `datatrove` and `fineweb`.
///
/// The four see the text as it came; FineWeb's own pipeline gives each what C4's rules left of it. C4's rules let lines end in any way,
/// as there.
pub fn quality(text: &str) -> Quality {
    let analysis = Analysis::new(text);
    let gopher_repetition = repetition::datatrove(&analysis);
    let gopher_quality = gopher::datatrove(&analysis);
    let c4_quality = c4::datatrove(&analysis, false);
    let fineweb_quality = fineweb::datatrove(&analysis);
    let reason = gopher_repetition.reason.or(gopher_quality.reason).or(c4_quality.reason).or(fineweb_quality.reason);
    Quality { keep: reason.is_none(), reason, gopher_repetition, gopher_quality, c4_quality, fineweb_quality }
}

/// A text and what several rules ask of it, found out once.
struct Analysis<'a> {
    text: &'a str,
    english_words: OnceCell<Vec<Span>>,
    words_between_spaces: OnceCell<Vec<Span>>,
    n_chars: OnceCell<usize>,
    lines: OnceCell<Lines>,
    python_lines: OnceCell<Vec<&'a str>>,
}

impl<'a> Analysis<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            english_words: OnceCell::new(),
            words_between_spaces: OnceCell::new(),
            n_chars: OnceCell::new(),
            lines: OnceCell::new(),
            python_lines: OnceCell::new(),
        }
    }

    /// Words as datatrove's tokenizer cuts them.
    fn english_words(&self) -> &[Span] {
        self.english_words.get_or_init(|| {
            let mut words = SPARE_WORDS.take();
            english_words::english_words_into(self.text, &mut words);
            words
        })
    }

    fn words_between_spaces(&self) -> &[Span] {
        self.words_between_spaces.get_or_init(|| spans::words_between_spaces(self.text))
    }

    fn n_chars(&self) -> usize {
        *self.n_chars.get_or_init(|| spans::n_chars(self.text))
    }

    fn lines(&self) -> &Lines {
        self.lines.get_or_init(|| Lines::of(self.text, self.n_chars() == self.text.len()))
    }

    /// Lines as Python's `splitlines` cuts them.
    fn python_lines(&self) -> &[&'a str] {
        self.python_lines.get_or_init(|| spans::python_lines(self.text).collect())
    }
}

thread_local! {
    /// Memory of the last text's words, for the next one's.
    static SPARE_WORDS: Cell<Vec<Span>> = Cell::default();
}

/// The most words whose memory is kept.
const SPARE_WORDS_MAX: usize = 1 << 16;

impl Drop for Analysis<'_> {
    fn drop(&mut self) {
        if let Some(words) = self.english_words.take().filter(|words| words.capacity() <= SPARE_WORDS_MAX) {
            SPARE_WORDS.set(words);
        }
    }
}

/// The first rule that is broken.
fn first_broken(rules: &[(bool, &'static str)]) -> Option<&'static str> {
    rules.iter().find(|(broken, _)| *broken).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests;
