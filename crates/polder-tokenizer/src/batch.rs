//! Many texts at once, over all threads.

use rayon::prelude::*;

use crate::tokenizer::Tokenizer;

/// The ids of several texts. They lie where the threads have put them: bringing them together would cost as much as a good part of
/// the work, and nobody asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    stretches: Vec<Stretch>,
}

/// Texts that follow each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Stretch {
    ids: Vec<u32>,
    /// Where each text's ids end.
    ends: Vec<usize>,
}

/// Texts go to threads in stretches of about so many bytes: few enough to share them out evenly. What a thread has learnt of words
/// goes with it from one to the next.
const STRETCH_BYTES: usize = 1 << 18;
/// Fewer bytes a token than most text has, so that ids find room at once.
const TOKEN_BYTES_MIN: usize = 2;

impl Encoded {
    /// The ids of each text.
    pub fn iter(&self) -> impl Iterator<Item = &[u32]> {
        self.stretches.iter().flat_map(|Stretch { ids, ends }| {
            let starts = std::iter::once(0).chain(ends.iter().copied());
            starts.zip(ends).map(|(from, to)| &ids[from..*to])
        })
    }

    /// Number of all ids.
    pub fn n_tokens(&self) -> usize {
        self.stretches.iter().map(|stretch| stretch.ids.len()).sum()
    }
}

impl Tokenizer {
    /// Encodes many texts on all threads of the pool, in order.
    pub fn encode_batch<T: AsRef<str> + Sync>(&self, texts: &[T]) -> Encoded {
        let encode = |texts: &[T]| {
            let bytes: usize = texts.iter().map(|text| text.as_ref().len()).sum();
            let mut out = Stretch { ids: Vec::with_capacity(bytes / TOKEN_BYTES_MIN), ends: Vec::with_capacity(texts.len()) };
            let mut encoder = self.encoder();
            for text in texts {
                encoder.encode_into(text.as_ref(), &mut out.ids);
                out.ends.push(out.ids.len());
            }
            out
        };
        Encoded { stretches: stretches(texts).into_par_iter().map(encode).collect() }
    }
}

fn stretches<T: AsRef<str>>(texts: &[T]) -> Vec<&[T]> {
    let (mut out, mut from, mut bytes) = (Vec::new(), 0, 0);
    for (i, text) in texts.iter().enumerate() {
        bytes += text.as_ref().len();
        if bytes >= STRETCH_BYTES || i + 1 == texts.len() {
            out.push(&texts[from..=i]);
            (from, bytes) = (i + 1, 0);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use crate::{TrainOptions, WordCounts, train};

    #[test]
    fn a_batch_is_its_texts_one_after_the_other_on_any_number_of_threads() {
        let word = |i: usize| ["lake ", "dry land", "\n", "water's", " 水 ", ""][i % 6].repeat(i % 5);
        let mut texts: Vec<String> = (0..3000).map(|i| (0..i % 97).map(|j| word(i * 7 + j * j)).collect()).collect();
        texts.push("long ".repeat(super::STRETCH_BYTES));
        let mut counts = WordCounts::new();
        counts.add_all(&texts);
        let tokenizer = train(&counts, &TrainOptions { vocab_size: 300, ..TrainOptions::default() }, &mut |_, _| {}).expect("train");
        for n_threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("threads");
            let batch = pool.install(|| tokenizer.encode_batch(&texts));
            assert_eq!((batch.iter().count(), batch.n_tokens()), (texts.len(), batch.iter().map(<[u32]>::len).sum()));
            assert!(batch.iter().zip(&texts).all(|(ids, text)| ids == tokenizer.encode(text)), "{n_threads} threads");
        }
        assert_eq!(tokenizer.encode_batch::<String>(&[]).iter().count(), 0);
    }
}
