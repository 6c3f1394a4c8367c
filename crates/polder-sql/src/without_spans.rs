//! `without_spans(text, spans)`: a text without what was found in it.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion_common::{Result, exec_err};
use datafusion_expr::ScalarUDF;

use crate::function::{Definition, Kind};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "without_spans",
        description: "A text without the given spans: a list of structs with `start` and `end` in characters, as functions and \
                      `contamination` find them. `window` characters on both sides go as well, then pieces of fewer than `piece_min` characters; \
                      what stays is joined by line breaks. NULL for the spans counts as none. GPT-3's authors cut with 200 and 200.",
        example: "SELECT without_spans(text, pii(text)) FROM raw.docs",
        required: &[("text", Kind::Text, "The text."), ("spans", Kind::Any, "A list of {start, end}.")],
        optional: &[
            ("window", Kind::Integer, "Characters that go on both sides; 0 where it is not given."),
            ("piece_min", Kind::Integer, "Characters a piece needs to stay; 0 where it is not given."),
        ],
        returns: DataType::Utf8,
    }
    .udf(|args| {
        let (text, spans) = (args.text(0)?, args.items(1)?);
        let numbers = if args.has(2) { Some((args.integer(2)?, args.integer(3)?)) } else { None };
        let at = |n: Option<i64>| n.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
        let answer = |row| -> Result<Option<String>> {
            let Some(text) = text.get(row) else { return Ok(None) };
            let (window, piece_min) = numbers.as_ref().map_or((0, 0), |(w, p)| (at(w.get(row)), at(p.get(row))));
            let spans = match spans.as_ref().and_then(|s| s.get(row)) {
                Some(items) => pairs(&items)?,
                None => Vec::new(),
            };
            Ok(Some(polder_text::without_spans(text, &spans, window, piece_min)))
        };
        Ok(Arc::new(args.rows().map(answer).collect::<Result<StringArray>>()?))
    })
}

fn pairs(items: &ArrayRef) -> Result<Vec<(usize, usize)>> {
    let Some(structs) = items.as_struct_opt() else { return exec_err!("without_spans: spans are structs, not {}", items.data_type()) };
    let number = |name: &str| -> Result<_> {
        let Some(column) = structs.column_by_name(name) else { return exec_err!("without_spans: spans have no field `{name}`") };
        Ok(cast(column, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
    };
    let (starts, ends) = (number("start")?, number("end")?);
    let valid = (0..structs.len()).filter(|i| structs.is_valid(*i) && starts.is_valid(*i) && ends.is_valid(*i));
    let at = |n: i64| usize::try_from(n).unwrap_or(0);
    Ok(valid.map(|i| (at(starts.value(i)), at(ends.value(i)))).collect())
}
