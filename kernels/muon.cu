// Muon's update, what stands between its matrix products.
//
// Formula: g' = g · clip; m = mu · m + (1 − mu) · g'; x = mu · m + (1 − mu) · g', divided by max(‖x‖, 1e-7); five times, of the smaller square
// s = x·xᵀ: x = a · x + (b · s + c · s·s)·x; at last p = p · keep − rate · x; working = p, rounded.
// How: what products read may be rounded to bf16, and the parts of the sum above nearly cancel. So s is centred, s = e + s' with e the mean of its
// diagonal: then b · s + c · s·s = d + (b + 2ce) · s' + c · s'·s', d = be + ce², where s' is small when x is nearly orthogonal, and
// x = growth · (x + mixed·x), growth = a + d, mixed = ((b + 2ce) · s' + c · s'·s') / growth. Growth is 0.6 at least, whatever e. The matrix in memory
// is never scaled: `factor`, from the norm and every growth, is a number of the device's own.
// Shapes: flat, n numbers; a matrix (rows, columns) or its square (n, n). `scalars` (4): ‖x‖², factor, e, growth.
// `step` (4), which the host puts there: mu, 1 − lr · decay, rate, the largest norm.
// Requirements: none; what lies at multiples of 16 bytes is read and written 16 bytes at a time.
// Launch: blocks of 256 threads, 8 numbers each; the momentum's blocks are a number that n decides, each over a run of its own, for the sum of
// squares of x is made in its order; the trace is one block's.
// Numerics: f32; within 2e-5 of the f64 reference with products of f32, within 1e-2 of the update with products of bf16 (with s not centred: 4e-2).
// Bound: bytes: momentum 20 a number (18 for a bf16 copy), `centre` 8 (10), `mix` 12 (10), update 12 (14 with a bf16 copy).
#include "polder.cuh"

