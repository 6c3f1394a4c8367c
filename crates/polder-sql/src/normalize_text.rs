//! `normalize_text(text [, form])`: a text in a normal form of Unicode.

use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::DataType;
use datafusion_common::{Result, exec_err};
use datafusion_expr::ScalarUDF;
use polder_text::NormalForm;

use crate::function::{Definition, Kind};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "normalize_text",
        description: "A text in a normal form of Unicode: `nfc` where it is not given, `nfd`, `nfkc`, `nfkd`.",
        example: "SELECT normalize_text(text, 'nfkc') FROM raw.docs",
        required: &[("text", Kind::Text, "The text.")],
        optional: &[("form", Kind::Text, "The form's name.")],
        returns: DataType::Utf8,
    }
    .udf(|args| {
        let text = args.text(0)?;
        let form = if args.has(1) { Some(args.text(1)?) } else { None };
        let answer = |row: usize| -> Result<Option<String>> {
            let name = form.as_ref().map_or(Some("nfc"), |f| f.get(row));
            let (Some(text), Some(name)) = (text.get(row), name) else { return Ok(None) };
            let Some(form) = NormalForm::named(name) else {
                return exec_err!("`{name}` is no normal form: give nfc, nfd, nfkc or nfkd");
            };
            Ok(Some(polder_text::normalize_text(text, form)))
        };
        Ok(Arc::new(args.rows().map(answer).collect::<Result<StringArray>>()?))
    })
}
