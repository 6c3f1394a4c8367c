//! Licences by the names that people give them: `Apache License, Version 2.0`, `GPLv3+`, `BSD 3-Clause`, `CC BY-SA 4.0`.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::expression::{Expression, license_by_id};

/// Longest value that is read as a name, in bytes.
const NAME_BYTES_MAX: usize = 300;

/// Names in lower-case words; the stem of the identifier; and the version if none is given: a version, `-` where there are no versions,
/// or nothing where a name without version names no licence.
const NAMES: &[(&str, &str, &str)] = &[
    ("0 bsd", "0BSD", "-"),
    ("academic free", "AFL", ""),
    ("afl", "AFL", ""),
    ("apache", "Apache", "2.0"),
    ("apache software", "Apache", "2.0"),
    ("artistic", "Artistic", ""),
    ("asl", "Apache", ""),
    ("blue oak model", "BlueOak", "1.0.0"),
    ("boost", "BSL", "1.0"),
    ("bsl", "BSL", ""),
    ("boost software", "BSL", "1.0"),
    ("bsd 0 clause", "0BSD", "-"),
    ("bsd zero clause", "0BSD", "-"),
    ("zero clause bsd", "0BSD", "-"),
    ("bsd 1 clause", "BSD-1-Clause", "-"),
    ("bsd 2", "BSD-2-Clause", "-"),
    ("bsd 2 clause", "BSD-2-Clause", "-"),
    ("2 clause bsd", "BSD-2-Clause", "-"),
    ("two clause bsd", "BSD-2-Clause", "-"),
    ("bsd two clause", "BSD-2-Clause", "-"),
    ("simplified bsd", "BSD-2-Clause", "-"),
    ("bsd 3", "BSD-3-Clause", "-"),
    ("bsd 3 clause", "BSD-3-Clause", "-"),
    ("3 clause bsd", "BSD-3-Clause", "-"),
    ("three clause bsd", "BSD-3-Clause", "-"),
    ("bsd three clause", "BSD-3-Clause", "-"),
    ("new bsd", "BSD-3-Clause", "-"),
    ("modified bsd", "BSD-3-Clause", "-"),
    ("revised bsd", "BSD-3-Clause", "-"),
    ("bsd 4 clause", "BSD-4-Clause", "-"),
    ("4 clause bsd", "BSD-4-Clause", "-"),
    ("four clause bsd", "BSD-4-Clause", "-"),
    ("original bsd", "BSD-4-Clause", "-"),
    ("business source", "BUSL", "1.1"),
    ("busl", "BUSL", "1.1"),
    ("bzip 2", "bzip2-1.0.6", "-"),
    ("cc 0", "CC0", "1.0"),
    ("creative commons zero", "CC0", "1.0"),
    ("creative commons cc 0", "CC0", "1.0"),
    ("creativecommons org publicdomain zero", "CC0", "1.0"),
    ("creativecommons org publicdomain mark", "CC-PDM", "1.0"),
    ("cddl", "CDDL", ""),
    ("common development and distribution", "CDDL", ""),
    ("cdla permissive", "CDLA-Permissive", ""),
    ("cdla sharing", "CDLA-Sharing", ""),
    ("cecill", "CECILL", ""),
    ("cecill b", "CECILL-B", "-"),
    ("cecill c", "CECILL-C", "-"),
    ("curl", "curl", "-"),
    ("do what the fuck you want to", "WTFPL", "-"),
    ("eclipse", "EPL", ""),
    ("eclipse distribution", "BSD-3-Clause", "-"),
    ("edl", "BSD-3-Clause", "-"),
    ("elastic", "Elastic", "2.0"),
    ("epl", "EPL", ""),
    ("eupl", "EUPL", ""),
    ("european union", "EUPL", ""),
    ("expat", "MIT", "-"),
    ("gnu free documentation", "GFDL", ""),
    ("gfdl", "GFDL", ""),
    ("hpnd", "HPND", "-"),
    ("historical permission notice and disclaimer", "HPND", "-"),
    ("isc", "ISC", "-"),
    ("iscl", "ISC", "-"),
    ("libpng", "Libpng", "-"),
    ("lppl", "LPPL", ""),
    ("latex project", "LPPL", ""),
    ("microsoft public", "MS-PL", "-"),
    ("ms pl", "MS-PL", "-"),
    ("microsoft reciprocal", "MS-RL", "-"),
    ("ms rl", "MS-RL", "-"),
    ("mit", "MIT", "-"),
    ("mit 0", "MIT-0", "-"),
    ("mit no attribution", "MIT-0", "-"),
    ("mit x 11", "MIT", "-"),
    ("mozilla", "MPL", ""),
    ("mozilla org mpl", "MPL", ""),
    ("mpl", "MPL", ""),
    ("mplv", "MPL", ""),
    ("mulan psl", "MulanPSL", "2.0"),
    ("mulan permissive software", "MulanPSL", "2.0"),
    ("ncsa", "NCSA", "-"),
    ("university of illinois ncsa open source", "NCSA", "-"),
    ("odbl", "ODbL", "1.0"),
    ("open database", "ODbL", "1.0"),
    ("open data commons open database", "ODbL", "1.0"),
    ("open data commons attribution", "ODC-By", "1.0"),
    ("odc by", "ODC-By", "1.0"),
    ("open government", "OGL-UK", ""),
    ("ofl", "OFL", "1.1"),
    ("open font", "OFL", "1.1"),
    ("sil open font", "OFL", "1.1"),
    ("sil ofl", "OFL", "1.1"),
    ("open software", "OSL", ""),
    ("osl", "OSL", ""),
    ("openssl", "OpenSSL", "-"),
    ("pddl", "PDDL", "1.0"),
    ("php", "PHP", ""),
    ("polyform noncommercial", "PolyForm-Noncommercial", "1.0.0"),
    ("polyform small business", "PolyForm-Small-Business", "1.0.0"),
    ("postgresql", "PostgreSQL", "-"),
    ("psf", "PSF-2.0", "-"),
    ("psfl", "PSF-2.0", "-"),
    ("python software foundation", "PSF-2.0", "-"),
    ("ruby", "Ruby", "-"),
    ("same terms as perl", "Artistic-1.0-Perl OR GPL-1.0-or-later", "-"),
    ("server side", "SSPL", "1.0"),
    ("sspl", "SSPL", "1.0"),
    ("unlicense", "Unlicense", "-"),
    ("unicode", "Unicode-3.0", "-"),
    ("universal permissive", "UPL", "1.0"),
    ("upl", "UPL", "1.0"),
    ("vim", "Vim", "-"),
    ("wtfpl", "WTFPL", "-"),
    ("x 11", "X11", "-"),
    ("zlib", "Zlib", "-"),
    ("zlib libpng", "Zlib", "-"),
    ("zope", "ZPL", ""),
    ("zpl", "ZPL", ""),
];

