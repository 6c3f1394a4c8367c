//! Normalisation of heads.

pub(in crate::cuda) static ROWS: &[&super::table::Row] = &[];

use super::Cuda;
use crate::View;
pub fn head_norm_forward(cuda: &mut Cuda, out: View, rstd: View, x: View, weight: View, row: usize, first: usize, n_heads: usize, eps: f32) { todo!() }
pub fn head_norm_backward(cuda: &mut Cuda, dx: View, dweight: View, x: View, weight: View, rstd: View, row: usize, first: usize, n_heads: usize) { todo!() }
