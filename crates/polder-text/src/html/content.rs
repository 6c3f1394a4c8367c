//! Which blocks of a page are its content.
//!
//! Each block is worth its letters outside links if it reads like prose, and costs something if it is short or mostly links. The content is
//! the element whose blocks are worth most, near ones more than deep ones; in it, what is boilerplate by name, by links or by standing
//! at the end is left out.

use std::collections::HashSet;

use super::blocks::{Block, Blocks};
use super::marks::Mark;
use super::tag::Tag;
use super::tree::{NONE, Tree};

/// What a block counts for an element one level further up.
const DECAY: f64 = 0.92;

/// What prose after a linked headline counts.
const TEASER: f64 = 0.25;

/// How much of a list may be links.
const LIST_LINKS: f64 = 0.65;

/// What an element that its name calls the content counts more.
const NAMED_CONTENT: f64 = 1.5;

/// Letters that content has at least; less of it is no more content than the rest of its page.
const CONTENT_MIN: f64 = 100.0;

/// The blocks of the content, by index, in order.
pub(super) fn content(tree: &Tree, page: &Blocks, title: &str) -> Vec<usize> {
    let all: Vec<usize> = (0..page.blocks.len()).collect();
    let worths = worths(page);
    let Some(root) = best(tree, page, &worths) else { return all };
    let (from, to) = page.spans[root as usize];
    let mut kept = kept(page, from as usize, to as usize);
    trim(page, &worths, title, &mut kept);
    let n_kept: f64 = kept.iter().map(|&i| letters(page, &page.blocks[i])).sum();
    // Neither prose nor a name tells content from the rest: what is no boilerplate by name, or else everything.
    if n_kept < CONTENT_MIN {
        let plain: Vec<usize> = all.iter().copied().filter(|&i| !page.blocks[i].is_boilerplate).collect();
        return if plain.is_empty() { all } else { plain };
    }
    kept
}

/// Whether a text ends as sentences do.
fn ends_sentence(text: &str) -> bool {
    text.trim_end_matches(['"', '\'', '”', '’', ')', ']', '»', '“', '」', '』'])
        .ends_with(['.', '!', '?', '…', ':', ';', '。', '！', '？', '।', '؟', '۔', '។', '။', '።'])
}

/// Letters as prose has them: a Chinese character stands for about three.
fn letters(page: &Blocks, block: &Block) -> f64 {
    let text = &page.text[block.start..block.end];
    let is_dense = text.chars().find(|c| c.is_alphabetic()).is_some_and(|c| u32::from(c) >= 0x2e80);
    block.n_letters as f64 * if is_dense { 2.5 } else { 1.0 }
}

/// What each block is worth; the lines of one paragraph are judged together.
fn worths(page: &Blocks) -> Vec<f64> {
    let mut worths = Vec::with_capacity(page.blocks.len());
    let mut is_teased = false;
    for lines in page.blocks.chunk_by(|a, b| a.holder == b.holder && a.is_boilerplate == b.is_boilerplate) {
        let n: f64 = lines.iter().map(|b| letters(page, b)).sum();
        let n_links: usize = lines.iter().map(|b| b.n_link_letters).sum();
        let n_letters: usize = lines.iter().map(|b| b.n_letters).sum();
        let links = n_links as f64 / n_letters.max(1) as f64;
        let mut whole = lines.last().map_or(0.0, |last| worth(page, last, n, links));
        // What follows a linked headline is about another page.
        if whole > 0.0 && is_teased {
            whole *= TEASER;
        }
        is_teased = links > 0.9 && n_letters > 15;
        worths.extend(lines.iter().map(|b| whole * b.n_letters as f64 / n_letters.max(1) as f64));
    }
    worths
}

/// What `n` letters are worth of which `links` is the share in links, and whose last line is `block`.
fn worth(page: &Blocks, block: &Block, n: f64, links: f64) -> f64 {
    if block.is_boilerplate {
        return 0.0;
    }
    if block.tag == Tag::Pre {
        return n;
    }
    if links > 0.5 {
        return -n.min(60.0) * 0.8;
    }
    let text = &page.text[block.start..block.end];
    let least = if block.tag == Tag::Paragraph { 40.0 } else { 70.0 };
    let is_prose = n >= least || n >= 20.0 && ends_sentence(text);
    if is_prose {
        return (n * (1.0 - links) - n * links * 0.5) * if matches!(block.tag, Tag::Paragraph | Tag::Heading(_)) { 1.0 } else { 0.8 };
    }
    match block.tag {
        Tag::Heading(_) | Tag::Row | Tag::Item => 0.0,
        _ => -n.min(25.0),
    }
}

