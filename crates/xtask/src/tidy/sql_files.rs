//! SQL files: front matter, the table each makes, and the lists that embed them.

use super::{SourceFile, Tree};

/// The lists that embed the files: each file stands in one of them.
const LISTS: [&str; 2] = ["crates/polder-pipeline/src/sql_files.rs", "crates/polder-govern/src/queries.rs"];

pub(super) fn problems(tree: &Tree) -> Vec<String> {
    tree.under("sql/", ".sql").flat_map(|f| front_matter(f).into_iter().chain(listed(tree, f))).chain(unknown_names(tree)).collect()
}

/// A file's place: `sql/20_clean/docs_clean.sql` → (`20_clean`, `docs_clean`).
pub(super) fn place(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix("sql/")?.strip_suffix(".sql")?.split_once('/')
}

/// The schema that a numbered folder's tables belong to; `None` for folders whose files return rows.
pub(super) fn schema(folder: &str) -> Option<&'static str> {
    match folder.split_once('_')?.0.parse::<u32>().ok()? {
        0..40 => Some("clean"),
        40..50 => Some("pile"),
        50..60 => Some("eval"),
        _ => None,
    }
}

fn value<'a>(file: &'a SourceFile, key: &str) -> Option<&'a str> {
    let comments = file.text.lines().take_while(|l| l.starts_with("--"));
    comments
        .filter_map(|l| l.trim_start_matches('-').trim_start().strip_prefix(key)?.strip_prefix(':'))
        .map(str::trim)
        .find(|v| !v.is_empty())
}

fn front_matter(file: &SourceFile) -> Vec<String> {
    let at = |what: String| format!("{}:1: {what}", file.path);
    let Some((folder, stem)) = place(&file.path).filter(|(_, stem)| !stem.contains('/')) else {
        return vec![at("stands in no folder of sql/".into())];
    };
    let mut problems = Vec::new();
    if value(file, "why").is_none() {
        problems.push(at("the front matter has no `-- why:`".into()));
    }
    if let Some(schema) = schema(folder) {
        let wanted = format!("{schema}.{stem}");
        match value(file, "table") {
            None => problems.push(at(format!("the front matter has no `-- table: {wanted}`"))),
            Some(found) if found != wanted => problems.push(at(format!("`-- table: {found}` should be `{wanted}`, after folder and file"))),
            Some(_) => {}
        }
    }
    problems
}

fn listed(tree: &Tree, file: &SourceFile) -> Option<String> {
    let name = file.path.strip_prefix("sql/")?;
    let quoted = format!("{name}\"");
    let n: usize = LISTS.iter().filter_map(|l| tree.get(l)).map(|l| l.text.matches(&quoted).count()).sum();
    (n != 1).then(|| format!("{}:1: one of {} must embed `{name}`, once; found {n} times", file.path, LISTS.join(" and ")))
}

/// Lists that name a file which is gone do not compile, so only a wrong folder is left to find.
fn unknown_names(tree: &Tree) -> Vec<String> {
    tree.under("sql/", "")
        .filter(|f| !f.path.ends_with(".sql") && !f.path.ends_with(".md"))
        .map(|f| format!("{}:1: is not SQL", f.path))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tree;
    use super::*;

    const GOOD: &str = "-- table: clean.docs_clean\n-- mode: full\n-- why: text without boilerplate\nSELECT 1\n";
    const LIST: &str = "//! Lists.\nconst A: &str = include_str!(\"../../../sql/20_clean/docs_clean.sql\");\n";

    #[test]
    fn a_file_with_front_matter_in_its_list_passes() {
        let t = tree(&[("sql/20_clean/docs_clean.sql", GOOD), ("crates/polder-pipeline/src/sql_files.rs", LIST)]);
        assert_eq!(problems(&t), Vec::<String>::new());
    }

    #[test]
    fn wrong_tables_missing_reasons_and_lists_are_named() {
        let t = tree(&[("sql/40_mix/base.sql", "-- table: clean.base\nSELECT 1\n"), ("sql/x.sql", GOOD), ("sql/20_clean/a.txt", "")]);
        let found = problems(&t).join("\n");
        for part in ["should be `pile.base`", "no `-- why:`", "found 0 times", "no folder of sql/", "a.txt:1: is not SQL"] {
            assert!(found.contains(part), "{part}\n{found}");
        }
    }

    #[test]
    fn queries_need_a_reason_but_no_table() {
        let list = "//! Q.\nconst A: &str = include_str!(\"../../../sql/queries/x.sql\");\n";
        let t = tree(&[("sql/queries/x.sql", "-- why: rows\nSELECT 1\n"), ("crates/polder-govern/src/queries.rs", list)]);
        assert_eq!(problems(&t), Vec::<String>::new());
    }
}
