//! Fixtures that several crates' tests need: a small tokenizer, a cleared token set, a server that speaks [`s3`], [`databases`] that this machine has. Development only.
//!
//! Nothing here is data of others; every text is made here. A fixture that cannot be made is a broken test, so these
//! functions panic instead of returning errors.
#![allow(clippy::expect_used)]

mod counted;
pub mod databases;
pub mod s3;

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

pub use counted::{Asked, Counts, counted_gpu};
use polder_base::{Clearance, Manifest, ManifestFile, Reference, Timestamp, Verdict, digest_bytes};
use polder_compute::cuda::{Cuda, Emulated, EmulationError, Watch, compile};
use polder_shard::{Document, Dtype, Offer, SetOptions, ShardDetails, ShardOptions, TokenSetDetails, TokenSetWriter};
use polder_tokenizer::{END_OF_TEXT, Tokenizer, TrainOptions, WordCounts, train};

/// The text that the fixtures repeat.
pub const TEXT: &str = "the polder lies below the lake, and the lake lies below the sky; fn main() { println!(\"hello\"); } ";

/// Makes a GPU of the kernels' own sources, its threads in the order of a seed; `None`, said aloud, where there is no C++ compiler.
///
/// # Panics
/// When the kernels do not compile; where `POLDER_REQUIRE_EMULATION` is set, also without a compiler.
pub fn emulated_gpu(capability: (i32, i32), seed: u64) -> Option<Cuda> {
    Some(Cuda::on(Box::new(emulation(capability, seed)?), 0).expect("backend"))
}

#[allow(clippy::panic, clippy::print_stdout)]
fn emulation(capability: (i32, i32), seed: u64) -> Option<Emulated> {
    let kernels = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernels");
    // Beside the folder of this test's program: all tests of a target folder share what was compiled.
    let program = std::env::current_exe().expect("this program");
    let room = program.ancestors().nth(3).expect("a target folder").join("tmp");
    fs::create_dir_all(&room).expect("folder");
    match compile(&kernels, &room, Watch::Nothing) {
        Ok(library) => Some(Emulated::open(&library, capability, seed).expect("emulation")),
        Err(EmulationError::NoCompiler) if std::env::var_os("POLDER_REQUIRE_EMULATION").is_none() => {
            println!("skipped: kernels are not emulated, for there is no C++ compiler");
            None
        }
        Err(e) => panic!("{e}"),
    }
}

/// Trains a tokenizer of 300 tokens.
///
/// # Panics
/// When it cannot be trained.
pub fn tokenizer() -> Tokenizer {
    tokenizer_with(&[END_OF_TEXT])
}

fn tokenizer_with(special_tokens: &[&str]) -> Tokenizer {
    let mut counts = WordCounts::default();
    counts.add(TEXT);
    let special_tokens = special_tokens.iter().map(|t| (*t).to_owned()).collect();
    let options = TrainOptions { vocab_size: 300, special_tokens, min_count: 1, ..TrainOptions::default() };
    train(&counts, &options, &mut |_, _| {}).expect("tokenizer")
}

/// Writes `tokenizer.json` and the token set `tokens` of 40 documents below a folder, with a clearance or without; returns the set's folder.
///
/// # Panics
/// When a file cannot be written.
pub fn token_set(dir: &Path, cleared: bool) -> PathBuf {
    named_token_set(dir, "tokens", TEXT, cleared)
}

/// Writes `tokenizer.json` and a token set of 40 documents that repeat a text, under a name below a folder; returns the set's folder.
///
/// # Panics
/// When a file cannot be written.
pub fn named_token_set(dir: &Path, name: &str, text: &str, cleared: bool) -> PathBuf {
    token_set_by(&tokenizer(), dir, name, text, cleared)
}

/// The same as [`token_set`], by a tokenizer that has the token `[MASK]`.
///
/// # Panics
/// When a file cannot be written.
pub fn token_set_with_mask(dir: &Path) -> PathBuf {
    token_set_by(&tokenizer_with(&[END_OF_TEXT, "[MASK]"]), dir, "tokens", TEXT, true)
}

fn token_set_by(tokenizer: &Tokenizer, dir: &Path, name: &str, text: &str, cleared: bool) -> PathBuf {
    fs::write(dir.join("tokenizer.json"), tokenizer.to_json()).expect("tokenizer");
    let target = dir.join(name);
    let options = SetOptions {
        splits: vec!["train".into(), "validation".into()],
        shards: ShardOptions {
            vocab_size: tokenizer.vocab_size(),
            bos_id: None,
            eos_id: Some(tokenizer.special_id(END_OF_TEXT).expect("special")),
            tokens_per_shard_max: 1000,
        },
        tokenizer_digest: tokenizer.digest(),
    };
    let config_digest = digest_bytes(b"settings");
    let mut writer = TokenSetWriter::begin(&target, options, config_digest, None).expect("begin");
    for i in 0..40 {
        let text = format!("{i} {}", text.repeat(1 + i % 3));
        let split = if i % 8 == 7 { "validation" } else { "train" };
        let (doc_id, text_digest) = (format!("{i:032x}"), digest_bytes(text.as_bytes()));
        assert_eq!(writer.offer(split, &doc_id, &text_digest).expect("offer"), Offer::Wanted);
        let document = Document { doc_id: &doc_id, text_digest, text_bytes: text.len() as u64 };
        writer.push(split, &document, &tokenizer.encode(&text)).expect("push");
    }
    let reference = Reference::artefact("tokens", if name == "tokens" { "test" } else { name });
    let judged = Manifest::new(reference.clone(), Timestamp(0), Vec::new(), config_digest, serde_json::Value::Null).inputs_digest();
    let clearance = Clearance {
        verdict: Verdict::Cleared,
        policy_digest: digest_bytes(b"[]"),
        input_digest: judged,
        reasons: Vec::new(),
        at: Timestamp(0),
    };
    writer.finish(reference, Timestamp(0), Vec::new(), config_digest, cleared.then_some(clearance)).expect("finish");
    target
}

