//! `robots_txt_allows(robots, user_agent, path)`: whether a site lets an agent fetch a path.

use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;

use crate::function::{Definition, Kind};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "robots_txt_allows",
        description: "Whether a `robots.txt` (or an `ai.txt`, which has its form) lets an agent fetch a path, by RFC 9309: the groups of the agent's \
                      product or else of `*`, the longest rule that fits, `Allow` between equal ones; true where no rule fits.",
        example: "SELECT uri FROM raw.docs JOIN raw.robots USING (host) WHERE NOT robots_txt_allows(robots, 'CCBot', uri)",
        required: &[
            ("robots", Kind::Text, "The text of the file."),
            ("user_agent", Kind::Text, "The agent's product, such as `GPTBot`; a version behind `/` is left out."),
            ("path", Kind::Text, "The path, with query if there is one, or a whole address."),
        ],
        optional: &[],
        returns: DataType::Boolean,
    }
    .udf(|args| {
        let (robots, agent, path) = (args.text(0)?, args.text(1)?, args.text(2)?);
        let allows = |row| Some(polder_text::robots_txt_allows(robots.get(row)?, agent.get(row)?, path.get(row)?));
        Ok(Arc::new(args.rows().map(allows).collect::<BooleanArray>()))
    })
}
