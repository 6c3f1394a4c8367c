//! What a tag names stays readable.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use polder_base::{Reference, Timestamp};

use super::{append, grown, lake, lake_in_folder, lines, me, name, number, run, run_refused, told};
use crate::{Lake, LakeError};

/// Makes every file of a table look as if it had been written so many days ago.
fn age(table: &Path, days: u64) {
    let then = SystemTime::now() - Duration::from_secs(days * 86_400);
    for folder in [table.to_owned(), table.join("_delta_log")] {
        for entry in fs::read_dir(folder).expect("list").flatten().filter(|e| e.path().is_file()) {
            fs::File::options().write(true).open(entry.path()).expect("open").set_modified(then).expect("aged");
        }
    }
}

async fn digest(lake: &Lake, reference: &str) -> String {
    lake.snapshot(&reference.parse::<Reference>().expect("reference")).await.expect("snapshot").files_digest.to_string()
}

fn n_data_files(table: &Path) -> usize {
    fs::read_dir(table).expect("list").flatten().filter(|e| e.path().extension().is_some_and(|x| x == "parquet")).count()
}

#[tokio::test]
async fn a_tag_survives_vacuum_optimize_and_old_logs() {
    let (dir, lake) = lake_in_folder().await;
    let table = dir.path().join("lake/tables/pile/base");
    grown(&lake, "pile.base").await;
    run(&lake, "ALTER TABLE pile.base CREATE TAG v1 AS OF VERSION 1 COMMENT 'the first'").await;
    let before = digest(&lake, "pile.base@v1").await;
    run(&lake, "UPDATE pile.base SET text = 'changed'").await;
    run(&lake, "OPTIMIZE pile.base").await;
    age(&table, 60);
    append(&lake, "pile.base", &[9]).await;
    let n_files = n_data_files(&table);
    let dry = run(&lake, "VACUUM pile.base RETAIN 0 HOURS DRY RUN").await;
    assert!(dry.counts[0].0 == "n_files_to_delete" && dry.counts[0].1 > 0, "{dry:?}");
    assert_eq!(n_data_files(&table), n_files, "a dry run deletes nothing");
    let done = run(&lake, "VACUUM pile.base RETAIN 0 HOURS").await;
    assert_eq!((done.counts[0].0, done.counts[0].1), ("n_files_deleted", dry.counts[0].1));
    assert_eq!(n_data_files(&table) as u64, n_files as u64 - dry.counts[0].1);
    assert_eq!(digest(&lake, "pile.base@v1").await, before);
    assert_eq!(lines(&lake, "SELECT id, text FROM pile.base VERSION AS OF 'v1'").await, ["1|row 1", "2|row 2", "3|row 3"]);
    assert_eq!(number(&lake, "SELECT count(*) FROM pile.base").await, 6);
    // The version that no tag names is gone, and says so instead of answering with fewer rows.
    let gone = lake.sql("SELECT sum(length(text)) FROM pile.base VERSION AS OF 2").await.expect("plan").collect().await;
    assert!(gone.is_err(), "{gone:?}");
    assert!(run_refused(&lake, "VACUUM pile.base FULL RETAIN 1 HOURS").await.to_string().contains("cannot understand"));
}

#[tokio::test]
async fn a_materialized_tag_is_read_from_its_copy() {
    let (dir, lake) = lake_in_folder().await;
    let table = dir.path().join("lake/tables/pile/base");
    grown(&lake, "pile.base").await;
    run(&lake, "ALTER TABLE pile.base CREATE TAG v1 AS OF VERSION 1 MATERIALIZED").await;
    run(&lake, "ALTER TABLE pile.base CREATE TAG v1 AS OF VERSION 1 MATERIALIZED").await;
    run(&lake, "DELETE FROM pile.base").await;
    // Another program that honours nothing removes every file that the newest version lacks.
    for entry in fs::read_dir(&table).expect("list").flatten().filter(|e| e.path().is_file()) {
        fs::remove_file(entry.path()).expect("removed");
    }
    assert_eq!(lines(&lake, "SELECT id FROM pile.base VERSION AS OF 'v1'").await, ["1", "2", "3"]);
    assert_eq!(lake.table("pile.base@v1").await.expect("table").count().await.expect("count"), 3);
    let error = run_refused(&lake, "RESTORE TABLE pile.base TO VERSION AS OF 'v1'").await;
    assert!(told(&error).contains("is read from a copy"), "{}", told(&error));
    assert_eq!(number(&lake, "SELECT count(*) FROM ops.tags").await, 2);
    assert_eq!(lines(&lake, "SHOW TABLES").await.iter().filter(|l| l.contains("base")).count(), 1, "a copy is no table of its own");
    assert_eq!(lake.tags(None).await.expect("tags").len(), 1);
    run(&lake, "ALTER TABLE pile.base DROP TAG v1 REASON 'no longer needed'").await;
    assert!(!dir.path().join("lake/tables/pile/.copies/base@v1").exists());
}

