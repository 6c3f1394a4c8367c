//! Connections: how they begin, what they hold, and how they end.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use polder_testkit::databases::PASSWORD;
use proptest::prelude::*;
use rusqlite::Connection;
use tokio::runtime::Runtime;

use super::{Database, Elsewhere, folder, put, read, refused, try_read};
use crate::{IngestError, Item, Mapping, Offset, Reading, Request};

fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}

#[test]
fn one_hundred_thousand_rows_are_read_in_bounded_memory() {
    for database in Database::all("memory") {
        let query = match database.public().split(':').next() {
            Some("sqlite") => {
                "WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 100000)
                 SELECT i AS id, printf('%.*c', 8000, 'x') AS text FROM s"
            }
            Some("mysql") => "SELECT seq AS id, REPEAT('x', 8000) AS text FROM seq_1_to_100000",
            _ => "SELECT i AS id, repeat('x', 8000) AS text FROM generate_series(1, 100000) AS i",
        };
        let runtime = Runtime::new().expect("runtime");
        let outside = Arc::new(Elsewhere(PathBuf::new()));
        let before = resident_bytes();
        let mut reading = Reading::start(&database.asked(query), outside, runtime.handle().clone()).expect("start");
        let (mut n, mut most) = (0, 0);
        while let Some(batch) = reading.next_batch() {
            n += batch.items.iter().filter(|i| matches!(i, Item::Record(_))).count();
            most = most.max(resident_bytes().saturating_sub(before));
        }
        // 800 MB of text; other tests run beside this one.
        assert!(n == 100_000 && most < 400 << 20, "{n} rows, {most} bytes");
    }
}

#[test]
fn rows_are_those_of_one_state_of_the_database() {
    for database in Database::all("state") {
        let many = match database.public().split(':').next() {
            Some("sqlite") => {
                "WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 30000) INSERT INTO t SELECT i, printf('%.*c', 1000, 'x') FROM s;"
            }
            Some("mysql") => "INSERT INTO t SELECT seq, REPEAT('x', 1000) FROM seq_1_to_30000;",
            _ => "INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 30000) AS i;",
        };
        if matches!(database, Database::Sqlite(_)) {
            // Of the three, one that stands in others' way unless it is asked not to.
            database.run("PRAGMA journal_mode = WAL");
        }
        database.run(&format!("CREATE TABLE t (id INT PRIMARY KEY, text TEXT); {many}"));
        let runtime = Runtime::new().expect("runtime");
        let outside = Arc::new(Elsewhere(PathBuf::new()));
        let mut reading = Reading::start(&database.of("t"), outside, runtime.handle().clone()).expect("start");
        let mut n = reading.next_batch().expect("a batch").items.len();
        database.run("UPDATE t SET text = 'changed'; DELETE FROM t WHERE id > 20000;");
        while let Some(batch) = reading.next_batch() {
            n += batch.items.iter().filter(|i| matches!(i, Item::Record(r) if r.text.len() == 1000)).count();
        }
        assert_eq!(n, 30_000, "{}", database.public());
        assert_eq!(read(&database.of("t")).records.len(), 20_000);
    }
}

#[test]
fn a_connection_that_is_cut_leaves_what_was_read_and_one_fault() {
    for database in Database::all("cut") {
        let Database::Server(server, _) = &database else { continue };
        let (query, kill) = if database.public().starts_with("mysql") {
            (
                "SELECT seq AS id, REPEAT('x', 4000) AS text FROM seq_1_to_1000000",
                "SELECT CONCAT('KILL ', id) INTO @k FROM information_schema.processlist WHERE info LIKE 'SELECT seq AS id%'; EXECUTE IMMEDIATE @k;",
            )
        } else {
            (
                "SELECT i AS id, repeat('x', 4000) AS text FROM generate_series(1, 1000000) AS i",
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT i AS id%';",
            )
        };
        let runtime = Runtime::new().expect("runtime");
        let outside = Arc::new(Elsewhere(PathBuf::new()));
        let mut reading = Reading::start(&database.asked(query), outside, runtime.handle().clone()).expect("start");
        let mut items = reading.next_batch().expect("a batch").items;
        server.run("cut", kill);
        while let Some(batch) = reading.next_batch() {
            items.extend(batch.items);
        }
        let Some(Item::Bad(bad)) = items.pop() else { panic!("no fault") };
        assert!(items.iter().all(|i| matches!(i, Item::Record(_))) && items.len() < 1_000_000);
        assert_eq!((bad.reason, bad.offset), ("unreachable", Some(Offset::Row(items.len() as u64 + 1))), "{}", bad.detail);
    }
}

