//! Sentences by which a file or a project puts itself under a licence: file headers, and what readmes say.
//!
//! A sentence counts if it speaks of itself (`this file is …`, `Licensed under …`, or under a heading `License`), so that prose
//! about the licences of others names none.

use super::expression::{Expression, license_by_id};
use super::names::{later, name_at, name_words};

/// How many words of a sentence are looked at before and behind the word `under`.
const SUBJECT_WORDS_MAX: usize = 16;
const NAMES_WORDS_MAX: usize = 80;
/// Words of no name that may stand between two names.
const GAP_WORDS_MAX: usize = 18;
/// How far a heading may be above the sentence, in bytes.
const HEADING_BYTES_MAX: usize = 400;

const VERBS: &[&str] = &[
    "licensed",
    "licenced",
    "relicensed",
    "released",
    "distributed",
    "published",
    "available",
    "provided",
    "governed",
    "covered",
    "redistributed",
    "made",
    "subject",
    "shared",
    "offered",
];
const BEFORE_VERB: &[&str] = &["dual", "dually", "double", "is", "are", "also", "and", "jointly", "all", "code", "source", "software"];
const SELF: &[&str] = &["this", "these", "copyright", "©", "except", "contents", "contribution", "your", "you"];
const THING: &[&str] = &[
    "code",
    "software",
    "program",
    "library",
    "package",
    "project",
    "source",
    "file",
    "files",
    "repository",
    "work",
    "content",
    "documentation",
    "text",
    "module",
    "data",
    "dataset",
    "crate",
    "it",
];
const OTHERS: &[&str] = &[
    "not",
    "was",
    "were",
    "previously",
    "formerly",
    "some",
    "many",
    "most",
    "other",
    "portions",
    "parts",
    "part",
    "third",
    "often",
    "typically",
    "usually",
];

/// Words that may stand before, between and behind the names of a sentence.
const FILL: &[&str] = &[
    "the",
    "a",
    "an",
    "terms",
    "of",
    "both",
    "either",
    "and",
    "or",
    "conditions",
    "under",
    "following",
    "your",
    "choice",
    "at",
    "option",
    "license",
    "licence",
    "licenses",
    "licences",
    "version",
    "http",
    "https",
    "www",
    "org",
    "com",
    "net",
    "apache",
    "mit",
    "opensource",
    "creativecommons",
    "href",
    "rel",
    "class",
    "target",
    "blank",
    "br",
    "p",
    "em",
    "strong",
    "b",
    "i",
    "span",
    "xmlns",
    "dct",
    "cc",
    "by",
    "file",
    "see",
    "in",
    "md",
    "txt",
    "html",
    "li",
    "ul",
    "style",
    "as",
    "bsd",
    "dual",
    "to",
    "found",
    "is",
    "copy",
    "github",
    "blob",
    "main",
    "master",
    "all",
    "any",
    "title",
    "licensing",
    "gnu",
    "published",
    "permissive",
    "free",
    "software",
];

/// The licence of the first such sentence of a text in lower case, and how sure that is.
pub(super) fn notice(lower: &str) -> Option<(Expression, f64)> {
    let placed = name_words(lower);
    let words: Vec<&str> = placed.iter().map(|(_, w)| *w).collect();
    for (n, word) in words.iter().enumerate() {
        let verb = match *word {
            "under" | "by" | "to" => n
                .checked_sub(1)
                .map(|v| if words.get(v).is_some_and(|w| ["only", "it", "them", "both"].contains(w)) { v.saturating_sub(1) } else { v }),
            "as" if words.get(n + 1) == Some(&"perl") && words.get(n.saturating_sub(2)) == Some(&"same") => {
                return Some((Expression::parse("Artistic-1.0-Perl OR GPL-1.0-or-later")?, 0.7));
            }
            _ => None,
        };
        let Some(verb) = verb.filter(|v| fits(words.get(*v).copied().unwrap_or_default(), word)) else { continue };
        if !speaks_of_itself(lower, &placed, verb) {
            continue;
        }
        let behind = words.get(n + 1..words.len().min(n + 1 + NAMES_WORDS_MAX)).unwrap_or_default();
        let dual = verb.checked_sub(1).and_then(|n| words.get(n)).is_some_and(|w| w.starts_with("dual"));
        if let Some(found) = names(behind, dual) {
            return Some(found);
        }
    }
    None
}

fn fits(verb: &str, word: &str) -> bool {
    match word {
        "under" => VERBS.contains(&verb) || ["modify", "redistribute", "copy"].contains(&verb),
        "by" => matches!(verb, "governed" | "covered"),
        _ => verb == "subject",
    }
}

