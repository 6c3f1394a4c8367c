//! A page as a tree in one vector, built by html5ever's tree construction, with limits that keep it linear.
//!
//! The standard lets a page ask for more than its length: `n` open elements that each tag walks over, `n` formatting elements that each
//! paragraph opens again, `n` attributes that are compared with each other. Here elements stand at most [`DEPTH_MAX`] deep (as in browsers; what
//! would stand deeper is text of the deepest), formatting elements carry no attributes into the tree construction (so that at most three of a
//! kind are opened again), and a page whose tree takes more than [`WORK_PER_BYTE`] steps a byte ends where it exceeds them.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{Doctype, Tag as TagToken, TagKind, Token as Html5Token, TokenSink, TokenSinkResult};
use html5ever::tree_builder::{ElementFlags, NodeOrText, QuirksMode, TreeBuilder, TreeBuilderOpts, TreeSink};
use html5ever::{ExpandedName, LocalName, QualName, ns};

use super::tag::Tag;
use super::tokens::{Attribute, Raw, Token, Tokens};

/// How deep elements stand at most.
const DEPTH_MAX: u32 = 512;

/// Steps of tree construction a page may take for each of its bytes, beyond a free million.
const WORK_PER_BYTE: usize = 8;

/// No node.
pub(super) const NONE: u32 = u32::MAX;

/// An element or a text, and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) tag: Tag,
    pub(super) parent: u32,
    pub(super) first: u32,
    pub(super) last: u32,
    pub(super) next: u32,
    previous: u32,
    depth: u32,
    /// Of an element: the index in `Tree::attributes`, or [`NONE`]. Of a text: the index in `Tree::texts`.
    content: u32,
}

/// A page.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// The first is the document.
    pub(super) nodes: Vec<Node>,
    attributes: Vec<Vec<Attribute>>,
    texts: Vec<String>,
}

impl Tree {
    /// The text of a text node.
    pub(super) fn text(&self, node: u32) -> &str {
        let node = &self.nodes[node as usize];
        if node.tag == Tag::Text { self.texts.get(node.content as usize).map_or("", String::as_str) } else { "" }
    }

    /// The kept attributes of an element.
    pub(super) fn attributes(&self, node: u32) -> &[Attribute] {
        let node = &self.nodes[node as usize];
        if node.tag == Tag::Text { &[] } else { self.attributes.get(node.content as usize).map_or(&[], Vec::as_slice) }
    }

    /// The value of an attribute, character references resolved.
    pub(super) fn attribute<'a>(&self, html: &'a str, node: u32, name: &str) -> Option<Cow<'a, str>> {
        self.attributes(node).iter().find(|a| a.is(name)).map(|a| a.value(html))
    }

    /// The node after `node` in the order of the page, below `root`; children first unless `skip`.
    pub(super) fn following(&self, node: u32, root: u32, skip: bool) -> Option<u32> {
        let nodes = &self.nodes;
        if !skip && nodes[node as usize].first != NONE {
            return Some(nodes[node as usize].first);
        }
        let mut at = node;
        while at != root {
            if nodes[at as usize].next != NONE {
                return Some(nodes[at as usize].next);
            }
            at = nodes[at as usize].parent;
            if at == NONE {
                return None;
            }
        }
        None
    }

    /// The nodes of `root` and below it, in the order of the page.
    pub(super) fn walk(&self, root: u32) -> impl Iterator<Item = u32> + '_ {
        std::iter::successors(Some(root), move |&node| self.following(node, root, false))
    }

    fn add(&mut self, tag: Tag, content: u32) -> u32 {
        let id = self.nodes.len() as u32;
        self.nodes.push(Node { tag, parent: NONE, first: NONE, last: NONE, next: NONE, previous: NONE, depth: 0, content });
        id
    }

    fn detach(&mut self, id: u32) {
        let Node { parent, next, previous, .. } = self.nodes[id as usize];
        if previous != NONE {
            self.nodes[previous as usize].next = next;
        } else if parent != NONE {
            self.nodes[parent as usize].first = next;
        }
        if next != NONE {
            self.nodes[next as usize].previous = previous;
        } else if parent != NONE {
            self.nodes[parent as usize].last = previous;
        }
        let node = &mut self.nodes[id as usize];
        (node.parent, node.next, node.previous) = (NONE, NONE, NONE);
    }

    /// Puts `id` below `parent`, before `next`, or last where that is [`NONE`].
    fn attach(&mut self, id: u32, parent: u32, next: u32) {
        self.detach(id);
        let previous = if next == NONE { self.nodes[parent as usize].last } else { self.nodes[next as usize].previous };
        let depth = self.nodes[parent as usize].depth + 1;
        let node = &mut self.nodes[id as usize];
        (node.parent, node.previous, node.next, node.depth) = (parent, previous, next, depth);
        match previous {
            NONE => self.nodes[parent as usize].first = id,
            _ => self.nodes[previous as usize].next = id,
        }
        match next {
            NONE => self.nodes[parent as usize].last = id,
            _ => self.nodes[next as usize].previous = id,
        }
    }

    fn attach_text(&mut self, text: &str, parent: u32, next: u32) {
        let previous = if next == NONE { self.nodes[parent as usize].last } else { self.nodes[next as usize].previous };
        if previous != NONE && self.nodes[previous as usize].tag == Tag::Text {
            let content = self.nodes[previous as usize].content;
            if let Some(known) = self.texts.get_mut(content as usize) {
                known.push_str(text);
            }
            return;
        }
        let content = self.texts.len() as u32;
        self.texts.push(text.to_owned());
        let id = self.add(Tag::Text, content);
        self.attach(id, parent, next);
    }
}

