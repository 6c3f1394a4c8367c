//! A page as blocks: lines as a reader sees them, each with what is link in it and where it stands in the tree.

use super::marks::{Mark, mark};
use super::tag::Tag;
use super::tree::{NONE, Node, Tree};

/// Shares of a page's letters outside links that an element may hold and still be around the content, or beside it.
const AROUND_MAX: f64 = 0.5;
const BESIDE_MAX: f64 = 0.2;

/// How far items of lists in lists are indented at most.
const INDENTATIONS_MAX: usize = 8;

/// A run of text between two line borders.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// The nearest block element.
    pub(super) tag: Tag,
    /// Where its text stands in [`Blocks::text`].
    pub(super) start: usize,
    pub(super) end: usize,
    /// Its letters and digits, and those of them in links.
    pub(super) n_letters: usize,
    pub(super) n_link_letters: usize,
    /// Whether it stands in something that its name calls boilerplate.
    pub(super) is_boilerplate: bool,
    /// Whether it is an item of a list, or in one.
    pub(super) in_list: bool,
    /// Whether it has text beyond the bullet of its item.
    has_text: bool,
    /// Whether a blank line stands before it.
    pub(super) is_apart: bool,
    /// The element that holds it.
    pub(super) holder: u32,
}

/// All blocks of a page, and which of them stand in which element.
pub(super) struct Blocks {
    pub(super) text: String,
    pub(super) blocks: Vec<Block>,
    /// For each node, the blocks in it: from, to.
    pub(super) spans: Vec<(u32, u32)>,
    pub(super) marks: Vec<Mark>,
    /// The nodes that are not hidden, in the order of the page.
    pub(super) visible: Vec<u32>,
}

/// Facts about what stands below a node.
#[derive(Clone, Copy, Default)]
struct Below {
    n_letters: u32,
    /// Letters outside links.
    n_prose: u32,
    n_rows: u32,
    n_cells: u32,
    n_tables: u32,
    n_paragraphs: u32,
    holds_content: bool,
}

/// Cuts a page into blocks.
pub(super) fn blocks(tree: &Tree, html: &str) -> Blocks {
    let mut marks = vec![Mark::Hidden; tree.nodes.len()];
    let mut visible = Vec::new();
    let mut at = Some(0);
    while let Some(node) = at {
        let mark = mark(tree, html, node);
        marks[node as usize] = mark;
        if mark != Mark::Hidden {
            visible.push(node);
        }
        at = tree.following(node, 0, mark == Mark::Hidden);
    }
    let below = below(tree, &marks, &visible);
    clear_names(tree, &below, &visible, &mut marks);
    let spans = vec![(0, 0); tree.nodes.len()];
    let mut cutter = Cutter { tree, marks: &marks, below: &below, out: Vec::new(), text: String::new(), spans, open: Open::default() };
    cutter.run();
    let Cutter { out, text, spans, .. } = cutter;
    Blocks { text, blocks: out, spans, marks, visible }
}

/// Counts what stands in each node.
fn below(tree: &Tree, marks: &[Mark], visible: &[u32]) -> Vec<Below> {
    let mut below = vec![Below::default(); tree.nodes.len()];
    // Children come after their parents: backwards, they are done before them.
    for &node in visible.iter().rev() {
        let facts = &mut below[node as usize];
        match tree.nodes[node as usize].tag {
            Tag::Text => {
                facts.n_letters = tree.text(node).chars().filter(|c| c.is_alphanumeric()).count() as u32;
                facts.n_prose = facts.n_letters;
            }
            Tag::A => facts.n_prose = 0,
            Tag::Table => facts.n_tables += 1,
            Tag::Row => facts.n_rows += 1,
            Tag::Cell => facts.n_cells += 1,
            Tag::Paragraph | Tag::Heading(_) | Tag::UnorderedList | Tag::OrderedList | Tag::Pre | Tag::Blockquote => {
                facts.n_paragraphs += 1
            }
            _ => {}
        }
        facts.holds_content |= marks[node as usize] == Mark::Content;
        let facts = *facts;
        let parent = tree.nodes[node as usize].parent;
        if parent != NONE {
            let above = &mut below[parent as usize];
            above.n_letters += facts.n_letters;
            above.n_prose += facts.n_prose;
            above.n_rows += facts.n_rows;
            above.n_cells += facts.n_cells;
            above.n_tables += facts.n_tables;
            above.n_paragraphs += facts.n_paragraphs;
            above.holds_content |= facts.holds_content;
        }
    }
    below
}

