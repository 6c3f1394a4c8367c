//! `host(url)`: the host of an address.

use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;

use crate::function::{Definition, Kind};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "host",
        description: "The host of an address without scheme, user, port and path, in lower case; names in ASCII (`xn--…`), IP addresses as they are. \
                      NULL for what has no host.",
        example: "SELECT host(uri) AS host, count(*) FROM raw.docs GROUP BY 1",
        required: &[("url", Kind::Text, "The address; the scheme may be missing.")],
        optional: &[],
        returns: DataType::Utf8,
    }
    .udf(|args| Ok(Arc::new(args.map_text::<_, StringArray>(polder_text::host)?)))
}
