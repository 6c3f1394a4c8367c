//! `boilerplate_lines(text)`: the lines of a text that web pages add.

use std::sync::Arc;

use arrow::array::StringViewBuilder;
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;

use crate::function::{Definition, Kind};
use crate::nested::{list_type, lists};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "boilerplate_lines",
        description: "The lines of a text that web pages add to it, in English and German: cookie notices, logging in, sharing, rights, counters. remove_boilerplate gives the others.",
        example: "SELECT line, count(*) FROM (SELECT unnest(boilerplate_lines(text)) AS line FROM raw.docs) GROUP BY 1 ORDER BY 2 DESC",
        required: &[("text", Kind::Text, "The text.")],
        optional: &[],
        returns: list_type(DataType::Utf8View),
    }
    .udf(|args| {
        let text = args.text(0)?;
        let mut items = StringViewBuilder::new();
        let mut lengths = Vec::with_capacity(args.rows().len());
        for row in args.rows() {
            lengths.push(text.get(row).map(|t| polder_text::boilerplate(t).removed.into_iter().map(|item| items.append_value(item)).count()));
        }
        lists(&lengths, Arc::new(items.finish()))
    })
}
