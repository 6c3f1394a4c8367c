//! Databases: SQLite always, PostgreSQL and MariaDB where the machine has them.

mod connections;
mod values;

use std::path::PathBuf;
use std::sync::Arc;

use polder_testkit::databases::{self, DatabaseServer, PASSWORD};
use rusqlite::Connection;
use tempfile::TempDir;

use super::{Elsewhere, Found, folder, put, read, try_read};
use crate::{IngestError, Mapping, Offset, Request, Scalar};

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
        if database.public().starts_with("postgres") {
            database
                .run("CREATE TABLE wide (id INT, text TEXT, n INT, PRIMARY KEY (id) INCLUDE (n)); INSERT INTO wide VALUES (1, 'a', 2);");
            assert_eq!(keys(&database.of("wide")), ["id=1"]);
        }
        let asked = Request { mapping: Mapping { id: Some("n".into()), ..Mapping::default() }, ..database.of("loose") };
        assert_eq!(keys(&asked), ["id=1", "id=2", "id=3"]);
    }
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
