//! `pii_redact(text [, kinds])`: the text with placeholders for personal data.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringViewBuilder};
use arrow::datatypes::DataType;
use datafusion_common::{Result, exec_err};
use datafusion_expr::ScalarUDF;
use polder_text::{PII_KINDS, pii_redact_kinds};

use crate::arguments::Arguments;
use crate::function::{Definition, Kind};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "pii_redact",
        description: "The text with a placeholder such as `<EMAIL>` for each finding of `pii`.",
        example: "SELECT doc_id, pii_redact(text, 'email,iban') AS text FROM raw.docs",
        required: &[("text", Kind::Text, "The text.")],
        optional: &[("kinds", Kind::Text, "Kinds to replace, with commas between; all of them if left out.")],
        // Views hold more than the two gigabytes that one column of Utf8 can.
        returns: DataType::Utf8View,
    }
    .udf(redact)
}

fn redact(args: &Arguments<'_>) -> Result<ArrayRef> {
    let text = args.text(0)?;
    let kinds = if args.has(1) { Some(args.text(1)?) } else { None };
    let mut out = StringViewBuilder::with_capacity(args.rows().len());
    for row in args.rows() {
        let kinds = kinds.as_ref().map(|k| k.get(row));
        match (text.get(row), kinds) {
            (None, _) | (_, Some(None)) => out.append_null(),
            (Some(text), None) => out.append_value(polder_text::pii_redact(text)),
            (Some(text), Some(Some(kinds))) => {
                let chosen: Vec<&str> = kinds.split(',').map(str::trim).collect();
                if let Some(wrong) = chosen.iter().find(|k| !PII_KINDS.contains(*k)) {
                    return exec_err!("pii_redact knows no kind `{wrong}`; the kinds are {}", PII_KINDS.join(", "));
                }
                out.append_value(pii_redact_kinds(text, |kind| chosen.contains(&kind)));
            }
        }
    }
    Ok(Arc::new(out.finish()))
}
