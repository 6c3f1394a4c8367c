//! Three sums over each block of a file: they say which block was damaged, and where a single byte of it was changed.
//!
//! For the bytes b₀ … bₙ₋₁ of a block they are Σ bᵢ, Σ i·bᵢ and Σ i²·bᵢ. If one byte at place i changed by e, the three
//! change by e, i·e and i²·e: the second by the first is the place, and the third confirms it. This locates damage; that
//! there is none, only the file's SHA-256 says.

/// Bytes a block.
pub const BLOCK_BYTES: usize = 1 << 20;

/// The sums of one block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockSums {
    /// Σ bᵢ.
    pub bytes: u64,
    /// Σ i·bᵢ; below 2⁴⁸ for a block.
    pub placed: u64,
    /// Σ i²·bᵢ modulo 2⁶⁴.
    pub squared: u64,
}

/// A byte of a block that is not what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangedByte {
    /// Its place in the block.
    pub at: usize,
    /// What it was.
    pub was: u8,
}

const LANES: usize = 64;
const PLACES: [i16; LANES] = weights(1);
const SQUARES: [i16; LANES] = weights(2);

const fn weights(power: u32) -> [i16; LANES] {
    let mut out = [0; LANES];
    let mut j = 0;
    while j < LANES {
        out[j] = (j as i16).pow(power);
        j += 1;
    }
    out
}

impl BlockSums {
    /// Sums a block of at most [`BLOCK_BYTES`].
    pub fn of(block: &[u8]) -> Self {
        let mut sums = Self::default();
        let (chunks, rest) = block.as_chunks::<LANES>();
        for (i, chunk) in chunks.iter().enumerate() {
            // Products of i16 summed in i32: what processors do eight or more at a time. 64 · 255 · 63² is below 2²⁷.
            let (mut bytes, mut placed, mut squared) = (0i32, 0i32, 0i32);
            for j in 0..LANES {
                let byte = i16::from(chunk[j]);
                bytes += i32::from(byte);
                placed += i32::from(byte) * i32::from(PLACES[j]);
                squared += i32::from(byte) * i32::from(SQUARES[j]);
            }
            sums.add_at((i * LANES) as u64, bytes as u64, placed as u64, squared as u64);
        }
        for (i, byte) in (chunks.len() * LANES..).zip(rest) {
            sums.add_at(i as u64, u64::from(*byte), 0, 0);
        }
        sums
    }

    /// Adds a chunk that begins at `first`, given its own sums: (f + j)² = f² + 2fj + j².
    fn add_at(&mut self, first: u64, bytes: u64, placed: u64, squared: u64) {
        self.bytes += bytes;
        self.placed += first * bytes + placed;
        self.squared =
            self.squared.wrapping_add((first * first).wrapping_mul(bytes)).wrapping_add(2 * first * placed).wrapping_add(squared);
    }

    /// Finds the one byte whose change explains how a block's sums differ from these; `None` if no single one does.
    pub fn locate(&self, block: &[u8]) -> Option<ChangedByte> {
        let found = Self::of(block);
        let by = found.bytes.wrapping_sub(self.bytes) as i64;
        let placed = found.placed.wrapping_sub(self.placed) as i64;
        if by == 0 || placed % by != 0 {
            return None;
        }
        let at = usize::try_from(placed / by).ok()?;
        let is = i64::from(*block.get(at)?);
        let square = (at as u64 * at as u64).wrapping_mul(by as u64);
        let was = u8::try_from(is - by).ok()?;
        (found.squared.wrapping_sub(self.squared) == square).then_some(ChangedByte { at, was })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slowly(block: &[u8]) -> BlockSums {
        let mut sums = BlockSums::default();
        for (i, byte) in block.iter().enumerate() {
            let (i, byte) = (i as u64, u64::from(*byte));
            sums.bytes += byte;
            sums.placed += i * byte;
            sums.squared = sums.squared.wrapping_add((i * i).wrapping_mul(byte));
        }
        sums
    }

    #[test]
    fn the_largest_block_of_the_largest_bytes_does_not_overflow() {
        let block = vec![255u8; BLOCK_BYTES];
        assert_eq!(BlockSums::of(&block), slowly(&block));
        assert!(BlockSums::of(&block).placed < 1 << 48);
    }

    proptest! {
        #[test]
        fn the_sums_are_what_their_formulas_say(block in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert_eq!(BlockSums::of(&block), slowly(&block));
        }

        #[test]
        fn one_changed_byte_is_found_with_what_it_was(n in 1usize..300_000, at in any::<prop::sample::Index>(), seed in any::<u64>(), by in 1u8..=255) {
            let random = polder_base::Random::new(seed, "block");
            let mut block: Vec<u8> = (0..n as u64).map(|i| random.at(i) as u8).collect();
            let (sums, at) = (BlockSums::of(&block), at.index(n));
            let was = block[at];
            block[at] = was.wrapping_add(by);
            prop_assert_eq!(sums.locate(&block), Some(ChangedByte { at, was }));
        }

        #[test]
        fn two_changed_bytes_are_not_taken_for_one(seed in any::<u64>(), a in 0usize..5000, b in 0usize..5000, by in 1u8..=255) {
            prop_assume!(a != b);
            let random = polder_base::Random::new(seed, "block");
            let mut block: Vec<u8> = (0..5000).map(|i| random.at(i) as u8).collect();
            let sums = BlockSums::of(&block);
            block[a] = block[a].wrapping_add(by);
            block[b] = block[b].wrapping_add(random.at(a as u64) as u8 | 1);
            prop_assert_eq!(sums.locate(&block), None);
        }
    }
}
