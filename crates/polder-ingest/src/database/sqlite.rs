//! A file of SQLite. It is opened for reading alone, and nothing that stands in it is run.

use rusqlite::config::DbConfig;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, ErrorCode, OpenFlags};
use std::time::Duration;

use super::address::Address;
use super::row::{Cell, Kind, Row};
use super::{Client, Column, Stop, Visit};
use crate::pieces::with_causes;
use crate::record::Fault;

/// So long is waited for a writer that holds the whole file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });

/// An open file.
pub(super) struct Sqlite {
    connection: Connection,
}

impl Sqlite {
    pub(super) fn open(address: &Address) -> Result<Self, Fault> {
        let path = address.path.as_deref().unwrap_or_else(|| "".as_ref());
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(|e| fault(&e))?;
        let begun = || {
            connection.busy_timeout(BUSY_TIMEOUT)?;
            // A file of somebody else's may hold views that call functions, and pages that lie.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
            connection.execute_batch("PRAGMA cell_size_check = ON; PRAGMA query_only = ON; BEGIN")
        };
        begun().map_err(|e| fault(&e))?;
        Ok(Self { connection })
    }
}

impl Client for Sqlite {
    fn run(&mut self, statement: &str, value_bytes_max: u64, visit: &mut dyn Visit) -> Result<(), Stop> {
        let failed = |e: &Error| Stop::from(fault(e));
        let mut prepared = self.connection.prepare(statement).map_err(|e| failed(&e))?;
        if prepared.column_count() == 0 || !prepared.readonly() {
            return Err(Fault::new("malformed", "the statement does not only read rows").into());
        }
        let columns: Vec<Column> = prepared.column_names().map(|name| Column { name: name.to_owned(), kind: Kind::Any }).collect();
        let is_read = visit.columns(&columns)?;
        let mut rows = prepared.query([]).map_err(|e| failed(&e))?;
        let mut row = Row { value_bytes_max, ..Row::default() };
        while let Some(found) = rows.next().map_err(|e| failed(&e))? {
            row.clear();
            for (i, _) in is_read.iter().enumerate().filter(|(_, is_read)| **is_read) {
                let cell = match found.get_ref(i).map_err(|e| failed(&e))? {
                    ValueRef::Null => Cell::Null,
                    ValueRef::Integer(n) => Cell::Int(n),
                    ValueRef::Real(x) => Cell::Float(x),
                    ValueRef::Text(bytes) | ValueRef::Blob(bytes) if bytes.len() as u64 > value_bytes_max => {
                        Cell::TooLarge(bytes.len() as u64)
                    }
                    ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                        let start = row.bytes.len();
                        row.bytes.extend_from_slice(bytes);
                        Cell::Bytes(start..row.bytes.len())
                    }
                };
                row.cells.push(cell);
            }
            visit.row(&row)?;
        }
        Ok(())
    }
}

fn fault(error: &Error) -> Fault {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Fault::new("unreadable", "another program writes to the file and holds it locked; try again when it is done")
        }
        Some(ErrorCode::CannotOpen) => Fault::new(
            "unreadable",
            "the file cannot be opened; one with a write-ahead log needs a folder that may be written, or a copy made with `.backup`",
        ),
        Some(ErrorCode::NotADatabase) => Fault::new("unreadable", "it is no SQLite database, or an encrypted one"),
        Some(ErrorCode::DatabaseCorrupt) => Fault::new("corrupt", with_causes(error)),
        _ => Fault::new("unreadable", with_causes(error)),
    }
}
