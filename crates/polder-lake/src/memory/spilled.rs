//! Files without a name, which are gone when their user is, however it ends.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SpillFile, SpillWriter, TempFileFactory};
use deltalake::logstore::object_store::PutPayload;
use futures::stream::{self, Stream};

/// A spilled file is read in pieces of this size.
const READ_BYTES: usize = 1 << 17;

/// The crate that this type is of is named by its users alone.
type Bytes = <PutPayload as IntoIterator>::Item;

/// Where spilled files are made.
pub(super) struct Folder(pub PathBuf);

impl TempFileFactory for Folder {
    fn create_temp_file(&self, _what_for: &str) -> Result<Arc<dyn SpillFile>> {
        // A lake that cannot be written can be asked all the same.
        let file = tempfile::tempfile_in(&self.0).or_else(|_| tempfile::tempfile()).map_err(DataFusionError::IoError)?;
        Ok(Arc::new(Spilled { file: Arc::new(file), bytes: Arc::default() }))
    }
}

#[derive(Clone)]
struct Spilled {
    file: Arc<File>,
    bytes: Arc<AtomicU64>,
}

impl Write for Spilled {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.as_ref().write(bytes)?;
        self.bytes.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SpillWriter for Spilled {
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

impl SpillFile for Spilled {
    fn size(&self) -> Option<u64> {
        Some(self.bytes.load(Ordering::Relaxed))
    }

    fn read_stream(&self) -> Result<Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>> {
        let pieces = stream::try_unfold((self.file.clone(), 0u64), |(file, at)| async move {
            let read = tokio::task::spawn_blocking(move || {
                let mut piece = vec![0; READ_BYTES];
                let n = file.read_at(&mut piece, at)?;
                piece.truncate(n);
                io::Result::Ok((file, piece))
            });
            let (file, piece) = read.await.map_err(|e| DataFusionError::External(Box::new(e)))?.map_err(DataFusionError::IoError)?;
            let next = at + piece.len() as u64;
            Ok((!piece.is_empty()).then(|| (Bytes::from(piece), (file, next))))
        });
        Ok(Box::pin(pieces))
    }

    fn open_writer(&self) -> Result<Box<dyn SpillWriter>> {
        Ok(Box::new(self.clone()))
    }
}
