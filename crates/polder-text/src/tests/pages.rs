//! What is read from web pages, ordinary and hostile.

use proptest::prelude::*;

use crate::{html_metadata, html_text, html_title};

const PROSE: &str =
    "The people of the village have built a dike with their own hands, and the sea was not pleased with what it saw that day.";

fn page(content: &str) -> String {
    format!(
        "<!DOCTYPE html><html><head><title>Dike | News</title><style>p {{ color: red }}</style><script>if (a < b) {{ '<p>no</p>' }}</script></head><body>\
         <header><a href=/>Home</a></header><nav><ul><li><a href=/a>World</a><li><a href=/b>Sports</a></ul></nav>\
         <div class=\"cookie-banner\"><p>We use cookies to give you the best experience on this site, as everybody does, all the time.</p></div>\
         <main><h1>Dike</h1><div class=share>Share this</div>{content}</main>\
         <div id=comments><p>I have never read anything so true about dikes, thank you so much for writing it, all of you.</p></div>\
         <aside><h3>Related</h3><ul><li><a href=/c>Ten other dikes that you must see</a></ul></aside><footer>© 2020 Nobody</footer></body></html>"
    )
}

#[test]
fn the_article_stays_and_what_stands_around_it_goes() {
    let html = page(&format!("<p>{PROSE}</p><h2>After&nbsp;it</h2><p>{PROSE} <b>Bold</b>, <a href=/x>linked</a>.</p>"));
    assert_eq!(html_text(&html), format!("{PROSE}\n\nAfter it\n\n{PROSE} Bold, linked."));
    assert_eq!(html_title(&html), "Dike | News");
}

#[test]
fn lists_tables_and_code_keep_their_shape() {
    let html = page(&format!(
        "<p>{PROSE}</p><p>{PROSE}</p><ol><li><p>First of all, the sand.</p><li>Then the <i>clay</i>.</ol><ul><li>Grass<ul><li>Sheep</ul></ul>\
         <table><tr><th>Year<th>Height<tr><td>1900<td>2 m<tr><td>2000<td>4&thinsp;m</table>\
         <pre><code>fn main() {{\n    dike();\n\n\tsea(&amp;mut x);\n}}\n</code></pre><p>{PROSE}</p>"
    ));
    let expected = format!(
        "{PROSE}\n\n{PROSE}\n\n1. First of all, the sand.\n2. Then the clay.\n\n- Grass\n  - Sheep\n\nYear | Height\n1900 | 2 m\n2000 | 4 m\n\n\
         fn main() {{\n    dike();\n\n\tsea(&mut x);\n}}\n\n{PROSE}"
    );
    assert_eq!(html_text(&html), expected);
}

#[test]
fn what_is_hidden_is_not_read() {
    let html = page(&format!(
        "<p>{PROSE}</p><p hidden>hidden one</p><p style='color:red; DISPLAY : none'>hidden two</p><p class='a sr-only'>hidden three</p>\
         <template><p>hidden four</p></template><noscript>hidden five</noscript><svg><title>hidden six</title></svg><!-- hidden seven -->\
         <textarea>hidden eight</textarea><p aria-hidden=true>hidden nine</p><p>{PROSE}</p>"
    ));
    assert_eq!(html_text(&html), format!("{PROSE}\n\n{PROSE}"));
}

#[test]
fn names_of_colours_and_anchors_hide_no_code_and_no_heading() {
    let html = page(&format!(
        "<p>{PROSE}</p><h2><a class=anchor aria-hidden=true href=#x>#</a>Use <i class=tag>it</i></h2><div class='highlight language-rust'>\
         <pre><code class=language-rust><span class='token comment'>// Why.</span>\n<span class=meta>#![no_std]</span></code></pre></div><p>{PROSE}</p>"
    ));
    assert_eq!(html_text(&html), format!("{PROSE}\n\nUse it\n\n// Why.\n#![no_std]\n\n{PROSE}"));
}

