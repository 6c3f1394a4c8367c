//! Text in one way of writing it: Unicode's normal forms, and what is cleaned beyond them.

use std::borrow::Cow;
use std::sync::LazyLock;

use unicode_normalization::char::canonical_combining_class;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick, is_nfd_quick, is_nfkc_quick, is_nfkd_quick};

/// A normal form of Unicode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormalForm {
    /// Composed: `é` is one character. What most text is in.
    Nfc,
    /// Decomposed: `e` and its accent are two.
    Nfd,
    /// Composed, and what only looks different made the same: `ﬁ` is `fi`, `²` is `2`.
    Nfkc,
    /// Decomposed, likewise.
    Nfkd,
}

impl NormalForm {
    /// Returns the form of that name, in upper or lower case.
    pub fn named(name: &str) -> Option<Self> {
        [("nfc", Self::Nfc), ("nfd", Self::Nfd), ("nfkc", Self::Nfkc), ("nfkd", Self::Nfkd)]
            .into_iter()
            .find_map(|(known, form)| name.eq_ignore_ascii_case(known).then_some(form))
    }
}

/// Returns a text in a normal form of Unicode.
pub fn normalize_text(text: &str, form: NormalForm) -> String {
    normal(text, form).into_owned()
}

/// Returns a text composed (NFC), as it is where it is that already.
pub(crate) fn composed(text: &str) -> Cow<'_, str> {
    normal(text, NormalForm::Nfc)
}

/// For each character that all but a few texts are made of, a bit for each form in which it stands for itself: below where it also begins
/// anew, so that what is before and behind it can be made normal apart; [`UNCHANGED`] higher where it stands for itself, if in order.
static FORMS: LazyLock<Vec<u8>> = LazyLock::new(|| (0..0x1_0000).map(|c| char::from_u32(c).map_or(0, forms)).collect());

const UNCHANGED: u32 = 4;

fn forms(c: char) -> u8 {
    let one = || std::iter::once(c);
    let yes = [is_nfc_quick(one()), is_nfd_quick(one()), is_nfkc_quick(one()), is_nfkd_quick(one())];
    let unchanged = (0..4).filter(|form| yes[*form] == IsNormalized::Yes).fold(0, |bits, form| bits | 1 << form);
    if canonical_combining_class(c) == 0 { unchanged << UNCHANGED | unchanged } else { unchanged << UNCHANGED }
}

fn normal(text: &str, form: NormalForm) -> Cow<'_, str> {
    let forms = FORMS.as_slice();
    let of = |c: char| forms.get(c as usize).copied().unwrap_or_else(|| self::forms(c)) >> form as u8;
    // All characters up to U+02FF are their own composed form, ASCII is its own in all.
    let own_bytes = if form == NormalForm::Nfc { 0xcc } else { 0x80 };
    let (mut out, mut copied) = (String::new(), 0);
    // Behind what was looked at piece by piece, all characters up to here begin anew.
    let (mut done, mut at) = (0, 0);
    let bytes = text.as_bytes();
    while let Some(&b) = bytes.get(at) {
        if b < own_bytes {
            at += 1 + n_below(&bytes[at + 1..], own_bytes);
            continue;
        }
        let Some(c) = char_at(text, at) else { break };
        let about = of(c);
        if about & 1 != 0 {
            at += c.len_utf8();
            continue;
        }
        let start = if at > done { text.floor_char_boundary(at - 1) } else { at };
        let (first, mut end) = (at, at + c.len_utf8());
        while let Some(next) = char_at(text, end).filter(|c| of(*c) & 1 == 0) {
            end += next.len_utf8();
        }
        let is_one = end == first + c.len_utf8() && about & 1 << UNCHANGED != 0;
        let piece = text.get(start..end).unwrap_or_default();
        if !is_one && !is_normal(piece, form) {
            out.push_str(text.get(copied..start).unwrap_or_default());
            normalized_into(piece, form, &mut out);
            copied = end;
        }
        (done, at) = (end, end);
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    Cow::Owned(out)
}

