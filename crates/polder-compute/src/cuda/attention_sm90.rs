//! Attention on Hopper: bf16, heads of 64, 96 and 128.

use super::table::{Pointer, kernels};
use super::{Cuda, Tiled};
use crate::{Attention, Dtype, IdView, View};

/// Bytes of keys and values, or of queries and gradients, that blocks under way may share in the cache.
const SHARED_BYTES: i64 = 24 << 20;

/// Floating point operations of a product over all pairs of rows and numbers of a head, those that see each other by the mask alone.
fn pairs(batch: i64, time: i64, n_heads: i64, head: i64, causal: i32, window: i32) -> f64 {
    let (t, w) = (time as f64, f64::from(window).min(time as f64));
    // Σ over rows of min(row, w) rows before, as many behind, and the row.
    let before = w * t - w * (w + 1.0) / 2.0;
    (batch * n_heads * head) as f64 * 2.0 * (t + if causal != 0 { before } else { 2.0 * before })
}

const fn shared_forward(head: i64, groups: i64) -> i64 {
    let (chunks, stages) = ((head + 63) / 64, if head == 64 { 4 } else { 2 });
    2 * groups * chunks * 8192 + 2 * stages * chunks * 16384 + 8 * (2 + 4 * stages) + 8
}

const fn shared_keys(head: i64) -> i64 {
    let (chunks, rows, stages, key_stages) = ((head + 63) / 64, if head == 64 { 128 } else { 64 }, 3, if head == 64 { 2 } else { 1 });
    2 * (key_stages + 1) * chunks * 16384 + 2 * stages * chunks * rows * 128 + stages * (12 * rows + 8) + 16 * (stages + key_stages)
}

const fn shared_queries(head: i64) -> i64 {
    let (chunks, stages) = ((head + 63) / 64, if head == 64 { 3 } else { 2 });
    chunks * 16384 * (3 + 2 * stages) + 16 * (1 + stages) + 8
}

const fn forward_bytes(batch: i64, time: i64, n_heads: i64, n_kv_heads: i64, head: i64) -> i64 {
    batch * time * (4 * n_heads * head + 4 * n_kv_heads * head + 4 * n_heads)
}

const fn backward_bytes(batch: i64, time: i64, n_heads: i64, n_kv_heads: i64, head: i64) -> i64 {
    batch * time * (8 * n_heads * head + 8 * n_kv_heads * head + 8 * n_heads)
}

macro_rules! rows {
    ($($head:literal $groups:literal $forward:ident $queries:ident $keys:ident)*) => {
        kernels! {
            file "attention_sm90"; types t0 t1 t2;
            $(
                /// `out = softmax(scale · q·kᵀ)·v` of 64 rows a group and block, as many blocks as multiprocessors.
                $forward [Bf16] (
                    lse: OutF32, out: Map, qkv: Map, documents: InIds, batch: Int, time: Int, n_heads: Int, n_kv_heads: Int,
                    section: Int, n_blocks: Int, causal: Int, window: Int, scale: Float,
                )
                    threads 128 + 128 * $groups; grid line(i64::from(n_blocks)); shared shared_forward($head, $groups);
                    bytes forward_bytes(batch.into(), time.into(), n_heads.into(), n_kv_heads.into(), $head);
                    flop 2.0 * pairs(batch.into(), time.into(), n_heads.into(), $head, causal, window);

                /// `dq`, 128 rows an item, and `delta (B, H, T) = Σ dout·out` over each head.
                $queries [Bf16] (
                    delta: OutF32, dqkv: Map, qkv: Map, dout_tiles: Map, dout: InBf16, out: InBf16, lse: InF32, documents: InIds,
                    batch: Int, time: Int, n_heads: Int, n_kv_heads: Int, section: Int, n_blocks: Int, causal: Int, window: Int, scale: Float,
                )
                    threads 384; grid line(i64::from(n_blocks)); shared shared_queries($head);
                    bytes backward_bytes(batch.into(), time.into(), n_heads.into(), n_kv_heads.into(), $head);
                    flop 3.0 * pairs(batch.into(), time.into(), n_heads.into(), $head, causal, window);

                /// `dk` and `dv`, 128 rows an item.
                $keys [Bf16] (
                    dqkv: Map, qkv: Map, dout: Map, lse: InF32, delta: InF32, documents: InIds,
                    batch: Int, time: Int, n_heads: Int, n_kv_heads: Int, section: Int, n_blocks: Int, causal: Int, window: Int, scale: Float,
                )
                    threads 384; grid line(i64::from(n_blocks)); shared shared_keys($head);
                    bytes backward_bytes(batch.into(), time.into(), n_heads.into(), n_kv_heads.into(), $head);
                    flop 4.0 * pairs(batch.into(), time.into(), n_heads.into(), $head, causal, window);
            )*
        }
    };
}

rows! {
    64 3 attention_forward_64_sm90 attention_backward_queries_64_sm90 attention_backward_keys_64_sm90
    96 2 attention_forward_96_sm90 attention_backward_queries_96_sm90 attention_backward_keys_96_sm90
    128 2 attention_forward_128_sm90 attention_backward_queries_128_sm90 attention_backward_keys_128_sm90
}

/// Whether these kernels do attention of that shape over these views of numbers.
pub fn takes(cuda: &mut Cuda, views: &[View], s: Attention) -> bool {
    cuda.device().capability() == (9, 0)
        && matches!(s.head, 64 | 96 | 128)
        && views.iter().all(|v| v.dtype == Dtype::Bf16 && cuda.at(*v).0.is_multiple_of(16))
        && s.batch * s.n_heads * s.time.div_ceil(64) <= i32::MAX as usize
}

