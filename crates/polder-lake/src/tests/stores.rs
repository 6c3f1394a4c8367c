//! Tables in an object store: that they are what they are in a folder, and what only a store can do to them.

use std::collections::BTreeSet;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use polder_base::Advice as _;
use polder_testkit::s3::{BUCKET, KEY, REGION, S3Server};
use tempfile::TempDir;

use super::{TABLES, append, append_one, grown, lines, me, name, number, run, run_refused, told};
use crate::{Lake, LakeError, Place, StoreAccess};

/// The server that all tests of this process share.
pub(super) fn shared() -> &'static S3Server {
    static SERVER: OnceLock<S3Server> = OnceLock::new();
    SERVER.get_or_init(S3Server::start)
}

/// A prefix that no other test has.
pub(super) fn new_prefix() -> String {
    static N: AtomicU64 = AtomicU64::new(0);
    format!("test-{}/tables", N.fetch_add(1, Ordering::SeqCst))
}

fn access(server: &S3Server) -> StoreAccess {
    server.environment().into_iter().collect()
}

fn place(prefix: &str) -> Place {
    format!("s3://{BUCKET}/{prefix}").parse().expect("a place")
}

/// A new lake over a prefix, and the folder that holds the rest of it.
pub(super) async fn lake_on_s3(server: &S3Server, prefix: &str) -> (TempDir, Lake) {
    let dir = tempfile::tempdir().expect("temporary folder");
    let lake = Lake::init_at(&dir.path().join("lake"), Some(&place(prefix)), &access(server)).await;
    (dir, lake.unwrap_or_else(|e| panic!("{}", told(&e))))
}

/// Keys of data files below a table.
fn data_files(server: &S3Server, table: &str) -> BTreeSet<String> {
    server.keys(table).into_iter().filter(|k| k.ends_with(".parquet") && !k.contains("_delta_log")).collect()
}

/// The tests of this crate once more, their tables on S3: a sample, and with `POLDER_SOAK=1` all of them.
#[test]
fn what_holds_in_a_folder_holds_on_s3() {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.env(TABLES, "s3").args(["--skip", "what_holds_in_a_folder"]);
    if std::env::var_os("POLDER_SOAK").is_none() {
        command.args([
            "tests::statements::",
            "tests::tags::",
            "tests::merge::",
            "tests::time_travel::",
            "tests::write::",
            "tests::views::",
        ]);
    }
    let output = command.output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("test result: ok. ") && !said.contains("running 0 tests"), "{said}");
}

#[tokio::test]
async fn a_lake_on_s3_keeps_its_books_there_and_no_credentials_anywhere() {
    let (server, prefix) = (shared(), new_prefix());
    let (dir, lake) = lake_on_s3(server, &prefix).await;
    grown(&lake, "pile.base").await;
    run(&lake, "ALTER TABLE pile.base CREATE TAG v1 AS OF VERSION 1").await;
    let root = dir.path().join("lake");
    assert!(!root.join("tables").exists(), "no table stands in the folder");
    let settings = std::fs::read_to_string(root.join("polder.toml")).expect("settings");
    assert!(settings.contains(&format!("tables = \"s3://{BUCKET}/{prefix}\"")), "{settings}");
    for key in server.keys(&prefix) {
        let text = String::from_utf8_lossy(&server.get(&key).expect("there")).into_owned();
        assert!(!text.contains(KEY.0) && !text.contains(KEY.1), "{key}");
    }
    assert!(!settings.contains(KEY.0) && !settings.contains(KEY.1) && !format!("{lake:?}").contains(KEY.0));
    // Opened again, and by another lake over the same place.
    let again = Lake::open_with(&root, &access(server)).await.expect("opened");
    assert_eq!(number(&again, "SELECT count(*) FROM pile.base VERSION AS OF 'v1'").await, 3);
    let (_other, shares) = lake_on_s3(server, &prefix).await;
    assert_eq!(number(&shares, "SELECT count(*) FROM pile.base VERSION AS OF 'v1'").await, 3);
    let listed: Vec<String> = shares.tables().await.expect("listed").iter().map(ToString::to_string).collect();
    assert_eq!(listed, ["pile.base", "ops.tags"]);
    let shown = lines(&shares, "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema = 'pile'").await;
    assert_eq!(shown, ["pile|base"]);
    let there = Lake::init_at(&root, Some(&place("elsewhere")), &access(server)).await.expect_err("refused");
    assert!(matches!(there, LakeError::TablesElsewhere { .. }), "{there}");
}

