//! Delta tables of others: their newest version's rows, one a document.

use std::path::Path;

use datafusion::dataframe::DataFrame;
use deltalake::{DeltaTableBuilder, ensure_table_uri};
use futures::TryStreamExt as _;
use polder_ingest::{Fault, Flow, Member, Sink, TableReader, rows};
use tokio::runtime::Handle;

use crate::{Lake, catalog};

/// Reads tables for the readers of files.
pub(super) struct OtherTables {
    pub(super) lake: Lake,
    pub(super) handle: Handle,
}

impl OtherTables {
    fn open(&self, folder: &Path) -> Result<DataFrame, String> {
        let session = self.lake.session_with(Some(1));
        self.handle.block_on(async {
            let url = ensure_table_uri(folder.to_string_lossy()).map_err(|e| e.to_string())?;
            let table = DeltaTableBuilder::from_url(url).map_err(|e| e.to_string())?.load().await.map_err(|e| e.to_string())?;
            let provider = catalog::provider(&table).await.map_err(|e| e.to_string())?;
            session.read_table(provider).map_err(|e| e.to_string())
        })
    }
}

impl TableReader for OtherTables {
    /// Rows are told apart by their content: where they stand changes when the table is compacted.
    fn read(&self, folder: &Path, member: Member, sink: &mut Sink<'_>) -> Flow {
        let frame = match self.open(folder) {
            Ok(frame) => frame,
            Err(e) => return sink.bad(member, Fault::new("corrupt", e)),
        };
        let names = rows::names(frame.schema().as_arrow());
        let (read, columns) = match rows::wanted(&names, sink) {
            Ok(found) => found,
            Err(fault) => return sink.bad(member, fault),
        };
        let read: Vec<&str> = read.iter().map(|i| names[*i].as_str()).collect();
        let stream = self.handle.block_on(async { frame.select_columns(&read)?.execute_stream().await });
        let mut stream = match stream {
            Ok(stream) => stream,
            Err(e) => return sink.bad(member, Fault::new("corrupt", e.to_string())),
        };
        let mut n = 0;
        loop {
            match self.handle.block_on(stream.try_next()) {
                Ok(Some(batch)) => {
                    rows::read(&member, &batch, &columns, n, true, sink)?;
                    n += batch.num_rows() as u64;
                }
                Ok(None) if n == 0 => return sink.bad(member, Fault::new("empty", "no rows")),
                Ok(None) => return Ok(()),
                Err(e) => return sink.bad(member.part(&format!("row={}", n + 1)), Fault::new("corrupt", e.to_string())),
            }
        }
    }
}
