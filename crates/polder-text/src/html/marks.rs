//! What an element's attributes and name say about it: never shown, boilerplate, or where the content stands.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::tag::Tag;
use super::tree::Tree;

/// What is known of an element before its text is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// A reader doesn't see it, or it is no text.
    Hidden,
    /// By its name it stands around the content.
    Boilerplate,
    /// By its name it holds the content.
    Content,
    Plain,
}

/// How words of class names and ids begin that name what stands around an article. Each begins at a border: the start, after `-` or `_`, at an
/// upper-case letter after a lower-case one.
const AROUND: [&str; 104] = [
    "addthis",
    "addtoany",
    "adslot",
    "adsense",
    "advert",
    "advertisement",
    "affiliate",
    "alsoread",
    "announcement",
    "authorbio",
    "authorbox",
    "banner",
    "bio",
    "bookmark",
    "breadcrumb",
    "breadcrumbs",
    "byline",
    "captcha",
    "combx",
    "comment",
    "comments",
    "commentlist",
    "community",
    "consent",
    "contentinfo",
    "cookie",
    "cookies",
    "copyright",
    "credit",
    "dfp",
    "disclaimer",
    "discussion",
    "disqus",
    "donate",
    "dropdown",
    "editsection",
    "extra",
    "facebook",
    "feedback",
    "flyout",
    "footer",
    "gallery",
    "gdpr",
    "inread",
    "interstitial",
    "jp",
    "language",
    "latest",
    "legends",
    "livefyre",
    "login",
    "mailchimp",
    "masthead",
    "menu",
    "metadata",
    "metabar",
    "modal",
    "mostread",
    "mostpopular",
    "nav",
    "navbar",
    "navbox",
    "navigation",
    "newsletter",
    "next",
    "noprint",
    "outbrain",
    "pager",
    "pagination",
    "paywall",
    "pingback",
    "popular",
    "popup",
    "prev",
    "print",
    "profile",
    "promo",
    "promotion",
    "rating",
    "readmore",
    "recirc",
    "recommend",
    "recommended",
    "related",
    "relatedposts",
    "replies",
    "respond",
    "rss",
    "share",
    "sharedaddy",
    "sharing",
    "shoutbox",
    "sidebar",
    "signup",
    "skip",
    "social",
    "sponsor",
    "sponsored",
    "subscribe",
    "subscription",
    "syndication",
    "taboola",
    "teaser",
    "toolbar",
];

/// More of them.
const AROUND_TOO: [&str; 19] = [
    "trending",
    "tweet",
    "twitter",
    "upsell",
    "utility",
    "widget",
    "whatsapp",
    "yarpp",
    "zergnet",
    "tags",
    "taglist",
    "entrymeta",
    "postmeta",
    "timestamp",
    "meta",
    "ad",
    "ads",
    "tag",
    "instagram",
];

/// Names of what holds an article's text.
const WITHIN: [&str; 14] = [
    "articlebody",
    "article-body",
    "article_body",
    "article-content",
    "article__body",
    "article__content",
    "articletext",
    "article-text",
    "entry-content",
    "entry__content",
    "post-content",
    "post-body",
    "story-body",
    "storytext",
];

static WITHIN_NAMES: LazyLock<Option<AhoCorasick>> =
    LazyLock::new(|| AhoCorasick::builder().ascii_case_insensitive(true).build(WITHIN).ok());

/// Looks at an element.
pub(super) fn mark(tree: &Tree, html: &str, node: u32) -> Mark {
    let tag = tree.nodes[node as usize].tag;
    match tag {
        Tag::Text => return Mark::Plain,
        Tag::Unseen | Tag::Void | Tag::Head | Tag::Script | Tag::Meta | Tag::Link | Tag::Title => return Mark::Hidden,
        _ => {}
    }
    let mut mark = match tag {
        Tag::Nav | Tag::Aside | Tag::Footer => Mark::Boilerplate,
        Tag::Main | Tag::Article => Mark::Content,
        _ => Mark::Plain,
    };
    for attribute in tree.attributes(node) {
        let value = attribute.raw(html);
        if attribute.is("hidden") && !value.eq_ignore_ascii_case("false") || attribute.is("style") && is_hidden(value) {
            return Mark::Hidden;
        } else if attribute.is("aria-hidden") && value.trim().eq_ignore_ascii_case("true") {
            mark = Mark::Boilerplate;
        } else if attribute.is("role") {
            match value.trim() {
                "navigation" | "banner" | "complementary" | "contentinfo" | "dialog" | "alert" | "alertdialog" | "search" | "menu"
                | "menubar" | "toolbar" | "tablist" | "status" => mark = Mark::Boilerplate,
                "main" | "article" => mark = Mark::Content,
                _ => {}
            }
        } else if attribute.is("itemprop") && value.trim().eq_ignore_ascii_case("articleBody") {
            return Mark::Content;
        } else if attribute.is("class") || attribute.is("id") {
            if value.split_ascii_whitespace().any(|class| ["sr-only", "visually-hidden", "screen-reader-text"].contains(&class)) {
                return Mark::Hidden;
            }
            if mark != Mark::Boilerplate && WITHIN_NAMES.as_ref().is_some_and(|names| names.is_match(value)) {
                mark = Mark::Content;
            } else if names_boilerplate(value) {
                mark = Mark::Boilerplate;
            }
        }
    }
    mark
}

fn is_hidden(style: &str) -> bool {
    style.split(';').any(|rule| {
        rule.split_once(':').is_some_and(|(property, value)| {
            let (property, value) = (property.trim(), value.trim().trim_end_matches("!important").trim());
            property.eq_ignore_ascii_case("display") && value.eq_ignore_ascii_case("none")
                || property.eq_ignore_ascii_case("visibility") && value.eq_ignore_ascii_case("hidden")
        })
    })
}

/// Whether a class list or an id names what stands around content.
fn names_boilerplate(names: &str) -> bool {
    words(names).any(|word| {
        let mut lower = [0u8; 24];
        let Some(buffer) = lower.get_mut(..word.len()) else { return false };
        buffer.copy_from_slice(word.as_bytes());
        buffer.make_ascii_lowercase();
        AROUND.iter().chain(&AROUND_TOO).any(|known| known.as_bytes() == &*buffer)
    })
}

/// The words of names: cut at what is no letter, and where an upper-case letter follows a lower-case one.
fn words(names: &str) -> impl Iterator<Item = &str> {
    let bytes = names.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while bytes.get(at).is_some_and(|b| !b.is_ascii_alphabetic()) {
            at += 1;
        }
        let start = at;
        while bytes
            .get(at)
            .is_some_and(|b| b.is_ascii_alphabetic() && !(at > start && b.is_ascii_uppercase() && bytes[at - 1].is_ascii_lowercase()))
        {
            at += 1;
        }
        (at > start).then(|| names.get(start..at).unwrap_or(""))
    })
}
