//! Turns tokens' bytes into text as they come: whole characters only, and nothing that may begin a stop string.

use polder_tokenizer::StreamDecoder;

/// Text on its way out.
pub(crate) struct TextStream<'a> {
    stop: Vec<&'a str>,
    decoder: StreamDecoder,
    text: String,
    n_sent: usize,
}

impl<'a> TextStream<'a> {
    /// Starts an empty text that ends before any of the stop strings.
    pub fn new(stop: &'a [String]) -> Self {
        Self {
            stop: stop.iter().map(String::as_str).filter(|s| !s.is_empty()).collect(),
            decoder: StreamDecoder::new(),
            text: String::new(),
            n_sent: 0,
        }
    }

    /// Takes a token's bytes; returns what can be sent, and whether a stop string ended the text.
    pub fn push(&mut self, bytes: &[u8]) -> (&str, bool) {
        self.decoder.push(bytes, &mut self.text);
        let stopped = self.cut_at_stop();
        let end = if stopped { self.text.len() } else { self.text.len() - self.n_held() };
        (self.send_to(end), stopped)
    }

    /// Ends the text: returns what was still held back.
    pub fn finish(&mut self) -> (&str, bool) {
        self.decoder.finish(&mut self.text);
        let stopped = self.cut_at_stop();
        (self.send_to(self.text.len()), stopped)
    }

    /// The whole text so far.
    pub fn into_text(self) -> String {
        self.text
    }

    fn send_to(&mut self, end: usize) -> &str {
        let from = self.n_sent.min(end);
        self.n_sent = from.max(end);
        &self.text[from..end]
    }

    fn cut_at_stop(&mut self) -> bool {
        // A stop string lies wholly behind what was sent: its possible beginnings are held back.
        let unsent = &self.text[self.n_sent..];
        let Some(place) = self.stop.iter().filter_map(|s| unsent.find(s)).min() else { return false };
        self.text.truncate(self.n_sent + place);
        true
    }

    /// Bytes at the end that may begin a stop string.
    fn n_held(&self) -> usize {
        let unsent = &self.text[self.n_sent..];
        let held = |s: &&str| (1..s.len()).rev().find(|n| s.is_char_boundary(*n) && unsent.ends_with(&s[..*n])).unwrap_or(0);
        self.stop.iter().map(held).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(stop: &[&str], pieces: &[&[u8]]) -> (Vec<String>, String, bool) {
        let stop: Vec<String> = stop.iter().map(|s| (*s).to_owned()).collect();
        let mut stream = TextStream::new(&stop);
        let mut sent = Vec::new();
        let mut stopped = false;
        for piece in pieces {
            let (text, stop) = stream.push(piece);
            sent.push(text.to_owned());
            stopped = stop;
            if stop {
                break;
            }
        }
        if !stopped {
            let (text, stop) = stream.finish();
            sent.push(text.to_owned());
            stopped = stop;
        }
        assert_eq!(sent.concat(), stream.text, "what was sent is the text");
        (sent, stream.into_text(), stopped)
    }

    #[test]
    fn characters_are_sent_whole() {
        let (sent, text, _) = run(&[], &[b"a\xe2\x82", b"\xacb", b"\xf0\x9f", b"\x8c\xb7"]);
        assert_eq!((sent[..4].to_vec(), text.as_str()), (vec!["a".into(), "€b".into(), String::new(), "🌷".into()], "a€b🌷"));
    }

    #[test]
    fn bytes_that_are_no_text_become_replacement_characters() {
        assert_eq!(run(&[], &[b"a\xff", b"b\xe2\x82", b"c\xe2"]).1, "a\u{fffd}b\u{fffd}c\u{fffd}");
    }

    #[test]
    fn a_stop_string_over_several_tokens_is_never_sent() {
        let (sent, text, stopped) = run(&["\n\nEND"], &[b"one\n", b"two\n", b"\nEN", b"D three"]);
        assert_eq!((sent.concat().as_str(), text.as_str(), stopped), ("one\ntwo", "one\ntwo", true));
        let (sent, text, stopped) = run(&["\n\nEND"], &[b"one\n\nEN", b"d"]);
        assert_eq!((sent[0].as_str(), text.as_str(), stopped), ("one", "one\n\nENd", false));
    }

    #[test]
    fn the_first_of_several_stop_strings_ends_the_text() {
        assert_eq!(run(&["zz", "b"], &[b"a", b"bzz"]).1, "a");
        assert_eq!(run(&["", "x"], &[b"abc"]).1, "abc");
        assert_eq!(run(&["€"], &[b"a\xe2", b"\x82", b"\xacb"]).1, "a");
    }
}
