//! Sets written, continued after kills, and written again from a newer version of their documents.

use super::*;
use crate::read_documents;
use polder_base::{Random, digest_bytes};
use proptest::prelude::*;

const END: u32 = 9;

/// A document of a pile: split, doc_id, tokens. Its text's digest is that of its tokens.
type Row = (&'static str, String, Vec<u32>);

fn rows(documents: &[(&'static str, Vec<u32>)]) -> Vec<Row> {
    documents.iter().enumerate().map(|(i, (split, tokens))| (*split, format!("doc{i:03}"), tokens.clone())).collect()
}

fn options(vocab_size: usize, tokens_per_shard_max: u64) -> SetOptions {
    SetOptions {
        splits: vec!["train".into(), "validation".into()],
        shards: ShardOptions { vocab_size, bos_id: None, eos_id: Some(END), tokens_per_shard_max },
        tokenizer_digest: digest_bytes(b"tokenizer"),
    }
}

fn text_digest(tokens: &[u32]) -> Digest {
    digest_bytes(bytemuck::cast_slice(tokens))
}

fn inputs(rows: &[Row]) -> Digest {
    digest_json(&rows)
}

/// Offers and pushes rows until `n_steps` calls were made; says whether all were.
fn feed(writer: &mut TokenSetWriter, rows: &[Row], mut n_steps: usize) -> Result<bool, ShardError> {
    for (split, doc_id, tokens) in rows {
        if n_steps == 0 {
            return Ok(false);
        }
        n_steps -= 1;
        let text_digest = text_digest(tokens);
        if writer.offer(split, doc_id, &text_digest)? == Offer::Wanted {
            writer.push(split, &Document { doc_id, text_digest, text_bytes: 10 }, tokens)?;
        }
    }
    Ok(true)
}

fn end(writer: TokenSetWriter) -> Result<Manifest, ShardError> {
    writer.finish(Reference::artefact("tokens", "t"), Timestamp(0), Vec::new(), digest_bytes(b"config"), None)
}

fn write_rows(target: &Path, options: SetOptions, rows: &[Row]) -> Result<Manifest, ShardError> {
    let base = standing_set(target)?;
    let mut writer = TokenSetWriter::begin(target, options, inputs(rows), base.as_ref())?;
    feed(&mut writer, rows, usize::MAX)?;
    end(writer)
}

fn write(target: &Path, vocab_size: usize, max: u64, documents: &[(&'static str, Vec<u32>)]) -> Result<Manifest, ShardError> {
    write_rows(target, options(vocab_size, max), &rows(documents))
}

fn verify(target: &Path) {
    let verification = crate::verify(target, &|_| {}).expect("a set");
    assert!(verification.is_sound(), "{:?}", verification.damages);
}

fn stream(set: &TokenSet, split: &str) -> Vec<u32> {
    let part = set.split(split).expect("split");
    let mut out = Vec::new();
    part.read(0, u64::MAX, &mut out).expect("read");
    assert_eq!(out.len() as u64, part.n_tokens());
    out
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entry = |e: std::io::Result<fs::DirEntry>| {
        let e = e.expect("entry");
        (e.file_name().to_string_lossy().into_owned(), fs::read(e.path()).expect("read"))
    };
    fs::read_dir(folder).expect("list").map(entry).collect()
}

/// What a set holds: each document of a split with its tokens.
fn contents(target: &Path) -> BTreeMap<(String, String), Vec<u32>> {
    let set = TokenSet::open(target).expect("open");
    let mut out = BTreeMap::new();
    let mut starts: BTreeMap<String, usize> = BTreeMap::new();
    for document in read_documents(target).expect("documents") {
        let document = document.expect("line");
        let start = starts.entry(document.split.clone()).or_default();
        let tokens = stream(&set, &document.split)[*start..*start + document.n_tokens as usize].to_vec();
        *start += document.n_tokens as usize;
        assert!(out.insert((document.split, document.doc_id), tokens).is_none(), "one entry a document");
    }
    out
}

fn expected(rows: &[Row]) -> BTreeMap<(String, String), Vec<u32>> {
    let closed = |tokens: &[u32]| [tokens, &[END]].concat();
    rows.iter().map(|(split, id, tokens)| (((*split).to_owned(), id.clone()), closed(tokens))).collect()
}

fn any_rows(n: usize) -> impl Strategy<Value = Vec<Row>> {
    let document = (any::<bool>(), proptest::collection::vec(0u32..12, 0..9));
    proptest::collection::vec(document, 0..n).prop_map(|documents| {
        let split = |validation| if validation { "validation" } else { "train" };
        rows(&documents.into_iter().map(|(v, d)| (split(v), d)).collect::<Vec<_>>())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(n_trials(12)))]

    #[test]
    fn what_is_read_is_what_was_written(rows in any_rows(14), max in 1u64..20, wide in any::<bool>(), ctx in 1usize..6) {
        let dir = tempfile::tempdir().expect("temporary folder");
        let target = dir.path().join("t");
        write_rows(&target, options(if wide { 70_000 } else { 12 }, max), &rows).expect("write");
        let set = TokenSet::open(&target).expect("open");
        verify(&target);
        for split in ["train", "validation"] {
            let expected: Vec<u32> = rows.iter().filter(|r| r.0 == split).flat_map(|r| r.2.iter().copied().chain([END])).collect();
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
        prop_assert_eq!(contents(&target), expected(&rows));
    }

    /// A kill leaves what is on disk: the writer is dropped without a word, unfinished files hold anything at all.
    #[test]
    fn a_build_killed_anywhere_and_run_again_gives_the_same_bytes(
        old in any_rows(14), new in any_rows(14), max in 1u64..12, kills in proptest::collection::vec(0usize..14, 0..4), seed in any::<u64>(),
    ) {
        let dir = tempfile::tempdir().expect("temporary folder");
        let (whole, killed) = (dir.path().join("whole"), dir.path().join("killed"));
        for target in [&whole, &killed] {
            write_rows(target, options(12, max), &old).expect("the base set");
        }
        write_rows(&whole, options(12, max), &new).expect("undisturbed");
        for (i, n_steps) in kills.into_iter().enumerate() {
            let base = standing_set(&killed).expect("base");
            let mut writer = TokenSetWriter::begin(&killed, options(12, max), inputs(&new), base.as_ref()).expect("begin");
            feed(&mut writer, &new, n_steps).expect("feed");
            drop(writer);
            garble_unfinished(&dir.path().join(".killed.build"), seed ^ i as u64);
        }
        write_rows(&killed, options(12, max), &new).expect("continue");
        prop_assert!(files(&whole) == files(&killed));
        prop_assert_eq!(contents(&killed), expected(&new));
        prop_assert_eq!(fs::read_dir(dir.path()).expect("list").count(), 2, "nothing is left beside the sets");
        verify(&killed);
    }
}

/// How often a trial is repeated; `POLDER_SOAK=1` makes it many times more.
fn n_trials(n: u32) -> u32 {
    if std::env::var_os("POLDER_SOAK").is_some_and(|v| v == "1") { n * 20 } else { n }
}

/// Does to temporary files, and to files that progress does not list, what a kill in the middle of writing may do.
fn garble_unfinished(folder: &Path, seed: u64) {
    let listed = fs::read_to_string(folder.with_extension("build.json")).expect("progress");
    let random = Random::new(seed, "garble");
    fs::write(folder.join(".train-00000.bin.tmp"), b"cut").expect("write");
    fs::write(folder.with_file_name("..killed.build.json.7.tmp"), b"cut").expect("write");
    for (i, entry) in fs::read_dir(folder).expect("list").enumerate() {
        let path = entry.expect("entry").path();
        let name = path.file_name().expect("name").to_string_lossy().into_owned();
        if !listed.contains(&format!("\"{name}\"")) {
            // A new file under the name: a shared one must never be written into.
            let n = random.at(i as u64) % 40;
            fs::remove_file(&path).expect("remove");
            fs::write(&path, (0..n).map(|j| random.at(1000 + j) as u8).collect::<Vec<_>>()).expect("garble");
        }
    }
}

#[test]
fn progress_with_any_byte_changed_is_not_believed_and_the_build_begins_anew() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (target, path) = (dir.path().join("t"), dir.path().join(".t.build.json"));
    let rows = rows(&[("train", vec![1; 7]), ("train", vec![2; 7]), ("train", vec![3; 7])]);
    let undisturbed = write_rows(&dir.path().join("u"), options(12, 8), &rows).expect("write");
    let begin = || TokenSetWriter::begin(&target, options(12, 8), inputs(&rows), None).expect("begin");
    feed(&mut begin(), &rows, usize::MAX).expect("feed");
    let unfinished = || TokenSetWriter::unfinished(&target, &options(12, 8), inputs(&rows), None);
    assert!(begin().knows_documents() && unfinished() == Unfinished::Same);
    let sound = fs::read(&path).expect("progress");
    for at in 0..sound.len() {
        let mut changed = sound.clone();
        changed[at] ^= 1;
        fs::write(&path, &changed).expect("write");
        assert_eq!(unfinished(), Unfinished::Damaged, "byte {at} of {}", String::from_utf8_lossy(&sound));
    }
    let mut writer = begin();
    assert!(!writer.knows_documents());
    feed(&mut writer, &rows, usize::MAX).expect("feed");
    assert_eq!(end(writer).expect("finish").files, undisturbed.files);
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
fn a_document_that_ends_exactly_at_the_limit_fits_and_the_next_one_opens_a_shard() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let target = dir.path().join("t");
    write(&target, 12, 8, &[("train", vec![1; 3]), ("train", vec![2; 3]), ("train", vec![]), ("train", vec![3; 7])]).expect("write");
    let set = TokenSet::open(&target).expect("open");
    let shards: Vec<_> = set.details().shards.iter().map(|s| (s.name.as_str(), s.n_tokens, s.n_documents)).collect();
    assert_eq!(shards, [("train-00000", 8, 2), ("train-00001", 1, 1), ("train-00002", 8, 1)]);
}

#[test]
fn a_set_without_documents_is_whole_and_empty() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let target = dir.path().join("t");
    write(&target, 12, 8, &[]).expect("write");
    verify(&target);
    let set = TokenSet::open(&target).expect("open");
    let train = set.split("train").expect("declared");
    assert_eq!((train.n_tokens(), train.n_samples(4), set.details().unigram_entropy_nats), (0, 0, 0.0));
    assert!(matches!(set.split("test"), Err(ShardError::Split { known, .. }) if known == ["train", "validation"]));
}

#[test]
fn documents_without_tokens_have_an_entry_and_nothing_else() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let target = dir.path().join("t");
    let mut options = options(12, 8);
    options.shards.eos_id = None;
    write_rows(&target, options, &rows(&[("train", vec![]), ("train", vec![1, 2]), ("train", vec![])])).expect("write");
    let set = TokenSet::open(&target).expect("open");
    assert_eq!((set.details().n_documents["train"], stream(&set, "train")), (3, vec![1, 2]));
    verify(&target);
}

#[test]
fn opening_and_closing_tokens_stand_around_every_document_or_are_left_out() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let of = |bos_id, eos_id| {
        let target = dir.path().join("t");
        let mut options = options(12, 100);
        options.shards = ShardOptions { bos_id, eos_id, ..options.shards };
        write_rows(&target, options, &rows(&[("train", vec![1, 2]), ("train", vec![])])).expect("write");
        stream(&TokenSet::open(&target).expect("open"), "train")
    };
    assert_eq!(of(None, None), [1, 2]);
    assert_eq!(of(Some(10), None), [10, 1, 2, 10]);
    assert_eq!(of(None, Some(11)), [1, 2, 11, 11]);
    assert_eq!(of(Some(10), Some(11)), [10, 1, 2, 11, 10, 11]);
}

#[test]
fn the_width_of_tokens_follows_the_vocabulary_and_the_largest_ids_survive() {
    let dir = tempfile::tempdir().expect("temporary folder");
    for (vocab_size, dtype) in
        [(65_499, Dtype::U16), (65_500, Dtype::I32), (65_535, Dtype::I32), (65_536, Dtype::I32), (65_537, Dtype::I32)]
    {
        let target = dir.path().join(vocab_size.to_string());
        let largest = vocab_size as u32 - 1;
        write(&target, vocab_size, 100, &[("train", vec![largest, 0, largest])]).expect("write");
        let set = TokenSet::open(&target).expect("open");
        assert_eq!((set.details().dtype, stream(&set, "train")), (dtype, vec![largest, 0, largest, END]));
        verify(&target);
        let refused = write(&target, vocab_size, 100, &[("train", vec![largest + 1])]).expect_err("outside");
        assert!(refused.to_string().contains(&format!("its token 0 is {vocab_size}, outside")), "{refused}");
    }
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
    assert!(matches!(write(&target, 5, 8, &[]), Err(ShardError::Options { .. })), "the closing token is outside");
    let twice = SetOptions { splits: vec!["a".into(), "a".into()], ..options(12, 8) };
    assert!(matches!(write_rows(&target, twice, &[]), Err(ShardError::Options { .. })));
    assert!(!target.exists(), "nothing half-written stands at the set's place");
    write(&target, 12, 8, &[("train", vec![1])]).expect("what was left behind is no obstacle");
}

#[test]
fn documents_out_of_order_twice_or_left_out_are_named() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let target = dir.path().join("t");
    let digest = text_digest(&[1]);
    let document = |doc_id| Document { doc_id, text_digest: digest, text_bytes: 1 };
    let begin = || TokenSetWriter::begin(&target, options(12, 8), digest, None).expect("begin");
    let said = |e: ShardError| format!("{e}");
    let mut writer = begin();
    assert_eq!(writer.offer("train", "b", &digest).expect("first"), Offer::Wanted);
    assert_eq!(said(writer.offer("train", "b", &digest).expect_err("twice")), "document `b` was offered before");
    assert_eq!(said(writer.offer("train", "a", &digest).expect_err("order")), "document `a` comes after `b`");
    writer.offer("validation", "a", &digest).expect("each split has its own order");
    writer.offer("train", "c", &digest).expect("offers may run ahead");
    assert_eq!(said(writer.push("train", &document("c"), &[1]).expect_err("order")), "document `c` is pushed before `b`");
    writer.push("train", &document("b"), &[1]).expect("push");
    assert_eq!(said(writer.push("train", &document("b"), &[1]).expect_err("twice")), "document `b` is pushed before `c`");
    assert_eq!(said(end(writer).expect_err("left out")), "document `c` is wanted and was not pushed");
    let mut writer = begin();
    assert_eq!(said(writer.push("train", &document("b"), &[1]).expect_err("not offered")), "document `b` is not wanted");
}

#[test]
fn a_build_goes_on_only_with_the_documents_it_began_with() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let target = dir.path().join("t");
    let rows = rows(&[("train", vec![1; 7]), ("train", vec![2; 7]), ("train", vec![3; 7])]);
    let key = inputs(&rows);
    let begin = |options: SetOptions| TokenSetWriter::begin(&target, options, key, None).expect("begin");
    let mut writer = begin(options(12, 8));
    feed(&mut writer, &rows, usize::MAX).expect("feed");
    drop(writer);
    let mut writer = begin(options(12, 8));
    feed(&mut writer, &rows, usize::MAX).expect("feed");
    assert_eq!(writer.counts(), OfferCounts { kept: 0, written: 2, wanted: 1 });
    drop(writer);
    let mut writer = begin(options(12, 8));
    let refused = writer.offer("train", "doc001", &text_digest(&[5])).expect_err("doc000 is missing");
    assert!(refused.to_string().contains("`doc000` was written at its place"), "{refused}");
    let refused = end(begin(options(12, 8))).expect_err("nothing is offered");
    assert!(refused.to_string().contains("`doc000` was written by the attempt before"), "{refused}");
    let mut writer = begin(options(12, 9));
    feed(&mut writer, &rows, usize::MAX).expect("feed");
    assert_eq!(writer.counts().written, 0, "other options begin anew");
    end(writer).expect("finish");
}

