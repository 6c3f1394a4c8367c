// Normalisation of rows, by their root mean square or by their mean and deviation.
//
// Formula: out = (x - mean) · factor · weight [+ bias], factor = 1 / sqrt(mean of (x - mean)^2 + eps), the mean being 0 where it is not taken.
// Backward, with d = dout · weight and y = (x - mean) · factor: dx += factor · (d - mean of d - y · mean of d·y), dweight += sum of dout · y,
// dbias += sum of dout; the mean of d is taken where that of x is.
// Shapes: x, out, dx, dout (N, C), weight, bias, dweight, dbias (C), stats (N) or (2, N): means, then factors; parts (blocks, C) or (blocks, 2, C).
// Requirements: none; rows whose width is a multiple of what a thread moves at once, at aligned addresses, take the fast path.
// Launch: forward: a warp (C <= 1024) or a block a row, two rows each for loads in flight; the row stays in registers, so it is read once.
// Backward: a number of blocks that N decides, each over rows of its own in steps; a row's threads own columns, whose sums over rows stay in
// registers. Rows wider than 4096 are read again where they are needed again.
// Numerics: f32 inside. Two passes over the row held, for E[x^2] - E[x]^2 cancels where the mean is much larger than the deviation. Within 5e-6
// (f32) and half a unit (bf16) of the f64 reference.
// Bound: bytes: 2 · N · C forward, 4 · N · C backward.
#include "polder.cuh"

