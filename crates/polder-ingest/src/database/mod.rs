//! Rows of databases as records: PostgreSQL, MySQL (and MariaDB), SQLite. One file each for what they speak; here is what they have in
//! common: which table or query is read, which column becomes what, and what names a row.
//!
//! Rows are taken as they come, one at a time, within one read-only transaction: a table of any size needs the memory of a row. Nothing
//! of a password reaches a record, a fault or an error.

mod address;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
mod row;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "wire")]
mod wire;

use std::cmp::Ordering;
use std::sync::Arc;

use polder_base::digest_bytes;

pub(crate) use self::address::Address;
use self::address::Engine;
use self::row::{Kind, Row};
use crate::IngestError;
use crate::mapping::{Mapping, Scalar, Wanted};
use crate::record::{Fault, Flow, Member, Offset, Sink, escape};

/// A column of what a statement gives.
#[derive(Clone, Debug)]
struct Column {
    name: String,
    kind: Kind,
}

/// Why the rows of a statement are taken no further.
enum Stop {
    /// Nobody takes what is found.
    Gone,
    /// All that was asked is known.
    Enough,
    /// The database, or what is asked of it, is at fault.
    Broken(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Broken(fault)
    }
}

/// Takes what a statement gives.
trait Visit {
    /// Takes the columns, before the statement runs, and says which of them to read.
    fn columns(&mut self, columns: &[Column]) -> Result<Vec<bool>, Stop>;
    /// Takes the cells of a row that were to be read.
    fn row(&mut self, row: &Row) -> Result<(), Stop>;
}

/// A connection to a database, in a read-only transaction that sees one state of it.
trait Client {
    /// Runs one statement that gives rows. Values of more than `value_bytes_max` are passed over.
    fn run(&mut self, statement: &str, value_bytes_max: u64, visit: &mut dyn Visit) -> Result<(), Stop>;
}

/// How a database is asked what it holds, and how it writes names.
struct Dialect {
    tables: &'static str,
    columns: &'static str,
    quote: char,
    has_backslashes: bool,
}

impl Dialect {
    fn of(engine: Engine) -> Self {
        let (tables, columns) = match engine {
            Engine::Postgres => (include_str!("postgres_tables.sql"), include_str!("postgres_columns.sql")),
            Engine::MySql => (include_str!("mysql_tables.sql"), include_str!("mysql_columns.sql")),
            Engine::Sqlite => (include_str!("sqlite_tables.sql"), include_str!("sqlite_columns.sql")),
        };
        let is_mysql = engine == Engine::MySql;
        Self { tables, columns, quote: if is_mysql { '`' } else { '"' }, has_backslashes: is_mysql }
    }

    fn name(&self, name: &str) -> String {
        let quote = self.quote;
        format!("{quote}{}{quote}", name.replace(quote, &format!("{quote}{quote}")))
    }

