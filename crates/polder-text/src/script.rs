//! Which script a text is written in.

use std::sync::LazyLock;

use unicode_script::{Script, UnicodeScript};

/// The code of a text without a letter of any script, from ISO 15924: undetermined.
pub const NO_SCRIPT: &str = "Zyyy";

/// Characters up to here have a table; the others are rare.
const TABLE: usize = 0x1_0000;

static SCRIPTS: LazyLock<Vec<Script>> =
    LazyLock::new(|| (0..TABLE as u32).map(|c| char::from_u32(c).map_or(Script::Unknown, |c| c.script())).collect());

/// Whether a character is of some script, rather than shared by many.
fn is_of_one(script: Script) -> bool {
    !matches!(script, Script::Common | Script::Inherited | Script::Unknown)
}

/// How many characters of each script a text has. Kana and the Chinese characters beside it count as Hiragana.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScriptCounts {
    counts: Vec<(Script, usize)>,
}

/// Japanese has at least one kana for so many Chinese characters.
const HAN_A_KANA: usize = 12;

/// Where the first byte beyond ASCII is.
fn first_beyond_ascii(bytes: &[u8]) -> Option<usize> {
    if bytes.first().is_some_and(|b| *b >= 0x80) {
        return Some(0);
    }
    let (blocks, _) = bytes.as_chunks::<32>();
    let start = 32 * blocks.iter().take_while(|block| block.is_ascii()).count();
    bytes[start..].iter().position(|b| *b >= 0x80).map(|at| start + at)
}

impl ScriptCounts {
    pub(crate) fn of(text: &str) -> Self {
        let mut counts = [0usize; 256];
        let mut seen = Vec::new();
        let table = SCRIPTS.as_slice();
        // All letters of ASCII are Latin, and nothing else there is of one script.
        let n_latin = text.bytes().filter(u8::is_ascii_alphabetic).count();
        if n_latin > 0 {
            counts[usize::from(Script::Latin as u8)] = n_latin;
            seen.push(Script::Latin);
        }
        let mut rest = text;
        while let Some(at) = first_beyond_ascii(rest.as_bytes()) {
            let Some(c) = rest.get(at..).and_then(|rest| rest.chars().next()) else { break };
            rest = rest.get(at + c.len_utf8()..).unwrap_or_default();
            let script = table.get(c as usize).copied().unwrap_or_else(|| c.script());
            let count = &mut counts[usize::from(script as u8)];
            if *count == 0 && is_of_one(script) {
                seen.push(script);
            }
            *count += 1;
        }
        let count = |script| counts[usize::from(script as u8)];
        let kana = count(Script::Hiragana) + count(Script::Katakana);
        let japanese = kana > 0 && kana * HAN_A_KANA >= count(Script::Han);
        let mut counts: Vec<(Script, usize)> = seen.into_iter().map(|script| (script, count(script))).collect();
        if japanese {
            let n = kana + count(Script::Han);
            counts.retain(|(script, _)| !matches!(script, Script::Hiragana | Script::Katakana | Script::Han));
            counts.push((Script::Hiragana, n));
        }
        counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.short_name().cmp(b.0.short_name())));
        Self { counts }
    }

    /// The script that says most, given what a character of each says, and its share of what all say.
    pub(crate) fn dominant_by(&self, information: impl Fn(Script) -> usize) -> Option<(Script, f64)> {
        let said = |(script, n): &(Script, usize)| n * information(*script);
        let all: usize = self.counts.iter().map(said).sum();
        let most = self.counts.iter().rev().max_by_key(|count| said(count))?;
        Some((most.0, said(most) as f64 / all as f64))
    }
}

/// The dominant script of a text: its code from ISO 15924, such as `Latn`, `Cyrl`, `Arab`, `Deva`, `Hani`, `Hang`; `Jpan` for kana with or
/// without Chinese characters, and [`NO_SCRIPT`] where no character belongs to a script, such as in the empty text.
///
/// Digits, marks, punctuation and emoji are shared by scripts and don't count. Of two scripts with as many characters, the first by code.
pub fn script(text: &str) -> &'static str {
    match ScriptCounts::of(text).dominant_by(|_| 1) {
        Some((Script::Hiragana | Script::Katakana, _)) => "Jpan",
        Some((script, _)) => script.short_name(),
        None => NO_SCRIPT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn characters_of_each_script_are_counted_as_one_does_by_hand(text in "(\\PC|[a-zA-Z ,]{0,40}|[α-ωА-яا-ي]{1,4}|[ぁ-ん一-丁]){0,12}") {
            let mut slow = std::collections::HashMap::<Script, usize>::new();
            text.chars().map(|c| c.script()).filter(|s| is_of_one(*s)).for_each(|s| *slow.entry(s).or_default() += 1);
            let counts = ScriptCounts::of(&text).counts;
            let is_merged = |s: Script| matches!(s, Script::Hiragana | Script::Katakana | Script::Han);
            for (script, n) in slow.iter().filter(|(s, _)| !is_merged(**s)) {
                prop_assert!(counts.contains(&(*script, *n)), "{:?} {} in {:?}", script, n, counts);
            }
            prop_assert_eq!(counts.iter().map(|(_, n)| n).sum::<usize>(), slow.values().sum::<usize>());
        }
    }
}
