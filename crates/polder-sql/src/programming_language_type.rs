//! `programming_language_type(name)`: whether a language is for programs, data, markup or prose.

use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;

use crate::function::{Definition, Kind};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "programming_language_type",
        description: "Linguist's type of a language that `programming_language` names: `programming`, `data` (JSON, YAML, Ansible …), `markup` (HTML, \
                      CSS …) or `prose` (Markdown, Text …). NULL for a name that is no language's.",
        example: "SELECT programming_language_type(programming_language(path, text)), count(*) FROM raw.docs GROUP BY 1",
        required: &[("name", Kind::Text, "Linguist's name of a language.")],
        optional: &[],
        returns: DataType::Utf8,
    }
    .udf(|args| Ok(Arc::new(args.map_text::<_, StringArray>(polder_text::programming_language_type)?)))
}
