//! Attention, forward and backward: on tensor cores where the head and the addresses allow it, and in plain kernels for everything else.

use std::f64::consts::LOG2_E;

use super::device::Device;
use super::table::{Pointer, kernels};
use super::{Cuda, attention_sm90};
use crate::{Attention, Dtype, IdView, KvCache, View};

/// As in `kernels/attention.cu`: rows of a block on tensor cores, keys that it takes at a time, rows of a tile of statistics.
const BLOCK: i64 = 128;
const KEYS: i64 = 64;
const TILE: i64 = 32;
/// Words of a tile of what rows see.
const SIGHT: i64 = 2 * TILE + 4;

/// The widest head that the plain kernels take.
const HEAD_MAX: usize = 256;

/// Bytes of `rows` rows in shared memory on tensor cores.
const fn rows_bytes(rows: i64, head: i64) -> i64 {
    rows * (head + 8) * 2
}

/// Bytes of what each row and each warp of a block sees, and of which block it is.
const SEEN_BYTES: i64 = BLOCK * 8 + 8 * 16 + 16;

fn keys_shared(head: i64) -> i64 {
    // Keys stay in shared memory only where registers do not hold them.
    rows_bytes(if head == 64 { 3 * BLOCK } else { 2 * BLOCK }, head) + 2 * (2 * TILE + SIGHT) * 4 + 32
}

/// Rows of a block of a plain kernel.
fn plain_rows(head: i32) -> i64 {
    if head <= 128 { 32 } else { 16 }
}

fn plain_shared(head: i32, tiles: i64, weights: i64) -> i64 {
    let rows = plain_rows(head);
    4 * (tiles * rows * i64::from(head | 1) + weights * rows * (rows + 1)) + rows * 8
}

/// Blocks of `rows` rows for each of some heads.
fn blocks(batch: i32, heads: i32, time: i32, rows: i64) -> i64 {
    i64::from(batch) * i64::from(heads) * super::table::ceil(i64::from(time), rows)
}

/// Pairs of rows that see each other, over all heads, where no documents part them.
fn pairs(batch: i32, heads: i32, time: i32, causal: i32, window: i32) -> f64 {
    let (t, side) = (f64::from(time), f64::from(if window < 0 { time - 1 } else { window.min(time - 1) }));
    // Of one side: w keys each, but for the first rows, which have 0, 1, … w − 1 of them.
    let of_side = side * t - side * (side + 1.0) / 2.0;
    f64::from(batch) * f64::from(heads) * (t + if causal != 0 { of_side } else { 2.0 * of_side })
}

/// Bytes of packed rows and of outputs, each moved so many times.
fn moved(batch: i32, time: i32, heads: (i32, i32), head: i64, (packed, outputs): (i64, i64), bytes: i64) -> i64 {
    let (h, k) = (i64::from(heads.0), i64::from(heads.1));
    i64::from(batch) * i64::from(time) * head * bytes * (packed * (h + 2 * k) + outputs * h)
}

/// Keys that a block of the decoding kernel takes, and heads.
const SPLIT: i64 = 256;
const DECODED: i64 = 4;

/// Blocks of a row and split.
fn decode_chunks(n_heads: i32, n_kv_heads: i32) -> i64 {
    i64::from(n_kv_heads) * super::table::ceil(i64::from(n_heads / n_kv_heads), DECODED)
}

fn decode_shared(head: i32, alone: bool) -> i64 {
    let lanes = match head {
        ..=64 => 8,
        65..=128 => 16,
        _ => 32,
    };
    4 * (128 / lanes) * (8 * lanes + 2) * if alone { 1 } else { DECODED }
}

