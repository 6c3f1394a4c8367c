//! Sentences, and passages of a few of them: long enough to judge, short enough to point at.

use std::ops::Range;

/// A text of at most so many bytes is one passage: a post, a message.
const POST_BYTES_MAX: usize = 320;
/// A passage ends with the sentence that fills so many bytes.
const PASSAGE_BYTES: usize = 140;
/// It also ends with a paragraph, once it has so many.
const PARAGRAPH_BYTES: usize = 60;
/// A sentence without end is cut at a blank after so many bytes.
const SENTENCE_BYTES: usize = 400;
/// Or anywhere after so many.
const SENTENCE_BYTES_MAX: usize = 1000;

/// Iterates over the sentences of a text as byte ranges that cover it: they end behind `.`, `!` or `?` and what closes, before a blank; behind
/// full stops of scripts without blanks; and with a line.
pub(super) fn sentences(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        (start < text.len()).then(|| {
            let end = sentence_end(text, start);
            let sentence = start..end;
            start = end;
            sentence
        })
    })
}

fn sentence_end(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let mut i = start;
    while i < bytes.len() {
        let b = bytes[i];
        i += 1;
        match b {
            b'\n' => return i,
            b'.' | b'!' | b'?' => {
                let closed = bytes[i..].iter().take_while(|b| b".!?\"')]*_".contains(b)).count();
                i += closed;
                if bytes.get(i).is_none_or(|b| b.is_ascii_whitespace()) {
                    return i;
                }
            }
            b' ' if i - start >= SENTENCE_BYTES => return i,
            // 。 is e3 80 82; ！ and ？ are ef bc 81 and 9f; all end where a character does.
            0x82 if bytes[..i].ends_with("。".as_bytes()) => return i,
            0x81 if bytes[..i].ends_with("！".as_bytes()) => return i,
            0x9f if bytes[..i].ends_with("？".as_bytes()) => return i,
            _ if i - start >= SENTENCE_BYTES_MAX && text.is_char_boundary(i) => return i,
            _ => {}
        }
    }
    i
}

/// Whether a text is so short that it is one passage.
pub(super) fn is_post(text: &str) -> bool {
    text.len() <= POST_BYTES_MAX
}

/// Iterates over passages: whole sentences that together have some hundred bytes.
pub(super) fn passages(text: &str) -> impl Iterator<Item = Range<usize>> {
    let is_post = is_post(text);
    let mut sentences = sentences(text).peekable();
    std::iter::from_fn(move || {
        let mut passage = sentences.next()?;
        loop {
            let Some(next) = sentences.peek() else { return Some(passage) };
            let bytes = passage.len();
            let ends_paragraph = next.len() == 1 && bytes >= PARAGRAPH_BYTES;
            let is_full = bytes >= PASSAGE_BYTES || ends_paragraph || bytes + next.len() > POST_BYTES_MAX;
            if is_full && !is_post {
                return Some(passage);
            }
            passage.end = next.end;
            sentences.next();
        }
    })
}
