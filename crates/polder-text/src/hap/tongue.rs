//! Whether a text is English, German or neither, by its most frequent words: posts are too short to be told by their letters.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::words::{ByWord, Word, words};

/// How many words are looked at.
const N_WORDS: usize = 2000;
/// A text with more words than this has to have some of the frequent ones.
const N_WORDS_SHORT: usize = 20;
/// The share of frequent words that such a text must have.
const SHARE_MIN: f64 = 0.06;

// Words that both languages have, or that others share with one of them, are in neither list.
const ENGLISH: &str = "the and of to is that it for you with on are this not have your but just like be his her they he she we what who how all \
    from my out if when can do get dont about there would their them would could should been were had has its or by as at";
const GERMAN: &str = "der die und ist nicht das ich du ein eine zu mit den auf für von dem sich sie wir ihr auch wie wenn aber im es dass daß \
    noch nur doch mal wird sind haben hat bei einen einem einer nach aus oder kein keine mir mich dich dir uns euch ihm ihn sein ja nein";

static FREQUENT: LazyLock<HashMap<u64, Tongue, ByWord>> = LazyLock::new(|| {
    let of = |list: &'static str, tongue| words(list).map(move |w| (w.hash, tongue));
    of(ENGLISH, Tongue::English).chain(of(GERMAN, Tongue::German)).collect()
});

/// A language that there is a classifier for, or none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tongue {
    English,
    German,
    /// A short text in plain letters without a frequent word: English, unless a term of another language says otherwise.
    Unclear,
    Other,
}

pub(super) fn tongue(text: &str, words: &[Word]) -> Tongue {
    let words = &words[..words.len().min(N_WORDS)];
    let (n_words, mut english, mut german) = (words.len(), 0, 0);
    for word in words {
        match FREQUENT.get(&word.hash) {
            Some(Tongue::English) => english += 1,
            Some(Tongue::German) => german += 1,
            _ => {}
        }
    }
    let most = english.max(german);
    let is_short = n_words <= N_WORDS_SHORT;
    if most == 0 && is_short {
        // Nothing to go by but letters: a post of two words is English unless it looks otherwise.
        return match text.chars().find(|c| c.is_alphabetic() && !c.is_ascii()) {
            None => Tongue::Unclear,
            Some('ä' | 'ö' | 'ü' | 'ß' | 'Ä' | 'Ö' | 'Ü') => Tongue::German,
            Some(_) => Tongue::Other,
        };
    }
    if !is_short && f64::from(most) < SHARE_MIN * n_words as f64 {
        Tongue::Other
    } else if german > english {
        Tongue::German
    } else {
        Tongue::English
    }
}
