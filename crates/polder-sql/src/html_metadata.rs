//! `html_metadata(html)`: what a web page says about itself.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;
use polder_text::HtmlMetadata;

use crate::function::{Definition, Kind};
use crate::nested::{struct_type, structs};

/// A field: its name, and how it is read.
type Field = (&'static str, fn(&HtmlMetadata) -> Option<&str>);

const FIELDS: [Field; 8] = [
    ("title", |m| m.title.as_deref()),
    ("author", |m| m.author.as_deref()),
    ("date", |m| m.date.as_deref()),
    ("language", |m| m.language.as_deref()),
    ("description", |m| m.description.as_deref()),
    ("site", |m| m.site.as_deref()),
    ("url", |m| m.url.as_deref()),
    ("license", |m| m.license.as_deref()),
];

fn returns() -> DataType {
    struct_type(&FIELDS.map(|(name, _)| (name, DataType::Utf8)))
}

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "html_metadata",
        description: "What a web page says about itself as {title, author, date, language, description, site, url, license}, NULL where it says nothing; \
                      `date` as it is written there, `license` the address of a `rel=\"license\"` link or of a Creative Commons licence.",
        example: "SELECT html_metadata(html)['license'], count(*) FROM raw.pages GROUP BY 1",
        required: &[("html", Kind::Text, "The page.")],
        optional: &[],
        returns: returns(),
    }
    .udf(|args| {
        let rows: Vec<Option<HtmlMetadata>> = args.map_text(|t| Some(polder_text::html_metadata(t)))?;
        let column = |read: fn(&HtmlMetadata) -> Option<&str>| -> ArrayRef {
            Arc::new(rows.iter().map(|m| m.as_ref().and_then(read)).collect::<StringArray>())
        };
        structs(&returns(), FIELDS.iter().map(|(_, read)| column(*read)).collect(), Some(rows.iter().map(Option::is_some).collect()))
    })
}
