//! What a package's metadata or a readme names as its licence: `license = "MIT"`, `"license": ["MIT"]`, `<license>`, classifiers,
//! `License: GPL (>= 2)`, and a heading `License` with a name under it.

use super::expression::Expression;
use super::names::by_name;

/// How far before the word a line is looked at, and how far a value goes, in bytes.
const BEFORE_BYTES_MAX: usize = 60;
const VALUE_BYTES_MAX: usize = 600;

/// The licence of the field whose name begins at `at` (where `licen` stands).
pub(super) fn field(text: &str, at: usize) -> Option<Expression> {
    let before = text.get(text.floor_char_boundary(at.saturating_sub(BEFORE_BYTES_MAX))..at)?;
    let before = before.rsplit('\n').next()?;
    let rest = text.get(at..text.floor_char_boundary(at + VALUE_BYTES_MAX))?;
    let word =
        ["licenses", "licences", "license", "licence"].iter().find(|w| rest.get(..w.len()).is_some_and(|r| r.eq_ignore_ascii_case(w)))?;
    let rest = rest.get(word.len()..)?;
    if before.ends_with('<') {
        return element(rest);
    }
    let rest = ["-expression", "_expression"].iter().find_map(|e| rest.strip_prefix(e)).unwrap_or(rest);
    if let Some(of) = rest.strip_prefix(" :: ") {
        return classifier(of);
    }
    if before.ends_with("![") {
        // A badge: `[![License: MIT](…)]`.
        return by_name(rest.strip_prefix(':')?.split(']').next()?);
    }
    let key = rest.strip_prefix(['"', '\'']).unwrap_or(rest);
    let is_key = rest.len() != key.len() || begins_line(before);
    if !is_key {
        return None;
    }
    let value = key.trim_start_matches([' ', '\t', '*', '_']);
    if let Some(value) = value.strip_prefix("=>").or_else(|| value.strip_prefix("==")).or_else(|| value.strip_prefix([':', '='])) {
        return assigned(value.trim_start_matches(['*', '_']).trim_start_matches([' ', '\t']));
    }
    under_heading(before, rest)
}

/// Whether only marks and the name of an object (`spec.license`) stand before the field.
fn begins_line(before: &str) -> bool {
    let before = before.strip_suffix('.').map_or(before, |b| b.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == '_'));
    let before = before.trim_end_matches('@');
    before
        .chars()
        .all(|c| c.is_whitespace() || matches!(c, '#' | '*' | '/' | '-' | ';' | '%' | '!' | '"' | '\'' | ',' | '{' | '>' | '_' | '|'))
}

/// What follows the sign of assignment: a text, a list, a table, or the rest of the line.
fn assigned(value: &str) -> Option<Expression> {
    match value.chars().next()? {
        quote @ ('"' | '\'') => by_name(value.get(1..)?.split(quote).next()?),
        '[' if !value.lines().next()?.contains("](") => {
            let list = value.get(1..)?.split(']').next()?;
            // Of several in a list one may be chosen, as composer and npm say.
            let names = quoted(list).filter(|n| *n != "type" && *n != "name").filter(|n| !n.contains("://"));
            Expression::join(names.map_while(by_name).collect(), false)
        }
        '{' => {
            let table = value.get(1..)?.split('}').next()?;
            let (_, of) = ["text", "type", "name", "id"].iter().find_map(|key| table.split_once(key))?;
            by_name(quoted(of.trim_start_matches(['"', '\''])).next()?)
        }
        '\n' | '\r' => {
            let next = value.trim_start().lines().next()?;
            let name = ["name:", "spdx:", "id:", "- "].iter().find_map(|key| next.strip_prefix(key))?;
            by_name(name.trim().trim_matches(['"', '\'']))
        }
        _ => by_name(&plain(value.lines().next()?)),
    }
}

/// The texts between quotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split(['"', '\'']).skip(1).step_by(2)
}

/// A line without Markdown's marks, the end of a comment, and what a comma begins in code.
fn plain(line: &str) -> String {
    let line = line
        .trim()
        .trim_end_matches(['*', '/', '_', '`', ',', ';', '-', '>', '<', '.', '|'])
        .trim_start_matches(['*', '_', '`', '-', '>'])
        .trim();
    let line = line.split(" #").next().unwrap_or_default();
    // `[MIT](LICENSE)` and `[MIT][1]`
    let Some((before, rest)) = line.split_once('[') else { return line.replace(['`', '*'], "") };
    let Some((name, after)) = rest.split_once(']') else { return line.to_string() };
    let after = match after.chars().next() {
        Some('(') => after.split_once(')').map_or("", |(_, a)| a),
        Some('[') => after.split_once(']').map_or("", |(_, a)| a),
        _ => after,
    };
    format!("{before}{name}{after}").replace(['`', '*'], "")
}

/// `License :: OSI Approved :: MIT License`
fn classifier(of: &str) -> Option<Expression> {
    let name = of.split(['"', '\'', '\n', '\r']).next()?;
    by_name(name.rsplit(" :: ").next()?)
}

/// `<license type="expression">MIT</license>`, and `<license><name>MIT</name>`.
fn element(rest: &str) -> Option<Expression> {
    let (attributes, content) = rest.split_once('>')?;
    if attributes.contains(['<', '\n']) || attributes.contains("file") {
        return None;
    }
    let (value, after) = content.split_once('<')?;
    if !value.trim().is_empty() {
        return by_name(value);
    }
    let mut parts = after.split_once("name>")?.1.split('<');
    by_name(parts.next()?).or_else(|| by_name(after.split_once("url>")?.1.split('<').next()?))
}

/// The line under a heading of the single word.
fn under_heading(before: &str, rest: &str) -> Option<Expression> {
    let mut lines = rest.lines();
    let is_bare = |line: &str| line.chars().all(|c| c.is_whitespace() || matches!(c, '#' | '*' | '=' | '-' | ':' | '_' | '~'));
    if !is_bare(before) || !is_bare(lines.next()?) {
        return None;
    }
    let marked = before.contains(['#', '*', '=', '_']) || rest.lines().nth(1).is_some_and(|l| l.starts_with(['=', '-', '~', '^']));
    let value = lines.find(|l| !is_bare(l)).filter(|_| marked)?;
    by_name(&plain(value))
}