#[tokio::test]
async fn dropping_a_tag_needs_a_reason_stays_in_the_book_and_its_name_is_never_used_again() {
    let (_dir, lake) = lake().await;
    grown(&lake, "pile.base").await;
    run(&lake, "ALTER TABLE pile.base CREATE TAG v1").await;
    for sql in
        ["ALTER TABLE pile.base DROP TAG v1", "ALTER TABLE pile.base DROP TAG v1 REASON ''", "ALTER TABLE pile.base DROP TAG v2 REASON 'x'"]
    {
        run_refused(&lake, sql).await;
    }
    run(&lake, "ALTER TABLE pile.base DROP TAG v1 REASON 'it held private text'").await;
    run(&lake, "ALTER TABLE pile.base DROP TAG v1 REASON 'it held private text'").await;
    for sql in [
        "SELECT * FROM pile.base VERSION AS OF 'v1'",
        "ALTER TABLE pile.base CREATE TAG v1",
        "ALTER TABLE pile.base CREATE TAG v1 AS OF VERSION 0",
        "ALTER TABLE pile.base DROP TAG v1 REASON 'another'",
        "RESTORE TABLE pile.base TO VERSION AS OF 'v1'",
    ] {
        let error = run_refused(&lake, sql).await;
        assert!(matches!(error, LakeError::TagGone { .. }), "{sql}: {}", told(&error));
        assert!(error.to_string().contains("was dropped: it held private text"));
    }
    let shown = lines(&lake, "SHOW TAGS IN pile.base").await;
    assert!(shown.len() == 1 && shown[0].contains("dropped") && shown[0].contains("it held private text"), "{shown:?}");
    assert_eq!(number(&lake, "SELECT count(*) FROM ops.tags").await, 2);
}

#[tokio::test]
async fn a_copy_of_a_lake_answers_the_same() {
    let (dir, lake) = lake_in_folder().await;
    grown(&lake, "pile.base").await;
    lake.tag(&name("pile.base"), "v1", Some(1), "", "me", Timestamp(0)).await.expect("tag");
    let at = lake.history(&name("pile.base"), None).await.expect("history")[1].at;
    let copy = dir.path().join("copy");
    let status = std::process::Command::new("cp").arg("-r").arg(dir.path().join("lake")).arg(&copy).status().expect("cp");
    assert!(status.success());
    age(&copy.join("tables/pile/base"), 400);
    let copied = Lake::open(&copy).await.expect("a lake");
    for sql in [
        "SELECT count(*) FROM pile.base".to_owned(),
        "SELECT count(*) FROM pile.base VERSION AS OF 'v1'".to_owned(),
        format!("SELECT count(*) FROM pile.base TIMESTAMP AS OF '{at}'"),
    ] {
        assert_eq!(number(&copied, &sql).await, number(&lake, &sql).await, "{sql}");
    }
    assert_eq!(digest(&copied, "pile.base@v1").await, digest(&lake, "pile.base@v1").await);
}