/// A node as the tree construction holds it: with its name, so that asking for that borrows nothing.
#[derive(Clone)]
struct Handle {
    id: u32,
    name: QualName,
}

#[derive(Default)]
struct Sink {
    tree: RefCell<Tree>,
    /// The element that content goes into, as far as it is known: its depth is what the next tag would add to.
    current: Cell<u32>,
    /// The last element made, and whether it has the name of the tag being read.
    made: Cell<u32>,
    work: Cell<usize>,
}

impl Sink {
    fn step(&self) {
        self.work.set(self.work.get() + 1);
    }

    fn insert(&self, parent: u32, next: u32, child: NodeOrText<Handle>) {
        self.step();
        let mut tree = self.tree.borrow_mut();
        match child {
            NodeOrText::AppendNode(node) => {
                tree.attach(node.id, parent, next);
                self.current.set(node.id);
            }
            NodeOrText::AppendText(text) => {
                tree.attach_text(&text, parent, next);
                self.current.set(parent);
            }
        }
    }
}

fn no_name() -> QualName {
    QualName::new(None, ns!(), LocalName::from(""))
}

impl TreeSink for Sink {
    type Handle = Handle;
    type Output = Tree;
    type ElemName<'a> = ExpandedName<'a>;

    fn finish(self) -> Tree {
        self.tree.into_inner()
    }

    fn parse_error(&self, _: Cow<'static, str>) {}

    fn get_document(&self) -> Handle {
        Handle { id: 0, name: no_name() }
    }

    fn elem_name<'a>(&'a self, target: &'a Handle) -> ExpandedName<'a> {
        target.name.expanded()
    }

    fn create_element(&self, name: QualName, _: Vec<html5ever::Attribute>, _: ElementFlags) -> Handle {
        self.step();
        let tag = if name.ns == ns!(html) { Tag::named(&name.local) } else { Tag::foreign(&name.local) };
        let id = self.tree.borrow_mut().add(tag, NONE);
        self.made.set(id);
        Handle { id, name }
    }

    fn create_comment(&self, _: StrTendril) -> Handle {
        Handle { id: self.tree.borrow_mut().add(Tag::Unseen, NONE), name: no_name() }
    }

    fn create_pi(&self, _: StrTendril, data: StrTendril) -> Handle {
        self.create_comment(data)
    }

    fn append(&self, parent: &Handle, child: NodeOrText<Handle>) {
        self.insert(parent.id, NONE, child);
    }

    fn append_based_on_parent_node(&self, element: &Handle, previous: &Handle, child: NodeOrText<Handle>) {
        if self.tree.borrow().nodes[element.id as usize].parent == NONE {
            self.append(previous, child);
        } else {
            self.append_before_sibling(element, child);
        }
    }

    fn append_doctype_to_document(&self, _: StrTendril, _: StrTendril, _: StrTendril) {}

    fn pop(&self, node: &Handle) {
        let parent = self.tree.borrow().nodes[node.id as usize].parent;
        self.current.set(if parent == NONE { 0 } else { parent });
    }

    // What a template holds is not shown: it may stand below it as it is.
    fn get_template_contents(&self, target: &Handle) -> Handle {
        target.clone()
    }

    fn same_node(&self, x: &Handle, y: &Handle) -> bool {
        x.id == y.id
    }

    fn set_quirks_mode(&self, _: QuirksMode) {}

    fn append_before_sibling(&self, sibling: &Handle, new_node: NodeOrText<Handle>) {
        let parent = self.tree.borrow().nodes[sibling.id as usize].parent;
        if parent != NONE {
            self.insert(parent, sibling.id, new_node);
        }
    }

    fn add_attrs_if_missing(&self, _: &Handle, _: Vec<html5ever::Attribute>) {}

    fn remove_from_parent(&self, target: &Handle) {
        self.step();
        self.tree.borrow_mut().detach(target.id);
    }

    fn reparent_children(&self, node: &Handle, new_parent: &Handle) {
        let mut tree = self.tree.borrow_mut();
        let mut child = tree.nodes[node.id as usize].first;
        while child != NONE {
            let next = tree.nodes[child as usize].next;
            tree.attach(child, new_parent.id, NONE);
            self.step();
            child = next;
        }
    }
}

/// Builds the tree of a page.
pub(super) fn parse(html: &str) -> Tree {
    let sink = Sink::default();
    sink.tree.borrow_mut().add(Tag::Other, NONE);
    let builder = TreeBuilder::new(sink, TreeBuilderOpts::default());
    let mut tokens = Tokens::new(html);
    let mut construction = Construction { builder: &builder, html, too_deep: 0 };
    let work_max = (1 << 20) + WORK_PER_BYTE * html.len();
    while builder.sink.work.get() < work_max {
        tokens.is_foreign = builder.adjusted_current_node_present_but_not_in_html_namespace();
        let Some(token) = tokens.next() else { break };
        construction.take(token, &mut tokens);
    }
    let _ = builder.process_token(Html5Token::EOFToken, 1);
    builder.end();
    builder.sink.finish()
}

struct Construction<'a> {
    builder: &'a TreeBuilder<Handle, Sink>,
    html: &'a str,
    /// Elements that were opened too deep, and not closed.
    too_deep: usize,
}

