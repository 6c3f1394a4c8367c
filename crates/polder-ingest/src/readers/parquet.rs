//! A Parquet file: one row a record, of which the wanted columns are read.

use std::fs::File;

use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::rows;
use crate::record::{Fault, Flow, Member, Sink};

pub(crate) fn read(file: &Member, opened: File, sink: &mut Sink<'_>) -> Flow {
    if opened.metadata().is_ok_and(|m| m.len() == 0) {
        return sink.bad(file.clone(), Fault::new("empty", "no bytes"));
    }
    let corrupt = |e: String| Fault::new("corrupt", e);
    let builder = match ParquetRecordBatchReaderBuilder::try_new(opened) {
        Ok(builder) => builder,
        Err(e) => return sink.bad(file.clone(), corrupt(e.to_string())),
    };
    let (read, columns) = match rows::wanted(&rows::names(builder.schema()), sink) {
        Ok(found) => found,
        Err(fault) => return sink.bad(file.clone(), fault),
    };
    let mask = ProjectionMask::roots(builder.parquet_schema(), read);
    let batches = match builder.with_projection(mask).with_batch_size(rows::BATCH_ROWS).build() {
        Ok(batches) => batches,
        Err(e) => return sink.bad(file.clone(), corrupt(e.to_string())),
    };
    rows::read_all(file, batches, &columns, sink)
}