macro_rules! attention_kernels {
    ($($head:literal $forward:ident $queries:ident $keys:ident $threads:literal;)*) => {
        kernels! {
            file "attention"; types t0 t1 t2;

            $(
                /// `out, lse` of bf16 heads of one size.
                $forward [Bf16] (
                    out: Out0, lse: OutF32, qkv: In0, documents: InIds,
                    batch: Int, time: Int, n_heads: Int, n_kv_heads: Int, causal: Int, window: Int, scale: Float,
                )
                    threads 128; grid line(blocks(batch, n_heads, time, BLOCK)); shared rows_bytes(BLOCK + 2 * KEYS, $head) + SEEN_BYTES;
                    bytes moved(batch, time, (n_heads, n_kv_heads), $head, (1, 1), t0);
                    flop 4.0 * f64::from($head) * pairs(batch, n_heads, time, causal, window);

                /// The queries' part of `dqkv`.
                $queries [Bf16] (
                    dqkv: Out0, dout: In0, qkv: In0, stats: InF32, documents: InIds,
                    batch: Int, time: Int, n_heads: Int, n_kv_heads: Int, causal: Int, window: Int, scale: Float,
                )
                    threads $threads; grid line(blocks(batch, n_heads, time, BLOCK)); shared rows_bytes(4 * KEYS, $head) + SEEN_BYTES;
                    bytes moved(batch, time, (n_heads, n_kv_heads), $head, (1, 2), t0);
                    flop 6.0 * f64::from($head) * pairs(batch, n_heads, time, causal, window);

                /// The keys' and the values' parts of `dqkv`.
                $keys [Bf16] (
                    dqkv: Out0, dout: In0, qkv: In0, stats: InF32, sight: InIds,
                    batch: Int, time: Int, n_heads: Int, n_kv_heads: Int, causal: Int, window: Int, scale: Float,
                )
                    threads $threads; grid line(blocks(batch, n_kv_heads, time, BLOCK)); shared keys_shared($head);
                    bytes moved(batch, time, (n_heads, 2 * n_kv_heads), $head, (1, 1), t0);
                    flop 8.0 * f64::from($head) * pairs(batch, n_heads, time, causal, window);
            )*

            /// `stats`, logarithms in base 2 and sums of `dout ∘ out`, and `sight`, what rows see.
            attention_rows [F32] [Bf16] (
                stats: OutF32, sight: OutIds, dout: In0, out: In0, lse: InF32, documents: InIds,
                batch: Int, time: Int, n_heads: Int, n_kv_heads: Int, causal: Int, window: Int, scale: Float, head: Int,
            )
                threads 256; grid line(blocks(batch, n_heads, time, TILE)); shared 0;
                bytes moved(batch, time, (n_heads, n_kv_heads), i64::from(head), (0, 2), t0); flop 0;

            /// `out, lse` of any head.
            attention_forward_plain [F32] [Bf16] (
                out: Out0, lse: OutF32, qkv: In0, documents: InIds,
                batch: Int, time: Int, n_heads: Int, n_kv_heads: Int, causal: Int, window: Int, scale: Float, head: Int,
            )
                threads 256; grid line(blocks(batch, n_heads, time, plain_rows(head))); shared plain_shared(head, 3, 1);
                bytes moved(batch, time, (n_heads, n_kv_heads), i64::from(head), (1, 1), t0);
                flop 4.0 * f64::from(head) * pairs(batch, n_heads, time, causal, window);

            /// The queries' part of `dqkv`, of any head.
            attention_backward_queries_plain [F32] [Bf16] (
                dqkv: Out0, dout: In0, qkv: In0, stats: InF32, documents: InIds,
                batch: Int, time: Int, n_heads: Int, n_kv_heads: Int, causal: Int, window: Int, scale: Float, head: Int,
            )
                threads 256; grid line(blocks(batch, n_heads, time, plain_rows(head))); shared plain_shared(head, 4, 1);
                bytes moved(batch, time, (n_heads, n_kv_heads), i64::from(head), (1, 2), t0);
                flop 6.0 * f64::from(head) * pairs(batch, n_heads, time, causal, window);

            /// The keys' and the values' parts of `dqkv`, of any head.
            attention_backward_keys_plain [F32] [Bf16] (
                dqkv: Out0, dout: In0, qkv: In0, stats: InF32, sight: InIds,
                batch: Int, time: Int, n_heads: Int, n_kv_heads: Int, causal: Int, window: Int, scale: Float, head: Int,
            )
                threads 256; grid line(blocks(batch, n_kv_heads, time, plain_rows(head))); shared plain_shared(head, 4, 2);
                bytes moved(batch, time, (n_heads, 2 * n_kv_heads), i64::from(head), (1, 1), t0);
                flop 8.0 * f64::from(head) * pairs(batch, n_heads, time, causal, window);

            /// `parts`, what each split of the cached keys adds to each head of a row.
            attention_decode [F32] [Bf16] (
                parts: OutF32, qkv: In0, keys: In0, values: In0, n_seen: InIds,
                batch: Int, n: Int, capacity: Int, n_splits: Int, n_heads: Int, n_kv_heads: Int, head: Int, window: Int, scale: Float,
            )
                threads 128;
                grid line(i64::from(batch) * i64::from(n) * i64::from(n_splits) * decode_chunks(n_heads, n_kv_heads));
                shared decode_shared(head, n_heads == n_kv_heads);
                bytes 2 * t0 * i64::from(batch) * i64::from(n_splits) * SPLIT * i64::from(n_kv_heads) * i64::from(head); flop 0;

            /// `out`, the parts put together.
            attention_decode_sum [F32] [Bf16] (
                out: Out0, parts: InF32, n_seen: InIds,
                batch: Int, n: Int, capacity: Int, n_splits: Int, n_heads: Int, n_kv_heads: Int, head: Int, window: Int,
            )
                threads 128; grid line(i64::from(batch) * i64::from(n) * i64::from(n_heads)); shared 0;
                bytes 4 * i64::from(batch) * i64::from(n) * i64::from(n_heads) * i64::from(n_splits) * i64::from(head + 2); flop 0;

            /// The packed rows' keys and values go into the cache.
            attention_append [F32] [Bf16] (
                keys: Out0, values: Out0, qkv: In0, n_seen: InIds,
                batch: Int, n: Int, capacity: Int, n_splits: Int, n_heads: Int, n_kv_heads: Int, head: Int, window: Int,
            )
                threads 256; grid line(i64::from(batch) * i64::from(n)); shared 0;
                bytes 4 * t0 * i64::from(batch) * i64::from(n) * i64::from(n_kv_heads) * i64::from(head); flop 0;
        }

        /// The launchers of a head that tensor cores take.
        fn tensor_cores(head: usize) -> Option<OnTensorCores> {
            Some(match head {
                $($head => OnTensorCores { forward: launch::$forward, queries: launch::$queries, keys: launch::$keys },)*
                _ => return None,
            })
        }
    };
}

