//! Databases: SQLite always, PostgreSQL and MariaDB where the machine has them.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use polder_testkit::databases::{self, DatabaseServer, PASSWORD};
use proptest::prelude::*;
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{Elsewhere, Found, folder, read, try_read};
use crate::{IngestError, Item, Mapping, Offset, Reading, Request, Scalar};

/// A database of a test.
enum Database {
    Sqlite(TempDir),
    Server(Arc<DatabaseServer>, String),
}

impl Database {
    /// One of each kind that the machine has, empty, of this name.
    fn all(name: &str) -> Vec<Self> {
        let servers = [databases::postgres(), databases::mysql()].into_iter().flatten();
        let mut all: Vec<Self> = servers
            .map(|server| {
                server.create(name);
                Self::Server(server, name.to_owned())
            })
            .collect();
        all.push(Self::sqlite(""));
        all
    }

    fn sqlite(statements: &str) -> Self {
        let this = Self::Sqlite(folder());
        this.run(statements);
        this
    }

    /// A PostgreSQL database, where there is one.
    fn postgres(name: &str) -> Option<Self> {
        let server = databases::postgres()?;
        server.create(name);
        Some(Self::Server(server, name.to_owned()))
    }

    fn path(&self) -> PathBuf {
        match self {
            Self::Sqlite(folder) => folder.path().canonicalize().expect("a folder").join("lake.db"),
            Self::Server(server, _) => server.folder().to_owned(),
        }
    }

    fn run(&self, statements: &str) {
        match self {
            Self::Sqlite(_) => Connection::open(self.path()).expect("a file").execute_batch(statements).expect("statements"),
            Self::Server(server, name) => {
                server.run(name, statements);
            }
        }
    }

    /// Its address with these parameters.
    fn address(&self, parameters: &str) -> String {
        match self {
            Self::Sqlite(_) => format!("sqlite:{}?{parameters}", self.path().display()),
            Self::Server(server, name) => format!("{}?{parameters}", server.address(name)),
        }
    }

    /// What its records' addresses begin with.
    fn public(&self) -> String {
        match self {
            Self::Sqlite(_) => format!("sqlite://{}", self.path().display()),
            Self::Server(server, name) => server.address(name).replace(&format!("polder:{PASSWORD}@"), ""),
        }
    }

    /// A table's name in a record's path.
    fn named(&self, table: &str) -> String {
        if self.public().starts_with("postgres") { format!("public.{table}") } else { table.to_owned() }
    }

    fn of(&self, table: &str) -> Request {
        Request::new(vec![self.address(&format!("table={table}"))])
    }

    fn asked(&self, query: &str) -> Request {
        Request { query: Some(query.into()), ..Request::new(vec![self.address("")]) }
    }
}

fn refused(request: &Request) -> IngestError {
    try_read(request, Elsewhere(PathBuf::new())).err().expect("refused")
}

/// The address and the content of every record.
fn identities(found: &Found) -> Vec<u128> {
    found.records.iter().map(|r| r.identity).collect()
}

const PAGES: &str = "CREATE TABLE pages (slug VARCHAR(20) PRIMARY KEY, id INT, text TEXT, url TEXT, score INT, n FLOAT);
    INSERT INTO pages VALUES ('a', 7, 'one grüße', NULL, 3, 0.5), ('b/c d', 7, 'two', NULL, NULL, NULL), ('c', 8, NULL, NULL, 1, 1),
    ('d', 9, '', NULL, 1, 1), ('e', 9, 'five', 'https://me:pw@a.org/5?token=x', 1, 1);";

#[test]
fn rows_of_a_table_are_records_named_by_its_key() {
    for database in Database::all("by_key") {
        database.run(PAGES);
        let mut asked = database.of("pages");
        asked.mapping.keep = vec!["score".into(), "n".into()];
        let found = read(&asked);
        assert_eq!(found.texts(), ["one grüße", "two", "five"]);
        let table = database.named("pages");
        assert_eq!(found.paths(), ["slug=a", "slug=b/c%20d", "slug=e"].map(|key| format!("{table}#{key}")));
        assert_eq!(found.records[1].uri, format!("{}/{table}#slug=b/c%20d", database.public()));
        assert_eq!(found.records[2].uri, "https://a.org/5");
        assert_eq!(found.records[0].origin.package, "pages");
        assert_eq!(
            found.records[0].origin.source,
            if table == "pages" && database.public().starts_with("sqlite") { "lake" } else { "by_key" }
        );
        assert_eq!(found.records[0].kept, [Scalar::Int(3), Scalar::Float(0.5)]);
        assert_eq!(found.records[1].kept, [Scalar::Null, Scalar::Null]);
        assert_eq!((found.reasons(), found.bad[0].offset), (vec!["no_text", "empty"], Some(Offset::Row(3))));
        assert_eq!(found.tally.files, 1);
    }
}