/// Names that are also plain words, and name a licence only before the word: `the Ruby license`, but not `written in Ruby`.
const PLAIN_WORDS: &[&str] = &[
    "apache",
    "boost",
    "curl",
    "eclipse",
    "elastic",
    "expat",
    "mozilla",
    "openssl",
    "php",
    "postgresql",
    "ruby",
    "unicode",
    "vim",
    "zope",
];

/// The GNU licences by the words for them.
const GNU: &[(&str, &str)] = &[
    ("agpl", "AGPL"),
    ("agplv", "AGPL"),
    ("gpl", "GPL"),
    ("gplv", "GPL"),
    ("lgpl", "LGPL"),
    ("lgplv", "LGPL"),
    ("affero general public", "AGPL"),
    ("affero gpl", "AGPL"),
    ("general public", "GPL"),
    ("lesser general public", "LGPL"),
    ("lesser gpl", "LGPL"),
    ("library general public", "LGPL"),
    ("library or lesser general public", "LGPL"),
    ("lesser or library general public", "LGPL"),
];

/// Words between the name and its version.
const BEFORE_VERSION: &[&str] =
    &["license", "licence", "licenses", "public", "v", "ver", "version", "versions", "software", "international", "unported", "generic"];

type Named = (Vec<&'static str>, &'static str, &'static str);

/// Names by their first word, the longest first.
static BY_FIRST_WORD: LazyLock<HashMap<&'static str, Vec<Named>>> = LazyLock::new(|| {
    let mut by_word: HashMap<&str, Vec<Named>> = HashMap::new();
    for (name, stem, default) in NAMES {
        let words: Vec<&str> = name.split(' ').collect();
        if let Some(first) = words.first() {
            by_word.entry(first).or_default().push((words, stem, default));
        }
    }
    by_word.values_mut().for_each(|names| names.sort_by_key(|(words, ..)| std::cmp::Reverse(words.len())));
    by_word
});

