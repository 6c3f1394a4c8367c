//! Sources as users write them: paths, `file://` and `http(s)://` addresses, and patterns with `*`, `?` and `**`.

use std::fs;
use std::path::{Component, Path, PathBuf};

use url::Url;

use crate::database::Address;
use crate::{IngestError, without_secrets};

/// One source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A file or folder that exists.
    Path(PathBuf),
    /// A page or file on the web.
    Web(Url),
    /// An object, or a prefix, of an object store.
    Store(Url),
    /// A database.
    Database(Box<Address>),
}

/// Resolves sources into addresses and existing files and folders, sorted within each pattern.
pub(crate) fn expand(sources: &[String]) -> Result<Vec<Source>, IngestError> {
    let mut all = Vec::new();
    for source in sources {
        if let Some(address) = Address::parse(source)? {
            all.push(Source::Database(Box::new(address)));
            continue;
        }
        let unsupported = || IngestError::Unsupported { source_name: without_secrets(source) };
        let path = match source.split_once("://") {
            Some(("file", path)) => path,
            Some(("http" | "https", _)) => {
                let url = Url::parse(source).map_err(|_| unsupported())?;
                all.push(Source::Web(url));
                continue;
            }
            Some(("s3" | "gs" | "az", _)) => {
                let url = Url::parse(source).map_err(|_| unsupported())?;
                // Credentials come from the environment.
                if !url.username().is_empty() || url.password().is_some() {
                    return Err(unsupported());
                }
                all.push(Source::Store(url));
                continue;
            }
            Some(_) => return Err(unsupported()),
            None => source,
        };
        let path = Path::new(path);
        // A name that exists is never a pattern, whatever letters it has.
        let found = if path.exists() { vec![path.to_owned()] } else { matching(path) };
        if found.is_empty() {
            return Err(IngestError::Absent { source_name: source.clone() });
        }
        for path in found {
            let path = path.canonicalize().map_err(|source| IngestError::List { path, source })?;
            all.push(Source::Path(path));
        }
    }
    Ok(all)
}

fn matching(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        let Component::Normal(part) = component else {
            found.iter_mut().for_each(|p| p.push(component));
            continue;
        };
        let part = part.to_string_lossy();
        found = match part.as_ref() {
            "**" => found.iter().flat_map(|p| below(p)).collect(),
            part if part.contains(['*', '?']) => {
                let part: Vec<char> = part.chars().collect();
                let fits = |path: &PathBuf| path.file_name().is_some_and(|n| fits(&part, &n.to_string_lossy().chars().collect::<Vec<_>>()));
                found.iter().flat_map(|p| children(p)).filter(fits).collect()
            }
            part => found.into_iter().map(|p| p.join(part)).filter(|p| p.exists()).collect(),
        };
    }
    found.retain(|p| !p.as_os_str().is_empty());
    found.sort();
    found.dedup();
    found
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_link = |e: &fs::DirEntry| e.file_type().is_ok_and(|t| t.is_symlink());
    entries.filter(|e| !e.file_name().to_string_lossy().starts_with('.') && !is_link(e)).map(|e| e.path()).collect()
}

/// The folder itself and every folder below it.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut all = vec![folder.to_owned()];
    let mut i = 0;
    while i < all.len() {
        let deeper = children(&all[i]).into_iter().filter(|p| p.is_dir() && !p.is_symlink());
        all.extend(deeper.collect::<Vec<_>>());
        i += 1;
    }
    all
}

/// Matches `*` (any letters) and `?` (one letter) within one name.
fn fits(pattern: &[char], name: &[char]) -> bool {
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        if p < pattern.len() && pattern[p] == '*' {
            star = Some((p, n));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == '?' || pattern[p] == name[n]) {
            (p, n) = (p + 1, n + 1);
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            (p, n) = (at + 1, from + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        let of = |p: &str, n: &str| fits(&p.chars().collect::<Vec<_>>(), &n.chars().collect::<Vec<_>>());
        assert!(of("*.rs", "lib.rs") && of("a*b*c", "aXbYbc") && of("?.md", "x.md") && of("*", ""));
        assert!(!of("*.rs", "lib.md") && !of("?", "ab") && !of("a*c", "ab"));
    }

    #[test]
    fn passwords_do_not_reach_messages() {
        let error = expand(&["ftp://me:secret@host/x@y".to_owned()]).expect_err("refused");
        assert_eq!(
            error.to_string(),
            "only files, folders, http(s) addresses, object stores and databases can be read, not `ftp://host/x@y`"
        );
    }

    fn paths(pattern: &Path) -> Vec<PathBuf> {
        let found = expand(&[pattern.to_string_lossy().into_owned()]).unwrap_or_default();
        let path = |s| match s {
            Source::Path(path) => path,
            other => panic!("{other:?}"),
        };
        found.into_iter().map(path).collect()
    }

    #[test]
    fn a_pattern_names_folders_and_files_in_order() {
        let dir = tempfile::tempdir().expect("temporary folder");
        for path in ["b/x.txt", "a/y.txt", "a/deep/z.txt", ".hidden/n.txt"] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().expect("parent")).expect("folder");
            fs::write(path, "t").expect("file");
        }
        let of = |pattern: &str| -> Vec<String> {
            let root = dir.path().canonicalize().expect("root");
            paths(&dir.path().join(pattern)).iter().map(|p| p.strip_prefix(&root).expect("below").to_string_lossy().into_owned()).collect()
        };
        assert_eq!(of("*"), ["a", "b"]);
        assert_eq!(of("**/*.txt"), ["a/deep/z.txt", "a/y.txt", "b/x.txt"]);
        assert!(of("*.pdf").is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn a_pattern_follows_no_link_out_of_its_folder() {
        let dir = tempfile::tempdir().expect("temporary folder");
        for folder in ["in", "out"] {
            fs::create_dir(dir.path().join(folder)).expect("folder");
            fs::write(dir.path().join(folder).join("a.md"), "t").expect("file");
        }
        std::os::unix::fs::symlink(dir.path().join("out"), dir.path().join("in/link")).expect("link");
        assert_eq!(paths(&dir.path().join("in/*")), [dir.path().canonicalize().expect("root").join("in/a.md")]);
    }
}
