//! Prose told from code, data and lists, by marks and lines rather than by words: it holds for any language.

use crate::characters::{ALONE, ALPHABETIC, Characters, WHITE_SPACE};

/// Marks of code; prose has them now and then.
const MARKS: &[u8] = b"{}()[];=<>|&^~$@#%*/\\_+`";
static IS_MARK_OF_CODE: [bool; 128] = {
    let (mut is, mut i) = ([false; 128], 0);
    while i < MARKS.len() {
        is[MARKS[i] as usize] = true;
        i += 1;
    }
    is
};
/// Of 100 visible characters of prose, at most so many are marks of code, and at least so many letters.
const MARKS_PERCENT_MAX: usize = 6;
const LETTERS_PERCENT_MIN: usize = 75;
/// Of 100 lines of prose, at most so many end as statements and blocks do.
const CODE_LINES_PERCENT_MAX: usize = 8;
/// Words below which nothing can be said.
const WORDS_MIN: usize = 8;

/// Lines below which code can't be told.
const CODE_LINES_MIN: usize = 5;

/// What text is that isn't code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prose {
    Plain,
    /// With Markdown's headings, links or fences.
    Markdown,
}

/// Whether a text is prose. Code within Markdown's fences doesn't count.
pub(super) fn prose(text: &str) -> Option<Prose> {
    let (mut counts, mut fenced, mut n_signs) = (Counts::new(), false, 0);
    for line in text.lines() {
        let content = line.trim();
        if content.starts_with("```") || content.starts_with("~~~") {
            fenced = !fenced;
            n_signs += 1;
        } else if !fenced {
            n_signs +=
                usize::from(is_heading(content) || content.contains("](http") || content.contains("](./") || content.contains("](#"));
            counts.add(content);
        }
    }
    let kind = if n_signs > 0 { Prose::Markdown } else { Prose::Plain };
    counts.is_prose().then_some(kind)
}

/// Whether a text is plainly code: many marks, and many lines that end as statements and blocks do.
pub(super) fn is_code(text: &str) -> bool {
    let mut counts = Counts::new();
    text.lines().for_each(|line| counts.add(line.trim()));
    counts.lines >= CODE_LINES_MIN && counts.marks * 100 >= counts.visible * 10 && counts.code_lines * 100 >= counts.lines * 20
}

/// `# Words`, but not `#include` nor `#!`.
fn is_heading(line: &str) -> bool {
    let words = line.trim_start_matches('#');
    let level = line.len() - words.len();
    (1..=6).contains(&level)
        && words.starts_with(' ')
        && words.trim_start().starts_with(char::is_alphanumeric)
        && !line.ends_with([';', '{', ':'])
}

struct Counts {
    characters: Characters,
    visible: usize,
    letters: usize,
    marks: usize,
    words: usize,
    lines: usize,
    code_lines: usize,
    /// Words in lines of at least five, or of scripts without spaces.
    in_long_lines: usize,
}

impl Counts {
    fn new() -> Self {
        let characters = Characters::get();
        Self { characters, visible: 0, letters: 0, marks: 0, words: 0, lines: 0, code_lines: 0, in_long_lines: 0 }
    }

    fn add(&mut self, line: &str) {
        if line.is_empty() {
            return;
        }
        let (mut words, mut wide, mut has_letter) = (0, 0, false);
        // What stands at the beginning of a line is a heading's or a list's; a link's address is not prose, but no code either.
        for c in line.trim_start_matches(['#', '*', '>', '-', ' ']).chars() {
            let about = self.characters.of(c);
            if about & WHITE_SPACE != 0 {
                words += usize::from(std::mem::take(&mut has_letter));
                continue;
            }
            has_letter |= about & ALPHABETIC != 0;
            self.visible += 1;
            self.letters += usize::from(about & ALPHABETIC != 0 || is_mark(c));
            self.marks += usize::from(c.is_ascii() && IS_MARK_OF_CODE[c as usize]);
            wide += usize::from(about & ALONE != 0);
        }
        words += usize::from(has_letter);
        self.words += words + wide / 2;
        self.in_long_lines += if words >= 5 || wide >= 10 { words + wide / 2 } else { 0 };
        self.lines += 1;
        self.code_lines += usize::from(line.ends_with([';', '{', '}', '\\']) || line.ends_with("):") || line.ends_with("()"));
    }

    fn is_prose(&self) -> bool {
        self.words >= WORDS_MIN
            && self.marks * 100 <= self.visible * MARKS_PERCENT_MAX
            && self.letters * 100 >= self.visible * LETTERS_PERCENT_MIN
            && self.code_lines * 100 <= self.lines * CODE_LINES_PERCENT_MAX
            && self.in_long_lines * 2 >= self.words
    }
}

/// Signs that are written on or between letters: vowels and tones of Indic scripts, Thai, Hebrew and Arabic.
fn is_mark(c: char) -> bool {
    matches!(u32::from(c), 0x300..=0x36f | 0x591..=0x5c7 | 0x64b..=0x65f | 0x900..=0xfff | 0x1000..=0x109f | 0x1780..=0x17d3)
}
