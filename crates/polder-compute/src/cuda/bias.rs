//! Gradients of biases.

pub(in crate::cuda) static ROWS: &[&super::table::Row] = &[];

use super::Cuda;
use crate::View;
pub fn bias_backward(cuda: &mut Cuda, dbias: View, dout: View) { todo!() }
