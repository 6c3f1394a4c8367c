//! A classifier as bytes.
//!
//! | what | how |
//! |---|---|
//! | `polderc1` | eight bytes: the kind and its version |
//! | features | one byte each: tokens (0 letters, 1 words, 2 code), flags (1 case folded, 2 digits folded, 4 across blanks, 8 plain counts), then the shortest and longest n-gram of characters and of tokens |
//! | labels | their number, then the length and the UTF-8 of each |
//! | bias | a float for each label |
//! | calibration | stretch and power, floats |
//! | range | the largest weight, a float |
//! | weights | the number of features; for each how far its hash lies above the one before, how many labels it has, how far each label lies above the one before, and the weights, a signed byte each: its square, with its sign, in parts of 127², is the part of the range |
//!
//! Numbers are LEB128, floats 32 bits, little endian. Nothing follows.

use super::calibrate::Calibration;
use super::options::{Counting, Features, NGRAM_MAX, Tokens};
use super::score::{Classifier, Weights};
use super::{ClassifierError, LABELS_MAX};

const MAGIC: &[u8; 8] = b"polderc1";
/// No sound classifier has floats beyond.
const FLOAT_MAX: f32 = 1e6;

impl Classifier {
    /// The classifier as bytes; equal classifiers give equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        let f = &self.features;
        out.push(match f.tokens {
            Tokens::Letters => 0,
            Tokens::Words => 1,
            Tokens::Code => 2,
        });
        out.push(
            u8::from(f.fold_case)
                | u8::from(f.fold_digits) << 1
                | u8::from(f.across_blanks) << 2
                | u8::from(f.counting == Counting::Plain) << 3,
        );
        out.extend([f.char_ngrams.0, f.char_ngrams.1, f.word_ngrams.0, f.word_ngrams.1].map(|n| n as u8));
        put(&mut out, self.labels.len() as u64);
        for label in &self.labels {
            put(&mut out, label.len() as u64);
            out.extend_from_slice(label.as_bytes());
        }
        let floats = self.bias.iter().chain([&self.calibration.stretch, &self.calibration.power, &self.range]);
        floats.for_each(|x| out.extend(x.to_le_bytes()));
        let weights = &self.weights;
        put(&mut out, weights.hashes.len() as u64);
        let mut before = 0;
        for (feature, hash) in weights.hashes.iter().enumerate() {
            put(&mut out, u64::from(hash - before));
            before = *hash;
            let pairs = weights.starts[feature] as usize..weights.starts[feature + 1] as usize;
            put(&mut out, pairs.len() as u64);
            let mut before = 0;
            for label in &weights.labels[pairs.clone()] {
                put(&mut out, u64::from(label - before));
                before = *label;
            }
            out.extend(weights.stored[pairs].iter().map(|w| *w as u8));
        }
        out
    }

    /// Reads a classifier. Memory stays within a small multiple of the input's size, whatever the input says.
    ///
    /// # Errors
    /// Bytes that [`Classifier::to_bytes`] can't have written: the offset is that of what can't be.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ClassifierError> {
        let mut reader = Reader { bytes, at: 0 };
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(ClassifierError::Format { offset: 0, reason: "the first eight bytes are not `polderc1`" });
        }
        let features = reader.features()?;
        let labels = reader.labels()?;
        let bias = (0..labels.len()).map(|_| reader.float(-FLOAT_MAX)).collect::<Result<_, _>>()?;
        let calibration = Calibration { stretch: reader.float(0.0)?, power: reader.float(0.0)? };
        if calibration.power > 1.0 {
            return reader.wrong("a power above 1");
        }
        let range = reader.float(0.0)?;
        let weights = reader.weights(labels.len())?;
        if reader.at < bytes.len() {
            return reader.wrong("something follows the last weight");
        }
        Ok(Self::new(features, labels, bias, calibration, range, weights))
    }
}