impl Construction<'_> {
    fn take(&mut self, token: Token<'_>, tokens: &mut Tokens<'_>) {
        match token {
            Token::Text(text) => self.text(&text),
            Token::Doctype { is_html } => {
                let doctype = Doctype { name: is_html.then(|| StrTendril::from("html")), ..Doctype::default() };
                let _ = self.builder.process_token(Html5Token::DoctypeToken(doctype), 1);
            }
            Token::End { name } => {
                if self.too_deep > 0 && !matches!(&*name, "body" | "html") {
                    self.too_deep -= 1;
                    return;
                }
                let _ = self.builder.process_token(tag_token(TagKind::EndTag, &name, Vec::new(), false), 1);
            }
            Token::Start { name, attributes, self_closing } => self.start(&name, attributes, self_closing, tokens),
        }
    }

    fn text(&self, text: &str) {
        if !text.is_empty() {
            let _ = self.builder.process_token(Html5Token::CharacterTokens(StrTendril::from(text)), 1);
        }
    }

    fn start(&mut self, name: &str, attributes: Vec<Attribute>, self_closing: bool, tokens: &mut Tokens<'_>) {
        let sink = &self.builder.sink;
        let depth = sink.tree.borrow().nodes[sink.current.get() as usize].depth;
        if depth >= DEPTH_MAX && !Tag::named(name).is_void() {
            self.too_deep += 1;
            match name {
                "script" => _ = tokens.raw(Raw::Script, name),
                "style" | "textarea" | "title" | "iframe" | "noembed" | "noframes" | "noscript" => _ = tokens.raw(Raw::Unseen, name),
                _ => {}
            }
            return;
        }
        // A hidden field may stand in a table, another not; the other attributes stay beside the construction.
        let steering = if name == "input" { steering(&attributes, self.html) } else { Vec::new() };
        sink.made.set(NONE);
        let result = self.builder.process_token(tag_token(TagKind::StartTag, name, steering, self_closing), 1);
        let made = sink.made.get();
        if !attributes.is_empty() && made != NONE {
            let mut tree = sink.tree.borrow_mut();
            let index = tree.attributes.len() as u32;
            let node = &mut tree.nodes[made as usize];
            if node.tag == Tag::named(name) || node.tag == Tag::foreign(name) {
                node.content = index;
                tree.attributes.push(attributes);
            }
        }
        let kind = match result {
            TokenSinkResult::RawData(RawKind::Rcdata) => Raw::Referenced,
            TokenSinkResult::RawData(RawKind::Rawtext) => Raw::Unseen,
            TokenSinkResult::RawData(_) => Raw::Script,
            TokenSinkResult::Plaintext => Raw::Plain,
            _ => return,
        };
        let raw = tokens.raw(kind, name);
        match kind {
            Raw::Referenced => self.text(&super::tokens::resolve(raw, false)),
            Raw::Plain => self.text(raw),
            Raw::Script | Raw::Unseen => {}
        }
    }
}

fn steering(attributes: &[Attribute], html: &str) -> Vec<html5ever::Attribute> {
    let name = QualName::new(None, ns!(), LocalName::from("type"));
    let value = |a: &Attribute| html5ever::Attribute { name: name.clone(), value: StrTendril::from(&*a.value(html)) };
    attributes.iter().filter(|a| a.is("type")).map(value).collect()
}

fn tag_token(kind: TagKind, name: &str, attrs: Vec<html5ever::Attribute>, self_closing: bool) -> Html5Token {
    Html5Token::TagToken(TagToken { kind, name: LocalName::from(name), self_closing, attrs, had_duplicate_attributes: false })
}
