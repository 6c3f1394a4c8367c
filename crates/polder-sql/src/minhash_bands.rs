//! `minhash_bands(text | signature [, bands, rows])`: what near duplicates have in common.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Int64Type};
use datafusion_common::{Result, exec_datafusion_err, exec_err};
use datafusion_expr::ScalarUDF;
use polder_text::{BANDS, N_PERMUTATIONS, NGRAM, ROWS, minhash};

use crate::arguments::{Arguments, Lists, Texts};
use crate::function::{Definition, Kind};
use crate::nested::{integer_lists, list_type};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "minhash_bands",
        description: "One digest per band of a MinHash signature, as a list of 64-bit integers: texts that share any digest are candidates for near \
                      duplicates. With 22 bands of 5 rows, 47 % of pairs meet at Jaccard 0.5, 98 % at 0.7, 99.98 % at 0.8. NULL for text without words.",
        example: "SELECT band, array_agg(doc_id) FROM (SELECT doc_id, unnest(minhash_bands(text)) AS band FROM clean.docs) GROUP BY band",
        required: &[("text", Kind::Any, "The text, or its signature from `minhash`.")],
        optional: &[
            ("bands", Kind::Integer, "Number of bands; 22 if left out."),
            ("rows", Kind::Integer, "Values in a band; 5 if left out. A signature has at least bands times rows values; that of a text has 112 or as many as asked."),
        ],
        returns: list_type(DataType::Int64),
    }
    .udf(|args| {
        let input = Input::of(args)?;
        let bands = if args.has(1) { Some(args.integer(1)?) } else { None };
        let rows = if args.has(2) { Some(args.integer(2)?) } else { None };
        let of = |row| {
            let bands = bands.as_ref().map_or(Some(BANDS as i64), |b| b.get(row));
            let rows = rows.as_ref().map_or(Some(ROWS as i64), |r| r.get(row));
            let Some((bands, rows)) = bands.zip(rows) else { return Ok(None) };
            // A negative number is no better than none: both are refused with the shape's own words.
            let (bands, rows) = (usize::try_from(bands).unwrap_or(0), usize::try_from(rows).unwrap_or(0));
            let wrong = |e| exec_datafusion_err!("minhash_bands: {e}");
            let Some(signature) = input.signature(row, bands.saturating_mul(rows))? else { return Ok(None) };
            polder_text::minhash_bands(&signature, bands, rows).map(Some).map_err(wrong)
        };
        integer_lists(args.rows().map(of).collect::<Result<Vec<_>>>()?)
    })
}

enum Input {
    Text(Texts),
    Signature(Lists),
}

impl Input {
    fn of(args: &Arguments<'_>) -> Result<Self> {
        match args.data_type(0) {
            DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(_, _) => {
                Ok(Self::Signature(args.list(0, DataType::Int64)?))
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(_, _) | DataType::Null => {
                Ok(Self::Text(args.text(0)?))
            }
            other => exec_err!("minhash_bands takes text or a signature, not {other}"),
        }
    }

    fn signature(&self, row: usize, n: usize) -> Result<Option<Vec<u64>>> {
        match self {
            Self::Text(texts) => {
                let Some(text) = texts.get(row) else { return Ok(None) };
                minhash(text, if n == 0 { 0 } else { n.max(N_PERMUTATIONS) }, NGRAM).map_err(|e| exec_datafusion_err!("minhash_bands: {e}"))
            }
            Self::Signature(lists) => Ok(lists.get(row).and_then(|items| signature_of(&items))),
        }
    }
}

/// The values of a signature; none if one of them is NULL.
pub(crate) fn signature_of(items: &dyn Array) -> Option<Vec<u64>> {
    let items = items.as_primitive_opt::<Int64Type>()?;
    (items.null_count() == 0).then(|| items.values().iter().map(|v| v.cast_unsigned()).collect())
}
