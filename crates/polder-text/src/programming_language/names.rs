//! Linguist's languages by name, ending, file name and interpreter, from a list that `tests/golden/make_programming_languages.py` makes.

use std::collections::HashMap;
use std::sync::LazyLock;

/// A language of the list; its place there stands for it.
pub(super) type LanguageIdx = u16;

pub(super) struct Names {
    languages: Vec<Language>,
    by_name: HashMap<&'static str, LanguageIdx>,
    by_ending: HashMap<&'static str, Vec<LanguageIdx>>,
    by_file_name: HashMap<String, Vec<LanguageIdx>>,
    by_interpreter: HashMap<&'static str, Vec<LanguageIdx>>,
    by_alias: HashMap<String, LanguageIdx>,
}

struct Language {
    name: &'static str,
    kind: &'static str,
    /// 1 for the most common, larger for less; `u16::MAX` for the many that no table ranks.
    rank: u16,
    first_ending: &'static str,
}

static LIST: &str = include_str!("../../lists/programming_languages.txt");
static NAMES: LazyLock<Names> = LazyLock::new(|| Names::read(LIST));

/// File names that Linguist doesn't list and that are the same everywhere.
const MORE_FILE_NAMES: [(&str, &str); 5] = [
    ("build.bazel", "Starlark"),
    ("workspace.bazel", "Starlark"),
    (".dockerignore", "Ignore List"),
    ("requirements.txt", "Pip Requirements"),
    ("go.work.sum", "Go Checksums"),
];
/// File names that in lower case mean nothing.
const CASE_COUNTS: [&str; 2] = ["BUILD", "ROOT"];
/// Endings that Linguist doesn't list: copybooks, job control and screens of mainframes, and templates of Ansible.
const MORE_ENDINGS: [(&str, &str); 8] = [
    ("cpy", "COBOL"),
    ("jcl", "JCL"),
    ("prc", "JCL"),
    ("text", "Text"),
    ("log", "Text"),
    ("nfo", "Text"),
    ("conf", "INI"),
    ("service", "INI"),
];

impl Names {
    pub(super) fn get() -> &'static Self {
        &NAMES
    }

    fn read(list: &'static str) -> Self {
        let mut names = Self {
            languages: Vec::new(),
            by_name: HashMap::new(),
            by_ending: HashMap::new(),
            by_file_name: HashMap::new(),
            by_interpreter: HashMap::new(),
            by_alias: HashMap::new(),
        };
        for line in list.lines().filter(|l| !l.starts_with('#')) {
            let mut fields = line.split('\t');
            let mut field = || fields.next().unwrap_or_default();
            let (name, kind, rank) = (field(), field(), field().parse().ok().filter(|rank| *rank > 0).unwrap_or(u16::MAX));
            let idx = names.languages.len() as LanguageIdx;
            let endings = field();
            names.languages.push(Language { name, kind, rank, first_ending: parts(endings).next().unwrap_or_default() });
            names.by_name.insert(name, idx);
            parts(endings).for_each(|ending| names.by_ending.entry(ending).or_default().push(idx));
            for file in parts(field()) {
                names.by_file_name.entry(file.to_owned()).or_default().push(idx);
                let lower = file.to_lowercase();
                if lower != file && !CASE_COUNTS.contains(&file) {
                    names.by_file_name.entry(lower).or_default().push(idx);
                }
            }
            parts(field()).for_each(|interpreter| names.by_interpreter.entry(interpreter).or_default().push(idx));
            names.by_alias.insert(name.to_lowercase(), idx);
            parts(field()).for_each(|alias| {
                names.by_alias.entry(alias.to_lowercase()).or_insert(idx);
            });
        }
        for (file, language) in MORE_FILE_NAMES {
            names.by_name.get(language).map(|idx| names.by_file_name.insert(file.to_owned(), vec![*idx]));
        }
        for (ending, language) in MORE_ENDINGS {
            names.by_name.get(language).map(|idx| names.by_ending.entry(ending).or_insert_with(|| vec![*idx]));
        }
        names
    }

    pub(super) fn name(&self, idx: LanguageIdx) -> &'static str {
        self.languages.get(usize::from(idx)).map_or("", |l| l.name)
    }

    pub(super) fn kind(&self, name: &str) -> Option<&'static str> {
        self.languages.get(usize::from(self.idx(name)?)).map(|l| l.kind)
    }

    /// 1 for the most common language; `u16::MAX` for the many that no table ranks.
    pub(super) fn rank(&self, idx: LanguageIdx) -> u16 {
        self.languages.get(usize::from(idx)).map_or(u16::MAX, |l| l.rank)
    }

    /// How many times more common a language is than those that no table ranks, roughly; at most 20.
    pub(super) fn how_common(&self, idx: LanguageIdx) -> f32 {
        1.0 + 200.0 / (f32::from(self.rank(idx)) + 10.0)
    }

    /// Whether a file's ending is the language's first one.
    pub(super) fn is_first_ending(&self, idx: LanguageIdx, file: &str) -> bool {
        let ending = self.languages.get(usize::from(idx)).map_or("", |l| l.first_ending);
        let stem = file
            .len()
            .checked_sub(ending.len())
            .and_then(|at| file.get(at..).filter(|e| e.eq_ignore_ascii_case(ending)).and(file.get(..at)));
        !ending.is_empty() && stem.is_some_and(|stem| stem.ends_with('.'))
    }

    pub(super) fn idx(&self, name: &str) -> Option<LanguageIdx> {
        self.by_name.get(name).copied()
    }

    /// The languages of a file's name, and none where it is an ending that decides.
    pub(super) fn of_file_name(&self, name: &str) -> &[LanguageIdx] {
        let found = self.by_file_name.get(name).or_else(|| self.by_file_name.get(&name.to_lowercase()));
        found.map_or(&[], Vec::as_slice)
    }

    /// The languages of the longest known ending: of `a.html.erb`, `html.erb` before `erb`.
    pub(super) fn of_ending(&self, name: &str) -> &[LanguageIdx] {
        let name = name.to_lowercase();
        let mut rest = name.as_str();
        while let Some((_, ending)) = rest.split_once('.') {
            if let Some(found) = self.by_ending.get(ending) {
                return found;
            }
            rest = ending;
        }
        &[]
    }

    /// The languages that a program runs; a version at its end is not part of its name.
    pub(super) fn of_interpreter(&self, program: &str) -> &[LanguageIdx] {
        let short = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
        let found = self.by_interpreter.get(program).or_else(|| self.by_interpreter.get(short));
        found.map_or(&[], Vec::as_slice)
    }

    /// The language that an editor calls so.
    pub(super) fn of_alias(&self, alias: &str) -> Option<LanguageIdx> {
        self.by_alias.get(&alias.to_lowercase()).copied()
    }

    #[cfg(test)]
    pub(super) fn all(&self) -> impl Iterator<Item = &'static str> {
        self.languages.iter().map(|l| l.name)
    }
}

fn parts(field: &'static str) -> impl Iterator<Item = &'static str> {
    field.split('|').filter(|part| !part.is_empty())
}
