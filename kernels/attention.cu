// Attention over the rows that each row sees, without a (T, T) matrix in memory.
//
// Formula: out = softmax(q · kᵀ / √D) · v; lse = ln Σ exp(q · kᵀ / √D). Backward, with P = exp(q · kᵀ / √D − lse), delta = Σ dout ∘ out a row,
// dP = dout · vᵀ and dS = P ∘ (dP − delta): dv = Pᵀ · dout, dq = dS · k / √D, dk = dSᵀ · q / √D.
// Shapes: qkv, dqkv (B·T, (H + 2K) · D), a row's query heads, then key heads, then value heads; out, dout (B·T, H · D); lse (B, H, T) f32;
// documents (B·T, 2), first and end within the sequence, or none. Row t sees keys `from..to` of `seen`: its document, cut by causality and
// by the window. A row that sees nothing gives 0 and an lse of 0.
// Requirements: D ≤ 256; numbers are finite, also in rows that nobody sees. Tensor cores: bf16, D of 32, 64, 96 or 128, all addresses multiples of 16 bytes; anything else goes through
// the `plain` kernels, which multiply in f32 and ask for nothing.
// Launch: all blocks in x. Forward and dq: a block has 128 queries of one head (plain: 32, 16 for D over 128); dk and dv: a block has as many
// keys of one key head, and passes over the query heads of its group in order. Shared memory at most 99 KB, so that every GPU from 8.0 on
// takes it. The backward pass first makes `stats` (B, H, tiles, 2, 32), lse · log₂e and delta of 32 rows each, and `sight` (B, tiles, 68),
// what these rows see: `from` of 32, `to` of 32, then the smallest `from`, the largest `to`, the largest `from` and the smallest `to`.
// Decoding, one row over a cache of keys, is told of where it stands, below.
// Numerics: f32 sums, probabilities and dS rounded to bf16 where they meet the tensor cores; exponentials in base 2. No atomics: the
// backward pass multiplies q · kᵀ and dout · vᵀ twice, 7 products in all, and every sum has an order that shapes alone decide. Within 8e-3
// (bf16) and 1e-5 (f32) of the f64 reference, in norm.
// Bound: FLOP: 4 · B · H · D a pair of rows that see each other forward, 10 backward (14 are done). Shared memory is the second bound: a warp's
// 16-byte loads of four matrices take 4 cycles each, and a product of 16 × 8 × 16 takes 2 of its multiprocessor, so a warp has 32 rows
// wherever its registers suffice.
#include "polder.cuh"

