//! Attention of a few rows over keys and values that are kept, as decoding asks for.

use rayon::prelude::*;

use super::gemv::attend_row;
use crate::Attention;
use crate::number::Number;

/// Puts keys and values of packed rows into the cache, behind those that each sequence has seen; what has no room is left out.
pub fn attention_append<T: Number>(keys: &mut [T], values: &mut [T], qkv: &[T], n_seen: &[i32], s: Attention) {
    let (q, width) = (s.n_heads * s.head, s.n_kv_heads * s.head);
    let capacity = keys.len() / (s.batch * width);
    for (i, packed) in qkv.chunks_exact(s.row()).enumerate() {
        let Some(place) = s.place(n_seen, i).filter(|place| *place < capacity) else { continue };
        let at = (i / s.time * capacity + place) * width;
        keys[at..][..width].copy_from_slice(&packed[q..q + width]);
        values[at..][..width].copy_from_slice(&packed[q + width..]);
    }
}

/// Attends each row's heads over the cached tokens up to its own.
pub fn attention_decode<T: Number>(out: &mut [T], qkv: &[T], keys: &[T], values: &[T], n_seen: &[i32], s: Attention) {
    let width = s.n_kv_heads * s.head;
    let capacity = keys.len() / (s.batch * width);
    let of_head = |(i, out): (usize, &mut [T])| {
        let (row, h) = (i / s.n_heads, i % s.n_heads);
        let (from, to) = s.cached(n_seen, row, capacity);
        if from >= to {
            return out.fill(T::of(0.0));
        }
        let first = (row / s.time * capacity + from) * width + h / (s.n_heads / s.n_kv_heads) * s.head;
        let cached = |x: &[T]| -> Vec<f32> {
            let rows = x[first..].chunks(width).take(to - from);
            rows.flat_map(|row| row[..s.head].iter().map(|x| x.get())).collect()
        };
        let query: Vec<f32> = qkv[row * s.row() + h * s.head..][..s.head].iter().map(|x| x.get()).collect();
        let (mut mixed, mut scores) = (vec![0f32; s.head], vec![0f32; to - from]);
        match (bytemuck::try_cast_slice(&keys[first..]), bytemuck::try_cast_slice(&values[first..])) {
            (Ok(keys), Ok(values)) if size_of::<T>() == 4 => {
                attend_row(&mut mixed, &mut scores, &query, keys, values, width, s.scale() as f32)
            }
            _ => attend_row(&mut mixed, &mut scores, &query, &cached(keys), &cached(values), s.head, s.scale() as f32),
        }
        out.iter_mut().zip(mixed).for_each(|(o, x)| *o = T::of(x));
    };
    out.par_chunks_exact_mut(s.head).enumerate().for_each(of_head);
}
