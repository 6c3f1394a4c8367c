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

use cache::{IDS_INSIDE, PART_BYTES_MAX, PartCache, WordCache, pack, place, unpack};
use cuts::Cuts;
use merge::{Merger, SHORT_BYTES_MAX, WORD_LANES, merge_word};
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
    /// Where a piece that is a token is that token, whatever the merges make of it: all tokens.
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
                self.encode_pieces(bytes, &waiting, scratch, out);
                n = 0;
            }
        });
        self.encode_pieces(bytes, &waiting[..n], scratch, out);
    }

    fn encode_pieces(&self, text: &[u8], pieces: &[(usize, usize)], scratch: &mut Scratch, out: &mut Vec<u32>) {
        let mut keys = [(0, 0); PIECES_WAITING];
        for (at, (from, to)) in keys.iter_mut().zip(pieces) {
            let key = pack(text, *from, *to);
            *at = (key, place(key));
        }
        // Ids are put down four at a time, however many a word has: what is too many is written over by the next.
        let (mut ids, mut n) = ([0; IDS_INSIDE * PIECES_WAITING], 0);
        for ((key, place), (from, to)) in keys.iter().zip(pieces) {
            match (scratch.words.get_few(*key, *place), ids.get_mut(n..).and_then(|rest| rest.first_chunk_mut())) {
                (Some((few, n_few)), Some(room)) => {
                    *room = few;
                    n += n_few;
                }
                _ => {
                    out.extend_from_slice(&ids[..n]);
                    n = 0;
                    self.encode_piece(*key, text, *from, *to, scratch, out);
                }
            }
        }
        out.extend_from_slice(&ids[..n]);
    }

    /// A piece that is no short word with few ids that is known.
    #[cold]
    fn encode_piece(&self, key: u128, text: &[u8], from: usize, to: usize, scratch: &mut Scratch, out: &mut Vec<u32>) {
        if key != 0 {
            return self.encode_word(key, scratch, out);
        }
        match self.whole_word(&text[from..to]) {
            Some(id) => out.push(id),
            None => self.encode_parts(text, from, to, scratch, out),
        }
    }

    /// A short word, or a part that is as short.
    #[inline]
    fn encode_word(&self, key: u128, scratch: &mut Scratch, out: &mut Vec<u32>) {
        if !scratch.words.get(key, place(key), out) {
            self.encode_unknown(key, scratch, out);
        }
    }

    /// A short word that the cache doesn't hold, until now.
    fn encode_unknown(&self, key: u128, scratch: &mut Scratch, out: &mut Vec<u32>) {
        let (before, (word, n)) = (out.len(), unpack(key));
        match self.whole_word(&word[..n]) {
            Some(id) => out.push(id),
            None => {
                let mut symbols = [0; WORD_LANES];
                let n = merge_word(&self.pairs, &word, n, &mut symbols);
                out.extend(symbols[..n].iter().map(|symbol| self.ids[*symbol as usize]));
            }
        }
        scratch.words.insert(key, &out[before..]);
    }

    /// Where whole words come first, the token that a piece is.
    #[inline]
    fn whole_word(&self, piece: &[u8]) -> Option<u32> {
        if piece.len() > self.longest_whole { None } else { self.whole.get(piece).copied() }
    }

    /// A long piece that is no token as a whole: its parts between cuts are words by themselves, since no merge lies across a cut.
    fn encode_parts(&self, text: &[u8], from: usize, to: usize, scratch: &mut Scratch, out: &mut Vec<u32>) {
        let mut at = from;
        while at < to {
            let end = self.cuts.next(&text[..to], at);
            match pack(text, at, end) {
                // A part is no word of the text: where whole words come first, what is known of words is no help.
                key if key != 0 && !self.whole_words_first => self.encode_word(key, scratch, out),
                _ => self.encode_part(&text[at..end], scratch, out),
            }
            at = end;
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