namespace {

/// Columns that a thread moves at once, whatever the types: weights are f32, and of them 4 are 16 bytes.
constexpr int V = 4;

/// Sums each of N numbers over the LANES threads that share rows. `room` holds N numbers a warp, which are not used again before a barrier.
template <int LANES, int N> __device__ __forceinline__ void sum_over_row(float (&x)[N], float *room) {
    UNROLL for (int i = 0; i < N; i++) x[i] = warp_sum(x[i]);
    if constexpr (LANES > 32) {
        if (threadIdx.x % 32 == 0) {
            UNROLL for (int i = 0; i < N; i++) room[threadIdx.x / 32 * N + i] = x[i];
        }
        __syncthreads();
        UNROLL for (int i = 0; i < N; i++) x[i] = 0.0f;
        UNROLL for (int w = 0; w < LANES / 32; w++) {
            UNROLL for (int i = 0; i < N; i++) x[i] += room[w * N + i];
        }
    }
}

/// Rows that LANES threads hold, ROWS at a time, N_HELD vectors a thread and row.
template <int LANES, int ROWS, int N_HELD, class O, class X>
__device__ __forceinline__ void forward_held(O *out, float *stats, const X *x, const float *weight, const float *bias, long long n, int channels,
                                             float eps, int centred, float *room) {
    int t = threadIdx.x % LANES;
    long long first = (blockIdx.x * (256ll / LANES) + threadIdx.x / LANES) * ROWS;
    if (first >= n) return;
    int n_rows = static_cast<int>(min(n - first, static_cast<long long>(ROWS)));
    x += first * channels, out += first * channels;
    float held[ROWS][N_HELD][V];
    // Vectors of the row that this thread has.
    int n_held = (channels / V + LANES - 1 - t) / LANES;
    // The first row is there, or nothing is.
    auto is_row = [=](int r) { return r == 0 || r < n_rows; };
    UNROLL for (int r = 0; r < ROWS; r++) {
        UNROLL for (int k = 0; k < N_HELD; k++) {
            int column = (k * LANES + t) * V;
            Vector<X, V> a = load_vector<true, V>(x + r * channels + column, is_row(r) && k < n_held ? V : 0);
            UNROLL for (int i = 0; i < V; i++) held[r][k][i] = a[i];
        }
    }
    float mean[ROWS], factor[ROWS];
    UNROLL for (int r = 0; r < ROWS; r++) mean[r] = factor[r] = 0.0f;
    if (centred) {
        UNROLL for (int r = 0; r < ROWS; r++) {
            UNROLL for (int k = 0; k < N_HELD; k++) {
                UNROLL for (int i = 0; i < V; i++) mean[r] += held[r][k][i];
            }
        }
        sum_over_row<LANES>(mean, room);
        UNROLL for (int r = 0; r < ROWS; r++) mean[r] = __fdividef(mean[r], channels);
    }
    UNROLL for (int k = 0; k < N_HELD; k++) {
        // What lies behind the row's end is no part of it.
        if (k >= n_held) break;
        UNROLL for (int r = 0; r < ROWS; r++) {
            UNROLL for (int i = 0; i < V; i++) {
                held[r][k][i] -= mean[r];
                factor[r] += held[r][k][i] * held[r][k][i];
            }
        }
    }
    sum_over_row<LANES>(factor, room + 32);
    UNROLL for (int r = 0; r < ROWS; r++) {
        factor[r] = rsqrtf(__fdividef(factor[r], channels) + eps);
        if (t != 0 || !is_row(r)) continue;
        if (centred) stats[first + r] = mean[r];
        stats[(centred ? n : 0) + first + r] = factor[r];
    }
    UNROLL for (int k = 0; k < N_HELD; k++) {
        if (k >= n_held) break;
        int column = (k * LANES + t) * V;
        Vector<float, V> w = load_vector<true, V>(weight + column, V), b = load_vector<true, V>(bias + column, bias ? V : 0);
        UNROLL for (int r = 0; r < ROWS; r++) {
            float y[V];
            UNROLL for (int i = 0; i < V; i++) y[i] = held[r][k][i] * factor[r] * w[i] + b[i];
            store_vector<true, V>(out + r * channels + column, y, is_row(r) ? V : 0);
        }
    }
}

/// Rows of any width, ROWS for each LANES threads, read again for each pass.
template <bool whole, int LANES, int ROWS, class O, class X>
__device__ void forward_any(O *out, float *stats, const X *x, const float *weight, const float *bias, long long n, int channels, float eps,
                            int centred, float *room) {
    int t = threadIdx.x % LANES;
    long long first = (blockIdx.x * (256ll / LANES) + threadIdx.x / LANES) * ROWS;
    for (long long row = first; row < min(n, first + ROWS); row++) {
        const X *from = x + row * channels;
        float mean[1] = {0.0f}, factor[1] = {0.0f};
        if (centred) {
            UNROLL_BY(1) for (int column = t * V; column < channels; column += LANES * V) {
                Vector<X, V> a = load_vector<whole, V>(from + column, channels - column);
                UNROLL for (int i = 0; i < V; i++) mean[0] += a[i];
            }
            sum_over_row<LANES>(mean, room);
            mean[0] = __fdividef(mean[0], channels);
        }
        UNROLL_BY(1) for (int column = t * V; column < channels; column += LANES * V) {
            Vector<X, V> a = load_vector<whole, V>(from + column, channels - column);
            UNROLL for (int i = 0; i < V; i++) {
                float c = a[i] - mean[0];
                // What lies behind the row's end is no part of it.
                if (whole || i < channels - column) factor[0] += c * c;
            }
        }
        sum_over_row<LANES>(factor, room + 32);
        factor[0] = rsqrtf(__fdividef(factor[0], channels) + eps);
        if (t == 0) {
            if (centred) stats[row] = mean[0];
            stats[(centred ? n : 0) + row] = factor[0];
        }
        UNROLL_BY(1) for (int column = t * V; column < channels; column += LANES * V) {
            int count = channels - column;
            Vector<X, V> a = load_vector<whole, V>(from + column, count);
            Vector<float, V> w = load_vector<whole, V>(weight + column, count), b = load_vector<whole, V>(bias + column, bias ? count : 0);
            float y[V];
            UNROLL for (int i = 0; i < V; i++) y[i] = (a[i] - mean[0]) * factor[0] * w[i] + b[i];
            store_vector<whole, V>(out + row * channels + column, y, count);
        }
        // The next row's sums use the same room.
        if (LANES > 32) __syncthreads();
    }
}

/// Sums M numbers over a warp, M a power of two: a lane gets the sum of number lane / (32 / M). At each step lanes trade halves of what they have
/// left, so it takes M + 3 shuffles at most and not 5 · M.
template <int M, int half = M / 2> __device__ __forceinline__ float warp_sums(float (&x)[M]) {
    if constexpr (half > 0) {
        constexpr int mask = 32 * half / M;
        bool upper = threadIdx.x & mask;
        UNROLL for (int i = 0; i < half; i++) {
            float kept = upper ? x[i + half] : x[i], sent = upper ? x[i] : x[i + half];
            x[i] = kept + __shfl_xor_sync(0xffffffffu, sent, mask);
        }
        return warp_sums<M, half / 2>(x);
    }
    UNROLL for (int mask = 16 / M; mask; mask /= 2) x[0] += __shfl_xor_sync(0xffffffffu, x[0], mask);
    return x[0];
}

/// The sums over rows that a block leaves: of the weight's gradient, and behind it of the bias'.
__device__ __forceinline__ float *part_of_block(float *parts, int channels, int with_bias) {
    return parts + static_cast<long long>(blockIdx.x) * channels * (with_bias ? 2 : 1);
}

/// Threads own N_HELD vectors of columns; as many as a row takes are a group, which does ROWS rows at a time.
/// With `rounds`, what `dx` becomes is also written rounded.
template <int N_HELD, int ROWS, bool rounds, class G, class D, class X>
__device__ void backward_held(G *dx, bf16 *rounded, float *parts, const D *dout, const X *x, const float *weight, const float *stats, long long n, int channels,
                              int centred, int with_bias, float *memory) {
    constexpr int M = 2 * ROWS;
    // Of wide rows of f32 not everything fits in registers at once.
    constexpr bool late = N_HELD == 4 && sizeof(G) + sizeof(D) + sizeof(X) >= 10;
    int n_vectors = (channels + V - 1) / V, lanes = ((n_vectors + N_HELD - 1) / N_HELD + 31) / 32 * 32;
    int n_groups = 256 / lanes, group = threadIdx.x / lanes, t = threadIdx.x % lanes;
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    // Whole warps: a group's threads are a multiple of 32.
    bool idle = group >= n_groups;
    const float *factors = stats + (centred ? n : 0);
    float part = __fdividef(1.0f, channels);
    float dweight[N_HELD][V], dbias[N_HELD][V];
    UNROLL for (int k = 0; k < N_HELD; k++) {
        UNROLL for (int i = 0; i < V; i++) dweight[k][i] = dbias[k][i] = 0.0f;
    }
    // Sums of warps: two rooms in turn, so that one barrier a step suffices.
    float *room = memory;
    int turn = 0;
    for (long long step = blockIdx.x; step * n_groups * ROWS < n; step += gridDim.x, turn ^= 1) {
        long long first = (step * n_groups + group) * ROWS;
        int n_rows = idle ? 0 : static_cast<int>(min(n - first, static_cast<long long>(ROWS)));
        const D *dout_here = dout + first * channels;
        const X *x_here = x + first * channels;
        G *dx_here = dx + first * channels;
        Vector<D, V> d[ROWS][N_HELD];
        Vector<X, V> h[ROWS][N_HELD];
        Vector<G, V> g[ROWS][N_HELD];
        UNROLL for (int r = 0; r < ROWS; r++) {
            UNROLL for (int k = 0; k < N_HELD; k++) {
                int column = (k * lanes + t) * V, at = r * channels + column, count = r < n_rows ? channels - column : 0;
                d[r][k] = load_vector<true, V>(dout_here + at, count);
                h[r][k] = load_vector<true, V>(x_here + at, count);
                if (!late) g[r][k] = load_vector<true, V>(dx_here + at, count);
            }
        }
        // Lane r has row r's mean, lane ROWS + r its factor, and further down their sums: registers are dear.
        int row = lane % ROWS;
        float stat = lane < M && row < n_rows ? lane < ROWS ? centred ? stats[first + row] : 0.0f : factors[first + row] : 0.0f;
        float sums[M];
        UNROLL for (int m = 0; m < M; m++) sums[m] = 0.0f;
        UNROLL for (int k = 0; k < N_HELD; k++) {
            int column = (k * lanes + t) * V;
            Vector<float, V> w = load_vector<true, V>(weight + column, channels - column);
            UNROLL for (int r = 0; r < ROWS; r++) {
                float mean = __shfl_sync(0xffffffffu, stat, r);
                UNROLL for (int i = 0; i < V; i++) {
                    float slope = d[r][k][i] * w[i];
                    sums[r] += slope;
                    sums[ROWS + r] += slope * (h[r][k][i] - mean);
                }
            }
        }
        UNROLL for (int k = 0; k < N_HELD; k++) {
            UNROLL for (int r = 0; r < ROWS; r++) {
                int column = (k * lanes + t) * V;
                if (late) g[r][k] = load_vector<true, V>(dx_here + r * channels + column, r < n_rows ? channels - column : 0);
            }
        }
        float sum = warp_sums(sums);
        float *sums_of_warps = room + turn * 8 * M;
        if (lane % (32 / M) == 0) sums_of_warps[warp * M + lane / (32 / M)] = sum;
        __syncthreads();
        if (idle) continue;
        float total = 0.0f;
        UNROLL_BY(1) for (int w = group * lanes / 32; w < (group + 1) * lanes / 32; w++) total += sums_of_warps[w * M + lane % M];
        total *= part * (lane < ROWS ? centred ? 1.0f : 0.0f : stat);
        UNROLL for (int k = 0; k < N_HELD; k++) {
            int column = (k * lanes + t) * V;
            Vector<float, V> w = load_vector<true, V>(weight + column, channels - column);
            UNROLL for (int r = 0; r < ROWS; r++) {
                float mean = __shfl_sync(0xffffffffu, stat, r), factor = __shfl_sync(0xffffffffu, stat, ROWS + r);
                float mean_slope = __shfl_sync(0xffffffffu, total, r), mean_product = __shfl_sync(0xffffffffu, total, ROWS + r);
                d[r][k].stay_packed(), h[r][k].stay_packed(), g[r][k].stay_packed();
                float to[V];
                UNROLL for (int i = 0; i < V; i++) {
                    float y = (h[r][k][i] - mean) * factor;
                    to[i] = g[r][k][i] + (d[r][k][i] * w[i] - mean_slope - y * mean_product) * factor;
                    dweight[k][i] += d[r][k][i] * y;
                    dbias[k][i] += d[r][k][i];
                }
                store_vector<true, V>(dx_here + r * channels + column, to, r < n_rows ? channels - column : 0);
                if (rounds && rounded) store_vector<true, V>(rounded + (first + r) * channels + column, to, r < n_rows ? channels - column : 0);
            }
        }
    }
    float *out = part_of_block(parts, channels, with_bias);
    if (n_groups == 1) {
        if (idle) return;
        UNROLL for (int k = 0; k < N_HELD; k++) {
            int column = (k * lanes + t) * V;
            store_vector<true, V>(out + column, dweight[k], channels - column);
            if (with_bias) store_vector<true, V>(out + channels + column, dbias[k], channels - column);
        }
        return;
    }
    // Groups' sums in their order. More than one group is there only where a thread holds one vector.
    float *sums_of_groups = memory + 2 * 8 * 16;
    for (int pass = 0; pass < (with_bias ? 2 : 1); pass++) {
        __syncthreads();
        if (!idle) {
            UNROLL for (int i = 0; i < V; i++) sums_of_groups[group * lanes * V + t * V + i] = pass ? dbias[0][i] : dweight[0][i];
        }
        __syncthreads();
        for (int column = threadIdx.x; column < channels; column += 256) {
            float total = 0.0f;
            for (int s = 0; s < n_groups; s++) total += sums_of_groups[s * lanes * V + column];
            out[pass * channels + column] = total;
        }
    }
}

/// A row a block, of any width; sums over rows stand in the block's part.
template <bool whole, bool rounds, class G, class D, class X>
__device__ void backward_any(G *dx, bf16 *rounded, float *parts, const D *dout, const X *x, const float *weight, const float *stats, long long n, int channels,
                             int centred, int with_bias, float *room) {
    float *out = part_of_block(parts, channels, with_bias), *out_bias = out + channels;
    const float *factors = stats + (centred ? n : 0);
    float zeros[V];
    UNROLL for (int i = 0; i < V; i++) zeros[i] = 0.0f;
    UNROLL_BY(1) for (int column = threadIdx.x * V; column < channels; column += 256 * V) {
        store_vector<whole, V>(out + column, zeros, channels - column);
        if (with_bias) store_vector<whole, V>(out_bias + column, zeros, channels - column);
    }
    for (long long row = blockIdx.x; row < n; row += gridDim.x) {
        float mean = centred ? stats[row] : 0.0f, factor = factors[row], slopes = 0.0f, products = 0.0f;
        UNROLL_BY(1) for (int column = threadIdx.x * V; column < channels; column += 256 * V) {
            int count = channels - column;
            Vector<D, V> d = load_vector<whole, V>(dout + row * channels + column, count);
            Vector<X, V> h = load_vector<whole, V>(x + row * channels + column, count);
            Vector<float, V> w = load_vector<whole, V>(weight + column, count);
            UNROLL for (int i = 0; i < V; i++) {
                float slope = d[i] * w[i];
                slopes += slope, products += slope * (h[i] - mean);
            }
        }
        float mean_slope = centred ? __fdividef(block_sum(slopes, room), channels) : 0.0f;
        float mean_product = __fdividef(block_sum(products, room) * factor, channels);
        UNROLL_BY(1) for (int column = threadIdx.x * V; column < channels; column += 256 * V) {
            int count = channels - column;
            long long at = row * channels + column;
            Vector<D, V> d = load_vector<whole, V>(dout + at, count);
            Vector<X, V> h = load_vector<whole, V>(x + at, count);
            Vector<G, V> g = load_vector<whole, V>(dx + at, count);
            Vector<float, V> w = load_vector<whole, V>(weight + column, count), sum = load_vector<whole, V>(out + column, count);
            float to[V], total[V];
            UNROLL for (int i = 0; i < V; i++) {
                float y = (h[i] - mean) * factor;
                to[i] = g[i] + (d[i] * w[i] - mean_slope - y * mean_product) * factor;
                total[i] = sum[i] + d[i] * y;
            }
            store_vector<whole, V>(dx + at, to, count);
            if (rounds && rounded) store_vector<whole, V>(rounded + at, to, count);
            store_vector<whole, V>(out + column, total, count);
            if (!with_bias) continue;
            sum = load_vector<whole, V>(out_bias + column, count);
            UNROLL for (int i = 0; i < V; i++) total[i] = sum[i] + d[i];
            store_vector<whole, V>(out_bias + column, total, count);
        }
    }
}

} // namespace