#[test]
fn a_newer_version_shares_what_stayed_and_writes_only_what_it_must() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().expect("temporary folder");
    let (old, new) = (dir.path().join("old"), dir.path().join("new"));
    let row = |id: &str, token: u32| ("train", id.to_owned(), vec![token; 3]);
    let before: Vec<Row> = ["b", "d", "f", "h", "j", "l"].into_iter().zip(1..).map(|(id, t)| row(id, t)).collect();
    write_rows(&old, options(12, 8), &before).expect("two documents a shard");
    // d departs, h and j depart, l changes, a and g are new.
    let after = [row("a", 0), row("b", 1), row("f", 3), row("g", 0), row("l", 11)];
    let base = TokenSet::open(&old).expect("base");
    let mut writer = TokenSetWriter::begin(&new, options(12, 8), inputs(&after), Some(&base)).expect("begin");
    feed(&mut writer, &after, usize::MAX).expect("feed");
    assert_eq!(writer.counts(), OfferCounts { kept: 2, written: 0, wanted: 3 });
    end(writer).expect("finish");
    let set = TokenSet::open(&new).expect("open");
    let shards: Vec<_> = set.details().shards.iter().map(|s| (s.name.as_str(), s.first_doc_id.as_str(), s.n_documents)).collect();
    assert_eq!(shards, [("train-00000", "b", 1), ("train-00001", "f", 1), ("train-00003", "a", 2), ("train-00004", "l", 1)]);
    assert_eq!(contents(&new), expected(&after));
    verify(&new);
    // Once more with nothing departed: every shard is the same file.
    let third = dir.path().join("third");
    let mut writer = TokenSetWriter::begin(&third, options(12, 8), inputs(&after), Some(&set)).expect("begin");
    feed(&mut writer, &after, usize::MAX).expect("feed");
    assert_eq!(writer.counts().kept, 5);
    let manifest = end(writer).expect("finish");
    assert_eq!(manifest.files, set.manifest().files);
    for file in &manifest.files {
        let inode = |folder: &Path| fs::metadata(folder.join(&file.path)).expect("file").ino();
        assert_eq!(inode(&third), inode(&new), "{}", file.path);
    }
}

