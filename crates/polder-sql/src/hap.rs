//! `hap(text)`: hate, abuse and profanity in a text, and its worst sentence.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;
use polder_text::Hap;

use crate::function::{Definition, Kind};
use crate::nested::{list_type, struct_type, structs, text_lists};

fn returns() -> DataType {
    struct_type(&[
        ("score", DataType::Float64),
        ("sentence", DataType::Utf8),
        ("sentence_score", DataType::Float64),
        ("start", DataType::Int64),
        ("end", DataType::Int64),
        ("terms", list_type(DataType::Utf8)),
    ])
}

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "hap",
        description: "Hate, abuse and profanity: {score, sentence, sentence_score, start, end, terms}. `score` is that of `hap_score`; `sentence` is \
                      the worst one by itself, its place in characters from 0, `end` exclusive; `terms` are the listed ones. The empty text scores 0.",
        example: "SELECT doc_id, hap(text)['sentence'] FROM raw.docs WHERE hap(text)['sentence_score'] > 0.9",
        required: &[("text", Kind::Text, "The text.")],
        optional: &[],
        returns: returns(),
    }
    .udf(|args| {
        let rows: Vec<Option<(String, Hap)>> = args.map_text(|t| {
            let hap = polder_text::hap(t);
            Some((t.chars().skip(hap.start).take(hap.end - hap.start).collect(), hap))
        })?;
        let judged = || rows.iter().map(|row| row.as_ref().map(|(_, hap)| hap));
        let float = |figure: fn(&Hap) -> f64| -> ArrayRef { Arc::new(judged().map(|hap| hap.map(figure)).collect::<Float64Array>()) };
        let integer =
            |figure: fn(&Hap) -> usize| -> ArrayRef { Arc::new(judged().map(|hap| hap.map(|h| figure(h) as i64)).collect::<Int64Array>()) };
        let columns: Vec<ArrayRef> = vec![
            float(|h| h.score),
            Arc::new(rows.iter().map(|row| row.as_ref().map(|(sentence, _)| sentence.as_str())).collect::<StringArray>()),
            float(|h| h.sentence_score),
            integer(|h| h.start),
            integer(|h| h.end),
            text_lists(&judged().map(|hap| hap.map(|h| h.terms.clone())).collect::<Vec<_>>())?,
        ];
        structs(&returns(), columns, Some(rows.iter().map(Option::is_some).collect()))
    })
}