/// The element that holds the content: the one whose blocks are worth most, those deep below it less than those directly in it.
fn best(tree: &Tree, page: &Blocks, worths: &[f64]) -> Option<u32> {
    let mut values = vec![0.0; tree.nodes.len()];
    for (block, worth) in page.blocks.iter().zip(worths) {
        values[block.holder as usize] += worth;
    }
    let mut best = None;
    // Children come after their parents in the order of the page: backwards, they are done before them.
    for &node in page.visible.iter().rev() {
        let value = values[node as usize];
        let parent = tree.nodes[node as usize].parent;
        if parent != NONE {
            values[parent as usize] += DECAY * value;
        }
        let factor = if page.marks[node as usize] == Mark::Content { NAMED_CONTENT } else { 1.0 };
        if value > 0.0 && best.is_none_or(|(_, most)| value * factor > most) {
            best = Some((node, value * factor));
        }
    }
    best.map(|(node, _)| node)
}

/// The blocks of an element that are content.
fn kept(page: &Blocks, from: usize, to: usize) -> Vec<usize> {
    let mut kept = Vec::new();
    let is_list = |i: usize| page.blocks[i].in_list;
    let mut i = from;
    while i < to {
        let mut end = i + 1;
        while is_list(i) && end < to && is_list(end) {
            end += 1;
        }
        // A list of links is navigation, even if some items hold more.
        let links: usize = page.blocks[i..end].iter().map(|b| b.n_link_letters).sum();
        let letters: usize = page.blocks[i..end].iter().map(|b| b.n_letters).sum();
        let share = links as f64 / letters.max(1) as f64;
        let is_links =
            if is_list(i) { share > LIST_LINKS } else { share > 0.9 && letters < 120 && !matches!(page.blocks[i].tag, Tag::Heading(_)) };
        if !is_links {
            kept.extend((i..end).filter(|&i| !page.blocks[i].is_boilerplate));
        }
        i = end;
    }
    kept
}

/// Leaves out headings that nothing follows, and short blocks before and after the prose.
fn trim(page: &Blocks, worths: &[f64], title: &str, kept: &mut Vec<usize>) {
    let is_firm = |i: usize| {
        let block = &page.blocks[i];
        worths[i] > 0.0 || block.in_list || matches!(block.tag, Tag::Row | Tag::Pre | Tag::Paragraph)
    };
    while kept.last().is_some_and(|&last| !is_firm(last)) {
        kept.pop();
    }
    let first = kept.iter().position(|&i| worths[i] > 0.0).unwrap_or(0);
    let mut n = 0;
    kept.retain(|&i| {
        n += 1;
        let block = &page.blocks[i];
        n > first
            || match block.tag {
                Tag::Heading(_) => !repeats(title, &page.text[block.start..block.end]),
                Tag::Paragraph | Tag::Figcaption => false,
                _ => is_firm(i),
            }
    });
    // Captions stand once for each size of their picture.
    let mut seen = HashSet::new();
    kept.retain(|&i| {
        let block = &page.blocks[i];
        block.n_letters < 40 || !matches!(block.tag, Tag::Figcaption | Tag::Item) || seen.insert(&page.text[block.start..block.end])
    });
    // A heading stands before text, or before the heading of a part.
    let mut keeps = vec![true; kept.len()];
    let mut next: Option<u8> = Some(0);
    for n in (0..kept.len()).rev() {
        match page.blocks[kept[n]].tag {
            Tag::Heading(level) => {
                keeps[n] = next.is_none_or(|below| below > level);
                if keeps[n] {
                    next = Some(level);
                }
            }
            _ => next = None,
        }
    }
    let mut keeps = keeps.into_iter();
    kept.retain(|_| keeps.next().unwrap_or(true));
}

/// How much of a title is compared with headings.
const TITLE_BYTES_MAX: usize = 500;

/// Whether a heading says what the page's title says.
fn repeats(title: &str, heading: &str) -> bool {
    let words =
        |text: &str| text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_lowercase).collect::<Vec<_>>();
    let title = words(title.get(..title.floor_char_boundary(TITLE_BYTES_MAX)).unwrap_or(""));
    let heading = words(heading);
    let n_known = heading.iter().filter(|w| title.contains(w)).count();
    10 * n_known >= 8 * heading.len() && 10 * n_known >= 4 * title.len()
}
