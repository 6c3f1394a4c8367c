//! `fix_mojibake(text)`: UTF-8 that was read as Windows-1252, made right.

use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;

use crate::function::{Definition, Kind};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "fix_mojibake",
        description: "A text in which UTF-8 was read as Windows-1252 or Latin-1, up to three times over, made right: `â€™` becomes ’ and `Ð¿Ñ€` becomes пр. Other text stays as it is.",
        example: "SELECT count(*) FROM raw.docs WHERE fix_mojibake(text) <> text",
        required: &[("text", Kind::Text, "The text.")],
        optional: &[],
        returns: DataType::Utf8,
    }
    .udf(|args| Ok(Arc::new(args.map_text::<_, StringArray>(|t| Some(polder_text::fix_mojibake(t)))?)))
}
