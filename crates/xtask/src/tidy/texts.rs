//! Texts of every kind: words that belong to one machine or one day, and pages that grew too long.

use super::{SourceFile, Tree};

/// Paths of a single machine, and notes that were to be cleared away before anyone else reads them.
const KEEP_OUT: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];

/// One screen.
const README_LINES_MAX: usize = 60;

/// What the repository's front has.
const PAGES: &[&str] = &[
    "README.md",
    "LICENSE",
    "NOTICE",
    "CHANGELOG.md",
    "crates/README.md",
    "sql/README.md",
    "kernels/README.md",
    "tests/README.md",
    "benches/README.md",
    ".ci/run",
];

pub(super) fn problems(tree: &Tree) -> Vec<String> {
    let mut problems: Vec<String> = tree.files.iter().flat_map(kept_out).collect();
    problems.extend(PAGES.iter().filter(|p| !tree.has(p)).map(|p| format!("{p}: is missing")));
    if let Some(readme) = tree.get("README.md") {
        let n = readme.text.lines().count();
        if n > README_LINES_MAX {
            problems.push(format!("README.md:{n}: one screen is {README_LINES_MAX} lines"));
        }
    }
    problems
}

fn kept_out(file: &SourceFile) -> Vec<String> {
    let mut problems = Vec::new();
    for (i, line) in file.text.lines().enumerate() {
        let words = KEEP_OUT.iter().filter(|w| line.contains(**w));
        problems.extend(words.map(|w| format!("{}:{}: keep `{w}` out", file.path, i + 1)));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::super::tree;
    use super::*;

    #[test]
    fn paths_of_one_machine_are_found() {
        let text = format!("one\nsee {}x\n", concat!("/ro", "ot/"));
        let found = problems(&tree(&[("crates/README.md", &text)]));
        assert!(found[0].starts_with("crates/README.md:2: keep"), "{found:?}");
    }

    #[test]
    fn a_readme_longer_than_a_screen_is_refused() {
        let found = problems(&tree(&[("README.md", &"line\n".repeat(61))]));
        assert!(found.iter().any(|p| p.contains("one screen")));
    }
}
