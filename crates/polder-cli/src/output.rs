//! Standard output is data; everything else goes to standard error.

use std::io::{self, IsTerminal, Write};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// Writes a line of data to standard output.
///
/// # Errors
/// Standard output is closed.
pub fn data(line: &str) -> anyhow::Result<()> {
    writeln!(io::stdout().lock(), "{line}")?;
    Ok(())
}

/// Writes a line for people to standard error.
pub fn note(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Whether people are looking at standard error.
pub fn is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Replaces control characters, so that text of others cannot steer a terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// Draws rows under headings; columns named in `right` hold numbers.
pub fn table(headings: &[&str], rows: &[Vec<String>], right: &[usize]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headings.iter().map(|h| h.to_string()).collect::<Vec<_>>());
    for row in rows {
        table.add_row(row.iter().map(|c| printable(c)).collect::<Vec<_>>());
    }
    for column in right {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|l| l.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// Prints rows as a table, or one JSON object a row with its schema's name.
///
/// # Errors
/// Standard output is closed.
pub fn rows(
    json: bool,
    schema: &str,
    objects: &[serde_json::Value],
    headings: &[&str],
    cells: &[Vec<String>],
    right: &[usize],
) -> anyhow::Result<()> {
    if json {
        return objects.iter().try_for_each(|o| object(schema, o));
    }
    if cells.is_empty() {
        note("(none)");
        return Ok(());
    }
    data(&table(headings, cells, right))
}

/// Prints one JSON object with its schema's name.
///
/// # Errors
/// Standard output is closed.
pub fn object(schema: &str, value: &serde_json::Value) -> anyhow::Result<()> {
    let mut out = serde_json::Map::new();
    out.insert("schema".into(), schema.into());
    match value {
        serde_json::Value::Object(fields) => out.extend(fields.clone()),
        other => {
            out.insert("value".into(), other.clone());
        }
    }
    data(&serde_json::Value::Object(out).to_string())
}
