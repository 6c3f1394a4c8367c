//! Rows of tables by id.

pub(in crate::cuda) static ROWS: &[&super::table::Row] = &[];

use super::Cuda;
use crate::{IdView, View};
pub fn embedding_forward(cuda: &mut Cuda, out: View, weight: View, ids: IdView, channels: usize, accumulate: bool) { todo!() }
pub fn embedding_backward(cuda: &mut Cuda, dweight: View, dout: View, ids: IdView, channels: usize) { todo!() }
