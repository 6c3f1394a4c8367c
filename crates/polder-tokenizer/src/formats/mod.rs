//! Files that hold a tokenizer, one format a module: bytes or text in, a definition out, and back.

mod alphabet;
pub(crate) mod tokenizer_json;

pub(crate) use alphabet::byte_to_char;
