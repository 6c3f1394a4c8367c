//! Licence expressions: parsed, refused where an identifier doesn't exist, and written in one way.
//!
//! `mit/apache-2.0` becomes `MIT OR Apache-2.0`, `GPL-2.0+` becomes `GPL-2.0-or-later`. Brackets stand only where they are needed.
//!
//! # Source
//! SPDX specification 2.3, annex D; the identifiers in `lists/spdx.txt`.

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

/// Longest expression that is read, in bytes.
const EXPRESSION_BYTES_MAX: usize = 1000;
/// Brackets within brackets that are read.
const DEPTH_MAX: usize = 16;

struct Known {
    name: &'static str,
    is_exception: bool,
}

/// Every identifier, by its name in lower case.
static KNOWN: LazyLock<HashMap<String, Known>> = LazyLock::new(|| {
    let lines = include_str!("../../lists/spdx.txt").lines().filter(|l| !l.starts_with('#'));
    let known = |line: &'static str| {
        let (name, kind) = line.split_once(' ')?;
        Some((name.to_ascii_lowercase(), Known { name, is_exception: kind.starts_with("exception") }))
    };
    lines.filter_map(known).collect()
});

/// Identifiers that SPDX has given up, and what stands for them.
const REPLACED: &[(&str, &str, &str)] = &[
    ("GPL-2.0-with-GCC-exception", "GPL-2.0-only", "GCC-exception-2.0"),
    ("GPL-2.0-with-autoconf-exception", "GPL-2.0-only", "Autoconf-exception-2.0"),
    ("GPL-2.0-with-bison-exception", "GPL-2.0-only", "Bison-exception-2.2"),
    ("GPL-2.0-with-classpath-exception", "GPL-2.0-only", "Classpath-exception-2.0"),
    ("GPL-2.0-with-font-exception", "GPL-2.0-only", "Font-exception-2.0"),
    ("GPL-3.0-with-GCC-exception", "GPL-3.0-only", "GCC-exception-3.1"),
    ("GPL-3.0-with-autoconf-exception", "GPL-3.0-only", "Autoconf-exception-3.0"),
    ("eCos-2.0", "GPL-2.0-or-later", "eCos-exception-2.0"),
    ("wxWindows", "LGPL-2.0-or-later", "WxWindows-exception-3.1"),
    ("BSD-2-Clause-FreeBSD", "BSD-2-Clause-Views", ""),
    ("BSD-2-Clause-NetBSD", "BSD-2-Clause", ""),
    ("StandardML-NJ", "SMLNJ", ""),
    ("Nunit", "zlib-acknowledgement", ""),
    ("bzip2-1.0.5", "bzip2-1.0.6", ""),
];

/// An expression that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expression {
    License { id: String, exception: Option<String> },
    All(Vec<Expression>),
    Any(Vec<Expression>),
}

/// Writes a licence expression in one way: identifiers as SPDX writes them, none that SPDX has given up, `OR` for `/`, each part once.
///
/// None if it is no expression, or names a licence that SPDX doesn't list and that isn't a `LicenseRef-`.
pub fn license_expression(expression: &str) -> Option<String> {
    Expression::parse(expression).map(|e| e.to_string())
}

impl Expression {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() > EXPRESSION_BYTES_MAX {
            return None;
        }
        let spaced = text.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
        let words: Vec<&str> = spaced.split_whitespace().collect();
        let mut parser = Parser { words: &words, at: 0 };
        let parsed = parser.any(0)?;
        (parser.at == words.len()).then_some(parsed)
    }

    /// Joins expressions that all hold, or of which one may be chosen; parts of the same kind are lifted, and each stands once.
    pub(crate) fn join(parts: Vec<Expression>, all: bool) -> Option<Expression> {
        let mut flat: Vec<Expression> = Vec::new();
        for part in parts {
            let inner = match part {
                Expression::All(inner) if all => inner,
                Expression::Any(inner) if !all => inner,
                other => vec![other],
            };
            for one in inner {
                if !flat.contains(&one) {
                    flat.push(one);
                }
            }
        }
        match (flat.len(), all) {
            (0 | 1, _) => flat.pop(),
            (_, true) => Some(Expression::All(flat)),
            (_, false) => Some(Expression::Any(flat)),
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expression::License { id, exception: None } => f.write_str(id),
            Expression::License { id, exception: Some(exception) } => write!(f, "{id} WITH {exception}"),
            Expression::All(parts) => joined(f, parts, " AND "),
            Expression::Any(parts) => joined(f, parts, " OR "),
        }
    }
}