/// Takes its name's mark from what holds too much to stand around the content: what is called a sidebar and holds the article is none.
fn clear_names(tree: &Tree, below: &[Below], visible: &[u32], marks: &mut [Mark]) {
    let total = f64::from(below.first().map_or(0, |b| b.n_prose));
    for &node in visible {
        let facts = below[node as usize];
        let is_page = matches!(tree.nodes[node as usize].tag, Tag::Body | Tag::Html | Tag::Main);
        let holds_most = |share: f64| is_page || f64::from(facts.n_prose) > share * total;
        let is_cleared = match marks[node as usize] {
            Mark::Around => holds_most(AROUND_MAX),
            Mark::Beside => holds_most(BESIDE_MAX) || facts.holds_content,
            _ => false,
        };
        if is_cleared {
            marks[node as usize] = Mark::Plain;
        }
    }
}

/// What is open where the cutter stands.
#[derive(Default)]
struct Open {
    /// Counts of open elements of a kind.
    links: u32,
    boilerplate: u32,
    lists: u32,
    pres: u32,
    /// Rows of tables that are tables: their cells stand in one line.
    rows: u32,
    /// Numbers of open lists: `Some` for ordered ones.
    numbers: Vec<Option<u32>>,
    /// Open block elements.
    holders: Vec<u32>,
    /// What stands before the next block's text.
    bullet: Option<String>,
    is_apart: bool,
    /// A space is due before the next letter.
    space: bool,
    block: Option<Block>,
}

struct Cutter<'a> {
    tree: &'a Tree,
    marks: &'a [Mark],
    below: &'a [Below],
    out: Vec<Block>,
    text: String,
    spans: Vec<(u32, u32)>,
    open: Open,
}