    fn text(&self, text: Option<&str>) -> String {
        let Some(text) = text else { return "NULL".into() };
        let text = if self.has_backslashes { text.replace('\\', "\\\\") } else { text.to_owned() };
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// What is read of a database.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    address: Arc<Address>,
    statement: String,
    /// The columns that name a row, where the table has such.
    key: Vec<String>,
    /// The address of the table: that of its rows without what names them.
    pub(crate) uri: String,
    /// The table, as the database names it.
    pub(crate) relative: String,
}

/// Targets are told apart by what they give their records as addresses.
impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Target {}

impl PartialOrd for Target {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Target {
    fn cmp(&self, other: &Self) -> Ordering {
        (&self.uri, &self.statement).cmp(&(&other.uri, &other.statement))
    }
}

/// A table as the catalogue tells it.
struct Table {
    schema: String,
    name: String,
    columns: Vec<String>,
    key: Vec<String>,
}

fn connect(address: &Address) -> Result<Box<dyn Client>, Fault> {
    match address.engine {
        #[cfg(feature = "postgres")]
        Engine::Postgres => Ok(Box::new(postgres::Postgres::connect(address)?)),
        #[cfg(feature = "mysql")]
        Engine::MySql => Ok(Box::new(mysql::MySql::connect(address)?)),
        #[cfg(feature = "sqlite")]
        Engine::Sqlite => Ok(Box::new(sqlite::Sqlite::open(address)?)),
        #[cfg(not(all(feature = "mysql", feature = "postgres", feature = "sqlite")))]
        _ => Err(Fault::new("unsupported", "this program was built without this database; its feature of `polder-ingest` is off")),
    }
}

impl Target {
    /// Looks whether an address and a query can be read: the database answers, the table is there, and has the columns.
    pub(crate) fn find(address: Address, query: Option<&str>, mapping: &Mapping) -> Result<Self, IngestError> {
        let query = query.map(select).transpose()?;
        let public = address.public();
        let failed = |fault: Fault| IngestError::Database { address: public.clone(), reason: fault.reason, detail: fault.detail };
        let mut client = connect(&address).map_err(failed)?;
        let dialect = Dialect::of(address.engine);
        let table = match &address.table {
            Some(name) => table(client.as_mut(), &dialect, name).map_err(failed)?,
            None => None,
        };
        if table.is_none() && (address.table.is_some() || query.is_none()) {
            let problem =
                address.table.as_ref().map_or_else(|| "no table is named".to_owned(), |name| format!("there is no table `{name}`"));
            let rows = ask(client.as_mut(), dialect.tables).map_err(failed)?;
            let names: Vec<String> = rows.into_iter().filter_map(|mut row| row.first_mut()?.take()).collect();
            let tables = if names.is_empty() { "none that you may read".into() } else { names.join(", ") };
            return Err(IngestError::NoTable { address: public, problem, tables });
        }
        let wanted = Wanted::new(mapping);
        if let Some(table) = table.as_ref().filter(|_| query.is_none()) {
            wanted.among(&table.columns).map_err(failed)?;
        }
        let statement = match (query, &table) {
            (Some(query), _) => query.to_owned(),
            (None, Some(table)) => table.statement(&dialect, address.engine, &wanted),
            (None, None) => String::new(),
        };
        match client.run(&statement, 0, &mut Checked { wanted: &wanted }) {
            Ok(()) | Err(Stop::Gone | Stop::Enough) => {}
            Err(Stop::Broken(fault)) => return Err(failed(fault)),
        }
        let mut uri = public.clone();
        let relative = match (&table, address.engine) {
            (Some(table), Engine::Postgres) => format!("{}.{}", table.schema, table.name),
            (Some(table), Engine::MySql) if table.schema != address.database => format!("{}.{}", table.schema, table.name),
            (Some(table), _) => table.name.clone(),
            (None, _) => format!("query-{}", &digest_bytes(statement.as_bytes()).hex()[..16]),
        };
        uri.push('/');
        escape(relative.as_bytes(), &mut uri);
        let key = table.map(|table| table.key).unwrap_or_default();
        Ok(Self { address: Arc::new(address), statement, key, uri, relative })
    }

    /// What its records say as their source.
    pub(crate) fn source(&self) -> &str {
        self.address.source()
    }