namespace {

constexpr float LOG2_E = 1.44269504f, LN_2 = 0.69314718f;
constexpr int NEVER = 0x7fffffff;

/// Rows of one block of the tensor-core kernels, and keys that it takes at a time.
constexpr int BLOCK = 128, KEYS = 64;
/// How far, in powers of two, scores may pass what is taken off them. Exponentials stay in the range of bf16 and their sums in that of f32.
constexpr float SLACK = 8.0f;
/// Rows of a tile of `stats` and `sight`, and words of such a tile of `sight`.
constexpr int TILE = 32, SIGHT = 2 * TILE + 4;

struct Shape {
    int time, n_heads, n_kv_heads, causal, window;
};

/// Keys that a row sees; 0..0 when there are none.
struct __align__(8) Range {
    int from, to;
};

__device__ __forceinline__ Range seen(const int *documents, const Shape &s, int b, int row) {
    int first = 0, end = s.time;
    if (documents) {
        const int *d = documents + 2 * (static_cast<long long>(b) * s.time + row);
        first = max(d[0], 0), end = min(d[1], s.time);
    }
    int from = s.window < 0 ? first : max(first, row - s.window);
    int to = s.causal ? row + 1 : s.window < 0 ? end : row + s.window + 1;
    to = min(to, end);
    return from < to ? Range{from, to} : Range{0, 0};
}

/// What several rows see: some of `lo..hi`, and all of `inner_from..inner_to`.
struct __align__(16) Span {
    int lo, hi, inner_from, inner_to;
    /// Some row sees some of `n` keys from `first` on.
    __device__ __forceinline__ bool touches(int first, int n) const { return first < hi && first + n > lo; }
};

/// The span of a warp's rows, of which each lane brings one.
__device__ __forceinline__ Span warp_span(Range r) {
    Span span{r.from < r.to ? r.from : NEVER, r.to, r.from, r.to};
    UNROLL for (int mask = 16; mask; mask >>= 1) {
        span.lo = min(span.lo, __shfl_xor_sync(0xffffffffu, span.lo, mask));
        span.hi = max(span.hi, __shfl_xor_sync(0xffffffffu, span.hi, mask));
        span.inner_from = max(span.inner_from, __shfl_xor_sync(0xffffffffu, span.inner_from, mask));
        span.inner_to = min(span.inner_to, __shfl_xor_sync(0xffffffffu, span.inner_to, mask));
    }
    return span;
}

/// Numbers from a row to the next in shared memory: an odd count of 16 bytes, so that 8 rows begin in 8 different groups of banks.
template <int D> constexpr int PITCH = D + 8;

/// Begins to copy N rows of D numbers that stand `stride` apart; behind the last of `n_rows`, it is copied again. Whoever multiplies such a
/// row has a factor of 0 for it, and it is as finite as the one that it repeats.
template <int D, int N, int THREADS> __device__ __forceinline__ void copy_rows(bf16 *to, const bf16 *from, int stride, int n_rows) {
    constexpr int PER_ROW = D / 8, TOTAL = N * PER_ROW;
    UNROLL for (int i = 0; i < (TOTAL + THREADS - 1) / THREADS; i++) {
        int row, at, place = i * THREADS + static_cast<int>(threadIdx.x);
        if (THREADS % PER_ROW == 0) row = threadIdx.x / PER_ROW + i * (THREADS / PER_ROW), at = threadIdx.x % PER_ROW * 8;
        else row = place / PER_ROW, at = place % PER_ROW * 8;
        if (TOTAL % THREADS == 0 || place < TOTAL) copy_16(to + row * PITCH<D> + at, from + (min(row, n_rows - 1) * stride + at));
    }
}

/// Where a lane's row of four matrices stands in a tile: of 16 rows and columns as the left operand, or transposed as the right one …
template <int D> __device__ __forceinline__ int left_place() { return threadIdx.x % 16 * PITCH<D> + threadIdx.x / 16 % 2 * 8; }
/// … and of 16 rows as columns of the right one.
template <int D> __device__ __forceinline__ int right_place() {
    return (threadIdx.x % 8 + threadIdx.x / 16 % 2 * 8) * PITCH<D> + threadIdx.x / 8 % 2 * 8;
}

/// A left operand in shared memory, from its lane's place on.
template <int D> struct Standing {
    const bf16 *place;
    __device__ __forceinline__ void get(unsigned (&a)[4], int m, int k) const { load_matrices<false>(a, place + m * 16 * PITCH<D> + k * 16); }
};
/// A left operand in registers.
template <int D, int M> struct Held {
    unsigned parts[M][D / 16][4];
    __device__ __forceinline__ void load(const bf16 *place) {
        Standing<D> from{place};
        UNROLL for (int m = 0; m < M; m++) {
            UNROLL for (int k = 0; k < D / 16; k++) from.get(parts[m][k], m, k);
        }
    }
    __device__ __forceinline__ void get(unsigned (&a)[4], int m, int k) const {
        UNROLL for (int i = 0; i < 4; i++) a[i] = parts[m][k][i];
    }
};

template <int M, int N> __device__ __forceinline__ void clear(float (&c)[M][N][4]) {
    UNROLL for (int m = 0; m < M; m++) {
        UNROLL for (int n = 0; n < N; n++) {
            UNROLL for (int i = 0; i < 4; i++) c[m][n][i] = 0.0f;
        }
    }
}

/// c (16·M, 8·N) = left (16·M, D) · rightᵀ, `right` rows of D numbers from their lane's place on.
template <int D, int M, int N, class Left> __device__ __forceinline__ void multiply_rows(float (&c)[M][N][4], const Left &left, const bf16 *right) {
    clear(c);
    UNROLL for (int k = 0; k < D / 16; k++) {
        unsigned a[M][4];
        UNROLL for (int m = 0; m < M; m++) left.get(a[m], m, k);
        UNROLL for (int n = 0; n < N; n += 2) {
            unsigned b[4];
            load_matrices<false>(b, right + n * 8 * PITCH<D> + k * 16);
            const unsigned first[2] = {b[0], b[1]}, second[2] = {b[2], b[3]};
            UNROLL for (int m = 0; m < M; m++) {
                multiply_16x8x16(c[m][n], a[m], first);
                multiply_16x8x16(c[m][n + 1], a[m], second);
            }
        }
    }
}

/// c (16·M, D) += left (16·M, 16·K) · right, `right` rows of D numbers from their lane's place on.
template <int D, int M, int K> __device__ __forceinline__ void multiply_columns(float (&c)[M][D / 8][4], const unsigned (&left)[M][K][4], const bf16 *right) {
    UNROLL for (int k = 0; k < K; k++) {
        UNROLL for (int n = 0; n < D / 8; n += 2) {
            unsigned b[4];
            load_matrices<true>(b, right + k * 16 * PITCH<D> + n * 8);
            const unsigned first[2] = {b[0], b[1]}, second[2] = {b[2], b[3]};
            UNROLL for (int m = 0; m < M; m++) {
                multiply_16x8x16(c[m][n], left[m][k], first);
                multiply_16x8x16(c[m][n + 1], left[m][k], second);
            }
        }
    }
}

/// Scores of keys that a lane's rows don't see become `value`; the keys begin with `first`. Mostly only one end cuts.
template <int M, int N> __device__ __forceinline__ void hide(float (&scores)[M][N][4], float value, const Span &mine, const Range *ranges, int first) {
    int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    bool at_end = mine.inner_to < first + 8 * N, at_begin = mine.inner_from > first;
    if (at_end) {
        UNROLL for (int r = 0; r < 2 * M; r++) {
            int end = ranges[r * 8 + g].to - first - 2 * t;
            UNROLL for (int n = 0; n < N; n++) {
                UNROLL for (int i = 0; i < 2; i++) {
                    if (n * 8 + i >= end) scores[r / 2][n][r % 2 * 2 + i] = value;
                }
            }
        }
    }
    if (at_begin) {
        UNROLL for (int r = 0; r < 2 * M; r++) {
            int begin = ranges[r * 8 + g].from - first - 2 * t;
            UNROLL for (int n = 0; n < N; n++) {
                UNROLL for (int i = 0; i < 2; i++) {
                    if (n * 8 + i < begin) scores[r / 2][n][r % 2 * 2 + i] = value;
                }
            }
        }
    }
}

/// A product's result as the left operand of the next.
template <int M, int N> __device__ __forceinline__ void pack_all(unsigned (&a)[M][N / 2][4], const float (&c)[M][N][4]) {
    UNROLL for (int m = 0; m < M; m++) {
        UNROLL for (int n = 0; n < N; n++) {
            a[m][n / 2][n % 2 * 2] = pack(c[m][n][0], c[m][n][1]);
            a[m][n / 2][n % 2 * 2 + 1] = pack(c[m][n][2], c[m][n][3]);
        }
    }
}

/// Writes a warp's rows by way of its part of shared memory, which no other warp may use; `factor` has one for each of a lane's rows.
template <int D, int M> __device__ __forceinline__ void store_rows(bf16 *to, int stride, int n_rows, bf16 *room, const float (&c)[M][D / 8][4], const float (&factor)[2 * M]) {
    int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    __syncwarp();
    UNROLL for (int m = 0; m < M; m++) {
        UNROLL for (int n = 0; n < D / 8; n++) {
            UNROLL for (int half = 0; half < 2; half++) {
                float f = factor[2 * m + half];
                bf16 *place = room + (m * 16 + half * 8 + g) * PITCH<D> + n * 8 + 2 * t;
                *reinterpret_cast<unsigned *>(place) = pack(c[m][n][2 * half] * f, c[m][n][2 * half + 1] * f);
            }
        }
    }
    __syncwarp();
    UNROLL for (int i = 0; i < 16 * M * (D / 8) / 32; i++) {
        int place = i * 32 + lane, row = place / (D / 8), at = place % (D / 8) * 8;
        if (row < n_rows) *reinterpret_cast<uint4 *>(to + row * stride + at) = *reinterpret_cast<const uint4 *>(room + row * PITCH<D> + at);
    }
}

/// Which rows of which head a block has.
struct __align__(16) Place {
    int b, h, kv, first;
};

/// Blocks of one head follow each other, so that they find its keys in the cache; the last rows, which see the most, come first.
__device__ __forceinline__ Place place_of(const Shape &s, int rows) {
    int n_tiles = (s.time + rows - 1) / rows, head = blockIdx.x / n_tiles;
    int h = head % s.n_heads;
    return {head / s.n_heads, h, h / (s.n_heads / s.n_kv_heads), (n_tiles - 1 - static_cast<int>(blockIdx.x) % n_tiles) * rows};
}

/// What a block's rows see, of each row and of the rows of each warp, and which they are: in shared memory, where it takes no registers.
struct Sight {
    Range rows[BLOCK];
    Span warps[8];
    Place place;
};

/// Fills `sight`; returns the keys that some row of the block sees.
template <int M> __device__ __forceinline__ Range look(Sight &sight, const int *documents, const Shape &s, const Place &place) {
    constexpr int WARPS = BLOCK / (16 * M);
    int warp = threadIdx.x / 32, row = warp * 16 * M + threadIdx.x % (16 * M);
    // Rows behind the sequence see what its last one sees, which changes no span.
    Range r = seen(documents, s, place.b, min(place.first + row, s.time - 1));
    if (threadIdx.x % 32 < 16 * M) sight.rows[row] = r;
    Span span = warp_span(r);
    if (threadIdx.x % 32 == 0) sight.warps[warp] = span;
    if (threadIdx.x == 0) sight.place = place;
    __syncthreads();
    Range all{NEVER, 0};
    UNROLL for (int w = 0; w < WARPS; w++) all.from = min(all.from, sight.warps[w].lo), all.to = max(all.to, sight.warps[w].hi);
    return all;
}

template <int D> __device__ __forceinline__ void forward(bf16 *out, float *lse, const bf16 *qkv, const int *documents, const Shape &s, float scale) {
    constexpr int M = 2, N = KEYS / 8, THREADS = 128, P = PITCH<D>;
    // Narrow heads leave registers for the queries. Then these pass through the second of two stages of keys and values; else they stay in
    // its place, and keys arrive while values are multiplied, values while keys are.
    constexpr bool HELD = D <= 64;
    constexpr int STAGE = 2 * KEYS * P;
    SHARED_MEMORY(shared);
    bf16 *room = reinterpret_cast<bf16 *>(shared), *query_tile = room + STAGE;
    Sight &sight = *reinterpret_cast<Sight *>(query_tile + BLOCK * P);
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;

    const Place place = place_of(s, BLOCK);
    int stride = (s.n_heads + 2 * s.n_kv_heads) * D;
    const bf16 *sequence = qkv + static_cast<long long>(place.b) * s.time * stride;
    const bf16 *keys = sequence + (s.n_heads + place.kv) * D, *values = keys + s.n_kv_heads * D;
    copy_rows<D, BLOCK, THREADS>(query_tile, sequence + static_cast<long long>(place.first) * stride + place.h * D, stride, s.time - place.first);
    close_copies();
    Range all = look<M>(sight, documents, s, place);
    auto copy = [&](int which, const bf16 *from, int key) {
        copy_rows<D, KEYS, THREADS>(room + which * KEYS * P, from + static_cast<long long>(key) * stride, stride, all.to - key);
    };
    if (all.from < all.to) {
        copy(0, keys, all.from);
        if (HELD) copy(1, values, all.from);
    }
    close_copies();
    wait_for_copies<1>();
    __syncthreads();

    const bf16 *queries = query_tile + warp * 16 * M * P + left_place<D>();
    Held<D, HELD ? M : 1> held;
    if constexpr (HELD) held.load(queries);

    float sums[M][D / 8][4], top[2 * M], total[2 * M];
    clear(sums);
    UNROLL for (int r = 0; r < 2 * M; r++) top[r] = -INFINITE, total[r] = 0.0f;
    int stage = 0;
    for (int key = all.from; key < all.to; key += KEYS, stage ^= HELD ? 2 : 0) {
        const Span mine = sight.warps[warp];
        bool active = mine.touches(key, KEYS), more = key + KEYS < all.to;
        unsigned weights[M][N / 2][4];
        // What was copied is here, and nobody reads the tile before: neither its values nor, if queries are held, its keys.
        wait_for_copies<0>();
        __syncthreads();
        if (!HELD) copy(1, values, key);
        else if (more) copy(stage ^ 2, keys, key + KEYS), copy((stage ^ 2) + 1, values, key + KEYS);
        close_copies();
        const bf16 *right_keys = room + stage * KEYS * P + right_place<D>(), *right_values = room + (stage + 1) * KEYS * P + left_place<D>();
        if (active) {
            float scores[M][N][4];
            if constexpr (HELD) multiply_rows<D>(scores, held, right_keys);
            else multiply_rows<D>(scores, Standing<D>{queries}, right_keys);
            hide(scores, -INFINITE, mine, sight.rows + warp * 16 * M, key);
            float most[2 * M];
            bool grows = false;
            UNROLL for (int r = 0; r < 2 * M; r++) {
                most[r] = scores[r / 2][0][r % 2 * 2];
                UNROLL for (int n = 0; n < N; n++) most[r] = fmaxf(most[r], fmaxf(scores[r / 2][n][r % 2 * 2], scores[r / 2][n][r % 2 * 2 + 1]));
                most[r] = fmaxf(most[r], __shfl_xor_sync(0xffffffffu, most[r], 1));
                most[r] = fmaxf(most[r], __shfl_xor_sync(0xffffffffu, most[r], 2));
                grows |= (most[r] - top[r]) * scale > SLACK;
            }
            // What is taken off need not be the maximum, only near it: sums are seldom scaled anew.
            if (__any_sync(0xffffffffu, grows)) {
                UNROLL for (int r = 0; r < 2 * M; r++) {
                    float before = top[r];
                    top[r] = fmaxf(before, most[r]);
                    // A row that has seen nothing yet has no maximum to take off.
                    float keep = top[r] == -INFINITE ? 1.0f : exp2_fast((before - top[r]) * scale);
                    total[r] *= keep;
                    UNROLL for (int n = 0; n < D / 8; n++) sums[r / 2][n][r % 2 * 2] *= keep, sums[r / 2][n][r % 2 * 2 + 1] *= keep;
                }
            }
            UNROLL for (int r = 0; r < 2 * M; r++) {
                float shift = top[r] == -INFINITE ? 0.0f : top[r] * scale;
                UNROLL for (int n = 0; n < N; n++) {
                    UNROLL for (int i = 0; i < 2; i++) {
                        float p = exp2_fast(fmaf(scores[r / 2][n][r % 2 * 2 + i], scale, -shift));
                        scores[r / 2][n][r % 2 * 2 + i] = p;
                        total[r] += p;
                    }
                }
            }
            pack_all(weights, scores);
        }
        if (!HELD) {
            // Values are here, and nobody reads these keys any more.
            wait_for_copies<0>();
            __syncthreads();
            if (more) copy(0, keys, key + KEYS);
            close_copies();
        }
        if (active) multiply_columns<D>(sums, weights, right_values);
    }

    float factor[2 * M];
    const Place again = sight.place;
    int first = again.first + warp * 16 * M, rows_left = s.time - first;
    UNROLL for (int r = 0; r < 2 * M; r++) {
        total[r] += __shfl_xor_sync(0xffffffffu, total[r], 1);
        total[r] += __shfl_xor_sync(0xffffffffu, total[r], 2);
        factor[r] = total[r] > 0.0f ? 1.0f / total[r] : 0.0f;
        int row = r * 8 + g;
        if (t == 0 && row < rows_left) {
            long long at = (static_cast<long long>(again.b) * s.n_heads + again.h) * s.time + first + row;
            lse[at] = total[r] > 0.0f ? fmaf(top[r] * scale, LN_2, __logf(total[r])) : 0.0f;
        }
    }
    int width = s.n_heads * D;
    bf16 *to = out + (static_cast<long long>(again.b) * s.time + first) * width + again.h * D;
    // Where queries are held, other warps may still read keys and values there.
    if (HELD) __syncthreads();
    store_rows<D>(to, width, rows_left, query_tile + warp * 16 * M * P, sums, factor);
}

/// The gradient of queries. `stats` is what `attention_rows` made.
template <int D, int M> __device__ __forceinline__ void queries_backward(bf16 *dqkv, const bf16 *dout, const bf16 *qkv, const float *stats, const int *documents, const Shape &s, float scale) {
    // A step's scores and their gradients take as many registers whatever M is.
    constexpr int WARPS = BLOCK / (16 * M), THREADS = 32 * WARPS, STEP = 64 / M, N = STEP / 8, P = PITCH<D>;
    SHARED_MEMORY(shared);
    // Two stages of keys and values; before, queries and gradients of outputs pass through the same room.
    bf16 *room = reinterpret_cast<bf16 *>(shared);
    Sight &sight = *reinterpret_cast<Sight *>(room + 4 * KEYS * P);
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4;

    const Place place = place_of(s, BLOCK);
    int stride = (s.n_heads + 2 * s.n_kv_heads) * D, width = s.n_heads * D;
    long long first_row = static_cast<long long>(place.b) * s.time;
    const bf16 *sequence = qkv + first_row * stride;
    const bf16 *keys = sequence + (s.n_heads + place.kv) * D, *values = keys + s.n_kv_heads * D;
    copy_rows<D, BLOCK, THREADS>(room, sequence + static_cast<long long>(place.first) * stride + place.h * D, stride, s.time - place.first);
    copy_rows<D, BLOCK, THREADS>(room + BLOCK * P, dout + (first_row + place.first) * width + place.h * D, width, s.time - place.first);
    close_copies();
    Range all = look<M>(sight, documents, s, place);
    wait_for_copies<0>();
    __syncthreads();
    Held<D, M> queries, gradients;
    const bf16 *from = room + warp * 16 * M * P + left_place<D>();
    queries.load(from);
    gradients.load(from + BLOCK * P);
    __syncthreads();

    float log[2 * M], delta[2 * M];
    long long n_tiles = (s.time + TILE - 1) / TILE, stats_tile = (static_cast<long long>(place.b) * s.n_heads + place.h) * n_tiles;
    UNROLL for (int r = 0; r < 2 * M; r++) {
        int row = place.first + warp * 16 * M + r * 8 + g;
        const float *tile = stats + (stats_tile + row / TILE) * (2 * TILE) + row % TILE;
        // Tiles end with the sequence, blocks may go on.
        bool there = row < s.time;
        log[r] = there ? tile[0] : INFINITE, delta[r] = there ? tile[TILE] : 0.0f;
    }

    auto copy = [&](int stage, int key) {
        bf16 *to = room + stage * 2 * KEYS * P;
        copy_rows<D, KEYS, THREADS>(to, keys + static_cast<long long>(key) * stride, stride, all.to - key);
        copy_rows<D, KEYS, THREADS>(to + KEYS * P, values + static_cast<long long>(key) * stride, stride, all.to - key);
    };
    if (all.from < all.to) copy(0, all.from);
    close_copies();
    float sums[M][D / 8][4];
    clear(sums);
    int stage = 0;
    for (int tile = all.from; tile < all.to; tile += KEYS, stage ^= 1) {
        wait_for_copies<0>();
        __syncthreads();
        if (tile + KEYS < all.to) copy(stage ^ 1, tile + KEYS);
        close_copies();
        UNROLL for (int step = 0; step < KEYS; step += STEP) {
            int key = tile + step;
            const Span mine = sight.warps[warp];
            if (!mine.touches(key, STEP)) continue;
            const bf16 *key_rows = room + (stage * 2 * KEYS + step) * P, *value_rows = key_rows + KEYS * P;
            float scores[M][N][4], slopes[M][N][4];
            multiply_rows<D>(scores, queries, key_rows + right_place<D>());
            multiply_rows<D>(slopes, gradients, value_rows + right_place<D>());
            UNROLL for (int r = 0; r < 2 * M; r++) {
                UNROLL for (int n = 0; n < N; n++) {
                    UNROLL for (int i = 0; i < 2; i++) {
                        float &score = scores[r / 2][n][r % 2 * 2 + i];
                        score = exp2_fast(fmaf(score, scale, -log[r])) * (slopes[r / 2][n][r % 2 * 2 + i] - delta[r]);
                    }
                }
            }
            hide(scores, 0.0f, mine, sight.rows + warp * 16 * M, key);
            unsigned packed[M][N / 2][4];
            pack_all(packed, scores);
            multiply_columns<D>(sums, packed, key_rows + left_place<D>());
        }
    }
    float factor[2 * M];
    UNROLL for (int r = 0; r < 2 * M; r++) factor[r] = scale * LN_2;
    // Other warps may still read where this one writes.
    __syncthreads();
    const Place again = sight.place;
    int row = again.first + warp * 16 * M;
    store_rows<D>(dqkv + (static_cast<long long>(again.b) * s.time + row) * stride + again.h * D, stride, s.time - row, room + warp * 16 * M * P, sums, factor);
}

/// The tiles of query rows of which some see some of `n` keys from `first` on: the first and the end. `room` holds 64 words.
__device__ __forceinline__ Range tiles_that_see(const int *sight, int n_tiles, int first, int n, int *room) {
    int warp = threadIdx.x / 32, n_warps = blockDim.x / 32, lo = NEVER, hi = 0;
    for (int i = threadIdx.x; i < n_tiles; i += blockDim.x) {
        const int *tile = sight + static_cast<long long>(i) * SIGHT + 2 * TILE;
        if (first < tile[1] && first + n > tile[0]) lo = min(lo, i), hi = i + 1;
    }
    UNROLL for (int mask = 16; mask; mask >>= 1) {
        lo = min(lo, __shfl_xor_sync(0xffffffffu, lo, mask));
        hi = max(hi, __shfl_xor_sync(0xffffffffu, hi, mask));
    }
    if (threadIdx.x % 32 == 0) room[warp] = lo, room[32 + warp] = hi;
    __syncthreads();
    for (int w = 0; w < n_warps; w++) lo = min(lo, room[w]), hi = max(hi, room[32 + w]);
    return {lo, hi};
}

/// The gradients of keys and values. Products are made transposed, keys as rows, so that what one gives is the left operand of the next.
template <int D, int M> __device__ __forceinline__ void keys_backward(bf16 *dqkv, const bf16 *dout, const bf16 *qkv, const float *stats, const int *sight, const Shape &s, float scale) {
    constexpr int WARPS = BLOCK / (16 * M), THREADS = 32 * WARPS, N = TILE / 8, P = PITCH<D>;
    // 32 rows of 64 numbers and their two sums leave no registers for keys.
    constexpr bool HELD = D != 64;
    SHARED_MEMORY(shared);
    bf16 *value_tile = reinterpret_cast<bf16 *>(shared);
    // Two stages of queries, then of gradients of outputs; before, keys pass through the same room where they are held in registers.
    bf16 *room = value_tile + BLOCK * P, *key_tile = HELD ? room : room + 4 * TILE * P;
    constexpr int INFO = 2 * TILE + SIGHT;
    int *info = reinterpret_cast<int *>(room + (HELD ? 1 : 2) * BLOCK * P);
    // Where this is, and which queries it takes, stand in shared memory too: there they take no registers meanwhile.
    struct Kept {
        Place place;
        Range tiles;
    };
    Kept *kept = reinterpret_cast<Kept *>(info + 2 * INFO);
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;

    // The first keys are those that most rows see.
    int n_blocks = (s.time + BLOCK - 1) / BLOCK, head = blockIdx.x / n_blocks, first = blockIdx.x % n_blocks * BLOCK;
    int b = head / s.n_kv_heads, kv = head % s.n_kv_heads, group = s.n_heads / s.n_kv_heads;
    int stride = (s.n_heads + 2 * s.n_kv_heads) * D, width = s.n_heads * D, n_tiles = (s.time + TILE - 1) / TILE;
    long long first_row = static_cast<long long>(b) * s.time;
    const bf16 *keys = qkv + (first_row + first) * stride + (s.n_heads + kv) * D;
    copy_rows<D, BLOCK, THREADS>(key_tile, keys, stride, s.time - first);
    copy_rows<D, BLOCK, THREADS>(value_tile, keys + s.n_kv_heads * D, stride, s.time - first);
    close_copies();
    sight += static_cast<long long>(b) * n_tiles * SIGHT;
    const Range tiles = tiles_that_see(sight, n_tiles, first, BLOCK, info);
    if (threadIdx.x == 0) *kept = {{b, kv * group, kv, first}, tiles};
    wait_for_copies<0>();
    __syncthreads();
    const bf16 *left_values = value_tile + warp * 16 * M * P + left_place<D>(), *left_keys = key_tile + warp * 16 * M * P + left_place<D>();
    Held<D, HELD ? M : 1> held;
    if constexpr (HELD) {
        held.load(left_keys);
        __syncthreads();
    }

    auto copy = [&](int stage, int h, int tile) {
        long long row = first_row + tile * TILE;
        copy_rows<D, TILE, THREADS>(room + stage * TILE * P, qkv + row * stride + h * D, stride, s.time - tile * TILE);
        copy_rows<D, TILE, THREADS>(room + (2 + stage) * TILE * P, dout + row * width + h * D, width, s.time - tile * TILE);
        int part = threadIdx.x * 4, *to = info + stage * INFO;
        if (part < 2 * TILE) copy_16(to + part, stats + ((static_cast<long long>(b) * s.n_heads + h) * n_tiles + tile) * (2 * TILE) + part);
        else if (part < INFO) copy_16(to + part, sight + static_cast<long long>(tile) * SIGHT + part - 2 * TILE);
    };
    int my_first = first + warp * 16 * M, h = kv * group, tile = tiles.from;
    bool more = tiles.from < tiles.to;
    if (more) copy(0, h, tile);
    close_copies();
    float key_sums[M][D / 8][4], value_sums[M][D / 8][4];
    clear(key_sums), clear(value_sums);
    for (int stage = 0; more; stage ^= 1) {
        // This tile is here, and nobody reads the one before.
        wait_for_copies<0>();
        __syncthreads();
        if (++tile == kept->tiles.to) tile = kept->tiles.from, h++;
        more = h < (kv + 1) * group;
        if (more) copy(stage ^ 1, h, tile);
        close_copies();
        const int *told = info + stage * INFO, *from = told + 2 * TILE, *to = from + TILE;
        const Span span{to[TILE], to[TILE + 1], to[TILE + 2], to[TILE + 3]};
        if (!span.touches(my_first, 16 * M)) continue;
        const bf16 *query_rows = room + stage * TILE * P, *gradient_rows = query_rows + 2 * TILE * P;
        float scores[M][N][4], slopes[M][N][4];
        if constexpr (HELD) multiply_rows<D>(scores, held, query_rows + right_place<D>());
        else multiply_rows<D>(scores, Standing<D>{left_keys}, query_rows + right_place<D>());
        multiply_rows<D>(slopes, Standing<D>{left_values}, gradient_rows + right_place<D>());
        UNROLL for (int n = 0; n < N; n++) {
            int column = n * 8 + 2 * t;
            const float2 logs = *reinterpret_cast<const float2 *>(told + column), deltas = *reinterpret_cast<const float2 *>(told + TILE + column);
            UNROLL for (int m = 0; m < M; m++) {
                UNROLL for (int i = 0; i < 4; i++) {
                    float &score = scores[m][n][i], &slope = slopes[m][n][i];
                    score = exp2_fast(fmaf(score, scale, -(i % 2 ? logs.y : logs.x)));
                    slope = score * (slope - (i % 2 ? deltas.y : deltas.x));
                }
            }
        }
        // Keys that a query does not see; mostly only one end cuts.
        auto hide = [&](const int *ends, bool behind) {
            UNROLL for (int n = 0; n < N; n++) {
                UNROLL for (int i = 0; i < 4; i++) {
                    int end = ends[n * 8 + 2 * t + i % 2] - my_first - g;
                    UNROLL for (int m = 0; m < M; m++) {
                        int key = m * 16 + i / 2 * 8;
                        if (behind ? key >= end : key < end) scores[m][n][i] = 0.0f, slopes[m][n][i] = 0.0f;
                    }
                }
            }
        };
        if (span.inner_to < my_first + 16 * M) hide(to, true);
        if (span.inner_from > my_first) hide(from, false);
        unsigned packed[M][N / 2][4];
        pack_all(packed, scores);
        unsigned packed_slopes[M][N / 2][4];
        pack_all(packed_slopes, slopes);
        multiply_columns<D>(value_sums, packed, gradient_rows + left_place<D>());
        multiply_columns<D>(key_sums, packed_slopes, query_rows + left_place<D>());
    }
    float one[2 * M], factor[2 * M];
    UNROLL for (int r = 0; r < 2 * M; r++) one[r] = 1.0f, factor[r] = scale * LN_2;
    // A warp's rows of values are read by no other.
    bf16 *mine = value_tile + warp * 16 * M * P;
    const Place again = kept->place;
    int row = again.first + warp * 16 * M;
    bf16 *to = dqkv + (static_cast<long long>(again.b) * s.time + row) * stride + (s.n_heads + again.kv) * D;
    store_rows<D>(to + s.n_kv_heads * D, stride, s.time - row, mine, value_sums, one);
    store_rows<D>(to, stride, s.time - row, mine, key_sums, factor);
}

/// Makes `stats` and `sight` of 32 rows of a head, eight lanes a row.
template <class T> __device__ __forceinline__ void rows(float *stats, int *sight, const T *dout, const T *out, const float *lse, const int *documents, const Shape &s, int head) {
    int n_tiles = (s.time + TILE - 1) / TILE, h = blockIdx.x % s.n_heads, tile = blockIdx.x / s.n_heads % n_tiles, b = blockIdx.x / s.n_heads / n_tiles;
    int lane = threadIdx.x % 8, place = threadIdx.x / 8, row = tile * TILE + place;
    bool there = row < s.time;
    float sum = 0.0f;
    if (there) {
        constexpr int N = PER_16<T>;
        long long at = (static_cast<long long>(b) * s.time + row) * s.n_heads * head + static_cast<long long>(h) * head;
        if (head % N == 0 && is_aligned_16(out) && is_aligned_16(dout)) {
            for (int d = lane * N; d < head; d += 8 * N) {
                float x[N], y[N];
                load_16(out + at + d, x), load_16(dout + at + d, y);
                UNROLL for (int i = 0; i < N; i++) sum += x[i] * y[i];
            }
        } else {
            for (int d = lane; d < head; d += 8) sum += to_float(out[at + d]) * to_float(dout[at + d]);
        }
    }
    UNROLL for (int mask = 4; mask; mask >>= 1) sum += __shfl_xor_sync(0xffffffffu, sum, mask);
    long long of_head = static_cast<long long>(b) * s.n_heads + h;
    float *to = stats + (of_head * n_tiles + tile) * (2 * TILE) + place;
    // Rows behind the sequence get a probability of 0.
    if (lane == 0) to[0] = there ? lse[of_head * s.time + row] * LOG2_E : INFINITE, to[TILE] = sum;
    if (h == 0 && threadIdx.x < 32) {
        Range r = seen(documents, s, b, min(tile * TILE + static_cast<int>(threadIdx.x), s.time - 1));
        Span span = warp_span(r);
        int *words = sight + (static_cast<long long>(b) * n_tiles + tile) * SIGHT;
        words[threadIdx.x] = r.from, words[TILE + threadIdx.x] = r.to;
        if (threadIdx.x == 0) words[2 * TILE] = span.lo, words[2 * TILE + 1] = span.hi, words[2 * TILE + 2] = span.inner_from, words[2 * TILE + 3] = span.inner_to;
    }
}

// Any type and head. A block of 256 threads has R rows, each shared by 256 / R lanes of one warp; a lane has every so manieth number of a head,
// at most PARTS, and of every R other rows as many scores.

/// Numbers from a row to the next: an odd count, so that rows begin in different banks.
__device__ __forceinline__ int plain_pitch(int head) { return head | 1; }

template <int R, class T> __device__ __forceinline__ void load_plain(float *to, const T *from, long long stride, int n_rows, int head) {
    constexpr int LANES = 256 / R;
    int row = threadIdx.x / LANES;
    for (int d = threadIdx.x % LANES; d < head; d += LANES) to[row * plain_pitch(head) + d] = row < n_rows ? to_float(from[row * stride + d]) : 0.0f;
}

/// Scores of a lane's row with every so manieth of R rows.
template <int R> __device__ __forceinline__ void multiply_plain(float (&scores)[R * R / 256], const float *mine, const float *others, int head) {
    constexpr int LANES = 256 / R, N = R * R / 256;
    int pitch = plain_pitch(head);
    mine += threadIdx.x / LANES * pitch, others += threadIdx.x % LANES * pitch;
    UNROLL for (int i = 0; i < N; i++) scores[i] = 0.0f;
    for (int d = 0; d < head; d++) {
        float x = mine[d];
        UNROLL for (int i = 0; i < N; i++) scores[i] = fmaf(x, others[i * LANES * pitch + d], scores[i]);
    }
}

/// sums += weights (R) · others (R, D), weights of the lane's row.
template <int R, int PARTS> __device__ __forceinline__ void add_plain(float (&sums)[PARTS], const float *weights, const float *others, int head) {
    constexpr int LANES = 256 / R;
    int lane = threadIdx.x % LANES;
    weights += threadIdx.x / LANES * (R + 1);
    for (int j = 0; j < R; j++, others += plain_pitch(head)) {
        UNROLL for (int i = 0; i < PARTS; i++) {
            if (lane + i * LANES < head) sums[i] = fmaf(weights[j], others[lane + i * LANES], sums[i]);
        }
    }
}

template <int R> __device__ __forceinline__ Range look_plain(Range *ranges, const int *documents, const Shape &s, const Place &place) {
    if (threadIdx.x < R) ranges[threadIdx.x] = seen(documents, s, place.b, min(place.first + static_cast<int>(threadIdx.x), s.time - 1));
    __syncthreads();
    Range all{NEVER, 0};
    for (int r = 0; r < R; r++) {
        if (ranges[r].from < ranges[r].to) all.from = min(all.from, ranges[r].from), all.to = max(all.to, ranges[r].to);
    }
    return all;
}

template <int R, int PARTS, class T> __device__ __forceinline__ void forward_plain(T *out, float *lse, const T *qkv, const int *documents, const Shape &s, float scale, int head) {
    constexpr int LANES = 256 / R, N = R * R / 256;
    SHARED_MEMORY(shared);
    int tile = R * plain_pitch(head), r = threadIdx.x / LANES, lane = threadIdx.x % LANES;
    float *query_tile = reinterpret_cast<float *>(shared), *key_tile = query_tile + tile, *value_tile = key_tile + tile, *weights = value_tile + tile;
    Range *ranges = reinterpret_cast<Range *>(weights + R * (R + 1));
    Place place = place_of(s, R);
    long long stride = static_cast<long long>(s.n_heads + 2 * s.n_kv_heads) * head, first_row = static_cast<long long>(place.b) * s.time;
    const T *keys = qkv + first_row * stride + (s.n_heads + place.kv) * head, *values = keys + s.n_kv_heads * head;
    load_plain<R>(query_tile, qkv + (first_row + place.first) * stride + place.h * head, stride, s.time - place.first, head);
    Range all = look_plain<R>(ranges, documents, s, place), mine = ranges[r];
    float sums[PARTS], top = -INFINITE, total = 0.0f;
    UNROLL for (int i = 0; i < PARTS; i++) sums[i] = 0.0f;
    for (int key = all.from; key < all.to; key += R) {
        __syncthreads();
        load_plain<R>(key_tile, keys + key * stride, stride, s.time - key, head);
        load_plain<R>(value_tile, values + key * stride, stride, s.time - key, head);
        __syncthreads();
        float scores[N], most = top;
        multiply_plain<R>(scores, query_tile, key_tile, head);
        UNROLL for (int i = 0; i < N; i++) {
            int column = key + lane + i * LANES;
            if (column < mine.from || column >= mine.to) scores[i] = -INFINITE;
            most = fmaxf(most, scores[i]);
        }
        UNROLL for (int mask = LANES / 2; mask; mask >>= 1) most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, mask));
        float shift = most == -INFINITE ? 0.0f : most * scale, keep = exp2_fast(fmaf(top, scale, -shift));
        top = most;
        total *= keep;
        UNROLL for (int i = 0; i < PARTS; i++) sums[i] *= keep;
        UNROLL for (int i = 0; i < N; i++) {
            float p = exp2_fast(fmaf(scores[i], scale, -shift));
            weights[r * (R + 1) + lane + i * LANES] = p;
            total += p;
        }
        // A row's weights are written and read by lanes of one warp.
        __syncwarp();
        add_plain<R>(sums, weights, value_tile, head);
    }
    UNROLL for (int mask = LANES / 2; mask; mask >>= 1) total += __shfl_xor_sync(0xffffffffu, total, mask);
    int row = place.first + r;
    if (row >= s.time) return;
    float factor = total > 0.0f ? 1.0f / total : 0.0f;
    T *to = out + (first_row + row) * s.n_heads * head + place.h * head;
    UNROLL for (int i = 0; i < PARTS; i++) {
        if (lane + i * LANES < head) to[lane + i * LANES] = from_float<T>(sums[i] * factor);
    }
    if (lane == 0) lse[(static_cast<long long>(place.b) * s.n_heads + place.h) * s.time + row] = total > 0.0f ? fmaf(top * scale, LN_2, __logf(total)) : 0.0f;
}

