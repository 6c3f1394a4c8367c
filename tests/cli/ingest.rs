//! Sources of many kinds come into the lake, once, also when ingest is killed, followed or run twice at a time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use polder_base::Random;
use serde_json::Value;

use crate::finished::folder;
use crate::program::{command, finish, line, number, polder, sql};

fn lines(n: usize) -> String {
    (0..n).map(|i| format!("{{\"id\": {i}, \"text\": \"document number {i} of the dike\", \"lang\": \"en\"}}\n")).collect()
}

fn place(name: &str) -> (PathBuf, PathBuf) {
    let dir = folder(name);
    let (lake, source) = (dir.join("lake"), dir.join("source"));
    fs::create_dir_all(&source).expect("a folder");
    line(&lake, "init").well();
    (lake, source)
}

fn ingest(lake: &Path, source: &Path, more: &[&str]) -> Value {
    let source = source.display().to_string();
    let words = [&["--json", "ingest", &source], more].concat();
    polder(lake, &words).well().objects().remove(0)
}

#[test]
fn a_folder_of_many_kinds_of_files_comes_in_with_its_columns_and_its_faults() {
    let (lake, source) = place("ingest_kinds");
    fs::write(source.join("a.jsonl"), lines(3) + "broken\n").expect("file");
    fs::write(source.join("b.csv"), "id,text,lang\n1,eins,de\n2,zwei\n").expect("file");
    fs::write(source.join("mapping.toml"), "keep = ['lang']\n").expect("file");
    let mapping = source.join("mapping.toml").display().to_string();
    let report = ingest(&lake, &source, &["--mapping", &mapping, "--dry-run"]);
    assert_eq!((report["added"].as_u64(), report["dry_run"].as_bool()), (Some(5), Some(true)));
    assert_eq!(line(&lake, "--json table list").well().objects().len(), 0);
    let report = ingest(&lake, &source, &["--mapping", &mapping]);
    assert_eq!((report["files"].as_u64(), report["records"].as_u64(), report["kept"].as_u64()), (Some(3), Some(7), Some(5)), "{report}");
    assert_eq!(report["quarantined"], serde_json::json!({"malformed": 1, "ragged": 1}));
    assert_eq!(number(&lake, "SELECT count(*) FROM raw.docs WHERE lang = 'de'"), 1);
    let bad = sql(&lake, "SELECT detail, offset_in_file, offset_unit FROM raw.quarantine ORDER BY reason DESC");
    assert_eq!((bad[0]["offset_in_file"].as_i64(), bad[0]["offset_unit"].as_str()), (Some(3), Some("line")), "{bad:?}");
    assert_eq!(number(&lake, "SELECT count(*) FROM ops.facts WHERE verb = 'ingest'"), 1);
    assert_eq!(ingest(&lake, &source, &["--mapping", &mapping])["added"], 0);
    assert_eq!(number(&lake, "SELECT count(*) FROM ops.facts WHERE verb = 'ingest'"), 1, "what adds nothing is no new fact");
}

#[test]
fn wrong_wishes_get_one_message_and_leave_nothing() {
    let (lake, source) = place("ingest_wrong");
    fs::write(source.join("faq.csv"), "question,answer\nwhy,because\n").expect("file");
    let faq = source.join("faq.csv").display().to_string();
    polder(&lake, &["ingest", &faq]).fails(2, "its columns are question, answer");
    polder(&lake, &["ingest", &faq, "--text-column", "answers"]).fails(2, "there is no column `answers`");
    polder(&lake, &["ingest", &faq, "--text-column", "answer", "--keep", "digest"])
        .fails(2, "`digest` is a column that every document has");
    polder(&lake, &["ingest", &faq, "--mapping", "absent.toml"]).fails(2, "cannot read the mapping");
    polder(&lake, &["ingest", "ftp://me:secret@host/x"]).fails(2, "not `ftp://host/x`");
    polder(&lake, &["ingest", "http://127.0.0.1:1/x.txt"]).fails(2, "private network");
    polder(&lake, &["ingest", &faq, "--format", "pdf"]).code_is(2);
    assert_eq!(line(&lake, "--json table list").well().objects().len(), 0);
    let report = ingest(&lake, &source.join("faq.csv"), &["--text-column", "answer"]);
    assert_eq!(report["added"], 1);
}

