//! HTML as tags and text, by the states of the WHATWG standard's tokenizer; one pass, and no state that goes back.
//!
//! It keeps the attributes that tell content from boilerplate, as places in the source, and leaves out what nobody reads: comments,
//! style sheets and scripts.

use std::borrow::Cow;
use std::ops::Range;

/// Attributes of one tag that are kept; the others say nothing about text.
const KEPT: [&str; 16] = [
    "class",
    "id",
    "style",
    "hidden",
    "role",
    "aria-hidden",
    "href",
    "rel",
    "itemprop",
    "property",
    "name",
    "content",
    "datetime",
    "lang",
    "type",
    "http-equiv",
];

/// An attribute: an index into the kept names, and where its value stands in the source.
#[derive(Clone, Debug)]
pub(super) struct Attribute {
    name: u8,
    value: Range<usize>,
}

impl Attribute {
    /// Whether this is the attribute of that name.
    pub(super) fn is(&self, name: &str) -> bool {
        KEPT[self.name as usize] == name
    }

    /// The value, character references resolved.
    pub(super) fn value<'a>(&self, html: &'a str) -> Cow<'a, str> {
        resolve(html.get(self.value.clone()).unwrap_or(""), true)
    }

    /// The value as it stands.
    pub(super) fn raw<'a>(&self, html: &'a str) -> &'a str {
        html.get(self.value.clone()).unwrap_or("")
    }
}

