// Matrix products of any shape, stored either way round, on every GPU that has tensor cores for bf16.
//
// Formula: out = a · b [+ bias], or out += the same.
// Shapes: a (m, k), stored (k, m) without LEFT_TOGETHER; b (k, n), stored (n, k) with RIGHT_TOGETHER; bias (n) f32 or null; out (m, n).
//   A sum of many terms for few results is cut into `splits` of `terms` terms each, a multiple of 32; each fills a matrix of its own in
//   `parts (splits, m, n)` f32, and `gemm_sum` adds them up.
// Requirements: none. Factors whose contiguous side is a multiple of 16 bytes, at aligned addresses, are copied 16 bytes at a time past the
//   registers (WIDE); others through them, two numbers at a time. Any `m`, `n` and `k` below 2³¹.
// Launch: (tiles, splits) blocks. bf16: 128 threads for 128×128 results (`gemm`) or 64×64 (`gemm_small`). f32: 256 threads for as many.
// Numerics: products and sums f32, terms in order of k for each result whatever the tile; within 3e-6 (f32) and half a unit (bf16) of the f64
//   reference in norm. How many splits there are is the launcher's, which looks at sizes alone.
// Bound: 2·m·n·k FLOP of the tensor cores (bf16) or of the FMA units (f32).
#include "polder.cuh"

