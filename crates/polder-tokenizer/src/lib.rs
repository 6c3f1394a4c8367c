//! Byte-level BPE: counts words, learns merges, encodes, decodes; reads and writes the files in which tokenizers travel.
//!
//! A [`Splitter`] cuts text, every byte can be encoded, and decoding gives the same bytes back. Models of others over characters
//! (WordPiece, Unigram) are read and used as their files say, and not trained. A [`SpecialPolicy`] says what text may give control tokens.
//! It opens a file only in [`Tokenizer::open`], and knows neither tables nor models.
//! Start with [`WordCounts`] and [`train()`] to make a tokenizer, with [`Tokenizer`] to use one, with [`Encoder`] to use it fast.

mod batch;
mod bpe;
mod char_model;
mod definition;
mod encoder;
mod error;
mod fast_hash;
mod formats;
mod special;
mod split;
mod stream;
mod tokenizer;
mod train;

pub use batch::Encoded;
pub use char_model::CharModel;
pub use definition::{AddedToken, Around, Definition, Merging, Normalizer};
pub use encoder::Encoder;
pub use error::{Place, TokenizerError};
pub use formats::{GgufRoles, GgufValue, RankOptions, SpecialName, write_gguf_metadata};
pub use special::SpecialPolicy;
pub use split::{Behavior, Digits, Pattern, Splitter, UnknownSplitter};
pub use stream::StreamDecoder;
pub use tokenizer::Tokenizer;
pub use train::{TrainOptions, WordCounts, train};

/// The special token that ends a document, begins a sequence and stops generation.
pub const END_OF_TEXT: &str = "<|endoftext|>";
