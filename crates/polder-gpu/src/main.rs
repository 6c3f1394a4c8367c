//! the model side alone.
fn main() {}
