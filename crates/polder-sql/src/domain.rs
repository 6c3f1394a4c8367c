//! `domain(url)`: the registered domain of an address.

use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;

use crate::function::{Definition, Kind};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "domain",
        description: "The registered domain of an address by the public-suffix list, private suffixes included: `example.co.uk`, `jane.github.io`; in \
                      lower case and in ASCII (`xn--…`). NULL for IP addresses, `localhost`, suffixes themselves and what has no host.",
        example: "SELECT domain(uri) AS domain, count(*) FROM raw.docs GROUP BY 1",
        required: &[("url", Kind::Text, "The address; the scheme may be missing.")],
        optional: &[],
        returns: DataType::Utf8,
    }
    .udf(|args| Ok(Arc::new(args.map_text::<_, StringArray>(polder_text::domain)?)))
}
