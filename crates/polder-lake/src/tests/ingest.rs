//! Files come in once, whole, and every one is accounted for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::cast::as_string_array;
use polder_base::{Advice as _, ExitKind, Timestamp};

use super::{lake, lake_in_folder, name, number, run as statement};
use crate::ingest::IngestError;
use crate::{IngestReport, IngestRequest, Lake, LakeError, Order};

fn put(root: &Path, path: &str, bytes: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("parent")).expect("folder");
    fs::write(path, bytes).expect("file");
}

fn request(root: &Path) -> IngestRequest {
    IngestRequest::new(vec![root.to_string_lossy().into_owned()], name("raw.docs"), Timestamp(1_700_000_000_000))
}

async fn run(lake: &Lake, request: &IngestRequest) -> Result<IngestReport, LakeError> {
    let mut last = None;
    let report = lake.ingest(request, &mut |p| last = Some(*p)).await?;
    assert!(last.is_some());
    Ok(report)
}

async fn strings(lake: &Lake, sql: &str) -> Vec<String> {
    let batches = lake.sql(sql).await.expect("plan").collect().await.expect("rows");
    let mut all = Vec::new();
    for batch in batches {
        let column = cast(batch.column(0), &DataType::Utf8).expect("text");
        all.extend(as_string_array(&column).expect("text").iter().flatten().map(str::to_owned));
    }
    all
}

fn sample(root: &Path) {
    put(root, "serde-1.0.0/src/lib.rs", "fn main() {}\n");
    put(root, "serde-1.0.0/README.md", "# Serde\n");
    put(root, "serde-1.0.0/.gitignore", "README.md\n");
    put(root, "serde-1.0.1/src/lib.rs", "fn main() { 1 }\n");
    put(root, "notes.txt", "grüße\n");
    put(root, "bad/latin.txt", b"\xff\x81\x01\x02");
    put(root, "bad/object.o", b"\x7fELF\0\0");
    put(root, "bad/nothing.txt", "");
    put(root, "bad/white.txt", " \n\t");
    put(root, "bad/large.txt", "x".repeat(5000));
    #[cfg(unix)]
    std::os::unix::fs::symlink("/etc/passwd", root.join("bad/link")).expect("link");
}

#[tokio::test]
async fn every_file_is_kept_or_quarantined_and_the_counts_add_up() {
    let (dir, lake) = lake().await;
    let root = dir.path().join("files");
    sample(&root);
    let mut asked = request(&root);
    asked.what.limits.record_bytes_max = 2400;
    let report = run(&lake, &asked).await.expect("ingested");
    assert_eq!((report.files, report.kept, report.added, report.present, report.links_skipped), (9, 4, 4, 0, 1));
    assert_eq!(report.records, report.kept + report.quarantined.values().sum::<u64>());
    let reasons: Vec<(&str, u64)> = report.quarantined.iter().map(|(r, n)| (r.as_str(), *n)).collect();
    assert_eq!(reasons, [("binary", 1), ("empty", 2), ("not_text", 1), ("too_large", 1)]);
    assert_eq!(number(&lake, "SELECT count(*) FROM raw.quarantine").await, 5);
    assert_eq!(number(&lake, "SELECT sum(bytes) FROM raw.docs").await as u64, report.bytes);
    assert_eq!(strings(&lake, "SELECT DISTINCT package FROM raw.docs ORDER BY package").await, ["notes", "serde"]);
    assert_eq!(
        strings(&lake, "SELECT path FROM raw.docs ORDER BY path").await,
        ["notes.txt", "serde-1.0.0/README.md", "serde-1.0.0/src/lib.rs", "serde-1.0.1/src/lib.rs"]
    );
    assert_eq!(strings(&lake, "SELECT text FROM raw.docs WHERE path = 'notes.txt'").await, ["grüße\n"]);
    assert_eq!(strings(&lake, "SELECT media_type FROM raw.docs WHERE path LIKE '%.md'").await, ["text/markdown"]);
    let uri = strings(&lake, "SELECT uri FROM raw.docs WHERE path = 'notes.txt'").await.remove(0);
    assert!(uri.starts_with("file:///") && uri.ends_with("/files/notes.txt"), "{uri}");
    assert_eq!(number(&lake, "SELECT count(DISTINCT doc_id) FROM raw.docs WHERE length(doc_id) = 32 AND license IS NULL").await, 4);
}