#[tokio::test]
async fn tables_with_features_that_no_writer_here_honours_are_read_and_refused_for_writing() {
    let (dir, lake) = lake_in_folder().await;
    grown(&lake, "clean.docs").await;
    // As another program would have made it.
    let log = dir.path().join("lake/tables/clean/docs/_delta_log/00000000000000000003.json");
    let first = fs::read_to_string(log.with_file_name("00000000000000000000.json")).expect("log");
    let metadata = first.lines().find(|l| l.contains("\"metaData\"")).expect("metadata");
    let with = metadata.replace("\"configuration\":{", "\"configuration\":{\"delta.enableDeletionVectors\":\"true\",");
    assert_ne!(with, metadata);
    let info = r#"{"commitInfo":{"timestamp":1,"operation":"SET TBLPROPERTIES"}}"#;
    let protocol = r#"{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["deletionVectors"],"writerFeatures":["deletionVectors"]}}"#;
    fs::write(log, format!("{info}\n{protocol}\n{with}\n")).expect("written");
    assert_eq!(number(&lake, "SELECT count(*) FROM clean.docs").await, 5);
    for sql in ["INSERT INTO clean.docs VALUES (1, 'x')", "DELETE FROM clean.docs", "UPDATE clean.docs SET id = 1", "OPTIMIZE clean.docs"] {
        let error = run_refused(&lake, sql).await;
        assert!(matches!(&error, LakeError::Feature { feature, .. } if feature == "deletion vectors"), "{sql}: {}", told(&error));
    }
}

#[tokio::test]
async fn a_check_proves_that_a_tags_rows_are_still_exactly_those() {
    let (dir, lake) = lake_in_folder().await;
    let table = dir.path().join("lake/tables/pile/base");
    grown(&lake, "pile.base").await;
    run(&lake, "ALTER TABLE pile.base CREATE TAG v1 AS OF VERSION 1").await;
    let check = async || lake.check_tag(&name("pile.base"), "v1", &me(), &mut |_| {}).await.expect("checked");
    let first = check().await;
    assert!(first.is_sound() && first.is_first && first.n_rows == 3 && first.n_files == 2, "{first:?}");
    run(&lake, "UPDATE pile.base SET text = 'changed'").await;
    run(&lake, "OPTIMIZE pile.base").await;
    let second = check().await;
    assert!(second.is_sound() && !second.is_first, "{second:?}");
    assert_eq!(second.rows_digest, first.rows_digest);
    // Files of the tagged version: the names that version 1 lists.
    let log = fs::read_to_string(table.join("_delta_log/00000000000000000001.json")).expect("log");
    let path = log.split("\"path\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a file");
    let file = table.join(path);
    let good = fs::read(&file).expect("a file");
    // Another row of the same size in its place: nothing but reading the rows can tell.
    let other = good.windows(5).position(|w| w == b"row 3").map(|at| {
        let mut bytes = good.clone();
        bytes[at + 4] = b'7';
        bytes
    });
    let mut spoilt = vec![good[..good.len() - 1].to_vec(), Vec::new()];
    spoilt.extend(other);
    for bytes in spoilt {
        fs::write(&file, &bytes).expect("spoilt");
        let found = check().await;
        assert!(!found.is_sound(), "{} bytes: {found:?}", bytes.len());
    }
    fs::remove_file(&file).expect("removed");
    let found = check().await;
    assert!(found.problems.iter().any(|p| p.contains("is gone")), "{found:?}");
    fs::write(&file, good).expect("back");
    assert!(check().await.is_sound());
    assert!(matches!(lake.check_tag(&name("pile.base"), "v2", &me(), &mut |_| {}).await, Err(LakeError::NoTag { .. })));
}

#[tokio::test]
async fn a_diff_shows_columns_and_rows_that_came_and_went_by_source() {
    let (_dir, lake) = lake().await;
    run(
        &lake,
        "CREATE TABLE pile.base AS SELECT * FROM (VALUES ('a', 'web', 1), ('b', 'web', 2), ('c', 'books', 3)) AS v(doc_id, source, n)",
    )
    .await;
    run(&lake, "ALTER TABLE pile.base CREATE TAG v1").await;
    run(&lake, "DELETE FROM pile.base WHERE doc_id IN ('a', 'c')").await;
    run(&lake, "INSERT INTO pile.base VALUES ('d', 'web', 4), ('e', NULL, 5)").await;
    run(&lake, "ALTER TABLE pile.base ADD COLUMN score DOUBLE").await;
    let of = |text: &str| text.parse::<Reference>().expect("reference");
    let diff = lake.diff(&of("pile.base@v1"), &of("pile.base"), "doc_id").await.expect("compared");
    assert_eq!((diff.n_in, diff.n_out, diff.n_both), (2, 2, 1));
    assert_eq!(diff.columns_in, [("score".to_owned(), "Float64".to_owned())]);
    let shares: Vec<_> = diff.shares.iter().map(|s| (s.by.as_str(), s.value.as_deref(), s.n_in, s.n_out)).collect();
    assert_eq!(shares.iter().filter(|s| s.0 == "source").count(), 3);
    assert!(shares.contains(&("source", Some("web"), 1, 1)) && shares.contains(&("source", None, 1, 0)), "{shares:?}");
    let same = lake.diff(&of("pile.base"), &of("pile.base"), "doc_id").await.expect("compared");
    assert_eq!((same.n_in, same.n_out, same.shares.len()), (0, 0, 0));
    assert!(matches!(lake.diff(&of("pile.base@v1"), &of("pile.base"), "doc").await, Err(LakeError::NoColumn { .. })));
}