template <int R, int PARTS, class T> __device__ __forceinline__ void queries_backward_plain(T *dqkv, const T *dout, const T *qkv, const float *stats, const int *documents, const Shape &s, float scale, int head) {
    constexpr int LANES = 256 / R, N = R * R / 256;
    SHARED_MEMORY(shared);
    int tile = R * plain_pitch(head), r = threadIdx.x / LANES, lane = threadIdx.x % LANES;
    float *query_tile = reinterpret_cast<float *>(shared), *gradient_tile = query_tile + tile, *key_tile = gradient_tile + tile, *value_tile = key_tile + tile;
    float *weights = value_tile + tile;
    Range *ranges = reinterpret_cast<Range *>(weights + R * (R + 1));
    Place place = place_of(s, R);
    long long stride = static_cast<long long>(s.n_heads + 2 * s.n_kv_heads) * head, first_row = static_cast<long long>(place.b) * s.time;
    long long width = static_cast<long long>(s.n_heads) * head;
    const T *keys = qkv + first_row * stride + (s.n_heads + place.kv) * head, *values = keys + s.n_kv_heads * head;
    load_plain<R>(query_tile, qkv + (first_row + place.first) * stride + place.h * head, stride, s.time - place.first, head);
    load_plain<R>(gradient_tile, dout + (first_row + place.first) * width + place.h * head, width, s.time - place.first, head);
    Range all = look_plain<R>(ranges, documents, s, place), mine = ranges[r];
    int row = place.first + r;
    long long n_tiles = (s.time + TILE - 1) / TILE, stats_tile = (static_cast<long long>(place.b) * s.n_heads + place.h) * n_tiles + min(row, s.time - 1) / TILE;
    float log = stats[stats_tile * (2 * TILE) + row % TILE], delta = stats[stats_tile * (2 * TILE) + TILE + row % TILE];
    float sums[PARTS];
    UNROLL for (int i = 0; i < PARTS; i++) sums[i] = 0.0f;
    for (int key = all.from; key < all.to; key += R) {
        __syncthreads();
        load_plain<R>(key_tile, keys + key * stride, stride, s.time - key, head);
        load_plain<R>(value_tile, values + key * stride, stride, s.time - key, head);
        __syncthreads();
        float scores[N], slopes[N];
        multiply_plain<R>(scores, query_tile, key_tile, head);
        multiply_plain<R>(slopes, gradient_tile, value_tile, head);
        UNROLL for (int i = 0; i < N; i++) {
            int column = key + lane + i * LANES;
            float p = column < mine.from || column >= mine.to ? 0.0f : exp2_fast(fmaf(scores[i], scale, -log));
            weights[r * (R + 1) + lane + i * LANES] = p * (slopes[i] - delta);
        }
        __syncwarp();
        add_plain<R>(sums, weights, key_tile, head);
    }
    if (row >= s.time) return;
    T *to = dqkv + (first_row + row) * stride + place.h * head;
    UNROLL for (int i = 0; i < PARTS; i++) {
        if (lane + i * LANES < head) to[lane + i * LANES] = from_float<T>(sums[i] * scale * LN_2);
    }
}

