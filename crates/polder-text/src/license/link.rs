//! Licences by the addresses of their texts, and the pages that name one.

use super::expression::{Expression, license_by_id};
use super::names::{name_at, name_words};

/// Longest tag that is read, in bytes.
const TAG_BYTES_MAX: usize = 2000;

/// The licence that an address leads to.
pub(super) fn by_address(address: &str) -> Option<Expression> {
    let lower = address.get(..address.floor_char_boundary(300))?.to_ascii_lowercase();
    let (_, rest) = lower.split_once("://").unwrap_or(("", &lower));
    let rest = rest.trim_start_matches('/').trim_start_matches("www.").trim_end_matches('/');
    let (host, path) = rest.split_once('/')?;
    let path = path.split(['?', '#']).next()?;
    let last = path.rsplit('/').next()?;
    let file = ["-standalone.html", ".html", ".en.html", ".txt", ".php", ".md"].iter().find_map(|e| last.strip_suffix(e)).unwrap_or(last);
    match host {
        "creativecommons.org" => {
            let words = name_words(rest);
            name_at(&words.iter().map(|(_, w)| *w).collect::<Vec<_>>()).map(|n| n.license)
        }
        "opensource.org" | "spdx.org" | "choosealicense.com" | "scancode-licensedb.aboutcode.org" => by_file(file),
        "apache.org" => license_by_id(&file.replace("license", "apache")),
        "gnu.org" => by_file(&file.replace("fdl", "gfdl").replace("ggfdl", "gfdl")),
        "mozilla.org" if path.contains("mpl") => license_by_id(&format!("MPL-{}", path.split('/').find(|p| p.starts_with(['1', '2']))?)),
        "unlicense.org" => license_by_id("Unlicense"),
        "opendatacommons.org" if path.contains("odbl") => license_by_id("ODbL-1.0"),
        "opendatacommons.org" if path.contains("pddl") => license_by_id("PDDL-1.0"),
        "opendatacommons.org" if path.contains("/by") => license_by_id("ODC-By-1.0"),
        "eclipse.org" if path.contains("epl-2") => license_by_id("EPL-2.0"),
        "eclipse.org" if path.contains("epl-v10") => license_by_id("EPL-1.0"),
        "boost.org" => license_by_id("BSL-1.0"),
        _ => None,
    }
}

fn by_file(file: &str) -> Option<Expression> {
    let plain = file.trim_end_matches("-license");
    license_by_id(plain).or_else(|| {
        let words = name_words(plain);
        name_at(&words.iter().map(|(_, w)| *w).collect::<Vec<_>>()).map(|n| n.license)
    })
}

/// The licences that a page names as its own: links of `rel="license"`, and `meta` elements of rights.
pub(super) fn page_licenses(text: &str) -> Vec<Expression> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(n) = text.get(at..).and_then(|rest| rest.find('<')) {
        let rest = text.get(at + n..).unwrap_or_default();
        at += n + 1;
        let name = rest.get(1..rest.floor_char_boundary(6)).unwrap_or_default().to_ascii_lowercase();
        if !["a ", "a\n", "link", "meta", "area"].iter().any(|t| name.starts_with(t)) {
            continue;
        }
        let Some(end) = rest.get(..rest.floor_char_boundary(TAG_BYTES_MAX)).and_then(|r| r.find('>')) else { continue };
        let tag = rest.get(..end).unwrap_or_default();
        let value = if name.starts_with("meta") {
            let of = attribute(tag, "name").or_else(|| attribute(tag, "property")).unwrap_or_default().to_ascii_lowercase();
            let rights = [
                "license",
                "dc.rights",
                "dcterms.license",
                "dc.license",
                "dcterms.rights",
                "dc.rights.license",
                "og:license",
                "cc:license",
            ];
            attribute(tag, "content").filter(|_| rights.contains(&of.as_str()))
        } else {
            let is_license = |rel: &&str| rel.split_ascii_whitespace().any(|r| ["license", "cc:license", "dct:license"].contains(&r));
            attribute(tag, "rel").filter(is_license).and_then(|_| attribute(tag, "href"))
        };
        found.extend(value.and_then(|v| by_address(v).or_else(|| super::names::by_name(v))));
        at += end;
    }
    found
}

/// The value of an attribute of a tag.
pub(crate) fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let lower = tag.to_ascii_lowercase();
    for (at, _) in lower.match_indices(name) {
        let before = lower.as_bytes().get(at.checked_sub(1)?)?;
        let rest = tag.get(at + name.len()..)?.trim_start();
        let Some(value) = rest.strip_prefix('=').filter(|_| before.is_ascii_whitespace() || matches!(before, b'"' | b'\'')) else {
            continue;
        };
        let value = value.trim_start();
        return match value.chars().next()? {
            quote @ ('"' | '\'') => value.get(1..)?.split(quote).next(),
            _ => value.split(|c: char| c.is_ascii_whitespace() || c == '>').next(),
        };
    }
    None
}