attention_kernels! {
    32 attention_forward_d32 attention_backward_queries_d32 attention_backward_keys_d32 128;
    64 attention_forward_d64 attention_backward_queries_d64 attention_backward_keys_d64 128;
    96 attention_forward_d96 attention_backward_queries_d96 attention_backward_keys_d96 256;
    128 attention_forward_d128 attention_backward_queries_d128 attention_backward_keys_d128 256;
}

type Forward = fn(&mut dyn Device, &[Dtype], Pointer, Pointer, Pointer, Pointer, i32, i32, i32, i32, i32, i32, f32);
type Backward = fn(&mut dyn Device, &[Dtype], Pointer, Pointer, Pointer, Pointer, Pointer, i32, i32, i32, i32, i32, i32, f32);

struct OnTensorCores {
    forward: Forward,
    queries: Backward,
    keys: Backward,
}

/// A shape as the kernels take it.
struct Sizes {
    batch: i32,
    time: i32,
    n_heads: i32,
    n_kv_heads: i32,
    causal: i32,
    window: i32,
    /// Scores become exponents of two.
    scale: f32,
    head: i32,
}

impl Sizes {
    fn of(s: &Attention) -> Self {
        assert!(s.head <= HEAD_MAX, "heads of {} numbers: the kernels take {HEAD_MAX} at most", s.head);
        let window = s.window.map_or(-1, |w| w.min(s.time) as i32);
        let scale = (s.scale() * LOG2_E) as f32;
        let (batch, time, n_heads, n_kv_heads, head) =
            (s.batch as i32, s.time as i32, s.n_heads as i32, s.n_kv_heads as i32, s.head as i32);
        Self { batch, time, n_heads, n_kv_heads, causal: i32::from(s.causal), window, scale, head }
    }
}

