//! Matrix products.

pub(in crate::cuda) static ROWS: &[&super::table::Row] = &[];

use super::Cuda;
use crate::{Gemm, View};
pub fn gemm(cuda: &mut Cuda, out: View, a: View, b: View, bias: Option<View>, shape: Gemm) { todo!() }
