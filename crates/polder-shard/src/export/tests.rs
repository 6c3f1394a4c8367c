//! Sets written in the formats of others and read back.

use super::*;
use crate::{Document, Offer, SetOptions, ShardOptions, TokenSetWriter};
use polder_base::{Advice, digest_bytes};
use proptest::prelude::*;

const END: u32 = 9;

fn set(dir: &Path, vocab_size: usize, documents: &[(&str, Vec<u32>)]) -> TokenSet {
    let target = dir.join("set");
    let options = SetOptions {
        splits: vec!["train".into(), "validation".into()],
        shards: ShardOptions { vocab_size, bos_id: None, eos_id: Some(END), tokens_per_shard_max: 12 },
        tokenizer_digest: digest_bytes(b"tokenizer"),
    };
    let mut writer = TokenSetWriter::begin(&target, options, digest_bytes(b"inputs"), None).expect("begin");
    for (i, (split, tokens)) in documents.iter().enumerate() {
        let (doc_id, text_digest) = (format!("doc{i:03}"), digest_bytes(&[i as u8]));
        assert_eq!(writer.offer(split, &doc_id, &text_digest).expect("offer"), Offer::Wanted);
        writer.push(split, &Document { doc_id: &doc_id, text_digest, text_bytes: 5 }, tokens).expect("push");
    }
    writer.finish(Reference::artefact("tokens", "t"), Timestamp(0), Vec::new(), digest_bytes(b"config"), None).expect("finish");
    TokenSet::open(&target).expect("open")
}

fn options(set: &TokenSet, format: ExportFormat, tokens_per_file_max: u64) -> ExportOptions {
    let reference = Reference::artefact("tokens", "t");
    let input = Input { reference: reference.clone(), digest: set.fingerprint() };
    ExportOptions { format, tokens_per_file_max, reference, input, at: Timestamp(0) }
}

fn all(file: &TokenFile) -> Vec<u32> {
    let mut out = Vec::new();
    file.read(0..u64::MAX, &mut out);
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn every_format_gives_back_the_documents_of_the_set(
        documents in proptest::collection::vec((any::<bool>(), proptest::collection::vec(0u32..12, 0..9)), 0..12),
        max in 1u64..30,
        wide in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().expect("temporary folder");
        let documents: Vec<(&str, Vec<u32>)> =
            documents.into_iter().map(|(v, d)| (if v { "validation" } else { "train" }, d)).collect();
        let set = set(dir.path(), if wide { 70_000 } else { 12 }, &documents);
        let of = |split: &str| documents.iter().enumerate().filter(|(_, d)| d.0 == split).map(|(i, d)| (format!("doc{i:03}"), d.1.clone())).collect::<Vec<_>>();
        for format in ExportFormat::ALL {
            let folder = dir.path().join(format.name());
            let exported = export(&set, &folder, &options(&set, format, max), &mut |_| {});
            if wide && matches!(format, ExportFormat::LlmC | ExportFormat::NanoGpt) {
                let refused = exported.expect_err("too wide");
                prop_assert!(refused.to_string().contains("the vocabulary has 70000"));
                prop_assert!(refused.hint().is_some_and(|h| h.contains("llm.c-u32")));
                prop_assert!(!folder.exists());
                continue;
            }
            exported.expect("export");
            let manifest = Manifest::verify(&folder).expect("its manifest tells the truth");
            for split in ["train", "validation"] {
                let expected = of(split);
                match format {
                    ExportFormat::LlmC | ExportFormat::LlmCWide => {
                        let files: Vec<_> = manifest.files.iter().filter(|f| f.path.starts_with(split)).collect();
                        let files: Vec<_> = files.iter().map(|f| TokenFile::open_llm_c(&folder.join(&f.path)).expect("open")).collect();
                        let read: Vec<u32> = files.iter().flat_map(all).collect();
                        let opened: Vec<u32> = expected.iter().flat_map(|(_, d)| [&[END], &d[..]].concat()).collect();
                        prop_assert_eq!(read, opened);
                        for file in &files {
                            // A file begins with a document, and has more than the limit only if that is its only one.
                            let longest = expected.iter().map(|d| d.1.len() as u64 + 1).max().unwrap_or(0);
                            prop_assert!(all(file)[0] == END && file.n_tokens() <= max.max(longest));
                        }
                    }
                    ExportFormat::NanoGpt => {
                        let name = if split == "train" { "train.bin" } else { "val.bin" };
                        let read = all(&TokenFile::open_nano_gpt(&folder.join(name)).expect("open"));
                        let closed: Vec<u32> = expected.iter().flat_map(|(_, d)| [&d[..], &[END]].concat()).collect();
                        prop_assert_eq!(read, closed);
                    }
                    ExportFormat::Mds => {
                        let mds = MdsFolder::open(&folder.join(split)).expect("open");
                        let sample = |i| {
                            let sample: MdsSample<'_> = mds.sample(i).expect("sample");
                            (sample.text("doc_id").expect("id").to_owned(), sample.tokens("tokens").expect("tokens"))
                        };
                        let read: Vec<_> = (0..mds.n_samples()).map(sample).collect();
                        let closed: Vec<_> = expected.iter().map(|(id, d)| (id.clone(), [&d[..], &[END]].concat())).collect();
                        prop_assert_eq!(read, closed);
                    }
                }
            }
        }
    }
}

