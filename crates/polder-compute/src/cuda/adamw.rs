//! The optimizer's update.

pub(in crate::cuda) static ROWS: &[&super::table::Row] = &[];

use super::Cuda;
use crate::{AdamW, View};
pub fn adamw(cuda: &mut Cuda, params: View, working: Option<View>, m: View, v: View, grads: View, norm_squared: View, step: AdamW) { todo!() }
