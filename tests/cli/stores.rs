//! Lakes whose tables stand in an object store, as a user meets them: made, written by two at once, and refused in words.

use std::path::Path;
use std::process::Command;

use polder_testkit::s3::{BUCKET, KEY, S3Server};

use crate::finished::folder;
use crate::program::{Said, command, finish};

/// The program on a lake, with what opens the store.
fn on_store(server: &S3Server, lake: &Path, arguments: &[&str]) -> Command {
    let mut command = command(lake);
    command.args(arguments).envs(server.environment());
    command
}

fn polder(server: &S3Server, lake: &Path, arguments: &[&str]) -> Said {
    finish(&mut on_store(server, lake, arguments))
}

#[test]
fn a_lake_with_its_tables_on_s3_is_used_like_any_other() {
    let server = S3Server::start();
    let lake = folder("stores").join("lake");
    let url = format!("s3://{BUCKET}/first");
    let run = |arguments: &[&str]| polder(&server, &lake, arguments).well();
    let said = run(&["init", "--tables", &url]);
    assert!(said.err.contains(&url), "{}", said.err);
    let files = folder("stores-files");
    std::fs::write(files.join("a.txt"), "one text").expect("a file");
    std::fs::write(files.join("b.md"), "another text").expect("a file");
    run(&["ingest", &files.display().to_string()]);
    run(&["sql", "CREATE TABLE pile.base AS SELECT doc_id, source, text FROM raw.docs"]);
    run(&["pile", "tag", "pile.base", "v1"]);
    run(&["sql", "DELETE FROM pile.base WHERE text LIKE 'one%'"]);
    let counted = |query: &str| run(&["--json", "sql", query]).objects()[0]["n"].as_i64();
    assert_eq!(counted("SELECT count(*) AS n FROM pile.base"), Some(1));
    assert_eq!(counted("SELECT count(*) AS n FROM pile.base VERSION AS OF 'v1'"), Some(2));
    assert!(run(&["table", "list"]).out.contains("pile.base"));
    assert!(run(&["sql", "SHOW TABLES"]).out.contains("base"));
    assert!(run(&["table", "history", "pile.base"]).out.contains("DELETE"));
    assert!(run(&["pile", "check", "pile.base@v1"]).err.contains("is sound"));
    assert!(run(&["doctor"]).out.contains(&url));
    let purge = ["table", "purge", "pile.base", "--where", "text LIKE 'one%'", "--reason", "its author asked"];
    run(&purge);
    assert_eq!(counted("SELECT count(*) AS n FROM pile.base VERSION AS OF 'v1.purged-1'"), Some(1));
    let facts = run(&["facts", "list"]).out;
    assert!(facts.contains("purge") && !facts.contains(KEY.0) && !facts.contains(KEY.1), "{facts}");
    assert!(!server.keys("first/ops/facts/_delta_log/").is_empty() && !lake.join("tables").exists());
}

#[test]
fn two_processes_that_insert_into_one_table_lose_and_double_no_row() {
    let server = S3Server::start();
    let url = format!("s3://{BUCKET}/raced");
    let lakes = ["one", "two"].map(|name| folder(&format!("stores-race-{name}")).join("lake"));
    for lake in &lakes {
        polder(&server, lake, &["init", "--tables", &url]).well();
    }
    polder(&server, &lakes[0], &["sql", "CREATE TABLE clean.t (writer INT, i INT)"]).well();
    let statements = |writer: usize| (0..8).map(|i| format!("INSERT INTO clean.t VALUES ({writer}, {i});")).collect::<String>();
    let scripts = [statements(0), statements(1)];
    let started: Vec<_> =
        lakes.iter().zip(&scripts).map(|(lake, script)| on_store(&server, lake, &["sql", script]).spawn().expect("starts")).collect();
    for process in started {
        let output = process.wait_with_output().expect("ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let query = "SELECT count(*) AS n, count(DISTINCT writer * 100 + i) AS d FROM clean.t";
    let row = &polder(&server, &lakes[1], &["--json", "sql", query]).well().objects()[0];
    assert_eq!((row["n"].as_i64(), row["d"].as_i64()), (Some(16), Some(16)));
    let facts = "SELECT count(*) AS n, count(DISTINCT fact_id) AS d FROM ops.facts WHERE verb = 'insert'";
    let row = &polder(&server, &lakes[0], &["--json", "sql", facts]).well().objects()[0];
    assert_eq!((row["n"].as_i64(), row["d"].as_i64()), (Some(16), Some(16)), "each insert is one fact");
    polder(&server, &lakes[1], &["facts", "list"]).well();
}

#[test]
fn what_is_no_place_for_tables_is_refused_with_a_hint() {
    let server = S3Server::start();
    let lake = folder("stores-refused").join("lake");
    for (url, text) in [
        ("ftp://a/b", "no such kind of store"),
        ("/tmp/tables", "no address of an object store"),
        ("s3://user:hunter2@lakes/x", "holds no credentials"),
        ("gs://bucket/x", "is built without `gs://`"),
    ] {
        let said = polder(&server, &lake, &["init", "--tables", url]);
        said.fails(2, text);
        assert!(!said.err.contains("hunter2"), "{}", said.err);
    }
    polder(&server, &lake, &["init", "--tables", "s3://nowhere/x"]).fails(1, "there is no bucket `nowhere`");
    assert!(!lake.exists(), "nothing was made");
}