/// A licence that words name, and how many of them.
pub(super) struct Name {
    pub(super) license: Expression,
    pub(super) n_words: usize,
}

/// The words of a text in lower case: runs of letters, runs of digits, `+` behind a word, and `>=`.
pub(super) fn name_words(lower: &str) -> Vec<(usize, &str)> {
    let bytes = lower.as_bytes();
    let (mut words, mut at) = (Vec::new(), 0);
    while let Some(b) = bytes.get(at) {
        let n = if b.is_ascii_digit() {
            run(bytes, at, |b| b.is_ascii_digit())
        } else if b.is_ascii_alphabetic() || *b >= 0x80 {
            run(bytes, at, |b| b.is_ascii_alphabetic() || b >= 0x80)
        } else if *b == b'+' && at > 0 && bytes.get(at - 1).is_some_and(u8::is_ascii_alphanumeric) {
            1
        } else if bytes.get(at..at + 2) == Some(b">=") {
            2
        } else {
            at += 1;
            continue;
        };
        words.extend(lower.get(at..at + n).map(|w| (at, w)));
        at += n;
    }
    words
}

fn run(bytes: &[u8], at: usize, fits: impl Fn(u8) -> bool) -> usize {
    bytes.iter().skip(at).take_while(|b| fits(**b)).count()
}

/// The licence that the words begin with.
pub(super) fn name_at(words: &[&str]) -> Option<Name> {
    let first = *words.first()?;
    if first == "gnu" && words.get(1).is_some_and(|w| *w != "free") {
        return name_at(words.get(1..)?).map(|name| Name { n_words: name.n_words + 1, ..name });
    }
    if let Some(name) = gnu(words).or_else(|| creative_commons(words)) {
        return Some(name);
    }
    for (name, stem, default) in BY_FIRST_WORD.get(first)? {
        if words.get(..name.len()) != Some(name.as_slice()) {
            continue;
        }
        let rest = words.get(name.len()..)?;
        let is_licensed = rest.first().is_none_or(|w| BEFORE_VERSION.contains(w) || is_number(w) || ["or", "and", "style"].contains(w));
        let is_institute = first == "mit" && rest.first().is_some_and(|w| ["press", "university", "media", "lab"].contains(w));
        if PLAIN_WORDS.contains(&first) && !is_licensed || is_institute {
            return None;
        }
        let license_word = usize::from(rest.first().is_some_and(|w| matches!(*w, "license" | "licence")));
        if *default == "-" {
            return Some(Name { license: Expression::parse(stem)?, n_words: name.len() + license_word });
        }
        let (version, n) = version(rest).map_or(((*default).to_string(), license_word), |(v, n)| (v, n));
        return with_version(stem, &version).map(|license| Name { license, n_words: name.len() + n });
    }
    None
}

