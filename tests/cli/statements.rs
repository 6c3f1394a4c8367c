//! SQL that writes, and what the lake then holds: rows, tags, facts; killed anywhere, too.

use std::path::Path;
use std::time::{Duration, Instant};

use polder_base::Random;

use crate::finished::folder;
use crate::program::{command, finish, line, number, polder, sql};

fn lake(name: &str) -> std::path::PathBuf {
    let lake = folder(name).join("lake");
    line(&lake, "init").well();
    lake
}

const PILE: &str = "CREATE TABLE pile.base AS SELECT CAST(value AS VARCHAR) AS doc_id, 'web' AS source, concat('text ', value) AS text, value % 7 AS part \
                    FROM generate_series(1, 500)";

#[test]
fn tables_are_kept_in_order_by_commands_as_by_statements_and_a_dry_run_is_no_fact() {
    let lake = lake("upkeep");
    sql(&lake, &format!("{PILE}; ALTER TABLE pile.base CREATE TAG v1; INSERT INTO pile.base VALUES ('x', 'books', 'new', 1)"));
    let done = &line(&lake, "--json table optimize pile.base --zorder part,doc_id").well().objects()[0];
    let number_of = |name: &str| done[name].as_i64();
    assert_eq!((done["statement"].as_str(), number_of("version"), number_of("n_files_added")), (Some("optimize"), Some(2), Some(1)));
    let said = line(&lake, "table vacuum pile.base --retain-hours 0 --dry-run").well();
    assert!(said.out.contains("pile.base is at version 2, files to delete 1"), "{}", said.out);
    assert!(said.err.contains("next: polder table vacuum pile.base --retain-hours 0"), "{}", said.err);
    line(&lake, "table vacuum pile.base --retain-hours 0").well();
    assert_eq!(number(&lake, "SELECT count(*) FROM pile.base VERSION AS OF 'v1'"), 500);
    line(&lake, "table restore pile.base@v1").well();
    assert_eq!(number(&lake, "SELECT count(*) FROM pile.base"), 500);
    line(&lake, "table restore pile.base").fails(2, "one earlier state of one table is needed");
    line(&lake, "table restore pile.base --time 1999-01-01T00:00:00Z").fails(2, "pile.base");
    line(&lake, "table vacuum pile.base --full --retain-hours 1").fails(2, "24 HOURS at least");
    line(&lake, "table optimize pile.base --zorder prat").fails(2, "did you mean `part`");
    let facts = "SELECT count(*) FROM ops.facts WHERE verb IN ('optimize', 'vacuum', 'restore')";
    assert_eq!(number(&lake, facts), 3);
}

#[test]
fn queries_hold_no_more_memory_than_they_are_given() {
    let lake = lake("memory");
    sql(&lake, "CREATE TABLE raw.docs AS SELECT md5(CAST(value AS VARCHAR)) AS text FROM generate_series(1, 100000)");
    let list = "SELECT array_length(array_agg(text ORDER BY text)) FROM raw.docs";
    polder(&lake, &["--memory", "1GB", "sql", list]).well();
    let said = polder(&lake, &["--memory", "1MB", "sql", list]);
    said.fails(1, "the statement needs more memory than queries may hold together");
    let said = polder(&lake, &["--memory", "much", "sql", list]);
    said.code_is(2);
    assert!(said.err.contains("a size such as 2GB or 500MB is needed"), "{}", said.err);
}

