//! `html_title(html)`: the title of a web page.

use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;

use crate::function::{Definition, Kind};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "html_title",
        description: "The title of a web page on one line; empty if it has none.",
        example: "SELECT html_title(html), count(*) FROM raw.pages GROUP BY 1",
        required: &[("html", Kind::Text, "The page.")],
        optional: &[],
        returns: DataType::Utf8,
    }
    .udf(|args| Ok(Arc::new(args.map_text::<_, StringArray>(|t| Some(polder_text::html_title(t)))?)))
}