// Training meets three mixes of types; the others have the plain path alone, whose fast ones weigh more than all other kernels.
#define EVERY_WIDTH(...) __VA_ARGS__
#define ANY_WIDTH(...)
#define NORM_FORWARD(to, from, FAST)                                                                                                            \
    ENTRY_RESIDENT(256, sizeof(NUMBER(from)) == 2 ? 4 : 3)                                                                                \
    norm_forward_warp_##to##_##from(NUMBER(to) *out, float *stats, const NUMBER(from) *x, const float *weight, const float *bias,         \
                                    long long n, int channels, float eps, int centred) {                                                  \
        bool whole = channels % V == 0 && fits_vectors<V>(out) && fits_vectors<V>(x) && fits_vectors<V>(weight) && fits_vectors<V>(bias); \
        FAST(if (whole) return forward_held<32, 1, 8>(out, stats, x, weight, bias, n, channels, eps, centred, nullptr);)                  \
        if (whole) forward_any<true, 32, 1>(out, stats, x, weight, bias, n, channels, eps, centred, nullptr);                             \
        else forward_any<false, 32, 1>(out, stats, x, weight, bias, n, channels, eps, centred, nullptr);                                  \
    }                                                                                                                                     \
    ENTRY_RESIDENT(256, 4)                                                                                                                \
    norm_forward_block_##to##_##from(NUMBER(to) *out, float *stats, const NUMBER(from) *x, const float *weight, const float *bias,        \
                                     long long n, int channels, float eps, int centred) {                                                 \
        __shared__ float room[64];                                                                                                        \
        bool whole = channels % V == 0 && fits_vectors<V>(out) && fits_vectors<V>(x) && fits_vectors<V>(weight) && fits_vectors<V>(bias); \
        FAST(if (whole && channels <= 4096) return forward_held<256, 2, 4>(out, stats, x, weight, bias, n, channels, eps, centred, room);) \
        if (whole) forward_any<true, 256, 2>(out, stats, x, weight, bias, n, channels, eps, centred, room);                          \
        else forward_any<false, 256, 2>(out, stats, x, weight, bias, n, channels, eps, centred, room);                                    \
    }