#[test]
fn a_changed_row_adds_a_row_and_the_same_rows_add_none() {
    for database in Database::all("changed") {
        database.run(PAGES);
        let before = identities(&read(&database.of("pages")));
        assert_eq!(identities(&read(&database.of("pages"))), before);
        database.run("UPDATE pages SET text = 'two, and more' WHERE slug = 'b/c d'; INSERT INTO pages VALUES ('f', 1, 'six', NULL, 1, 1);");
        let found = read(&database.of("pages"));
        let (_, added): (Vec<_>, Vec<_>) = found.records.iter().partition(|r| before.contains(&r.identity));
        let mut added: Vec<(&str, &str)> = added.iter().map(|r| (r.uri.split('#').nth(1).unwrap_or_default(), r.text.as_str())).collect();
        added.sort_unstable();
        assert_eq!(added, [("slug=b/c%20d", "two, and more"), ("slug=f", "six")]);
        assert_eq!(found.records.len(), before.len() + 1);
    }
}

#[test]
fn a_row_is_named_by_a_column_that_was_named_else_by_all_of_its_key_else_by_its_content() {
    for database in Database::all("names") {
        database.run(
            "CREATE TABLE two (lang VARCHAR(9), text TEXT, page INT, PRIMARY KEY (page, lang)); INSERT INTO two VALUES ('d&e', 'zwei', 2);
             CREATE TABLE loose (text TEXT, n INT); INSERT INTO loose VALUES ('a', 1), ('a', 2), ('b', 3);
             CREATE TABLE named (text TEXT, id BIGINT); INSERT INTO named VALUES ('a', 17), ('b', NULL);",
        );
        let keys = |request: &Request| -> Vec<String> {
            read(request).paths().iter().map(|p| p.split_once('#').expect("a key").1.to_owned()).collect()
        };
        assert_eq!(keys(&database.of("two")), ["page=2&lang=d%26e"]);
        let loose = keys(&database.of("loose"));
        // What the records are made of is the same in the first two: one record.
        assert!(loose[0].starts_with("digest=") && loose[0] == loose[1] && loose[0] != loose[2], "{loose:?}");
        let named = keys(&database.of("named"));
        assert!(named[0] == "id=17" && named[1].starts_with("digest="), "{named:?}");
        let asked = Request { mapping: Mapping { id: Some("n".into()), ..Mapping::default() }, ..database.of("loose") };
        assert_eq!(keys(&asked), ["id=1", "id=2", "id=3"]);
    }
}

#[test]
fn a_row_whose_bytes_are_no_utf8_is_quarantined_and_the_others_stay() {
    for database in Database::all("bytes") {
        let kind = if database.public().starts_with("postgres") { "BYTEA" } else { "BLOB" };
        let bytes = if kind == "BYTEA" { ["'\\x6f6b'", "'\\x6ffe'"] } else { ["x'6f6b'", "x'6ffe'"] };
        let [good, bad] = bytes;
        database
            .run(&format!("CREATE TABLE b (id INT PRIMARY KEY, text {kind}); INSERT INTO b VALUES (1, {good}), (2, {bad}), (3, {good});"));
        let found = read(&database.of("b"));
        assert_eq!((found.texts(), found.reasons()), (vec!["ok", "ok"], vec!["not_utf8"]));
        let fault = &found.bad[0];
        assert_eq!((fault.detail.as_str(), fault.offset, fault.bytes), ("`text`: invalid at byte 1", Some(Offset::Row(2)), 2));
        assert_eq!((fault.excerpt.as_slice(), fault.uri.ends_with("#id=2")), (b"o\xfe".as_slice(), true));
    }
}

