//! `license(text)`: under which licence a text stands, or which one it is.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, StringArray};
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;
use polder_text::LicenseMatch;

use crate::function::{Definition, Kind};
use crate::nested::{struct_type, structs};

fn returns() -> DataType {
    struct_type(&[("spdx", DataType::Utf8), ("score", DataType::Float64)])
}

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "license",
        description: "The licence of a text as {spdx, score}: from an `SPDX-License-Identifier:` line (score 1), a package manifest's field (0.95), the \
                      wording of a whole licence (the share that is there, at least 0.75) or a notice (0.7). NULL if none is found.",
        example: "SELECT license(text).spdx, count(*) FROM raw.docs GROUP BY 1",
        required: &[("text", Kind::Text, "The text.")],
        optional: &[],
        returns: returns(),
    }
    .udf(|args| {
        let rows: Vec<Option<LicenseMatch>> = args.map_text(polder_text::license)?;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(rows.iter().map(|m| m.as_ref().map(|m| m.spdx.as_str())).collect::<StringArray>()),
            Arc::new(rows.iter().map(|m| m.as_ref().map(|m| m.score)).collect::<Float64Array>()),
        ];
        structs(&returns(), columns, Some(rows.iter().map(Option::is_some).collect()))
    })
}