NORM_FORWARD(f32, f32, EVERY_WIDTH)
NORM_FORWARD(f32, bf16, ANY_WIDTH)
NORM_FORWARD(bf16, f32, EVERY_WIDTH)
NORM_FORWARD(bf16, bf16, EVERY_WIDTH)

#define NORM_BACKWARD_BY(to, d, from, rounds, rounded, FAST)                                                                                    \
    [[maybe_unused]] constexpr int AHEAD = sizeof(NUMBER(to)) == 2 && sizeof(NUMBER(d)) == 2 && sizeof(NUMBER(from)) == 2 ? 8 : 4;              \
    SHARED_MEMORY(memory);                                                                                                                      \
    float *floats = reinterpret_cast<float *>(memory);                                                                                          \
    bool whole = channels % V == 0 && fits_vectors<V>(dx) && fits_vectors<V>(dout) && fits_vectors<V>(x) && fits_vectors<V>(weight) &&          \
                 fits_vectors<V>(static_cast<const bf16 *>(rounded));                                                                           \
    FAST(if (whole && channels <= 256 * V) return backward_held<1, AHEAD, rounds>(dx, rounded, parts, dout, x, weight, stats, n, channels, centred, with_bias, floats); \
         if (whole && channels <= 512 * V) return backward_held<2, AHEAD / 2, rounds>(dx, rounded, parts, dout, x, weight, stats, n, channels, centred, with_bias, floats); \
         if constexpr (sizeof(NUMBER(to)) == 2) if (whole && channels <= 1024 * V) return backward_held<4, 1, rounds>(dx, rounded, parts, dout, x, weight, stats, n, channels, centred, with_bias, floats);) \
    if (whole) return backward_any<true, rounds>(dx, rounded, parts, dout, x, weight, stats, n, channels, centred, with_bias, floats);          \
    backward_any<false, rounds>(dx, rounded, parts, dout, x, weight, stats, n, channels, centred, with_bias, floats);
