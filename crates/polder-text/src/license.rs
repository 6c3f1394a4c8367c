//! Under which licence a text stands, or which licence it is.
//!
//! Three kinds of evidence, the strongest first: a line `SPDX-License-Identifier:`, the licence field of a package manifest, the
//! whole text of a licence. Whole texts are known by hashes of three-word runs (see `lists/licenses.txt` and the
//! script that makes it), so a changed name or another line width doesn't matter; short notices by their words.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use crate::minhash::each_shingle;
use crate::words::words;

/// Words in a shingle of a fingerprint.
const NGRAM: usize = 3;
/// The share of a fingerprint that must be there.
const SHARE_MIN: f64 = 0.75;
/// How far below the best a longer licence may score and still be the better answer (one contains the other).
const CONTAINED_SLACK: f64 = 0.03;

/// A licence and how sure the finding is.
#[derive(Clone, Debug, PartialEq)]
pub struct LicenseMatch {
    /// An SPDX identifier or expression.
    pub spdx: String,
    /// 1 for a declaration, the share of the licence's wording for a whole text, 0.7 for a notice in words.
    pub score: f64,
}

struct Fingerprint {
    spdx: &'static str,
    n_shingles: usize,
    n_kept: usize,
}

struct Fingerprints {
    licenses: Vec<Fingerprint>,
    /// Which licences hold a shingle.
    holders: HashMap<u32, Vec<u16>>,
}

static FINGERPRINTS: LazyLock<Fingerprints> = LazyLock::new(|| {
    let mut all = Fingerprints { licenses: Vec::new(), holders: HashMap::new() };
    for line in include_str!("../lists/licenses.txt").lines().filter(|l| !l.starts_with('#')) {
        let mut fields = line.split(' ');
        let (Some(spdx), Some(Ok(n_shingles))) = (fields.next(), fields.next().map(str::parse)) else { continue };
        let hashes: Vec<u32> = fields.filter_map(|h| u32::from_str_radix(h, 16).ok()).collect();
        let n = all.licenses.len() as u16;
        hashes.iter().for_each(|h| all.holders.entry(*h).or_default().push(n));
        all.licenses.push(Fingerprint { spdx, n_shingles, n_kept: hashes.len() });
    }
    all
});

/// Words without which no licence is named; most texts have none of them.
static HINTS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let hints = ["licens", "licence", "permission", "warrant", "redistribut", "public domain"];
    AhoCorasick::builder().ascii_case_insensitive(true).build(hints).ok()
});

/// Notices by their words in lower case with single spaces. The first that is found decides.
const NOTICES: &[(&str, &str)] = &[
    ("licensed under either of apache license version 2 0", "MIT OR Apache-2.0"),
    ("dual licensed under mit and apache", "MIT OR Apache-2.0"),
    ("dual licensed under the mit and apache", "MIT OR Apache-2.0"),
    ("licensed under the apache license version 2 0 license apache or the mit license", "MIT OR Apache-2.0"),
    ("under the terms of both the mit license and the apache license", "MIT OR Apache-2.0"),
    ("licensed under the apache license version 2 0", "Apache-2.0"),
    ("subject to the terms of the mozilla public license v 2 0", "MPL-2.0"),
    ("gnu affero general public license as published by the free software foundation either version 3", "AGPL-3.0-or-later"),
    ("gnu lesser general public license as published by the free software foundation either version 3", "LGPL-3.0-or-later"),
    ("gnu lesser general public license as published by the free software foundation either version 2 1", "LGPL-2.1-or-later"),
    ("gnu general public license as published by the free software foundation either version 3", "GPL-3.0-or-later"),
    ("gnu general public license as published by the free software foundation either version 2", "GPL-2.0-or-later"),
    ("gnu general public license version 2 as published by the free software foundation", "GPL-2.0-only"),
    ("licensed under the mit license", "MIT"),
    ("released under the mit license", "MIT"),
    ("distributed under the boost software license version 1 0", "BSL-1.0"),
];

/// Identifiers that a manifest's field may hold; others are not taken for a declaration.
const KNOWN: &[&str] = &[
    "0BSD",
    "AFL-3.0",
    "AGPL-3.0",
    "AGPL-3.0-only",
    "AGPL-3.0-or-later",
    "Apache-2.0",
    "Artistic-2.0",
    "BlueOak-1.0.0",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC-BY-SA-4.0",
    "CDDL-1.0",
    "CDLA-Permissive-2.0",
    "EPL-1.0",
    "EPL-2.0",
    "EUPL-1.2",
    "GPL-2.0",
    "GPL-2.0-only",
    "GPL-2.0-or-later",
    "GPL-3.0",
    "GPL-3.0-only",
    "GPL-3.0-or-later",
    "ISC",
    "LGPL-2.1",
    "LGPL-2.1-only",
    "LGPL-2.1-or-later",
    "LGPL-3.0",
    "LGPL-3.0-only",
    "LGPL-3.0-or-later",
    "LLVM-exception",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "NCSA",
    "OFL-1.1",
    "OpenSSL",
    "PostgreSQL",
    "Python-2.0",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "UPL-1.0",
    "WTFPL",
    "Zlib",
    "bzip2-1.0.6",
    "Classpath-exception-2.0",
];

