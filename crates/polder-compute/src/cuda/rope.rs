//! Rotation by position.

pub(in crate::cuda) static ROWS: &[&super::table::Row] = &[];

use super::Cuda;
use crate::{IdView, Rope, View};
pub fn rope(cuda: &mut Cuda, x: View, table: View, positions: IdView, shape: Rope) { todo!() }
