//! The shape of the dependency graph: which crate must not know which, what has one version, which licences come in.
//!
//! It reads `cargo metadata` and `cargo tree`, so it sees what is built, not what a manifest's author meant.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{cargo_output, spdx, verdict};

/// What a crate must not depend on, through any number of others. A name ending in `*` is a prefix.
const BORDERS: &[(&str, &[&str])] = &[
    ("polder-text", &["arrow*", "datafusion*", "parquet*", "tokio*", "futures*", "object_store", "polder-*"]),
    ("polder-duplicates", &["arrow*", "datafusion*", "parquet*", "tokio*", "futures*", "object_store"]),
    ("polder-tokenizer", &["arrow*", "tokio*", "datafusion*", "onig*", "esaxx-rs"]),
    ("polder-shard", &["arrow*", "tokio*", "datafusion*"]),
    ("polder-compute", &["arrow*", "tokio*", "datafusion*"]),
    ("polder-model", &["arrow*", "tokio*", "datafusion*"]),
    ("polder-train", &["arrow*", "tokio*", "datafusion*", "deltalake*"]),
    ("polder-infer", LAKE_AND_HTTP),
    ("polder-eval", LAKE_AND_HTTP),
    ("polder-tune", LAKE_AND_HTTP),
    ("polder-serve", LAKE),
    ("polder-gpu", LAKE),
    ("polder-sql", &["datafusion", "deltalake*", "cudarc", "ureq", "polder-lake"]),
    ("polder-ingest", &["datafusion*", "deltalake*", "cudarc"]),
    ("polder-lake", &["cudarc", "polder-train"]),
    ("polder-pipeline", &["cudarc"]),
    ("polder-govern", &["cudarc"]),
    ("polder-workflow", &["datafusion*", "cudarc", "deltalake*"]),
];

const LAKE: &[&str] = &["datafusion*", "deltalake*", "arrow*", "parquet*", "object_store"];
const LAKE_AND_HTTP: &[&str] = &["datafusion*", "deltalake*", "arrow*", "parquet*", "object_store", "axum*"];

/// What the bottom crate may depend on directly, and nothing else.
const BASE_MAY_USE: &[&str] = &["serde", "serde_json", "sha2", "thiserror"];

/// What exists once in the lock file: their types cross our borders.
const ONE_VERSION: &[&str] = &["arrow", "datafusion", "deltalake-core", "object_store", "parquet", "sqlparser"];

/// Licences that let Polder be used and passed on under Apache-2.0. MPL-2.0 asks for changes to its own files only.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    "bzip2-1.0.6",
];

/// Checks borders, versions, features and licences.
///
/// # Errors
/// One line a problem, and a count.
pub fn check(root: &Path) -> Result<()> {
    let host = host_triple(root)?;
    let text = cargo_output(root, &["metadata", "--format-version", "1", "--locked", "--filter-platform", &host])?;
    let graph = Graph::parse(&text)?;
    let mut problems = borders(&graph);
    problems.extend(versions(&graph));
    problems.extend(licences(&graph));
    problems.extend(features(root)?);
    verdict(&problems)
}

fn host_triple(root: &Path) -> Result<String> {
    let text = cargo_output(root, &["-vV"])?;
    text.lines().find_map(|l| l.strip_prefix("host: ")).map(str::to_owned).context("`cargo -vV` names no host")
}

struct Package {
    name: String,
    version: String,
    license: Option<String>,
    is_member: bool,
    /// Normal dependencies, by package id.
    depends: Vec<String>,
}

struct Graph {
    packages: BTreeMap<String, Package>,
}

impl Graph {
    fn parse(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text).context("`cargo metadata` wrote no JSON")?;
        let list = |v: &Value| v.as_array().cloned().unwrap_or_default();
        let string = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let members: BTreeSet<String> = list(&value["workspace_members"]).iter().map(string).collect();
        let mut packages: BTreeMap<String, Package> = list(&value["packages"])
            .iter()
            .map(|p| {
                let id = string(&p["id"]);
                let package = Package {
                    name: string(&p["name"]),
                    version: string(&p["version"]),
                    license: p["license"].as_str().map(str::to_owned),
                    is_member: members.contains(&id),
                    depends: Vec::new(),
                };
                (id, package)
            })
            .collect();
        for node in list(&value["resolve"]["nodes"]) {
            // A kind of null is a normal dependency; "build" and "dev" are the others.
            let normal = |d: &&Value| list(&d["dep_kinds"]).iter().any(|k| k["kind"].is_null());
            let depends = list(&node["deps"]).iter().filter(normal).map(|d| string(&d["pkg"])).collect();
            if let Some(package) = packages.get_mut(&string(&node["id"])) {
                package.depends = depends;
            }
        }
        Ok(Self { packages })
    }

    fn member(&self, name: &str) -> Option<&str> {
        self.packages.iter().find(|(_, p)| p.is_member && p.name == name).map(|(id, _)| id.as_str())
    }

    /// The shortest way from a crate to a package whose name fits, as names.
    fn path_to(&self, from: &str, fits: &dyn Fn(&str) -> bool) -> Option<Vec<&str>> {
        let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
        let mut queue = VecDeque::from([from]);
        while let Some(id) = queue.pop_front() {
            let package = self.packages.get(id)?;
            if id != from && fits(&package.name) {
                let mut path = vec![package.name.as_str()];
                let mut at = id;
                while let Some(before) = came_from.get(at) {
                    path.push(&self.packages.get(*before)?.name);
                    at = before;
                }
                path.reverse();
                return Some(path);
            }
            for next in &package.depends {
                if next != from && !came_from.contains_key(next.as_str()) {
                    came_from.insert(next, id);
                    queue.push_back(next);
                }
            }
        }
        None
    }
}

