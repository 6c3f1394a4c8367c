//! The comment lines at the top of a SQL file that say what it makes, and how.

use datafusion::common::ScalarValue;
use polder_base::TableName;

use crate::PipelineError;

/// How a table is brought up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Its whole content is written anew when something that it reads has changed.
    Full,
}

/// A `$name` of the query, with its default.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// The name without `$`.
    pub name: String,
    /// The default value: an integer, a decimal number, or text in quotes.
    pub value: ScalarValue,
}

/// What a SQL file says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct FrontMatter {
    /// The table it makes; `None` for files that return rows.
    pub table: Option<TableName>,
    /// How.
    pub mode: Mode,
    /// The columns that hold why a row is left out, and the detail: such rows go to `ops.removed`.
    pub removes: Option<(String, String)>,
    /// Parameters with defaults.
    pub parameters: Vec<Parameter>,
    /// The reason it exists.
    pub why: String,
}

impl FrontMatter {
    /// Reads the leading comment lines of a SQL file.
    ///
    /// # Errors
    /// Names the file and the line that cannot be read.
    pub fn parse(path: &str, text: &str) -> Result<Self, PipelineError> {
        let mut front = Self { table: None, mode: Mode::Full, removes: None, parameters: Vec::new(), why: String::new() };
        for (i, line) in text.lines().enumerate() {
            let Some(comment) = line.trim().strip_prefix("--") else { break };
            let fail = |message: String| PipelineError::FrontMatter { path: path.to_owned(), line: i + 1, message };
            let Some((key, value)) = comment.split_once(':') else { return Err(fail("expected `-- key: value`".into())) };
            let value = value.trim();
            match key.trim() {
                "table" => front.table = Some(value.parse().map_err(|_| fail(format!("`{value}` is not schema.table")))?),
                "mode" if value == "full" => front.mode = Mode::Full,
                "mode" => return Err(fail(format!("mode `{value}` is not known; known: full"))),
                "removes" => {
                    let (reason, detail) =
                        value.split_once(',').ok_or_else(|| fail("expected `-- removes: reason_column, detail_column`".into()))?;
                    front.removes = Some((reason.trim().to_owned(), detail.trim().to_owned()));
                }
                "param" => front.parameters.push(parameter(value).ok_or_else(|| fail(format!("`{value}` is not `name = value`")))?),
                "why" => front.why = value.to_owned(),
                other => return Err(fail(format!("key `{other}` is not known; known: table, mode, removes, param, why"))),
            }
        }
        if front.why.is_empty() {
            return Err(PipelineError::FrontMatter { path: path.to_owned(), line: 1, message: "there is no `-- why:` line".into() });
        }
        let stem = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".sql");
        match &front.table {
            Some(table) if table.name != stem => Err(PipelineError::FrontMatter {
                path: path.to_owned(),
                line: 1,
                message: format!("makes `{table}`, but the file is called {stem}.sql"),
            }),
            _ => Ok(front),
        }
    }
}

fn parameter(text: &str) -> Option<Parameter> {
    let (name, value) = text.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let value = if let Some(quoted) = value.strip_prefix('\'').and_then(|v| v.strip_suffix('\'')) {
        ScalarValue::Utf8(Some(quoted.to_owned()))
    } else if let Ok(n) = value.parse::<i64>() {
        ScalarValue::Int64(Some(n))
    } else {
        ScalarValue::Float64(Some(value.parse().ok()?))
    };
    (!name.is_empty()).then(|| Parameter { name: name.to_owned(), value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn front_matter_is_read() {
        let text = "-- table: clean.x\n-- mode: full\n-- removes: r, d\n-- param: n = 3\n-- param: s = 0.5\n-- why: because\nSELECT 1";
        let front = FrontMatter::parse("20_clean/x.sql", text).expect("parse");
        assert_eq!(front.table, Some(TableName::new("clean", "x")));
        assert_eq!(front.removes, Some(("r".into(), "d".into())));
        assert_eq!(front.parameters[0].value, ScalarValue::Int64(Some(3)));
        assert_eq!(front.parameters[1].value, ScalarValue::Float64(Some(0.5)));
    }

    #[test]
    fn wrong_front_matter_names_the_line() {
        for text in [
            "-- table: clean.x\n-- mode: often\n-- why: w",
            "-- table: y\n-- why: w",
            "-- why: w\n-- surprise: 1",
            "-- table: clean.y\n-- why: w",
            "SELECT 1",
        ] {
            assert!(FrontMatter::parse("20_clean/x.sql", text).is_err(), "{text}");
        }
    }
}
