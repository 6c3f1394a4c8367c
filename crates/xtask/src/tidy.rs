//! The shape of the tree: what a reader may rely on when looking for something.
//!
//! Each part looks at one kind of file and returns lines of the form `path:line: what is wrong`.

mod mirrors;
mod rust_files;
mod sql_files;
mod texts;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{say, verdict};

/// A text file of the repository.
struct SourceFile {
    /// Path below the root, with `/`.
    path: String,
    text: String,
}

/// The files of the repository that people write.
struct Tree {
    files: Vec<SourceFile>,
}

impl Tree {
    fn read(root: &Path) -> Result<Self> {
        let mut paths = Vec::new();
        list(root, root, &mut paths)?;
        paths.sort();
        let mut files = Vec::new();
        for path in paths {
            let full = root.join(&path);
            let bytes = fs::read(&full).with_context(|| format!("cannot read `{}`", full.display()))?;
            // Files that are not text (golden tensors, images) have nothing to read here.
            if let Ok(text) = String::from_utf8(bytes) {
                files.push(SourceFile { path, text });
            }
        }
        Ok(Self { files })
    }

    fn get(&self, path: &str) -> Option<&SourceFile> {
        self.files.iter().find(|f| f.path == path)
    }

    fn has(&self, path: &str) -> bool {
        self.get(path).is_some()
    }

    /// Files under a folder with an extension.
    fn under<'a>(&'a self, folder: &'a str, extension: &'a str) -> impl Iterator<Item = &'a SourceFile> {
        self.files.iter().filter(move |f| f.path.starts_with(folder) && f.path.ends_with(extension))
    }
}

/// Folders that no one writes by hand, and those whose name starts with a dot, are left out.
fn list(root: &Path, folder: &Path, paths: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list `{}`", folder.display()))? {
        let entry = entry?;
        let path: PathBuf = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let relative = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        let hidden = name.starts_with('.') && ![".ci", ".cargo", ".gitignore"].contains(&name.as_str());
        if hidden || ["target", "lake", "Cargo.lock"].contains(&relative.as_str()) {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            list(root, &path, paths)?;
        } else if kind.is_file() {
            paths.push(relative);
        }
    }
    Ok(())
}

/// Checks the tree.
///
/// # Errors
/// One line a problem, and a count. Long files are only mentioned.
pub fn check(root: &Path) -> Result<()> {
    let tree = Tree::read(root)?;
    rust_files::long_files(&tree).iter().for_each(|l| say(l));
    verdict(&problems(&tree))
}

fn problems(tree: &Tree) -> Vec<String> {
    let mut problems = rust_files::problems(tree);
    problems.extend(sql_files::problems(tree));
    problems.extend(mirrors::problems(tree));
    problems.extend(texts::problems(tree));
    problems
}

#[cfg(test)]
fn tree(files: &[(&str, &str)]) -> Tree {
    Tree { files: files.iter().map(|(p, t)| SourceFile { path: (*p).to_owned(), text: (*t).to_owned() }).collect() }
}
