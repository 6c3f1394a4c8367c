//! The loss and its gradient.

use super::Cuda;
use super::table::kernels;
use crate::{CrossEntropy, Dtype, IdView, View};

/// Rows of at most so many numbers are a warp's; 16 bytes for each of a block's 512 threads are then not there.
const NARROW: usize = 2048;

kernels! {
    file "cross_entropy"; types t0 t1 t2;

    /// `losses (n) = −ln softmax(logits)[target]`, logits become their gradient; a block a row, `room` bytes of which it keeps.
    cross_entropy [F32] [Bf16] (
        losses: OutF32, logits: Out0, targets: InIds, scale: InF32, n: Long, vocab: Int, n_classes: Int, room: Int, with_gradient: Int,
        z_loss: Float, soft_cap: Float,
    )
        threads 512; grid line(n); shared room; bytes n * i64::from(vocab) * t0 * i64::from(1 + with_gradient); flop 0;

    /// The same, a warp a row.
    cross_entropy_narrow [F32] [Bf16] (
        losses: OutF32, logits: Out0, targets: InIds, scale: InF32, n: Long, vocab: Int, n_classes: Int, with_gradient: Int, z_loss: Float,
        soft_cap: Float,
    )
        threads 256; grid line(ceil(n, 8)); shared 0; bytes n * i64::from(vocab) * t0 * i64::from(1 + with_gradient); flop 0;
}

/// Shared memory of which two blocks find room on a multiprocessor.
fn half_of_shared(capability: (i32, i32)) -> usize {
    let kilobytes = match capability {
        (9 | 10, _) => 112,
        (8, 0 | 7) => 80,
        // Consumer cards have less; so may later ones.
        _ => 48,
    };
    kilobytes << 10
}

pub fn cross_entropy(cuda: &mut Cuda, losses: View, logits: View, targets: IdView, scale: Option<View>, settings: CrossEntropy) {
    let CrossEntropy { vocab, n_classes, z_loss, soft_cap } = settings;
    assert_eq!((logits.len, targets.len, losses.dtype), (losses.len * vocab, losses.len, Dtype::F32), "sizes of a loss");
    assert!(n_classes <= vocab && i32::try_from(vocab).is_ok(), "sizes of a loss: {n_classes} classes of {vocab}");
    let (to, at, ids) = (cuda.at(losses), cuda.at(logits), cuda.ids_at(targets));
    let (n, columns, with_gradient) = (losses.len as i64, vocab as i32, i32::from(scale.is_some()));
    let n_classes = if n_classes == 0 { columns } else { n_classes as i32 };
    let factor = cuda.at_maybe(scale);
    if vocab <= NARROW {
        let (device, types) = (cuda.device(), &[logits.dtype]);
        return launch::cross_entropy_narrow(device, types, to, at, ids, factor, n, columns, n_classes, with_gradient, z_loss, soft_cap);
    }
    // What is read once needs no room.
    let most = if with_gradient == 1 { half_of_shared(cuda.device().capability()) } else { 0 };
    let room = (vocab * logits.dtype.bytes()).next_multiple_of(16).min(most) as i32;
    launch::cross_entropy(
        cuda.device(),
        &[logits.dtype],
        to,
        at,
        ids,
        factor,
        n,
        columns,
        n_classes,
        room,
        with_gradient,
        z_loss,
        soft_cap,
    );
}