namespace {

// As the launcher packs them.
enum Flag { LEFT_TOGETHER = 1, RIGHT_TOGETHER = 2, WIDE = 4, ACCUMULATE = 8 };

/// Terms of a stage.
constexpr int DEPTH = 32;
constexpr int THREADS = 128;

/// A block's place among the tiles.
struct Corner {
    int row, column;
};

/// Tiles are taken in groups of eight rows of them, column by column, so that blocks at work together share what they read.
template <int TILE> __device__ __forceinline__ Corner corner(int m, int n) {
    constexpr int GROUP = 8;
    int rows = (m + TILE - 1) / TILE, columns = (n + TILE - 1) / TILE;
    long long per_group = static_cast<long long>(GROUP) * columns;
    int first = static_cast<int>(blockIdx.x / per_group) * GROUP, within = static_cast<int>(blockIdx.x % per_group);
    int height = min(GROUP, rows - first);
    return {(first + within % height) * TILE, within / height * TILE};
}

/// Eight numbers from any address, those behind the first `n` being 0.
__device__ __forceinline__ uint4 load_loose(const bf16 *p, int n) {
    unsigned w[4] = {0, 0, 0, 0};
    if (n < 8) {
        UNROLL for (int i = 0; i < 8; i++) {
            if (i < n) w[i / 2] |= static_cast<unsigned>(p[i].bits) << (i % 2 * 16);
        }
    } else if (reinterpret_cast<unsigned long long>(p) & 2) {
        const unsigned *middle = reinterpret_cast<const unsigned *>(p + 1);
        unsigned x = middle[0], y = middle[1], z = middle[2];
        w[0] = p[0].bits | x << 16;
        w[1] = x >> 16 | y << 16;
        w[2] = y >> 16 | z << 16;
        w[3] = z >> 16 | static_cast<unsigned>(p[7].bits) << 16;
    } else {
        const unsigned *words = reinterpret_cast<const unsigned *>(p);
        UNROLL for (int i = 0; i < 4; i++) w[i] = words[i];
    }
    return uint4{w[0], w[1], w[2], w[3]};
}

/// One factor: LINES rows of a, or columns of b, for each block, with the terms of a line together in memory or the lines of a term.
///
/// In shared memory a row is what is contiguous, in chunks of 16 bytes whose order within the row depends on the row: eight chunks that one
/// load of a matrix, or eight threads' copies, touch at once lie in different banks.
template <bool together, int LINES> struct Factor {
    static constexpr int ROW = together ? DEPTH : LINES;
    static constexpr int CHUNKS = ROW / 8;
    /// Numbers of a stage.
    static constexpr int SIZE = LINES * DEPTH;

    /// Rows that the block's threads copy at once.
    static constexpr int ROWS = THREADS / CHUNKS;

    // This thread's first chunk: where it is read, where it belongs, and its line and term; the next one is `jump` further.
    const bf16 *from;
    long long jump, step;
    int to, line, term, n_lines;

    /// The block's lines of `lines` in all, which have `terms` terms each, begin with `first`, its terms with `begin`.
    __device__ __forceinline__ Factor(const bf16 *x, int first, int lines, int terms, int begin) {
        long long stride = together ? terms : lines;
        int row = threadIdx.x / CHUNKS, chunk = threadIdx.x % CHUNKS;
        line = together ? row : chunk * 8;
        term = begin + (together ? chunk * 8 : row);
        n_lines = lines - first;
        from = x + (together ? (first + line) * stride + term : term * stride + first + line);
        jump = ROWS * stride;
        step = together ? DEPTH : DEPTH * stride;
        // Rows that a thread copies are a multiple of eight apart, which leaves the chunk's place as it is.
        to = row * ROW + 8 * (chunk ^ (together ? row >> 1 & 3 : row & 7));
    }

    /// Copies a stage's terms, those before `end`, and moves on.
    template <bool wide> __device__ __forceinline__ void fetch(bf16 *stage, int end) {
        const bf16 *p = from;
        // Through registers one at a time: there are none to spare.
#pragma unroll(wide ? SIZE / 8 / THREADS : 1)
        for (int i = 0; i < SIZE / 8 / THREADS; i++) {
            int l = together ? line + i * ROWS : line, t = together ? term : term + i * ROWS;
            bool inside = l < n_lines && t < end;
            bf16 *there = stage + to + i * ROWS * ROW;
            if (wide) {
                copy_16(there, p, inside ? 16 : 0);
            } else {
                *reinterpret_cast<uint4 *>(there) = load_loose(p, inside ? (together ? end - t : n_lines - l) : 0);
            }
            p += jump;
        }
        from += step;
        term += DEPTH;
    }

    /// Where this lane's row of the first 16 lines from `first` and the first 16 terms stands in a stage, as `load_matrices` asks for it: lines
    /// then terms for the left factor, terms then lines for the right one.
    template <bool left> static __device__ __forceinline__ int lane_place(int first) {
        int lane = threadIdx.x % 32, i = lane / 8, r = lane % 8;
        int later_lines = left ? i & 1 : i >> 1, later_terms = left ? i >> 1 : i & 1;
        if (together) return (first + later_lines * 8 + r) * ROW + 8 * (later_terms ^ (r >> 1 & 3));
        return (later_terms * 8 + r) * ROW + 8 * ((first / 8 + later_lines) ^ r);
    }

    /// Loads 16 lines, `j` times 16 on, by 16 terms, `half` times 16 on.
    static __device__ __forceinline__ void load(unsigned (&out)[4], const bf16 *stage, int place, int j, int half) {
        // The steps along a row are bits of the chunk's number, which the row only flips.
        int at = together ? (place ^ half * 16) + j * 16 * ROW : (place ^ j * 16) + half * 16 * ROW;
        load_matrices<!together>(out, stage + at);
    }
};

/// Writes results of a row from any address, those that lie within it.
template <class O, int RUN> __device__ __forceinline__ void write_loose(O *out, const float (&x)[RUN], int left, bool accumulate) {
    UNROLL for (int i = 0; i < RUN; i++) {
        if (i < left) out[i] = from_float<O>(accumulate ? to_float(out[i]) + x[i] : x[i]);
    }
}

template <int RUN> __device__ __forceinline__ void load_bias(float (&out)[RUN], const float *bias, int column, int n) {
    UNROLL for (int i = 0; i < RUN; i++) out[i] = bias && column + i < n ? bias[column + i] : 0.0f;
}

/// Four warps, each of 2·WARP × 2·WARP results a quarter.
template <bool left_together, bool right_together, bool wide, int WARP, int STAGES, class O>
__device__ __forceinline__ void product(O *out, const bf16 *a, const bf16 *b, const float *bias, int m, int n, int k, int terms, bool accumulate) {
    constexpr int TILE = 2 * WARP;
    using Left = Factor<left_together, TILE>;
    using Right = Factor<right_together, TILE>;
    constexpr int STAGE = Left::SIZE + Right::SIZE;
    SHARED_MEMORY(shared);
    bf16 *stages = reinterpret_cast<bf16 *>(shared);

    Corner tile = corner<TILE>(m, n);
    int begin = blockIdx.y * terms, end = begin + min(terms, k - begin), n_steps = (end - begin + DEPTH - 1) / DEPTH;
    Left left(a, tile.row, m, k, begin);
    Right right(b, tile.column, n, k, begin);
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int first_row = warp / 2 * WARP, first_column = warp % 2 * WARP;
    int left_place = Left::template lane_place<true>(first_row), right_place = Right::template lane_place<false>(first_column);

    auto fetch = [&](int step, int slot) {
        if (step < n_steps) {
            left.template fetch<wide>(stages + slot * STAGE, end);
            right.template fetch<wide>(stages + slot * STAGE + Left::SIZE, end);
        }
        close_copies();
    };
    float c[WARP / 16][WARP / 8][4];
    UNROLL for (int i = 0; i < WARP / 16; i++) {
        UNROLL for (int j = 0; j < WARP / 8; j++) {
            UNROLL for (int l = 0; l < 4; l++) c[i][j][l] = 0.0f;
        }
    }
    // What is multiplied next is loaded before what is multiplied now, also across the border of two stages.
    unsigned x[2][WARP / 16][4], y[2][WARP / 16][4];
    auto load = [&](int slot, int half) {
        UNROLL for (int i = 0; i < WARP / 16; i++) Left::load(x[half][i], stages + slot * STAGE, left_place, i, half);
        UNROLL for (int j = 0; j < WARP / 16; j++) Right::load(y[half][j], stages + slot * STAGE + Left::SIZE, right_place, j, half);
    };
    auto multiply = [&](int half) {
        UNROLL for (int i = 0; i < WARP / 16; i++) {
            UNROLL for (int j = 0; j < WARP / 8; j++) {
                unsigned pair[2] = {y[half][j / 2][j % 2 * 2], y[half][j / 2][j % 2 * 2 + 1]};
                multiply_16x8x16(c[i][j], x[half][i], pair);
            }
        }
    };

    if (n_steps > 0) {
        for (int step = 0; step < STAGES - 1; step++) fetch(step, step);
        wait_for_copies<STAGES - 2>();
        __syncthreads();
        load(0, 0);
    }
    int slot = 0, free = STAGES - 1;
    for (int step = 0; step < n_steps; step++) {
        load(slot, 1);
        // All have loaded the last of this slot before the barrier of the step before.
        fetch(step + STAGES - 1, free);
        free = slot;
        slot = slot + 1 == STAGES ? 0 : slot + 1;
        multiply(0);
        wait_for_copies<STAGES - 2>();
        __syncthreads();
        // Behind the last step this loads what nobody multiplies.
        load(slot, 0);
        multiply(1);
    }
    wait_for_copies<0>();
    __syncthreads();

    // Results go through shared memory, 16 rows at a time, so that a warp reads and writes whole lines.
    constexpr int RUN = PER_16<O>, LANES = WARP / RUN, ROWS = 32 / LANES, STRIDE = WARP + 8;
    float *room = reinterpret_cast<float *>(shared) + warp * 16 * STRIDE;
    out += blockIdx.y * (static_cast<long long>(m) * n);
    int within = lane % LANES * RUN, column = tile.column + first_column + within, row = tile.row + first_row + lane / LANES;
    out += row * static_cast<long long>(n) + column;
    // A run lies within a row or behind it.
    bool wide_out = n % RUN == 0 && is_aligned_16(out);
    float added[RUN];
    load_bias(added, bias, column, n);
    UNROLL for (int i = 0; i < WARP / 16; i++) {
        // What is added to is asked for before the results are put down: one wait for 16 rows.
        float old[16 / ROWS][RUN];
        UNROLL for (int r = 0; r < 16 / ROWS; r++) {
            UNROLL for (int l = 0; l < RUN; l++) old[r][l] = 0.0f;
            if (accumulate && wide_out && row + i * 16 + r * ROWS < m && column < n) load_row<RUN>(out + (i * 16 + r * ROWS) * static_cast<long long>(n), old[r]);
        }
        UNROLL for (int j = 0; j < WARP / 8; j++) {
            UNROLL for (int h = 0; h < 2; h++) {
                *reinterpret_cast<float2 *>(room + (lane / 4 + h * 8) * STRIDE + j * 8 + lane % 4 * 2) = float2{c[i][j][2 * h], c[i][j][2 * h + 1]};
            }
        }
        __syncwarp();
        const float *from = room + lane / LANES * STRIDE + within;
        if (wide_out) {
            UNROLL for (int r = 0; r < 16 / ROWS; r++) {
                float sums[RUN];
                load_row<RUN>(from + r * ROWS * STRIDE, sums);
                UNROLL for (int l = 0; l < RUN; l++) sums[l] = old[r][l] + (sums[l] + added[l]);
                if (row + i * 16 + r * ROWS < m && column < n) store_row<RUN>(out + (i * 16 + r * ROWS) * static_cast<long long>(n), sums);
            }
        } else {
#pragma unroll 1
            for (int r = 0; r < 16 / ROWS; r++) {
                float sums[RUN];
                load_row<RUN>(from + r * ROWS * STRIDE, sums);
                UNROLL for (int l = 0; l < RUN; l++) sums[l] += added[l];
                if (row + i * 16 + r * ROWS < m) write_loose(out + (i * 16 + r * ROWS) * static_cast<long long>(n), sums, n - column, accumulate);
            }
        }
        __syncwarp();
    }
}

template <int WARP, int STAGES, class O>
__device__ __forceinline__ void any_product(O *out, const bf16 *a, const bf16 *b, const float *bias, int m, int n, int k, int terms, int flags) {
    bool accumulate = flags & ACCUMULATE;
    // The large tile is for factors that are copied 16 bytes at a time: the launcher gives others to the small one.
    if constexpr (WARP == 32) {
        switch (flags & (LEFT_TOGETHER | RIGHT_TOGETHER | WIDE)) {
        case 0: return product<false, false, false, WARP, STAGES>(out, a, b, bias, m, n, k, terms, accumulate);
        case LEFT_TOGETHER: return product<true, false, false, WARP, STAGES>(out, a, b, bias, m, n, k, terms, accumulate);
        case RIGHT_TOGETHER: return product<false, true, false, WARP, STAGES>(out, a, b, bias, m, n, k, terms, accumulate);
        case LEFT_TOGETHER | RIGHT_TOGETHER: return product<true, true, false, WARP, STAGES>(out, a, b, bias, m, n, k, terms, accumulate);
        }
    }
    switch (flags & (LEFT_TOGETHER | RIGHT_TOGETHER | WIDE)) {
    case WIDE: return product<false, false, true, WARP, STAGES>(out, a, b, bias, m, n, k, terms, accumulate);
    case WIDE | LEFT_TOGETHER: return product<true, false, true, WARP, STAGES>(out, a, b, bias, m, n, k, terms, accumulate);
    case WIDE | RIGHT_TOGETHER: return product<false, true, true, WARP, STAGES>(out, a, b, bias, m, n, k, terms, accumulate);
    default: return product<true, true, true, WARP, STAGES>(out, a, b, bias, m, n, k, terms, accumulate);
    }
}

/// Terms of a stage, and threads, of products of f32.
constexpr int FMA_DEPTH = 16, FMA_THREADS = 256;

/// A factor of f32: in registers on its way from global memory, and in shared memory, where the lines of a term are together.
template <int LINES> struct FmaFactor {
    static constexpr int N = LINES * FMA_DEPTH / 4 / FMA_THREADS, STRIDE = LINES + 4, SIZE = FMA_DEPTH * STRIDE;

    const float *from;
    long long stride;
    int n_lines;
    bool together, wide;
    float held[N][4];

    __device__ __forceinline__ FmaFactor(const float *x, int first, int lines, int terms, bool together)
        : from(x + (together ? static_cast<long long>(first) * terms : first)), stride(together ? terms : lines), n_lines(lines - first),
          together(together), wide(stride % 4 == 0 && is_aligned_16(x)) {}

    __device__ __forceinline__ void fetch(int term, int end) {
        UNROLL for (int i = 0; i < N; i++) {
            int at = threadIdx.x + i * FMA_THREADS;
            int line = together ? at / (FMA_DEPTH / 4) : at % (LINES / 4) * 4;
            int t = term + (together ? at % (FMA_DEPTH / 4) * 4 : at / (LINES / 4));
            int left = line < n_lines && t < end ? (together ? end - t : n_lines - line) : 0;
            const float *p = from + (together ? line * stride + t : t * stride + line);
            if (wide && left >= 4) {
                load_16(p, held[i]);
            } else {
                UNROLL for (int j = 0; j < 4; j++) held[i][j] = j < left ? p[j] : 0.0f;
            }
        }
    }

    __device__ __forceinline__ void put(float *stage) const {
        UNROLL for (int i = 0; i < N; i++) {
            int at = threadIdx.x + i * FMA_THREADS;
            if (together) {
                int line = at / (FMA_DEPTH / 4), t = at % (FMA_DEPTH / 4) * 4;
                UNROLL for (int j = 0; j < 4; j++) stage[(t + j) * STRIDE + line] = held[i][j];
            } else {
                store_16(stage + at / (LINES / 4) * STRIDE + at % (LINES / 4) * 4, held[i]);
            }
        }
    }
};

/// A thread makes EACH × EACH results: four neighbours each way, and four 64 on where EACH is 8.
template <int EACH>
__device__ __forceinline__ void product_f32(float *out, const float *a, const float *b, const float *bias, int m, int n, int k, int terms, int flags) {
    constexpr int TILE = 16 * EACH;
    using Side = FmaFactor<TILE>;
    SHARED_MEMORY(shared);
    float *stages = reinterpret_cast<float *>(shared);

    Corner tile = corner<TILE>(m, n);
    int begin = blockIdx.y * terms, end = begin + min(terms, k - begin);
    Side left(a, tile.row, m, k, flags & LEFT_TOGETHER), right(b, tile.column, n, k, flags & RIGHT_TOGETHER);
    int first_row = threadIdx.x / 16 * 4, first_column = threadIdx.x % 16 * 4;
    float c[EACH][EACH];
    UNROLL for (int i = 0; i < EACH; i++) {
        UNROLL for (int j = 0; j < EACH; j++) c[i][j] = 0.0f;
    }
    left.fetch(begin, end), right.fetch(begin, end);
    for (int term = begin, slot = 0; term < end; term += FMA_DEPTH, slot ^= 1) {
        // Who writes this slot has passed the barrier of the step before, and so has everyone done with what it held.
        float *x = stages + slot * 2 * Side::SIZE, *y = x + Side::SIZE;
        left.put(x), right.put(y);
        __syncthreads();
        left.fetch(term + FMA_DEPTH, end), right.fetch(term + FMA_DEPTH, end);
        UNROLL for (int t = 0; t < FMA_DEPTH; t++) {
            float u[EACH], v[EACH];
            UNROLL for (int h = 0; h < EACH; h += 4) {
                float part[4];
                load_16(x + t * Side::STRIDE + first_row + h * 16, part);
                UNROLL for (int i = 0; i < 4; i++) u[h + i] = part[i];
                load_16(y + t * Side::STRIDE + first_column + h * 16, part);
                UNROLL for (int i = 0; i < 4; i++) v[h + i] = part[i];
            }
            UNROLL for (int i = 0; i < EACH; i++) {
                UNROLL for (int j = 0; j < EACH; j++) c[i][j] += u[i] * v[j];
            }
        }
    }
    out += blockIdx.y * (static_cast<long long>(m) * n);
    bool wide = n % 4 == 0 && is_aligned_16(out), accumulate = flags & ACCUMULATE;
    UNROLL for (int h = 0; h < EACH; h += 4) {
        int column = tile.column + first_column + h * 16;
        float added[4], added_to[4];
        load_bias(added, bias, column, n);
        UNROLL for (int i = 0; i < EACH; i++) {
            int row = tile.row + first_row + i / 4 * 64 + i % 4;
            if (row >= m || column >= n) continue;
            float *to = out + row * static_cast<long long>(n) + column, sums[4];
            UNROLL for (int j = 0; j < 4; j++) sums[j] = c[i][h + j] + added[j];
            if (!wide) {
                write_loose(to, sums, n - column, accumulate);
                continue;
            }
            if (accumulate) {
                load_16(to, added_to);
                UNROLL for (int j = 0; j < 4; j++) sums[j] += added_to[j];
            }
            store_16(to, sums);
        }
    }
}

template <class O> __device__ __forceinline__ void sum(O *out, const float *parts, const float *bias, long long n_results, int n, int splits, int flags) {
    constexpr int RUN = PER_16<O>;
    long long first = (blockIdx.x * 256ll + threadIdx.x) * RUN;
    if (first >= n_results) return;
    if (n % RUN == 0 && is_aligned_16(out)) {
        // A run lies within a row; parts are aligned as the launcher takes them.
        float x[RUN], added[RUN];
        load_row<RUN>(parts + first, x);
        for (int s = 1; s < splits; s++) {
            load_row<RUN>(parts + s * n_results + first, added);
            UNROLL for (int i = 0; i < RUN; i++) x[i] += added[i];
        }
        load_bias(added, bias, static_cast<int>(first % n), n);
        UNROLL for (int i = 0; i < RUN; i++) x[i] += added[i];
        if (flags & ACCUMULATE) {
            load_row<RUN>(out + first, added);
            UNROLL for (int i = 0; i < RUN; i++) x[i] += added[i];
        }
        return store_row<RUN>(out + first, x);
    }
    for (long long at = first; at < first + RUN && at < n_results; at++) {
        float x[1] = {parts[at]}, added[1];
        for (int s = 1; s < splits; s++) x[0] += parts[s * n_results + at];
        load_bias(added, bias, static_cast<int>(at % n), n);
        x[0] += added[0];
        write_loose(out + at, x, 1, flags & ACCUMULATE);
    }
}

} // namespace