/// The launchers on tensor cores, where type, head and addresses fit.
fn fitting(dtype: Dtype, head: usize, addresses: &[Pointer]) -> Option<OnTensorCores> {
    let aligned = addresses.iter().all(|p| p.0.is_multiple_of(16));
    if dtype == Dtype::Bf16 && aligned { tensor_cores(head) } else { None }
}

fn check(shape: &Attention, qkv: View, rows: &[View], lse: View, documents: Option<IdView>) {
    let n = shape.batch * shape.time;
    assert!(qkv.len == n * shape.row() && rows.iter().all(|r| r.len == n * shape.n_heads * shape.head), "sizes of attention");
    assert!(lse.len == n * shape.n_heads && documents.is_none_or(|d| d.len == 2 * n), "sizes of attention");
    assert!(rows.iter().all(|r| r.dtype == qkv.dtype) && lse.dtype == Dtype::F32, "attention is of one type");
}

pub fn attention_forward(cuda: &mut Cuda, out: View, lse: View, qkv: View, documents: Option<IdView>, shape: Attention) {
    check(&shape, qkv, &[out], lse, documents);
    if attention_sm90::takes(cuda, &[out, qkv], shape) {
        return attention_sm90::attention_forward(cuda, out, lse, qkv, documents, shape);
    }
    let (to, log, from, seen) = (cuda.at(out), cuda.at(lse), cuda.at(qkv), cuda.ids_at_maybe(documents));
    let Sizes { batch, time, n_heads, n_kv_heads, causal, window, scale, head } = Sizes::of(&shape);
    let (device, types) = (cuda.device(), &[qkv.dtype]);
    match fitting(qkv.dtype, shape.head, &[to, from]) {
        Some(on) => (on.forward)(device, types, to, log, from, seen, batch, time, n_heads, n_kv_heads, causal, window, scale),
        None => launch::attention_forward_plain(
            device, types, to, log, from, seen, batch, time, n_heads, n_kv_heads, causal, window, scale, head,
        ),
    }
}

#[allow(clippy::too_many_arguments)]
pub fn attention_backward(
    cuda: &mut Cuda,
    dqkv: View,
    dout: View,
    out: View,
    lse: View,
    qkv: View,
    documents: Option<IdView>,
    shape: Attention,
) {
    check(&shape, qkv, &[out, dout], lse, documents);
    check(&shape, dqkv, &[out], lse, documents);
    if attention_sm90::takes(cuda, &[dqkv, dout, out, qkv], shape) {
        return attention_sm90::attention_backward(cuda, dqkv, dout, out, lse, qkv, documents, shape);
    }
    let (to, slopes, made, log, from) = (cuda.at(dqkv), cuda.at(dout), cuda.at(out), cuda.at(lse), cuda.at(qkv));
    let seen = cuda.ids_at_maybe(documents);
    let Sizes { batch, time, n_heads, n_kv_heads, causal, window, scale, head } = Sizes::of(&shape);
    let n_tiles = shape.time.div_ceil(TILE as usize);
    let stats_len = shape.batch * shape.n_heads * n_tiles * 2 * TILE as usize;
    let stats = cuda.scratch(4 * (stats_len + shape.batch * n_tiles * SIGHT as usize));
    let sight = stats.offset(stats_len, Dtype::F32);
    let (device, types) = (cuda.device(), &[qkv.dtype]);
    launch::attention_rows(
        device, types, stats, sight, slopes, made, log, seen, batch, time, n_heads, n_kv_heads, causal, window, scale, head,
    );
    if let Some(on) = fitting(qkv.dtype, shape.head, &[to, slopes, from]) {
        (on.keys)(device, types, to, slopes, from, stats, sight, batch, time, n_heads, n_kv_heads, causal, window, scale);
        (on.queries)(device, types, to, slopes, from, stats, seen, batch, time, n_heads, n_kv_heads, causal, window, scale);
        return;
    }
    launch::attention_backward_keys_plain(
        device, types, to, slopes, from, stats, sight, batch, time, n_heads, n_kv_heads, causal, window, scale, head,
    );
    launch::attention_backward_queries_plain(
        device, types, to, slopes, from, stats, seen, batch, time, n_heads, n_kv_heads, causal, window, scale, head,
    );
}