fn put(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn wrong<T>(&self, reason: &'static str) -> Result<T, ClassifierError> {
        Err(ClassifierError::Format { offset: self.at, reason })
    }

    fn rest(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], ClassifierError> {
        let Some(taken) = self.bytes.get(self.at..).and_then(|rest| rest.get(..n)) else {
            return self.wrong("the bytes end too early");
        };
        self.at += n;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, ClassifierError> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self) -> Result<u32, ClassifierError> {
        let (start, mut n) = (self.at, 0u64);
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            n |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                if byte == 0 && shift > 0 {
                    break;
                }
                return u32::try_from(n).map_err(|_| ClassifierError::Format { offset: start, reason: "a number above 2^32" });
            }
        }
        Err(ClassifierError::Format { offset: start, reason: "a number that is longer than it must be" })
    }

    /// A number of things that take so many bytes each, at least.
    fn count(&mut self, bytes_each: usize) -> Result<usize, ClassifierError> {
        let start = self.at;
        let n = self.number()? as usize;
        if n > self.rest() / bytes_each {
            return Err(ClassifierError::Format { offset: start, reason: "a count that the bytes left can't hold" });
        }
        Ok(n)
    }

    fn float(&mut self, least: f32) -> Result<f32, ClassifierError> {
        let start = self.at;
        let bytes = self.take(4)?;
        let x = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        if !(least..=FLOAT_MAX).contains(&x) {
            return Err(ClassifierError::Format { offset: start, reason: "a float out of its range" });
        }
        Ok(x)
    }

    fn features(&mut self) -> Result<Features, ClassifierError> {
        let tokens = match self.byte()? {
            0 => Tokens::Letters,
            1 => Tokens::Words,
            2 => Tokens::Code,
            _ => return self.wrong("no such kind of tokens"),
        };
        let flags = self.byte()?;
        if flags > 15 {
            return self.wrong("no such flag");
        }
        let mut ngrams = || -> Result<(usize, usize), ClassifierError> {
            let (shortest, longest) = (usize::from(self.byte()?), usize::from(self.byte()?));
            if longest > NGRAM_MAX || shortest > longest || (shortest == 0 && longest > 0) {
                return self.wrong("no such range of n-grams");
            }
            Ok((shortest, longest))
        };
        let (char_ngrams, word_ngrams) = (ngrams()?, ngrams()?);
        let flag = |bit: u8| flags & bit != 0;
        Ok(Features {
            tokens,
            fold_case: flag(1),
            fold_digits: flag(2),
            char_ngrams,
            across_blanks: flag(4),
            word_ngrams,
            counting: if flag(8) { Counting::Plain } else { Counting::Damped },
        })
    }

    fn labels(&mut self) -> Result<Vec<String>, ClassifierError> {
        let n_labels = self.count(5)?;
        if !(2..=LABELS_MAX).contains(&n_labels) {
            return self.wrong("too few or too many labels");
        }
        let mut labels: Vec<String> = Vec::new();
        for _ in 0..n_labels {
            let n_bytes = self.count(1)?;
            let Ok(label) = std::str::from_utf8(self.take(n_bytes)?) else { return self.wrong("a label that is not UTF-8") };
            if labels.last().is_some_and(|last| last.as_str() >= label) {
                return self.wrong("labels out of order");
            }
            labels.push(label.to_owned());
        }
        Ok(labels)
    }

    fn weights(&mut self, n_labels: usize) -> Result<Weights, ClassifierError> {
        // A feature takes at least four bytes: one for its hash, its number of labels, a label and a weight.
        let n_features = self.count(4)?;
        let mut weights = Weights { starts: vec![0], ..Weights::default() };
        for feature in 0..n_features {
            let hash = weights.hashes.last().copied();
            let above = self.number()?;
            match hash.unwrap_or(0).checked_add(above) {
                Some(next) if feature == 0 || above > 0 => weights.hashes.push(next),
                _ => return self.wrong("hashes out of order"),
            }
            let n_pairs = self.count(2)?;
            if n_pairs == 0 {
                return self.wrong("a feature without labels");
            }
            let mut label = 0u32;
            for pair in 0..n_pairs {
                let above = self.number()?;
                label = label.saturating_add(above);
                if label as usize >= n_labels || (pair > 0 && above == 0) {
                    return self.wrong("no such label, or labels out of order");
                }
                weights.labels.push(label as u16);
            }
            weights.stored.extend(self.take(n_pairs)?.iter().map(|b| *b as i8));
            weights.starts.push(weights.labels.len() as u32);
        }
        Ok(weights)
    }
}
