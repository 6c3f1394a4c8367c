//! What an operation reads, writes and multiplies, told from its arguments alone.

use crate::{Activation, Attention, CrossEntropy, Dtype, Gemm, View};

/// One call of an operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// The operation.
    pub op: &'static str,
    /// Its sizes, in the words of the operation.
    pub sizes: String,
    /// How its rows are stored.
    pub dtype: Dtype,
    /// Multiplications and additions of matrix products and attention; 0 where bytes decide. What documents hide is
    /// counted as if it were seen.
    pub flop: f64,
    /// Bytes that must be read and written at least.
    pub bytes: f64,
    /// What it writes.
    pub outs: Vec<View>,
}

fn bytes(view: View) -> f64 {
    (view.len * view.dtype.bytes()) as f64
}

impl Facts {
    /// An operation that is bound by its bytes: outputs that are only written, ones that are also read, and inputs.
    pub(super) fn plain(op: &'static str, sizes: String, dtype: Dtype, written: &[View], updated: &[View], read: &[View]) -> Self {
        let once: f64 = written.iter().chain(read).map(|v| bytes(*v)).sum();
        let twice: f64 = updated.iter().map(|v| 2.0 * bytes(*v)).sum();
        Self { op, sizes, dtype, flop: 0.0, bytes: once + twice, outs: [written, updated].concat() }
    }

    pub(super) fn gemm(out: View, a: View, b: View, s: Gemm) -> Self {
        let sizes =
            format!("({}, {}, {}){}{}", s.m, s.n, s.k, if s.transpose_a { " aᵀ" } else { "" }, if s.transpose_b { " bᵀ" } else { "" });
        let outs = if s.accumulate { [&[][..], &[out]] } else { [&[out][..], &[]] };
        let flop = 2.0 * s.m as f64 * s.n as f64 * s.k as f64;
        Self { flop, ..Self::plain("gemm", sizes, a.dtype, outs[0], outs[1], &[a, b]) }
    }

    /// `products` is how many matrix products run over what rows see.
    pub(super) fn attention(op: &'static str, s: Attention, products: f64, written: &[View], read: &[View]) -> Self {
        let seen = (0..s.time).map(|row| {
            let (from, to) = s.seen(row, (0, s.time));
            to.saturating_sub(from)
        });
        let pairs = (s.batch * s.n_heads * seen.sum::<usize>()) as f64;
        let sizes = format!("(B {}, T {}, H {}/{}, D {})", s.batch, s.time, s.n_heads, s.n_kv_heads, s.head);
        Self { flop: 2.0 * products * pairs * s.head as f64, ..Self::plain(op, sizes, written[0].dtype, written, &[], read) }
    }

    pub(super) fn activation(op: &'static str, activation: Activation, width: usize, out: View, read: &[View]) -> Self {
        let rows = read[0].len / width / if op == "activation_forward" { activation.n_inputs() } else { 1 };
        Self::plain(op, format!("{activation:?} ({rows}, {width})"), out.dtype, &[out], &[], read)
    }

    pub(super) fn cross_entropy(losses: View, logits: View, with_gradient: bool, s: CrossEntropy) -> Self {
        let sizes = format!("({}, {})", losses.len, s.vocab);
        let (updated, read) = if with_gradient { ([logits], None) } else { ([losses], Some(logits)) };
        let read: Vec<View> = read.into_iter().collect();
        let mut facts = Self::plain("cross_entropy", sizes, logits.dtype, &[], &updated, &read);
        facts.outs = vec![losses, logits];
        facts
    }
}