/// Whether the sentence is about the text that it stands in.
fn speaks_of_itself(lower: &str, placed: &[(usize, &str)], verb: usize) -> bool {
    let word = |n: usize| placed.get(n).map_or("", |(_, w)| *w);
    if matches!(word(verb), "modify" | "redistribute") {
        return true;
    }
    let mut start = verb;
    while start > 0 && verb - start < SUBJECT_WORDS_MAX {
        let (Some((a, before)), Some((b, _))) = (placed.get(start - 1), placed.get(start)) else { break };
        let between = lower.get(a + before.len()..*b).unwrap_or_default();
        let ends = between.contains(['!', '?', ':', ';', '|'])
            || between.contains(". ")
            || between.contains(".\n")
            || between.matches('\n').count() > 1;
        if ends {
            break;
        }
        start -= 1;
    }
    let subject: Vec<&str> = (start..verb).map(word).collect();
    if subject.iter().any(|w| OTHERS.contains(w)) {
        return false;
    }
    let is_bare = subject.iter().all(|w| BEFORE_VERB.contains(w));
    let linked = subject.iter().rev().take(3).any(|w| ["is", "are", "be"].contains(w));
    let named = subject.iter().any(|w| SELF.contains(w))
        || (linked
            && subject.first().is_some_and(|w| THING.contains(w) || ["the", "all", "unless"].contains(w))
            && subject.iter().any(|w| THING.contains(w)));
    let at = placed.get(verb).map_or(0, |(at, _)| *at);
    is_bare || named || below_heading(lower, at)
}

/// Whether a heading `License` stands shortly above.
fn below_heading(lower: &str, at: usize) -> bool {
    let above = lower.get(lower.floor_char_boundary(at.saturating_sub(HEADING_BYTES_MAX))..at).unwrap_or_default();
    let is_heading = |line: &str| {
        let bare = line.trim().trim_matches(['#', '*', '=', '<', '>', '/', ' ', ':', '_']);
        ["license", "licence", "licensing", "licenses", "license information", "copyright and license", "lizenz"].contains(&bare)
            || (line.starts_with('#') && bare.ends_with("license"))
    };
    above.lines().any(is_heading)
}

/// The names that the words begin with, joined: one may be chosen unless a plain `and` joins them.
fn names(words: &[&str], dual: bool) -> Option<(Expression, f64)> {
    let (mut found, mut at, mut gap) = (Vec::new(), 0, 0);
    let (mut choice, mut all, mut score) = (dual, false, 0.7);
    while let Some(word) = words.get(at) {
        let rest = words.get(at..)?;
        if let Some((license, n)) = granted(rest) {
            found.push(license);
            (at, gap) = (at + n, 0);
            continue;
        }
        if *word == "bsd" && rest.iter().take(3).any(|w| *w == "style") && found.is_empty() {
            // `a BSD-style license that can be found in the LICENSE file`: nearly always the one of three clauses.
            found.push(license_by_id("BSD-3-Clause")?);
            score = 0.5;
        }
        gap += 1;
        if gap > GAP_WORDS_MAX || !FILL.contains(word) && !(word.bytes().all(|b| b.is_ascii_digit())) {
            break;
        }
        choice |= ["or", "either", "both", "dual", "choice"].contains(word);
        all |= *word == "and";
        at += 1;
    }
    Some((Expression::join(found, all && !choice)?, score))
}

/// A name, and for GNU licences the version and the grant of later ones, which may follow further on or stand before.
fn granted(words: &[&str]) -> Option<(Expression, usize)> {
    if let ["version", number, rest @ ..] = words
        && number.len() == 1
    {
        // `version 2 of the GNU General Public License`, `version 2 or later of the …`
        let of = rest.iter().take(12).position(|w| *w == "gnu" || *w == "general")?;
        let name = name_at(rest.get(of..)?)?;
        let is_later = rest.iter().take(of).any(|w| *w == "later");
        return Some((at_version(&name.license, number, None, is_later)?, 2 + of + name.n_words));
    }
    let name = name_at(words)?;
    let open = matches!(&name.license, Expression::License { id, .. } if id.ends_with("GPL-1.0-or-later") || id == "LGPL-2.0-or-later");
    if !open {
        // `version 2 as published by …; either version 2 of the License, or any later`
        return Some((name.license, name.n_words));
    }
    let rest = words.get(name.n_words..)?;
    let Some(place) = rest.iter().take(24).position(|w| matches!(*w, "version" | "versions" | "v")) else {
        return Some((name.license, name.n_words));
    };
    let number = rest.get(place + 1).filter(|w| w.len() == 1 && w.bytes().all(|b| b.is_ascii_digit()));
    let Some(number) = number else { return Some((name.license, name.n_words)) };
    let minor = rest.get(place + 2).filter(|w| w.len() == 1 && w.bytes().all(|b| b.is_ascii_digit()));
    let behind = rest.get(place + 2..rest.len().min(place + 18)).unwrap_or_default();
    let is_later = behind.windows(2).any(|w| matches!(w, ["any", "later"] | ["or", "later"] | ["or", "newer"])) || later(behind) > 0;
    let license = at_version(&name.license, number, minor.copied(), is_later)?;
    Some((license, name.n_words + place + 2 + usize::from(minor.is_some())))
}

fn at_version(license: &Expression, number: &str, minor: Option<&str>, is_later: bool) -> Option<Expression> {
    let Expression::License { id, .. } = license else { return None };
    let stem = id.split('-').next()?;
    license_by_id(&format!("{stem}-{number}.{}-{}", minor.unwrap_or("0"), if is_later { "or-later" } else { "only" }))
}