template <int R, int PARTS, class T> __device__ __forceinline__ void keys_backward_plain(T *dqkv, const T *dout, const T *qkv, const float *stats, const int *sight, const Shape &s, float scale, int head) {
    constexpr int LANES = 256 / R, N = R * R / 256;
    SHARED_MEMORY(shared);
    int tile = R * plain_pitch(head), r = threadIdx.x / LANES, lane = threadIdx.x % LANES;
    float *key_tile = reinterpret_cast<float *>(shared), *value_tile = key_tile + tile, *query_tile = value_tile + tile, *gradient_tile = query_tile + tile;
    float *weights = gradient_tile + tile, *slope_weights = weights + R * (R + 1);
    int n_blocks = (s.time + R - 1) / R, of_head = blockIdx.x / n_blocks, first = blockIdx.x % n_blocks * R;
    int b = of_head / s.n_kv_heads, kv = of_head % s.n_kv_heads, group = s.n_heads / s.n_kv_heads, n_tiles = (s.time + TILE - 1) / TILE;
    long long stride = static_cast<long long>(s.n_heads + 2 * s.n_kv_heads) * head, first_row = static_cast<long long>(b) * s.time;
    long long width = static_cast<long long>(s.n_heads) * head;
    const T *keys = qkv + (first_row + first) * stride + (s.n_heads + kv) * head;
    sight += static_cast<long long>(b) * n_tiles * SIGHT;
    Range tiles = tiles_that_see(sight, n_tiles, first, R, reinterpret_cast<int *>(weights));
    load_plain<R>(key_tile, keys, stride, s.time - first, head);
    load_plain<R>(value_tile, keys + s.n_kv_heads * head, stride, s.time - first, head);
    float key_sums[PARTS], value_sums[PARTS];
    UNROLL for (int i = 0; i < PARTS; i++) key_sums[i] = value_sums[i] = 0.0f;
    for (int h = kv * group; h < (kv + 1) * group && tiles.from < tiles.to; h++) {
        const float *stats_of_head = stats + (static_cast<long long>(b) * s.n_heads + h) * n_tiles * (2 * TILE);
        for (int query = tiles.from * TILE; query < min(tiles.to * TILE, s.time); query += R) {
            __syncthreads();
            load_plain<R>(query_tile, qkv + (first_row + query) * stride + h * head, stride, s.time - query, head);
            load_plain<R>(gradient_tile, dout + (first_row + query) * width + h * head, width, s.time - query, head);
            __syncthreads();
            float scores[N], slopes[N];
            multiply_plain<R>(scores, key_tile, query_tile, head);
            multiply_plain<R>(slopes, value_tile, gradient_tile, head);
            UNROLL for (int i = 0; i < N; i++) {
                int row = query + lane + i * LANES, key = first + r;
                long long at = static_cast<long long>(row / TILE);
                const int *ranges = sight + at * SIGHT + row % TILE;
                const float *stat = stats_of_head + at * (2 * TILE) + row % TILE;
                bool sees = key >= ranges[0] && key < ranges[TILE];
                float p = sees ? exp2_fast(fmaf(scores[i], scale, -stat[0])) : 0.0f;
                weights[r * (R + 1) + lane + i * LANES] = p;
                slope_weights[r * (R + 1) + lane + i * LANES] = p * (slopes[i] - stat[TILE]);
            }
            __syncwarp();
            add_plain<R>(value_sums, weights, gradient_tile, head);
            add_plain<R>(key_sums, slope_weights, query_tile, head);
        }
    }
    if (first + r >= s.time) return;
    T *to = dqkv + (first_row + first + r) * stride + (s.n_heads + kv) * head;
    UNROLL for (int i = 0; i < PARTS; i++) {
        int d = lane + i * LANES;
        if (d < head) to[d] = from_float<T>(key_sums[i] * scale * LN_2), to[s.n_kv_heads * head + d] = from_float<T>(value_sums[i]);
    }
}

