//! `lines(text)`: a text line by line.

use std::sync::Arc;

use arrow::array::StringViewBuilder;
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;

use crate::function::{Definition, Kind};
use crate::nested::{list_type, lists};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "lines",
        description: "The lines of a text without their ends (`\\n` or `\\r\\n`). A line end at the end adds no line; the empty text has none.",
        example: "SELECT path, unnest(lines(text)) AS line FROM raw.docs",
        required: &[("text", Kind::Text, "The text.")],
        optional: &[],
        returns: list_type(DataType::Utf8View),
    }
    .udf(|args| {
        let text = args.text(0)?;
        let mut items = StringViewBuilder::new();
        let mut lengths = Vec::with_capacity(args.rows().len());
        for row in args.rows() {
            lengths.push(text.get(row).map(|t| t.lines().map(|line| items.append_value(line)).count()));
        }
        lists(&lengths, Arc::new(items.finish()))
    })
}
