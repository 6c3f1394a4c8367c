//! Under which licence a text stands, or which licence it is.
//!
//! Five kinds of evidence, the strongest first: a line `SPDX-License-Identifier:`, the wording of whole licences, the licence field of
//! a package's metadata or of a readme, a page's link to its licence, and a sentence by which a file puts itself under one. Each has
//! its module. What is found is an expression of identifiers that SPDX lists, written in one way.

mod class;
mod expression;
mod field;
mod fingerprint;
pub(crate) mod link;
mod names;
mod notice;

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

pub use class::{LICENSE_CLASSES, license_class};
use expression::Expression;
pub use expression::license_expression;

/// How many declarations of one text are joined.
const DECLARED_MAX: usize = 16;
/// How far around the word `license` a sentence is looked for, in bytes.
const BEFORE_BYTES: usize = 500;
const BEHIND_BYTES: usize = 900;

/// A licence and how sure the finding is.
#[derive(Clone, Debug, PartialEq)]
pub struct LicenseMatch {
    /// An SPDX identifier or expression.
    pub spdx: String,
    /// 1 for a declaration, the share of the licence's wording for a whole text, 0.95 for a field, 0.9 for a page's link, 0.7 for a
    /// sentence, 0.5 for one that leaves the variant open.
    pub score: f64,
    /// The evidence: `declaration`, `text`, `field`, `link` or `notice`.
    pub how: &'static str,
}

/// Words without which no licence is named, the first two those that fields and sentences need; most texts have none of them.
static HINTS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let hints = ["licen", "terms as perl", "permission", "warrant", "redistribut", "public domain", "lizenz", "许可", "creativecommons"];
    AhoCorasick::builder().ascii_case_insensitive(true).build(hints).ok()
});

/// Names the licence of a text, or none.
pub fn license(text: &str) -> Option<LicenseMatch> {
    let mut words: Vec<usize> = Vec::new();
    let mut n_hints = 0;
    for hint in HINTS.as_ref()?.find_iter(text) {
        n_hints += 1;
        if hint.pattern().as_usize() < 2 {
            words.push(hint.start());
        }
    }
    if n_hints == 0 {
        return None;
    }
    let found = |license: Expression, score, how| Some(LicenseMatch { spdx: license.to_string(), score, how });
    if let Some(license) = declared(text, &words) {
        return found(license, 1.0, "declaration");
    }
    let whole = fingerprint::whole_texts(text);
    if let Some(score) = whole.iter().map(|(_, share)| *share).reduce(f64::min) {
        let parts = whole.iter().filter_map(|(spdx, _)| expression::license_by_id(spdx)).collect();
        return found(Expression::join(parts, true)?, score, "text");
    }
    if let Some(license) = fields(text, &words) {
        return found(license, 0.95, "field");
    }
    if let Some(license) = links(text) {
        return found(license, 0.9, "link");
    }
    windows(text, &words).find_map(|w| notice::notice(&w.to_ascii_lowercase())).and_then(|(license, score)| found(license, score, "notice"))
}

/// The expressions of `SPDX-License-Identifier:` lines; several different ones all apply.
fn declared(text: &str, words: &[usize]) -> Option<Expression> {
    let (before, behind) = ("SPDX-", "License-Identifier:");
    let mut found: Vec<Expression> = Vec::new();
    for at in words {
        let is_tag =
            text.get(at.saturating_sub(before.len())..*at) == Some(before) && text.get(*at..).is_some_and(|t| t.starts_with(behind));
        if !is_tag || found.len() >= DECLARED_MAX {
            continue;
        }
        let line = text.get(at + behind.len()..)?.lines().next().unwrap_or_default();
        let end = line
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, ' ' | '\t' | '.' | '+' | '-' | '(' | ')' | ':' | '/')))
            .unwrap_or(line.len().min(1000));
        let value = line.get(..end).unwrap_or_default().trim().trim_end_matches(['/', '-', '.', ' ']);
        // A comment's closing bracket isn't the expression's.
        let value = if value.matches(')').count() > value.matches('(').count() { value.trim_end_matches([')', ' ']) } else { value };
        found.extend(Expression::parse(value).filter(|e| !found.contains(e)));
    }
    Expression::join(found, true)
}

/// The first field of a manifest; all of a Debian `copyright` file, which lists those of its parts.
fn fields(text: &str, words: &[usize]) -> Option<Expression> {
    let mut found = words.iter().filter_map(|at| field::field(text, *at));
    if text.get(..text.floor_char_boundary(200)).is_some_and(|head| head.contains("/copyright-format")) {
        return Expression::join(found.take(100).collect(), true);
    }
    found.next()
}

/// The licence that all of a page's own links agree on.
fn links(text: &str) -> Option<Expression> {
    let found = link::page_licenses(text);
    let first = found.first()?;
    found.iter().all(|license| license == first).then(|| first.clone())
}

/// The parts of a text around the word, each once.
fn windows<'a>(text: &'a str, words: &'a [usize]) -> impl Iterator<Item = &'a str> {
    let mut next = words.iter().peekable();
    let mut free = 0;
    std::iter::from_fn(move || {
        let at = *next.next()?;
        let start = text.floor_char_boundary(at.saturating_sub(BEFORE_BYTES).max(free));
        let mut end = at + BEHIND_BYTES;
        while let Some(later) = next.next_if(|later| **later < end) {
            end = later + BEHIND_BYTES;
        }
        end = text.floor_char_boundary(end);
        free = end;
        text.get(start..end)
    })
}