/// `Apache` and `2` are Apache-2.0: the first of the spellings that exists.
fn with_version(stem: &str, version: &str) -> Option<Expression> {
    // The Business Source License calls itself BSL, too.
    let stem = if stem == "BSL" && version == "1.1" { "BUSL" } else { stem };
    let spellings = [format!("{stem}-{version}"), format!("{stem}-{version}.0"), format!("{stem}-{version}c")];
    spellings.iter().find_map(|id| license_by_id(id))
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.len() <= 2 && word.bytes().all(|b| b.is_ascii_digit())
}

/// A version near the beginning of the words, and how many words it took.
fn version(words: &[&str]) -> Option<(String, usize)> {
    let skipped = words.iter().take(4).take_while(|w| BEFORE_VERSION.contains(w)).count();
    let major = words.get(skipped).filter(|w| is_number(w) && w.len() == 1)?;
    let minor = words.get(skipped + 1).filter(|w| w.len() == 1 && is_number(w));
    let patch = words.get(skipped + 2).filter(|w| minor.is_some() && **w == "0");
    let mut version = (*major).to_string();
    for part in minor.iter().chain(&patch) {
        version.push('.');
        version.push_str(part);
    }
    let n_parts = 1 + usize::from(minor.is_some()) + usize::from(patch.is_some());
    Some((version, skipped + n_parts))
}

/// Whether the words grant later versions, and how many words say so.
pub(super) fn later(words: &[&str]) -> usize {
    let ways: [&[&str]; 10] = [
        &["+"],
        &["or", "later"],
        &["or", "newer"],
        &["or", "above"],
        &["or", "higher"],
        &["or", "greater"],
        &["and", "later"],
        &["or", "any", "later"],
        &["or", "at", "your", "option", "any", "later"],
        &["and", "above"],
    ];
    ways.iter().find(|way| words.starts_with(way)).map_or(0, |way| way.len())
}

fn gnu(words: &[&str]) -> Option<Name> {
    let fits = |(name, _): &&(&str, &str)| {
        name.split(' ').zip(words.iter().copied().map(Some).chain(std::iter::repeat(None))).all(|(a, b)| Some(a) == b)
    };
    let (name, stem) = GNU.iter().find(fits)?;
    let mut n = name.split(' ').count();
    if name.ends_with("public") && !words.get(n).is_some_and(|w| matches!(*w, "license" | "licence")) {
        return None;
    }
    let at_least = words.get(n..)?.iter().take(2).position(|w| *w == ">=");
    n += at_least.map_or(0, |i| i + 1);
    // `GPL (GPLv3)`, and the word itself before a version.
    let Some((number, n_version)) = version(words.get(n..)?) else {
        let license_word = words.get(n).is_some_and(|w| matches!(*w, "license" | "licence"));
        let lowest = if *stem == "LGPL" { "2.0" } else { "1.0" };
        // Without a version, any may be chosen: section 9 of version 2.
        let license = license_by_id(&format!("{stem}-{lowest}-or-later"))?;
        return Some(Name { license, n_words: n + usize::from(license_word) });
    };
    n += n_version;
    let n_later = later(words.get(n..)?);
    let only = words.get(n).is_some_and(|w| *w == "only");
    n += n_later + usize::from(only);
    let number = if number.contains('.') { number } else { format!("{number}.0") };
    let grant = if n_later > 0 || at_least.is_some() { "or-later" } else { "only" };
    Some(Name { license: license_by_id(&format!("{stem}-{number}-{grant}"))?, n_words: n })
}

