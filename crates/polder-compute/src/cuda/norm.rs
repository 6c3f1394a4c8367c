//! Normalisation of rows.

pub(in crate::cuda) static ROWS: &[&super::table::Row] = &[];

use super::Cuda;
use crate::{Norm, View};
pub fn norm_forward(cuda: &mut Cuda, out: View, stats: View, x: View, weight: View, bias: Option<View>, norm: Norm) { todo!() }
pub fn norm_backward(cuda: &mut Cuda, dx: View, dweight: View, dbias: Option<View>, dout: View, x: View, weight: View, stats: View, norm: Norm) { todo!() }
