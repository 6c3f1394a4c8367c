//! decoding with a KV cache.