    /// Its table's name, or the query's.
    pub(crate) fn package(&self) -> &str {
        self.relative.rsplit('.').next().unwrap_or(&self.relative)
    }
}

impl Table {
    /// The statement that gives its wanted columns, and those that name its rows.
    fn statement(&self, dialect: &Dialect, engine: Engine, wanted: &Wanted) -> String {
        let is_read = |name: &&String| wanted.names.contains(name) || self.key.contains(name);
        let columns: Vec<String> = self.columns.iter().filter(is_read).map(|name| dialect.name(name)).collect();
        let schema = if engine == Engine::Sqlite { String::new() } else { format!("{}.", dialect.name(&self.schema)) };
        // tidy: sql, because its columns are those of the table
        format!("SELECT {} FROM {schema}{}", columns.join(", "), dialect.name(&self.name))
    }
}

/// Takes the one SELECT out of what the user asks; the transaction sees to it that it only reads.
fn select(query: &str) -> Result<&str, IngestError> {
    let query = query.trim().trim_end_matches(|c: char| c == ';' || c.is_whitespace());
    let mut rest = query;
    loop {
        rest = rest.trim_start_matches(|c: char| c == '(' || c.is_whitespace());
        rest = match (rest.strip_prefix("--"), rest.strip_prefix("/*")) {
            (Some(comment), _) => comment.split_once('\n').map_or("", |(_, rest)| rest),
            (_, Some(comment)) => comment.split_once("*/").map_or("", |(_, rest)| rest),
            _ => break,
        };
    }
    let word: String = rest.chars().take_while(char::is_ascii_alphabetic).collect();
    if ["select", "with", "values", "table"].contains(&word.to_ascii_lowercase().as_str()) {
        return Ok(query);
    }
    Err(IngestError::Query { reason: format!("it begins with `{word}`, and only a SELECT reads rows") })
}

/// Finds a table by its name, with its schema or without.
fn table(client: &mut dyn Client, dialect: &Dialect, name: &str) -> Result<Option<Table>, Fault> {
    let with_schema = name.split_once('.').map(|(schema, name)| (Some(schema), name));
    for (schema, name) in with_schema.into_iter().chain([(None, name)]) {
        let (schema, name) = (dialect.text(schema), dialect.text(Some(name)));
        let statement = dialect.columns.split("$schema").map(|part| part.replace("$table", &name)).collect::<Vec<_>>().join(&schema);
        let mut found: Option<Table> = None;
        let mut key: Vec<(u32, String)> = Vec::new();
        for row in ask(client, &statement)? {
            let [Some(schema), Some(name), Some(column), position] = row.as_slice() else { continue };
            let table =
                found.get_or_insert_with(|| Table { schema: schema.clone(), name: name.clone(), columns: Vec::new(), key: Vec::new() });
            table.columns.push(column.clone());
            if let Some(position) = position.as_ref().and_then(|p| p.parse().ok()) {
                key.push((position, column.clone()));
            }
        }
        if let Some(mut table) = found {
            key.sort();
            table.key = key.into_iter().map(|(_, name)| name).collect();
            return Ok(Some(table));
        }
    }
    Ok(None)
}

/// Asks the catalogue: few rows, of text.
fn ask(client: &mut dyn Client, statement: &str) -> Result<Vec<Vec<Option<String>>>, Fault> {
    struct All(Vec<Vec<Option<String>>>);
    impl Visit for All {
        fn columns(&mut self, columns: &[Column]) -> Result<Vec<bool>, Stop> {
            Ok(vec![true; columns.len()])
        }
        fn row(&mut self, row: &Row) -> Result<(), Stop> {
            self.0.push(row.cells.iter().map(|cell| row.shown(cell)).collect());
            Ok(())
        }
    }
    const NAME_BYTES_MAX: u64 = 1 << 16;
    let mut all = All(Vec::new());
    match client.run(statement, NAME_BYTES_MAX, &mut all) {
        Err(Stop::Broken(fault)) => Err(fault),
        _ => Ok(all.0),
    }
}

/// Looks at the columns, and reads no row.
struct Checked<'a> {
    wanted: &'a Wanted,
}

impl Visit for Checked<'_> {
    fn columns(&mut self, columns: &[Column]) -> Result<Vec<bool>, Stop> {
        check(self.wanted, columns)?;
        Err(Stop::Enough)
    }
    fn row(&mut self, _: &Row) -> Result<(), Stop> {
        Err(Stop::Enough)
    }
}

/// Says where the wanted columns stand; refuses, once for all rows, what could be no record.
fn check(wanted: &Wanted, columns: &[Column]) -> Result<Vec<Option<usize>>, Fault> {
    let names: Vec<String> = columns.iter().map(|c| c.name.clone()).collect();
    let found = wanted.among(&names)?;
    if let Some(column) = found.iter().flatten().map(|i| &columns[*i]).find(|c| matches!(c.kind, Kind::Refused(_))) {
        return Err(Fault::new(
            "wrong_type",
            format!("`{}` is {}, which cannot be read; --query makes text of it", column.name, column.kind.words()),
        ));
    }
    let texts: Vec<&Column> = wanted.text.iter().filter_map(|i| found[*i]).map(|i| &columns[i]).collect();
    if let Some(column) = texts.first().filter(|_| texts.iter().all(|c| !c.kind.is_text())) {
        let detail =
            format!("`{}` is {}, not text; --text-column names another, or --query makes text of it", column.name, column.kind.words());
        return Err(Fault::new("wrong_type", detail));
    }
    Ok(found)
}

/// Puts the rows of a table or a query into the sink.
pub(crate) fn read(target: &Target, file: Member, sink: &mut Sink<'_>) -> Flow {
    let wanted = &sink.settings.wanted;
    let value_bytes_max = sink.settings.limits.record_bytes_max;
    let mut client = match connect(&target.address) {
        Ok(client) => client,
        Err(fault) => return sink.bad(file, fault),
    };
    let mut wanted = wanted.clone();
    wanted.id = Vec::new();
    let mut reader = Reader { target, file: &file, wanted, found: Vec::new(), kinds: Vec::new(), key: Vec::new(), n: 0, sink };
    let ended = client.run(&target.statement, value_bytes_max, &mut reader);
    let n = reader.n;
    match ended {
        Err(Stop::Gone) => Err(crate::Gone),
        Err(Stop::Broken(fault)) if n == 0 => sink.bad(file, fault),
        Err(Stop::Broken(fault)) => sink.bad(file.part(&format!("row={}", n + 1)), fault.at(Offset::Row(n + 1), b"")),
        Ok(()) | Err(Stop::Enough) if n == 0 => sink.bad(file, Fault::new("empty", "no rows")),
        Ok(()) | Err(Stop::Enough) => Ok(()),
    }
}

