//! From one piece of text to ids.
//!
//! A definition's tokens and merges are worked into tables first (`build`); then a piece goes through a cache of short words
//! (`cache`), and what that doesn't know through the merges (`merge`), cut before where no token can lie across (`cuts`).
//!
//! # Source
//! Whether the merges make a token of its own bytes, and by which last pair, doesn't depend on what stands around those bytes: a
//! merge across their border would have taken one of them away. So one pair a token is all that merging ever uses, and a token
//! that the merges don't make of its own bytes never comes out of them.

mod build;
mod cache;
mod cuts;
mod merge;
mod pairs;

use cache::{PART_BYTES_MAX, PartCache, WORD_BYTES_MAX, WordCache, pack};
use cuts::Cuts;
use merge::{Merger, SHORT_BYTES_MAX};
use pairs::Pairs;

use crate::fast_hash::FastMap;
use crate::split::Splitter;

/// No token, no rank, no place.
const NONE: u32 = u32::MAX;

/// Pieces that are cut before the first of them is looked up.
const PIECES_WAITING: usize = 64;

/// The tables that encoding reads, worked out from a definition.
pub(crate) struct Bpe {
    pairs: Pairs,
    /// The id of each symbol: bytes are the first 256, merged ones follow in order of rank.
    ids: Vec<u32>,
    /// Words that are one token, so that they need no merging.
    whole: FastMap<Box<[u8]>, u32>,
    longest_whole: usize,
    /// A piece that is a token is that token, whatever the merges make of it.
    whole_words_first: bool,
    cuts: Cuts,
}

/// What encoding writes on, kept between texts.
#[derive(Default)]
pub(crate) struct Scratch {
    words: WordCache,
    parts: PartCache,
    merger: Merger,
    symbols: Vec<u32>,
}

impl Bpe {
    /// Encodes a text, cut by the splitter, and appends its ids.
    #[inline]
    pub(crate) fn encode_text(&self, splitter: &Splitter, text: &str, scratch: &mut Scratch, out: &mut Vec<u32>) {
        let bytes = text.as_bytes();
        // Cutting mispredicts at every word and looking words up waits for memory. One after the other they wait for each other; a few
        // pieces cut first, the look-ups run side by side.
        let (mut waiting, mut n) = ([(0, 0); PIECES_WAITING], 0);
        splitter.split_ranges(text, &mut |from, to| {
            waiting[n % PIECES_WAITING] = (from, to);
            n += 1;
            if n == PIECES_WAITING {
                waiting.iter().for_each(|(from, to)| self.encode_piece(bytes, *from, *to, scratch, out));
                n = 0;
            }
        });
        waiting[..n].iter().for_each(|(from, to)| self.encode_piece(bytes, *from, *to, scratch, out));
    }

    #[inline]
    fn encode_piece(&self, text: &[u8], from: usize, to: usize, scratch: &mut Scratch, out: &mut Vec<u32>) {
        match pack(text, from, to) {
            Some(key) => self.encode_word(key, &text[from..to], scratch, out),
            None => self.encode_long(&text[from..to], scratch, out),
        }
    }

    #[inline]
    fn encode_word(&self, key: u128, word: &[u8], scratch: &mut Scratch, out: &mut Vec<u32>) {
        if !scratch.words.get(key, out) {
            self.encode_unknown(key, word, scratch, out);
        }
    }

    /// A short word that the cache doesn't hold, until now.
    #[cold]
    fn encode_unknown(&self, key: u128, word: &[u8], scratch: &mut Scratch, out: &mut Vec<u32>) {
        let before = out.len();
        match self.whole_word(word) {
            Some(id) => out.push(id),
            None => self.encode_parts(word, scratch, out),
        }
        scratch.words.insert(key, &out[before..]);
    }

    #[inline]
    fn whole_word(&self, piece: &[u8]) -> Option<u32> {
        if piece.len() > self.longest_whole { None } else { self.whole.get(piece).copied() }
    }

    /// A piece too long for the cache.
    fn encode_long(&self, piece: &[u8], scratch: &mut Scratch, out: &mut Vec<u32>) {
        match self.whole_word(piece) {
            Some(id) => out.push(id),
            None => self.encode_parts(piece, scratch, out),
        }
    }

    /// A piece that is no token as a whole: its parts between cuts are words by themselves, since no merge lies across a cut.
    fn encode_parts(&self, piece: &[u8], scratch: &mut Scratch, out: &mut Vec<u32>) {
        let mut from = 0;
        while from < piece.len() {
            let to = self.cuts.next(piece, from);
            let part = &piece[from..to];
            match pack(piece, from, to) {
                _ if part.len() == piece.len() && part.len() <= WORD_BYTES_MAX => self.merge(part, scratch, out),
                // A part is no word of the text: whole words don't come first in it, so what is known of words is no help.
                Some(key) if !self.whole_words_first => self.encode_word(key, part, scratch, out),
                _ => self.encode_part(part, scratch, out),
            }
            from = to;
        }
    }

    /// What lies between two cuts.
    fn encode_part(&self, part: &[u8], scratch: &mut Scratch, out: &mut Vec<u32>) {
        if part.len() > PART_BYTES_MAX {
            return self.merge(part, scratch, out);
        }
        if let Err(hash) = scratch.parts.get(part, out) {
            let before = out.len();
            self.merge(part, scratch, out);
            scratch.parts.insert(hash, part, &out[before..]);
        }
    }

    fn merge(&self, piece: &[u8], scratch: &mut Scratch, out: &mut Vec<u32>) {
        if piece.len() <= SHORT_BYTES_MAX {
            scratch.merger.merge_short(&self.pairs, piece, &mut scratch.symbols);
        } else {
            scratch.merger.merge_long(&self.pairs, piece, &mut scratch.symbols);
        }
        out.extend(scratch.symbols.iter().map(|symbol| self.ids[*symbol as usize]));
    }
}

#[cfg(test)]
mod tests;
