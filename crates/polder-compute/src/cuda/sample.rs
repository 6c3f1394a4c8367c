//! Draws the next token from logits.

use super::Cuda;
use super::table::kernels;
use crate::cpu::Sampling;
use crate::{IdView, View};

/// Bytes of shared memory: sums of two sets of bins, and a list.
const SHARED: usize = 58_192;

kernels! {
    file "sample"; types t0 t1 t2;

    /// `tokens (n)` of the first `n_classes` of each row of logits.
    sample [F32] [Bf16] (
        tokens: OutIds, logits: In0, settings: InIds, places: InIds, n: Long, vocab: Int, n_classes: Int, id_bits: Int,
    )
        threads 1024; grid line(n); shared SHARED; bytes n * i64::from(n_classes) * t0; flop 0;
}

pub fn sample(cuda: &mut Cuda, tokens: IdView, logits: View, settings: IdView, places: IdView, vocab: usize, n_classes: usize) {
    let n = tokens.len;
    assert_eq!((logits.len, settings.len, places.len), (n * vocab, n * Sampling::WORDS, n), "sizes of a draw");
    assert!(0 < n_classes && n_classes <= vocab && i32::try_from(vocab).is_ok(), "sizes of a draw");
    let (to, at) = (cuda.ids_at(tokens), cuda.at(logits));
    let (words, places) = (cuda.ids_at(settings), cuda.ids_at(places));
    let (columns, counted, id_bits) = (vocab as i32, n_classes as i32, n_classes.next_power_of_two().trailing_zeros() as i32);
    launch::sample(cuda.device(), &[logits.dtype], to, at, words, places, n as i64, columns, counted, id_bits);
}
