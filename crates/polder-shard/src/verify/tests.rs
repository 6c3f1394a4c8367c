//! Sets damaged in every way: each damage is named.

use super::*;
use crate::{Document, Offer, SetOptions, ShardOptions, TokenSetWriter};
use polder_base::{Random, Reference, Timestamp, digest_bytes};
use proptest::prelude::*;
use std::fs;

/// A set of two shards for training, the first of more than two blocks, and one for validation.
fn write(target: &Path, wide: bool) {
    let options = SetOptions {
        splits: vec!["train".into(), "validation".into()],
        shards: ShardOptions {
            vocab_size: if wide { 70_000 } else { 300 },
            bos_id: Some(2),
            eos_id: Some(1),
            tokens_per_shard_max: 1_200_000,
        },
        tokenizer_digest: digest_bytes(b"tokenizer"),
    };
    let random = Random::new(7, "tokens");
    let mut writer = TokenSetWriter::begin(target, options, digest_bytes(b"inputs"), None).expect("begin");
    for (split, from, n_documents) in [("train", 0, 16), ("validation", 16, 2)] {
        for i in from..from + n_documents {
            let tokens: Vec<u32> = (0..100_000 + i).map(|j| random.at(i << 32 | j) as u32 % 300).collect();
            let (doc_id, text_digest) = (format!("doc{i:03}"), digest_bytes(&i.to_le_bytes()));
            assert_eq!(writer.offer(split, &doc_id, &text_digest).expect("offer"), Offer::Wanted);
            writer.push(split, &Document { doc_id: &doc_id, text_digest, text_bytes: 5 }, &tokens).expect("push");
        }
    }
    writer.finish(Reference::artefact("tokens", "t"), Timestamp(0), Vec::new(), digest_bytes(b"config"), None).expect("finish");
}

fn damages(target: &Path) -> Vec<Damage> {
    verify(target, &|_| {}).expect("a set").damages
}

/// Writes a changed file beside the old one's place, as links may share it.
fn replace(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).expect("remove");
    fs::write(path, bytes).expect("write");
}

fn change_manifest(target: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let path = target.join(Manifest::FILE);
    let mut value = serde_json::from_slice(&fs::read(&path).expect("read")).expect("json");
    change(&mut value);
    replace(&path, value.to_string().as_bytes());
}

#[test]
fn a_sound_set_is_sound_and_progress_reaches_the_end() {
    let dir = tempfile::tempdir().expect("temporary folder");
    for wide in [false, true] {
        let target = dir.path().join(wide.to_string());
        write(&target, wide);
        let reached = Mutex::new(0);
        let verification = verify(&target, &|p| {
            let mut reached = reached.lock().expect("lock");
            *reached = p.bytes.max(*reached);
        })
        .expect("a set");
        assert!(verification.is_sound(), "{:?}", verification.damages);
        assert_eq!((verification.n_files, verification.n_documents, verification.bytes), (12, 18, *reached.lock().expect("lock")));
    }
}

#[test]
fn one_flipped_byte_anywhere_is_named_with_what_it_was() {
    let dir = tempfile::tempdir().expect("temporary folder");
    for wide in [false, true] {
        let target = dir.path().join(wide.to_string());
        write(&target, wide);
        let names: Vec<String> = TokenSet::open(&target).expect("open").manifest().files.iter().map(|f| f.path.clone()).collect();
        for (i, name) in names.iter().enumerate() {
            let path = target.join(name);
            let good = fs::read(&path).expect("read");
            let random = Random::new(i as u64, "flips");
            let mut places = vec![0, good.len() - 1, good.len() / 2, (1 << 20) - 1, 1 << 20];
            places.extend((0..8).map(|j| random.at(j) as usize % good.len()));
            for at in places.into_iter().filter(|at| *at < good.len()) {
                let mut bad = good.clone();
                bad[at] ^= 1 << (random.at(100 + at as u64) % 8);
                replace(&path, &bad);
                let found = damages(&target);
                assert_eq!(found.len(), 1, "{name} byte {at}: {found:?}");
                assert_eq!((&found[0].path, &found[0].bytes), (&path, &Some(at as u64..at as u64 + 1)));
                let (is, was) = (format!("it is {:#04x} and ", bad[at]), format!("be {:#04x}", good[at]));
                assert!(found[0].what.starts_with(&is) && found[0].what.replace("was ", "should be ").ends_with(&was), "{}", found[0]);
            }
            replace(&path, &good);
        }
        assert!(damages(&target).is_empty());
    }
}

#[test]
fn many_damages_are_all_named() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let target = dir.path().join("t");
    write(&target, false);
    let change = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let path = target.join(name);
        let mut bytes = fs::read(&path).expect("read");
        change(&mut bytes);
        replace(&path, &bytes);
    };
    change("train-00000.bin", &|b| {
        // Two bytes of one block, one of which makes a token that cannot be; and one byte of another block.
        b[10] ^= 1;
        b[101] = 0xff;
        b[(2 << 20) + 5] ^= 0x40;
    });
    change("train-00001.bin", &|b| b.truncate(b.len() - 6));
    change("train-00001.idx", &|b| b.extend_from_slice(&[0; 3]));
    change("validation-00000.jsonl", &|b| b.extend_from_slice(b"{}\n"));
    fs::remove_file(target.join("validation-00000.idx")).expect("remove");
    let found: Vec<String> = damages(&target).iter().map(|d| d.to_string().replace(&format!("{}/", target.display()), "")).collect();
    let has = |words: &[&str]| assert!(found.iter().any(|d| words.iter().all(|w| d.contains(w))), "{words:?} in {found:#?}");
    has(&["`train-00000.bin`, bytes 0..1048576: more than one byte"]);
    has(&["`train-00000.bin`, bytes 100..102: token 65289", "outside the vocabulary of 300"]);
    has(&["`train-00000.bin`, byte 2097157: it is"]);
    has(&["`train-00001.bin`", "it ends after"]);
    has(&["`train-00001.idx`", "it goes on after its"]);
    has(&["`validation-00000.jsonl`", "it goes on after its"]);
    has(&["`validation-00000.idx`", "it cannot be read"]);
}