impl Cutter<'_> {
    fn run(&mut self) {
        let mut node = 0u32;
        loop {
            let is_hidden = self.marks[node as usize] == Mark::Hidden;
            if !is_hidden {
                self.enter(node);
            }
            let first = self.tree.nodes[node as usize].first;
            if !is_hidden && first != NONE {
                node = first;
                continue;
            }
            // Leave until something follows.
            loop {
                if self.marks[node as usize] != Mark::Hidden {
                    self.leave(node);
                }
                let Node { next, parent, .. } = self.tree.nodes[node as usize];
                if next != NONE {
                    node = next;
                    break;
                }
                if parent == NONE {
                    return;
                }
                node = parent;
            }
        }
    }

    fn is_inner_list(&self, tag: Tag) -> bool {
        self.open.lists > 0 && matches!(tag, Tag::UnorderedList | Tag::OrderedList)
    }

    fn is_data_table(&self, node: u32) -> bool {
        let facts = self.below[node as usize];
        facts.n_tables == 1
            && facts.n_rows >= 2
            && facts.n_cells >= 2 * facts.n_rows - 1
            && facts.n_paragraphs <= facts.n_cells
            && facts.n_letters <= 100 * facts.n_cells
    }

    fn in_data_table(&self, node: u32) -> bool {
        let mut at = self.tree.nodes[node as usize].parent;
        for _ in 0..3 {
            if at == NONE {
                return false;
            }
            if self.tree.nodes[at as usize].tag == Tag::Table {
                return self.is_data_table(at);
            }
            at = self.tree.nodes[at as usize].parent;
        }
        false
    }

    fn enter(&mut self, node: u32) {
        let tag = self.tree.nodes[node as usize].tag;
        if tag.is_block() && !(self.open.rows > 0 && tag != Tag::Row) {
            // The first paragraph of an item stands beside its bullet, a list in a list below its item.
            self.close(tag.is_paragraph() && self.open.bullet.is_none() && !self.is_inner_list(tag));
            self.open.holders.push(node);
        }
        self.spans[node as usize].0 = self.out.len() as u32;
        self.open.boilerplate += self.counts_as_boilerplate(node);
        match tag {
            Tag::Text => {
                if self.open.pres > 0 && self.open.rows == 0 {
                    self.verbatim(node);
                } else {
                    self.flow(node);
                }
            }
            Tag::A => self.open.links += 1,
            Tag::Br if self.open.pres > 0 => self.push_verbatim("\n"),
            Tag::Br if self.open.rows > 0 => self.open.space = true,
            // Two of them part paragraphs.
            Tag::Br => {
                let was_closed = self.open.block.is_none();
                self.close(was_closed);
            }
            Tag::Pre => self.open.pres += 1,
            Tag::UnorderedList => self.open.numbers.push(None),
            Tag::OrderedList => self.open.numbers.push(Some(0)),
            Tag::Item => self.begin_item(),
            Tag::Row if self.in_data_table(node) => self.open.rows += 1,
            Tag::Cell if self.open.rows > 0 => {
                if let Some(block) = &self.open.block
                    && block.start < self.text.len()
                {
                    self.text.push_str(" |");
                }
                self.open.space = true;
            }
            _ => {}
        }
    }

    fn begin_item(&mut self) {
        let open = &mut self.open;
        open.lists += 1;
        let indentation = "  ".repeat(open.numbers.len().saturating_sub(1).min(INDENTATIONS_MAX));
        open.bullet = Some(match open.numbers.last_mut() {
            Some(Some(n)) => {
                *n += 1;
                format!("{indentation}{n}. ")
            }
            _ => format!("{indentation}- "),
        });
    }

    fn leave(&mut self, node: u32) {
        let tag = self.tree.nodes[node as usize].tag;
        let is_row = tag == Tag::Row && self.open.rows > 0;
        if tag.is_block() && (self.open.rows == 0 || is_row) {
            self.close(tag.is_paragraph() && !self.is_inner_list(tag));
            self.open.holders.pop();
        } else if tag.is_block() {
            self.open.space = true;
        }
        self.spans[node as usize].1 = self.out.len() as u32;
        match tag {
            Tag::A => self.open.links -= 1,
            Tag::Pre => self.open.pres -= 1,
            Tag::UnorderedList | Tag::OrderedList => drop(self.open.numbers.pop()),
            Tag::Item => {
                self.open.lists -= 1;
                self.open.bullet = None;
                self.open.is_apart = false;
            }
            _ if is_row => self.open.rows -= 1,
            _ => {}
        }
        self.open.boilerplate -= self.counts_as_boilerplate(node);
    }

    /// 1 if the element is boilerplate by its name; within code, names are of colours.
    fn counts_as_boilerplate(&self, node: u32) -> u32 {
        u32::from(self.open.pres == 0 && matches!(self.marks[node as usize], Mark::Around | Mark::Beside))
    }

    /// The open block, begun if there is none.
    fn block(&mut self) -> &mut Block {
        let open = &mut self.open;
        if open.block.is_none() {
            open.space = false;
        }
        let (tree, text) = (self.tree, &mut self.text);
        open.block.get_or_insert_with(|| {
            let holder = open.holders.last().copied().unwrap_or(0);
            let start = text.len();
            text.push_str(&open.bullet.take().unwrap_or_default());
            Block {
                tag: tree.nodes[holder as usize].tag,
                start,
                end: start,
                n_letters: 0,
                n_link_letters: 0,
                is_boilerplate: open.boilerplate > 0,
                in_list: open.lists > 0,
                is_apart: open.is_apart,
                has_text: false,
                holder,
            }
        })
    }

    fn flow(&mut self, node: u32) {
        let tree = self.tree;
        let is_link = self.open.links > 0;
        let text = tree.text(node);
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            let length = rest.find(|c: char| c.is_whitespace() || c == '\u{200b}' || c == '\u{ad}').unwrap_or(rest.len());
            if length > 0 {
                let word = &rest[..length];
                let n_letters = word.chars().filter(|c| c.is_alphanumeric()).count();
                let block = self.block();
                block.n_letters += n_letters;
                block.n_link_letters += if is_link { n_letters } else { 0 };
                let has_text = std::mem::replace(&mut block.has_text, true);
                if self.open.space && has_text {
                    self.text.push(' ');
                }
                self.open.space = false;
                self.text.push_str(word);
                at += length;
            } else {
                let c = rest.chars().next().unwrap_or(' ');
                self.open.space |= c.is_whitespace();
                at += c.len_utf8();
            }
        }
    }

    fn verbatim(&mut self, node: u32) {
        let tree = self.tree;
        self.push_verbatim(tree.text(node));
    }

    fn push_verbatim(&mut self, text: &str) {
        // The line end after `<pre>` is no text.
        if self.open.block.is_none() && text.trim().is_empty() {
            return;
        }
        let n_letters = text.chars().filter(|c| c.is_alphanumeric()).count();
        let is_first = self.open.block.is_none();
        let is_link = self.open.links > 0;
        let block = self.block();
        block.n_letters += n_letters;
        block.n_link_letters += if is_link { n_letters } else { 0 };
        block.tag = Tag::Pre;
        self.text.push_str(if is_first { text.trim_start_matches('\n') } else { text });
    }

    /// Ends the open block.
    fn close(&mut self, is_apart: bool) {
        if let Some(mut block) = self.open.block.take() {
            while self.text.len() > block.start && self.text.ends_with(char::is_whitespace) {
                self.text.pop();
            }
            block.end = self.text.len();
            self.open.is_apart = false;
            if block.n_letters > 0 || block.tag == Tag::Pre {
                self.out.push(block);
            }
        }
        self.open.is_apart |= is_apart;
    }
}
