//! The text of a web page: what its readers came for, without what stands around it.
//!
//! A page becomes a tree (`tree`, over `tokens`), the tree becomes lines that know their place (`blocks`, with what names say in `marks`), and
//! some of the lines are the content (`content`). It runs no scripts, loads nothing and knows no styles but those of `style` attributes. Start
//! with [`html_text`].

mod blocks;
mod content;
mod marks;
mod metadata;
mod tag;
mod tokens;
mod tree;

pub use metadata::{HtmlMetadata, html_metadata};

use blocks::Blocks;
use tree::Tree;

/// Returns the main content of a page as text.
///
/// Paragraphs, headings, tables and lists stand apart by blank lines, list items, rows and lines each on a line of their own. Items begin with `- ` or
/// their number, cells of a row are joined by ` | `, code keeps its line breaks and indentation, all other space is one space. A heading before
/// the text that repeats the title is left to [`html_title`]. A page in which no content is found gives all its visible text; one without text
/// gives the empty text. What a page nests more than 512 deep is text of the deepest.
pub fn html_text(html: &str) -> String {
    let tree = tree::parse(html);
    let page = blocks::blocks(&tree, html);
    let kept = content::content(&tree, &page, &title(&tree));
    render(&page, &kept)
}

fn render(page: &Blocks, kept: &[usize]) -> String {
    let mut out = String::new();
    for (n, &i) in kept.iter().enumerate() {
        let block = &page.blocks[i];
        if n > 0 {
            let follows = kept[n - 1] + 1 == i;
            out.push_str(if block.is_apart || !follows { "\n\n" } else { "\n" });
        }
        out.push_str(&page.text[block.start..block.end]);
    }
    out
}

/// Returns the title of a page, on one line; the empty text if it has none.
pub fn html_title(html: &str) -> String {
    title(&tree::parse(html))
}

fn title(tree: &Tree) -> String {
    let title = tree.walk(0).find(|&n| tree.nodes[n as usize].tag == tag::Tag::Title);
    title.map_or_else(String::new, |title| line(tree, tree.walk(title)))
}

/// What is written in nodes, on one line.
fn line(tree: &Tree, nodes: impl Iterator<Item = u32>) -> String {
    let text: String = nodes.map(|n| tree.text(n)).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