#[test]
fn an_ingest_killed_at_random_moments_and_run_again_loses_and_doubles_nothing() {
    let n_kills = if std::env::var_os("POLDER_SOAK").is_some_and(|v| v == "1") { 200 } else { 20 };
    let seed = std::env::var("POLDER_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    eprintln!("{n_kills} kills, POLDER_SEED={seed}");
    let random = Random::new(seed, "ingest kills");
    let (whole, source) = place("ingest_whole");
    for i in 0..8 {
        fs::write(source.join(format!("{i}.jsonl")), lines(3000) + "broken\n").expect("file");
    }
    let source_name = source.display().to_string();
    // Slices small enough for several commits.
    let words = ["ingest", &source_name, "--commit-every", "4"];
    let start = Instant::now();
    polder(&whole, &words).well();
    let longest = start.elapsed().as_micros() as u64;
    let sums = "SELECT count(*) AS n, count(DISTINCT doc_id) AS ids, sum(bytes) AS bytes FROM raw.docs";
    let expected = sql(&whole, sums);
    assert_eq!((expected[0]["n"].as_i64(), expected[0]["ids"].as_i64()), (Some(24_000), Some(24_000)));
    assert!(line(&whole, "--json table history raw.docs").well().objects().len() >= 3);
    let mut done = 0;
    while done < n_kills {
        let (lake, _) = place("ingest_killed");
        let mut moments = Vec::new();
        for _ in 0..5 {
            let moment = Duration::from_micros(random.at(done) % longest);
            let mut child = command(&lake).args(words).stderr(Stdio::null()).spawn().expect("starts");
            std::thread::sleep(moment);
            let _ = child.kill();
            child.wait().expect("ends");
            moments.push(moment);
            done += 1;
        }
        let said = finish(command(&lake).args(words));
        assert_eq!(said.code, Some(0), "after kills at {moments:?}:\n{}", said.err);
        assert_eq!(sql(&lake, sums), expected, "after kills at {moments:?}");
        assert_eq!(number(&lake, "SELECT count(*) FROM raw.quarantine"), 8, "after kills at {moments:?}");
    }
}

#[test]
fn a_followed_folder_is_read_as_it_grows_until_it_is_interrupted() {
    let (lake, source) = place("ingest_watch");
    let source_name = source.display().to_string();
    let mut child = command(&lake).args(["ingest", &source_name, "--watch", "0.1"]).stderr(Stdio::null()).spawn().expect("starts");
    let rows = |n: i64| {
        let start = Instant::now();
        loop {
            let tables = line(&lake, "--json table list").well().objects();
            if tables.iter().any(|t| t["table"] == "raw.docs") && number(&lake, "SELECT count(*) FROM raw.docs") == n {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "{n} rows did not come");
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    fs::write(source.join("a.txt"), "a").expect("file");
    rows(1);
    fs::write(source.join("b.jsonl"), lines(2)).expect("file");
    rows(3);
    fs::write(source.join("b.jsonl"), lines(5)).expect("file");
    rows(6);
    let interrupted = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(interrupted.success());
    assert_eq!(child.wait().expect("ends").code(), Some(130));
}

#[test]
fn objects_of_a_store_are_sources_and_their_keys_are_kept_nowhere() {
    use polder_testkit::s3::{BUCKET, KEY, S3Server};
    let server = S3Server::start();
    let (lake, _) = place("ingest_store");
    server.put("crawl/a-1.0.0/x.md", b"# X\n");
    server.put("crawl/lines.jsonl", lines(50).as_bytes());
    server.put("elsewhere/y.txt", b"y");
    let ingest = |source: &str| {
        let source = source.replace("BUCKET", BUCKET);
        finish(command(&lake).args(["--json", "ingest", &source]).envs(server.environment()))
    };
    let report = ingest("s3://BUCKET/crawl").well().objects().remove(0);
    assert_eq!((report["files"].as_i64(), report["added"].as_i64()), (Some(2), Some(51)), "{report}");
    assert_eq!(ingest("s3://BUCKET/crawl").well().objects()[0]["added"], 0);
    assert_eq!(ingest("s3://BUCKET/elsewhere/y.txt").well().objects()[0]["added"], 1);
    let uri = format!("s3://{BUCKET}/crawl/a-1.0.0/x.md");
    assert_eq!(number(&lake, &format!("SELECT count(*) FROM raw.docs WHERE uri = '{uri}' AND package = 'a' AND source = 'crawl'")), 1);
    let facts = line(&lake, "facts list").well().out;
    assert!(!facts.contains(KEY.0) && !facts.contains(KEY.1), "{facts}");
    ingest("s3://BUCKET/nothing").fails(2, "there is no file or folder");
    ingest("s3://no-such-bucket/x").fails(1, "cannot list `s3://no-such-bucket/x`");
    ingest("s3://key:secret@BUCKET/x").fails(2, "only files, folders");
}

#[test]
fn a_table_of_a_database_comes_in_once_and_what_changed_comes_in_again() {
    let Some(server) = polder_testkit::databases::postgres() else { return };
    let (lake, _) = place("ingest_database");
    server.create("dikes");
    server.run("dikes", "CREATE TABLE posts (id INT PRIMARY KEY, body TEXT, lang TEXT); INSERT INTO posts VALUES (1, 'one', 'en'), (2, NULL, 'en'), (3, 'drie', 'nl');");
    let address = format!("{}?table=posts", server.address("dikes"));
    let words = ["--json", "ingest", &address, "--keep", "lang"];
    let report = polder(&lake, &words).well().objects().remove(0);
    let counts = |report: &Value| ["records", "kept", "added", "present"].map(|name| report[name].as_u64().unwrap_or(u64::MAX));
    assert_eq!((counts(&report), &report["quarantined"]), ([3, 2, 2, 0], &serde_json::json!({"no_text": 1})), "{report}");
    assert_eq!(counts(&polder(&lake, &words).well().objects().remove(0)), [3, 2, 0, 2]);
    server.run("dikes", "UPDATE posts SET body = 'drie dijken' WHERE id = 3; INSERT INTO posts VALUES (4, 'four', 'en');");
    assert_eq!(counts(&polder(&lake, &words).well().objects().remove(0)), [4, 3, 2, 1]);
    assert_eq!(
        number(&lake, "SELECT count(*) FROM raw.docs WHERE uri LIKE 'postgres://127.0.0.1:%/dikes/public.posts#id=3' AND lang = 'nl'"),
        2
    );
    let part = ["--json", "ingest", &address, "--keep", "lang", "--query", "SELECT id, body, lang FROM posts WHERE id > 3"];
    assert_eq!(counts(&polder(&lake, &part).well().objects().remove(0)), [1, 1, 0, 1]);
    polder(&lake, &["ingest", &server.address("dikes")]).fails(2, "its tables are public.posts");
    polder(&lake, &["ingest", &address, "--text-column", "id"]).fails(2, "`id` is a number, not text");
    // Neither the tables nor the facts know who asked.
    let files = walked(&lake);
    assert!(files.len() > 5);
    for file in files {
        let bytes = fs::read(&file).expect("a file");
        let secret = polder_testkit::databases::PASSWORD.as_bytes();
        assert!(!bytes.windows(secret.len()).any(|w| w == secret), "{}", file.display());
    }
}

fn walked(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { walked(&path) } else { vec![path] }).collect()
}

#[test]
fn an_ingest_of_a_table_that_is_killed_and_run_again_loses_and_doubles_nothing() {
    let Some(server) = polder_testkit::databases::postgres() else { return };
    server.create("killed");
    server.run(
        "killed",
        "CREATE TABLE posts (id INT PRIMARY KEY, text TEXT);
         INSERT INTO posts SELECT i, CASE WHEN i % 3000 = 0 THEN NULL ELSE i || ' of the dike, ' || repeat('and more ', 50) END FROM generate_series(1, 24000) AS i;",
    );
    let address = format!("{}?table=posts", server.address("killed"));
    let words = ["ingest", &address, "--commit-every", "2"];
    let random = Random::new(1, "ingest kills of a table");
    let (whole, _) = place("ingest_table_whole");
    let start = Instant::now();
    polder(&whole, &words).well();
    let longest = start.elapsed().as_micros() as u64;
    let sums = "SELECT count(*) AS n, count(DISTINCT doc_id) AS ids, sum(bytes) AS bytes FROM raw.docs";
    let expected = sql(&whole, sums);
    assert_eq!((expected[0]["n"].as_i64(), expected[0]["ids"].as_i64()), (Some(23_992), Some(23_992)));
    for trial in 0..3 {
        let (lake, _) = place("ingest_table_killed");
        for kill in 0..4 {
            let mut child = command(&lake).args(words).stderr(Stdio::null()).spawn().expect("starts");
            std::thread::sleep(Duration::from_micros(random.at(trial * 4 + kill) % longest));
            let _ = child.kill();
            child.wait().expect("ends");
        }
        polder(&lake, &words).well();
        assert_eq!(sql(&lake, sums), expected, "trial {trial}");
        assert_eq!(number(&lake, "SELECT count(*) FROM raw.quarantine"), 8, "trial {trial}");
    }
}
