//! the polder program.
fn main() {}