// Decoding: keys and values of the tokens seen so far stand in a cache, (B, capacity, K · D) each. `n_seen` tells for each sequence how many
// tokens it held before the `n` whose packed rows are at hand, or is negative for a sequence that rests. A block has up to HEADS heads of one
// group over SPLIT keys; what blocks found is put together in the order of the keys.

constexpr int SPLIT = 256;

struct Decoding {
    int n, capacity, n_splits, n_heads, n_kv_heads, head, window;
};

/// Keys of its cache that a row sees, itself included.
__device__ __forceinline__ Range seen_of_cache(const int *n_seen, const Decoding &s, int row) {
    int before = n_seen[row / s.n], place = before + row % s.n;
    int to = min(min(place + 1, s.capacity), s.n_splits * SPLIT), from = s.window < 0 ? 0 : max(0, place - s.window);
    return before >= 0 && from < to ? Range{from, to} : Range{0, 0};
}

/// Eight numbers of a row of `head`, from `at` on; those behind its end are 0.
template <class T> __device__ __forceinline__ void load_eight(float (&out)[8], const T *row, int at, int head, bool wide) {
    UNROLL for (int i = 0; i < 8; i++) out[i] = 0.0f;
    if (wide) {
        if (at < head) load_row<8>(row + at, out);
        return;
    }
    UNROLL for (int i = 0; i < 8; i++) {
        if (at + i < head) out[i] = to_float(row[at + i]);
    }
}