#[tokio::test]
async fn the_same_files_add_nothing_and_a_changed_one_adds_its_new_content() {
    let (dir, lake) = lake().await;
    let root = dir.path().join("files");
    sample(&root);
    let first = run(&lake, &request(&root)).await.expect("first");
    let again = run(&lake, &request(&root)).await.expect("again");
    assert_eq!((again.added, again.present, again.version), (0, first.kept, first.version));
    assert_eq!(again.listing_digest, first.listing_digest);
    put(&root, "notes.txt", "other\n");
    let changed = run(&lake, &request(&root)).await.expect("changed");
    assert_eq!((changed.added, changed.present), (1, first.kept - 1));
    assert_eq!(number(&lake, "SELECT count(*) FROM raw.docs WHERE path = 'notes.txt'").await, 2);
    assert_eq!(number(&lake, "SELECT count(*) FROM raw.quarantine").await, 4);
}

#[tokio::test]
async fn documents_have_the_same_names_in_every_lake_and_folder() {
    let mut all = Vec::new();
    for _ in 0..2 {
        let (dir, lake) = lake().await;
        let root = dir.path().join("elsewhere/files");
        sample(&root);
        run(&lake, &request(&root)).await.expect("ingested");
        all.push(strings(&lake, "SELECT doc_id FROM raw.docs ORDER BY path").await);
    }
    assert_eq!(all[0], all[1]);
}

#[tokio::test]
async fn a_sample_by_package_hash_takes_whole_packages_and_keeps_them_when_others_come() {
    let (dir, lake) = lake().await;
    let root = dir.path().join("files");
    for i in 0..30 {
        put(&root, &format!("p{i}-1.0.0/a.txt"), "x".repeat(100));
        put(&root, &format!("p{i}-1.0.0/b.txt"), "y".repeat(100));
        put(&root, &format!("p{i}-2.0.0/a.txt"), "z".repeat(100));
    }
    let mut asked = request(&root);
    (asked.what.order, asked.what.limit_bytes) = (Order::PackageHash, Some(1300));
    let report = run(&lake, &asked).await.expect("ingested");
    // Packages have 300 bytes: four fit, the fifth would not.
    assert_eq!((report.packages, report.bytes, report.limited, report.packages_cut), (4, 1200, true, 0));
    let taken: BTreeSet<String> = strings(&lake, "SELECT package FROM raw.docs").await.into_iter().collect();
    assert_eq!(number(&lake, "SELECT count(*) FROM raw.docs").await, 12);
    // Other packages push some out at the end of the order; they never bring in one that was behind.
    for i in 30..60 {
        put(&root, &format!("p{i}/a.txt"), "w".repeat(300));
    }
    asked.into = name("raw.more");
    run(&lake, &asked).await.expect("ingested");
    let more: BTreeSet<String> = strings(&lake, "SELECT package FROM raw.more").await.into_iter().collect();
    let old: BTreeSet<&String> = more.iter().filter(|p| p[1..].parse::<u32>().is_ok_and(|i| i < 30)).collect();
    assert!(more.len() == 4 && old.iter().all(|p| taken.contains(*p)), "{old:?} of {taken:?}");
}

#[tokio::test]
async fn a_giant_package_gives_a_quarter_of_the_limit_and_a_tiny_limit_still_something() {
    let (dir, lake) = lake().await;
    let root = dir.path().join("files");
    for i in 0..40 {
        put(&root, &format!("giant-1.0.0/{i}.txt"), "x".repeat(100));
    }
    put(&root, "small/a.txt", "y".repeat(10));
    let mut asked = request(&root);
    (asked.what.order, asked.what.limit_bytes) = (Order::PackageHash, Some(2000));
    let report = run(&lake, &asked).await.expect("ingested");
    assert_eq!((report.packages, report.packages_cut, report.bytes, report.limited), (2, 1, 510, true));
    (asked.into, asked.what.limit_bytes) = (name("raw.tiny"), Some(3));
    assert_eq!(run(&lake, &asked).await.expect("ingested").added, 1);
}

#[tokio::test]
async fn patterns_name_several_sources() {
    let (dir, lake) = lake().await;
    let root = dir.path().join("registry");
    put(&root, "one/a-1.0.0/x.txt", "x");
    put(&root, "two/b-1.0.0/y.txt", "y");
    let report = run(&lake, &request(&root.join("*"))).await.expect("ingested");
    assert_eq!((report.added, report.packages), (2, 2));
    assert_eq!(strings(&lake, "SELECT source || ':' || package FROM raw.docs ORDER BY 1").await, ["one:a", "two:b"]);
}