/// How many bytes at the beginning are below another, looked at block by block.
fn n_below(bytes: &[u8], least: u8) -> usize {
    let (blocks, _) = bytes.as_chunks::<32>();
    let n = 32 * blocks.iter().take_while(|block| block.iter().fold(0, |most: u8, b| most.max(*b)) < least).count();
    n + bytes[n..].iter().take_while(|b| **b < least).count()
}

fn char_at(text: &str, at: usize) -> Option<char> {
    text.get(at..)?.chars().next()
}

/// Whether a text is known to be in a form.
fn is_normal(text: &str, form: NormalForm) -> bool {
    let quick = match form {
        NormalForm::Nfc => is_nfc_quick(text.chars()),
        NormalForm::Nfd => is_nfd_quick(text.chars()),
        NormalForm::Nfkc => is_nfkc_quick(text.chars()),
        NormalForm::Nfkd => is_nfkd_quick(text.chars()),
    };
    quick == IsNormalized::Yes
}

fn normalized_into(text: &str, form: NormalForm, out: &mut String) {
    match form {
        NormalForm::Nfc => out.extend(text.nfc()),
        NormalForm::Nfd => out.extend(text.nfd()),
        NormalForm::Nfkc => out.extend(text.nfkc()),
        NormalForm::Nfkd => out.extend(text.nfkd()),
    }
}

/// Returns a text without what readers don't see.
///
/// - Line ends (`\r\n`, `\r`, vertical tab, form feed, U+0085, U+2028) become `\n`, U+2029 becomes two.
/// - Other control characters but the tab, byte order marks, soft hyphens, zero-width spaces, word joiners, marks of writing direction and
///   noncharacters go. Joiners (U+200C, U+200D) and variation selectors stay: Persian, Indic scripts and emoji need them.
/// - Spaces of other widths, no-break spaces too, become one space each.
/// - Spaces and tabs at the end of a line go; three or more line ends become two; none stands at the beginning or the end.
/// - What is left is composed (NFC).
pub fn clean_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let bytes = text.as_bytes();
    // Most text needs nothing but copying, in pieces as long as can be.
    let (mut copied, mut at) = (0, 0);
    while let Some(&b) = bytes.get(at) {
        let next = bytes.get(at + 1).copied().unwrap_or(0);
        let is_plain = match b {
            b'\n' => at > copied && !matches!(bytes[at - 1], b' ' | b'\t' | b'\n'),
            b'\t' | 0x20..=0x7e | 0x80..=0xc1 => true,
            // The first bytes of what is looked for, and of what stands near it.
            0xc2 => next > 0xad,
            0xd8 => next != 0x9c,
            0xe1 => next != 0x9a,
            0xe2 => next > 0x81,
            0xe3 => next != 0x80,
            0xef => next < 0xb7,
            0xc3..=0xee => true,
            _ => false,
        };
        let Some(c) = (if is_plain { None } else { char_at(text, at) }) else {
            at += 1;
            continue;
        };
        let end = at + c.len_utf8();
        let kept = match c {
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => None,
            '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => Some(" "),
            _ if is_unseen(c) => Some(""),
            _ => {
                at = end;
                continue;
            }
        };
        out.push_str(text.get(copied..at).unwrap_or_default());
        match kept {
            Some(kept) => out.push_str(kept),
            None if c == '\r' && next == b'\n' => {}
            None => (0..if c == '\u{2029}' { 2 } else { 1 }).for_each(|_| line_end(&mut out)),
        }
        (copied, at) = (end, end);
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    out.truncate(out.trim_end().len());
    match normal(&out, NormalForm::Nfc) {
        Cow::Borrowed(_) => out,
        Cow::Owned(composed) => composed,
    }
}

/// Ends a line: takes the spaces before, and gives no third line end.
fn line_end(out: &mut String) {
    out.truncate(out.trim_end_matches([' ', '\t']).len());
    if !out.is_empty() && !out.ends_with("\n\n") {
        out.push('\n');
    }
}

fn is_unseen(c: char) -> bool {
    c.is_control() && c != '\t'
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{206f}' | '\u{feff}')
        || (u32::from(c) & 0xfffe) == 0xfffe
        || matches!(c, '\u{fdd0}'..='\u{fdef}')
}
