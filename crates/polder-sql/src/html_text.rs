//! `html_text(html)`: what a web page's readers came for, as text.

use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;

use crate::function::{Definition, Kind};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "html_text",
        description: "The main content of a web page as text: paragraphs, headings, lists and tables apart by blank lines, cells joined by ` | `, code with its indentation; without navigation, notices, comments and scripts. The heading that repeats the title is left out: see html_title. A page without content gives all its visible text.",
        example: "SELECT html_title(html) || E'\\n\\n' || html_text(html) AS text FROM raw.pages",
        required: &[("html", Kind::Text, "The page.")],
        optional: &[],
        returns: DataType::Utf8,
    }
    .udf(|args| Ok(Arc::new(args.map_text::<_, StringArray>(|t| Some(polder_text::html_text(t)))?)))
}
