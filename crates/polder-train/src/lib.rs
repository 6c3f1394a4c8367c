//! training loop with exact resume.
