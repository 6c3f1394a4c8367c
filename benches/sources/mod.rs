//! What the benches measure on, and by which clock: the sources that cargo has downloaded, which every machine with this project has, or
//! the documents of a file of JSON lines.
#![allow(dead_code, reason = "each bench takes what it needs")]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Instant;

use serde_json::Value;

/// Enough to leave the caches, little enough to finish in seconds.
pub const BYTES: usize = 32 << 20;

/// A text and where it was.
pub struct Document {
    pub path: String,
    pub text: String,
}

/// Files of code and prose in the order of their paths, until there is enough.
pub fn texts() -> Vec<String> {
    files().into_iter().map(|d| d.text).collect()
}

/// The same with their paths.
pub fn files() -> Vec<Document> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| std::env::var_os("HOME").map(|h| Path::new(&h).join(".cargo")));
    let mut folders = vec![home.expect("CARGO_HOME or HOME is set").join("registry/src")];
    let (mut files, mut bytes) = (Vec::new(), 0);
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<PathBuf> = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| ["rs", "md", "c", "h", "toml", "txt", "py"].iter().any(|x| e == *x))
                && let Ok(text) = std::fs::read_to_string(&path)
            {
                bytes += text.len();
                files.push(Document { path: path.display().to_string(), text });
            }
            if bytes >= BYTES {
                return files;
            }
        }
    }
    files
}

/// The documents of JSON lines: their `text`, and their `uri` where they have one.
pub fn documents(file: &Path) -> Vec<Document> {
    let lines = std::fs::read_to_string(file).expect("a file of JSON lines");
    let document = |line: &str| {
        let value: Value = serde_json::from_str(line).ok()?;
        let path = value.get("uri").and_then(Value::as_str).unwrap_or_default().to_owned();
        Some(Document { path, text: value.get("text")?.as_str()?.to_owned() })
    };
    lines.lines().map(|line| document(line).expect("a line has a text")).collect()
}

/// Seconds since some moment: those in which a processor ran this thread, where the system tells them (Linux), so that what runs beside a
/// bench doesn't count.
pub fn seconds() -> f64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let ns = spent.as_deref().and_then(|s| s.split_whitespace().next()).and_then(|ns| ns.parse::<f64>().ok());
    ns.map_or_else(|| START.elapsed().as_secs_f64(), |ns| ns / 1e9)
}
