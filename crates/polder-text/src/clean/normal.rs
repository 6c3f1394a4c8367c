//! Text in one way of writing it: Unicode's normal forms, and what is cleaned beyond them.

use std::borrow::Cow;

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

fn normal(text: &str, form: NormalForm) -> Cow<'_, str> {
    // All characters up to U+02FF are their own composed form, ASCII is its own in all.
    let is_own = text.is_ascii() || form == NormalForm::Nfc && text.bytes().all(|b| b < 0xcc);
    let quick = match form {
        _ if is_own => IsNormalized::Yes,
        NormalForm::Nfc => is_nfc_quick(text.chars()),
        NormalForm::Nfd => is_nfd_quick(text.chars()),
        NormalForm::Nfkc => is_nfkc_quick(text.chars()),
        NormalForm::Nfkd => is_nfkd_quick(text.chars()),
    };
    if quick == IsNormalized::Yes {
        return Cow::Borrowed(text);
    }
    Cow::Owned(match form {
        NormalForm::Nfc => text.nfc().collect(),
        NormalForm::Nfd => text.nfd().collect(),
        NormalForm::Nfkc => text.nfkc().collect(),
        NormalForm::Nfkd => text.nfkd().collect(),
    })
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
    let mut rest = text;
    while !rest.is_empty() {
        // Most text needs nothing but copying.
        let plain = rest.bytes().position(|b| b < 0x20 && b != b'\t' || b >= 0x7f).unwrap_or(rest.len());
        out.push_str(rest.get(..plain).unwrap_or(""));
        rest = rest.get(plain..).unwrap_or("");
        let Some(c) = rest.chars().next() else { break };
        rest = rest.get(c.len_utf8()..).unwrap_or("");
        match c {
            '\r' if rest.starts_with('\n') => {}
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' => line_end(&mut out),
            '\u{2029}' => {
                line_end(&mut out);
                line_end(&mut out);
            }
            '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => out.push(' '),
            _ if is_unseen(c) => {}
            _ => out.push(c),
        }
    }
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
