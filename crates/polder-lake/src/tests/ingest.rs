//! Files come in once, whole, and every one is accounted for.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::cast::as_string_array;
use polder_base::{Advice as _, ExitKind, Timestamp};

use super::{lake, lake_in_folder, name, number};
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
    put(root, "bad/latin.txt", b"gr\xfc\xdfe");
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
    asked.max_file_bytes = 4000;
    let report = run(&lake, &asked).await.expect("ingested");
    assert_eq!((report.files, report.kept, report.added, report.present, report.links_skipped), (9, 4, 4, 0, 1));
    assert_eq!(report.files, report.kept + report.quarantined.values().sum::<u64>());
    let reasons: Vec<(&str, u64)> = report.quarantined.iter().map(|(r, n)| (r.as_str(), *n)).collect();
    assert_eq!(reasons, [("binary", 1), ("empty", 2), ("not_utf8", 1), ("too_large", 1)]);
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
    (asked.order, asked.limit_bytes) = (Order::PackageHash, Some(1300));
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
    (asked.order, asked.limit_bytes) = (Order::PackageHash, Some(2000));
    let report = run(&lake, &asked).await.expect("ingested");
    assert_eq!((report.packages, report.packages_cut, report.bytes, report.limited), (2, 1, 510, true));
    (asked.into, asked.limit_bytes) = (name("raw.tiny"), Some(3));
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
    remote.sources = vec!["https://me:secret@example.org/x".into()];
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