#[tokio::test]
async fn a_purge_takes_rows_out_of_a_table_and_of_every_tag_that_holds_them() {
    let (dir, lake) = lake_in_folder().await;
    let table = dir.path().join("lake/tables/pile/base");
    run(&lake, "CREATE TABLE pile.base AS SELECT * FROM (VALUES ('a', 'private'), ('b', 'open')) AS v(doc_id, text)").await;
    run(&lake, "ALTER TABLE pile.base CREATE TAG v1 COMMENT 'first'").await;
    run(&lake, "DELETE FROM pile.base WHERE doc_id = 'a'").await;
    run(&lake, "ALTER TABLE pile.base CREATE TAG v2").await;
    run(&lake, "INSERT INTO pile.base VALUES ('c', 'private'), ('d', 'open')").await;
    run(&lake, "ALTER TABLE pile.base CREATE TAG v3").await;
    for (condition, reason) in [("text = 'private'", " "), ("txet = 'private'", "asked"), ("text ~", "asked")] {
        assert!(lake.purge(&name("pile.base"), condition, reason, &me()).await.is_err(), "{condition}");
    }
    let purged = lake.purge(&name("pile.base"), "text = 'private'", "its author asked", &me()).await.expect("purged");
    assert_eq!((purged.n_rows, purged.doc_ids.clone()), (1, vec!["a".to_owned(), "c".to_owned()]));
    let names: Vec<_> = purged.successors.iter().map(|(old, new)| (old.tag.as_str(), new.tag.as_str())).collect();
    assert_eq!(names, [("v1", "v1.purged-1"), ("v3", "v3.purged-1")]);
    assert_eq!(lines(&lake, "SELECT doc_id FROM pile.base").await, ["b", "d"]);
    assert_eq!(lines(&lake, "SELECT doc_id FROM pile.base VERSION AS OF 'v1.purged-1'").await, ["b"]);
    assert_eq!(lines(&lake, "SELECT doc_id FROM pile.base VERSION AS OF 'v2'").await, ["b"]);
    assert_eq!(lines(&lake, "SELECT doc_id FROM pile.base VERSION AS OF 'v3.purged-1'").await, ["b", "d"]);
    let error = run_refused(&lake, "SELECT * FROM pile.base VERSION AS OF 'v1'").await;
    assert!(error.to_string().contains("was retired: its author asked; follows: v1.purged-1"), "{error}");
    // Version 0 held the first of them, version 2 the second, which was the newest when its tag got a successor.
    for version in [0, 2] {
        let old = lake.sql(&format!("SELECT * FROM pile.base VERSION AS OF {version}")).await.expect("plan").collect().await;
        assert!(old.is_err(), "the files of version {version} are gone: {old:?}");
    }
    run_refused(&lake, "RESTORE TABLE pile.base TO VERSION AS OF 'v3.purged-1'").await;
    assert!(lake.check_tag(&name("pile.base"), "v1.purged-1", &me(), &mut |_| {}).await.expect("checked").is_sound());
    let again = lake.purge(&name("pile.base"), "text = 'private'", "its author asked", &me()).await.expect("again");
    assert_eq!((again.n_rows, again.successors.len(), again.doc_ids.len()), (0, 0, 0));
    assert!(table.exists());
}