#[tokio::test]
async fn a_store_whose_certificate_nobody_vouches_for_is_refused() {
    let dir = tempfile::tempdir().expect("temporary folder");
    polder_testkit::databases::certificate(dir.path());
    let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|l| l.local_addr()).expect("a port").port();
    let mut openssl = Command::new("openssl");
    openssl.args(["s_server", "-quiet", "-cert", "server.crt", "-key", "server.key", "-accept", &port.to_string()]);
    let server = openssl.current_dir(dir.path()).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let Some(mut server) = server.ok().filter(|_| dir.path().join("server.crt").is_file()) else {
        eprintln!("SKIPPED: there is no `openssl` that makes a certificate");
        return;
    };
    for _ in 0..100 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut all = shared().environment();
    all.retain(|(name, _)| name != "AWS_ENDPOINT_URL");
    all.push(("AWS_ENDPOINT_URL".into(), format!("https://localhost:{port}")));
    let error = Lake::init_at(&dir.path().join("lake"), Some(&place("tls")), &all.into_iter().collect()).await.expect_err("refused");
    server.kill().expect("stopped");
    server.wait().expect("stopped");
    let text = told(&error);
    assert!(text.starts_with("the certificate of the endpoint for `s3://lakes/tls` is not trusted: "), "{text}");
    assert!(error.hint().expect("a hint").contains("SSL_CERT_FILE"));
}

#[tokio::test]
async fn a_store_that_cannot_be_used_makes_no_lake_and_says_why() {
    let server = shared();
    let dir = tempfile::tempdir().expect("temporary folder");
    let with = |changes: &[(&str, &str)]| -> StoreAccess {
        let mut all = server.environment();
        all.retain(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
        all.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        all.into_iter().collect()
    };
    let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|l| l.local_addr()).expect("a port");
    let nobody = format!("http://{free}");
    let region = format!("AWS_REGION={REGION}");
    let cases: [(&str, StoreAccess, &str, &str); 6] = [
        ("s3://nowhere/x", with(&[]), "there is no bucket `nowhere`", "Make the bucket"),
        ("s3://lakes/x", with(&[("AWS_ACCESS_KEY_ID", "AKIDOTHER")]), "InvalidAccessKeyId", "AWS_SECRET_ACCESS_KEY"),
        ("s3://lakes/x", with(&[("AWS_REGION", "us-1")]), "does not stand in the region `us-1`", &region),
        ("s3://lakes/x", with(&[("AWS_ALLOW_HTTP", "false")]), "is not encrypted", "AWS_ALLOW_HTTP"),
        ("s3://lakes/x", with(&[("AWS_ENDPOINT_URL", &nobody)]), "cannot be reached", "network"),
        ("s3://lakes/x", with(&[("AWS_SECRET_ACCESS_KEY", "")]), "do not fit together", "AWS_"),
    ];
    for (i, (url, access, message, hint)) in cases.into_iter().enumerate() {
        let root = dir.path().join(format!("lake-{i}"));
        let error = Lake::init_at(&root, Some(&url.parse().expect("a place")), &access).await.expect_err("refused");
        let text = told(&error);
        assert!(matches!(error, LakeError::Store(_)) && text.contains(message), "{message}: {text}");
        assert!(error.hint().expect("a hint").contains(hint), "{hint}: {:?}", error.hint());
        assert!(!text.contains("AKID") && !text.contains(KEY.1), "{text}");
        assert!(!root.exists(), "{message}");
    }
}

