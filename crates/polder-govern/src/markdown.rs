//! Text of others, made safe for Markdown, YAML and terminals, and small pieces of both.

use std::fmt::Write;

/// Makes text one line without control characters, for a terminal.
pub(crate) fn plain(text: &str) -> String {
    // Bidirectional controls can make a line read as another one.
    let hides = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
    };
    text.chars().map(|c| if hides(c) { ' ' } else { c }).collect()
}

/// Escapes text so that Markdown shows it as it is, also in a table's cell.
pub(crate) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '(' | ')' | '#' | '|' | '~' | '!' | '$' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

/// Sets text as code inside a line.
pub(crate) fn code(text: &str) -> String {
    let flat = plain(text).replace('|', "¦");
    let ticks = "`".repeat(longest_run(&flat) + 1);
    let pad = if flat.starts_with('`') || flat.ends_with('`') || flat.is_empty() { " " } else { "" };
    format!("{ticks}{pad}{flat}{pad}{ticks}")
}

/// Sets text as a block of code; its own fences cannot end it.
pub(crate) fn block(language: &str, text: &str) -> String {
    let ticks = "`".repeat(longest_run(text).max(2) + 1);
    format!("{ticks}{language}\n{}\n{ticks}\n", text.trim_end())
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// A table; cells must be Markdown. Columns whose header begins with `>` are aligned to the right.
pub(crate) fn table(headers: &[&str], rows: &[Vec<String>]) -> String {
    let mut out = format!("| {} |\n|", headers.iter().map(|h| h.trim_start_matches('>')).collect::<Vec<_>>().join(" | "));
    for header in headers {
        out.push_str(if header.starts_with('>') { "---:|" } else { "---|" });
    }
    out.push('\n');
    for row in rows {
        let _ = writeln!(out, "| {} |", row.join(" | "));
    }
    out
}

/// A YAML scalar: JSON's strings are YAML's double-quoted ones.
pub(crate) fn yaml(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// `1234567` → `1,234,567`.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// Four significant digits, without an exponent where one can do without.
pub(crate) fn number(x: f64) -> String {
    let size = x.abs();
    match size {
        _ if !x.is_finite() => "–".into(),
        _ if size == 0.0 => "0".into(),
        _ if (1e-3..1e5).contains(&size) => {
            let decimals = (3 - size.log10().floor() as i32).clamp(0, 6) as usize;
            format!("{x:.decimals$}")
        }
        _ => format!("{x:.3e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_cannot_leave_its_cell() {
        let escaped = text("a|b\n<script> [x](y) `c` \u{202e}d");
        assert_eq!(escaped, "a\\|b &lt;script&gt; \\[x\\]\\(y\\) \\`c\\`  d");
        assert!(block("sql", "SELECT 1;\n```\nend").starts_with("````sql\n"));
        assert_eq!(code("a`b|c"), "``a`b¦c``");
        assert_eq!(yaml("a: \"b\"\n- c"), r#""a: \"b\"\n- c""#);
    }

    #[test]
    fn numbers_are_short_and_exact_enough() {
        assert_eq!(
            [number(2.71845), number(0.012345), number(1234.5), number(0.0), number(1e-7)],
            ["2.718", "0.01235", "1234", "0", "1.000e-7"]
        );
        assert_eq!([grouped(0), grouped(999), grouped(1_234_567)], ["0", "999", "1,234,567"]);
    }
}
