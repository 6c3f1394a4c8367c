//! Many texts at once, over all threads.

use rayon::prelude::*;

use crate::tokenizer::Tokenizer;

/// The ids of several texts, one text behind the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// All ids.
    pub ids: Vec<u32>,
    /// Where each text's ids end.
    pub ends: Vec<usize>,
}

/// Texts go to threads in stretches of about so many bytes: enough for a thread to learn words, few enough to share them out evenly.
const STRETCH_BYTES: usize = 1 << 20;

impl Encoded {
    /// The ids of each text.
    pub fn iter(&self) -> impl Iterator<Item = &[u32]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(from, to)| &self.ids[from..*to])
    }

    fn append(&mut self, mut other: Self) {
        let before = self.ids.len();
        self.ids.append(&mut other.ids);
        self.ends.extend(other.ends.into_iter().map(|end| before + end));
    }
}

impl Tokenizer {
    /// Encodes many texts on all threads of the pool, in order.
    pub fn encode_batch<T: AsRef<str> + Sync>(&self, texts: &[T]) -> Encoded {
        let parts: Vec<Encoded> = stretches(texts)
            .into_par_iter()
            .map(|texts| {
                let (mut encoder, mut out) = (self.encoder(), Encoded::default());
                for text in texts {
                    encoder.encode_into(text.as_ref(), &mut out.ids);
                    out.ends.push(out.ids.len());
                }
                out
            })
            .collect();
        let mut all = Encoded { ids: Vec::with_capacity(parts.iter().map(|p| p.ids.len()).sum()), ends: Vec::with_capacity(texts.len()) };
        parts.into_iter().for_each(|part| all.append(part));
        all
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
