//! pure text functions on strings.
