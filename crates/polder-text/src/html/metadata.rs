//! What a page says about itself in its head, its links and the attributes of its elements.

use super::tag::Tag;
use super::{line, tree};

/// How much of an element is read for a name: more of it is no name, and elements stand in each other.
const NAME_NODES: usize = 16;

/// What a page says about itself; what it doesn't say is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HtmlMetadata {
    /// As it is shared (`og:title`), or as its window is called.
    pub title: Option<String>,
    /// Who wrote it.
    pub author: Option<String>,
    /// When it was published, as it is written there: usually ISO 8601.
    pub date: Option<String>,
    /// The language code it declares, such as `en-GB`.
    pub language: Option<String>,
    /// What it says it is about.
    pub description: Option<String>,
    /// The name of the site.
    pub site: Option<String>,
    /// The address it wants to be known by.
    pub url: Option<String>,
    /// The address of its licence: a link with `rel="license"`, or else to a Creative Commons licence.
    pub license: Option<String>,
}

/// Reads what a page says about itself.
pub fn html_metadata(html: &str) -> HtmlMetadata {
    let tree = tree::parse(html);
    let mut found = HtmlMetadata::default();
    let (mut title, mut time, mut deed) = (None, None, None);
    for node in tree.walk(0) {
        let attribute = |name: &str| tree.attribute(html, node, name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        match tree.nodes[node as usize].tag {
            Tag::Html => found.language = attribute("lang"),
            Tag::Title if title.is_none() => title = Some(line(&tree, tree.walk(node))).filter(|t| !t.is_empty()),
            Tag::Time if time.is_none() => time = attribute("datetime"),
            Tag::Meta => meta(&mut found, &attribute),
            Tag::Link | Tag::A => {
                let Some(address) = attribute("href") else { continue };
                let relations = attribute("rel").unwrap_or_default().to_ascii_lowercase();
                let is = |name: &str| relations.split_ascii_whitespace().any(|r| r == name);
                if is("license") {
                    found.license.get_or_insert(address);
                } else if is("canonical") {
                    found.url.get_or_insert(address);
                } else if is_deed(&address) {
                    deed.get_or_insert(address);
                }
            }
            _ => {}
        }
        if found.author.is_none() && matches!(attribute("itemprop").as_deref(), Some("author")) {
            found.author = attribute("content")
                .or_else(|| Some(line(&tree, tree.walk(node).take(NAME_NODES))))
                .filter(|a| !a.is_empty() && a.len() < 200);
        }
        if found.date.is_none() && matches!(attribute("itemprop").as_deref(), Some("datePublished")) {
            found.date = attribute("datetime").or_else(|| attribute("content"));
        }
    }
    found.title = found.title.or(title);
    found.date = found.date.or(time);
    found.license = found.license.or(deed);
    found
}

/// Whether an address is that of a Creative Commons licence.
fn is_deed(address: &str) -> bool {
    let rest = address.strip_prefix("https:").or_else(|| address.strip_prefix("http:")).unwrap_or(address);
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let rest = rest.strip_prefix("www.").unwrap_or(rest);
    rest.starts_with("creativecommons.org/licenses/") || rest.starts_with("creativecommons.org/publicdomain/")
}

fn meta(found: &mut HtmlMetadata, attribute: &dyn Fn(&str) -> Option<String>) {
    let Some(content) = attribute("content") else { return };
    let Some(name) = attribute("property").or_else(|| attribute("name")).or_else(|| attribute("http-equiv")) else { return };
    let place = match name.to_ascii_lowercase().as_str() {
        "og:title" => &mut found.title,
        "author" | "article:author" | "dc.creator" | "dcterms.creator" | "parsely-author" | "sailthru.author"
            if !content.contains("://") =>
        {
            &mut found.author
        }
        "article:published_time"
        | "date"
        | "dc.date"
        | "dc.date.issued"
        | "dcterms.created"
        | "dcterms.date"
        | "parsely-pub-date"
        | "pubdate"
        | "publication_date"
        | "sailthru.date" => &mut found.date,
        "content-language" | "dc.language" | "dcterms.language" => &mut found.language,
        "description" | "og:description" => &mut found.description,
        "og:site_name" => &mut found.site,
        "og:url" => &mut found.url,
        _ => return,
    };
    place.get_or_insert(content);
}
