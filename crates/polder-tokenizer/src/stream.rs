//! Tokens as text while they come: whole characters only.

/// Turns bytes that come in pieces into text. What may still become a character is held back.
///
/// All that comes out, put together, is what [`String::from_utf8_lossy`] makes of all bytes: those that can never become a
/// character are U+FFFD.
#[derive(Clone, Debug, Default)]
pub struct StreamDecoder {
    /// The beginning of a character: at most three bytes.
    held: Vec<u8>,
}

impl StreamDecoder {
    /// Starts with nothing held back.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the bytes of a token, as [`Tokenizer::token_bytes`](crate::Tokenizer::token_bytes) gives them, and appends to `text`
    /// what has become whole.
    pub fn push(&mut self, bytes: &[u8], text: &mut String) {
        if self.held.is_empty() {
            let n_taken = take(bytes, text);
            self.held.extend_from_slice(&bytes[n_taken..]);
        } else {
            self.held.extend_from_slice(bytes);
            let n_taken = take(&self.held, text);
            self.held.drain(..n_taken);
        }
    }

    /// Ends the text: what is held back will not become a character any more.
    pub fn finish(&mut self, text: &mut String) {
        text.push_str(&String::from_utf8_lossy(&self.held));
        self.held.clear();
    }
}

/// Appends what is whole, says how many bytes that was.
fn take(bytes: &[u8], text: &mut String) -> usize {
    let mut n_taken = 0;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        n_taken += chunk.valid().len();
        let invalid = chunk.invalid();
        if invalid.is_empty() || (n_taken + invalid.len() == bytes.len() && may_continue(invalid)) {
            break;
        }
        text.push(char::REPLACEMENT_CHARACTER);
        n_taken += invalid.len();
    }
    n_taken
}

/// Tells whether bytes begin a character that more bytes could end.
fn may_continue(bytes: &[u8]) -> bool {
    matches!(std::str::from_utf8(bytes), Err(e) if e.valid_up_to() == 0 && e.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(pieces: &[&[u8]]) -> Vec<String> {
        let mut decoder = StreamDecoder::new();
        let mut out: Vec<String> = Vec::new();
        for piece in pieces {
            let mut text = String::new();
            decoder.push(piece, &mut text);
            out.push(text);
        }
        let mut text = String::new();
        decoder.finish(&mut text);
        out.push(text);
        out
    }

    #[test]
    fn a_character_comes_out_when_its_last_byte_has_come() {
        assert_eq!(run(&[b"a\xe2\x82", b"\xacb", b"\xf0\x9f", b"\x8c", b"\xb7"]), ["a", "€b", "", "", "🌷", ""]);
        assert_eq!(run(&[b"a\xff", b"b\xe2\x82", b"c\xe2"]), ["a\u{fffd}", "b", "\u{fffd}c", "\u{fffd}"]);
        assert_eq!(run(&[b"\xed\xa0", b"\x80"]), ["\u{fffd}\u{fffd}", "\u{fffd}", ""], "a surrogate is never whole");
    }

    proptest! {
        #[test]
        fn a_stream_gives_the_text_of_all_bytes_at_once(
            pieces in proptest::collection::vec(proptest::collection::vec(prop_oneof![any::<u8>(), 0x80u8..=0xbf, 0xe0u8..=0xf4], 0..5), 0..12),
            text in any::<String>(),
            cut in any::<proptest::sample::Index>(),
        ) {
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(run(&pieces).concat(), String::from_utf8_lossy(&pieces.concat()).into_owned());
            let (head, tail) = text.as_bytes().split_at(cut.index(text.len() + 1));
            let out = run(&[head, tail]);
            prop_assert_eq!(out[0].contains(char::REPLACEMENT_CHARACTER), text[..text.floor_char_boundary(head.len())].contains(char::REPLACEMENT_CHARACTER));
            prop_assert_eq!(out.concat(), text);
        }
    }
}