fn check_cache(cache: &KvCache, qkv: View, s: &Attention) {
    let len = s.batch * cache.capacity * s.n_kv_heads * s.head;
    assert!(cache.keys.len == len && cache.values.len == len && cache.n_seen.len == s.batch, "sizes of a cache");
    assert_eq!(qkv.len, s.batch * s.time * s.row(), "sizes of attention");
    assert!(cache.keys.dtype == qkv.dtype && cache.values.dtype == qkv.dtype, "attention is of one type");
}

pub fn attention_append(cuda: &mut Cuda, cache: &KvCache, qkv: View, shape: Attention) {
    check_cache(cache, qkv, &shape);
    let (keys, values, from, n_seen) = (cuda.at(cache.keys), cuda.at(cache.values), cuda.at(qkv), cuda.ids_at(cache.n_seen));
    let Sizes { batch, time, n_heads, n_kv_heads, head, .. } = Sizes::of(&shape);
    let (device, types, capacity) = (cuda.device(), &[qkv.dtype], cache.capacity as i32);
    // It asks for neither splits nor a window.
    launch::attention_append(device, types, keys, values, from, n_seen, batch, time, capacity, 0, n_heads, n_kv_heads, head, -1);
}

pub fn attention_decode(cuda: &mut Cuda, out: View, qkv: View, cache: &KvCache, keys_max: usize, shape: Attention) {
    check_cache(cache, qkv, &shape);
    assert!(out.dtype == qkv.dtype && out.len == shape.batch * shape.time * shape.n_heads * shape.head, "sizes of attention");
    let (to, from, n_seen) = (cuda.at(out), cuda.at(qkv), cuda.ids_at(cache.n_seen));
    let (keys, values, capacity) = (cuda.at(cache.keys), cuda.at(cache.values), cache.capacity as i32);
    let Sizes { batch, time, n_heads, n_kv_heads, window, scale, head, .. } = Sizes::of(&shape);
    // A window is cut to the shape's length elsewhere, which is not that of the cache; what a sequence has seen may be more than either.
    let window = shape.window.map_or(window, |w| i32::try_from(w).unwrap_or(i32::MAX));
    let n_splits = keys_max.min(cache.capacity).div_ceil(SPLIT as usize).max(1);
    let parts = cuda.scratch(4 * shape.batch * shape.time * shape.n_heads * n_splits * (shape.head + 2));
    let (device, types, n_splits) = (cuda.device(), &[qkv.dtype], n_splits as i32);
    launch::attention_decode(
        device, types, parts, from, keys, values, n_seen, batch, time, capacity, n_splits, n_heads, n_kv_heads, head, window, scale,
    );
    launch::attention_decode_sum(device, types, to, parts, n_seen, batch, time, capacity, n_splits, n_heads, n_kv_heads, head, window);
}