#[test]
fn a_database_without_an_encoding_is_read_and_its_wrong_letters_are_told() {
    let Some(server) = databases::postgres() else { return };
    server.run("", "DROP DATABASE IF EXISTS ascii;\nCREATE DATABASE ascii ENCODING SQL_ASCII LOCALE 'C' TEMPLATE template0;\n");
    server.run("ascii", "CREATE TABLE t (id INT PRIMARY KEY, text TEXT); INSERT INTO t VALUES (1, 'ü'), (2, E'gr\\xfc\\xdfe');");
    let found = read(&Database::Server(server, "ascii".into()).of("t"));
    assert_eq!((found.texts(), found.reasons()), (vec!["ü"], vec!["not_utf8"]));
}

#[test]
fn values_of_every_type_of_postgresql_are_kept_as_it_writes_them() {
    let Some(database) = Database::postgres("types") else { return };
    database.run(
        "CREATE TYPE mood AS ENUM ('calm', 'wild'); CREATE DOMAIN word AS TEXT CHECK (value <> ''); SET TIME ZONE 'Asia/Tokyo';
         CREATE TABLE t (id INT PRIMARY KEY, text TEXT, a BOOLEAN, b SMALLINT, c BIGINT, d NUMERIC(30, 2), e DOUBLE PRECISION, f VARCHAR(9),
           g CHAR(3), h JSONB, i JSON, j DATE, k TIMESTAMPTZ, l UUID, m TEXT[], n mood, o word, p POINT, q INT4RANGE, r INET, s \"char\", u INTERVAL,
           v mood[]);
         INSERT INTO t VALUES (1, 'x', true, -2, 9007199254740993, 12.50, 1e300, 'v', 'g', '{\"k\": [1]}', '{\"k\":1}', '2026-11-27',
           '2026-11-27 09:00+09', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{one,\"two, three\"}', 'wild', 'w', '(1,2)', '[1,5)', '10.0.0.1', 'c',
           '1 day', '{calm}'); INSERT INTO t (id, text) VALUES (2, 'y');",
    );
    let mut asked = database.of("t");
    asked.mapping.keep = "a b c d e f g h i j k l m n o p q r s u v".split(' ').map(str::to_owned).collect();
    let found = read(&asked);
    let text = |t: &str| Scalar::Text(t.into());
    let expected = [
        Scalar::Bool(true),
        Scalar::Int(-2),
        Scalar::Int(9_007_199_254_740_993),
        Scalar::Float(12.5),
        Scalar::Float(1e300),
        text("v"),
        text("g  "),
        text("{\"k\": [1]}"),
        text("{\"k\":1}"),
        text("2026-11-27"),
        text("2026-11-27 00:00:00+00"),
        text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        text("{one,\"two, three\"}"),
        text("wild"),
        text("w"),
        text("(1,2)"),
        text("[1,5)"),
        text("10.0.0.1"),
        text("c"),
        text("1 day"),
        text("{calm}"),
    ];
    assert_eq!(found.records[0].kept, expected);
    assert_eq!(found.records[1].kept, vec![Scalar::Null; 21]);
    let text_of = |column: &str| Request { mapping: Mapping { text: Some(column.into()), ..Mapping::default() }, ..database.of("t") };
    for column in ["h", "i", "n", "o", "g"] {
        assert_eq!(read(&text_of(column)).texts().len(), 1, "{column}");
    }
    for (column, words) in [("m", "a list"), ("v", "a list"), ("c", "a number"), ("a", "a boolean"), ("p", "a shape"), ("q", "a range")] {
        let error = refused(&text_of(column)).to_string();
        assert!(error.contains(&format!("`{column}` is {words}, not text; --text-column names another")), "{error}");
    }
}

#[test]
fn values_of_every_type_of_mysql_are_kept_as_it_writes_them() {
    let Some(server) = databases::mysql() else { return };
    server.create("types");
    let database = Database::Server(server, "types".into());
    database.run(
        "CREATE TABLE t (id INT PRIMARY KEY, text TEXT CHARACTER SET latin1, a BOOLEAN, b BIGINT UNSIGNED, c DECIMAL(20, 2), d DOUBLE, e CHAR(5), f ENUM('calm', 'wild'),
           g SET('x', 'y'), h JSON, i DATE, j DATETIME, k TIMESTAMP NULL, l BIT(10), m YEAR, n VARBINARY(9), o POINT);
         SET time_zone = '+09:00';
         INSERT INTO t VALUES (1, 'grüße', true, 18446744073709551615, 12.50, 1e300, 'e', 'wild', 'x,y', '{\"k\": 1}', '2026-11-27', '2026-11-27 09:00:00',
           '2026-11-27 09:00:00', b'1000000001', 2026, 'bytes', POINT(1, 2));",
    );
    let mut asked = database.of("t");
    asked.mapping.keep = "a b c d e f g h i j k l m n".split(' ').map(str::to_owned).collect();
    let found = read(&asked);
    let text = |t: &str| Scalar::Text(t.into());
    assert_eq!(found.texts(), ["grüße"]);
    assert_eq!(
        found.records[0].kept,
        [
            Scalar::Int(1),
            Scalar::Float(18_446_744_073_709_551_615.0),
            Scalar::Float(12.5),
            Scalar::Float(1e300),
            text("e"),
            text("wild"),
            text("x,y"),
            text("{\"k\": 1}"),
            text("2026-11-27"),
            text("2026-11-27 09:00:00"),
            text("2026-11-27 00:00:00"),
            Scalar::Int(513),
            Scalar::Int(2026),
            text("bytes"),
        ]
    );
    asked.mapping.keep = vec!["o".into()];
    assert!(refused(&asked).to_string().contains("`o` is a geometry, which cannot be read; --query makes text of it"));
}