#[test]
fn a_manifest_that_says_something_else_is_named() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let target = dir.path().join("t");
    write(&target, false);
    let good = fs::read(target.join(Manifest::FILE)).expect("read");
    let other = digest_bytes(b"other").to_string();
    type Change<'a> = Box<dyn FnOnce(&mut serde_json::Value) + 'a>;
    let changes: Vec<(Change<'_>, &str)> = vec![
        (Box::new(|m| m["files"][0]["digest"] = other.clone().into()), "train-00000.bin`: its digest is"),
        (Box::new(|m| m["files"][0]["bytes"] = 7.into()), "tokens in 7 bytes"),
        (Box::new(|m| drop(m["files"].as_array_mut().expect("list").remove(1))), "does not list the four files of `train-00000`"),
        (Box::new(|m| drop(m["details"]["shards"].as_array_mut().expect("list").pop())), "`validation-00000.bin` belongs to no shard"),
        (Box::new(|m| m["details"]["n_tokens"]["train"] = 3.into()), "it says that train has 3 tokens"),
        (Box::new(|m| m["details"]["shards"][0]["n_documents"] = 3.into()), "it says that train-00000 holds 3 documents"),
        (Box::new(|m| m["details"]["shards"][0]["last_doc_id"] = "doc004".into()), "`doc000` to `doc004`, and it holds"),
        (Box::new(|m| m["details"]["unigram_entropy_nats"] = 1.5.into()), "it says 1.5 nats of entropy"),
        (Box::new(|m| m["details"]["vocab_size"] = 250.into()), "is outside the vocabulary of 250"),
        (Box::new(|m| m["details"]["vocab_size"] = (1u64 << 60).into()), "is not stored as U16"),
        (Box::new(|m| m["details"]["dtype"] = "i32".into()), "its tokens are stored as U16, not I32"),
        (Box::new(|m| m["details"]["eos_id"] = 3.into()), "does not close document 0, as token 3 does"),
        (Box::new(|m| m["details"]["bos_id"] = 3.into()), "does not open document 0, as token 3 does"),
    ];
    for (change, expected) in changes {
        change_manifest(&target, change);
        let found: Vec<String> = damages(&target).iter().map(Damage::to_string).collect();
        assert!(found.iter().any(|d| d.contains(expected)), "{expected} in {found:#?}");
        replace(&target.join(Manifest::FILE), &good);
    }
    change_manifest(&target, |m| m["details"]["shards"][0]["name"] = "../train-00000".into());
    let refused = verify(&target, &|_| {}).expect_err("a path out of the folder");
    assert!(refused.to_string().contains("names no shard"), "{refused}");
}

#[test]
fn a_document_that_stands_twice_is_named() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let target = dir.path().join("t");
    write(&target, false);
    // The same shard under another number, described as if it belonged there.
    for ending in ["bin", "idx", "jsonl", "sums"] {
        fs::copy(target.join(format!("validation-00000.{ending}")), target.join(format!("validation-00001.{ending}"))).expect("copy");
    }
    change_manifest(&target, |m| {
        let copies: Vec<_> =
            m["files"].as_array().expect("list").iter().filter(|f| f["path"].as_str().expect("path").starts_with("val")).cloned().collect();
        for mut copy in copies {
            copy["path"] = copy["path"].as_str().expect("path").replace("00000", "00001").into();
            m["files"].as_array_mut().expect("list").push(copy);
        }
        let mut shard = m["details"]["shards"][2].clone();
        shard["name"] = "validation-00001".into();
        m["details"]["shards"].as_array_mut().expect("list").push(shard);
        for what in ["n_tokens", "n_documents", "bytes"] {
            let n = m["details"][what]["validation"].as_u64().expect("number");
            m["details"][what]["validation"] = (2 * n).into();
        }
    });
    let found: Vec<String> = damages(&target).iter().map(|d| d.what.clone()).collect();
    let twice = |doc| format!("document `{doc}` stands here and in validation-00000");
    assert_eq!(found, [twice("doc016"), twice("doc017")]);
}

#[test]
fn a_long_list_is_cut_and_says_so() {
    let damage = |i: u64| Damage { path: "x".into(), bytes: Some(i..i + 1), what: "wrong".into() };
    let cut = shortened((0..130).map(damage).collect());
    assert_eq!((cut.len(), cut[100].what.as_str()), (101, "30 more things are wrong with it"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever bytes a file is given, the check ends, names that file, and nothing else.
    #[test]
    fn any_bytes_in_any_file_are_reported_as_that_files(which in 0usize..12, cut in any::<prop::sample::Index>(), junk in proptest::collection::vec(any::<u8>(), 0..200)) {
        let dir = tempfile::tempdir().expect("temporary folder");
        let target = dir.path().join("t");
        write(&target, false);
        let name = TokenSet::open(&target).expect("open").manifest().files[which].path.clone();
        let path = target.join(name);
        let good = fs::read(&path).expect("read");
        let bad = [&good[..cut.index(good.len())], &junk].concat();
        prop_assume!(bad != good);
        replace(&path, &bad);
        let found = damages(&target);
        prop_assert!(!found.is_empty() && found.iter().all(|d| d.path == path), "{found:?}");
    }
}