/// How the copy engine takes 64 rows of up to 64 numbers of a head.
fn tiles(base: Pointer, n_heads: usize, s: Attention) -> Tiled {
    let row = (n_heads * s.head * 2) as u64;
    Tiled {
        base,
        sizes: [s.head as u64, n_heads as u64, s.time as u64, s.batch as u64],
        strides_bytes: [s.head as u64 * 2, row, row * s.time as u64],
        n_dims: 4,
        copied: [64, 1, 64, 1],
    }
}

#[allow(clippy::panic)]
fn map(cuda: &mut Cuda, tensor: Tiled) -> super::TensorMap {
    match cuda.device().tensor_map(tensor) {
        Ok(map) => map,
        Err(e) => panic!("{e}"),
    }
}

/// Heads that blocks go through together, where so many that follow each other share so many bytes of the cache.
fn section(s: Attention, n_heads: usize, sharing: usize, bytes: usize) -> i32 {
    let fit = (SHARED_BYTES / bytes.max(1) as i64).max(1) as usize * sharing;
    fit.min(s.batch * n_heads) as i32
}

fn n_blocks(cuda: &mut Cuda, n_items: usize) -> i32 {
    n_items.min(cuda.device().n_multiprocessors()) as i32
}

fn window(s: Attention) -> i32 {
    s.window.map_or(s.time, |w| w.min(s.time)) as i32
}

pub fn attention_forward(cuda: &mut Cuda, out: View, lse: View, qkv: View, documents: Option<IdView>, s: Attention) {
    let (out, lse, qkv, documents) = (cuda.at(out), cuda.at(lse), cuda.at(qkv), documents.map_or(Pointer::NONE, |d| cuda.ids_at(d)));
    let (out, qkv) = (map(cuda, tiles(out, s.n_heads, s)), map(cuda, tiles(qkv, s.n_heads + 2 * s.n_kv_heads, s)));
    let groups = if s.head == 64 { 3 } else { 2 };
    let n_blocks = n_blocks(cuda, s.batch * s.n_heads * s.time.div_ceil(64 * groups));
    let run = match s.head {
        64 => launch::attention_forward_64_sm90,
        96 => launch::attention_forward_96_sm90,
        _ => launch::attention_forward_128_sm90,
    };
    let (batch, time, n_heads, n_kv_heads) = (s.batch as i32, s.time as i32, s.n_heads as i32, s.n_kv_heads as i32);
    let section = section(s, s.n_heads, s.n_heads / s.n_kv_heads, 4 * s.time * s.head);
    let scale = (s.scale() * std::f64::consts::LOG2_E) as f32;
    let causal = i32::from(s.causal);
    run(
        cuda.device(),
        &[Dtype::Bf16],
        lse,
        out,
        qkv,
        documents,
        batch,
        time,
        n_heads,
        n_kv_heads,
        section,
        n_blocks,
        causal,
        window(s),
        scale,
    );
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
    s: Attention,
) {
    let (dqkv, dout, out, lse, qkv) = (cuda.at(dqkv), cuda.at(dout), cuda.at(out), cuda.at(lse), cuda.at(qkv));
    let documents = documents.map_or(Pointer::NONE, |d| cuda.ids_at(d));
    let delta = cuda.scratch(s.batch * s.n_heads * s.time * 4);
    let packed = s.n_heads + 2 * s.n_kv_heads;
    let tiled = map(cuda, tiles(dout, s.n_heads, s));
    let (dqkv, qkv) = (map(cuda, tiles(dqkv, packed, s)), map(cuda, tiles(qkv, packed, s)));
    let (batch, time, n_heads, n_kv_heads) = (s.batch as i32, s.time as i32, s.n_heads as i32, s.n_kv_heads as i32);
    let scale = (s.scale() * std::f64::consts::LOG2_E) as f32;
    let (causal, window, group) = (i32::from(s.causal), window(s), s.n_heads / s.n_kv_heads);
    let types = &[Dtype::Bf16];

    let n_blocks = n_blocks(cuda, s.batch * s.n_heads * s.time.div_ceil(128));
    let heads = section(s, s.n_heads, group, 4 * s.time * s.head);
    let run = match s.head {
        64 => launch::attention_backward_queries_64_sm90,
        96 => launch::attention_backward_queries_96_sm90,
        _ => launch::attention_backward_queries_128_sm90,
    };
    run(
        cuda.device(),
        types,
        delta,
        dqkv,
        qkv,
        tiled,
        dout,
        out,
        lse,
        documents,
        batch,
        time,
        n_heads,
        n_kv_heads,
        heads,
        n_blocks,
        causal,
        window,
        scale,
    );

    let n_blocks = n_blocks.min((s.batch * s.n_kv_heads * s.time.div_ceil(128)) as i32);
    let heads = section(s, s.n_kv_heads, 1, 4 * s.time * s.head * group);
    let run = match s.head {
        64 => launch::attention_backward_keys_64_sm90,
        96 => launch::attention_backward_keys_96_sm90,
        _ => launch::attention_backward_keys_128_sm90,
    };
    run(
        cuda.device(),
        types,
        dqkv,
        qkv,
        tiled,
        lse,
        delta,
        documents,
        batch,
        time,
        n_heads,
        n_kv_heads,
        heads,
        n_blocks,
        causal,
        window,
        scale,
    );
}
