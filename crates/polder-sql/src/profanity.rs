//! `profanity(text, language)`: which listed terms stand in a text.

use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;

use crate::function::{Definition, Kind};
use crate::nested::{list_type, text_lists};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "profanity",
        description: "The listed terms in a text, each once, in order of first appearance; disguised ones (digits, stars, letters held long or set \
                      apart) as they are listed. 27 languages have lists, `und` and '' stand for English and German; others give an empty list.",
        example: "SELECT doc_id, profanity(text, language(text)) FROM raw.docs",
        required: &[("text", Kind::Text, "The text."), ("language", Kind::Text, "Its language, as `language` gives it.")],
        optional: &[],
        returns: list_type(DataType::Utf8),
    }
    .udf(|args| {
        let (text, language) = (args.text(0)?, args.text(1)?);
        let terms = |row| Some(polder_text::profanity(text.get(row)?, language.get(row)?));
        text_lists(&args.rows().map(terms).collect::<Vec<_>>())
    })
}