/// LANES lanes share a key, eight numbers each; a thread has AT_ONCE keys under way.
template <int LANES, int HEADS, class T> __device__ __forceinline__ void decode(float *parts, const T *qkv, const T *keys, const T *values, const int *n_seen, const Decoding &s, float scale) {
    constexpr int SLOTS = 128 / LANES, AT_ONCE = HEADS == 1 ? 4 : 2, PART = 8 * LANES + 2;
    SHARED_MEMORY(shared);
    // Of each slot and head: sums, then the maximum and the total.
    float *room = reinterpret_cast<float *>(shared);
    int group = s.n_heads / s.n_kv_heads, chunks = (group + HEADS - 1) / HEADS;
    int split = blockIdx.x % s.n_splits, rest = blockIdx.x / s.n_splits, chunk = rest % chunks, kv = rest / chunks % s.n_kv_heads;
    int row = rest / chunks / s.n_kv_heads, first_head = kv * group + chunk * HEADS, n_heads = min(HEADS, group - chunk * HEADS);
    Range range = seen_of_cache(n_seen, s, row);
    range.from = max(range.from, split * SPLIT), range.to = min(range.to, (split + 1) * SPLIT);
    if (range.from >= range.to) return;

    int lane = threadIdx.x % LANES, slot = threadIdx.x / LANES, at = lane * 8;
    bool wide = s.head % 8 == 0 && is_aligned_16(qkv) && is_aligned_16(keys) && is_aligned_16(values);
    float q[HEADS][8], sums[HEADS][8], top[HEADS], total[HEADS];
    long long stride = static_cast<long long>(s.n_kv_heads) * s.head;
    UNROLL for (int h = 0; h < HEADS; h++) {
        // Heads that are not there are a copy of the last.
        int head = first_head + min(h, n_heads - 1);
        load_eight(q[h], qkv + (row * static_cast<long long>(s.n_heads + 2 * s.n_kv_heads) + head) * s.head, at, s.head, wide);
        top[h] = -INFINITE, total[h] = 0.0f;
        UNROLL for (int i = 0; i < 8; i++) q[h][i] *= scale, sums[h][i] = 0.0f;
    }
    long long cache = static_cast<long long>(row / s.n) * s.capacity * stride + kv * s.head;
    keys += cache, values += cache;
    for (int first = range.from; first < range.to; first += SLOTS * AT_ONCE) {
        float k[AT_ONCE][8], v[AT_ONCE][8];
        UNROLL for (int u = 0; u < AT_ONCE; u++) {
            long long key = min(first + u * SLOTS + slot, range.to - 1);
            load_eight(k[u], keys + key * stride, at, s.head, wide);
            load_eight(v[u], values + key * stride, at, s.head, wide);
        }
        UNROLL for (int h = 0; h < HEADS; h++) {
            float score[AT_ONCE], most = top[h];
            UNROLL for (int u = 0; u < AT_ONCE; u++) {
                score[u] = 0.0f;
                UNROLL for (int i = 0; i < 8; i++) score[u] = fmaf(q[h][i], k[u][i], score[u]);
                UNROLL for (int mask = LANES / 2; mask; mask >>= 1) score[u] += __shfl_xor_sync(0xffffffffu, score[u], mask);
                if (first + u * SLOTS + slot >= range.to) score[u] = -INFINITE;
                most = fmaxf(most, score[u]);
            }
            float shift = most == -INFINITE ? 0.0f : most, keep = exp2_fast(top[h] - shift);
            top[h] = most, total[h] *= keep;
            UNROLL for (int i = 0; i < 8; i++) sums[h][i] *= keep;
            UNROLL for (int u = 0; u < AT_ONCE; u++) {
                float p = exp2_fast(score[u] - shift);
                total[h] += p;
                UNROLL for (int i = 0; i < 8; i++) sums[h][i] = fmaf(p, v[u][i], sums[h][i]);
            }
        }
    }
    UNROLL for (int h = 0; h < HEADS; h++) {
        float *part = room + (slot * HEADS + h) * PART;
        UNROLL for (int i = 0; i < 8; i++) part[at + i] = sums[h][i];
        if (lane == 0) part[8 * LANES] = top[h], part[8 * LANES + 1] = total[h];
    }
    __syncthreads();
    for (int h = 0; h < n_heads; h++) {
        const float *of_head = room + h * PART;
        float most = -INFINITE, whole = 0.0f;
        // At least one slot has seen a key.
        UNROLL for (int i = 0; i < SLOTS; i++) most = fmaxf(most, of_head[i * HEADS * PART + 8 * LANES]);
        float *to = parts + ((static_cast<long long>(row) * s.n_heads + first_head + h) * s.n_splits + split) * (s.head + 2);
        for (int d = threadIdx.x; d <= s.head; d += 128) {
            // The total stands behind the numbers of every slot, the maximum between them.
            int place = d < s.head ? d : 8 * LANES + 1;
            whole = 0.0f;
            for (int i = 0; i < SLOTS; i++) whole += of_head[i * HEADS * PART + place] * exp2_fast(of_head[i * HEADS * PART + 8 * LANES] - most);
            to[d] = whole;
        }
        if (threadIdx.x == 0) to[s.head + 1] = most;
    }
}

