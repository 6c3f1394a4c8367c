// Normalisation of heads within packed rows by their root mean square, as Qwen 3 does with queries and keys.
//
// Formula: out = x · rstd · weight, rstd = 1 / sqrt(mean of x^2 + eps), a head at a time; backward, in place: d = dx, dx = d · weight · rstd -
// x · rstd^3 · mean of d · weight · x, dweight += sum of d · x · rstd.
// Shapes: x, out, dx (N, row) of which heads `first`.. `first + n_heads` of D numbers, weight, dweight (D), rstd (N, n_heads), parts (blocks, D).
// Requirements: none; heads of at most 256 numbers, a multiple of 16 bytes, at aligned addresses, take the fast path.
// Launch: blocks of 256 threads. As many lanes as a head has eights, rounded up to a power of two, share a head; each lane holds the same 8
// columns of several heads. Backward: a number of blocks that sizes decide, each over heads of its own. Other heads: a block a head.
// Numerics: f32 inside; within 3e-6 (f32) and half a unit (bf16) of the f64 reference.
// Bound: bytes: 2 · N · n_heads · D forward, 3 · N · n_heads · D backward.
#include "polder.cuh"

namespace {

/// Numbers of a head that a lane holds.
constexpr int HELD = 8;

/// Lanes that share a head.
__device__ __forceinline__ int lanes_of_head(int head) {
    int lanes = 1;
    while (lanes < 32 && lanes * HELD < head) lanes *= 2;
    return lanes;
}

/// Where head i of all that are normalised begins.
__device__ __forceinline__ long long place(int i, int row, int first, int n_heads, int head) {
    int r = static_cast<unsigned>(i) / static_cast<unsigned>(n_heads);
    return static_cast<long long>(r) * row + (first + i - r * n_heads) * head;
}

__device__ __forceinline__ float sum_over_head(float x, int lanes) {
    for (int mask = lanes / 2; mask; mask /= 2) x += __shfl_xor_sync(0xffffffffu, x, mask);
    return x;
}

template <class T> struct Lane {
    static constexpr int V = PER_16<T>, N = HELD / V;
    Vector<T, V> held[N];

    // Vectors of a lane stand a whole group apart, so that neighbours read neighbouring addresses.
    __device__ __forceinline__ void load(const T *p, int lane, int lanes, int head, bool inside) {
        UNROLL for (int k = 0; k < N; k++) {
            int column = (k * lanes + lane) * V;
            held[k] = load_vector<true, V>(p + column, inside ? head - column : 0);
        }
    }
};

template <class T>
__device__ void forward_fast(T *out, float *rstd, const T *x, const float *weight, int n, int row, int first, int n_heads, int head, float eps) {
    constexpr int V = PER_16<T>, N = HELD / V, N_AHEAD = 4;
    int lanes = lanes_of_head(head), lane = threadIdx.x % lanes, per_block = 256 / lanes;
    int begin = blockIdx.x * per_block * N_AHEAD + threadIdx.x / lanes;
    Lane<T> h[N_AHEAD];
    long long at[N_AHEAD];
    UNROLL for (int j = 0; j < N_AHEAD; j++) {
        int i = begin + j * per_block;
        at[j] = place(i, row, first, n_heads, head);
        h[j].load(x + at[j], lane, lanes, head, i < n);
    }
    float w[N][V];
    UNROLL for (int k = 0; k < N; k++) {
        int column = (k * lanes + lane) * V;
        Vector<float, V> v = load_vector<true, V>(weight + column, head - column);
        UNROLL for (int i = 0; i < V; i++) w[k][i] = v[i];
    }
    UNROLL for (int j = 0; j < N_AHEAD; j++) {
        int i = begin + j * per_block;
        float square = 0.0f;
        UNROLL for (int k = 0; k < N; k++) {
            UNROLL for (int c = 0; c < V; c++) square += h[j].held[k][c] * h[j].held[k][c];
        }
        float factor = rsqrtf(__fdividef(sum_over_head(square, lanes), head) + eps);
        if (i < n && lane == 0) rstd[i] = factor;
        UNROLL for (int k = 0; k < N; k++) {
            int column = (k * lanes + lane) * V;
            float y[V];
            UNROLL for (int c = 0; c < V; c++) y[c] = h[j].held[k][c] * factor * w[k][c];
            store_vector<true, V>(out + at[j] + column, y, i < n ? head - column : 0);
        }
    }
}

template <class T>
__device__ void backward_fast(T *dx, float *parts, const T *x, const float *weight, const float *rstd, int n, int row, int first,
                              int n_heads, int head, float *room) {
    constexpr int V = PER_16<T>, N = HELD / V, N_AHEAD = 2;
    int lanes = lanes_of_head(head), lane = threadIdx.x % lanes, per_block = 256 / lanes, group = threadIdx.x / lanes;
    float w[N][V], dweight[N][V], part = __fdividef(1.0f, head);
    UNROLL for (int k = 0; k < N; k++) {
        int column = (k * lanes + lane) * V;
        Vector<float, V> v = load_vector<true, V>(weight + column, head - column);
        UNROLL for (int c = 0; c < V; c++) w[k][c] = v[c], dweight[k][c] = 0.0f;
    }
    int step = per_block * N_AHEAD;
    for (int begin = blockIdx.x * step; begin < n; begin += gridDim.x * step) {
        Lane<T> h[N_AHEAD], d[N_AHEAD];
        long long at[N_AHEAD];
        float factor[N_AHEAD];
        UNROLL for (int j = 0; j < N_AHEAD; j++) {
            int i = begin + j * per_block + group;
            at[j] = place(i, row, first, n_heads, head);
            h[j].load(x + at[j], lane, lanes, head, i < n);
            d[j].load(dx + at[j], lane, lanes, head, i < n);
            factor[j] = i < n ? rstd[i] : 0.0f;
        }
        UNROLL for (int j = 0; j < N_AHEAD; j++) {
            bool inside = begin + j * per_block + group < n;
            float product = 0.0f;
            UNROLL for (int k = 0; k < N; k++) {
                UNROLL for (int c = 0; c < V; c++) product += d[j].held[k][c] * w[k][c] * h[j].held[k][c];
            }
            float f = factor[j], shared = sum_over_head(product, lanes) * f * f * f * part;
            UNROLL for (int k = 0; k < N; k++) {
                int column = (k * lanes + lane) * V;
                float to[V];
                UNROLL for (int c = 0; c < V; c++) {
                    to[c] = d[j].held[k][c] * w[k][c] * f - h[j].held[k][c] * shared;
                    dweight[k][c] += d[j].held[k][c] * h[j].held[k][c] * f;
                }
                store_vector<true, V>(dx + at[j] + column, to, inside ? head - column : 0);
            }
        }
    }
    // Groups' sums in their order.
    UNROLL for (int k = 0; k < N; k++) {
        UNROLL for (int c = 0; c < V; c++) room[group * lanes * HELD + (k * lanes + lane) * V + c] = dweight[k][c];
    }
    __syncthreads();
    for (int column = threadIdx.x; column < head; column += 256) {
        float total = 0.0f;
        for (int g = 0; g < per_block; g++) total += room[g * lanes * HELD + column];
        parts[static_cast<long long>(blockIdx.x) * head + column] = total;
    }
}

/// Heads of any size, a block each.
template <class T>
__device__ void forward_any(T *out, float *rstd, const T *x, const float *weight, int n, int row, int first, int n_heads, int head,
                            float eps, float *room) {
    for (int i = blockIdx.x; i < n; i += gridDim.x) {
        long long at = place(i, row, first, n_heads, head);
        float square = 0.0f;
        for (int c = threadIdx.x; c < head; c += 256) square += to_float(x[at + c]) * to_float(x[at + c]);
        float factor = rsqrtf(__fdividef(block_sum(square, room), head) + eps);
        if (threadIdx.x == 0) rstd[i] = factor;
        for (int c = threadIdx.x; c < head; c += 256) out[at + c] = from_float<T>(to_float(x[at + c]) * factor * weight[c]);
    }
}

template <class T>
__device__ void backward_any(T *dx, float *parts, const T *x, const float *weight, const float *rstd, int n, int row, int first,
                             int n_heads, int head, float *room) {
    float *part = parts + static_cast<long long>(blockIdx.x) * head;
    for (int c = threadIdx.x; c < head; c += 256) part[c] = 0.0f;
    for (int i = blockIdx.x; i < n; i += gridDim.x) {
        long long at = place(i, row, first, n_heads, head);
        float f = rstd[i], product = 0.0f;
        for (int c = threadIdx.x; c < head; c += 256) product += to_float(dx[at + c]) * weight[c] * to_float(x[at + c]);
        float shared = __fdividef(block_sum(product, room) * f * f * f, head);
        for (int c = threadIdx.x; c < head; c += 256) {
            float d = to_float(dx[at + c]), h = to_float(x[at + c]);
            part[c] += d * h * f;
            dx[at + c] = from_float<T>(d * weight[c] * f - h * shared);
        }
    }
}

template <class T> __device__ __forceinline__ bool is_fast(const T *a, const T *b, const float *weight, int row, int head) {
    constexpr int V = PER_16<T>;
    return head <= 32 * HELD && head % V == 0 && row % V == 0 && fits_vectors<V>(a) && fits_vectors<V>(b) && fits_vectors<V>(weight);
}

} // namespace