#[test]
fn a_page_without_an_article_gives_its_visible_text() {
    assert_eq!(html_text("<title>x</title><body><h1>Hello</h1><a href=/>World</a>"), "Hello\nWorld".replace('\n', "\n\n"));
    assert_eq!(html_text("plain text, no tags"), "plain text, no tags");
    assert_eq!(html_text("a < b &amp;&amp; c > d"), "a < b && c > d");
    assert_eq!(html_text("<nav>only this</nav>"), "only this");
    for empty in ["", " \n", "<", "<!", "<!--", "</", "<p", "<script>alert(1)</script>", "<style>p{}", "\0", "<br><br>"] {
        assert_eq!(html_text(empty).trim_matches(['<', '/', '!']), "", "{empty:?}");
    }
}

#[test]
fn a_forum_and_a_page_in_another_language_are_read() {
    let posts: String = (0..6)
        .map(|i| format!("<div class=\"post comment\"><div class=author>ann{i}</div><div class=body>{PROSE} Post {i}.</div></div>"))
        .collect();
    let forum = html_text(&format!("<body><div class=nav><a href=/>Forum</a></div><div id=posts>{posts}</div></body>"));
    assert!((0..6).all(|i| forum.contains(&format!("Post {i}."))), "{forum}");
    let chinese = "<body><ul><li><a href=/>首页</a></ul><div><p>村里的人用自己的双手建造了一座堤坝，大海对那天看到的一切并不满意。</p><p>没有人感到惊讶，因为大家都知道会发生什么事情。</p></div>";
    assert_eq!(
        html_text(chinese),
        "村里的人用自己的双手建造了一座堤坝，大海对那天看到的一切并不满意。\n\n没有人感到惊讶，因为大家都知道会发生什么事情。"
    );
}

#[test]
fn character_references_are_resolved_as_browsers_do() {
    let of = |text: &str| html_text(&format!("<p>x{text}y</p>"));
    let cases = [
        ("&auml;", "ä"),
        ("&#228;", "ä"),
        ("&#xE4;", "ä"),
        ("&#x80;", "€"),
        ("&amp;lt;", "&lt;"),
        ("&copy;", "©"),
        ("&notit;", "¬it;"),
        ("&notin;", "∉"),
        ("&unknown;", "&unknown;"),
        ("&#0;", "\u{fffd}"),
        ("&#x110000;", "\u{fffd}"),
        ("&#99999999999999;", "\u{fffd}"),
        ("&#;", "&#;"),
        ("&NotEqualTilde;", "≂\u{338}"),
        ("& ", "& "),
    ];
    for (reference, text) in cases {
        assert_eq!(of(reference), format!("x{text}y"), "{reference}");
    }
}

#[test]
fn what_a_page_says_about_itself_is_read() {
    let html = "<html lang=en-GB><head><title> The\n dike </title><meta property=og:site_name content='The Sea'><meta name=Author content='Ann &amp; Bob'>\
                <meta property='article:published_time' content=2020-01-02T03:04:05Z><link rel=canonical href=https://sea.example/dike></head><body>\
                <a href='//creativecommons.org/licenses/by/4.0/'>CC</a><a rel='nofollow license' href=/license>L</a>";
    let found = html_metadata(html);
    assert_eq!(found.title.as_deref(), Some("The dike"));
    assert_eq!(found.author.as_deref(), Some("Ann & Bob"));
    assert_eq!(found.date.as_deref(), Some("2020-01-02T03:04:05Z"));
    assert_eq!(found.language.as_deref(), Some("en-GB"));
    assert_eq!(found.site.as_deref(), Some("The Sea"));
    assert_eq!(found.url.as_deref(), Some("https://sea.example/dike"));
    assert_eq!(found.license.as_deref(), Some("/license"));
    assert_eq!(
        html_metadata("<a href=https://creativecommons.org/licenses/by-sa/3.0/>x").license.as_deref(),
        Some("https://creativecommons.org/licenses/by-sa/3.0/")
    );
    assert_eq!(html_metadata(""), crate::HtmlMetadata::default());
}