#[test]
fn a_set_of_another_tokenizer_shares_nothing() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let target = dir.path().join("t");
    let rows = rows(&[("train", vec![1])]);
    write_rows(&target, options(12, 8), &rows).expect("write");
    let base = TokenSet::open(&target).expect("open");
    let other = SetOptions { tokenizer_digest: digest_bytes(b"other"), ..options(12, 8) };
    let mut writer = TokenSetWriter::begin(&target, other, inputs(&rows), Some(&base)).expect("begin");
    feed(&mut writer, &rows, usize::MAX).expect("feed");
    assert_eq!(writer.counts().wanted, 1);
}

#[test]
fn a_damaged_base_shard_is_not_written_anew_with_a_good_digest() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let target = dir.path().join("t");
    let mut rows = rows(&[("train", vec![1]), ("train", vec![2])]);
    write_rows(&target, options(12, 8), &rows).expect("write");
    let bin = target.join("train-00000.bin");
    fs::write(&bin, [1, 0, 9, 0, 3, 0, 9, 0]).expect("damage");
    rows.remove(0);
    let refused = write_rows(&target, options(12, 8), &rows).expect_err("damaged");
    assert!(matches!(&refused, ShardError::Broken { path, .. } if *path == bin), "{refused}");
}

#[test]
fn a_kill_between_taking_the_old_set_away_and_placing_the_new_one_loses_neither() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let target = dir.path().join("t");
    let (before, after) = (rows(&[("train", vec![1])]), rows(&[("train", vec![1]), ("train", vec![2])]));
    write_rows(&target, options(12, 8), &before).expect("write");
    fs::rename(&target, dir.path().join(".t.old")).expect("as publish_dir does");
    assert!(standing_set(&target).expect("restored").is_some());
    write_rows(&target, options(12, 8), &after).expect("write");
    assert_eq!(contents(&target), expected(&after));
    assert!(standing_set(&dir.path().join("absent")).expect("none").is_none());
}