#[test]
fn statements_write_tag_check_diff_and_purge_and_every_one_is_a_fact() {
    let lake = lake("statements");
    let said = polder(&lake, &["sql", PILE]).well();
    assert!(said.out.contains("CREATE TABLE") && said.out.contains("500"), "{}", said.out);
    let done = &polder(&lake, &["--json", "sql", "ALTER TABLE pile.base CREATE TAG v1 COMMENT 'first'"]).well().objects()[0];
    assert_eq!((done["statement"].as_str(), done["version"].as_i64()), (Some("CREATE TAG"), Some(0)));
    let script = "PREPARE drop_part AS DELETE FROM pile.base WHERE part = $1; EXECUTE drop_part(3);
        INSERT INTO pile.base VALUES ('x', 'books', 'new', 1); OPTIMIZE pile.base; ALTER TABLE pile.base CREATE TAG v2";
    sql(&lake, script);
    assert_eq!(number(&lake, "SELECT count(*) FROM pile.base VERSION AS OF 'v1'"), 500);
    let said = line(&lake, "pile check pile.base@v1").well();
    assert!(said.err.contains("pile.base@v1 is sound") && said.err.contains("noted"), "{}", said.err);
    let check = &line(&lake, "--json pile check pile.base@v1").well().objects()[0];
    assert_eq!((check["sound"].as_bool(), check["n_rows"].as_i64()), (Some(true), Some(500)));
    let diff = line(&lake, "--json pile diff pile.base@v1 v2").well().objects();
    assert_eq!((diff[0]["n_in"].as_i64(), diff[0]["n_out"].as_i64()), (Some(1), Some(72)));
    assert!(diff.iter().any(|d| d["by"] == "source" && d["value"] == "books" && d["n_in"] == 1), "{diff:?}");
    line(&lake, "pile diff pile.base@v1 v2 --key nothing").fails(2, "has no column `nothing`");
    polder(&lake, &["sql", "DROP TABLE pile.base"]).fails(2, "cannot be dropped");
    polder(&lake, &["sql", "INSERT INTO ops.facts VALUES (1)"]).fails(2, "is kept by Polder itself");
    polder(&lake, &["sql", "ALTER TABLE pile.base DROP TAG v2"]).fails(2, "REASON");
    polder(&lake, &["table", "purge", "pile.base", "--where", "text ~", "--reason", "asked"]).code_is(2);
    let purge = ["--json", "table", "purge", "pile.base", "--where", "doc_id = '11'", "--reason", "its author asked"];
    let purged = &polder(&lake, &purge).well().objects()[0];
    assert_eq!((purged["n_rows"].as_i64(), purged["successors"].as_array().map(Vec::len)), (Some(1), Some(2)), "{purged}");
    polder(&lake, &["sql", "SELECT * FROM pile.base VERSION AS OF 'v1'"]).fails(2, "was retired: its author asked");
    assert_eq!(number(&lake, "SELECT count(*) FROM pile.base VERSION AS OF 'v1.purged-1'"), 499);
    line(&lake, "pile check pile.base@v1").fails(2, "was retired");
    let verbs = sql(&lake, "SELECT verb, count(*) AS n FROM ops.facts GROUP BY verb");
    for verb in ["create table", "tag", "delete", "insert", "optimize", "purge"] {
        assert!(verbs.iter().any(|v| v["verb"] == verb), "{verb}: {verbs:?}");
    }
    // A file of the tag is spoilt: the check says no.
    let copies = lake.join("tables/pile/.copies/base@v1.purged-1");
    let file =
        std::fs::read_dir(copies).expect("a copy").flatten().map(|e| e.path()).find(|p| p.extension().is_some_and(|x| x == "parquet"));
    std::fs::write(file.expect("a file"), b"no").expect("spoilt");
    line(&lake, "pile check pile.base@v1.purged-1").code_is(3);
}

/// What is done again after every kill, each statement so that doing it twice is doing it once.
const AGAIN: &str = "MERGE INTO pile.base t USING raw.news s ON t.doc_id = s.doc_id WHEN MATCHED AND t.text <> s.text THEN UPDATE SET *
        WHEN NOT MATCHED THEN INSERT *;
    DELETE FROM pile.base WHERE part = 3;
    OPTIMIZE pile.base;
    ALTER TABLE pile.base CREATE TAG v1 AS OF VERSION 0 MATERIALIZED;
    VACUUM pile.base RETAIN 0 HOURS";

fn rows(lake: &Path) -> Vec<String> {
    sql(lake, "SELECT * FROM pile.base ORDER BY doc_id").iter().map(ToString::to_string).collect()
}

#[test]
fn statements_killed_at_random_moments_and_run_again_lose_and_double_nothing() {
    let n_kills = if std::env::var_os("POLDER_SOAK").is_some_and(|v| v == "1") { 200 } else { 20 };
    let seed = std::env::var("POLDER_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    eprintln!("{n_kills} kills, POLDER_SEED={seed}");
    let random = Random::new(seed, "statement kills");
    let made = |name: &str| {
        let lake = lake(name);
        let news = "CREATE TABLE raw.news AS SELECT doc_id, source, upper(text) AS text, part FROM pile.base WHERE part = 2;
            INSERT INTO raw.news VALUES ('new', 'books', 'new', 2), (NULL, 'books', 'without a key', 2)";
        sql(&lake, &format!("{PILE}; {news}"));
        lake
    };
    let whole = made("statements_whole");
    let start = Instant::now();
    sql(&whole, AGAIN);
    let longest = start.elapsed().as_micros() as u64;
    let (expected, tagged) = (rows(&whole), number(&whole, "SELECT count(*) FROM pile.base VERSION AS OF 'v1'"));
    assert_eq!((expected.len(), tagged), (502 - 72, 500));
    let mut done = 0;
    while done < n_kills {
        let lake = made("statements_killed");
        let mut moments = Vec::new();
        for _ in 0..5 {
            let moment = Duration::from_micros(random.at(done) % longest);
            let mut child = command(&lake).args(["sql", AGAIN]).spawn().expect("starts");
            std::thread::sleep(moment);
            let _ = child.kill();
            child.wait().expect("ends");
            moments.push(moment);
            done += 1;
        }
        let said = finish(command(&lake).args(["sql", AGAIN]));
        assert_eq!(said.code, Some(0), "after kills at {moments:?}:\n{}", said.err);
        assert!(rows(&lake) == expected, "after kills at {moments:?}: other rows");
        assert_eq!(number(&lake, "SELECT count(*) FROM pile.base VERSION AS OF 'v1'"), 500, "after kills at {moments:?}");
    }
}