/// Writes a set `NAME` with one part, `train`, of documents given as their tokens; returns its folder. Nothing is added to the documents.
///
/// # Panics
/// When a file cannot be written.
pub fn token_set_of(
    dir: &Path,
    name: &str,
    vocab_size: usize,
    tokens_per_shard_max: u64,
    documents: impl Iterator<Item = Vec<u32>>,
) -> PathBuf {
    let target = dir.join(name);
    let options = SetOptions {
        splits: vec!["train".into()],
        shards: ShardOptions { vocab_size, bos_id: None, eos_id: None, tokens_per_shard_max },
        tokenizer_digest: digest_bytes(b"tokenizer"),
    };
    let config_digest = digest_bytes(name.as_bytes());
    let mut writer = TokenSetWriter::begin(&target, options, config_digest, None).expect("begin");
    for (i, tokens) in documents.enumerate() {
        let (doc_id, text_digest) = (format!("{i:032x}"), digest_bytes(&i.to_le_bytes()));
        assert_eq!(writer.offer("train", &doc_id, &text_digest).expect("offer"), Offer::Wanted);
        writer.push("train", &Document { doc_id: &doc_id, text_digest, text_bytes: 1 }, &tokens).expect("push");
    }
    writer.finish(Reference::artefact("tokens", name), Timestamp(0), Vec::new(), config_digest, None).expect("finish");
    target
}

/// Writes a set of empty, sparse shards that takes no room on disk, whatever its size; returns its folder. Its manifest and the ends of
/// its indexes are those of a sound set, what lies between is zero.
///
/// # Panics
/// When a file cannot be written.
pub fn sparse_token_set(dir: &Path, n_shards: u64, tokens_per_shard: u64, documents_per_shard: u64) -> PathBuf {
    let folder = dir.join("sparse");
    fs::create_dir_all(&folder).expect("folder");
    let (mut shards, mut files) = (Vec::new(), Vec::new());
    for shard in 0..n_shards {
        let name = format!("train-{shard:05}");
        for (ending, bytes) in [
            ("bin", 2 * tokens_per_shard),
            ("idx", sparse_index(&folder.join(format!("{name}.idx")), tokens_per_shard, documents_per_shard)),
        ] {
            let path = format!("{name}.{ending}");
            File::options().create(true).append(true).open(folder.join(&path)).expect("create").set_len(bytes).expect("length");
            files.push(ManifestFile { path, bytes, digest: digest_bytes(b"") });
        }
        let doc_id = |i: u64| format!("{:032x}", shard * documents_per_shard + i);
        shards.push(ShardDetails {
            name,
            split: "train".into(),
            n_tokens: tokens_per_shard,
            n_documents: documents_per_shard,
            text_bytes: 0,
            first_doc_id: doc_id(0),
            last_doc_id: doc_id(documents_per_shard - 1),
        });
    }
    let of_train = |n: u64| [("train".to_owned(), n)].into();
    let details = TokenSetDetails {
        splits: vec!["train".into()],
        n_tokens: of_train(n_shards * tokens_per_shard),
        n_documents: of_train(n_shards * documents_per_shard),
        dtype: Dtype::U16,
        vocab_size: 50_257,
        bos_id: None,
        eos_id: Some(50_256),
        bytes: of_train(0),
        unigram_entropy_nats: 0.0,
        tokenizer_digest: digest_bytes(b"tokenizer"),
        shards,
    };
    let details = serde_json::to_value(&details).expect("json");
    let mut manifest = Manifest::new(Reference::artefact("tokens", "sparse"), Timestamp(0), Vec::new(), digest_bytes(b"config"), details);
    manifest.files = files;
    manifest.write(&folder).expect("manifest");
    folder
}

/// Writes header, last length, last offset and last document mark of an index; returns its size.
fn sparse_index(path: &Path, n_tokens: u64, n_documents: u64) -> u64 {
    let s = n_documents;
    let bytes = 34 + 12 * s + 8 * (s + 1);
    let header = [b"MMIDIDX\0\0".as_slice(), &1u64.to_le_bytes(), &[8], &s.to_le_bytes(), &(s + 1).to_le_bytes()].concat();
    let last = n_tokens / s;
    let numbers = [
        (0, header),
        (34 + 4 * (s - 1), (last as i32).to_le_bytes().to_vec()),
        (34 + 4 * s + 8 * (s - 1), (2 * (n_tokens - last)).to_le_bytes().to_vec()),
        (bytes - 8, s.to_le_bytes().to_vec()),
    ];
    let mut file = File::create(path).expect("create");
    for (at, bytes) in numbers {
        file.seek(SeekFrom::Start(at)).expect("seek");
        file.write_all(&bytes).expect("write");
    }
    bytes
}