#[test]
fn a_kill_just_after_a_set_was_placed_leaves_nothing_beside_it() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (target, progress) = (dir.path().join("t"), dir.path().join(".t.build.json"));
    let rows = rows(&[("train", vec![1])]);
    let mut writer = TokenSetWriter::begin(&target, options(12, 8), inputs(&rows), None).expect("begin");
    feed(&mut writer, &rows, usize::MAX).expect("feed");
    let list = fs::read(&progress).expect("of closed shards");
    end(writer).expect("finish");
    fs::write(&progress, list).expect("not yet removed");
    assert!(standing_set(&target).expect("a set").is_some() && !progress.exists());
}

#[test]
fn a_full_disk_is_said_and_nothing_unwritten_counts() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (target, undisturbed) = (dir.path().join("t"), dir.path().join("u"));
    let rows = rows(&[("train", vec![1; 7]), ("train", vec![2; 7]), ("train", vec![3; 7])]);
    write_rows(&undisturbed, options(12, 8), &rows).expect("write");
    // The file that takes nothing more: the second shard's tokens go there.
    let mut writer = TokenSetWriter::begin(&target, options(12, 8), inputs(&rows), None).expect("begin");
    let full = dir.path().join(".t.build/.train-00001.bin.tmp");
    std::os::unix::fs::symlink("/dev/full", &full).expect("link");
    let refused = feed(&mut writer, &rows, usize::MAX).expect_err("full");
    assert!(matches!(&refused, ShardError::Write { source, .. } if source.kind() == std::io::ErrorKind::StorageFull), "{refused}");
    assert!(polder_base::Advice::hint(&refused).is_some_and(|h| h.contains("disk is full")));
    drop(writer);
    fs::remove_file(&full).expect("room again");
    let mut writer = TokenSetWriter::begin(&target, options(12, 8), inputs(&rows), None).expect("begin");
    feed(&mut writer, &rows, usize::MAX).expect("feed");
    assert_eq!(writer.counts(), OfferCounts { kept: 0, written: 1, wanted: 2 });
    end(writer).expect("finish");
    assert!(files(&target) == files(&undisturbed));
}
