//! `programming_language(path, text)`: which programming, data or markup language a file is in.

use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;

use crate::function::{Definition, Kind};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "programming_language",
        description: "Linguist's name of a file's language (`Rust`, `YAML`, `Markdown` …; `Ansible` for playbooks, tasks, roles and inventories; `Text` for \
                      plain prose); NULL where neither name nor text tells. One argument may be NULL: the other then decides alone.",
        example: "SELECT programming_language(path, text), sum(bytes) FROM raw.docs GROUP BY 1",
        required: &[
            ("path", Kind::Text, "The file's path or name."),
            ("text", Kind::Text, "Its text, of which the first 64 KiB are looked into."),
        ],
        optional: &[],
        returns: DataType::Utf8,
    }
    .udf(|args| {
        let (path, text) = (args.text(0)?, args.text(1)?);
        let name = |row| polder_text::programming_language(path.get(row).unwrap_or_default(), text.get(row).unwrap_or_default());
        Ok(Arc::new(args.rows().map(name).collect::<StringArray>()))
    })
}