#define NORM_BACKWARD(to, d, from, FAST)                                                                                                        \
    ENTRY_RESIDENT(256, 2)                                                                                                                      \
    norm_backward_##to##_##d##_##from(NUMBER(to) *dx, float *parts, const NUMBER(d) *dout, const NUMBER(from) *x, const float *weight,          \
                                      const float *stats, long long n, int channels, int centred, int with_bias) {                              \
        NORM_BACKWARD_BY(to, d, from, false, nullptr, FAST)                                                                                     \
    }
NORM_BACKWARD(f32, f32, f32, EVERY_WIDTH)
NORM_BACKWARD(f32, f32, bf16, ANY_WIDTH)
NORM_BACKWARD(f32, bf16, bf16, ANY_WIDTH)
NORM_BACKWARD(bf16, f32, f32, ANY_WIDTH)
NORM_BACKWARD(bf16, f32, bf16, ANY_WIDTH)
NORM_BACKWARD(bf16, bf16, f32, ANY_WIDTH)
NORM_BACKWARD(bf16, bf16, bf16, EVERY_WIDTH)

// The residual stream's gradient beside rows of bf16. The next product reads it rounded, where `rounded` is given.
ENTRY_RESIDENT(256, 2)
norm_backward_rounded(float *dx, bf16 *rounded, float *parts, const bf16 *dout, const float *x, const float *weight, const float *stats, long long n, int channels,
                      int centred, int with_bias) {
    NORM_BACKWARD_BY(f32, bf16, f32, true, rounded, EVERY_WIDTH)
}
