//! `gopher_quality(text)`: whether prose passes the quality rules of the Gopher paper.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;
use polder_text::GopherQuality;

use crate::function::{Definition, Kind};
use crate::nested::{struct_type, structs};

fn returns() -> DataType {
    struct_type(&[
        ("keep", DataType::Boolean),
        ("reason", DataType::Utf8),
        ("n_words", DataType::Int64),
        ("mean_word_length", DataType::Float64),
        ("hash_share", DataType::Float64),
        ("ellipsis_share", DataType::Float64),
        ("bullet_lines_share", DataType::Float64),
        ("ellipsis_lines_share", DataType::Float64),
        ("alphabetic_share", DataType::Float64),
        ("n_stop_words", DataType::Int64),
    ])
}

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "gopher_quality",
        description: "Gopher's quality rules for English prose, with datatrove's limits and reason names: {keep, reason, figures}; `reason` is NULL when \
                      kept. Don't ask it about source code. The empty text is too short.",
        example: "SELECT gopher_quality(text).reason, count(*) FROM raw.docs GROUP BY 1",
        required: &[("text", Kind::Text, "The text.")],
        optional: &[],
        returns: returns(),
    }
    .udf(|args| {
        let rows: Vec<Option<GopherQuality>> = args.map_text(|t| Some(polder_text::gopher_quality(t)))?;
        let float = |figure: fn(&GopherQuality) -> f64| -> ArrayRef {
            Arc::new(rows.iter().map(|q| q.as_ref().map(figure)).collect::<Float64Array>())
        };
        let integer = |figure: fn(&GopherQuality) -> usize| -> ArrayRef {
            Arc::new(rows.iter().map(|q| q.as_ref().map(|q| figure(q) as i64)).collect::<Int64Array>())
        };
        let columns: Vec<ArrayRef> = vec![
            Arc::new(rows.iter().map(|q| q.as_ref().map(|q| q.keep)).collect::<BooleanArray>()),
            Arc::new(rows.iter().map(|q| q.as_ref().and_then(|q| q.reason)).collect::<StringArray>()),
            integer(|q| q.n_words),
            float(|q| q.mean_word_length),
            float(|q| q.hash_share),
            float(|q| q.ellipsis_share),
            float(|q| q.bullet_lines_share),
            float(|q| q.ellipsis_lines_share),
            float(|q| q.alphabetic_share),
            integer(|q| q.n_stop_words),
        ];
        structs(&returns(), columns, Some(rows.iter().map(Option::is_some).collect()))
    })
}