/// Names the licence of a text, or none.
pub fn license(text: &str) -> Option<LicenseMatch> {
    HINTS.as_ref()?.find(text)?;
    if let Some(spdx) = declared(text) {
        return Some(LicenseMatch { spdx, score: 1.0 });
    }
    let whole = whole_text(text);
    if whole.as_ref().is_some_and(|m| m.score >= SHARE_MIN) {
        return whole;
    }
    if let Some(spdx) = manifest_field(text) {
        return Some(LicenseMatch { spdx, score: 0.95 });
    }
    notice(text).map(|spdx| LicenseMatch { spdx: spdx.to_string(), score: 0.7 })
}

/// The expressions of `SPDX-License-Identifier:` lines; several different ones all apply.
fn declared(text: &str) -> Option<String> {
    let mut found: Vec<String> = Vec::new();
    for (at, mark) in text.match_indices("SPDX-License-Identifier:") {
        let line = text.get(at + mark.len()..)?.lines().next()?;
        let end = line
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, ' ' | '.' | '+' | '-' | '(' | ')' | ':' | '/')))
            .unwrap_or(line.len());
        let spdx = line.get(..end)?.trim().trim_end_matches(['/', '-', '.']).trim().replace('/', " OR ");
        if spdx.chars().any(|c| c.is_ascii_alphabetic()) && spdx.len() <= 200 && found.len() < 16 && !found.contains(&spdx) {
            found.push(spdx);
        }
    }
    let bracket = |s: &String| if s.contains(" OR ") { format!("({s})") } else { s.clone() };
    match found.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        many => Some(many.iter().map(bracket).collect::<Vec<_>>().join(" AND ")),
    }
}

/// `license = "…"` or `"license": "…"` at the start of a line, with identifiers that exist.
fn manifest_field(text: &str) -> Option<String> {
    for line in text.lines() {
        let line = line.trim_start();
        let value = line.strip_prefix("license = ").or_else(|| line.strip_prefix("\"license\":"));
        let Some(value) = value.and_then(|v| v.trim().strip_prefix('"')).and_then(|v| v.split_once('"')) else { continue };
        let spdx = value.0.replace('/', " OR ");
        let spdx = spdx.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut ids = spdx.split(' ').filter(|w| !matches!(*w, "OR" | "AND" | "WITH")).map(|w| w.trim_matches(['(', ')'])).peekable();
        if ids.peek().is_some() && ids.all(|id| KNOWN.contains(&id)) {
            return Some(spdx);
        }
    }
    None
}

/// The licence of which most wording is there.
fn whole_text(text: &str) -> Option<LicenseMatch> {
    let prints = &*FINGERPRINTS;
    let mut seen: HashSet<u32> = HashSet::new();
    each_shingle(text, NGRAM, |s| {
        let hash = (s >> 32) as u32;
        if prints.holders.contains_key(&hash) {
            seen.insert(hash);
        }
    });
    let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
    for hash in &seen {
        prints.holders.get(hash)?.iter().for_each(|n| *counts.entry(*n).or_default() += 1);
    }
    let scored = counts.iter().filter_map(|(n, count)| {
        let print = prints.licenses.get(usize::from(*n))?;
        Some((*count as f64 / print.n_kept as f64, print))
    });
    let scored: Vec<(f64, &Fingerprint)> = scored.collect();
    let best = scored.iter().map(|(s, _)| *s).fold(0.0, f64::max);
    let (score, print) = scored.iter().filter(|(s, _)| *s >= best - CONTAINED_SLACK).max_by_key(|(_, p)| p.n_shingles)?;
    Some(LicenseMatch { spdx: print.spdx.to_string(), score: *score })
}

fn notice(text: &str) -> Option<&'static str> {
    static PATTERNS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| AhoCorasick::new(NOTICES.iter().map(|(words, _)| *words)).ok());
    let mut flat = String::with_capacity(text.len());
    for word in words(text) {
        flat.push_str(&text.get(word.start..word.end)?.to_ascii_lowercase());
        flat.push(' ');
    }
    let first = PATTERNS.as_ref()?.find_overlapping_iter(&flat).map(|m| m.pattern().as_usize()).min()?;
    NOTICES.get(first).map(|(_, spdx)| *spdx)
}
