//! Writes an index as a stream: only the documents' lengths are held.

use crate::error::ShardError;
use crate::index::{Dtype, MAGIC};
use crate::summed_file::SummedFile;

/// Writes the index of documents of one sequence each.
pub(crate) fn write_index(out: &mut SummedFile, dtype: Dtype, lengths: &[i32]) -> Result<(), ShardError> {
    let n = lengths.len() as u64;
    out.write(MAGIC)?;
    out.write(&1u64.to_le_bytes())?;
    out.write(&[dtype.code()])?;
    out.write(&n.to_le_bytes())?;
    out.write(&(n + 1).to_le_bytes())?;
    for length in lengths {
        out.write(&length.to_le_bytes())?;
    }
    let mut offset = 0i64;
    for length in lengths {
        out.write(&offset.to_le_bytes())?;
        offset += i64::from(*length) * dtype.bytes() as i64;
    }
    for first in 0..=n {
        out.write(&first.to_le_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::index_bytes;

    #[test]
    fn a_streamed_index_has_the_bytes_of_one_made_in_memory() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let many: Vec<i32> = (0..200_000).map(|i| i % 977).collect();
        for (dtype, lengths) in [(Dtype::U16, &many[..]), (Dtype::I32, &many[..]), (Dtype::U16, &[])] {
            let mut file = SummedFile::create(dir.path(), "x.idx").expect("create");
            write_index(&mut file, dtype, lengths).expect("write");
            let written = file.close().expect("close");
            let bytes = std::fs::read(dir.path().join("x.idx")).expect("read");
            assert!(bytes == index_bytes(dtype, lengths));
            assert_eq!((written.file.bytes, written.file.digest), (bytes.len() as u64, polder_base::digest_bytes(&bytes)));
        }
    }
}