#define HEAD_NORM(type)                                                                                                             \
    ENTRY(256)                                                                                                                      \
    head_norm_forward_##type(NUMBER(type) *out, float *rstd, const NUMBER(type) *x, const float *weight, int n, int row, int first, \
                             int n_heads, int head, float eps) {                                                                    \
        __shared__ float room[32];                                                                                                  \
        if (is_fast(out, x, weight, row, head)) forward_fast(out, rstd, x, weight, n, row, first, n_heads, head, eps);              \
        else forward_any(out, rstd, x, weight, n, row, first, n_heads, head, eps, room);                                            \
    }                                                                                                                               \
    ENTRY_RESIDENT(256, sizeof(NUMBER(type)) == 2 ? 3 : 2)                                                                          \
    head_norm_backward_##type(NUMBER(type) *dx, float *parts, const NUMBER(type) *x, const float *weight, const float *rstd, int n, \
                              int row, int first, int n_heads, int head) {                                                          \
        SHARED_MEMORY(memory);                                                                                                      \
        float *room = reinterpret_cast<float *>(memory);                                                                            \
        if (is_fast(dx, x, weight, row, head)) backward_fast(dx, parts, x, weight, rstd, n, row, first, n_heads, head, room);       \
        else backward_any(dx, parts, x, weight, rstd, n, row, first, n_heads, head, room);                                          \
    }
HEAD_NORM(f32)
HEAD_NORM(bf16)
