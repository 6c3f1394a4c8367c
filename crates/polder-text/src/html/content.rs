//! Which blocks of a page are its content.
//!
//! Each block is worth its letters outside links if it reads like prose, and costs something if it is short or mostly links. The content is
//! the element whose blocks are worth most, as deep in the tree as loses little; in it, what is boilerplate by name, by links or by standing
//! at the end is left out.

use super::blocks::{Block, Blocks};
use super::marks::Mark;
use super::tag::Tag;
use super::tree::{NONE, Tree};

/// How much of an element's worth a child must have for the content to be looked for in the child.
const SHARE: f64 = 0.80;

/// What an element that its name calls the content counts more.
const NAMED_CONTENT: f64 = 1.5;

/// The blocks of the content, by index, in order.
pub(super) fn content(tree: &Tree, page: &Blocks) -> Vec<usize> {
    let all: Vec<usize> = (0..page.blocks.len()).collect();
    let worths: Vec<f64> = page.blocks.iter().map(|b| worth(page, b)).collect();
    let sums: Vec<f64> = std::iter::once(0.0)
        .chain(worths.iter().scan(0.0, |sum, w| {
            *sum += w;
            Some(*sum)
        }))
        .collect();
    let of = |node: u32| {
        let (from, to) = page.spans[node as usize];
        sums[to as usize] - sums[from as usize]
    };
    let Some(root) = best(tree, page, &of) else { return all };
    let (from, to) = page.spans[root as usize];
    let mut kept: Vec<usize> = (from as usize..to as usize).filter(|&i| keeps(page, i)).collect();
    trim(page, &worths, &mut kept);
    let n_kept: usize = kept.iter().map(|&i| page.blocks[i].n_letters).sum();
    // Neither prose nor a name tells content from the rest: what is no boilerplate by name, or else everything.
    if n_kept < 100 {
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

fn link_share(block: &Block) -> f64 {
    block.n_link_letters as f64 / block.n_letters.max(1) as f64
}

fn worth(page: &Blocks, block: &Block) -> f64 {
    if block.is_boilerplate {
        return 0.0;
    }
    let n = letters(page, block);
    let links = link_share(block);
    if block.tag == Tag::Pre {
        return n;
    }
    if links > 0.5 {
        return -n.min(60.0) * 0.8;
    }
    let text = &page.text[block.start..block.end];
    let is_prose = n >= 70.0 || n >= 20.0 && ends_sentence(text);
    if is_prose {
        return (n * (1.0 - links) - n * links * 0.5) * if matches!(block.tag, Tag::Paragraph | Tag::Heading(_)) { 1.0 } else { 0.8 };
    }
    match block.tag {
        Tag::Heading(_) | Tag::Row | Tag::Item => 0.0,
        _ => -n.min(25.0),
    }
}

/// The element that holds the content.
fn best(tree: &Tree, page: &Blocks, of: &dyn Fn(u32) -> f64) -> Option<u32> {
    let value = |node: u32| of(node) * if page.marks[node as usize] == Mark::Content { NAMED_CONTENT } else { 1.0 };
    let is_candidate = |node: u32| tree.nodes[node as usize].tag.is_block() && page.marks[node as usize] != Mark::Hidden;
    let mut root = (0..tree.nodes.len() as u32)
        .filter(|&n| is_candidate(n) && page.spans[n as usize].1 > page.spans[n as usize].0)
        .map(|n| (n, value(n)))
        .fold(None, |best: Option<(u32, f64)>, (n, v)| if best.is_none_or(|(_, b)| v > b) { Some((n, v)) } else { best })?;
    if root.1 <= 0.0 {
        return None;
    }
    // As deep as loses little.
    loop {
        let mut child = tree.nodes[root.0 as usize].first;
        let mut next = None;
        while child != NONE {
            if is_candidate(child) && value(child) >= SHARE * root.1 && value(child) > 0.0 {
                next = Some((child, value(child)));
            }
            child = tree.nodes[child as usize].next;
        }
        match next {
            Some(found) => root = found,
            None => return Some(root.0),
        }
    }
}

/// Whether a block of the content's element is content.
fn keeps(page: &Blocks, i: usize) -> bool {
    let block = &page.blocks[i];
    if block.is_boilerplate {
        return false;
    }
    let links = link_share(block);
    let n = block.n_letters;
    match block.tag {
        Tag::Pre => true,
        Tag::Heading(_) => true,
        _ if block.in_list => links < 0.9 || n > 100,
        _ => links < 0.9 || n > 120,
    }
}

/// Leaves out headings that nothing follows, and short blocks before and after the prose.
fn trim(page: &Blocks, worths: &[f64], kept: &mut Vec<usize>) {
    while let Some(&last) = kept.last() {
        let block = &page.blocks[last];
        if worths[last] > 0.0 || block.in_list || matches!(block.tag, Tag::Row | Tag::Pre) {
            break;
        }
        kept.pop();
    }
    let first = kept.iter().position(|&i| worths[i] > 0.0).unwrap_or(0);
    let mut n = 0;
    kept.retain(|&i| {
        n += 1;
        n > first || matches!(page.blocks[i].tag, Tag::Heading(_) | Tag::Row | Tag::Pre) || page.blocks[i].in_list
    });
}