#[tokio::test]
async fn bad_sources_are_told_apart_and_leave_nothing_behind() {
    let (dir, lake) = lake().await;
    let root = dir.path().join("files");
    let ours = |e: LakeError| match e {
        LakeError::Ingest(e) => e,
        e => panic!("{e}"),
    };
    let absent = run(&lake, &request(&root)).await.map_err(ours).expect_err("absent");
    assert!(matches!(absent, IngestError::Absent { .. }));
    fs::create_dir_all(&root).expect("folder");
    let empty = run(&lake, &request(&root)).await.map_err(ours).expect_err("empty");
    assert!(matches!(empty, IngestError::Empty { .. }));
    put(&root, "a.bin", b"\0\0");
    let textless = run(&lake, &request(&root)).await.map_err(ours).expect_err("no text");
    assert!(textless.to_string().contains("of 1 files, 1 binary"), "{textless}");
    let mut remote = request(&root);
    remote.what.sources = vec!["ftp://me:secret@example.org/x".into()];
    let remote = run(&lake, &remote).await.map_err(ours).expect_err("remote");
    for error in [absent, empty, textless, remote] {
        assert!(error.hint().is_some() && error.exit() == ExitKind::Usage && !error.to_string().contains("secret"));
    }
    assert!(lake.tables().await.expect("tables").is_empty());
}

#[tokio::test]
async fn an_ingest_that_died_between_its_two_tables_is_completed() {
    let (dir, lake) = lake_in_folder().await;
    let root = dir.path().join("files");
    sample(&root);
    let whole = run(&lake, &request(&root)).await.expect("ingested");
    // What a kill after the quarantine's commit leaves.
    fs::remove_dir_all(dir.path().join("lake/tables/raw/docs")).expect("removed");
    let completed = run(&lake, &request(&root)).await.expect("completed");
    assert_eq!((completed.added, completed.kept), (whole.added, whole.kept));
    assert_eq!(number(&lake, "SELECT count(*) FROM raw.quarantine").await, 4);
}

fn lines(n: std::ops::Range<usize>) -> String {
    n.map(|i| format!("{{\"id\": {i}, \"text\": \"number {i}\", \"score\": {i}.5, \"good\": {}}}\n", i % 2 == 0)).collect()
}

#[tokio::test]
async fn records_of_a_file_that_grows_and_changes_are_added_once() {
    let (dir, lake) = lake().await;
    let root = dir.path().join("files");
    put(&root, "a.jsonl", lines(0..10) + "no object\n");
    let first = run(&lake, &request(&root)).await.expect("first");
    assert_eq!((first.files, first.records, first.kept, first.added), (1, 11, 10, 10));
    assert_eq!(first.quarantined, BTreeMap::from([("malformed".to_owned(), 1)]));
    put(&root, "a.jsonl", lines(0..15).replace("number 3\"", "another 3\""));
    let again = run(&lake, &request(&root)).await.expect("again");
    assert_eq!((again.added, again.present), (6, 9));
    assert_eq!(strings(&lake, "SELECT text FROM raw.docs WHERE path = 'a.jsonl#id=3' ORDER BY 1").await, ["another 3", "number 3"]);
}

#[tokio::test]
async fn the_quarantine_keeps_the_place_and_the_bytes() {
    let (dir, lake) = lake().await;
    let root = dir.path().join("files");
    put(&root, "a.jsonl", b"{\"text\": \"one\"}\n{\"text\": broken\n".as_slice());
    run(&lake, &request(&root)).await.expect("ingested");
    let row = strings(
        &lake,
        "SELECT reason || ' ' || offset_unit || ' ' || offset_in_file || ' ' || bytes || ' ' || CAST(excerpt AS VARCHAR) FROM raw.quarantine",
    );
    assert_eq!(row.await, ["malformed line 2 15 {\"text\": broken"]);
}

#[tokio::test]
async fn a_quarantine_of_an_earlier_program_gets_the_columns_that_came_since() {
    let (dir, lake) = lake().await;
    let root = dir.path().join("files");
    put(&root, "a.txt", "a");
    put(&root, "b.bin", b"\0");
    statement(
        &lake,
        "CREATE TABLE raw.quarantine (source VARCHAR, uri VARCHAR, reason VARCHAR, detail VARCHAR, bytes BIGINT, fetched_at TIMESTAMP)",
    )
    .await;
    run(&lake, &request(&root)).await.expect("ingested");
    assert_eq!(strings(&lake, "SELECT reason || ' ' || offset_unit FROM raw.quarantine").await, ["binary byte"]);
}