/// Pages that ask for more than they hold; each would take hours if it were quadratic.
#[test]
fn hostile_pages_are_answered() {
    const N: usize = 200_000;
    let many = |part: &str| part.repeat(N);
    let attributes: String = (0..N).map(|i| format!(" a{i}=1")).collect();
    let formats: String = (0..N).map(|i| format!("<b a{i}=1>")).collect();
    let pages = [
        many("<div>"),
        format!("{}text{}", many("<div>"), many("</div>")),
        many("<p>"),
        many("<b>"),
        many("<a>x"),
        many("<a><div>"),
        many("<b><p>"),
        many("<font><table>"),
        many("<table><tr><td>"),
        many("<table>x"),
        many("<table><b>x"),
        many("<ul><li>"),
        many("<svg>"),
        many("<math><mi>"),
        many("<svg><foreignObject><p>"),
        many("<template>"),
        many("<select><option>"),
        many("<button><p>"),
        many("<form><input>"),
        many("<dd><dt>"),
        many("<h1><h2>"),
        many("<frameset>"),
        many("</p>"),
        many("</br></body>"),
        many("<html a=b>"),
        many("<!-->"),
        many("<!--"),
        many("<![CDATA["),
        many("<script><!--<script>"),
        many("<title>"),
        many("&"),
        many("&a"),
        many("&CounterClockwiseContourIntegra"),
        many("&#1"),
        many("<"),
        many("</"),
        many("<a href='"),
        many("\0"),
        many("\r"),
        format!("<p{attributes}>text"),
        format!("<p title=\"{}\">text", many("x ")),
        format!("<p {}>text", many("class=a ")),
        format!("{formats}{}", many("<p>x")),
        format!("<p class=\"{}\">text", many("nav ")),
        format!("<pre>{}", many(" \n")),
        format!("<nav>{}</nav>", many("<i>x</i>")),
        many("<div itemprop=author>x"),
    ];
    for html in &pages {
        let (text, metadata) = (html_text(html), html_metadata(html));
        assert!(text.len() <= html.len() + 8 && metadata.title.is_none_or(|t| t.len() <= html.len()), "{:?}", html.get(..30));
    }
    assert_eq!(html_text(&pages[1]), "text");
    assert_eq!(html_text(&format!("{}<script>'<p>no'</script><style>p {{}}</style>text", many("<div>"))), "text");
    assert_eq!(html_text(&pages[39]), "text");
}

proptest! {
    #[test]
    fn any_text_is_a_page(text in "\\PC*") {
        html_text(&text);
        html_metadata(&text);
    }

    #[test]
    fn any_soup_of_tags_is_a_page(parts in proptest::collection::vec(prop::sample::select(vec![
        "<div>", "</div>", "<p>", "</p>", "<b>", "</b>", "<i>", "</i>", "<a href=x>", "</a>", "<table>", "</table>", "<tr>", "<td>", "</td>", "<tbody>", "<caption>", "<ul>", "<li>", "</ul>",
        "<pre>", "</pre>", "<svg>", "</svg>", "<math>", "<mi>", "<annotation-xml encoding=text/html>", "<foreignObject>", "<desc>", "<title>", "</title>", "<template>", "</template>",
        "<select>", "<option>", "</select>", "<form>", "</form>", "<input type=hidden>", "<button>", "<h1>", "</h2>", "<html>", "<head>", "</head>", "<body>", "</body>", "</html>",
        "<frameset>", "<frame>", "<noframes>", "<script>", "</script>", "<style>", "</style>", "<!--", "-->", "<![CDATA[", "]]>", "<!doctype html>", "<br>", "</br>", "<hr/>", "<image>",
        "<plaintext>", "<textarea>", "</textarea>", "<nobr>", "<marquee>", "</marquee>", "<object>", "<ruby>", "<rb>", "<rt>", "<rtc>", "<dd>", "<dt>", "<col>", "<colgroup>", "x", " ", "\n", "\0", "&amp;", "&", "<", "é",
        "A sentence that is long enough to be prose, as far as anybody can tell.",
    ]), 0..60)) {
        let html = parts.concat();
        html_text(&html);
        html_metadata(&html);
    }
}
