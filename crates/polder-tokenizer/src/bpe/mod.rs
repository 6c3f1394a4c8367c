//! From one piece of text to ids: whole words by a table, the rest by the merges.

mod merges;

use crate::definition::{self, Definition};
use crate::error::TokenizerError;
use crate::fast_hash::FastMap;
use crate::split::Splitter;
use merges::Merges;

/// The tables that encoding reads, worked out from a definition.
pub(crate) struct Bpe {
    merges: Merges,
    byte_ids: [u32; 256],
    /// Words that become one token, so that they need no merging.
    whole: FastMap<Box<[u8]>, u32>,
    longest_whole: usize,
}

/// What encoding writes on, kept between texts.
#[derive(Default)]
pub(crate) struct Scratch {
    symbols: Vec<u32>,
    ranks: Vec<(u32, u32)>,
}

impl Bpe {
    /// Encodes a text, cut by the splitter, and appends its ids.
    pub(crate) fn encode_text(&self, splitter: &Splitter, text: &str, scratch: &mut Scratch, out: &mut Vec<u32>) {
        splitter.split(text, &mut |piece| self.encode_piece(piece, &mut scratch.symbols, &mut scratch.ranks, out));
    }

    pub(crate) fn try_new(definition: &Definition) -> Result<Self, TokenizerError> {
        let broken = |reason: String| TokenizerError::Vocabulary { reason };
        let tokens = &definition.tokens;
        let mut ids: FastMap<&[u8], u32> = FastMap::default();
        let mut byte_ids = [u32::MAX; 256];
        for (id, bytes) in tokens.iter().enumerate() {
            if bytes.is_empty() || definition.added.binary_search_by_key(&(id as u32), |a| a.id).is_ok() {
                continue;
            }
            if let [byte] = **bytes {
                byte_ids[usize::from(byte)] = id as u32;
            }
            ids.insert(bytes, id as u32);
        }
        if let Some(byte) = (0u8..=255).find(|byte| definition::must_have(*byte) && byte_ids[usize::from(*byte)] == u32::MAX) {
            return Err(broken(format!("byte {byte} has no token")));
        }
        let pairs = definition.merge_pairs();
        let mut merges = Merges::with_capacity(pairs.len());
        for (rank, (left, right)) in pairs.iter().enumerate() {
            let (l, r) = match (tokens.get(*left as usize), tokens.get(*right as usize)) {
                (Some(l), Some(r)) => (l, r),
                _ => return Err(broken(format!("merge {rank} names an id that is not there"))),
            };
            let joined = [&**l, &**r].concat();
            let id = *ids.get(&*joined).ok_or_else(|| broken(format!("merge {rank} makes a token that is not there")))?;
            if !merges.insert(*left, *right, rank as u32, id) {
                return Err(broken(format!("merge {rank} repeats an earlier one")));
            }
        }
        let mut bpe = Self { merges, byte_ids, whole: FastMap::default(), longest_whole: 0 };
        bpe.find_whole_words(tokens);
        Ok(bpe)
    }

    fn encode_piece(&self, piece: &[u8], symbols: &mut Vec<u32>, ranks: &mut Vec<(u32, u32)>, out: &mut Vec<u32>) {
        if piece.len() <= self.longest_whole
            && let Some(id) = self.whole.get(piece)
        {
            out.push(*id);
            return;
        }
        symbols.clear();
        symbols.extend(piece.iter().map(|b| self.byte_ids[usize::from(*b)]));
        self.merges.apply(symbols, ranks, out);
    }

    /// Not every token is what the merges make of its bytes, so each is tried.
    fn find_whole_words(&mut self, tokens: &[Box<[u8]>]) {
        let (mut symbols, mut ranks, mut out) = (Vec::new(), Vec::new(), Vec::new());
        let mut whole = FastMap::default();
        for (id, bytes) in tokens.iter().enumerate() {
            out.clear();
            self.encode_piece(bytes, &mut symbols, &mut ranks, &mut out);
            if out == [id as u32] {
                whole.insert(bytes.clone(), id as u32);
            }
        }
        self.longest_whole = whole.keys().map(|k| k.len()).max().unwrap_or(0);
        self.whole = whole;
    }
}
