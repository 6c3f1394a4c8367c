//! How bytes are written as characters in `tokenizer.json`.
//!
//! # Source
//! GPT-2's `bytes_to_unicode`: printable Latin-1 bytes stand for themselves, the other 68 move to U+0100 and up.

/// Returns the character that stands for a byte.
pub(crate) fn byte_to_char(byte: u8) -> char {
    let stays = |b: u8| matches!(b, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    if stays(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|b| !stays(*b)).count() as u32;
    char::from_u32(0x100 + before).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Writes a token's bytes as `tokenizer.json` does.
pub(crate) fn to_text(bytes: &[u8]) -> String {
    bytes.iter().map(|b| byte_to_char(*b)).collect()
}

/// The way back.
pub(crate) struct FromText([Option<u8>; 0x144]);

impl FromText {
    pub(crate) fn new() -> Self {
        let mut table = [None; 0x144];
        for byte in 0..=255u8 {
            table[byte_to_char(byte) as usize] = Some(byte);
        }
        Self(table)
    }

    /// Reads a token's bytes; `None` for a character that stands for no byte.
    pub(crate) fn read(&self, text: &str) -> Option<Vec<u8>> {
        text.chars().map(|c| self.0.get(c as usize).copied().flatten()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_own_character_and_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        let text = to_text(&all);
        assert_eq!(text.chars().collect::<std::collections::BTreeSet<_>>().len(), 256);
        assert_eq!(FromText::new().read(&text), Some(all));
        assert_eq!((byte_to_char(b' '), byte_to_char(b'\n'), byte_to_char(0xad)), ('Ġ', 'Ċ', 'Ń'));
        assert_eq!(FromText::new().read("a b"), None);
    }
}