fn fits(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |prefix| name.starts_with(prefix))
}

fn borders(graph: &Graph) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, forbidden) in BORDERS {
        let Some(id) = graph.member(name) else { continue };
        for pattern in *forbidden {
            if let Some(path) = graph.path_to(id, &|n| fits(pattern, n)) {
                problems.push(format!("{name} must not depend on {pattern}, yet: {}", path.join(" → ")));
            }
        }
    }
    if let Some(base) = graph.member("polder-base") {
        let direct = graph.packages[base].depends.iter().filter_map(|id| graph.packages.get(id));
        problems.extend(
            direct
                .filter(|p| !BASE_MAY_USE.contains(&p.name.as_str()))
                .map(|p| format!("polder-base may use {} only, not {}", BASE_MAY_USE.join(", "), p.name)),
        );
    }
    problems
}

fn versions(graph: &Graph) -> Vec<String> {
    ONE_VERSION
        .iter()
        .filter_map(|name| {
            let found: Vec<&str> = graph.packages.values().filter(|p| p.name == *name).map(|p| p.version.as_str()).collect();
            (found.len() != 1).then(|| format!("{name} must be in the lock file once; found: {}", found.join(", ")))
        })
        .collect()
}

fn licences(graph: &Graph) -> Vec<String> {
    let allowed = |l: &str| LICENCES.contains(&l);
    graph
        .packages
        .values()
        .filter(|p| !p.is_member)
        .filter_map(|p| {
            let named = format!("{} {}", p.name, p.version);
            match p.license.as_deref().map(|l| (l, spdx::satisfied(l, &allowed))) {
                None => Some(format!("{named} names no licence")),
                Some((l, Ok(false))) => Some(format!("{named} is under {l}, which is not on the list in crates/xtask/src/dependencies.rs")),
                Some((_, Err(e))) => Some(format!("{named}: {e}")),
                Some((_, Ok(true))) => None,
            }
        })
        .collect()
}

/// Development dependencies must not turn on features of packages that the program uses too: cargo would build those, and all
/// that stands on them, once for `cargo polder` and once more for `cargo polder-test`.
fn features(root: &Path) -> Result<Vec<String>> {
    let tree = |kinds: &str| -> Result<BTreeSet<String>> {
        let text = cargo_output(root, &["tree", "--locked", "--workspace", "--edges", kinds, "--prefix", "none", "--format", "{p} [{f}]"])?;
        Ok(text.lines().map(|l| l.trim_end_matches(" (*)").to_owned()).filter(|l| !l.contains("(/")).collect())
    };
    let (program, tests) = (tree("normal,build")?, tree("normal,build,dev")?);
    Ok(program
        .difference(&tests)
        .map(|p| format!("development dependencies change the features of {p}; ask for the same ones in a normal dependency"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph() -> Graph {
        let text = r#"{
            "workspace_members": ["a", "base"],
            "packages": [
                {"id": "a", "name": "polder-serve", "version": "0.1.0", "license": "Apache-2.0"},
                {"id": "base", "name": "polder-base", "version": "0.1.0", "license": "Apache-2.0"},
                {"id": "m", "name": "middle", "version": "1.0.0", "license": "MIT OR GPL-3.0"},
                {"id": "x", "name": "arrow-array", "version": "59.0.0", "license": "GPL-3.0"},
                {"id": "y", "name": "arrow", "version": "59.0.0", "license": null},
                {"id": "z", "name": "arrow", "version": "58.0.0", "license": "MIT"}
            ],
            "resolve": {"nodes": [
                {"id": "a", "deps": [{"pkg": "m", "dep_kinds": [{"kind": null}]}, {"pkg": "y", "dep_kinds": [{"kind": "dev"}]}]},
                {"id": "m", "deps": [{"pkg": "x", "dep_kinds": [{"kind": null}]}]},
                {"id": "base", "deps": [{"pkg": "m", "dep_kinds": [{"kind": null}]}]}
            ]}
        }"#;
        Graph::parse(text).expect("graph")
    }

    #[test]
    fn a_broken_border_is_shown_with_its_path() {
        let found = borders(&graph());
        assert_eq!(found[0], "polder-serve must not depend on arrow*, yet: polder-serve → middle → arrow-array");
        assert!(found[1].starts_with("polder-base may use"), "{found:?}");
        assert_eq!(found.len(), 2, "development dependencies do not count: {found:?}");
    }

    #[test]
    fn two_versions_and_none_are_both_wrong() {
        let found = versions(&graph());
        assert!(found.iter().any(|p| p.starts_with("arrow must") && p.contains("59.0.0, 58.0.0")));
        assert_eq!(found.len(), ONE_VERSION.len());
    }

    #[test]
    fn licences_off_the_list_and_missing_ones_are_named() {
        let found = licences(&graph());
        assert_eq!(found.len(), 2, "{found:?}");
    }
}
