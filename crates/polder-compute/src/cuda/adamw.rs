//! The optimizer's update, and copies that are rounded by chance.

use super::Cuda;
use super::table::{Pointer, kernels};
use crate::{AdamW, Dtype, IdView, View};

kernels! {
    file "adamw"; types t0 t1 t2;

    /// Updates parameters, moments and, where it is there, the working copy.
    adamw [F32] [Bf16] (
        params: OutF32, working: Out0, m: OutF32, v: OutF32, grads: InF32, norm_squared: InF32, scalars: InF32, n: Long,
    )
        threads 256; grid line(ceil(n + 3, 256 * 4)); shared 0; bytes n * (28 + t0 * there(working)); flop 0;

    /// The same with a working copy that is rounded by chance, and scalars by value: it is called with another key each step.
    adamw_stochastic [Bf16] (
        params: OutF32, working: OutBf16, m: OutF32, v: OutF32, grads: InF32, norm_squared: InF32, n: Long, first: Long, key: Long, beta1: Float,
        beta2: Float, eps: Float, root: Float, keep: Float, rate: Float, clip: Float,
    )
        threads 256; grid line(ceil(n + 3, 256 * 4)); shared 0; bytes n * 30; flop 0;

    /// The same for segments of a buffer that differ in decay and learning rate.
    adamw_segments [F32] [Bf16] (
        params: OutF32, working: Out0, m: OutF32, v: OutF32, grads: InF32, norm_squared: InF32, segments: InIds, n: Long, n_segments: Int,
        beta1: Float, beta2: Float, eps: Float, root: Float, lr: Float, rate: Float, decay: Float, clip: Float,
    )
        threads 256; grid line(ceil(n + 3, 256 * 4)); shared 0; bytes n * (28 + t0 * there(working)); flop 0;

    /// The same with a working copy that is rounded by chance.
    adamw_segments_stochastic [Bf16] (
        params: OutF32, working: OutBf16, m: OutF32, v: OutF32, grads: InF32, norm_squared: InF32, segments: InIds, n: Long, n_segments: Int,
        first: Long, key: Long, beta1: Float, beta2: Float, eps: Float, root: Float, lr: Float, rate: Float, decay: Float, clip: Float,
    )
        threads 256; grid line(ceil(n + 3, 256 * 4)); shared 0; bytes n * 30; flop 0;

    /// `out (n) = x`, up or down by chance.
    copy_stochastic [Bf16] (out: OutBf16, x: InF32, n: Long, first: Long, key: Long)
        threads 256; grid line(ceil(n + 3, 256 * 8)); shared 0; bytes n * 6; flop 0;
}

/// 1 for what is there.
fn there(pointer: Pointer) -> i64 {
    i64::from(pointer != Pointer::NONE)
}

fn check(params: View, working: Option<View>, m: View, v: View, grads: View) {
    let n = params.len;
    assert_eq!((m.len, v.len, grads.len, working.map_or(n, |w| w.len)), (n, n, n, n), "sizes of an update");
    assert!([params, m, v, grads].iter().all(|x| x.dtype == Dtype::F32), "an update is of f32");
}

/// The key of a step's random numbers; those of two steps have nothing in common.
fn key(seed: u64, step: u64) -> i64 {
    // The generator wants keys whose digits look random, and odd ones.
    (polder_base::Random::new(seed, "working copies").at(step) | 1) as i64
}

#[allow(clippy::too_many_arguments)]
pub fn adamw(cuda: &mut Cuda, params: View, working: Option<View>, m: View, v: View, grads: View, norm_squared: View, scalars: View) {
    check(params, working, m, v, grads);
    assert_eq!((scalars.len, scalars.dtype), (AdamW::SCALARS, Dtype::F32), "sizes of an update's scalars");
    let types = &[working.map_or(Dtype::F32, |w| w.dtype)];
    let [at, m, v, g, norm, scalars] = [params, m, v, grads, norm_squared, scalars].map(|x| cuda.at(x));
    let copy = cuda.at_maybe(working);
    launch::adamw(cuda.device(), types, at, copy, m, v, g, norm, scalars, params.len as i64);
}

/// A run of parameters that are updated alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segment {
    /// Its first number.
    pub begin: usize,
    /// Where it ends.
    pub end: usize,
    /// Whether it decays.
    pub decays: bool,
    /// What the learning rate is multiplied by.
    pub lr_factor: f32,
}

impl Segment {
    /// Words a segment in a table.
    pub const WORDS: usize = 6;