/// A piece of a page.
pub(super) enum Token<'a> {
    /// A start tag: its name in lower case, its kept attributes, and whether it ends in `/>`.
    Start { name: Cow<'a, str>, attributes: Vec<Attribute>, self_closing: bool },
    /// An end tag: its name in lower case.
    End { name: Cow<'a, str> },
    /// Text, character references resolved, line ends as `\n`.
    Text(Cow<'a, str>),
    /// The document type, which decides nothing about text but whether a table ends a paragraph.
    Doctype { is_html: bool },
}

/// What stands up to an end tag and holds no tags.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Raw {
    /// Character references count: titles and text areas.
    Referenced,
    /// Text that no reader sees: styles, frames, pages for browsers without scripts.
    Unseen,
    /// A script.
    Script,
    /// Everything to the end of the page.
    Plain,
}

/// Cuts a page.
pub(super) struct Tokens<'a> {
    html: &'a str,
    at: usize,
    /// Whether `<![CDATA[` begins text: inside SVG and MathML.
    pub(super) is_foreign: bool,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(html: &'a str) -> Self {
        Self { html, at: 0, is_foreign: false }
    }

    fn byte(&self, i: usize) -> u8 {
        self.html.as_bytes().get(i).copied().unwrap_or(0)
    }

    /// Where `needle` stands at or after `from`.
    fn place(&self, from: usize, needle: &str) -> Option<usize> {
        self.html.get(from..).and_then(|rest| rest.find(needle)).map(|i| from + i)
    }

    fn slice(&self, from: usize, to: usize) -> &'a str {
        self.html.get(from..to).unwrap_or("")
    }

    /// Takes what stands before the end tag `name`, which comes next as a token.
    pub(super) fn raw(&mut self, kind: Raw, name: &str) -> &'a str {
        let start = self.at;
        let end = match kind {
            Raw::Plain => self.html.len(),
            Raw::Script => self.script_end(start),
            Raw::Referenced | Raw::Unseen => self.end_tag(start, name),
        };
        self.at = end;
        self.slice(start, end)
    }

    /// Where `</name` stands, followed by what ends a name.
    fn end_tag(&self, mut from: usize, name: &str) -> usize {
        while let Some(i) = self.place(from, "</") {
            if self.names(i + 2, name) {
                return i;
            }
            from = i + 2;
        }
        self.html.len()
    }

    fn names(&self, at: usize, name: &str) -> bool {
        let end = at + name.len();
        self.html.as_bytes().get(at..end).is_some_and(|n| n.eq_ignore_ascii_case(name.as_bytes()))
            && matches!(self.byte(end), b' ' | b'\t' | b'\n' | b'\r' | 0x0c | b'/' | b'>')
    }

    /// Where a script ends: inside `<!-- … -->`, an inner `<script>` hides one end tag.
    fn script_end(&self, start: usize) -> usize {
        let (mut i, mut commented, mut inner) = (start, false, false);
        let bytes = self.html.as_bytes();
        while let Some(step) = bytes.get(i..).and_then(|rest| rest.iter().position(|b| matches!(b, b'<' | b'-'))) {
            i += step;
            let rest = bytes.get(i..).unwrap_or_default();
            if rest.starts_with(b"-->") {
                (commented, inner) = (false, false);
            } else if rest.starts_with(b"<!--") {
                commented = true;
                // `<!-->` closes at once: its dashes count for both.
                i += 1;
            } else if commented && !inner && rest.starts_with(b"<") && self.names(i + 1, "script") {
                inner = true;
            } else if rest.starts_with(b"</") && self.names(i + 2, "script") {
                if !inner {
                    return i;
                }
                inner = false;
            }
            i += 1;
        }
        self.html.len()
    }

    /// `<!` and what it begins; none is a token but the document type and, in SVG and MathML, `CDATA`.
    fn declaration(&mut self, start: usize) -> Option<Token<'a>> {
        let bytes = self.html.as_bytes();
        let rest = bytes.get(start..).unwrap_or_default();
        if rest.starts_with(b"<!--") {
            self.at = self.comment_end(start + 2);
            return None;
        }
        if self.is_foreign && rest.starts_with(b"<![CDATA[") {
            let end = self.place(start + 9, "]]>");
            self.at = end.map_or(self.html.len(), |e| e + 3);
            return Some(Token::Text(Cow::Borrowed(self.slice(start + 9, end.unwrap_or(self.html.len())))));
        }
        self.at = self.place(start, ">").map_or(self.html.len(), |e| e + 1);
        let is_doctype = rest.get(2..9).is_some_and(|d| d.eq_ignore_ascii_case(b"doctype"));
        is_doctype.then(|| {
            let name = self.slice(start + 9, self.at).trim_start();
            Token::Doctype { is_html: name.get(..4).is_some_and(|n| n.eq_ignore_ascii_case("html")) }
        })
    }

    /// One past the end of the comment whose two dashes stand at `dashes`; an unclosed one takes the rest of the page.
    fn comment_end(&self, dashes: usize) -> usize {
        // `<!-->` and `<!--->` are whole comments.
        for end in [">", "->"] {
            if self.slice(dashes + 2, dashes + 2 + end.len()) == end {
                return dashes + 2 + end.len();
            }
        }
        let mut from = dashes + 2;
        while let Some(i) = self.place(from, "--") {
            match (self.byte(i + 2), self.byte(i + 3)) {
                (b'>', _) => return i + 3,
                (b'!', b'>') => return i + 4,
                _ => from = i + 1,
            }
        }
        self.html.len()
    }

    /// The name that begins at `at`, in lower case, and where it ends.
    fn name(&self, at: usize) -> (Cow<'a, str>, usize) {
        let bytes = self.html.as_bytes();
        let rest = bytes.get(at..).unwrap_or_default();
        let end = at + rest.iter().position(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0c | b'/' | b'>')).unwrap_or(rest.len());
        let name = self.slice(at, end);
        let is_lower = !name.bytes().any(|b| b.is_ascii_uppercase() || b == 0);
        (if is_lower { Cow::Borrowed(name) } else { Cow::Owned(name.to_ascii_lowercase().replace('\0', "\u{fffd}")) }, end)
    }

    /// Reads attributes from `at` on; `None` at the end of the page, where the tag is dropped.
    fn attributes(&mut self, mut at: usize) -> Option<(Vec<Attribute>, bool)> {
        let bytes = self.html.as_bytes();
        let (mut found, mut seen) = (Vec::new(), 0u32);
        loop {
            let mut is_slash = false;
            while let space @ (b' ' | b'\t' | b'\n' | b'\r' | 0x0c | b'/') = *bytes.get(at)? {
                is_slash = space == b'/';
                at += 1;
            }
            if bytes[at] == b'>' {
                self.at = at + 1;
                return Some((found, is_slash));
            }
            // A `=` at the beginning belongs to the name.
            let start = at;
            at += 1;
            while !matches!(bytes.get(at)?, b' ' | b'\t' | b'\n' | b'\r' | 0x0c | b'/' | b'>' | b'=') {
                at += 1;
            }
            let name = &bytes[start..at];
            let mut next = at;
            while matches!(bytes.get(next)?, b' ' | b'\t' | b'\n' | b'\r' | 0x0c) {
                next += 1;
            }
            let mut value = at..at;
            if bytes[next] == b'=' {
                next += 1;
                while matches!(bytes.get(next)?, b' ' | b'\t' | b'\n' | b'\r' | 0x0c) {
                    next += 1;
                }
                (value, at) = match bytes[next] {
                    quote @ (b'"' | b'\'') => {
                        let end = self.place(next + 1, if quote == b'"' { "\"" } else { "'" })?;
                        (next + 1..end, end + 1)
                    }
                    _ => {
                        let length = bytes[next..].iter().position(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0c | b'>'))?;
                        (next..next + length, next + length)
                    }
                };
            }
            if let Some(index) = KEPT.iter().position(|kept| kept.len() == name.len() && name.eq_ignore_ascii_case(kept.as_bytes()))
                && seen & (1 << index) == 0
            {
                seen |= 1 << index;
                found.push(Attribute { name: index as u8, value });
            }
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        while self.at < self.html.len() {
            let start = self.at;
            if self.byte(start) != b'<' {
                self.at = self.place(start, "<").unwrap_or(self.html.len());
                return Some(Token::Text(resolve(self.slice(start, self.at), false)));
            }
            match (self.byte(start + 1), self.byte(start + 2)) {
                (b, _) if b.is_ascii_alphabetic() => {
                    let (name, end) = self.name(start + 1);
                    let Some((attributes, self_closing)) = self.attributes(end) else { break };
                    return Some(Token::Start { name, attributes, self_closing });
                }
                (b'/', b) if b.is_ascii_alphabetic() => {
                    let (name, end) = self.name(start + 2);
                    self.attributes(end)?;
                    return Some(Token::End { name });
                }
                (b'!', _) => {
                    if let Some(token) = self.declaration(start) {
                        return Some(token);
                    }
                }
                (b'?', _) | (b'/', _) if start + 2 < self.html.len() => {
                    self.at = self.place(start, ">").map_or(self.html.len(), |e| e + 1);
                }
                _ => {
                    self.at = self.place(start + 1, "<").unwrap_or(self.html.len());
                    return Some(Token::Text(resolve(self.slice(start, self.at), false)));
                }
            }
        }
        self.at = self.html.len();
        None
    }
}

