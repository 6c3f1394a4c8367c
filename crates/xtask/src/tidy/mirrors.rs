//! Mirrored names: what has a twin elsewhere in the tree, so that a reader who knows one place knows the others.

use super::{SourceFile, Tree, sql_files};

pub(super) fn problems(tree: &Tree) -> Vec<String> {
    let mut problems: Vec<String> = tree.under("kernels/", ".cu").flat_map(|f| kernel(tree, f)).collect();
    problems.extend(tree.under("sql/", ".sql").filter_map(|f| sql_test(tree, f)));
    problems.extend(tree.under("tests/", ".rs").filter_map(|f| test_module(tree, f)));
    problems.extend(mains(tree).filter_map(|f| declared(tree, f)));
    problems
}

fn missing(tree: &Tree, of: &SourceFile, twins: &[String]) -> Vec<String> {
    let lacks = |t: &&String| !tree.has(t);
    twins.iter().filter(lacks).map(|t| format!("{}:1: its twin {t} is missing", of.path)).collect()
}

fn kernel(tree: &Tree, file: &SourceFile) -> Vec<String> {
    let stem = file.path.trim_start_matches("kernels/").trim_end_matches(".cu");
    // A variant for one architecture has a launcher of its own; the twin and the test are the operation's.
    let operation = stem.strip_suffix("_sm90").unwrap_or(stem);
    let twins = [("crates/polder-compute/src/cuda", stem), ("crates/polder-compute/src/cpu", operation), ("tests/kernels", operation)];
    let twins = twins.map(|(folder, stem)| format!("{folder}/{stem}.rs"));
    missing(tree, file, &twins)
}

fn sql_test(tree: &Tree, file: &SourceFile) -> Option<String> {
    let (folder, stem) = sql_files::place(&file.path)?;
    sql_files::schema(folder)?;
    missing(tree, file, &[format!("tests/sql/{stem}.slt")]).pop()
}

/// `tests/cli/ingest.rs` is nothing unless `tests/cli/main.rs` says `mod ingest;`.
fn test_module(tree: &Tree, file: &SourceFile) -> Option<String> {
    let (folder, name) = file.path.strip_suffix(".rs")?.rsplit_once('/')?;
    if name == "main" || folder == "tests" {
        return (folder == "tests").then(|| format!("{}:1: tests stand in a folder a topic, beside its main.rs", file.path));
    }
    // A module in a folder of its own, `tests/cli/run/mod.rs`, is reached through the topic's other files.
    let (topic, module) = (folder.split('/').nth(1)?, format!("mod {name};"));
    if folder.split('/').count() > 2 {
        return None;
    }
    let main = tree.get(&format!("tests/{topic}/main.rs")).map(|f| f.text.as_str()).unwrap_or_default();
    let named = main.lines().any(|l| l.trim().trim_start_matches("pub ").starts_with(&module));
    (!named).then(|| format!("{}:1: tests/{topic}/main.rs does not say `{module}`, so it never runs", file.path))
}

fn mains(tree: &Tree) -> impl Iterator<Item = &SourceFile> {
    let is_main = |f: &&SourceFile| f.path.ends_with("/main.rs") || (f.path.starts_with("benches/") && f.path.matches('/').count() == 1);
    tree.under("tests/", ".rs").chain(tree.under("benches/", ".rs")).filter(is_main)
}

/// A test or bench outside the crates is built only if a crate's manifest points at it.
fn declared(tree: &Tree, file: &SourceFile) -> Option<String> {
    let wanted = format!("path = \"../../{}\"", file.path);
    let named = tree.under("crates/", "/Cargo.toml").any(|m| m.text.contains(&wanted));
    (!named).then(|| format!("{}:1: no crate's Cargo.toml says `{wanted}`, so it never runs", file.path))
}

#[cfg(test)]
mod tests {
    use super::super::tree;
    use super::*;

    #[test]
    fn a_kernel_needs_its_three_twins() {
        assert_eq!(problems(&tree(&[("kernels/rms_norm.cu", "")])).len(), 3);
    }

    #[test]
    fn a_variant_for_one_architecture_shares_twin_and_test() {
        let found = problems(&tree(&[("kernels/gemm_sm90.cu", ""), ("crates/polder-compute/src/cpu/gemm.rs", "")])).join("\n");
        assert!(found.contains("cuda/gemm_sm90.rs is missing") && found.contains("tests/kernels/gemm.rs is missing"), "{found}");
        assert!(!found.contains("cpu/"), "{found}");
    }

    #[test]
    fn a_forgotten_test_file_is_found() {
        let manifest = "[[test]]\nname = \"cli\"\npath = \"../../tests/cli/main.rs\"\n";
        let files = [("tests/cli/main.rs", "//! T.\nmod a;\n"), ("tests/cli/a.rs", "//! A.\n"), ("crates/polder-cli/Cargo.toml", manifest)];
        assert_eq!(problems(&tree(&files)), Vec::<String>::new());
        let mut more = files.to_vec();
        more.push(("tests/cli/b.rs", "//! B.\n"));
        more.push(("benches/decode.rs", "//! D.\n"));
        let found = problems(&tree(&more)).join("\n");
        assert!(found.contains("does not say `mod b;`") && found.contains("benches/decode.rs:1: no crate"), "{found}");
    }

    #[test]
    fn a_table_needs_its_sql_test_and_a_query_does_not() {
        let found = problems(&tree(&[("sql/20_clean/docs.sql", ""), ("sql/queries/funnel.sql", "")]));
        assert_eq!(found, ["sql/20_clean/docs.sql:1: its twin tests/sql/docs.slt is missing"]);
    }
}