fn joined(f: &mut fmt::Formatter<'_>, parts: &[Expression], between: &str) -> fmt::Result {
    for (i, part) in parts.iter().enumerate() {
        f.write_str(if i > 0 { between } else { "" })?;
        // AND binds more tightly than OR.
        if matches!(part, Expression::Any(_)) {
            write!(f, "({part})")?;
        } else {
            write!(f, "{part}")?;
        }
    }
    Ok(())
}

struct Parser<'a> {
    words: &'a [&'a str],
    at: usize,
}

impl Parser<'_> {
    fn take(&mut self, word: &str) -> bool {
        let found = self.words.get(self.at).is_some_and(|w| w.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    fn any(&mut self, depth: usize) -> Option<Expression> {
        let mut parts = vec![self.all(depth)?];
        while self.take("OR") {
            parts.push(self.all(depth)?);
        }
        Expression::join(parts, false)
    }

    fn all(&mut self, depth: usize) -> Option<Expression> {
        let mut parts = vec![self.one(depth)?];
        while self.take("AND") {
            parts.push(self.one(depth)?);
        }
        Expression::join(parts, true)
    }

    fn one(&mut self, depth: usize) -> Option<Expression> {
        if self.take("(") {
            let inner = if depth < DEPTH_MAX { self.any(depth + 1)? } else { return None };
            return self.take(")").then_some(inner);
        }
        let license = license_by_id(self.words.get(self.at)?)?;
        self.at += 1;
        if !self.take("WITH") {
            return Some(license);
        }
        let exception = exception_by_id(self.words.get(self.at)?)?;
        self.at += 1;
        match license {
            Expression::License { id, exception: None } => Some(Expression::License { id, exception: Some(exception) }),
            _ => None,
        }
    }
}

/// A licence by its identifier in any case, with `+` or not, or a reference to a licence of one's own.
pub(crate) fn license_by_id(word: &str) -> Option<Expression> {
    if is_reference(word, "LicenseRef-") {
        return Some(Expression::License { id: word.to_string(), exception: None });
    }
    let (bare, later) = word.strip_suffix('+').map_or((word, false), |bare| (bare, true));
    let known = KNOWN.get(&bare.to_ascii_lowercase()).filter(|k| !k.is_exception)?;
    if let Some((_, id, exception)) = REPLACED.iter().find(|(old, ..)| *old == known.name) {
        let exception = Some((*exception).to_string()).filter(|e| !e.is_empty());
        return Some(Expression::License { id: (*id).to_string(), exception });
    }
    let gnu = ["GPL-", "LGPL-", "AGPL-", "GFDL-"].iter().any(|g| known.name.starts_with(g));
    let id = match (gnu, later) {
        (true, _) if known.name.contains("-or-later") => known.name.to_string(),
        (true, true) => format!("{}-or-later", known.name.trim_end_matches("-only")),
        (true, false) if !known.name.contains("-only") => format!("{}-only", known.name),
        (false, true) => format!("{}+", known.name),
        _ => known.name.to_string(),
    };
    Some(Expression::License { id, exception: None })
}

fn exception_by_id(word: &str) -> Option<String> {
    if is_reference(word, "AdditionRef-") {
        return Some(word.to_string());
    }
    KNOWN.get(&word.to_ascii_lowercase()).filter(|k| k.is_exception).map(|k| k.name.to_string())
}

fn is_reference(word: &str, mark: &str) -> bool {
    let name = word.strip_prefix("DocumentRef-").and_then(|w| w.split_once(':')).map_or(word, |(_, name)| name);
    let fits = |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    name.strip_prefix(mark).is_some_and(fits)
}
