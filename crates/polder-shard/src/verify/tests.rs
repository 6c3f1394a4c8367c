//! Sets written, read, and damaged.

use super::*;
use crate::{SetOptions, ShardOptions, TokenSetWriter};
use polder_base::{Reference, Timestamp, digest_bytes};
use proptest::prelude::*;
use std::fs;

const END: u32 = 9;

fn write(target: &Path, vocab_size: usize, tokens_per_shard_max: u64, documents: &[(&str, Vec<u32>)]) -> Result<Manifest, ShardError> {
    let options = SetOptions {
        splits: vec!["train".into(), "validation".into()],
        shards: ShardOptions { vocab_size, end_id: END, tokens_per_shard_max },
        tokenizer_digest: digest_bytes(b"tokenizer"),
    };
    let mut writer = TokenSetWriter::create(target, options)?;
    for (i, (split, tokens)) in documents.iter().enumerate() {
        writer.push(split, &format!("doc{i}"), tokens, 10)?;
    }
    writer.finish(Reference::artefact("tokens", "t"), Timestamp(0), Vec::new(), digest_bytes(b"config"), None)
}

fn stream(set: &TokenSet, split: &str) -> Vec<u32> {
    let part = set.split(split).expect("split");
    let mut out = Vec::new();
    part.read(0, u64::MAX, &mut out).expect("read");
    assert_eq!(out.len() as u64, part.n_tokens());
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_is_read_is_what_was_written(
        documents in proptest::collection::vec((any::<bool>(), proptest::collection::vec(0u32..12, 0..9)), 0..14),
        max in 1u64..20,
        wide in any::<bool>(),
        ctx in 1usize..6,
    ) {
        let dir = tempfile::tempdir().expect("temporary folder");
        let target = dir.path().join("t");
        let documents: Vec<(&str, Vec<u32>)> =
            documents.into_iter().map(|(v, d)| (if v { "validation" } else { "train" }, d)).collect();
        write(&target, if wide { 70_000 } else { 12 }, max, &documents).expect("write");
        let set = verify(&target).expect("verify");
        for split in ["train", "validation"] {
            let expected: Vec<u32> =
                documents.iter().filter(|d| d.0 == split).flat_map(|d| d.1.iter().copied().chain([END])).collect();
            prop_assert_eq!(stream(&set, split), expected.clone());
            let part = set.split(split).expect("split");
            let mut sample = Vec::new();
            for idx in 0..part.n_samples(ctx) {
                part.sample(idx, ctx, &mut sample).expect("sample");
                let from = idx as usize * ctx;
                prop_assert_eq!(&sample[..], &expected[from..from + ctx + 1]);
            }
            prop_assert!(part.sample(part.n_samples(ctx), ctx, &mut sample).is_err());
            let lying: Vec<u32> = part
                .slices(0, u64::MAX)
                .flat_map(|s| { let s = s.expect("slice"); (0..s.len()).map(move |i| s.get(i).expect("within")) })
                .collect();
            prop_assert_eq!(lying, expected);
        }
    }
}

#[test]
fn shards_roll_between_documents_and_a_long_document_stands_alone() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let target = dir.path().join("t");
    let documents = [("train", vec![1; 3]), ("train", vec![2; 30]), ("train", vec![3; 2]), ("train", vec![4; 2])];
    let manifest = write(&target, 12, 8, &documents).expect("write");
    let names: Vec<&str> = manifest.files.iter().map(|f| f.path.as_str()).filter(|p| p.ends_with(".bin")).collect();
    assert_eq!(names, ["train-00000.bin", "train-00001.bin", "train-00002.bin"]);
    let places: Vec<_> = read_documents(&target).expect("open").map(|d| d.map(|d| (d.shard, d.doc_idx, d.n_tokens))).collect();
    let places: Vec<_> = places.into_iter().map(|p| p.expect("line")).collect();
    let place = |s: &str, i, n| (s.to_owned(), i, n);
    assert_eq!(places, [place("train-00000", 0, 4), place("train-00001", 0, 31), place("train-00002", 0, 3), place("train-00002", 1, 3)]);
    let train = TokenSet::open(&target).expect("open").split("train").expect("split");
    let spans = |from, to| train.documents(from, to).map(|s| s.map(|s| (s.shard, s.doc_idx, s.tokens))).collect::<Result<Vec<_>, _>>();
    assert_eq!(spans(3, 36).expect("spans"), [("train-00000", 0, 3..4), ("train-00001", 0, 4..35), ("train-00002", 0, 35..36)]);
    assert_eq!(spans(36, 99).expect("spans"), [("train-00002", 0, 36..38), ("train-00002", 1, 38..41)]);
    assert!(spans(41, 50).expect("spans").is_empty());
}

