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
    Around,
    /// By its name it may stand beside the content, if it is small.
    Beside,
    /// By its name it holds the content.
    Content,
    Plain,
}

/// Words of class names and ids that name what is no part of an article, however long it is. Words end at what is no letter, and before an
/// upper-case letter after a lower-case one.
const AROUND: [&str; 53] = [
    "breadcrumb",
    "breadcrumbs",
    "combx",
    "comment",
    "commenting",
    "commentlist",
    "comments",
    "consent",
    "contentinfo",
    "cookie",
    "cookies",
    "discussion",
    "disqus",
    "footer",
    "gdpr",
    "livefyre",
    "login",
    "masthead",
    "menu",
    "mostpopular",
    "mostread",
    "nav",
    "navbar",
    "navbox",
    "navigation",
    "newsletter",
    "noprint",
    "outbrain",
    "pager",
    "pagination",
    "pingback",
    "pingbacks",
    "popular",
    "recirc",
    "recommend",
    "recommendation",
    "recommendations",
    "recommended",
    "related",
    "relatedposts",
    "replies",
    "respond",
    "sharedaddy",
    "shoutbox",
    "sidebar",
    "signup",
    "syndication",
    "taboola",
    "toolbar",
    "trending",
    "upsell",
    "yarpp",
    "zergnet",
];

/// Words that name what stands beside an article, or part of it: a `paywall` may hold all that is free.
const BESIDE: [&str; 76] = [
    "ad",
    "addthis",
    "addtoany",
    "ads",
    "adsense",
    "adslot",
    "advert",
    "advertisement",
    "affiliate",
    "alsoread",
    "announcement",
    "author",
    "authorbio",
    "authorbox",
    "banner",
    "bio",
    "bookmark",
    "byline",
    "captcha",
    "community",
    "copyright",
    "credit",
    "credits",
    "dateline",
    "dfp",
    "disclaimer",
    "donate",
    "dropdown",
    "editsection",
    "entrymeta",
    "extra",
    "facebook",
    "feedback",
    "flyout",
    "gallery",
    "inread",
    "instagram",
    "interstitial",
    "latest",
    "legends",
    "mailchimp",
    "meta",
    "metabar",
    "metadata",
    "modal",
    "next",
    "paywall",
    "popup",
    "postmeta",
    "prev",
    "print",
    "profile",
    "promo",
    "promoted",
    "promotion",
    "rating",
    "readmore",
    "rss",
    "share",
    "shares",
    "sharing",
    "skip",
    "social",
    "sponsor",
    "sponsored",
    "subscribe",
    "subscription",
    "tag",
    "taglist",
    "tags",
    "teaser",
    "teasers",
    "timestamp",
    "utility",
    "whatsapp",
    "widget",
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
        Tag::Nav | Tag::Aside | Tag::Footer => Mark::Around,
        Tag::Form => Mark::Beside,
        Tag::Main | Tag::Article => Mark::Content,
        _ => Mark::Plain,
    };
    for attribute in tree.attributes(node) {
        let value = attribute.raw(html);
        let hides_by_class = || value.split_ascii_whitespace().any(|c| ["sr-only", "visually-hidden", "screen-reader-text"].contains(&c));
        if attribute.is("hidden") && !value.eq_ignore_ascii_case("false")
            || attribute.is("style") && is_hidden(value)
            || attribute.is("class") && hides_by_class()
        {
            return Mark::Hidden;
        } else if attribute.is("aria-hidden") && value.trim().eq_ignore_ascii_case("true") {
            // In a line it is decoration, or a formula's second form.
            if !tag.is_block() {
                return Mark::Hidden;
            }
            mark = Mark::Around;
        } else if !tag.is_block() {
            // Names of parts of a line say how it looks: `comment` is a colour of code.
        } else if attribute.is("role") {
            match value.trim() {
                "navigation" | "banner" | "complementary" | "contentinfo" | "dialog" | "alert" | "alertdialog" | "search" | "menu"
                | "menubar" | "toolbar" | "tablist" | "status" => mark = Mark::Around,
                "main" | "article" => mark = Mark::Content,
                _ => {}
            }
        } else if attribute.is("itemprop") && value.trim().eq_ignore_ascii_case("articleBody") {
            return Mark::Content;
        } else if attribute.is("class") || attribute.is("id") {
            if mark != Mark::Around && WITHIN_NAMES.as_ref().is_some_and(|names| names.is_match(value)) {
                mark = Mark::Content;
            } else if mark != Mark::Around {
                mark = named(value).unwrap_or(mark);
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

/// What a class list or an id says.
fn named(names: &str) -> Option<Mark> {
    let mut mark = None;
    for word in words(names) {
        let mut lower = [0u8; 24];
        let Some(buffer) = lower.get_mut(..word.len()) else { continue };
        buffer.copy_from_slice(word.as_bytes());
        buffer.make_ascii_lowercase();
        let is_in = |list: &[&str]| list.binary_search_by(|known| known.as_bytes().cmp(buffer)).is_ok();
        if is_in(&AROUND) {
            return Some(Mark::Around);
        }
        if is_in(&BESIDE) {
            mark = Some(Mark::Beside);
        }
    }
    mark
}

/// The words of names: cut at what is no letter, and where an upper-case letter follows a lower-case one. Short ones count only between what
/// is neither letter nor digit, since made-up names (`hJpRRP`) hold any of them.
fn words(names: &str) -> impl Iterator<Item = &str> {
    let bytes = names.as_bytes();
    let is_word = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_alphanumeric);
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
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
            if at == start {
                return None;
            }
            if at - start > 4 || !(start > 0 && is_word(start - 1) || is_word(at)) {
                return names.get(start..at);
            }
        }
    })
}