#[test]
fn a_password_is_in_no_row_error_or_fault() {
    for database in Database::all("secret") {
        let Database::Server(server, _) = &database else { continue };
        database.run("CREATE TABLE t (id INT PRIMARY KEY, text TEXT, n INT); INSERT INTO t VALUES (1, 'x', 1), (2, NULL, 1);");
        let found = read(&database.of("t"));
        let shown = format!("{:?} {:?}", found.records, found.bad);
        assert!(found.records.len() == 1 && !shown.contains(PASSWORD) && !shown.contains("polder"), "{shown}");
        let address = |text: &str| Request::new(vec![database.address("table=t").replace(text, &format!("{text}x"))]);
        let with = |parameters: &str| Request::new(vec![database.address(parameters)]);
        for request in [
            address(PASSWORD),
            address("secret"),
            address("polder"),
            with(""),
            with("table=none"),
            with("table=t&sslmode=no"),
            with("table=t&password=x"),
            with(&format!("table=t&sslmode=verify-full&sslrootcert={}", server.folder().join("none").display())),
            Request { mapping: Mapping { text: Some("n".into()), ..Mapping::default() }, ..database.of("t") },
            database.asked("SELECT nothing"),
        ] {
            let error = refused(&request);
            let shown = format!("{error} {error:?} {}", polder_base::Advice::hint(&error).unwrap_or_default());
            assert!(!shown.contains(PASSWORD), "{shown}");
        }
        let error = refused(&address(PASSWORD));
        assert!(matches!(error, IngestError::Database { reason: "unreachable", .. }), "{error:?}");
        let without = Request::new(vec![database.address("table=t").replace(&format!(":{PASSWORD}"), "")]);
        let error = refused(&without).to_string();
        assert!(error.contains("password") && error.contains("is given"), "{error}");
    }
}

#[test]
fn every_way_to_greet_a_server_of_postgresql_is_known() {
    let Some(database) = Database::postgres("greeted") else { return };
    let Database::Server(server, _) = &database else { return };
    server.run(
        "greeted",
        &format!(
            "CREATE TABLE t (text TEXT); INSERT INTO t VALUES ('x'); DROP ROLE IF EXISTS by_md5, by_clear, by_trust;
             SET password_encryption = 'md5'; CREATE ROLE by_md5 LOGIN SUPERUSER PASSWORD '{PASSWORD}';
             CREATE ROLE by_clear LOGIN SUPERUSER PASSWORD '{PASSWORD}'; CREATE ROLE by_trust LOGIN SUPERUSER;"
        ),
    );
    for user in ["polder", "by_md5", "by_clear", "by_trust"] {
        for mode in ["disable", "prefer"] {
            let asked = Request::new(vec![format!("{}?table=t&sslmode={mode}", server.address_for(user, "greeted"))]);
            if user == "by_clear" && (mode == "disable" || server.certificate().is_none()) {
                assert!(refused(&asked).to_string().contains("which is sent under TLS alone"));
            } else {
                assert_eq!(read(&asked).texts(), ["x"], "{user} {mode}");
            }
        }
    }
    let folder = server.folder().display();
    let by_socket = format!("postgres://polder:{PASSWORD}@:{}/greeted?table=t&host={folder}", server.port()).replace("@:", "@localhost:");
    let found = read(&Request::new(vec![by_socket]));
    assert_eq!(found.records[0].uri.split("/public.t").next(), Some("postgres://localhost/greeted"));
}

