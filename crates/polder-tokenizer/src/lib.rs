//! byte-level BPE.
