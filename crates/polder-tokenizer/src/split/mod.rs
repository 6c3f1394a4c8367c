//! How text is cut into the pieces that merges never cross.
//!
//! The expressions that most vocabularies were made with are state machines written by hand, each exact to the expression that
//! [`Splitter::pattern`] returns: the tests compare them with a regular-expression engine. Any other expression goes through the
//! engine itself, and steps that follow each other are a [`Splitter::Sequence`]. Start with [`Splitter::split`].

mod bits;
mod cl100k;
mod classes;
mod gpt2;
mod names;
mod o200k;
mod pattern;
mod scan;
mod sequence;

use std::convert::Infallible;

pub use names::UnknownSplitter;
pub use pattern::{Behavior, Pattern};

/// How text is cut into the pieces that merges never cross.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Splitter {
    /// GPT-2's expression.
    #[default]
    Gpt2,
    /// The expression of tiktoken's cl100k: trailing white space is one piece, line ends and all.
    Cl100k(Digits),
    /// Llama 3's expression, with one digit a piece Qwen 2's: that of cl100k as it was first, and as `tokenizer.json` files hold it.
    Llama3(Digits),
    /// The expression of tiktoken's o200k, which also cuts between lower and upper case.
    O200k(Digits),
    /// Any expression, by the engine.
    Pattern(Pattern),
    /// Digits (general category N) each by itself, or runs of them, apart from the rest.
    Digits {
        /// Each digit by itself.
        individual: bool,
    },
    /// Punctuation apart from the rest: ASCII punctuation and general category P.
    Punctuation(Behavior),
    /// Bytes as the characters of GPT-2's alphabet: what follows in a sequence sees those. Cut by GPT-2's expression before, if asked.
    ByteLevel {
        /// Whether GPT-2's expression cuts the text.
        use_regex: bool,
    },
    /// One step after the other, each over the pieces of the one before; none leaves the text whole.
    Sequence(Vec<Splitter>),
}

/// How many digits make a piece at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Digits {
    /// `\p{N}`.
    One,
    /// `\p{N}{1,2}`.
    UpToTwo,
    /// `\p{N}{1,3}`.
    UpToThree,
    /// `\p{N}+`.
    Any,
}

impl Digits {
    /// All four.
    pub const ALL: [Self; 4] = [Self::One, Self::UpToTwo, Self::UpToThree, Self::Any];

    /// The most characters of a piece.
    pub(crate) const fn max(self) -> usize {
        match self {
            Self::One => 1,
            Self::UpToTwo => 2,
            Self::UpToThree => 3,
            Self::Any => usize::MAX,
        }
    }
}

impl Splitter {
    /// Qwen 2's.
    pub const QWEN2: Self = Self::Llama3(Digits::One);

    /// Gives each piece of a text to `each`, in order. Pieces of the hand-written splitters, put together, are the text; an
    /// expression may leave text out, and a step after [`Splitter::ByteLevel`] may cut inside a character.
    #[inline]
    pub fn split<'t>(&self, text: &'t str, each: &mut impl FnMut(&'t [u8])) {
        let bytes = text.as_bytes();
        self.split_ranges(text, &mut |from, to| each(&bytes[from..to]));
    }

    /// The same as (from, to) in bytes.
    #[inline]
    pub fn split_ranges(&self, text: &str, each: &mut impl FnMut(usize, usize)) {
        let result: Result<(), Infallible> = self.try_split_ranges(text, &mut |from, to| {
            each(from, to);
            Ok(())
        });
        match result {
            Ok(()) => {}
            Err(never) => match never {},
        }
    }

    /// The same until the first error.
    ///
    /// # Errors
    /// What `each` returns.
    #[inline]
    pub fn try_split_ranges<E>(&self, text: &str, each: &mut impl FnMut(usize, usize) -> Result<(), E>) -> Result<(), E> {
        match self {
            Self::Gpt2 => gpt2::split(text, each),
            Self::Cl100k(digits) => cl100k::split(text, *digits, true, each),
            Self::Llama3(digits) => cl100k::split(text, *digits, false, each),
            Self::O200k(digits) => o200k::split(text, *digits, each),
            other => sequence::boundaries(other, text).into_iter().try_for_each(|(from, to)| each(from, to)),
        }
    }

    /// Returns the pieces of a text.
    pub fn pieces<'t>(&self, text: &'t str) -> Vec<&'t [u8]> {
        let mut out = Vec::new();
        self.split(text, &mut |piece| out.push(piece));
        out
    }
}

#[cfg(test)]
mod tests;
