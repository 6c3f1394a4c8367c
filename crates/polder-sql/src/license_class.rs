//! `license_class(spdx)`: what a licence asks of those who use the work, in one word.

use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;

use crate::function::{Definition, Kind};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "license_class",
        description: "The class of a licence or expression, the least restrictive first: `public_domain`, `permissive`, `weak_copyleft`, `share_alike`, \
                      `strong_copyleft`, `network_copyleft`, `source_available`, `non_commercial`, `no_derivatives`, `unknown`. Of `A AND B` the more \
                      restrictive one counts, of `A OR B` the less restrictive one; what isn't in SPDX's list is `unknown`.",
        example: "SELECT license_class(license) AS class, count(*) FROM clean.docs_stage GROUP BY 1",
        required: &[("spdx", Kind::Text, "An SPDX identifier or expression, as `license` gives it.")],
        optional: &[],
        returns: DataType::Utf8,
    }
    .udf(|args| Ok(Arc::new(args.map_text::<_, StringArray>(|t| Some(polder_text::license_class(t)))?)))
}
