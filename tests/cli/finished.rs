//! One finished quickstart that tests share, what its tables held then, and copies of it that a test may change.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::packages;
use crate::program::{Said, line, polder, quickstart, sql};

/// A lake that the whole workflow made.
pub struct Finished {
    /// The source folder.
    pub source: PathBuf,
    /// The lake; tests read it only, or add facts.
    pub lake: PathBuf,
    /// What the run said.
    pub said: Said,
    /// What it left.
    pub left: Left,
    /// How long it took.
    pub took: std::time::Duration,
}

/// What a run leaves, without what tells the time.
#[derive(Debug, PartialEq)]
pub struct Left {
    /// Rows by table, in order.
    pub rows: BTreeMap<String, Vec<String>>,
    /// SHA-256 of token shards and weights by path.
    pub files: BTreeMap<String, String>,
}

/// Columns that tell the time or are made from it, and digests over names of table files, which are drawn anew for each.
const PASSING: [&str; 5] = ["fetched_at", "at", "run_id", "files_digest", "data_digest"];
/// Tables that tell what happened when, and how often.
const BOOKS: [&str; 2] = ["ops.facts", "ops.runs"];

impl Left {
    /// Looks at a lake.
    pub fn read(lake: &Path) -> Self {
        let tables = line(lake, "--json table list").well().objects();
        let names: Vec<&str> = tables.iter().filter_map(|t| t["table"].as_str()).filter(|t| !BOOKS.contains(t)).collect();
        let statements: Vec<String> = names.iter().map(|t| format!("SELECT '{t}' AS from_table, * FROM {t}")).collect();
        let mut rows: BTreeMap<String, Vec<String>> = names.iter().map(|t| ((*t).to_owned(), Vec::new())).collect();
        for mut row in sql(lake, &statements.join(";\n")) {
            let fields = row.as_object_mut().expect("an object");
            fields.retain(|name, _| !PASSING.contains(&name.as_str()));
            let Some(Value::String(table)) = fields.remove("from_table") else { panic!("a row of no table") };
            rows.entry(table).or_default().push(row.to_string());
        }
        rows.values_mut().for_each(|r| r.sort());
        let mut files = BTreeMap::new();
        for folder in ["tokens", "models"] {
            digests(lake, &lake.join(folder), &mut files);
        }
        Self { rows, files }
    }

    /// Fails, naming the first table or file that differs.
    #[track_caller]
    pub fn must_equal(&self, other: &Self, when: &str) {
        assert_eq!(self.files, other.files, "{when}: files differ");
        assert_eq!(self.rows.keys().collect::<Vec<_>>(), other.rows.keys().collect::<Vec<_>>(), "{when}: tables differ");
        for (table, rows) in &self.rows {
            assert!(*rows == other.rows[table], "{when}: {table} differs:\n{rows:#?}\n{:#?}", other.rows[table]);
        }
    }
}

/// SHA-256 of every shard and weights file below a folder, from the manifests beside them, which are checked.
fn digests(lake: &Path, folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            digests(lake, &path, found);
        } else if path.extension().is_some_and(|e| e == "bin" || e == "idx" || e == "safetensors") {
            let digest = polder_base::digest_file(&path).expect("a file").hex();
            found.insert(path.strip_prefix(lake).expect("below the lake").display().to_string(), digest);
        }
    }
}

/// A folder for this process's lakes, removed by the next process; cargo names the place.
fn place() -> PathBuf {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    let make = || {
        let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("polder-cli");
        for entry in fs::read_dir(&all).into_iter().flatten().flatten() {
            let is_running = Path::new("/proc").join(entry.file_name()).exists();
            if !is_running {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let mine = all.join(std::process::id().to_string());
        fs::create_dir_all(&mine).expect("a folder");
        mine
    };
    PLACE.get_or_init(make).clone()
}

/// A new folder of its own.
pub fn folder(name: &str) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let folder = place().join(format!("{name}-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// The shared lake, made when it is first asked for.
pub fn finished() -> &'static Finished {
    static FINISHED: OnceLock<Finished> = OnceLock::new();
    FINISHED.get_or_init(|| {
        let source = folder("source");
        packages::write(&source);
        let lake = folder("finished").join("lake");
        let start = std::time::Instant::now();
        let said = polder(&lake, &quickstart(&source)).well();
        let took = start.elapsed();
        let left = Left::read(&lake);
        Finished { source, lake, said, left, took }
    })
}

/// A copy of the shared lake that a test may change.
pub fn copy(name: &str) -> PathBuf {
    let lake = folder(name).join("lake");
    copy_tree(&finished().lake, &lake);
    lake
}

/// A copy of the shared lake whose model has yet to be trained.
pub fn copy_untrained(name: &str) -> PathBuf {
    let lake = copy(name);
    fs::remove_dir_all(lake.join("models")).expect("models");
    for entry in fs::read_dir(lake.join("runs")).expect("runs").flatten() {
        if entry.file_name().to_string_lossy().starts_with("train-") {
            fs::remove_dir_all(entry.path()).expect("a run");
        }
    }
    lake
}

/// Copies a folder with all that is in it.
pub fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file");
        }
    }
}
