//! Two backends side by side.

use std::fmt;

use super::facts::Facts;
use super::watched::watched;
use crate::{Activation, Attention, Backend, CrossEntropy, Dtype, Gemm, IdView, KvCache, LogitsRoom, Muon, Norm, Rope, View};

/// The first operation of which two backends gave different results.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Operations before it.
    pub n_before: usize,
    /// The operation.
    pub facts: Facts,
    /// Which of its outputs, counted from 0.
    pub out: usize,
    /// ‖difference‖ / ‖the second's result‖; not a number where only one of them is finite.
    pub distance: f64,
    /// The place in the output that differs most, and both numbers there.
    pub worst: (usize, f32, f32),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { n_before, facts, out, distance, worst: (place, a, b) } = self;
        let (op, sizes) = (facts.op, &facts.sizes);
        write!(f, "{op} {sizes}, operation {n_before}: output {out} differs by {distance:.1e} of its norm, most at {place}: {a} and {b}")
    }
}

/// Runs every operation on two backends and compares what it wrote.
///
/// After each operation the second gets the first's results, so every operation is judged by itself: small differences do
/// not add up, and bf16 can be compared with the f64 reference.
pub struct LockStep<A, B> {
    a: A,
    b: B,
    tolerance: fn(Dtype) -> f64,
    n_calls: usize,
    difference: Option<Difference>,
}

impl<A: Backend, B: Backend> LockStep<A, B> {
    /// Joins two backends that have no buffers yet. Results may differ by `tolerance ·` their norm.
    pub fn new(a: A, b: B, tolerance: fn(Dtype) -> f64) -> Self {
        Self { a, b, tolerance, n_calls: 0, difference: None }
    }

    /// Returns the first difference, if there was one.
    pub fn difference(&self) -> Option<&Difference> {
        self.difference.as_ref()
    }

    /// Lends both backends, to look at either.
    pub fn pair(&mut self) -> (&mut A, &mut B) {
        (&mut self.a, &mut self.b)
    }

    /// Counts the operations so far.
    pub fn n_calls(&self) -> usize {
        self.n_calls
    }

    fn shown(&self) -> &'static str {
        "lock step"
    }

    fn room(&self) -> LogitsRoom {
        self.a.logits_room()
    }

    fn first(&mut self) -> &mut dyn Backend {
        &mut self.a
    }

    fn same<R: PartialEq + fmt::Debug>(&mut self, call: &mut dyn FnMut(&mut dyn Backend) -> R) -> R {
        let (a, b) = (call(&mut self.a), call(&mut self.b));
        assert_eq!(a, b, "two backends number their buffers differently");
        a
    }

    fn watch(&mut self, facts: Facts, call: &mut dyn FnMut(&mut dyn Backend)) {
        call(&mut self.a);
        call(&mut self.b);
        for (i, out) in facts.outs.iter().enumerate() {
            let (mut a, mut b) = (vec![0f32; out.len], vec![0f32; out.len]);
            self.a.download(*out, &mut a);
            self.b.download(*out, &mut b);
            if self.difference.is_none() {
                let distance = distance(&a, &b);
                if distance.is_nan() || distance > (self.tolerance)(out.dtype) {
                    let far = |i: &usize| (a[*i] - b[*i]).abs();
                    let place = (0..a.len()).max_by(|i, j| far(i).total_cmp(&far(j))).unwrap_or(0);
                    let worst = (place, a[place], b[place]);
                    self.difference = Some(Difference { n_before: self.n_calls, facts: facts.clone(), out: i, distance, worst });
                }
            }
            self.b.upload(*out, &a);
        }
        self.n_calls += 1;
    }
}

/// ‖a − b‖ / ‖b‖; 0 where they are equal, also where neither is a number.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    let sum = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(a, b)| f(f64::from(*a), f64::from(*b))).sum::<f64>();
    let apart = sum(&|a, b| if a == b || a.is_nan() && b.is_nan() { 0.0 } else { (a - b) * (a - b) });
    if apart == 0.0 { 0.0 } else { (apart / sum(&|_, b| b * b).max(1e-60)).sqrt() }
}

watched!(LockStep<A, B>);
