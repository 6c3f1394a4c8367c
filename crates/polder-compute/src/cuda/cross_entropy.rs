//! The loss and its gradient.

pub(in crate::cuda) static ROWS: &[&super::table::Row] = &[];

use super::Cuda;
use crate::{CrossEntropy, IdView, View};
pub fn cross_entropy(cuda: &mut Cuda, losses: View, logits: View, targets: IdView, settings: CrossEntropy) { todo!() }
