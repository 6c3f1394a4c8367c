//! Where sentences and paragraphs end.
//!
//! A full stop ends a sentence unless it stands after an abbreviation, an initial or a number that is counted (`3. Oktober`), or goes on in lower
//! case. Chinese, Japanese and others with full stops of their own need no space after them. Thai, Lao, Khmer and Burmese put a space where
//! others put a comma or a full stop: there, a space ends a piece, so that pieces are phrases as often as sentences. Line ends end sentences where
//! they end lines of a list, a heading or a verse, not where they only wrap prose.

use std::collections::HashSet;
use std::sync::LazyLock;

/// A line is wrapped prose if it has at least this many bytes.
const WRAPPED_BYTES_MIN: usize = 45;

/// Abbreviations that something always follows.
const BEFORE: &str = "mr mrs ms mx dr prof rev hon st sen rep gov gen col lt capt cmdr sgt maj adm supt fr messrs mme mlle cf vs viz approx ca dept univ assn bros mt ft
 bzw bspw vgl evtl ggf inkl exkl zzgl abzgl sog hrsg betr bez bzgl dipl ing frl hl kath evang prot röm urspr verf verm vorm wiss zit
 o.g u.a d.h z.b z.t i.d.r u.u s.o s.u m.e v.a o.ä i.a z.zt e.g i.e";

/// Abbreviations that a number follows; before a word they end a sentence, since many are words too.
const NUMBERED: &str = "no nos nr vol vols p pp fig figs eq eqs sec ch chap art para ed tab abb bd kap str tel lfd s z ziff abs jan feb mar apr jun jul aug sep sept oct nov dec okt dez";

/// Abbreviations that may end a sentence: they do if one that begins so often follows.
const EITHER: &str = "etc inc ltd co corp jr sr esq plc llc al est usw usf ff jh jhd mio mrd std a.m p.m u.s u.k u.n e.u u.s.a d.c ph.d b.a m.a b.sc m.sc n.chr v.chr";

/// Words that begin sentences far more often than they go on after an abbreviation.
const BEGINNERS: &str = "The A An He She It We They I You This That These Those In On At But And Or So If When While After Before As For From Since Then There Here His Her Its Our Their
 My Your What Who Why How Where Which However Moreover Today Yesterday Now Yet Also Some Many Most Both Each All No Not With Under Although Because During Until
 Der Die Das Er Sie Es Wir Ihr Ich Du Ein Eine Einen Einem Einer Und Aber Oder Doch Dann Da Dort Hier Heute Gestern Morgen Im Am Auf Bei Mit Nach Vor Von Zu Zum Zur Für Als Wenn Weil
 Dass Auch Nur Noch Schon Sein Seine Ihre Dieser Diese Dieses Jeder Alle Man Was Wer Wie Wo Warum Jedoch Damit Dabei Danach Trotzdem Außerdem";

/// What a counted number stands before in German.
const COUNTED: &str = "Januar Jänner Februar März April Mai Juni Juli August September Oktober November Dezember Jahrhundert Jahrhunderts Jahrtausend Klasse Auflage Kapitel Geburtstag
 Platz Stock Stockwerk Lebensjahr Mal Tag Woche Semester Spieltag Minute Bezirk Internationale Internationalen Deutsche Deutschen";

static BEFORE_WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| BEFORE.split_whitespace().collect());
static NUMBERED_WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| NUMBERED.split_whitespace().collect());
static EITHER_WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| EITHER.split_whitespace().collect());
static BEGINNER_WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| BEGINNERS.split_whitespace().collect());
static COUNTED_WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| COUNTED.split_whitespace().collect());