#[tokio::test]
async fn kept_columns_have_the_types_of_their_values_and_what_does_not_fit_goes_to_quarantine() {
    let (dir, lake) = lake().await;
    let root = dir.path().join("files");
    put(&root, "a.jsonl", lines(0..4));
    let mut asked = request(&root);
    asked.what.mapping.keep = vec!["score".into(), "good".into(), "absent".into()];
    run(&lake, &asked).await.expect("ingested");
    assert_eq!(strings(&lake, "SELECT score * 2 FROM raw.docs WHERE good ORDER BY path").await, ["1.0", "5.0"]);
    put(&root, "b.jsonl", "{\"text\": \"x\", \"score\": \"high\"}\n{\"text\": \"y\", \"score\": 7, \"absent\": \"here\"}\n");
    let report = run(&lake, &asked).await.expect("ingested");
    assert_eq!((report.added, report.kept, report.records), (1, 5, 6));
    assert_eq!(report.quarantined, BTreeMap::from([("wrong_type".to_owned(), 1)]));
    assert_eq!(strings(&lake, "SELECT absent || score FROM raw.docs WHERE absent IS NOT NULL").await, ["here7.0"]);
    // An ingest that keeps nothing leaves the columns NULL, and takes the document whose value did not fit.
    put(&root, "c.txt", "c");
    run(&lake, &request(&root)).await.expect("ingested");
    assert_eq!(strings(&lake, "SELECT text FROM raw.docs WHERE score IS NULL ORDER BY text").await, ["c", "x"]);
    asked.what.mapping.keep = vec!["Text".into()];
    let error = run(&lake, &asked).await.expect_err("refused");
    assert!(error.to_string().contains("`Text` is a column that every document has") && error.hint().is_some(), "{error}");
}

#[tokio::test]
async fn rows_that_were_deleted_come_back_when_their_files_are_brought_in_again() {
    let (dir, lake) = lake().await;
    let root = dir.path().join("files");
    put(&root, "a.jsonl", lines(0..10));
    run(&lake, &request(&root)).await.expect("ingested");
    statement(&lake, "DELETE FROM raw.docs WHERE path = 'a.jsonl#id=3'").await;
    let again = run(&lake, &request(&root)).await.expect("again");
    assert_eq!((again.added, again.present), (1, 9));
    assert_eq!(number(&lake, "SELECT count(*) FROM raw.docs").await, 10);
}

#[tokio::test]
async fn two_ingests_of_the_same_files_at_once_add_them_once() {
    let (dir, lake) = lake().await;
    let root = dir.path().join("files");
    put(&root, "a.jsonl", lines(0..2000));
    put(&root, "b.jsonl", "{\"text\": \"first\"}\n");
    let first = request(&root.join("b.jsonl"));
    run(&lake, &first).await.expect("a table");
    let runs = (0..4).map(|_| {
        let (lake, root) = (lake.clone(), root.clone());
        tokio::spawn(async move { run(&lake, &request(&root)).await.expect("ingested") })
    });
    let mut added = 0;
    for one in runs.collect::<Vec<_>>() {
        let report = one.await.expect("joined");
        assert_eq!(report.kept, report.added + report.present);
        added += report.added;
    }
    assert_eq!((added, number(&lake, "SELECT count(*) FROM raw.docs").await), (2000, 2001));
    assert_eq!(number(&lake, "SELECT count(DISTINCT doc_id) FROM raw.docs").await, 2001);
}

#[tokio::test]
async fn tables_of_others_are_sources_and_add_only_what_changed() {
    let (dir, lake) = lake().await;
    statement(&lake, "CREATE TABLE raw.theirs AS SELECT 1 AS id, 'one' AS text UNION ALL SELECT 2, 'two'").await;
    let theirs = dir.path().join("lake/tables/raw/theirs");
    assert_eq!(run(&lake, &request(&theirs)).await.expect("ingested").added, 2);
    statement(&lake, "UPDATE raw.theirs SET text = 'deux' WHERE id = 2").await;
    let again = run(&lake, &request(&theirs)).await.expect("again");
    assert_eq!((again.added, again.present), (1, 1));
    assert_eq!(strings(&lake, "SELECT text FROM raw.docs ORDER BY text").await, ["deux", "one", "two"]);
}

#[tokio::test]
async fn a_dry_run_counts_and_writes_nothing() {
    let (dir, lake) = lake().await;
    let root = dir.path().join("files");
    sample(&root);
    let dry = run(&lake, &IngestRequest { is_dry: true, ..request(&root) }).await.expect("counted");
    assert!(lake.tables().await.expect("tables").is_empty());
    let real = run(&lake, &request(&root)).await.expect("ingested");
    assert_eq!((dry.added, dry.quarantined, dry.bytes_added), (real.added, real.quarantined, real.bytes_added));
}

#[tokio::test]
async fn a_large_source_is_written_in_slices() {
    let (dir, lake) = lake().await;
    let root = dir.path().join("files");
    for i in 0..5 {
        put(&root, &format!("{i}.jsonl"), lines(i * 2000..(i + 1) * 2000));
    }
    let asked = IngestRequest { slice_bytes: 2 << 20, ..request(&root) };
    let report = run(&lake, &asked).await.expect("ingested");
    assert_eq!(report.added, 10_000);
    let commits = lake.history(&name("raw.docs"), None).await.expect("history");
    assert!((2..=4).contains(&commits.len()), "{} commits", commits.len());
    assert_eq!(run(&lake, &request(&root)).await.expect("again").added, 0);
}
