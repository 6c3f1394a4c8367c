//! `pii_redact(text [, kinds [, salt]])`: the text with placeholders for personal data.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringViewBuilder};
use arrow::datatypes::DataType;
use datafusion_common::{Result, exec_err};
use datafusion_expr::ScalarUDF;
use polder_text::{PII_KINDS, pii_redact_kinds, pii_redact_salted};

use crate::arguments::Arguments;
use crate::function::{Definition, Kind};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "pii_redact",
        description: "The text with a placeholder such as `<EMAIL_1>` for each finding of `pii`: the same value has the same number within a text. With a \
                      salt, a pseudonym such as `<EMAIL_x5f0c…>`, the same for the same value in all texts under that salt. Redacting twice changes nothing.",
        example: "SELECT doc_id, pii_redact(text, 'email,iban') AS text FROM raw.docs",
        required: &[("text", Kind::Text, "The text.")],
        optional: &[
            ("kinds", Kind::Text, "Kinds to replace, with commas between; all of them if left out or empty."),
            ("salt", Kind::Text, "Key of the pseudonyms; it is kept nowhere."),
        ],
        // Views hold more than the two gigabytes that one column of Utf8 can.
        returns: DataType::Utf8View,
    }
    .udf(redact)
}

fn redact(args: &Arguments<'_>) -> Result<ArrayRef> {
    let text = args.text(0)?;
    let kinds = if args.has(1) { Some(args.text(1)?) } else { None };
    let salt = if args.has(2) { Some(args.text(2)?) } else { None };
    let mut out = StringViewBuilder::with_capacity(args.rows().len());
    for row in args.rows() {
        let (kinds, salt) = (kinds.as_ref().map(|k| k.get(row)), salt.as_ref().map(|s| s.get(row)));
        let (Some(text), false) = (text.get(row), kinds == Some(None) || salt == Some(None)) else {
            out.append_null();
            continue;
        };
        let chosen: Vec<&str> = kinds.flatten().unwrap_or_default().split(',').map(str::trim).filter(|k| !k.is_empty()).collect();
        if let Some(wrong) = chosen.iter().find(|k| !PII_KINDS.contains(*k)) {
            return exec_err!("pii_redact knows no kind `{wrong}`; the kinds are {}", PII_KINDS.join(", "));
        }
        let is_chosen = |kind: &str| chosen.is_empty() || chosen.contains(&kind);
        out.append_value(match salt.flatten() {
            Some(salt) => pii_redact_salted(text, is_chosen, salt),
            None => pii_redact_kinds(text, is_chosen),
        });
    }
    Ok(Arc::new(out.finish()))
}
