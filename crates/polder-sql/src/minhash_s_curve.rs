//! `minhash_s_curve(jaccard [, bands, rows])`: how many pairs of a similarity become candidates.

use std::sync::Arc;

use arrow::array::Float64Array;
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;
use polder_text::{BANDS, ROWS, s_curve};

use crate::function::{Definition, Kind};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "minhash_s_curve",
        description: "The share of pairs of a Jaccard similarity that meet in at least one band of their MinHash signatures: 1 − (1 − J^rows)^bands.",
        example: "SELECT j / 10.0 AS jaccard, minhash_s_curve(j / 10.0, 22, 5) AS found FROM generate_series(1, 10) AS t(j)",
        required: &[("jaccard", Kind::Float, "The similarity, from 0 to 1.")],
        optional: &[("bands", Kind::Integer, "Number of bands; 22 if left out."), ("rows", Kind::Integer, "Values in a band; 5 if left out.")],
        returns: DataType::Float64,
    }
    .udf(|args| {
        let jaccard = args.float(0)?;
        let shape = if args.has(2) { Some((args.integer(1)?, args.integer(2)?)) } else { None };
        let size = |n: i64| usize::try_from(n).unwrap_or(0);
        let of = |row| {
            let (bands, rows) = match &shape {
                None => (BANDS, ROWS),
                Some((bands, rows)) => (size(bands.get(row)?), size(rows.get(row)?)),
            };
            Some(s_curve(jaccard.get(row)?, bands, rows))
        };
        Ok(Arc::new(args.rows().map(of).collect::<Float64Array>()))
    })
}
