//! Space that operations work in: each thread keeps what it has used, so that nothing is allocated after the first step.

use std::cell::RefCell;

use bytemuck::{Pod, Zeroable};

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; 64]);

thread_local! {
    static FREE: RefCell<Vec<Vec<Line>>> = const { RefCell::new(Vec::new()) };
}

/// Lends `len` numbers of any content, at the start of a cache line.
///
/// May be nested, and a thread that waits for others may run another operation meanwhile: each gets its own.
pub fn with<T: Pod, R>(len: usize, work: impl FnOnce(&mut [T]) -> R) -> R {
    let mut lines = FREE.with_borrow_mut(Vec::pop).unwrap_or_default();
    let n_lines = (len * size_of::<T>()).div_ceil(64);
    if lines.len() < n_lines {
        lines.resize(n_lines, Line::zeroed());
    }
    let result = work(&mut bytemuck::cast_slice_mut(&mut lines)[..len]);
    FREE.with_borrow_mut(|free| free.push(lines));
    result
}
