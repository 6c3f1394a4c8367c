//! Values of every type.

use polder_testkit::databases;

use super::{Database, read, refused};
use crate::{Mapping, Offset, Request, Scalar};

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
