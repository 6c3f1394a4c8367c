//! What of a text is prose: its words, without what is meant for machines.

use crate::classifier::is_letter;

/// Texts of up to so many bytes are read whole; longer ones in windows at even distances.
const WHOLE_BYTES: usize = 8192;
/// Windows of a long text, and their length in bytes.
const N_WINDOWS: usize = 16;
const WINDOW_BYTES: usize = 512;
/// Words of more letters are none, in alphabets: the longest of dictionaries end before.
const WORD_LETTERS_MAX: usize = 45;

/// The words of a text, and what stands beside them.
#[derive(Debug, Default)]
pub(super) struct Prose {
    /// The words, as they stand, with a blank after each.
    pub(super) words: String,
    /// Letters of the words.
    pub(super) n_word_letters: usize,
    /// All letters.
    pub(super) n_letters: usize,
    /// All characters but white space.
    pub(super) n_visible: usize,
    /// Sum of [`code_weight`].
    pub(super) code_weight: usize,
}

impl Prose {
    pub(super) fn of(text: &str) -> Self {
        let mut prose = Self::default();
        if text.len() <= WHOLE_BYTES {
            prose.words.reserve(text.len() + 1);
            prose.add(text);
            return prose;
        }
        let stride = (text.len() - WINDOW_BYTES) / (N_WINDOWS - 1);
        for i in 0..N_WINDOWS {
            let start = text.floor_char_boundary(i * stride);
            let end = text.floor_char_boundary(start + WINDOW_BYTES);
            let window = text.get(start..end).unwrap_or_default();
            // Words cut in two at the window's ends would look foreign.
            let window = if i == 0 { window } else { window.split_once(char::is_whitespace).map_or(window, |(_, rest)| rest) };
            let window = if end == text.len() { window } else { window.rsplit_once(char::is_whitespace).map_or(window, |(rest, _)| rest) };
            prose.add(window);
        }
        prose
    }

    fn add(&mut self, window: &str) {
        for text in window.split_whitespace() {
            let token = Token::of(text);
            self.n_visible += token.n_visible;
            self.n_letters += token.n_letters;
            self.code_weight += token.code_weight;
            if !token.is_name && token.run_max <= WORD_LETTERS_MAX {
                self.n_word_letters += token.n_letters;
                self.words.push_str(text);
                self.words.push(' ');
            }
        }
    }
}

/// What stands between two blanks.
#[derive(Default)]
struct Token {
    n_visible: usize,
    n_letters: usize,
    code_weight: usize,
    /// The longest run of letters of alphabets.
    run_max: usize,
    /// Whether it is an address, a path, an identifier or a number, which belong to no language.
    is_name: bool,
}

impl Token {
    fn of(text: &str) -> Self {
        let mut token = Self::default();
        let (mut run, mut before, mut n_humps) = (0, ' ', 0);
        for c in text.chars() {
            token.n_visible += 1;
            if is_letter(c) {
                token.n_letters += 1;
                run += usize::from(u32::from(c) < 0xe00);
                token.run_max = token.run_max.max(run);
                if c.is_ascii() {
                    n_humps += usize::from(before.is_ascii_lowercase() && c.is_ascii_uppercase());
                    token.is_name |= before.is_ascii_digit() && token.n_letters > 3;
                }
            } else {
                run = 0;
                token.code_weight += code_weight(c);
                token.is_name |= matches!(c, '_' | '@') || (matches!(c, ':' | '/') && c == before);
                token.is_name |= c.is_ascii_digit() && before.is_ascii_lowercase();
            }
            before = c;
        }
        token.is_name |= n_humps > 1;
        token
    }
}

/// How much a mark speaks for code: Markdown is full of brackets, prose has hardly any of the others.
fn code_weight(c: char) -> usize {
    match c {
        ';' | '=' => 4,
        '{' | '}' | '<' | '>' | '_' | '&' | '|' | '\\' | '$' | '%' => 2,
        '(' | ')' | '[' | ']' | ':' => 1,
        _ => 0,
    }
}
