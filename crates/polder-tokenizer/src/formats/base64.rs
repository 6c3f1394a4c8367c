//! Base64 with padding, the standard alphabet: how rank files and `tokenizer.json` write bytes.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().enumerate().fold(0u32, |word, (i, b)| word | u32::from(*b) << (16 - 8 * i));
        for i in 0..4 {
            let digit = (word >> (18 - 6 * i)) as usize & 63;
            out.push(if i <= chunk.len() { char::from(ALPHABET[digit]) } else { '=' });
        }
    }
    out
}

/// `None` for what the encoder never writes: other characters, a wrong length, bits that stand for nothing.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    const DIGITS: [u8; 256] = {
        let mut table = [255; 256];
        let mut i = 0;
        while i < 64 {
            table[ALPHABET[i] as usize] = i as u8;
            i += 1;
        }
        table
    };
    let text = text.as_bytes();
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let n_padding = text.iter().rev().take(2).take_while(|b| **b == b'=').count();
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    for chunk in text[..text.len() - n_padding].chunks(4) {
        let mut word = 0u32;
        for (i, byte) in chunk.iter().enumerate() {
            match DIGITS[usize::from(*byte)] {
                255 => return None,
                digit => word |= u32::from(digit) << (18 - 6 * i),
            }
        }
        let n = chunk.len() * 6 / 8;
        if n == 0 || (n < 3 && word << (8 + 8 * n) != 0) {
            return None;
        }
        out.extend_from_slice(&word.to_be_bytes()[1..=n]);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_vectors_of_rfc_4648_come_out() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text), Some(bytes.as_bytes().to_vec()));
        }
        for wrong in ["Z", "Zg", "Zg=", "Zh==", "Zm9=", "=m9v", "Z===", "Zm 9", "====", "Zm9vé"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }
    }
}