/// `cc by nc sa 4 0`, `creative commons attribution sharealike 4 0 international`, `creativecommons org licenses by 4 0`.
fn creative_commons(words: &[&str]) -> Option<Name> {
    let mut n = match words {
        ["cc", "by", ..] => 1,
        ["creative", "commons", "attribution" | "by" | "cc", ..] => 2,
        ["creativecommons", "org", "licenses", ..] => 3,
        ["attribution", ..] => 0,
        _ => return None,
    };
    let (mut by, mut nc, mut sa, mut nd) = (false, false, false, false);
    while let Some(word) = words.get(n) {
        match *word {
            "by" | "attribution" => by = true,
            "nc" | "noncommercial" => nc = true,
            "non" if words.get(n + 1) == Some(&"commercial") => nc = true,
            "sa" | "sharealike" => sa = true,
            "share" if words.get(n + 1) == Some(&"alike") => sa = true,
            "nd" | "noderivs" | "noderivatives" => nd = true,
            "no" if matches!(words.get(n + 1), Some(&"derivs" | &"derivatives" | &"derivative")) => nd = true,
            "commercial" | "alike" | "derivs" | "derivatives" | "derivative" | "works" | "cc" => {}
            _ => break,
        }
        n += 1;
    }
    let (number, n_version) = version(words.get(n..)?).filter(|_| by || nc || sa || nd)?;
    let mut id = String::from("CC");
    for (is, part) in [(by, "-BY"), (nc, "-NC"), (nd, "-ND"), (sa, "-SA")] {
        id.push_str(if is { part } else { "" });
    }
    n += n_version;
    let number = if number.contains('.') { number } else { format!("{number}.0") };
    let port = words.get(n).filter(|w| w.len() <= 3).map(|w| format!("{id}-{number}-{w}"));
    if let Some(license) = port.and_then(|id| license_by_id(&id)) {
        return Some(Name { license, n_words: n + 1 });
    }
    let license = license_by_id(&format!("{id}-{number}"))?;
    let of = ["international", "unported", "generic", "license", "licence", "public"];
    n += words.get(n..)?.iter().take(3).take_while(|w| of.contains(w)).count();
    Some(Name { license, n_words: n })
}

/// Words in the value of a field that name no licence and take none back.
const AROUND: &[&str] = &[
    "the",
    "a",
    "license",
    "licence",
    "licensed",
    "licenses",
    "under",
    "file",
    "+",
    "see",
    "approved",
    "osi",
    "terms",
    "of",
    "version",
    "style",
    "international",
    "public",
    "universal",
    "domain",
    "dedication",
    "simplified",
    "new",
    "revised",
    "modified",
    "open",
    "source",
];

/// The licence that a whole value names: an expression, an address, or names with nothing else but an empty word or a holder around.
pub(super) fn by_name(value: &str) -> Option<Expression> {
    let value = value.trim();
    if value.is_empty() || value.len() > NAME_BYTES_MAX {
        return None;
    }
    if let Some(parsed) = Expression::parse(value) {
        return Some(parsed);
    }
    if value.contains("://") && !value.contains(char::is_whitespace) {
        return super::link::by_address(value);
    }
    // `MIT © Jane Doe`
    let end =
        ["©", "(c) ", "Copyright", " - see", " — see", ", see", ". See"].iter().filter_map(|m| value.find(m)).filter(|n| *n > 0).min();
    let lower = value.get(..end.unwrap_or(value.len()))?.to_ascii_lowercase().replace(['|', '/'], " or ");
    let words: Vec<&str> = name_words(&lower).into_iter().map(|(_, w)| w).collect();
    let (mut at, mut found, mut all) = (0, Vec::new(), false);
    while let Some(word) = words.get(at) {
        if let Some(name) = name_at(words.get(at..)?) {
            found.push(name.license);
            at += name.n_words;
        } else if matches!(*word, "or" | "and" | "either" | "both" | "dual") || AROUND.contains(word) {
            all |= *word == "and";
            at += 1;
        } else {
            return None;
        }
    }
    Expression::join(repeated(found), all)
}

/// `GNU General Public License v3 (GPLv3)` names one licence twice.
fn repeated(found: Vec<Expression>) -> Vec<Expression> {
    let mut out: Vec<Expression> = Vec::new();
    for license in found {
        if !out.contains(&license) {
            out.push(license);
        }
    }
    out
}