#[test]
fn a_value_of_sqlite_is_what_it_is_whatever_its_column_says() {
    let database = Database::sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, text, n INTEGER);
         INSERT INTO t VALUES (1, 'one', 'not a number'), (2, 17, 2), (3, x'7477 6f', 3.5), (4, 'a' || char(0) || 'b', NULL), (5, CAST(x'ff' AS TEXT), 5);"
            .replace("7477 6f", "74776f")
            .as_str(),
    );
    let mut asked = database.of("t");
    asked.mapping.keep = vec!["n".into()];
    let found = read(&asked);
    assert_eq!(found.texts(), ["one", "two"]);
    assert_eq!((&found.records[0].kept[0], &found.records[1].kept[0]), (&Scalar::Text("not a number".into()), &Scalar::Float(3.5)));
    assert_eq!(found.reasons(), ["wrong_type", "binary", "not_utf8"]);
    assert_eq!(found.bad[0].detail, "`text` is a number, not text");
}

#[test]
fn a_query_gives_rows_and_writes_nothing() {
    for database in Database::all("queries") {
        database.run(PAGES);
        let found = read(&database.asked("-- why\nSELECT id, upper(text) AS body FROM pages WHERE n = 0.5 ;"));
        assert_eq!(found.texts().len(), 1);
        assert!(found.paths()[0].starts_with("query-") && found.paths()[0].ends_with("#id=7"), "{:?}", found.paths());
        // Rows of a query that are those of a table have the table's addresses.
        let part = Request { query: Some("SELECT slug, text FROM pages WHERE slug < 'b'".into()), ..database.of("pages") };
        assert_eq!(identities(&read(&part)), identities(&read(&database.of("pages")))[..1]);
        for statement in [
            "DELETE FROM pages",
            "SELECT 1 AS text; DELETE FROM pages",
            "WITH d AS (SELECT 1) DELETE FROM pages",
            "WITH d AS (DELETE FROM pages RETURNING text) SELECT text FROM d",
            "SELECT text FROM nowhere",
            "SELECT text INTO copied FROM pages",
            "SELECT text FROM pages INTO OUTFILE '/tmp/never-written-by-polder'",
        ] {
            let asked = database.asked(statement);
            match try_read(&asked, Elsewhere(PathBuf::new())) {
                Err(_) => {}
                Ok(found) => assert!(found.records.is_empty() && found.bad.len() == 1, "{statement}: {:?}", found.texts()),
            }
        }
        assert_eq!(read(&database.of("pages")).texts().len(), 3);
        assert!(!PathBuf::from("/tmp/never-written-by-polder").exists());
        let error = refused(&database.asked("SELECT id FROM pages")).to_string();
        assert!(error.contains("there is no column `text` or `content` or `body`; its columns are id"), "{error}");
        let error = refused(&Request { query: Some("SELECT 1".into()), ..Request::new(vec!["/tmp".into()]) }).to_string();
        assert_eq!(error, "the query cannot be used: not every source is a database");
    }
}

