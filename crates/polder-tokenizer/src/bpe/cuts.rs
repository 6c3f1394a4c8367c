//! Where a piece can be cut before any merging: between two bytes that no token holds side by side.
//!
//! A merge across such a place would make a token that holds them. Text in scripts without spaces comes in long pieces, which fall
//! into characters or so under a vocabulary that was made of other text.

/// The pairs of bytes that some token holds side by side, one bit each.
pub(super) struct Cuts {
    joined: Box<[u64; 1024]>,
}

impl Cuts {
    /// Of the tokens that merges make.
    pub(super) fn new<'a>(tokens: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut joined = Box::new([0; 1024]);
        for token in tokens {
            for pair in token.windows(2) {
                joined[usize::from(pair[0]) << 2 | usize::from(pair[1]) >> 6] |= 1 << (pair[1] & 63);
            }
        }
        Self { joined }
    }

    /// The first cut after `from`, or the end.
    #[inline]
    pub(super) fn next(&self, piece: &[u8], from: usize) -> usize {
        let rest = &piece[from..];
        let joined = |left: u8, right: u8| self.joined[usize::from(left) << 2 | usize::from(right) >> 6] >> (right & 63) & 1 == 1;
        from + rest.windows(2).position(|pair| !joined(pair[0], pair[1])).map_or(rest.len(), |i| i + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_lie_where_no_token_does() {
        let cuts = Cuts::new([&b"ab"[..], b"bc", b"\xff\x00\xff"].into_iter());
        let piece = b"abcab\xff\x00\xff\xffa";
        let (mut at, mut parts) = (0, Vec::new());
        while at < piece.len() {
            let end = cuts.next(piece, at);
            parts.push(&piece[at..end]);
            at = end;
        }
        assert_eq!(parts, [&b"abc"[..], b"ab", b"\xff\x00\xff", b"\xff", b"a"]);
    }
}