template <class T> __device__ __forceinline__ void decode_sum(T *out, const float *parts, const int *n_seen, const Decoding &s) {
    int row = blockIdx.x / s.n_heads, h = blockIdx.x % s.n_heads;
    Range range = seen_of_cache(n_seen, s, row);
    int first = range.from / SPLIT, end = (range.to + SPLIT - 1) / SPLIT;
    const float *of_head = parts + (static_cast<long long>(row) * s.n_heads + h) * s.n_splits * (s.head + 2);
    float most = -INFINITE, total = 0.0f;
    for (int i = first; i < end; i++) most = fmaxf(most, of_head[i * (s.head + 2) + s.head + 1]);
    for (int i = first; i < end; i++) total += of_head[i * (s.head + 2) + s.head] * exp2_fast(of_head[i * (s.head + 2) + s.head + 1] - most);
    for (int d = threadIdx.x; d < s.head; d += 128) {
        float sum = 0.0f;
        for (int i = first; i < end; i++) sum += of_head[i * (s.head + 2) + d] * exp2_fast(of_head[i * (s.head + 2) + s.head + 1] - most);
        out[(static_cast<long long>(row) * s.n_heads + h) * s.head + d] = from_float<T>(total > 0.0f ? sum / total : 0.0f);
    }
}

