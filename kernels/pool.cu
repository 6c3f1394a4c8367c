// Means over ranges of rows.
//
// Formula: out[b] = mean of rows first..end of x, 0 where there are none; backward: dx[r] += dout[b] / (end - first) for the rows of each range.
// Shapes: out, dout (B, C), x, dx (N, C), ranges (B, 2): first, end.
// Requirements: none; rows whose width is a multiple of what a thread moves at once, at aligned addresses, are moved so.
// Launch: forward: a block of 8 lanes by 32 strides over a range's rows and a tile of columns. Backward: a block has 64 rows, which it looks up
// in all ranges, in their order, so that ranges may overlap; a warp has every eighth of them.
// Numerics: f32 inside, in an order that sizes decide; within 2e-6 (f32) and half a unit (bf16) of the f64 reference.
// Bound: bytes: N · C forward, 2 · N · C backward.
#include "polder.cuh"

namespace {

template <bool whole, int V, class O, class X> __device__ void mean(O *out, const X *x, const int *ranges, int channels, float *sums) {
    constexpr int LANES = 8, N_SLICES = 32, N_AHEAD = 4;
    int lane = threadIdx.x % LANES, slice = threadIdx.x / LANES, tile = blockIdx.y * LANES * V, column = tile + lane * V;
    long long b = blockIdx.x, first = ranges[2 * b], end = ranges[2 * b + 1];
    float sum[V];
    UNROLL for (int i = 0; i < V; i++) sum[i] = 0.0f;
    for (long long row = first + slice; row < end; row += N_SLICES * N_AHEAD) {
        Vector<X, V> ahead[N_AHEAD];
        UNROLL for (int j = 0; j < N_AHEAD; j++) {
            long long at = row + j * N_SLICES;
            ahead[j] = load_vector<whole, V>(x + at * channels + column, at < end ? channels - column : 0);
        }
        UNROLL for (int j = 0; j < N_AHEAD; j++) {
            UNROLL for (int i = 0; i < V; i++) sum[i] += ahead[j][i];
        }
    }
    UNROLL for (int i = 0; i < V; i++) sums[threadIdx.x * V + i] = sum[i];
    __syncthreads();
    if (threadIdx.x < LANES * V && tile + static_cast<int>(threadIdx.x) < channels) {
        float total = 0.0f;
        for (int s = 0; s < N_SLICES; s++) total += sums[s * LANES * V + threadIdx.x];
        out[b * channels + tile + threadIdx.x] = from_float<O>(end > first ? total / static_cast<float>(end - first) : 0.0f);
    }
}

/// Adds to the rows of one range that a warp has.
template <bool whole, int V, class G, class D>
__device__ void spread(G *dx, const D *dout, long long first, long long end, long long begin, int channels, float factor) {
    constexpr int N_AHEAD = 4;
    // Row begin + i belongs to warp i % 8 in every range: the thread that adds first is the one that adds next.
    long long row = begin + threadIdx.x / 32;
    if (row < first) row += (first - row + 7) / 8 * 8;
    for (; row < end; row += 8) {
        for (int base = threadIdx.x % 32 * V; base < channels; base += 32 * V * N_AHEAD) {
            Vector<G, V> g[N_AHEAD];
            UNROLL for (int j = 0; j < N_AHEAD; j++) g[j] = load_vector<whole, V>(dx + row * channels + base + j * 32 * V, channels - base - j * 32 * V);
            UNROLL for (int j = 0; j < N_AHEAD; j++) {
                int column = base + j * 32 * V;
                Vector<D, V> d = load_vector<whole, V>(dout + column, channels - column);
                float to[V];
                UNROLL for (int i = 0; i < V; i++) to[i] = g[j][i] + d[i] * factor;
                store_vector<whole, V>(dx + row * channels + column, to, channels - column);
            }
        }
    }
}

template <bool whole, int V, class G, class D>
__device__ void spread_all(G *dx, const D *dout, const int *ranges, long long n, int n_ranges, int channels, unsigned *hits) {
    long long begin = blockIdx.x * 64ll, stop = min(n, begin + 64);
    for (int base = 0; base < n_ranges; base += 256) {
        int b = base + threadIdx.x;
        bool hit = b < n_ranges && ranges[2ll * b] < stop && ranges[2ll * b + 1] > begin && ranges[2ll * b] < ranges[2ll * b + 1];
        unsigned word = __ballot_sync(0xffffffffu, hit);
        __syncthreads();
        if (threadIdx.x % 32 == 0) hits[threadIdx.x / 32] = word;
        __syncthreads();
        for (int w = 0; w < 8; w++) {
            for (unsigned left = hits[w]; left; left &= left - 1) {
                long long range = base + w * 32 + __ffs(static_cast<int>(left)) - 1;
                long long first = ranges[2 * range], end = ranges[2 * range + 1];
                float factor = 1.0f / static_cast<float>(end - first);
                spread<whole, V>(dx, dout + range * channels, max(first, begin), min(end, stop), begin, channels, factor);
            }
        }
    }
}

} // namespace

#define POOL(to, from)                                                                                                                  \
    ENTRY(256) pool_forward_##to##_##from(NUMBER(to) *out, const NUMBER(from) *x, const int *ranges, int n_ranges, int channels) {      \
        constexpr int V = PER_16<NUMBER(from)>;                                                                                         \
        SHARED_MEMORY(memory);                                                                                                          \
        float *sums = reinterpret_cast<float *>(memory);                                                                                \
        if (channels % V == 0 && fits_vectors<V>(x)) mean<true, V>(out, x, ranges, channels, sums);                                     \
        else mean<false, V>(out, x, ranges, channels, sums);                                                                            \
    }                                                                                                                                   \
    ENTRY(256)                                                                                                                          \
    pool_backward_##to##_##from(NUMBER(to) *dx, const NUMBER(from) *dout, const int *ranges, long long n, int n_ranges, int channels) { \
        constexpr int V = TOGETHER<NUMBER(to), NUMBER(from)>;                                                                           \
        __shared__ unsigned hits[8];                                                                                                    \
        bool whole = channels % V == 0 && fits_vectors<V>(dx) && fits_vectors<V>(dout);                                                 \
        if (whole) spread_all<true, V>(dx, dout, ranges, n, n_ranges, channels, hits);                                                  \
        else spread_all<false, V>(dx, dout, ranges, n, n_ranges, channels, hits);                                                       \
    }
POOL(f32, f32)
POOL(f32, bf16)
POOL(bf16, f32)
POOL(bf16, bf16)
