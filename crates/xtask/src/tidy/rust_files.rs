//! Rust files: a module comment on top, no SQL or CUDA text, a readable length.

use super::{SourceFile, Tree};
use crate::rust_text::{Literal, literals};

/// A file longer than this is mentioned, so that someone looks at it again.
const LINES_MAX: usize = 600;

/// What lets one literal through: a comment with a reason, on its line or the one above.
const ALLOW_SQL: &str = "tidy: sql, ";

pub(super) fn problems(tree: &Tree) -> Vec<String> {
    let rust = tree.files.iter().filter(|f| f.path.ends_with(".rs"));
    rust.flat_map(|f| module_comment(f).into_iter().chain(foreign_text(f))).collect()
}

pub(super) fn long_files(tree: &Tree) -> Vec<String> {
    let lines = |f: &SourceFile| f.text.lines().count();
    tree.files
        .iter()
        .filter(|f| f.path.ends_with(".rs") && lines(f) > LINES_MAX)
        .map(|f| format!("note: {} has {} lines; does it answer one question?", f.path, lines(f)))
        .collect()
}

fn module_comment(file: &SourceFile) -> Option<String> {
    let first = file.text.lines().map(str::trim).find(|l| !l.is_empty() && !l.starts_with("#!"));
    let opens = first.is_some_and(|l| l.strip_prefix("//!").is_some_and(|rest| !rest.trim().is_empty()));
    (!opens).then(|| format!("{}:1: begin with `//!`: what the module is, what it is not, where to start", file.path))
}

fn foreign_text(file: &SourceFile) -> Vec<String> {
    if is_test_file(&file.path) {
        return Vec::new();
    }
    let tests = tests_start(&file.text);
    let lines: Vec<&str> = file.text.lines().collect();
    let allowed = |l: &Literal<'_>| {
        let near = [l.line.checked_sub(2), Some(l.line - 1)];
        near.into_iter().flatten().filter_map(|i| lines.get(i)).any(|text| text.contains(ALLOW_SQL))
    };
    let mut problems = Vec::new();
    for literal in literals(&file.text).into_iter().filter(|l| l.start < tests) {
        if is_cuda(literal.text) {
            problems.push(format!("{}:{}: CUDA text belongs in kernels/", file.path, literal.line));
        }
        if is_sql(literal.text) && !is_example(&file.text[..literal.start], literal.text) && !allowed(&literal) {
            problems.push(format!("{}:{}: SQL text belongs in sql/ (or say why not: `// {ALLOW_SQL}because …`)", file.path, literal.line));
        }
    }
    problems
}

fn is_test_file(path: &str) -> bool {
    path.starts_with("tests/")
        || path.starts_with("benches/")
        || path.ends_with("/tests.rs")
        || path.contains("/tests/")
        || path.contains("/testkit/")
}

/// Unit tests stand at the end of their file.
fn tests_start(text: &str) -> usize {
    text.find("#[cfg(test)]\nmod ").unwrap_or(text.len())
}

/// A function documents itself with an example, and help shows commands; neither is run.
fn is_example(before: &str, text: &str) -> bool {
    let line = before.rsplit('\n').next().unwrap_or_default();
    line.contains("example") || (text.contains("polder") && text.contains(" sql "))
}

fn is_cuda(text: &str) -> bool {
    text.contains(concat!("__glo", "bal__")) || text.contains(concat!("__dev", "ice__"))
}

/// Capitals, since keywords stand so in our SQL; prose with an ellipsis for the rest of the statement is no SQL.
fn is_sql(text: &str) -> bool {
    let words: Vec<&str> = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '…')).filter(|w| !w.is_empty()).collect();
    let pair = |a: &str, b: &str| words.windows(3).any(|w| w[0] == a && w[1] == b && w[2] != "…");
    let select = words.iter().position(|w| *w == "SELECT");
    let from_after = select.is_some_and(|s| words[s..].windows(2).any(|w| w[0] == "FROM" && w[1] != "…"));
    from_after || pair("INSERT", "INTO") || pair("CREATE", "TABLE") || pair("DELETE", "FROM") || pair("MERGE", "INTO")
}

#[cfg(test)]
mod tests {
    use super::super::tree;
    use super::*;

    fn of(path: &str, text: &str) -> Vec<String> {
        problems(&tree(&[(path, text)]))
    }

    #[test]
    fn sql_text_in_code_is_named_with_its_line() {
        let found = of("crates/a/src/lib.rs", "//! A.\nconst Q: &str = \"SELECT a FROM t\";\n");
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("crates/a/src/lib.rs:2:"), "{found:?}");
        assert_eq!(of("crates/a/src/lib.rs", "//! A.\nconst Q: &str = \"CREATE TABLE t (a int)\";\n").len(), 1);
    }

    #[test]
    fn tests_examples_comments_and_prose_may_speak_of_sql() {
        for text in [
            "//! A.\n// \"SELECT a FROM t\"\n",
            "//! A.\n#[cfg(test)]\nmod tests { const Q: &str = \"SELECT a FROM t\"; }\n",
            "//! A.\nfn d() { b.with_sql_example(\"SELECT f(a) FROM t\") }\n",
            "//! A.\nconst H: &str = \"Write SELECT … FROM … instead.\";\nconst G: &str = \"select from the list\";\n",
            "//! A.\nconst D: D = D {\n    example: \"SELECT f(a) FROM t\",\n};\n",
            "//! A.\nconst H: &str = \"Ask with `polder sql 'SELECT a FROM t'`.\";\n",
            "//! A.\n// tidy: sql, because the engine asks for it\nconst Q: &str = \"SELECT a FROM t\";\n",
        ] {
            assert_eq!(of("crates/a/src/lib.rs", text), Vec::<String>::new(), "{text}");
        }
        assert!(of("tests/sql/main.rs", "//! T.\nconst Q: &str = \"SELECT a FROM t\";\n").is_empty());
    }

    #[test]
    fn a_file_without_its_comment_is_named() {
        assert_eq!(of("crates/a/src/lib.rs", "use std::fs;\n").len(), 1);
        assert_eq!(of("crates/a/src/lib.rs", "//!\nuse std::fs;\n").len(), 1);
        assert!(of("tests/a/main.rs", "#![allow(missing_docs)]\n//! Says what it tests.\n").is_empty());
    }

    #[test]
    fn cuda_text_is_found() {
        let text = format!("//! A.\nconst K: &str = \"{} void f()\";\n", concat!("__glo", "bal__"));
        assert_eq!(of("crates/a/src/lib.rs", &text).len(), 1);
    }
}
