//! `paragraphs(text)`: a text paragraph by paragraph.

use std::sync::Arc;

use arrow::array::StringViewBuilder;
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;

use crate::function::{Definition, Kind};
use crate::nested::{list_type, lists};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "paragraphs",
        description: "The paragraphs of a text, trimmed: what blank lines part, or each line where there is no blank one.",
        example: "SELECT doc_id, unnest(paragraphs(text)) AS paragraph FROM raw.docs",
        required: &[("text", Kind::Text, "The text.")],
        optional: &[],
        returns: list_type(DataType::Utf8View),
    }
    .udf(|args| {
        let text = args.text(0)?;
        let mut items = StringViewBuilder::new();
        let mut lengths = Vec::with_capacity(args.rows().len());
        for row in args.rows() {
            lengths.push(text.get(row).map(|t| polder_text::paragraphs(t).into_iter().map(|item| items.append_value(item)).count()));
        }
        lists(&lengths, Arc::new(items.finish()))
    })
}