/// Resolves character references, and gives line ends as `\n` and no NUL.
pub(super) fn resolve(text: &str, in_attribute: bool) -> Cow<'_, str> {
    if !text.bytes().any(|b| matches!(b, b'&' | b'\r' | 0)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(i) = rest.bytes().position(|b| matches!(b, b'&' | b'\r' | 0)) {
        let (before, from) = rest.split_at(i);
        out.push_str(before);
        let used = match from.as_bytes()[0] {
            b'&' => reference(from, in_attribute, &mut out),
            b'\r' => {
                out.push('\n');
                1 + usize::from(from.as_bytes().get(1) == Some(&b'\n'))
            }
            _ => 1,
        };
        rest = from.get(used..).unwrap_or("");
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Resolves the reference that `text` begins with; returns how many bytes it took.
fn reference(text: &str, in_attribute: bool, out: &mut String) -> usize {
    let bytes = text.as_bytes();
    if bytes.get(1) == Some(&b'#') {
        return numeric(text, out);
    }
    // No name is longer; the longest that is one counts.
    let length = bytes.iter().skip(1).take(40).position(|b| !b.is_ascii_alphanumeric()).unwrap_or(40.min(bytes.len() - 1));
    let with_end = length + usize::from(bytes.get(1 + length) == Some(&b';'));
    for n in (1..=with_end).rev() {
        let name = text.get(1..=n).unwrap_or("");
        if let Some(&(first, second)) = html5ever::data::NAMED_ENTITIES.get(name)
            && first != 0
        {
            // In attributes, `&copy=1` is part of an address.
            let next = bytes.get(n + 1).copied().unwrap_or(0);
            if in_attribute && !name.ends_with(';') && (next == b'=' || next.is_ascii_alphanumeric()) {
                break;
            }
            out.extend([first, second].into_iter().filter(|&c| c != 0).filter_map(char::from_u32));
            return n + 1;
        }
    }
    out.push('&');
    1
}

/// Resolves `&#123;` and `&#x7b;`.
fn numeric(text: &str, out: &mut String) -> usize {
    let bytes = text.as_bytes();
    let is_hex = matches!(bytes.get(2), Some(b'x' | b'X'));
    let (start, radix) = if is_hex { (3, 16) } else { (2, 10) };
    let mut code = 0u32;
    let mut at = start;
    while let Some(digit) = bytes.get(at).and_then(|&b| char::from(b).to_digit(radix)) {
        code = code.saturating_mul(radix).saturating_add(digit).min(0x11_0000);
        at += 1;
    }
    if at == start {
        out.push('&');
        return 1;
    }
    // Numbers from 0x80 to 0x9f mean Windows-1252.
    let replaced = code.checked_sub(0x80).and_then(|i| html5ever::data::C1_REPLACEMENTS.get(i as usize)).copied().flatten();
    out.push(replaced.or_else(|| char::from_u32(code).filter(|&c| c != '\0')).unwrap_or('\u{fffd}'));
    at + usize::from(bytes.get(at) == Some(&b';'))
}