/// Makes records of rows.
struct Reader<'a, 's, 'i> {
    target: &'a Target,
    file: &'a Member,
    /// Without what would name a record: here its row does.
    wanted: Wanted,
    /// Among the cells that are read, the wanted ones.
    found: Vec<Option<usize>>,
    kinds: Vec<Kind>,
    /// What names a row: `id` or a column, and its cell.
    key: Vec<(String, usize)>,
    n: u64,
    sink: &'s mut Sink<'i>,
}

impl Visit for Reader<'_, '_, '_> {
    fn columns(&mut self, columns: &[Column]) -> Result<Vec<bool>, Stop> {
        let asked = &self.sink.settings.wanted;
        let found = check(asked, columns)?;
        let at = |name: &String| columns.iter().position(|c| c.name == *name);
        let by_id = || asked.id.iter().find_map(|i| found[*i]).map(|i| vec![("id".to_owned(), i)]);
        let by_table = || {
            let key: Option<Vec<(String, usize)>> = self.target.key.iter().map(|name| Some((name.clone(), at(name)?))).collect();
            key.filter(|key| !key.is_empty())
        };
        let key = if asked.id_is_named { by_id() } else { by_table().or_else(by_id) }.unwrap_or_default();
        let is_read: Vec<bool> = (0..columns.len()).map(|i| found.contains(&Some(i)) || key.iter().any(|(_, k)| *k == i)).collect();
        let cell_of = |i: usize| is_read[..i].iter().filter(|r| **r).count();
        self.found = found.into_iter().map(|i| i.map(cell_of)).collect();
        self.key = key.into_iter().map(|(name, i)| (name, cell_of(i))).collect();
        self.kinds = columns.iter().zip(&is_read).filter(|(_, r)| **r).map(|(c, _)| c.kind).collect();
        Ok(is_read)
    }

    fn row(&mut self, row: &Row) -> Result<(), Stop> {
        self.n += 1;
        let offset = Offset::Row(self.n);
        let place = self.place(row);
        let mut values = Vec::with_capacity(self.found.len());
        for (i, found) in self.found.iter().enumerate() {
            let Some(cell) = *found else {
                values.push(Scalar::Null);
                continue;
            };
            match row.value(cell, self.kinds[cell], self.wanted.text.contains(&i)) {
                Ok(value) => values.push(value),
                Err(fault) => {
                    let fault = Fault { detail: format!("`{}`: {}", self.wanted.names[i], fault.detail), offset: Some(offset), ..fault };
                    return self.sink.bad(self.file.part(&place), fault).map_err(|_| Stop::Gone);
                }
            }
        }
        match self.wanted.document(self.file, || place, &mut values) {
            Ok((member, document)) => self.sink.document(member, document, Some(offset)),
            Err(refused) => {
                let (member, fault) = *refused;
                self.sink.bad(member, fault.at(offset, b""))
            }
        }
        .map_err(|_| Stop::Gone)
    }
}

impl Reader<'_, '_, '_> {
    /// What names a row within its table: its key, else its content.
    fn place(&self, row: &Row) -> String {
        let mut place = String::new();
        for (name, cell) in &self.key {
            let Some(value) = row.written(*cell).filter(|v| !v.trim_ascii().is_empty()) else {
                place.clear();
                break;
            };
            if !place.is_empty() {
                place.push('&');
            }
            escape(name.as_bytes(), &mut place);
            place.push('=');
            escape(&value, &mut place);
        }
        if place.is_empty() {
            place = format!("digest={}", &row.digest(self.found.iter().flatten().copied()).hex()[..32]);
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_statement_that_selects_is_taken() {
        for good in ["SELECT 1;", " (select 1) ", "-- why\nWITH a AS (SELECT 1) SELECT * FROM a ; ", "/* why */ VALUES (1)", "table docs"] {
            assert!(select(good).is_ok_and(|q| !q.ends_with(';')), "{good}");
        }
        for bad in ["", "DELETE FROM docs", "-- SELECT", "selection", "COMMIT"] {
            assert!(select(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_and_texts_are_written_so_that_they_end_where_they_should() {
        let (of_mysql, of_others) = (Dialect::of(Engine::MySql), Dialect::of(Engine::Postgres));
        assert_eq!((of_mysql.name("a`b"), of_others.name("a\"b")), ("`a``b`".to_owned(), "\"a\"\"b\"".to_owned()));
        assert_eq!((of_mysql.text(Some("a\\'b")), of_others.text(Some("a\\'b"))), ("'a\\\\''b'".to_owned(), "'a\\''b'".to_owned()));
        assert_eq!(of_others.text(None), "NULL");
    }
}
