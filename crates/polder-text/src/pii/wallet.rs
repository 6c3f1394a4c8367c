//! Addresses of crypto-currencies, which carry checksums: base58check and bech32 (Bitcoin and its kin), and Ethereum's mixed case.

use sha2::{Digest as _, Sha256};

use super::Scan;
use super::context::WALLET;
use crate::ByteSpan;

const BASE58: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const BECH32: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/// An address that is the whole word `start..end`.
pub(super) fn find(scan: &Scan<'_>, start: usize, end: usize) -> Option<ByteSpan> {
    let word = scan.bytes.get(start..end)?;
    let score = match word {
        [b'0', b'x' | b'X', hex @ ..] if hex.len() == 40 && hex.iter().all(u8::is_ascii_hexdigit) => ethereum(scan, start, end, hex)?,
        [b'1' | b'3' | b'L' | b'M' | b'D' | b'X', ..] if (26..=35).contains(&word.len()) => base58(word).then_some(1.0)?,
        [b'b' | b'B', b'c' | b'C', b'1', data @ ..] if (11..=87).contains(&data.len()) => bech32(b"bc", data).then_some(1.0)?,
        [b'l' | b'L', b't' | b'T', b'c' | b'C', b'1', data @ ..] if (11..=86).contains(&data.len()) => {
            bech32(b"ltc", data).then_some(1.0)?
        }
        _ => return None,
    };
    Some(ByteSpan { kind: "crypto_wallet", start, end, score })
}

/// How sure an Ethereum address is: with both cases it has a checksum (EIP-55), with one it needs a word.
fn ethereum(scan: &Scan<'_>, start: usize, end: usize, hex: &[u8]) -> Option<f64> {
    let (upper, lower) = (hex.iter().any(u8::is_ascii_uppercase), hex.iter().any(u8::is_ascii_lowercase));
    // Constants of many zeros or of a counted pattern are no account's.
    let mut seen = [false; 16];
    hex.iter().filter_map(|b| char::from(*b).to_digit(16)).for_each(|d| seen[d as usize] = true);
    if seen.iter().filter(|s| **s).count() < 8 {
        return None;
    }
    if upper && lower {
        let digest = keccak256(&hex.to_ascii_lowercase());
        let holds = hex.iter().enumerate().all(|(i, b)| {
            let nibble = (digest[i / 2] >> (4 * (1 - i % 2))) & 15;
            !b.is_ascii_alphabetic() || b.is_ascii_uppercase() == (nibble >= 8)
        });
        return holds.then_some(1.0);
    }
    (scan.topics(start, end) & WALLET != 0).then_some(0.7)
}

/// Whether a word is 25 bytes in base 58 with a known version, the last four the double hash of the rest.
fn base58(word: &[u8]) -> bool {
    let mut number = [0u8; 25];
    for b in word {
        let Some(digit) = BASE58.iter().position(|c| c == b) else { return false };
        let mut carry = digit;
        for byte in number.iter_mut().rev() {
            carry += usize::from(*byte) * 58;
            *byte = (carry & 0xFF) as u8;
            carry >>= 8;
        }
        if carry > 0 {
            return false;
        }
    }
    // Bitcoin's two, Litecoin's two, Dogecoin's and Dash's.
    let digest = Sha256::digest(Sha256::digest(&number[..21]));
    matches!(number[0], 0x00 | 0x05 | 0x30 | 0x32 | 0x1E | 0x4C) && digest[..4] == number[21..]
}

/// Whether data behind `bc1` passes the checksum of bech32 or bech32m (BIP 173, BIP 350).
fn bech32(prefix: &[u8], data: &[u8]) -> bool {
    const GENERATOR: [u32; 5] = [0x3B6A_57B2, 0x2650_8E6D, 0x1EA1_19FA, 0x3D42_33DD, 0x2A14_62B3];
    if data.iter().any(u8::is_ascii_uppercase) && data.iter().any(u8::is_ascii_lowercase) {
        return false;
    }
    let step = |check: u32, value: u32| {
        let next = ((check & 0x1FF_FFFF) << 5) ^ value;
        GENERATOR.iter().enumerate().fold(next, |next, (i, g)| if (check >> 25 >> i) & 1 == 1 { next ^ g } else { next })
    };
    let mut check = prefix.iter().fold(1, |check, b| step(check, u32::from(b >> 5)));
    check = step(check, 0);
    check = prefix.iter().fold(check, |check, b| step(check, u32::from(b & 31)));
    for b in data {
        let Some(value) = BECH32.iter().position(|c| *c == b.to_ascii_lowercase()) else { return false };
        check = step(check, value as u32);
    }
    matches!(check, 1 | 0x2BC8_30A3)
}

/// Keccak-256 of a message shorter than one block, as Ethereum uses it (padding 1, not SHA-3's 6).
fn keccak256(message: &[u8]) -> [u8; 32] {
    const RATE: usize = 136;
    let mut block = [0u8; RATE];
    block[..message.len().min(RATE - 1)].copy_from_slice(&message[..message.len().min(RATE - 1)]);
    block[message.len().min(RATE - 1)] ^= 1;
    block[RATE - 1] ^= 0x80;
    let mut state = [0u64; 25];
    for (lane, bytes) in state.iter_mut().zip(block.chunks_exact(8)) {
        *lane = bytes.iter().rev().fold(0, |acc, b| (acc << 8) | u64::from(*b));
    }
    keccak_f(&mut state);
    let mut digest = [0; 32];
    for (bytes, lane) in digest.chunks_exact_mut(8).zip(state) {
        bytes.copy_from_slice(&lane.to_le_bytes());
    }
    digest
}

/// The permutation of Keccak with 1,600 bits (FIPS 202, section 3).
fn keccak_f(state: &mut [u64; 25]) {
    // Round constants come from a shift register of eight bits.
    let mut register = 1u8;
    for _ in 0..24 {
        let columns: [u64; 5] = std::array::from_fn(|x| (0..5).fold(0, |acc, y| acc ^ state[x + 5 * y]));
        for (i, lane) in state.iter_mut().enumerate() {
            *lane ^= columns[(i + 4) % 5] ^ columns[(i + 1) % 5].rotate_left(1);
        }
        let (mut x, mut y, mut current) = (1, 0, state[1]);
        for t in 0..24u32 {
            (x, y) = (y, (2 * x + 3 * y) % 5);
            current = std::mem::replace(&mut state[x + 5 * y], current.rotate_left(((t + 1) * (t + 2) / 2) % 64));
        }
        for row in state.chunks_exact_mut(5) {
            let old: [u64; 5] = std::array::from_fn(|x| row[x]);
            for (x, lane) in row.iter_mut().enumerate() {
                *lane = old[x] ^ (!old[(x + 1) % 5] & old[(x + 2) % 5]);
            }
        }
        for j in 0..7 {
            if register & 1 == 1 {
                state[0] ^= 1 << ((1u32 << j) - 1);
            }
            register = (register << 1) ^ (if register >> 7 == 1 { 0x71 } else { 0 });
        }
    }
}
