//! Which rows a tokenizer learns from, and which are kept to measure it: by a draw from the text alone, so that no order,
//! partitioning or number of threads shows.

use std::ops::Range;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::logical_expr::registry::FunctionRegistry;
use datafusion::prelude::{DataFrame, SessionContext, col, lit};
use futures::StreamExt;
use polder_lake::Lake;

use crate::PipelineError;
use crate::sql_files::query;

/// Parts that the draw is divided into, as `sql/queries/text_sizes.sql` divides it.
const SLOTS: i64 = 65_536;
/// Columns that the report groups by, where they are there.
pub(super) const GROUPS: [&str; 2] = ["language", "source"];

/// Rows with a column `text`, and how they lie over the draw.
pub(super) struct Texts {
    frame: DataFrame,
    session: SessionContext,
    /// (slot, bytes), ascending.
    sizes: Vec<(i64, u64)>,
}

/// Some of the rows.
pub(super) struct Share {
    pub(super) frame: DataFrame,
    /// Their text.
    pub(super) bytes: u64,
}

impl Texts {
    /// Looks at the rows of a frame; `what` names it in errors.
    pub(super) async fn of(lake: &Lake, frame: DataFrame, what: &str) -> Result<Self, PipelineError> {
        let wrong = || PipelineError::Column { what: what.to_owned(), column: "text".into(), expected: "text" };
        let schema = frame.schema().as_arrow().clone();
        let is_text = |kind: &DataType| matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        if !schema.field_with_name("text").is_ok_and(|f| is_text(f.data_type())) {
            return Err(wrong());
        }
        let columns: Vec<&str> =
            std::iter::once("text").chain(GROUPS.into_iter().filter(|name| schema.column_with_name(name).is_some())).collect();
        let frame = frame.select_columns(&columns)?;
        let session = lake.session();
        session.register_table("texts", frame.clone().into_view())?;
        let mut rows = session.sql(query("queries/text_sizes.sql")).await?.execute_stream().await?;
        let mut sizes = Vec::new();
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            let numbers = |i: usize| cast(batch.column(i), &DataType::Int64).map(|a| a.as_primitive::<Int64Type>().clone());
            let (slots, bytes) = (numbers(0).map_err(arrow_error)?, numbers(1).map_err(arrow_error)?);
            sizes.extend(slots.iter().flatten().zip(bytes.iter().flatten()).map(|(slot, n)| (slot, u64::try_from(n).unwrap_or(0))));
        }
        // Here and not in SQL: the engine's sort asks for 10 MB before it begins.
        sizes.sort_unstable();
        Ok(Self { frame, session, sizes })
    }

    /// The rows whose draw lies in a range, as many from its beginning as hold so many bytes at most, but not none.
    pub(super) fn share(&self, range: Range<f64>, bytes_max: u64) -> Result<Share, PipelineError> {
        let slots = (range.start * SLOTS as f64).round() as i64..(range.end * SLOTS as f64).round() as i64;
        let (mut bytes, mut end) = (0u64, slots.start);
        for (slot, n) in self.sizes.iter().filter(|(slot, _)| slots.contains(slot)) {
            if bytes > 0 && bytes + n > bytes_max {
                break;
            }
            bytes += n;
            end = slot + 1;
        }
        let all: u64 = self.sizes.iter().filter(|(slot, _)| slots.contains(slot)).map(|(_, n)| n).sum();
        if bytes == all {
            end = slots.end;
        }
        if slots.start == 0 && end == SLOTS {
            return Ok(Share { frame: self.frame.clone(), bytes });
        }
        let draw = self.session.udf("hash_share")?.call(vec![col("text")]);
        let bound = |slot: i64| lit(slot as f64 / SLOTS as f64);
        let frame = self.frame.clone().filter(draw.clone().gt_eq(bound(slots.start)).and(draw.lt(bound(end))))?;
        Ok(Share { frame, bytes })
    }
}

fn arrow_error(source: arrow::error::ArrowError) -> PipelineError {
    PipelineError::Rows(source.into())
}
