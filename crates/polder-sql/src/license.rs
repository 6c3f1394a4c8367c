//! `license(text)`: under which licence a text stands, or which one it is.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, StringArray};
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;
use polder_text::LicenseMatch;

use crate::function::{Definition, Kind};
use crate::nested::{struct_type, structs};

fn returns() -> DataType {
    struct_type(&[("spdx", DataType::Utf8), ("score", DataType::Float64), ("how", DataType::Utf8)])
}

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "license",
        description: "The licence of a text as {spdx, score, how}, `spdx` an expression of SPDX identifiers. `how` is the evidence: `declaration` (an \
                      `SPDX-License-Identifier:` line, score 1), `text` (the wording of whole licences, the share that is there, at least 0.7), \
                      `field` (a package's metadata or a readme's, 0.95), `link` (a page's link of `rel=license`, 0.9), `notice` (a sentence by which \
                      the text puts itself under one, 0.7; 0.5 where it leaves the variant open). NULL if none is found.",
        example: "SELECT license(text)['spdx'], count(*) FROM raw.docs GROUP BY 1",
        required: &[("text", Kind::Text, "The text.")],
        optional: &[],
        returns: returns(),
    }
    .udf(|args| {
        let rows: Vec<Option<LicenseMatch>> = args.map_text(polder_text::license)?;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(rows.iter().map(|m| m.as_ref().map(|m| m.spdx.as_str())).collect::<StringArray>()),
            Arc::new(rows.iter().map(|m| m.as_ref().map(|m| m.score)).collect::<Float64Array>()),
            Arc::new(rows.iter().map(|m| m.as_ref().map(|m| m.how)).collect::<StringArray>()),
        ];
        structs(&returns(), columns, Some(rows.iter().map(Option::is_some).collect()))
    })
}