#[test]
fn without_a_table_those_that_are_there_are_listed() {
    for database in Database::all("listed") {
        database.run("CREATE TABLE b (text TEXT); CREATE VIEW a AS SELECT text FROM b;");
        let tables = format!("{}, {}", database.named("a"), database.named("b"));
        let said = |parameters: &str| refused(&Request::new(vec![database.address(parameters)])).to_string();
        assert_eq!(said(""), format!("no table is named of `{}`; its tables are {tables}", database.public()));
        assert_eq!(said("table=c"), format!("there is no table `c` of `{}`; its tables are {tables}", database.public()));
        assert!(said("table=a'b\\").starts_with("there is no table"), "{}", said("table=a'b\\"));
        assert_eq!(read(&database.of("b")).reasons(), ["empty"]);
    }
}

#[test]
fn names_with_odd_letters_are_names() {
    for database in Database::all("odd") {
        let (quote, table) = if database.public().starts_with("mysql") { ('`', "a.b`c \"d") } else { ('"', "a.b`c \"d") };
        let name = format!("{quote}{}{quote}", table.replace(quote, &format!("{quote}{quote}")));
        let column = format!("{quote}my text{quote}");
        database.run(&format!("CREATE TABLE {name} (id INT PRIMARY KEY, {column} TEXT); INSERT INTO {name} VALUES (1, 'x');"));
        let mut asked = Request::new(vec![database.address("table=a.b%60c+%22d")]);
        asked.mapping.text = Some("my text".into());
        let found = read(&asked);
        assert_eq!(found.paths(), [format!("{}#id=1", database.named(table))]);
        assert!(found.records[0].uri.ends_with("a.b%60c%20%22d#id=1"), "{}", found.records[0].uri);
    }
}

#[test]
fn rows_that_are_too_large_are_passed_over_and_told() {
    for database in Database::all("large") {
        database.run("CREATE TABLE t (id INT PRIMARY KEY, text TEXT, other TEXT);");
        let long = "x".repeat(5000);
        database.run(&format!("INSERT INTO t VALUES (1, 'a', '{long}'), (2, '{long}', 'b'), (3, 'c', NULL);"));
        let mut asked = database.of("t");
        asked.limits.record_bytes_max = 4000;
        let found = read(&asked);
        assert_eq!((found.texts(), found.reasons(), found.bad[0].bytes), (vec!["a", "c"], vec!["too_large"], 5000));
        asked.mapping.keep = vec!["other".into()];
        assert_eq!(read(&asked).reasons(), ["too_large"; 2]);
    }
}

/// Values beyond what one frame of MySQL holds.
#[test]
fn a_text_of_many_megabytes_is_read_whole() {
    for database in Database::all("huge") {
        let query = match database.public().split(':').next() {
            Some("sqlite") => "SELECT 1 AS id, printf('%.*c', 20000000, 'x') AS text",
            Some("mysql") => "SELECT 1 AS id, CONCAT(REPEAT('x', 10000000), REPEAT('x', 10000000)) AS text",
            _ => "SELECT 1 AS id, repeat('x', 20000000) AS text",
        };
        if let Database::Server(server, _) = &database
            && database.public().starts_with("mysql")
        {
            server.run("", "SET GLOBAL max_allowed_packet = 100000000;");
        }
        let mut asked = database.asked(query);
        assert_eq!(read(&asked).reasons(), ["too_large"]);
        asked.limits.record_bytes_max = 1 << 30;
        let found = read(&asked);
        assert!(found.texts()[0].len() == 20_000_000 && found.texts()[0].bytes().all(|b| b == b'x'));
    }
}

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
        assert!(matches!(error, IngestError::Database { .. }), "{error:?}");
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
            let found = read(&Request::new(vec![format!("{}?table=t&sslmode={mode}", server.address_for(user, "greeted"))]));
            assert_eq!(found.texts(), ["x"], "{user} {mode}");
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
    super::put(dir.path(), "not.db", "no database, but long enough to be read as the head of one".repeat(20));
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