/// Returns the sentences of a text, trimmed, none of them empty.
///
/// `language` is a code such as `de`; it decides what a number with a full stop is (counted in German and its neighbours, the end elsewhere). Without
/// one, such a number counts where what follows is mostly counted. Between them, the sentences hold all that is no white space.
pub fn sentences<'a>(text: &'a str, language: Option<&str>) -> Vec<&'a str> {
    let counts = language.is_some_and(|l| {
        ["de", "da", "nb", "nn", "no", "fi", "cs", "sk", "sl", "hr", "hu", "et", "lv", "is", "tr"]
            .contains(&l.split(['-', '_']).next().unwrap_or(""))
    });
    let mut found = Vec::new();
    let mut start = 0;
    let mut end_at = |end: usize, start: &mut usize| {
        let sentence = text.get(*start..end).unwrap_or("").trim();
        if !sentence.is_empty() {
            found.push(sentence);
        }
        *start = end;
    };
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let b = bytes[at];
        // Most bytes end nothing: letters, digits, and what continues a character.
        if b.is_ascii_alphanumeric() || (0x80..0xc2).contains(&b) {
            at += 1;
            continue;
        }
        match b {
            b'\n' => {
                if ends_line(text, start, at) {
                    end_at(at, &mut start);
                }
                at += 1;
            }
            b'.' | b'!' | b'?' => {
                let stop = at;
                while matches!(bytes.get(at), Some(b'.' | b'!' | b'?')) {
                    at += 1;
                }
                let end = closed(text, at);
                if ends_sentence(text, start, stop, at, end, counts) {
                    end_at(end, &mut start);
                }
                at = end.max(at);
            }
            b' ' => {
                if at > start
                    && is_spaceless(text.get(..at).and_then(|t| t.chars().next_back()))
                    && is_spaceless(text.get(at + 1..).and_then(|t| t.chars().next()))
                {
                    end_at(at, &mut start);
                }
                at += 1;
            }
            _ if b < 0x80 => at += 1,
            _ => {
                let c = text.get(at..).and_then(|t| t.chars().next()).unwrap_or(' ');
                at += c.len_utf8();
                match stop(c) {
                    Stop::None => {}
                    Stop::Wide => {
                        while let Some(next) =
                            text.get(at..).and_then(|t| t.chars().next()).filter(|&n| stop(n) == Stop::Wide || matches!(n, '!' | '?' | '…'))
                        {
                            at += next.len_utf8();
                        }
                        let end = closed(text, at);
                        // `「…？」と`: what was said is part of who said it.
                        let goes_on = end > at && text.get(end..).and_then(|t| t.chars().next()).is_some_and(char::is_alphanumeric);
                        at = end;
                        if !goes_on {
                            end_at(at, &mut start);
                        }
                    }
                    Stop::Spaced => {
                        let end = closed(text, at);
                        let goes_on = next_letter(text, end).is_some_and(|(_, c)| c.is_lowercase());
                        let is_apart = text.get(end..).is_none_or(|t| t.is_empty() || t.starts_with(char::is_whitespace));
                        if is_apart && !goes_on {
                            end_at(end, &mut start);
                        }
                        at = end;
                    }
                }
            }
        }
    }
    end_at(text.len(), &mut start);
    found
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    None,
    /// Ends a sentence without a space.
    Wide,
    /// Ends one before a space.
    Spaced,
}

fn stop(c: char) -> Stop {
    match c {
        '。' | '！' | '？' | '．' | '｡' => Stop::Wide,
        // Ethiopic, Burmese, Khmer, Tibetan, Lao and Thai marks of an end.
        '።' | '፧' | '။' | '។' | '៕' | '།' | '๚' | '๛' => Stop::Wide,
        // Devanagari, Arabic, Urdu, Armenian; the ellipsis and doubled marks.
        '।' | '॥' | '؟' | '۔' | '։' | '…' | '‼' | '⁇' | '⁈' | '⁉' | '᙮' | '꓿' => Stop::Spaced,
        _ => Stop::None,
    }
}

/// Scripts that write neither spaces between words nor full stops.
fn is_spaceless(c: Option<char>) -> bool {
    c.is_some_and(|c| matches!(u32::from(c), 0x0e00..=0x0eff | 0x1000..=0x109f | 0x1780..=0x17ff))
}

/// One past the quotes and brackets that close at `at`.
fn closed(text: &str, mut at: usize) -> usize {
    while let Some(c) = text
        .get(at..)
        .and_then(|t| t.chars().next())
        .filter(|c| matches!(c, '"' | '\'' | ')' | ']' | '}' | '”' | '’' | '»' | '›' | '“' | '‘' | '」' | '』' | '）' | '】' | '》'))
    {
        at += c.len_utf8();
    }
    at
}

/// The first letter or digit after `at` with what opens before it skipped, and where it stands.
fn next_letter(text: &str, at: usize) -> Option<(usize, char)> {
    // Openers are few; more of them are no text.
    text.get(at..)?.char_indices().take(12).find(|(_, c)| c.is_alphanumeric()).map(|(i, c)| (at + i, c))
}