namespace {

constexpr int RUN = 8;
constexpr float EPS = 1e-7f;

/// Where a thread's run begins.
__device__ __forceinline__ long long first_of_run() { return (blockIdx.x * 256ll + threadIdx.x) * RUN; }

template <int N, class T>
__device__ __forceinline__ float momentum_run(float *x, T *copy, float *momentum, const float *grads, long long at, float scale, float mu) {
    float m[N], g[N];
    if constexpr (N > 1) load_row<N>(momentum + at, m), load_row<N>(grads + at, g);
    else m[0] = momentum[at], g[0] = grads[at];
    float sum = 0.0f;
    UNROLL for (int i = 0; i < N; i++) {
        g[i] *= scale;
        m[i] = mu * m[i] + (1.0f - mu) * g[i];
        g[i] = mu * m[i] + (1.0f - mu) * g[i];
        sum += g[i] * g[i];
    }
    if constexpr (N > 1) store_row<N>(momentum + at, m), store_row<N>(x + at, g), store_row<N>(copy + at, g);
    else momentum[at] = m[0], x[at] = g[0], copy[at] = from_float<T>(g[0]);
    return sum;
}

template <class T>
__device__ void momentum_parts(float *x, T *copy, float *momentum, float *parts, const float *grads, const float *norm_squared, const float *step,
                               long long n) {
    __shared__ float room[32];
    // Whole runs, so that a block's part is contiguous.
    long long per_block = (n + gridDim.x * RUN * 256ll - 1) / (gridDim.x * RUN * 256ll) * RUN * 256;
    long long begin = blockIdx.x * per_block, end = min(n, begin + per_block);
    bool wide = is_aligned_16(x) && is_aligned_16(copy) && is_aligned_16(momentum) && is_aligned_16(grads);
    float mu = step[0], scale = clip_scale(norm_squared[0], step[3]), sum = 0.0f;
    for (long long first = begin + threadIdx.x * RUN; first < end; first += 256 * RUN) {
        if (wide && first + RUN <= end) sum += momentum_run<RUN>(x, copy, momentum, grads, first, scale, mu);
        else {
            for (long long at = first; at < first + RUN && at < end; at++) sum += momentum_run<1>(x, copy, momentum, grads, at, scale, mu);
        }
    }
    sum = block_sum(sum, room);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

/// Where `scalars` keeps what.
enum Scalar { NORM_SQUARED, FACTOR, CENTRE, GROWTH };

/// `past` is how far `at` is from the last place on the diagonal, in a matrix of `n` columns.
template <int N, class T> __device__ __forceinline__ void centre_run(T *out, float *square, long long at, int past, int n, float scale, float centre) {
    float s[N];
    if constexpr (N > 1) load_row<N>(square + at, s);
    else s[0] = square[at];
    UNROLL for (int i = 0; i < N; i++) {
        s[i] *= scale;
        if (past == 0) s[i] -= centre;
        past = past == n ? 0 : past + 1;
    }
    if constexpr (N > 1) store_row<N>(square + at, s);
    else square[at] = s[0];
    if (!out) return;
    if constexpr (N > 1) store_row<N>(out + at, s);
    else out[at] = from_float<T>(s[0]);
}

template <class T> __device__ void centre(T *out, float *square, const float *scalars, int n) {
    long long first = first_of_run(), end = min(first + RUN, static_cast<long long>(n) * n);
    if (first >= end) return;
    float scale = scalars[FACTOR] * scalars[FACTOR], mean = scalars[CENTRE];
    int past = static_cast<int>(first % (n + 1ll));
    if (first + RUN == end && is_aligned_16(out) && is_aligned_16(square)) return centre_run<RUN>(out, square, first, past, n, scale, mean);
    for (long long at = first; at < end; at++) {
        centre_run<1>(out, square, at, past, n, scale, mean);
        past = past == n ? 0 : past + 1;
    }
}

template <int N, class T> __device__ __forceinline__ void mix_run(T *out, const float *square, const float *fourth, long long at, float b, float c) {
    float s[N], f[N];
    if constexpr (N > 1) load_row<N>(square + at, s), load_row<N>(fourth + at, f);
    else s[0] = square[at], f[0] = fourth[at];
    UNROLL for (int i = 0; i < N; i++) s[i] = b * s[i] + c * f[i];
    if constexpr (N > 1) store_row<N>(out + at, s);
    else out[at] = from_float<T>(s[0]);
}

template <class T> __device__ void mix(T *out, const float *square, const float *fourth, const float *scalars, long long n, float b, float c) {
    long long first = first_of_run();
    float shrink = 1.0f / scalars[GROWTH];
    b = (b + 2.0f * c * scalars[CENTRE]) * shrink, c *= shrink;
    if (first + RUN <= n && is_aligned_16(out) && is_aligned_16(square) && is_aligned_16(fourth)) return mix_run<RUN>(out, square, fourth, first, b, c);
    for (long long at = first; at < first + RUN && at < n; at++) mix_run<1>(out, square, fourth, at, b, c);
}

template <int N, class W> __device__ __forceinline__ void update_run(float *params, W *working, const float *x, long long at, float keep, float rate) {
    float p[N], y[N];
    if constexpr (N > 1) load_row<N>(params + at, p), load_row<N>(x + at, y);
    else p[0] = params[at], y[0] = x[at];
    UNROLL for (int i = 0; i < N; i++) p[i] = p[i] * keep - rate * y[i];
    if constexpr (N > 1) store_row<N>(params + at, p);
    else params[at] = p[0];
    if (!working) return;
    if constexpr (N > 1) store_row<N>(working + at, p);
    else working[at] = from_float<W>(p[0]);
}

template <class W> __device__ void update(float *params, W *working, const float *x, const float *scalars, const float *step, long long n) {
    long long first = first_of_run();
    bool wide = is_aligned_16(params) && is_aligned_16(working) && is_aligned_16(x);
    float keep = step[1], rate = step[2] * (scalars[FACTOR] * scalars[GROWTH]);
    if (first + RUN <= n && wide) return update_run<RUN>(params, working, x, first, keep, rate);
    for (long long at = first; at < first + RUN && at < n; at++) update_run<1>(params, working, x, at, keep, rate);
}

} // namespace

ENTRY(256) muon_trace(float *scalars, const float *square, int n, int first, float a, float b, float c) {
    __shared__ float room[32];
    float sum = 0.0f;
    for (int i = threadIdx.x; i < n; i += 256) sum += square[i * (n + 1ll)];
    sum = block_sum(sum, room);
    if (threadIdx.x) return;
    float factor = first ? 1.0f / fmaxf(sqrtf(scalars[NORM_SQUARED]), EPS) : scalars[FACTOR] * scalars[GROWTH];
    float centre = sum / n * factor * factor;
    scalars[FACTOR] = factor, scalars[CENTRE] = centre, scalars[GROWTH] = a + centre * (b + c * centre);
}

// The momentum has a bound of five blocks, for what the compiler aims at by itself, six, costs a spill.
#define MUON(type)                                                                                                                        \
    ENTRY_RESIDENT(256, 5)                                                                                                                \
    muon_momentum_##type(float *x, NUMBER(type) *copy, float *momentum, float *parts, const float *grads, const float *norm_squared,      \
                         const float *step, long long n) {                                                                                \
        momentum_parts(x, copy, momentum, parts, grads, norm_squared, step, n);                                                           \
    }                                                                                                                                     \
    ENTRY(256) muon_centre_##type(NUMBER(type) *out, float *square, const float *scalars, int n) { centre(out, square, scalars, n); }     \
    ENTRY(256)                                                                                                                            \
    muon_mix_##type(NUMBER(type) *out, const float *square, const float *fourth, const float *scalars, long long n, float b, float c) {   \
        mix(out, square, fourth, scalars, n, b, c);                                                                                       \
    }                                                                                                                                     \
    ENTRY(256)                                                                                                                            \
    muon_update_##type(float *params, NUMBER(type) *working, const float *x, const float *scalars, const float *step, long long n) {      \
        update(params, working, x, scalars, step, n);                                                                                     \
    }
MUON(f32)
MUON(bf16)
