//! Token shards: write, read, verify, and the order in which training sees them.
//!
//! A set is a folder of Megatron `MMIDIDX` pairs (`train-00000.bin`, `.idx`), `documents.jsonl` and `manifest.json`.
//! Start with [`TokenSetWriter`] to write one, with [`TokenSet`] to read one. It knows neither text nor tables.

mod documents;
mod error;
mod index;
mod mapped;
mod order;
mod reader;
mod set_writer;
mod shard_writer;
mod verify;

pub use documents::{TokenDocument, read_documents};
pub use error::ShardError;
pub use index::{Dtype, Index};
pub use mapped::MappedFile;
pub use order::SampleOrder;
pub use reader::{DocumentSpan, Split, TokenSet, TokenSlice};
pub use set_writer::{SetOptions, TokenSetDetails, TokenSetWriter};
pub use shard_writer::{ShardOptions, ShardWriter, WrittenSplit};
pub use verify::verify;