#[tokio::test]
async fn a_store_that_fails_later_says_so_in_every_statement() {
    let server = S3Server::start();
    let (dir, lake) = lake_on_s3(&server, "later").await;
    append(&lake, "pile.base", &[1]).await;
    let other = [("AWS_ACCESS_KEY_ID".to_owned(), "AKIDOTHER".to_owned())];
    let lost = server.environment().into_iter().chain(other).collect::<std::collections::BTreeMap<_, _>>().into_iter().collect();
    let lake = Lake::open_with(&dir.path().join("lake"), &lost).await.expect("opened");
    for sql in ["INSERT INTO pile.base VALUES (2, 'x')", "CREATE TABLE clean.t AS SELECT 1 AS x", "DROP TABLE pile.base", "SHOW TAGS"] {
        let error = run_refused(&lake, sql).await;
        assert!(told(&error).contains("refuses these credentials"), "{sql}: {}", told(&error));
        assert!(error.hint().is_some_and(|hint| hint.contains("AWS_ACCESS_KEY_ID")), "{sql}: {:?}", error.hint());
        assert!(!told(&error).contains("AKIDOTHER"), "{sql}: {}", told(&error));
    }
}

#[tokio::test]
async fn a_store_that_writes_over_what_is_there_is_refused() {
    let server = S3Server::start();
    server.ignore_conditions();
    let dir = tempfile::tempdir().expect("temporary folder");
    let error = Lake::init_at(&dir.path().join("lake"), Some(&place("x")), &access(&server)).await.expect_err("refused");
    assert!(told(&error).contains("two writers would lose"), "{}", told(&error));
    assert_eq!(server.keys(""), Vec::<String>::new(), "the trial leaves nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_lakes_that_write_one_table_lose_and_double_no_row() {
    let (server, prefix) = (shared(), new_prefix());
    let ((_one, one), (_two, two)) = (lake_on_s3(server, &prefix).await, lake_on_s3(server, &prefix).await);
    let by = me();
    let made = futures::future::join_all([&one, &two].map(|lake| lake.execute("CREATE TABLE clean.made AS SELECT 1 AS x", &[], &by))).await;
    assert_eq!(made.iter().filter(|m| m.is_ok()).count(), 1, "{made:?}");
    assert_eq!(number(&one, "SELECT count(*) FROM clean.made").await, 1);
    let rounds = if std::env::var_os("POLDER_SOAK").is_some() { 60 } else { 12 };
    let writers = [one.clone(), two].into_iter().enumerate().map(|(writer, lake)| {
        tokio::spawn(async move {
            for i in 0..rounds {
                append_one(&lake, "clean.rows", writer as i64 * 1000 + i).await;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("wrote");
    }
    let counted = lines(&one, "SELECT count(*), count(DISTINCT id), min(id), max(id) FROM clean.rows").await;
    assert_eq!(counted, [format!("{0}|{0}|0|{1}", 2 * rounds, 999 + rounds)]);
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_known_again() {
    let server = S3Server::start();
    let (_dir, lake) = lake_on_s3(&server, "lost").await;
    append(&lake, "pile.base", &[1]).await;
    for (i, sql) in ["INSERT INTO pile.base VALUES (2, 'b')", "DELETE FROM pile.base WHERE id = 1", "UPDATE pile.base SET text = 'c'"]
        .iter()
        .enumerate()
    {
        server.lose_answers(1);
        assert_eq!(run(&lake, sql).await.version, Some(i as u64 + 1), "{sql}");
    }
    server.lose_answers(1);
    run(&lake, "CREATE TABLE clean.made AS SELECT 1 AS x").await;
    assert_eq!(lines(&lake, "SELECT id, text FROM pile.base").await, ["2|c"]);
    assert_eq!(lines(&lake, "SELECT count(*) FROM clean.made").await, ["1"]);
}

#[tokio::test]
async fn a_tag_on_s3_survives_vacuum_and_a_copy_survives_more() {
    let (server, prefix) = (shared(), new_prefix());
    let (_dir, lake) = lake_on_s3(server, &prefix).await;
    let table = format!("{prefix}/pile/base");
    grown(&lake, "pile.base").await;
    run(&lake, "ALTER TABLE pile.base CREATE TAG v1 AS OF VERSION 1").await;
    run(&lake, "ALTER TABLE pile.base CREATE TAG v0 AS OF VERSION 0 MATERIALIZED").await;
    run(&lake, "UPDATE pile.base SET text = 'changed'").await;
    run(&lake, "OPTIMIZE pile.base").await;
    let before = data_files(server, &table).len();
    let done = run(&lake, "VACUUM pile.base RETAIN 0 HOURS").await;
    assert!(done.counts[0].1 > 0 && data_files(server, &table).len() as u64 == before as u64 - done.counts[0].1, "{done:?}");
    assert_eq!(lines(&lake, "SELECT id, text FROM pile.base VERSION AS OF 'v1'").await, ["1|row 1", "2|row 2", "3|row 3"]);
    assert!(lake.check_tag(&name("pile.base"), "v1", &me(), &mut |_| ()).await.expect("checked").is_sound());
    for key in data_files(server, &table) {
        server.remove(&key);
    }
    assert_eq!(lines(&lake, "SELECT id, text FROM pile.base VERSION AS OF 'v0'").await, ["1|row 1", "2|row 2"]);
    let check = lake.check_tag(&name("pile.base"), "v1", &me(), &mut |_| ()).await.expect("checked");
    assert!(check.problems.iter().any(|p| p.contains("is gone")), "{:?}", check.problems);
}

#[tokio::test]
async fn a_purge_on_s3_leaves_no_object_that_held_the_rows() {
    let (server, prefix) = (shared(), new_prefix());
    let (_dir, lake) = lake_on_s3(server, &prefix).await;
    grown(&lake, "pile.base").await;
    for tag in ["v1 AS OF VERSION 1", "v0 AS OF VERSION 0 MATERIALIZED"] {
        run(&lake, &format!("ALTER TABLE pile.base CREATE TAG {tag}")).await;
    }
    let held = data_files(server, &prefix);
    let holding: Vec<_> = held.iter().filter(|k| !k.contains("/ops/")).collect();
    let purged = lake.purge(&name("pile.base"), "id = 1", "asked", &me()).await.expect("purged");
    assert_eq!((purged.n_rows, purged.successors.len()), (1, 2));
    // Row 1 stood in the first file of the table and in the copy.
    assert_eq!(lines(&lake, "SELECT count(*) FROM pile.base VERSION AS OF 'v1.purged-1'").await, ["2"]);
    let left = data_files(server, &prefix);
    let gone = holding.iter().filter(|k| !left.contains(**k)).count();
    assert_eq!(gone, holding.len() - 2, "the two files without the row stay: {holding:?}, {left:?}");
    assert!(server.keys(&format!("{prefix}/pile/.copies/base@v0/")).is_empty());
}

#[tokio::test]
async fn a_drop_that_was_broken_off_is_finished_by_the_next_and_leaves_nothing() {
    let (server, prefix) = (shared(), new_prefix());
    let (_dir, lake) = lake_on_s3(server, &prefix).await;
    let table = format!("{prefix}/clean/t/");
    grown(&lake, "clean.t").await;
    for key in data_files(server, &table) {
        server.remove(&key);
    }
    assert!(matches!(run_refused(&lake, "CREATE TABLE clean.t AS SELECT 1 AS x").await, LakeError::NameTaken { .. }));
    run(&lake, "DROP TABLE clean.t").await;
    assert_eq!(server.keys(&table), Vec::<String>::new());
    assert!(matches!(run_refused(&lake, "DROP TABLE clean.t").await, LakeError::NoTable { .. }));
    run(&lake, "CREATE TABLE clean.t AS SELECT 1 AS x").await;
    assert_eq!(number(&lake, "SELECT count(*) FROM clean.t").await, 1);
}

#[tokio::test]
async fn a_long_log_and_a_large_file_come_back_whole() {
    let (server, prefix) = (shared(), new_prefix());
    let (_dir, lake) = lake_on_s3(server, &prefix).await;
    // More commits than a page of a listing has, and more bytes than one request takes.
    for i in 0..60 {
        append_one(&lake, "clean.t", i).await;
    }
    assert_eq!(lake.history(&name("clean.t"), None).await.expect("history").len(), 60);
    assert_eq!(number(&lake, "SELECT count(*) FROM clean.t VERSION AS OF 41").await, 42);
    let large = "CREATE TABLE clean.large AS
        SELECT value AS id, concat(md5(CAST(value AS VARCHAR)), md5(CAST(-value AS VARCHAR))) AS text FROM generate_series(1, 400000)";
    run(&lake, large).await;
    assert!(data_files(server, &format!("{prefix}/clean/large/")).iter().any(|k| server.get(k).is_some_and(|b| b.len() > 11 << 20)));
    assert_eq!(number(&lake, "SELECT count(DISTINCT text) FROM clean.large").await, 400_000);
}