template <class T> __device__ __forceinline__ void append(T *keys, T *values, const T *qkv, const int *n_seen, const Decoding &s) {
    int row = blockIdx.x, before = n_seen[row / s.n], place = before + row % s.n, width = s.n_kv_heads * s.head;
    if (before < 0 || place >= s.capacity) return;
    long long to = (static_cast<long long>(row / s.n) * s.capacity + place) * width;
    const T *from = qkv + (row * static_cast<long long>(s.n_heads + 2 * s.n_kv_heads) + s.n_heads) * s.head;
    for (int i = threadIdx.x; i < width; i += 256) keys[to + i] = from[i], values[to + i] = from[width + i];
}

} // namespace

#define SIZES int batch, int time, int n_heads, int n_kv_heads, int causal, int window, float scale
#define SHAPE Shape{time, n_heads, n_kv_heads, causal, window}

// `scale` is log₂e / √D everywhere. `WORK` keeps, or leaves out, what a head's size needs.
#define HEADS_OF(D, M, WORK)                                                                                                               \
    ENTRY_RESIDENT(128, 2) attention_forward_d##D##_bf16(bf16 *out, float *lse, const bf16 *qkv, const int *documents, SIZES) {            \
        WORK(forward<D>(out, lse, qkv, documents, SHAPE, scale);)                                                                          \
    }                                                                                                                                      \
    ENTRY_RESIDENT(256 / M, M) attention_backward_queries_d##D##_bf16(bf16 *dqkv, const bf16 *dout, const bf16 *qkv, const float *stats, const int *documents, SIZES) { \
        WORK((queries_backward<D, M>(dqkv, dout, qkv, stats, documents, SHAPE, scale));)                                                   \
    }                                                                                                                                      \
    ENTRY_RESIDENT(256 / M, M) attention_backward_keys_d##D##_bf16(bf16 *dqkv, const bf16 *dout, const bf16 *qkv, const float *stats, const int *sight, SIZES) { \
        WORK((keys_backward<D, M>(dqkv, dout, qkv, stats, sight, SHAPE, scale));)                                                          \
    }
#define EVERYWHERE(...) __VA_ARGS__
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
// Hopper takes `attention_sm90.cu` for these sizes: machine code that nobody calls would be a third of this file's.
#define BEFORE_HOPPER(...)
#else
#define BEFORE_HOPPER(...) __VA_ARGS__
#endif
HEADS_OF(32, 2, EVERYWHERE)
HEADS_OF(64, 2, BEFORE_HOPPER)
HEADS_OF(96, 1, BEFORE_HOPPER)
HEADS_OF(128, 1, BEFORE_HOPPER)

// Of bf16, only heads that tensor cores don't take come here.
#define BY_HEAD(type, function, ...)                                                                       \
    if constexpr (sizeof(NUMBER(type)) == 4) {                                                              \
        if (head <= 64) return function<32, 8>(__VA_ARGS__, head);                                          \
    }                                                                                                       \
    if (head <= 128) return function<32, 16>(__VA_ARGS__, head);                                           \
    function<16, 16>(__VA_ARGS__, head)
#define OF_ANY(type)                                                                                                                       \
    ENTRY(256) attention_rows_##type(float *stats, int *sight, const NUMBER(type) *dout, const NUMBER(type) *out, const float *lse, const int *documents, SIZES, int head) { \
        rows(stats, sight, dout, out, lse, documents, SHAPE, head);                                                                        \
    }                                                                                                                                      \
    ENTRY_RESIDENT(256, 1) attention_forward_plain_##type(NUMBER(type) *out, float *lse, const NUMBER(type) *qkv, const int *documents, SIZES, int head) { \
        BY_HEAD(type, forward_plain, out, lse, qkv, documents, SHAPE, scale);                                                                    \
    }                                                                                                                                      \
    ENTRY_RESIDENT(256, 1) attention_backward_queries_plain_##type(NUMBER(type) *dqkv, const NUMBER(type) *dout, const NUMBER(type) *qkv, const float *stats, const int *documents, SIZES, int head) { \
        BY_HEAD(type, queries_backward_plain, dqkv, dout, qkv, stats, documents, SHAPE, scale);                                                  \
    }                                                                                                                                      \
    ENTRY_RESIDENT(256, 1) attention_backward_keys_plain_##type(NUMBER(type) *dqkv, const NUMBER(type) *dout, const NUMBER(type) *qkv, const float *stats, const int *sight, SIZES, int head) { \
        BY_HEAD(type, keys_backward_plain, dqkv, dout, qkv, stats, sight, SHAPE, scale);                                                         \
    }
OF_ANY(f32)
OF_ANY(bf16)

#define DECODING_SIZES int batch, int n, int capacity, int n_splits, int n_heads, int n_kv_heads, int head, int window
#define DECODING Decoding{n, capacity, n_splits, n_heads, n_kv_heads, head, window}
#define DECODE(lanes)                                                                                             \
    if (n_heads == n_kv_heads) return decode<lanes, 1>(parts, qkv, keys, values, n_seen, DECODING, scale);        \
    return decode<lanes, 4>(parts, qkv, keys, values, n_seen, DECODING, scale)
#define CACHED(type)                                                                                                                       \
    ENTRY_RESIDENT(128, 2) attention_decode_##type(float *parts, const NUMBER(type) *qkv, const NUMBER(type) *keys, const NUMBER(type) *values, const int *n_seen, DECODING_SIZES, float scale) { \
        if (head <= 64) { DECODE(8); }                                                                                                     \
        if (head <= 128) { DECODE(16); }                                                                                                   \
        DECODE(32);                                                                                                                        \
    }                                                                                                                                      \
    ENTRY(128) attention_decode_sum_##type(NUMBER(type) *out, const float *parts, const int *n_seen, DECODING_SIZES) {                     \
        decode_sum(out, parts, n_seen, DECODING);                                                                                          \
    }                                                                                                                                      \
    ENTRY(256) attention_append_##type(NUMBER(type) *keys, NUMBER(type) *values, const NUMBER(type) *qkv, const int *n_seen, DECODING_SIZES) { \
        append(keys, values, qkv, n_seen, DECODING);                                                                                       \
    }
CACHED(f32)
CACHED(bf16)
