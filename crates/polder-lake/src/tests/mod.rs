//! The lake as its users meet it.
