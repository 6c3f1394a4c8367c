//! Token shards: write, read, verify, and the order in which training sees them.
//!
//! A set is a folder. Four files a shard, named for its split and number, and a manifest:
//!
//! | file | holds |
//! |---|---|
//! | `train-00000.bin` | the tokens of its documents one after another, u16 or i32, little-endian |
//! | `train-00000.idx` | the `MMIDIDX` index: how long each document is and where it begins |
//! | `train-00000.jsonl` | a line a document: `doc_id`, `text_digest`, `text_bytes`, `n_tokens` |
//! | `train-00000.sums` | sums over each MiB of the other three, which name a changed byte; how often each id occurs |
//! | `manifest.json` | what the set was made from, the SHA-256 of every file, counts of the set and of each shard |
//!
//! `.bin` and `.idx` are the pair that Megatron reads. Within a shard documents stand in order of `doc_id`, and each is in one
//! shard only. A set made from a newer version of a pile shares the shards whose documents all stayed, and adds shards with
//! higher numbers; a number whose documents all departed stays free.
//!
//! While a set `NAME` is written, `.NAME.build/` beside it holds the shards that are closed and `.NAME.build.json` lists them;
//! what a kill leaves there is gone on from.
//!
//! Start with [`TokenSetWriter`] to write one, with [`TokenSet`] to read one, with [`Loader`] for batches. It knows neither text nor tables.

mod base;
mod block_sums;
mod details;
mod documents;
mod error;
mod export;
mod foreign;
mod index;
mod index_writer;
mod loader;
mod mapped;
mod order;
mod progress;
mod reader;
mod set_writer;
mod shard_writer;
mod stored;
mod summed_file;
mod sums_file;
mod verify;

pub use block_sums::{BLOCK_BYTES, BlockSums, ChangedByte};
pub use details::{ShardDetails, TokenSetDetails};
pub use documents::{TokenDocument, read_documents, shard_documents};
pub use error::ShardError;
pub use export::{ExportFormat, ExportOptions, MdsFolder, MdsSample, TokenFile, export};
pub use foreign::MegatronPair;
pub use index::{Dtype, Index};
pub use loader::{
    Batch, BatchPlan, Batches, Fingerprint, IGNORED, Loader, LoaderError, LoaderOptions, LoaderState, Masking, Mixture, Order, Packing,
    PackingReport, Place, SampleRows, Source, TokenTable, Weight,
};
pub use mapped::MappedFile;
pub use order::{SampleOrder, WindowOrder};
pub use reader::{DocumentSpan, Split, TokenSet, TokenSlice};
pub use set_writer::{Document, LAYOUT, Offer, OfferCounts, SetOptions, ShardOptions, TokenSetWriter, Unfinished, standing_set};
pub use sums_file::{FileSums, ShardSums};
pub use verify::{Damage, Verification, VerifyProgress, verify};