/// Whether the line end at `at` ends a sentence.
fn ends_line(text: &str, start: usize, at: usize) -> bool {
    let rest = text.get(at + 1..).unwrap_or("");
    let Some(next) = rest.bytes().find(|b| !matches!(b, b' ' | b'\t' | b'\r')) else { return true };
    if next == b'\n' {
        return true;
    }
    let line = text.get(start..at).unwrap_or("");
    let line = line.rsplit_once('\n').map_or(line, |(_, last)| last).trim_end();
    let rest = rest.trim_start_matches([' ', '\t']);
    if rest.starts_with(['-', '*', '•', '–', '#', '|']) {
        return true;
    }
    let first = rest.chars().next().unwrap_or(' ');
    // In lower case it goes on, unless it is the line of a list or of code.
    if first.is_lowercase() && (line.len() >= WRAPPED_BYTES_MIN || line.ends_with([',', '-'])) {
        return false;
    }
    line.len() < WRAPPED_BYTES_MIN
}

/// Whether the full stops from `stop` to `after`, closed at `end`, end the sentence that began at `start`.
fn ends_sentence(text: &str, start: usize, stop: usize, after: usize, end: usize, counts: bool) -> bool {
    let rest = text.get(end..).unwrap_or("");
    if !rest.is_empty() && !rest.starts_with(char::is_whitespace) {
        // `end.」次`: Chinese after a Western full stop.
        return rest.chars().next().is_some_and(|c| (0x2e80..0xa000).contains(&u32::from(c))) && text.as_bytes()[stop] != b'.';
    }
    let Some((at, next)) = next_letter(text, end) else { return true };
    if next.is_lowercase() {
        return false;
    }
    if text.as_bytes()[stop] != b'.' || after > stop + 1 {
        return true;
    }
    // The word before the stop, with the stops in it.
    let before = text.get(start..stop).unwrap_or("");
    // No abbreviation is longer; a longer word need not be read to its beginning.
    let border = before.char_indices().rev().take(24).find(|(_, c)| !c.is_alphanumeric() && *c != '.');
    let n = border.map_or(if before.len() > 24 { before.len() } else { 0 }, |(i, c)| i + c.len_utf8());
    let word = before.get(n..).unwrap_or("");
    if word.is_empty() {
        return true;
    }
    let following: &str = text.get(at..).map_or("", |t| t.split(|c: char| !c.is_alphabetic()).next().unwrap_or(""));
    if word.bytes().all(|b| b.is_ascii_digit()) {
        let is_first = n < 16 && before.get(..n).is_none_or(|t| t.trim().is_empty());
        return !(is_first || word.len() <= 2 && (COUNTED_WORDS.contains(following) || counts && !BEGINNER_WORDS.contains(following)));
    }
    let lower = word.to_lowercase();
    if BEFORE_WORDS.contains(lower.as_str()) {
        return false;
    }
    // `z. B.`: an abbreviation of two words.
    let is_letter = word.chars().count() == 1;
    if is_letter && word.chars().all(char::is_lowercase) && text.get(at + next.len_utf8()..).is_some_and(|t| t.starts_with('.')) {
        return false;
    }
    // `S. 5` is a page, `S. Jones` a name.
    if NUMBERED_WORDS.contains(lower.as_str()) && (next.is_numeric() || !is_letter) {
        return !next.is_numeric();
    }
    let is_initials = word.split('.').all(|part| part.chars().count() == 1 && part.chars().all(char::is_alphabetic));
    if is_initials && is_letter {
        // `J. Smith`; in lower case a letter is the end of a sentence about letters.
        return !word.chars().all(char::is_uppercase) || word == "I" && BEGINNER_WORDS.contains(following);
    }
    if is_initials || EITHER_WORDS.contains(lower.as_str()) {
        return BEGINNER_WORDS.contains(following);
    }
    true
}

/// Returns the paragraphs of a text, trimmed, none of them empty: what blank lines part, or each line where no blank line is.
pub fn paragraphs(text: &str) -> Vec<&str> {
    let text = text.trim();
    let mut found = Vec::new();
    let (mut start, mut at, mut has_blank) = (0, 0, false);
    for line in text.split_inclusive('\n') {
        if line.trim().is_empty() {
            has_blank = true;
            found.extend(text.get(start..at).map(str::trim).filter(|p| !p.is_empty()));
            start = at + line.len();
        }
        at += line.len();
    }
    found.extend(text.get(start..).map(str::trim).filter(|p| !p.is_empty()));
    if has_blank { found } else { text.lines().map(str::trim).filter(|p| !p.is_empty()).collect() }
}
