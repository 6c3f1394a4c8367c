//! A backend whose every operation is described before it runs: written once for all that watch.

/// Implements [`Backend`](crate::Backend) for a type with `watch(facts, call)`, `each(call)` and `first()`.
macro_rules! watched {
    ($type:ident<$($inner:ident),+>) => {
        impl<$($inner: Backend),+> Backend for $type<$($inner),+> {
            fn name(&self) -> &'static str {
                self.shown()
            }

            fn logits_room(&self) -> LogitsRoom {
                self.room()
            }

            fn alloc(&mut self, len: usize, dtype: Dtype) -> View {
                self.same(&mut |b| b.alloc(len, dtype))
            }

            fn alloc_ids(&mut self, len: usize) -> IdView {
                self.same(&mut |b| b.alloc_ids(len))
            }

            fn upload(&mut self, to: View, values: &[f32]) {
                self.same(&mut |b| b.upload(to, values));
            }

            fn upload_ids(&mut self, to: IdView, values: &[i32]) {
                self.same(&mut |b| b.upload_ids(to, values));
            }

            fn download(&mut self, from: View, values: &mut [f32]) {
                self.first().download(from, values);
            }

            fn download_ids(&mut self, from: IdView, ids: &mut [i32]) {
                self.first().download_ids(from, ids);
            }

            fn fill(&mut self, out: View, value: f32) {
                let facts = Facts::plain("fill", format!("{}", out.len), out.dtype, &[out], &[], &[]);
                self.watch(facts, &mut |b| b.fill(out, value));
            }

            fn copy(&mut self, out: View, x: View) {
                let facts = Facts::plain("copy", format!("{}", out.len), out.dtype, &[out], &[], &[x]);
                self.watch(facts, &mut |b| b.copy(out, x));
            }

            fn add(&mut self, out: View, x: View) {
                let facts = Facts::plain("add", format!("{}", out.len), out.dtype, &[], &[out], &[x]);
                self.watch(facts, &mut |b| b.add(out, x));
            }

            fn gemm(&mut self, out: View, a: View, b: View, bias: Option<View>, shape: Gemm) {
                self.watch(Facts::gemm(out, a, b, shape), &mut |backend| backend.gemm(out, a, b, bias, shape));
            }

            fn gemm_onto(&mut self, out: View, onto: View, a: View, b: View, bias: Option<View>, shape: Gemm) {
                let facts = Facts::gemm(out, a, b, Gemm { accumulate: true, ..shape });
                self.watch(facts, &mut |backend| backend.gemm_onto(out, onto, a, b, bias, shape));
            }

            fn bias_backward(&mut self, dbias: View, dout: View) {
                let sizes = format!("({}, {})", dout.len / dbias.len.max(1), dbias.len);
                let facts = Facts::plain("bias_backward", sizes, dout.dtype, &[], &[dbias], &[dout]);
                self.watch(facts, &mut |b| b.bias_backward(dbias, dout));
            }

            fn embedding_forward(&mut self, out: View, weight: View, ids: IdView, channels: usize, accumulate: bool) {
                let sizes = format!("({}, {channels})", ids.len);
                // Of the table, as many rows are read as there are ids.
                let (out_only, both) = if accumulate { (&[][..], &[out][..]) } else { (&[out][..], &[][..]) };
                let rows = View { len: out.len, ..weight };
                let facts = Facts::plain("embedding_forward", sizes, out.dtype, out_only, both, &[rows]);
                self.watch(facts, &mut |b| b.embedding_forward(out, weight, ids, channels, accumulate));
            }

            fn embedding_backward(&mut self, dweight: View, dout: View, ids: IdView, channels: usize) {
                let sizes = format!("({}, {channels})", ids.len);
                let bytes = (dout.len * (2 * dweight.dtype.bytes() + dout.dtype.bytes())) as f64;
                let facts = Facts { bytes, ..Facts::plain("embedding_backward", sizes, dout.dtype, &[], &[dweight], &[]) };
                self.watch(facts, &mut |b| b.embedding_backward(dweight, dout, ids, channels));
            }

            fn pool_forward(&mut self, out: View, x: View, ranges: IdView, channels: usize) {
                let sizes = format!("({}, {channels})", ranges.len / 2);
                let facts = Facts::plain("pool_forward", sizes, x.dtype, &[out], &[], &[x]);
                self.watch(facts, &mut |b| b.pool_forward(out, x, ranges, channels));
            }

            fn pool_backward(&mut self, dx: View, dout: View, ranges: IdView, channels: usize) {
                let sizes = format!("({}, {channels})", ranges.len / 2);
                let facts = Facts::plain("pool_backward", sizes, dx.dtype, &[], &[dx], &[dout]);
                self.watch(facts, &mut |b| b.pool_backward(dx, dout, ranges, channels));
            }

            fn norm_forward(&mut self, out: View, stats: View, x: View, weight: View, bias: Option<View>, norm: Norm) {
                let sizes = format!("{:?} ({}, {})", norm.kind, x.len / weight.len.max(1), weight.len);
                let facts = Facts::plain("norm_forward", sizes, out.dtype, &[out, stats], &[], &[x]);
                self.watch(facts, &mut |b| b.norm_forward(out, stats, x, weight, bias, norm));
            }

            fn norm_backward(&mut self, dx: View, dweight: View, dbias: Option<View>, dout: View, x: View, weight: View, stats: View, norm: Norm) {
                let sizes = format!("{:?} ({}, {})", norm.kind, x.len / weight.len.max(1), weight.len);
                let updated: Vec<View> = [Some(dx), Some(dweight), dbias].into_iter().flatten().collect();
                let facts = Facts::plain("norm_backward", sizes, dout.dtype, &[], &updated, &[dout, x]);
                self.watch(facts, &mut |b| b.norm_backward(dx, dweight, dbias, dout, x, weight, stats, norm));
            }

            fn norm_backward_rounded(&mut self, dx: View, rounded: View, dweight: View, dbias: Option<View>, dout: View, x: View, weight: View, stats: View, norm: Norm) {
                let sizes = format!("{:?} ({}, {})", norm.kind, x.len / weight.len.max(1), weight.len);
                let updated: Vec<View> = [Some(dx), Some(dweight), dbias].into_iter().flatten().collect();
                let facts = Facts::plain("norm_backward", sizes, dout.dtype, &[rounded], &updated, &[dout, x]);
                self.watch(facts, &mut |b| b.norm_backward_rounded(dx, rounded, dweight, dbias, dout, x, weight, stats, norm));
            }

            fn head_norm_forward(&mut self, out: View, rstd: View, x: View, weight: View, row: usize, first: usize, n_heads: usize, eps: f32) {
                let (sizes, part) = (format!("({}, {n_heads}, {})", x.len / row.max(1), weight.len), rstd.len * weight.len);
                let bytes = (2 * part * x.dtype.bytes()) as f64;
                let facts = Facts { bytes, ..Facts::plain("head_norm_forward", sizes, x.dtype, &[out, rstd], &[], &[]) };
                self.watch(facts, &mut |b| b.head_norm_forward(out, rstd, x, weight, row, first, n_heads, eps));
            }

            fn head_norm_backward(&mut self, dx: View, dweight: View, x: View, weight: View, rstd: View, row: usize, first: usize, n_heads: usize) {
                let (sizes, part) = (format!("({}, {n_heads}, {})", x.len / row.max(1), weight.len), rstd.len * weight.len);
                let bytes = (3 * part * x.dtype.bytes()) as f64;
                let facts = Facts { bytes, ..Facts::plain("head_norm_backward", sizes, x.dtype, &[], &[dx, dweight], &[]) };
                self.watch(facts, &mut |b| b.head_norm_backward(dx, dweight, x, weight, rstd, row, first, n_heads));
            }

            fn rope(&mut self, x: View, table: View, positions: IdView, shape: Rope) {
                let sizes = format!("({}, {}, {})", x.len / shape.row.max(1), shape.n_rotated, shape.head);
                let bytes = (2 * x.len / shape.row.max(1) * shape.n_rotated * shape.head * x.dtype.bytes()) as f64;
                let facts = Facts { bytes, ..Facts::plain("rope", sizes, x.dtype, &[], &[x], &[]) };
                self.watch(facts, &mut |b| b.rope(x, table, positions, shape));
            }

            fn attention_forward(&mut self, out: View, lse: View, qkv: View, documents: Option<IdView>, shape: Attention) {
                let facts = Facts::attention("attention_forward", shape, 2.0, &[out, lse], &[qkv]);
                self.watch(facts, &mut |b| b.attention_forward(out, lse, qkv, documents, shape));
            }

            fn attention_backward(&mut self, dqkv: View, dout: View, out: View, lse: View, qkv: View, documents: Option<IdView>, shape: Attention) {
                let facts = Facts::attention("attention_backward", shape, 5.0, &[dqkv], &[dout, out, lse, qkv]);
                self.watch(facts, &mut |b| b.attention_backward(dqkv, dout, out, lse, qkv, documents, shape));
            }

            fn attention_append(&mut self, cache: &KvCache, qkv: View, shape: Attention) {
                let sizes = format!("({}, {}, {})", shape.batch * shape.time, shape.n_kv_heads, shape.head);
                let bytes = (4 * shape.batch * shape.time * shape.n_kv_heads * shape.head * qkv.dtype.bytes()) as f64;
                let facts = Facts { bytes, ..Facts::plain("attention_append", sizes, qkv.dtype, &[], &[cache.keys, cache.values], &[]) };
                self.watch(facts, &mut |b| b.attention_append(cache, qkv, shape));
            }

            fn attention_decode(&mut self, out: View, qkv: View, cache: &KvCache, keys_max: usize, shape: Attention) {
                let sizes = format!("({}, {}, {}) over {keys_max}", shape.batch * shape.time, shape.n_heads, shape.head);
                let bytes = (2 * shape.batch * keys_max * shape.n_kv_heads * shape.head * qkv.dtype.bytes()) as f64;
                let facts = Facts { bytes, ..Facts::plain("attention_decode", sizes, out.dtype, &[out], &[], &[]) };
                self.watch(facts, &mut |b| b.attention_decode(out, qkv, cache, keys_max, shape));
            }

            fn activation_forward(&mut self, out: View, x: View, width: usize, activation: Activation) {
                let facts = Facts::activation("activation_forward", activation, width, out, &[x]);
                self.watch(facts, &mut |b| b.activation_forward(out, x, width, activation));
            }

            fn activation_backward(&mut self, dx: View, dout: View, x: View, width: usize, activation: Activation) {
                let facts = Facts::activation("activation_backward", activation, width, dx, &[dout, x]);
                self.watch(facts, &mut |b| b.activation_backward(dx, dout, x, width, activation));
            }

            fn cross_entropy(&mut self, losses: View, logits: View, targets: IdView, scale: Option<View>, settings: CrossEntropy) {
                let facts = Facts::cross_entropy(losses, logits, scale.is_some(), settings);
                self.watch(facts, &mut |b| b.cross_entropy(losses, logits, targets, scale, settings));
            }

            fn sample(&mut self, tokens: IdView, logits: View, settings: IdView, places: IdView, vocab: usize, n_classes: usize) {
                let facts = Facts::plain("sample", format!("({}, {vocab})", tokens.len), logits.dtype, &[], &[], &[logits]);
                self.watch(facts, &mut |b| b.sample(tokens, logits, settings, places, vocab, n_classes));
            }

            fn sum_squares(&mut self, out: View, x: View) {
                let facts = Facts::plain("sum_squares", format!("{}", x.len), x.dtype, &[out], &[], &[x]);
                self.watch(facts, &mut |b| b.sum_squares(out, x));
            }

            fn adamw(&mut self, params: View, working: Option<View>, m: View, v: View, grads: View, norm_squared: View, scalars: View) {
                let written: Vec<View> = working.into_iter().collect();
                let facts = Facts::plain("adamw", format!("{}", params.len), params.dtype, &written, &[params, m, v], &[grads]);
                self.watch(facts, &mut |b| b.adamw(params, working, m, v, grads, norm_squared, scalars));
            }

            fn muon(
                &mut self,
                params: View,
                working: Option<View>,
                momentum: View,
                grads: View,
                scratch: View,
                norm_squared: View,
                scalars: View,
                matrix: Muon,
            ) {
                let (n, m) = (matrix.rows.min(matrix.columns) as f64, matrix.rows.max(matrix.columns) as f64);
                let written: Vec<View> = working.into_iter().collect();
                let facts = Facts::plain("muon", format!("({}, {})", matrix.rows, matrix.columns), params.dtype, &written, &[params, momentum], &[grads]);
                let flop = Muon::NEWTON_SCHULZ.1 as f64 * (4.0 * n * n * m + 2.0 * n * n * n);
                self.watch(Facts { flop, ..facts }, &mut |b| b.muon(params, working, momentum, grads, scratch, norm_squared, scalars, matrix));
            }
        }
    };
}
pub(super) use watched;
