//! `code_quality(text)`: whether a text looks like source code that somebody wrote.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;
use polder_text::CodeQuality;

use crate::function::{Definition, Kind};
use crate::nested::{struct_type, structs};

fn returns() -> DataType {
    struct_type(&[
        ("keep", DataType::Boolean),
        ("reason", DataType::Utf8),
        ("n_lines", DataType::Int64),
        ("max_line_length", DataType::Int64),
        ("mean_line_length", DataType::Float64),
        ("alphanumeric_share", DataType::Float64),
    ])
}

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "code_quality",
        description: "Line lengths and symbols as for StarCoder's data: {keep, reason, figures}. Not kept: no text (`code_empty`), a line above 1000 \
                      characters (`code_long_line`), lines above 100 on average (`code_long_lines`), fewer than a quarter letters and digits \
                      (`code_few_alphanumeric`). `reason` is NULL when kept.",
        example: "SELECT path FROM raw.docs WHERE code_quality(text)['keep']",
        required: &[("text", Kind::Text, "The text.")],
        optional: &[],
        returns: returns(),
    }
    .udf(|args| {
        let rows: Vec<Option<CodeQuality>> = args.map_text(|t| Some(polder_text::code_quality(t)))?;
        let float = |figure: fn(&CodeQuality) -> f64| -> ArrayRef {
            Arc::new(rows.iter().map(|q| q.as_ref().map(figure)).collect::<Float64Array>())
        };
        let integer = |figure: fn(&CodeQuality) -> usize| -> ArrayRef {
            Arc::new(rows.iter().map(|q| q.as_ref().map(|q| figure(q) as i64)).collect::<Int64Array>())
        };
        let columns: Vec<ArrayRef> = vec![
            Arc::new(rows.iter().map(|q| q.as_ref().map(|q| q.keep)).collect::<BooleanArray>()),
            Arc::new(rows.iter().map(|q| q.as_ref().and_then(|q| q.reason)).collect::<StringArray>()),
            integer(|q| q.n_lines),
            integer(|q| q.max_line_length),
            float(|q| q.mean_line_length),
            float(|q| q.alphanumeric_share),
        ];
        structs(&returns(), columns, Some(rows.iter().map(Option::is_some).collect()))
    })
}
