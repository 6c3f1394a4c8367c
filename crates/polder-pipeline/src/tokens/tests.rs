//! A pile becomes shards, as its users meet it; each test has a lake of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use polder_base::{TableName, Verdict, digest_bytes};
use polder_lake::{WriteMode, WriteOptions};
use polder_shard::{TokenDocument, read_documents, verify};
use polder_tokenizer::{TrainOptions, WordCounts, train};
use tempfile::TempDir;

use super::*;

/// A document of a pile: id, text, split.
type Row = (String, Option<String>, &'static str);

struct Here {
    _dir: TempDir,
    lake: Lake,
}

fn pile() -> TableName {
    "pile.base".parse().expect("a name")
}

fn text(i: usize) -> String {
    let words = ["Deich", "Ufer", "naß", "Graben", "water", "polder", "鹽", "\n", "mill"];
    (0..5 + i % 90).map(|w| words[(i * 7 + w * w + i % 11) % words.len()]).collect::<Vec<_>>().join(" ")
}

/// Documents in no order, every twelfth for validation.
fn rows(numbers: impl Iterator<Item = usize>) -> Vec<Row> {
    let id = |i: usize| digest_bytes(&i.to_le_bytes()).hex()[..16].to_owned();
    numbers.map(|i| (id(i), Some(text(i)), if i % 12 == 0 { "validation" } else { "train" })).collect()
}

fn batch(rows: &[Row], has_split: bool) -> RecordBatch {
    let ids: ArrayRef = Arc::new(rows.iter().map(|r| Some(r.0.as_str())).collect::<StringArray>());
    let texts: ArrayRef = Arc::new(rows.iter().map(|r| r.1.as_deref()).collect::<StringArray>());
    let mut columns = vec![("doc_id", ids), ("text", texts)];
    if has_split {
        columns.push(("split", Arc::new(rows.iter().map(|r| Some(r.2)).collect::<StringArray>())));
    }
    RecordBatch::try_from_iter(columns).expect("a batch")
}

impl Here {
    /// A lake with a tokenizer, and a pile of these rows.
    async fn with(rows: &[Row], has_split: bool) -> Self {
        let dir = tempfile::tempdir().expect("temporary folder");
        let lake = Lake::init(&dir.path().join("lake")).await.expect("a lake");
        let here = Self { _dir: dir, lake };
        here.tokenizer("small", 300);
        here.replace(rows, has_split).await;
        here
    }

    fn tokenizer(&self, name: &str, vocab_size: usize) {
        let mut counts = WordCounts::default();
        (0..200).for_each(|i| counts.add(&text(i)));
        let tokenizer = train(&counts, &TrainOptions { vocab_size, ..TrainOptions::default() }, &mut |_, _| {}).expect("a tokenizer");
        let reference = Reference::artefact("tokenizers", name);
        let folder = self.lake.layout().artefact(&reference).expect("a folder");
        polder_base::write_whole(&folder.join("tokenizer.json"), tokenizer.to_json().as_bytes()).expect("written");
        let mut manifest = Manifest::new(reference, Timestamp(0), vec![], digest_bytes(b""), serde_json::Value::Null);
        manifest.describe(&folder, &["tokenizer.json"]).expect("described");
        manifest.write(&folder).expect("written");
    }

    async fn replace(&self, rows: &[Row], has_split: bool) {
        let frame = self.lake.session().read_batch(batch(rows, has_split)).expect("a frame");
        let options = WriteOptions { mode: WriteMode::Overwrite, ..WriteOptions::default() };
        self.lake.write(&pile(), frame, &options).await.expect("written");
    }

    fn request(&self) -> BuildTokens {
        let mut request = BuildTokens::new("set", "pile.base".parse().expect("a reference"), "small");
        request.shard_tokens_max = 2000;
        request
    }

    fn folder(&self) -> PathBuf {
        self.lake.layout().artefact(&Reference::artefact("tokens", "set")).expect("a folder")
    }

    async fn build(&self, request: BuildTokens) -> Result<TokensBuilt, PipelineError> {
        let plan = request.plan(&self.lake, Timestamp(self.lake.snapshot(&Reference::table(&pile())).await?.version as i64)).await?;
        let input_digest = plan.inputs_digest();
        let clearance =
            Clearance { verdict: Verdict::Cleared, policy_digest: digest_bytes(b""), input_digest, reasons: vec![], at: Timestamp(0) };
        plan.run(&self.lake, clearance, &mut |_| {}).await
    }

    /// Digests of the set's files by path.
    fn files(&self) -> BTreeMap<String, Digest> {
        let manifest = Manifest::verify(&self.folder()).expect("whole");
        manifest.files.into_iter().map(|f| (f.path, f.digest)).collect()
    }

    fn documents(&self) -> Vec<TokenDocument> {
        let checked = verify(&self.folder(), &|_| {}).expect("a set");
        assert!(checked.is_sound(), "{:?}", checked.damages);
        read_documents(&self.folder()).expect("lists").map(|d| d.expect("a document")).collect()
    }

    /// Document ids by split as they stand, in order of the set.
    fn ids(&self) -> BTreeMap<String, Vec<String>> {
        let mut ids: BTreeMap<String, Vec<String>> = BTreeMap::new();
        self.documents().into_iter().for_each(|d| ids.entry(d.split).or_default().push(d.doc_id));
        ids
    }

    /// What a document's tokens say.
    fn decoded(&self, doc_id: &str) -> String {
        let set = TokenSet::open(&self.folder()).expect("a set");
        let document = self.documents().into_iter().find(|d| d.doc_id == doc_id).expect("the document");
        let split = set.split(&document.split).expect("a split");
        let mut start = 0;
        for other in self.documents().iter().filter(|d| d.split == document.split) {
            if other.doc_id == doc_id {
                break;
            }
            start += other.n_tokens;
        }
        let mut ids = Vec::new();
        split.read(start, start + document.n_tokens, &mut ids).expect("tokens");
        let path = self.lake.layout().kind("tokenizers").join("small/tokenizer.json");
        Tokenizer::open(&path).expect("the tokenizer").decode(&ids)
    }

    async fn number(&self, sql: &str) -> i64 {
        let batches = self.lake.sql(sql).await.expect("planned").collect().await.expect("collected");
        batches.iter().find(|b| b.num_rows() == 1).expect("one row").column(0).as_primitive::<Int64Type>().value(0)
    }

    /// Rows of `ops.token_documents` that are current by the newest list of shards, and all.
    async fn noted(&self) -> (i64, i64) {
        let parameters = [("token_set", datafusion::scalar::ScalarValue::from("set"))];
        let current = self.lake.sql_with(crate::query("queries/token_documents.sql"), &parameters).await.expect("planned");
        let current = current.count().await.expect("counted") as i64;
        (current, self.number("SELECT count(*) FROM ops.token_documents").await)
    }
}

fn sorted_ids(rows: &[Row], split: &str) -> Vec<String> {
    let mut ids: Vec<String> = rows.iter().filter(|r| r.2 == split).map(|r| r.0.clone()).collect();
    ids.sort();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn every_document_stands_once_in_order_of_its_id_and_says_what_the_row_says() {
    let rows = rows(0..500);
    let here = Here::with(&rows, true).await;
    let built = here.build(here.request()).await.expect("built");
    assert_eq!((built.stood, built.counts.wanted, built.n_without_text, built.n_left_out), (false, 500, 0, 0));
    assert!(built.n_shards.2 > 5, "{:?}", built.n_shards);
    let ids = here.ids();
    assert_eq!(ids["train"], sorted_ids(&rows, "train"));
    assert_eq!(ids["validation"], sorted_ids(&rows, "validation"));
    for (id, text, _) in &rows[..20] {
        assert_eq!(here.decoded(id), format!("{}{END_OF_TEXT}", text.as_deref().expect("text")));
    }
    assert_eq!(here.noted().await, (500, 500));
    let again = here.build(here.request()).await.expect("built");
    assert!(again.stood);
    assert_eq!(here.noted().await, (500, 500), "nothing is noted twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_for_sorting_changes_nothing_but_the_time() {
    let rows = rows(0..700);
    let here = Here::with(&rows, true).await;
    here.build(here.request()).await.expect("built");
    let whole = here.files();
    for memory_bytes in [0, 20_000, 200_000] {
        let request = BuildTokens { memory_bytes, begin: Begin::Fresh, ..here.request() };
        here.build(request).await.expect("built");
        assert_eq!(here.files(), whole, "{memory_bytes}");
        let left = std::fs::read_dir(here.lake.layout().kind("tokens")).expect("a folder").flatten().map(|e| e.file_name());
        let left: Vec<_> = left.collect();
        assert!(left.len() == 2, "only the set and its lock: {left:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_version_keeps_what_stayed_rewrites_what_lost_documents_and_adds_what_came() {
    let before = rows(0..600);
    let here = Here::with(&before, true).await;
    here.build(here.request()).await.expect("built");
    let first = here.files();

    // One of the first ids departs, one of the last changes, forty come.
    let mut order: Vec<usize> = (0..600).filter(|i| i % 12 != 0).collect();
    order.sort_by_key(|i| before[*i].0.clone());
    let (gone, changed) = (order[3], order[order.len() - 4]);
    let mut after: Vec<Row> = before.iter().enumerate().filter(|(i, _)| *i != gone).map(|(_, r)| r.clone()).collect();
    let change = after.iter_mut().find(|r| r.0 == before[changed].0).expect("the row");
    change.1 = Some("anders als zuvor".into());
    after.extend(rows(600..640));
    here.replace(&after, true).await;
    let built = here.build(here.request()).await.expect("built");

    let (shared, rewritten, added) = built.n_shards;
    assert_eq!((rewritten, built.counts.kept, built.counts.wanted), (2, 598, 41), "{built:?}");
    assert!(shared >= 3 && added >= 2, "{built:?}");
    let second = here.files();
    let same = first.iter().filter(|(path, digest)| path.ends_with(".bin") && second.get(*path) == Some(digest)).count();
    assert_eq!(same as u64, shared);
    let mut found: Vec<String> = here.documents().into_iter().map(|d| d.doc_id).collect();
    let mut expected: Vec<String> = after.iter().map(|r| r.0.clone()).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "every document once");
    assert_eq!(here.decoded(&before[changed].0), format!("anders als zuvor{END_OF_TEXT}"));

    // The books know which rows are current, and keep what was.
    let (current, all) = here.noted().await;
    assert_eq!(current, 639);
    assert!(all > 640 && all < 1239, "shared shards are noted once: {all}");
    let departed = format!("SELECT count(*) FROM ops.token_documents WHERE doc_id = '{}'", before[gone].0);
    assert_eq!(here.number(&departed).await, 1, "what was, is still known");

    // Back to the first version: nothing is noted twice.
    here.replace(&before, true).await;
    here.build(BuildTokens { begin: Begin::Fresh, ..here.request() }).await.expect("built");
    assert_eq!(here.files(), first);
    assert_eq!(here.noted().await, (600, all), "the first shards' rows are there already");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tokenizer_or_policy_builds_the_set_from_nothing_and_says_so() {
    let rows = rows(0..100);
    let here = Here::with(&rows, true).await;
    here.tokenizer("other", 290);
    here.build(here.request()).await.expect("built");
    let changes: [(&str, BuildTokens); 3] = [
        ("another tokenizer", BuildTokens { tokenizer: "other".into(), ..here.request() }),
        ("other tokens", BuildTokens { tokenizer: "other".into(), bos: Some(END_OF_TEXT.into()), ..here.request() }),
        (
            "other settings",
            BuildTokens { tokenizer: "other".into(), bos: Some(END_OF_TEXT.into()), shard_tokens_max: 900, ..here.request() },
        ),
    ];
    for (says, request) in changes {
        let plan = request.clone().plan(&here.lake, Timestamp(0)).await.expect("planned");
        assert!(matches!(plan.standing(), Standing::Replaced(why) if why.contains(says)), "{:?}", plan.standing());
        let built = here.build(request.clone()).await.expect("built");
        assert_eq!((built.counts.kept, built.counts.wanted), (0, 100), "{says}");
        let n_edges = 1 + u64::from(request.bos.is_some());
        let tokenizer = Tokenizer::open(&here.lake.layout().kind("tokenizers").join("other/tokenizer.json")).expect("a tokenizer");
        for document in here.documents() {
            let text = rows.iter().find(|r| r.0 == document.doc_id).and_then(|r| r.1.as_deref()).expect("the row");
            assert_eq!(document.n_tokens, tokenizer.encode(text).len() as u64 + n_edges);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pile_without_splits_is_split_by_a_hash_of_the_ids() {
    let rows = rows(0..2000);
    let here = Here::with(&rows, false).await;
    here.build(BuildTokens { validation_share: Some(0.1), ..here.request() }).await.expect("built");
    let ids = here.ids();
    assert!((150..250).contains(&ids["validation"].len()), "{}", ids["validation"].len());
    assert!(ids["validation"].iter().all(|id| polder_text::hash_share(id) < 0.1));
    assert!(ids["train"].iter().all(|id| polder_text::hash_share(id) >= 0.1));
    assert_eq!(ids["train"].len() + ids["validation"].len(), 2000);
    // Documents of one version stay in their split in the next.
    here.replace(&rows[..1000], false).await;
    let built = here.build(BuildTokens { validation_share: Some(0.1), ..here.request() }).await.expect("built");
    assert_eq!((built.counts.kept, built.counts.wanted), (1000, 0));
    here.build(here.request()).await.expect("half a per cent by default");
    assert!(here.ids()["validation"].iter().all(|id| polder_text::hash_share(id) < VALIDATION_SHARE));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_without_text_is_left_out_and_counted_and_an_empty_text_is_a_document() {
    let mut rows = rows(0..50);
    rows[7].1 = None;
    rows[9].1 = Some(String::new());
    rows[11].2 = "test";
    let here = Here::with(&rows, true).await;
    let built = here.build(here.request()).await.expect("built");
    assert_eq!((built.n_without_text, built.n_left_out, built.counts.wanted), (1, 1, 48));
    let documents = here.documents();
    assert!(!documents.iter().any(|d| d.doc_id == rows[7].0));
    let empty = documents.iter().find(|d| d.doc_id == rows[9].0).expect("the empty document");
    assert_eq!((empty.n_tokens, empty.text_bytes), (1, 0));
    rows.iter_mut().for_each(|r| r.1 = None);
    here.replace(&rows, true).await;
    assert!(matches!(here.build(here.request()).await, Err(PipelineError::Empty { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_chooses_rows() {
    let rows = rows(0..100);
    let here = Here::with(&rows, true).await;
    let request = BuildTokens { filter: Some("text LIKE '%mill%' AND length(doc_id) = 16".into()), ..here.request() };
    here.build(request).await.expect("built");
    let with = rows.iter().filter(|r| r.1.as_deref().is_some_and(|t| t.contains("mill"))).count();
    assert!(with > 10 && with < 100 && here.documents().len() == with);
    for condition in ["", "lenght(text) > 3", "texd = ''", "1; DROP TABLE x"] {
        let request = BuildTokens { filter: Some(condition.into()), ..here.request() };
        let error = here.build(request).await.expect_err("refused");
        assert!(matches!(error, PipelineError::Condition { .. }), "{condition}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_built_is_named() {
    let mut rows = rows(0..60);
    let here = Here::with(&rows, true).await;
    let refused = async |request: BuildTokens| here.build(request).await.expect_err("refused");
    let no_token = refused(BuildTokens { eos: Some("<|nothing|>".into()), ..here.request() }).await;
    assert!(matches!(&no_token, PipelineError::NoToken { token, known, .. } if token == "<|nothing|>" && known == &[END_OF_TEXT]));
    assert!(matches!(refused(BuildTokens { tokenizer: "none".into(), ..here.request() }).await, PipelineError::Manifest(_)));
    assert!(matches!(refused(BuildTokens { validation_share: Some(0.1), ..here.request() }).await, PipelineError::Request { .. }));
    let resume = refused(BuildTokens { begin: Begin::Resume, ..here.request() }).await;
    assert!(resume.to_string().contains("was broken off"), "{resume}");
    let progress = here.folder().with_file_name(".set.build.json");
    std::fs::write(&progress, "{}").expect("written");
    let damaged = refused(BuildTokens { begin: Begin::Resume, ..here.request() }).await;
    assert!(damaged.to_string().contains("is not as it was written"), "{damaged}");
    std::fs::remove_file(&progress).expect("removed");
    let table = BuildTokens { from: "pile.base@9".parse().expect("a reference"), ..here.request() };
    assert!(matches!(refused(table).await, PipelineError::Lake(_)));

    rows.push(rows[5].clone());
    here.replace(&rows, true).await;
    let twice = refused(here.request()).await;
    assert!(matches!(&twice, PipelineError::SameDocId { doc_id, .. } if *doc_id == rows[5].0), "{twice:?}");
    here.replace(&[], true).await;
    assert!(matches!(refused(here.request()).await, PipelineError::Empty { .. }));
    for (name, column) in [("doc_id", "text"), ("text", "doc_id")] {
        let one: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
        let number: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let frame = here.lake.session().read_batch(RecordBatch::try_from_iter([(name, one), (column, number)]).expect("a batch"));
        let options = WriteOptions { mode: WriteMode::Overwrite, ..WriteOptions::default() };
        here.lake.write(&pile(), frame.expect("a frame"), &options).await.expect("written");
        let error = refused(here.request()).await;
        assert!(matches!(&error, PipelineError::Column { column: found, .. } if found == column), "{error:?}");
    }
    assert!(!here.folder().exists(), "no half of a set is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_builds_of_one_set_exclude_each_other() {
    let here = Here::with(&rows(0..20), true).await;
    let plan = here.request().plan(&here.lake, Timestamp(0)).await.expect("planned");
    let lock = plan.lock(&here.lake).expect("the lock");
    assert!(matches!(here.build(here.request()).await, Err(PipelineError::Busy { .. })));
    drop(lock);
    here.build(here.request()).await.expect("built");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_nobody_waits_for_stops_and_is_gone_on_with() {
    let rows = rows(0..30_000);
    let whole = Here::with(&rows, true).await;
    let request = |here: &Here, begin| BuildTokens { begin, shard_tokens_max: 100_000, ..here.request() };
    whole.build(request(&whole, Begin::Any)).await.expect("built");
    let here = Here::with(&rows, true).await;
    let plan = request(&here, Begin::Any).plan(&here.lake, Timestamp(0)).await.expect("planned");
    let clearance = Clearance {
        verdict: Verdict::Cleared,
        policy_digest: digest_bytes(b""),
        input_digest: plan.inputs_digest(),
        reasons: vec![],
        at: Timestamp(0),
    };
    let (reached, mut seen) = tokio::sync::mpsc::channel(1);
    let mut on_progress = |p: &TokensProgress| {
        if p.phase == TokensPhase::Encoding && p.n_documents > 5000 {
            let _ = reached.try_send(());
        }
    };
    tokio::select! {
        built = plan.run(&here.lake, clearance, &mut on_progress) => panic!("not stopped: {built:?}"),
        _ = seen.recv() => {}
    }
    assert!(!here.folder().exists());
    // The thread that writes notices at its next chunk.
    let built = loop {
        match here.build(request(&here, Begin::Resume)).await {
            Ok(built) => break built,
            Err(PipelineError::Busy { .. }) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            Err(e) => panic!("{e:?}"),
        }
    };
    assert!(built.counts.written > 0 && built.counts.wanted > 0, "{built:?}");
    assert_eq!(here.files(), whole.files());
    assert_eq!(here.noted().await, (30_000, 30_000));
}
