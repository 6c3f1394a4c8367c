//! Files of token sets, and of the formats they are exported to.

use std::fs;
use std::path::{Path, PathBuf};

use polder_base::{Digest, Input, Manifest, Reference, Timestamp, digest_bytes};
use polder_shard::{
    Document, ExportFormat, ExportOptions, Index, MdsFolder, MegatronPair, Offer, SetOptions, ShardOptions, ShardSums, TokenFile, TokenSet,
    TokenSetWriter, export, read_documents, verify,
};

use crate::mutate::{fuzz, fuzz_slow};

fn options() -> SetOptions {
    SetOptions {
        splits: vec!["train".into(), "validation".into()],
        shards: ShardOptions { vocab_size: 300, bos_id: None, eos_id: Some(1), tokens_per_shard_max: 60 },
        tokenizer_digest: digest_bytes(b"tokenizer"),
    }
}

/// Offers documents of a pile from which one in seven departed; pushes what is wanted.
fn feed(writer: &mut TokenSetWriter, departed: u64) -> Result<(), polder_shard::ShardError> {
    for i in (0..24u64).filter(|i| departed == 0 || i % 7 != departed) {
        let split = if i % 5 == 4 { "validation" } else { "train" };
        let (doc_id, text_digest) = (format!("doc{i:03}"), digest_bytes(&[i as u8]));
        if writer.offer(split, &doc_id, &text_digest)? == Offer::Wanted {
            let tokens: Vec<u32> = (0..i).map(|t| (t * 11) as u32 % 300).collect();
            writer.push(split, &Document { doc_id: &doc_id, text_digest, text_bytes: i }, &tokens)?;
        }
    }
    Ok(())
}

fn inputs() -> Digest {
    digest_bytes(b"inputs")
}

fn set(dir: &Path) -> PathBuf {
    let target = dir.join("set");
    let mut writer = TokenSetWriter::begin(&target, options(), inputs(), None).expect("begin");
    feed(&mut writer, 0).expect("feed");
    writer.finish(Reference::artefact("tokens", "t"), Timestamp(0), Vec::new(), digest_bytes(b"c"), None).expect("finish");
    target
}

/// Everything that reads a set.
fn read_all(folder: &Path, dir: &Path) {
    let _ = verify(folder, &|_| {});
    if let Ok(documents) = read_documents(folder) {
        documents.take(1000).for_each(drop);
    }
    let Ok(set) = TokenSet::open(folder) else { return };
    let mut tokens = Vec::new();
    for name in set.details().splits.clone() {
        let Ok(split) = set.split(&name) else { continue };
        let _ = split.read(0, 1000, &mut tokens);
        split.documents(0, 1000).take(1000).for_each(drop);
    }
    let target = dir.join("next");
    if let Ok(mut writer) = TokenSetWriter::begin(&target, options(), inputs(), Some(&set)) {
        let _ = feed(&mut writer, 3);
    }
}

fn fuzz_file_of_set(name: &str) {
    let dir = tempfile::tempdir().expect("temporary folder");
    let folder = set(dir.path());
    let path = folder.join(name);
    let sound = fs::read(&path).expect("read");
    fuzz_slow(name, &sound, 4, &mut |bytes| {
        fs::remove_file(&path).expect("remove");
        fs::write(&path, bytes).expect("write");
        read_all(&folder, dir.path());
    });
}

#[test]
fn changed_tokens_end_in_a_value_or_an_error() {
    fuzz_file_of_set("train-00000.bin");
}

#[test]
fn changed_indexes_end_in_a_value_or_an_error() {
    fuzz_file_of_set("train-00000.idx");
}

#[test]
fn changed_lists_of_documents_end_in_a_value_or_an_error() {
    fuzz_file_of_set("train-00000.jsonl");
}

#[test]
fn changed_sums_end_in_a_value_or_an_error() {
    fuzz_file_of_set("train-00000.sums");
}

#[test]
fn changed_manifests_end_in_a_value_or_an_error() {
    fuzz_file_of_set(Manifest::FILE);
}

#[test]
fn bytes_of_sums_end_in_a_value_or_an_error() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let sound = fs::read(set(dir.path()).join("train-00000.sums")).expect("read");
    fuzz("sums", &sound, &mut |bytes| drop(ShardSums::parse(bytes)));
}