    /// A table of segments as [`Cuda::adamw_segments`] reads it.
    ///
    /// # Panics
    /// When they are out of order, or share numbers.
    pub fn table(segments: &[Self]) -> Vec<i32> {
        assert!(segments.windows(2).all(|w| w[0].end <= w[1].begin) && segments.iter().all(|s| s.begin < s.end), "segments are in order");
        let halves = |x: usize| [x as i32, (x as u64 >> 32) as i32];
        let words = |s: &Self| {
            let ([a, b], [c, d]) = (halves(s.begin), halves(s.end));
            [a, b, c, d, i32::from(s.decays), s.lr_factor.to_bits() as i32]
        };
        segments.iter().flat_map(words).collect()
    }
}

impl Cuda {
    /// An update by AdamW of many segments in one launch: `segments` is a [`Segment::table`] of places in `params`; what
    /// belongs to no segment stays as it is. With a seed, the bf16 working copy is rounded by chance, as [`Cuda::adamw_stochastic`] does it.
    ///
    /// # Panics
    /// When a view does not have its size.
    #[allow(clippy::too_many_arguments)]
    pub fn adamw_segments(
        &mut self,
        params: View,
        working: Option<View>,
        m: View,
        v: View,
        grads: View,
        norm_squared: View,
        segments: IdView,
        step: AdamW,
        seed: Option<u64>,
    ) {
        check(params, working, m, v, grads);
        assert_eq!(segments.len % Segment::WORDS, 0, "sizes of a table of segments");
        let AdamW { lr, weight_decay, .. } = step;
        let [beta1, beta2, eps, root, _, rate, clip] = step.scalars();
        let [at, m, v, g, norm] = [params, m, v, grads, norm_squared].map(|x| self.at(x));
        let (copy, table) = (self.at_maybe(working), self.ids_at(segments));
        let (n, n_segments) = (params.len as i64, (segments.len / Segment::WORDS) as i32);
        let types = [working.map_or(Dtype::F32, |w| w.dtype)];
        let device = self.device();
        match seed.filter(|_| working.is_some()) {
            Some(seed) => {
                let (first, key) = (params.offset as i64, key(seed, step.step));
                launch::adamw_segments_stochastic(
                    device,
                    &types,
                    at,
                    copy,
                    m,
                    v,
                    g,
                    norm,
                    table,
                    n,
                    n_segments,
                    first,
                    key,
                    beta1,
                    beta2,
                    eps,
                    root,
                    lr,
                    rate,
                    weight_decay,
                    clip,
                );
            }
            None => launch::adamw_segments(
                device,
                &types,
                at,
                copy,
                m,
                v,
                g,
                norm,
                table,
                n,
                n_segments,
                beta1,
                beta2,
                eps,
                root,
                lr,
                rate,
                weight_decay,
                clip,
            ),
        }
    }

    /// An update by AdamW with a bf16 working copy that is rounded up or down by chance, so that its mean over steps
    /// is right: a pure function of the parameter, its place in its buffer, the step and the seed.
    ///
    /// # Panics
    /// When a view does not have its size or type.
    #[allow(clippy::too_many_arguments)]
    pub fn adamw_stochastic(
        &mut self,
        params: View,
        working: View,
        m: View,
        v: View,
        grads: View,
        norm_squared: View,
        step: AdamW,
        seed: u64,
    ) {
        check(params, Some(working), m, v, grads);
        let [beta1, beta2, eps, root, keep, rate, clip] = step.scalars();
        let [at, w, m, v, g, norm] = [params, working, m, v, grads, norm_squared].map(|x| self.at(x));
        let (n, first, key) = (params.len as i64, params.offset as i64, key(seed, step.step));
        let types = &[working.dtype];
        launch::adamw_stochastic(self.device(), types, at, w, m, v, g, norm, n, first, key, beta1, beta2, eps, root, keep, rate, clip);
    }

    /// `out = x`, each number rounded up or down by chance: a pure function of the number, its place in its buffer, the step and the seed.
    ///
    /// # Panics
    /// When a view does not have its size or type.
    pub fn copy_stochastic(&mut self, out: View, x: View, seed: u64, step: u64) {
        assert_eq!((out.len, x.dtype), (x.len, Dtype::F32), "sizes of a copy");
        let (to, from) = (self.at(out), self.at(x));
        launch::copy_stochastic(self.device(), &[out.dtype], to, from, x.len as i64, x.offset as i64, key(seed, step));
    }
}
