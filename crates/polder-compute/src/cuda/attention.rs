//! Attention.

pub(in crate::cuda) static ROWS: &[&super::table::Row] = &[];

use super::Cuda;
use crate::{Attention, IdView, View};
pub fn attention_forward(cuda: &mut Cuda, out: View, lse: View, qkv: View, documents: Option<IdView>, shape: Attention) { todo!() }
pub fn attention_backward(cuda: &mut Cuda, dqkv: View, dout: View, out: View, lse: View, qkv: View, documents: Option<IdView>, shape: Attention) { todo!() }