#[test]
fn changed_pairs_of_others_end_in_a_value_or_an_error() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let folder = set(dir.path());
    let path = folder.join("train-00000.idx");
    let sound = fs::read(&path).expect("read");
    fuzz("pair", &sound, &mut |bytes| {
        fs::remove_file(&path).expect("remove");
        fs::write(&path, bytes).expect("write");
        if let Ok(index) = Index::open(&path) {
            let _ = index.check_all();
            let _ = (index.document_of(0), index.document_of(u64::MAX), index.document(usize::MAX));
        }
        let Ok(pair) = MegatronPair::open(&path) else { return };
        let mut tokens = Vec::new();
        for i in 0..pair.index().n_documents().min(1000) {
            let _ = pair.document(i, &mut tokens);
        }
    });
}

/// Whatever its progress says, a build begins; it goes on from what it believes, or from nothing, and never panics.
#[test]
fn changed_progress_ends_in_a_build_or_an_error() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let target = dir.path().join("set");
    let begin = || {
        let mut writer = TokenSetWriter::begin(&target, options(), inputs(), None).expect("begin");
        feed(&mut writer, 0).expect("feed");
    };
    begin();
    let path = dir.path().join(".set.build.json");
    let sound = fs::read(&path).expect("progress");
    fuzz_slow("progress", &sound, 20, &mut |bytes| {
        begin();
        fs::write(&path, bytes).expect("write");
        if let Ok(mut writer) = TokenSetWriter::begin(&target, options(), inputs(), None) {
            let _ = feed(&mut writer, 0);
        }
        fs::remove_file(&path).expect("written by begin");
    });
}

fn exported(format: ExportFormat, dir: &Path) -> PathBuf {
    let set = TokenSet::open(&set(dir)).expect("open");
    let reference = Reference::artefact("tokens", "t");
    let input = Input { reference: reference.clone(), digest: set.fingerprint() };
    let folder = dir.join("exported");
    let options = ExportOptions { format, tokens_per_file_max: 100, reference, input, at: Timestamp(0) };
    export(&set, &folder, &options, &mut |_| {}).expect("export");
    folder
}

fn fuzz_exported(format: ExportFormat, name: &str, read: &dyn Fn(&Path)) {
    let dir = tempfile::tempdir().expect("temporary folder");
    let folder = exported(format, dir.path());
    let path = folder.join(name);
    let sound = fs::read(&path).expect("read");
    fuzz(&format!("{format} {name}"), &sound, &mut |bytes| {
        fs::remove_file(&path).expect("remove");
        fs::write(&path, bytes).expect("write");
        read(&path);
    });
}

fn read_tokens(file: Result<TokenFile, polder_shard::ShardError>) {
    let Ok(file) = file else { return };
    let mut tokens = Vec::new();
    for range in [0..10, 5..u64::MAX, u64::MAX..u64::MAX] {
        file.read(range, &mut tokens);
        assert!(tokens.len() as u64 <= file.n_tokens());
    }
}

#[test]
fn changed_files_of_llm_c_end_in_a_value_or_an_error() {
    for format in [ExportFormat::LlmC, ExportFormat::LlmCWide] {
        fuzz_exported(format, "train_000000.bin", &|path| read_tokens(TokenFile::open_llm_c(path)));
    }
}

#[test]
fn changed_files_of_nano_gpt_end_in_a_value_or_an_error() {
    fuzz_exported(ExportFormat::NanoGpt, "train.bin", &|path| read_tokens(TokenFile::open_nano_gpt(path)));
}

#[test]
fn changed_files_of_mds_end_in_a_value_or_an_error() {
    for name in ["train/index.json", "train/shard.00000.mds"] {
        fuzz_exported(ExportFormat::Mds, name, &|path| {
            let Ok(folder) = MdsFolder::open(path.parent().expect("folder")) else { return };
            for i in (0..folder.n_samples().min(1000)).chain([u64::MAX]) {
                let Ok(sample) = folder.sample(i) else { continue };
                let _ = (sample.text("doc_id"), sample.tokens("tokens"), sample.tokens("absent"));
            }
        });
    }
}
