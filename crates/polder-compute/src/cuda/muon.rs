//! Muon's update.

pub(in crate::cuda) static ROWS: &[&super::table::Row] = &[];

use super::Cuda;
use crate::{Muon, View};
pub fn muon(cuda: &mut Cuda, params: View, working: Option<View>, momentum: View, grads: View, scratch: View, norm_squared: View, step: Muon) { todo!() }
