//! What a classifier looks at, and how it is trained.

/// What the tokens of a text are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// Runs of letters with their marks; everything else is a blank.
    Letters,
    /// Runs of letters and digits, and every other visible character by itself. Characters of scripts that put no spaces between words are
    /// tokens of their own.
    Words,
    /// Identifiers and numbers, every other visible character by itself, and the ends of lines.
    Code,
}

/// What repetition within a text counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// A feature that occurs n times counts 1 + ln n; the counts are scaled to length 1. Suits documents: a word on every line is no more
    /// than a word that is there.
    Damped,
    /// Every occurrence counts the same; the counts are divided by the root of their sum. Suits short texts, and is faster.
    Plain,
}

impl Counting {
    /// What a feature counts that occurs so often.
    pub(super) fn value(self, n: u8) -> f32 {
        match self {
            Self::Damped => 1.0 + f32::from(n.max(1)).ln(),
            Self::Plain => f32::from(n),
        }
    }

    /// How many features they are to the calibration.
    pub(super) fn items(self, n: u8) -> usize {
        match self {
            Self::Damped => 1,
            Self::Plain => usize::from(n),
        }
    }

    /// What the values of a text are multiplied by, given what they add up to.
    pub(super) fn scale(self, values: impl Iterator<Item = f32>) -> f32 {
        let sum: f32 = match self {
            Self::Damped => values.map(|v| v * v).sum(),
            Self::Plain => values.sum(),
        };
        if sum > 0.0 { sum.sqrt().recip() } else { 0.0 }
    }
}

/// What the weights make small.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Learning {
    /// The logarithmic loss over all labels at once, by gradient descent. Suits many labels of a few rows each.
    Softmax {
        /// Size of the first step; it shrinks to nothing over the epochs.
        lr: f32,
        /// How strongly weights are drawn to zero.
        decay: f32,
    },
    /// For each label by itself, the squared lack of a margin between its rows and all others. Suits up to some hundred labels.
    Margin {
        /// How dear a row on the wrong side is, beside the size of the weights.
        cost: f32,
        /// Whether features count by how rare they are.
        by_rarity: bool,
        /// Whether features count by how unlike their shares among a label's rows and among all others are. Suits a few thousand rows of two
        /// labels that have most wording in common.
        by_contrast: bool,
    },
    /// The same with weights for features of the label's own rows only, each by how rare it is. Suits hundreds of labels of a few rows each:
    /// what a label's rows don't have says little against it.
    OwnMargin {
        /// How dear a row on the wrong side is, beside the size of the weights.
        cost: f32,
    },
    /// Nothing: what rows hold is counted, and every label taken for as likely as another. Suits short texts of labels whose rows are too few
    /// to learn from what they have in common with others'.
    Bayes {
        /// How many rows more a feature is taken to be in. The smaller, the more speaks a single row.
        smoothing: f32,
    },
}

/// Which features a text has: what is counted, and of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// What the tokens are.
    pub tokens: Tokens,
    /// Whether upper case counts as lower case.
    pub fold_case: bool,
    /// Whether every digit counts as `0`.
    pub fold_digits: bool,
    /// Shortest and longest n-gram of characters; `(0, 0)` for none. At most [`NGRAM_MAX`].
    pub char_ngrams: (usize, usize),
    /// Whether n-grams of characters go on across blanks; otherwise a blank is in them only as their first or last character.
    pub across_blanks: bool,
    /// Shortest and longest n-gram of tokens; `(0, 0)` for none. At most [`NGRAM_MAX`].
    pub word_ngrams: (usize, usize),
    /// What repetition counts.
    pub counting: Counting,
}

/// The longest n-gram.
pub const NGRAM_MAX: usize = 8;

/// What to train, and how. Start from [`Options::prose`], [`Options::posts`], [`Options::code`] or [`Options::language`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// What is counted.
    pub features: Features,
    /// How many features the classifier keeps. A stored feature takes about 3 bytes and 2 more for each label that it speaks for or against.
    pub features_max: usize,
    /// Rows that a feature must be in.
    pub rows_min: usize,
    /// Passes over the rows.
    pub epochs: usize,
    /// What is learnt.
    pub learning: Learning,
    /// 0 takes labels as often as they come, 1 makes each label weigh the same, and between is between.
    pub balance: f32,
    /// Share of the range of weights below which a weight is left out.
    pub prune: f32,
    /// What the order of rows follows from.
    pub seed: u64,
}

impl Options {
    const COMMON: Self = Self {
        features: Features {
            tokens: Tokens::Words,
            fold_case: true,
            fold_digits: true,
            char_ngrams: (2, 5),
            across_blanks: false,
            word_ngrams: (1, 2),
            counting: Counting::Damped,
        },
        features_max: 200_000,
        rows_min: 2,
        epochs: 10,
        learning: Learning::Margin { cost: 1.0, by_rarity: true, by_contrast: false },
        balance: 0.0,
        prune: 0.005,
        seed: 1,
    };

    /// For documents of prose: words and pairs of words, and pieces of words.
    pub fn prose() -> Self {
        Self { features: Features { char_ngrams: (3, 5), ..Self::COMMON.features }, ..Self::COMMON }
    }

    /// For short, freely spelt text such as posts and messages.
    pub fn posts() -> Self {
        Self::COMMON
    }

    /// For source code and other files for machines: case, digits, marks and line ends count.
    pub fn code() -> Self {
        let features = Features {
            tokens: Tokens::Code,
            fold_case: false,
            fold_digits: true,
            char_ngrams: (2, 4),
            across_blanks: true,
            word_ngrams: (1, 3),
            counting: Counting::Damped,
        };
        Self { features, learning: Learning::Softmax { lr: 0.5, decay: 1e-5 }, balance: 0.5, ..Self::COMMON }
    }

    /// For telling languages apart: letters only.
    pub fn language() -> Self {
        let features = Features {
            tokens: Tokens::Letters,
            fold_case: true,
            fold_digits: true,
            char_ngrams: (4, 4),
            across_blanks: false,
            word_ngrams: (1, 1),
            counting: Counting::Plain,
        };
        Self { features, features_max: 700_000, rows_min: 1, learning: Learning::Bayes { smoothing: 0.01 }, prune: 0.0, ..Self::COMMON }
    }
}
