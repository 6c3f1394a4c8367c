//! checks and builds of this workspace.
fn main() {}