#[test]
fn a_server_is_asked_who_it_is_where_verify_full_says_so() {
    for database in Database::all("who") {
        let Database::Server(server, _) = &database else { continue };
        let Some(certificate) = server.certificate() else {
            eprintln!("SKIPPED: there is no `openssl` that makes a certificate");
            return;
        };
        database.run("CREATE TABLE t (id INT PRIMARY KEY, text TEXT); INSERT INTO t VALUES (1, 'x');");
        let with = |host: &str, parameters: &str| {
            Request::new(vec![database.address(&format!("table=t&{parameters}")).replace("127.0.0.1", host)])
        };
        let trusted = format!("sslmode=verify-full&sslrootcert={}", certificate.display());
        assert_eq!(read(&with("127.0.0.1", "sslmode=require")).texts(), ["x"]);
        assert_eq!(read(&with("localhost", &trusted)).texts(), ["x"]);
        for (host, parameters) in [("127.0.0.1", trusted.as_str()), ("localhost", "sslmode=verify-full")] {
            let error = refused(&with(host, parameters)).to_string();
            assert!(error.contains(&format!("no TLS with `{host}`: invalid peer certificate")), "{error}");
        }
    }
}

#[test]
fn a_file_that_another_program_writes_is_read_and_one_that_it_holds_is_told() {
    let database =
        Database::sqlite("PRAGMA journal_mode = WAL; CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT); INSERT INTO t VALUES (1, 'x');");
    let other = Connection::open(database.path()).expect("a file");
    other.execute_batch("BEGIN IMMEDIATE; INSERT INTO t VALUES (2, 'y');").expect("statements");
    assert_eq!(read(&database.of("t")).texts(), ["x"]);
    other.execute_batch("COMMIT; PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE;").expect("statements");
    let error = refused(&database.of("t")).to_string();
    assert!(error.contains("another program writes to the file and holds it locked"), "{error}");
    other.execute_batch("COMMIT").expect("statements");
    assert_eq!(read(&database.of("t")).texts(), ["x", "y"]);
}

#[test]
fn a_file_that_is_no_database_or_a_broken_one_is_told() {
    let dir = folder();
    put(dir.path(), "not.db", "no database, but long enough to be read as the head of one".repeat(20));
    let of = |name: &str| Request::new(vec![format!("sqlite:{}?table=t", dir.path().join(name).display())]);
    assert!(refused(&of("not.db")).to_string().contains("it is no SQLite database"));
    assert!(matches!(refused(&of("none.db")), IngestError::DatabaseAddress { .. }));
    assert!(!dir.path().join("none.db").exists());
    let database = Database::sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT); WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 2000)
         INSERT INTO t SELECT i, printf('%.*c', 500, 'x') FROM s;",
    );
    let mut bytes = fs::read(database.path()).expect("the file");
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 40_960].fill(0xab);
    fs::write(database.path(), bytes).expect("the file");
    let found = read(&database.of("t"));
    assert!(found.records.len() > 500 && found.records.len() < 1500, "{}", found.records.len());
    assert_eq!(found.reasons(), ["corrupt"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever a server says, it is an error or rows.
    #[test]
    fn any_bytes_of_a_server_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..300), start in 0usize..5, is_mysql in any::<bool>()) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let mut said: Vec<u8> = match (is_mysql, start) {
            (_, 0) => Vec::new(),
            (false, _) => b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05IZ\0\0\0\x05TT\0\0\0\x1e\0\x01text\0\0\0\0\0\0\0\0\0\0\x19\0\0\0\0\0\0\0\0Z\0\0\0\x05T".to_vec(),
            (true, _) => b"\x4a\0\0\0\x0a10\0\x01\0\0\0abcdefgh\0\xff\xf7\x2d\x02\0\xff\xc0\x15\0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0mysql_native_password\0\x07\0\0\x02\0\0\0\x02\0\0\0".to_vec(),
        };
        said.truncate(said.len() * start / 4);
        said.extend(bytes);
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let _ = stream.write_all(&said);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            // What the client still says is taken, so that what it is told arrives.
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        });
        let scheme = if is_mysql { "mysql" } else { "postgres" };
        let asked = Request::new(vec![format!("{scheme}://me:pw@127.0.0.1:{port}/d?table=t&sslmode=disable")]);
        prop_assert!(try_read(&asked, Elsewhere(PathBuf::new())).is_err());
        server.join().expect("the server");
    }
}