#[test]
fn a_set_without_documents_is_whole_and_empty() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let target = dir.path().join("t");
    write(&target, 12, 8, &[]).expect("write");
    let set = verify(&target).expect("verify");
    let train = set.split("train").expect("declared");
    assert_eq!((train.n_tokens(), train.n_samples(4), set.details().unigram_entropy_nats), (0, 0, 0.0));
    assert!(matches!(set.split("test"), Err(ShardError::Split { known, .. }) if known == ["train", "validation"]));
}

#[test]
fn the_details_hold_counts_and_the_entropy_of_single_tokens() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let target = dir.path().join("t");
    write(&target, 12, 100, &[("train", vec![1]), ("train", vec![1]), ("validation", vec![5])]).expect("write");
    let set = TokenSet::open(&target).expect("open");
    let details = set.details();
    assert_eq!((details.n_tokens["train"], details.n_documents["validation"], details.bytes["train"]), (4, 1, 20));
    assert!((details.unigram_entropy_nats - 2f64.ln()).abs() < 1e-12);
    assert_eq!(set.manifest().details["dtype"], "u16");
}

#[test]
fn documents_that_do_not_fit_are_refused() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let target = dir.path().join("t");
    assert!(matches!(write(&target, 12, 8, &[("train", vec![12])]), Err(ShardError::Document { .. })));
    assert!(matches!(write(&target, 12, 8, &[("test", vec![1])]), Err(ShardError::Split { .. })));
    assert!(matches!(write(&target, 5, 8, &[]), Err(ShardError::Broken { .. })), "the closing token is outside");
    assert!(!target.exists(), "nothing half-written stands at the set's place");
    write(&target, 12, 8, &[("train", vec![1])]).expect("what was left behind is no obstacle");
}

#[test]
fn writing_again_gives_the_same_bytes() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let documents = [("train", vec![1, 2, 3]), ("validation", vec![4])];
    let a = write(&dir.path().join("a"), 12, 8, &documents).expect("write");
    let b = write(&dir.path().join("b"), 12, 8, &documents).expect("write");
    assert_eq!(a.files, b.files);
}

#[test]
fn every_damage_is_found() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let target = dir.path().join("t");
    let documents = [("train", vec![1, 2, 3]), ("train", vec![4])];
    let damage: [(&str, &[u8]); 4] =
        [("train-00000.bin", b"\x01\x00"), ("train-00000.bin", b""), ("train-00000.idx", b"MMIDIDX"), ("documents.jsonl", b"{}\n")];
    for (file, bytes) in damage {
        write(&target, 12, 100, &documents).expect("write");
        fs::write(target.join(file), bytes).expect("damage");
        assert!(matches!(verify(&target), Err(ShardError::Manifest(_))), "{file}");
        if file.starts_with("train") {
            assert!(TokenSet::open(&target).expect("open").split("train").is_err(), "{file}");
        }
    }
    write(&target, 12, 100, &documents).expect("write");
    let mut bytes = fs::read(target.join("train-00000.bin")).expect("read");
    bytes[0] = 200;
    fs::write(target.join("train-00000.bin"), bytes).expect("damage");
    let train = TokenSet::open(&target).expect("open").split("train").expect("same size");
    assert!(matches!(train.sample(0, 2, &mut Vec::new()), Err(ShardError::Broken { .. })));
    fs::remove_file(target.join("train-00000.idx")).expect("remove");
    assert!(TokenSet::open(&target).expect("open").split("train").is_err());
}