#define PRODUCTS(type)                                                                                                                  \
    ENTRY_RESIDENT(128, 2)                                                                                                              \
    gemm_##type##_bf16(NUMBER(type) *out, const bf16 *a, const bf16 *b, const float *bias, int m, int n, int k, int terms, int flags) { \
        any_product<64, 3>(out, a, b, bias, m, n, k, terms, flags);                                                                     \
    }                                                                                                                                   \
    ENTRY_RESIDENT(128, 4)                                                                                                              \
    gemm_small_##type##_bf16(NUMBER(type) *out, const bf16 *a, const bf16 *b, const float *bias, int m, int n, int k, int terms, int flags) { \
        any_product<32, 4>(out, a, b, bias, m, n, k, terms, flags);                                                                     \
    }                                                                                                                                   \
    ENTRY(256) gemm_sum_##type(NUMBER(type) *out, const float *parts, const float *bias, long long n_results, int n, int splits, int flags) { \
        sum(out, parts, bias, n_results, n, splits, flags);                                                                             \
    }
PRODUCTS(f32)
PRODUCTS(bf16)

ENTRY_RESIDENT(256, 2)
gemm_fma_f32(float *out, const float *a, const float *b, const float *bias, int m, int n, int k, int terms, int flags) {
    product_f32<8>(out, a, b, bias, m, n, k, terms, flags);
}
ENTRY_RESIDENT(256, 3)
gemm_fma_small_f32(float *out, const float *a, const float *b, const float *bias, int m, int n, int k, int terms, int flags) {
    product_f32<4>(out, a, b, bias, m, n, k, terms, flags);
}
