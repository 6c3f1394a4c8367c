//! Whether a file is text: read whole, judged, and let go.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use polder_base::{Digest, Hasher, digest_bytes, units};

use super::sources::SourceFile;

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Text { digest: Digest },
    Quarantine { reason: &'static str, detail: String },
}

/// A file that was judged.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    pub(super) file: SourceFile,
    pub(super) bytes: u64,
    pub(super) verdict: Verdict,
}

impl Judged {
    pub(super) fn is_text(&self) -> bool {
        matches!(self.verdict, Verdict::Text { .. })
    }

    /// The file's address.
    pub(super) fn uri(&self) -> String {
        uri(&self.file.path)
    }

    /// What is compared with rows that are there: address and content of a text, address and reason of any other.
    pub(super) fn identity(&self) -> u128 {
        match &self.verdict {
            Verdict::Text { digest } => identity(&self.uri(), &digest.to_string()),
            Verdict::Quarantine { reason, .. } => identity(&self.uri(), &format!("{reason} {}", self.bytes)),
        }
    }

    /// The same file, whichever source named it.
    pub(super) fn place(&self) -> u128 {
        identity(&self.uri(), "")
    }
}

/// Digests an address and what stands there to 128 bits: a set of them costs 16 bytes a file.
pub(super) fn identity(uri: &str, what: &str) -> u128 {
    let mut hasher = Hasher::new();
    hasher.field(uri.as_bytes());
    hasher.field(what.as_bytes());
    let bytes = *hasher.finish().bytes();
    bytes[..16].iter().fold(0, |acc, b| acc << 8 | u128::from(*b))
}

/// Writes a path as a `file://` address.
fn uri(path: &Path) -> String {
    let mut uri = String::from("file://");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' | b'+' | b'@' | b',' | b'=' => {
                uri.push(char::from(*byte))
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri
}

/// Judges the files of several packages on all processors; the result has the order of the input.
pub(super) fn judge(packages: Vec<Vec<SourceFile>>, max_file_bytes: u64) -> Vec<Vec<Judged>> {
    let lens: Vec<usize> = packages.iter().map(Vec::len).collect();
    let files: Vec<SourceFile> = packages.into_iter().flatten().collect();
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(files.len()));
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(8);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut mine = Vec::new();
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let Some(file) = files.get(i) else { break };
                    mine.push((i, judge_one(file, max_file_bytes)));
                }
                done.lock().unwrap_or_else(PoisonError::into_inner).append(&mut mine);
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(i, _)| *i);
    let mut done = done.into_iter().map(|(_, judged)| judged);
    lens.into_iter().map(|n| done.by_ref().take(n).collect()).collect()
}

fn judge_one(file: &SourceFile, max_file_bytes: u64) -> Judged {
    let quarantine = |reason, detail: String, bytes| Judged { file: file.clone(), bytes, verdict: Verdict::Quarantine { reason, detail } };
    if let Some(why) = &file.unreadable {
        return quarantine("unreadable", why.clone(), 0);
    }
    if file.bytes > max_file_bytes {
        let detail = format!("{}, more than {}", units::bytes(file.bytes), units::bytes(max_file_bytes));
        return quarantine("too_large", detail, file.bytes);
    }
    match read(&file.path) {
        Ok(text) => {
            let digest = digest_bytes(text.as_bytes());
            Judged { file: file.clone(), bytes: text.len() as u64, verdict: Verdict::Text { digest } }
        }
        Err((reason, detail)) => quarantine(reason, detail, file.bytes),
    }
}

/// Reads a file as text, or says why it is none.
pub(super) fn read(path: &Path) -> Result<String, (&'static str, String)> {
    let bytes = fs::read(path).map_err(|e| ("unreadable", e.to_string()))?;
    if bytes.is_empty() {
        return Err(("empty", "no bytes".to_owned()));
    }
    // NUL is valid UTF-8, but no text: object files and UTF-16 have it early.
    if let Some(at) = bytes.iter().position(|b| *b == 0) {
        return Err(("binary", format!("NUL at byte {at}")));
    }
    let text = String::from_utf8(bytes).map_err(|e| ("not_utf8", format!("invalid at byte {}", e.utf8_error().valid_up_to())))?;
    if text.trim().is_empty() {
        return Err(("empty", "only white space".to_owned()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_keep_odd_names_apart() {
        assert_eq!(uri(Path::new("/a b/ü%.rs")), "file:///a%20b/%C3%BC%25.rs");
        assert_ne!(identity("ab", "c"), identity("a", "bc"));
    }
}