#[test]
fn files_of_llm_c_have_the_bytes_of_its_own_writer() {
    let dir = tempfile::tempdir().expect("temporary folder");
    // What data_common.py wrote of these tokens.
    let golden: [(Dtype, &[u32], &str); 2] = [
        (Dtype::U16, &[50256, 15496, 995, 13, 50256, 1], "7bb1d26acebe095793cf5f711cf7a369780571314ab410947e72132a354deba1"),
        (Dtype::I32, &[128_000, 9906, 1917, 128_001], "cb15be4c960e0a26f26072101110a7643d5e72e7842ccbeb98b97b2fe1839a1f"),
    ];
    for (dtype, tokens, digest) in golden {
        let mut file = crate::summed_file::SummedFile::create(dir.path(), "x.bin").expect("create");
        file.write(&llm_c::header(dtype == Dtype::I32, tokens.len() as i32)).expect("write");
        file.write_tokens(dtype, tokens).expect("write");
        assert_eq!(file.close().expect("close").file.digest.hex(), digest);
        assert_eq!(all(&TokenFile::open_llm_c(&dir.path().join("x.bin")).expect("open")), tokens);
    }
}

use crate::index::Dtype;

#[test]
fn a_folder_that_is_there_and_a_damaged_set_are_refused() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let set = set(dir.path(), 12, &[("train", vec![1, 2])]);
    let options = options(&set, ExportFormat::NanoGpt, 100);
    let folder = dir.path().join("out");
    export(&set, &folder, &options, &mut |_| {}).expect("export");
    assert!(export(&set, &folder, &options, &mut |_| {}).expect_err("there").to_string().contains("is there already"));
    fs::write(set.folder().join("train-00000.bin"), [1, 0, 3, 0, 9, 0]).expect("damage");
    let other = dir.path().join("other");
    assert!(export(&set, &other, &options, &mut |_| {}).expect_err("damaged").to_string().contains("digest"));
    assert!(!other.exists());
}

#[test]
fn a_set_without_documents_exports_to_files_without_tokens() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let set = set(dir.path(), 12, &[]);
    for format in ExportFormat::ALL {
        let folder = dir.path().join(format.name());
        export(&set, &folder, &options(&set, format, 100), &mut |_| {}).expect("export");
        assert_eq!(format.name().parse(), Ok(format));
    }
    assert_eq!(TokenFile::open_nano_gpt(&dir.path().join("nanogpt/val.bin")).expect("open").n_tokens(), 0);
    assert_eq!(MdsFolder::open(&dir.path().join("mds/train")).expect("open").n_samples(), 0);
}
