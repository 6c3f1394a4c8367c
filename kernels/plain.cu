// Fills, copies with a change of type, sums of two, sums of squares.
//
// Formula: out = value; out = x; out += x; out = sum of x^2.
// Shapes: flat, `n` numbers.
// Requirements: none; addresses that are multiples of 16 are read and written 16 bytes at a time.
// Launch: blocks of 256 threads; a thread does 16 bytes (fill) or 8 numbers (copy, add). Sums of squares: a fixed number of blocks, each over a
// run of its own, then one block over their sums.
// Numerics: exact up to rounding to `out`; sums of squares are f32 per thread over strided runs, in an order that depends on n alone.
// Bound: bytes.
#include "polder.cuh"

namespace {

constexpr int RUN = 8;

template <bool accumulate, class O, class X> __device__ void combine(O *out, const X *x, long long n) {
    long long first = (blockIdx.x * 256ll + threadIdx.x) * RUN;
    if (first + RUN <= n && is_aligned_16(out) && is_aligned_16(x)) {
        float a[RUN], b[RUN];
        load_row<RUN>(x + first, a);
        if (accumulate) {
            load_row<RUN>(out + first, b);
            UNROLL for (int i = 0; i < RUN; i++) a[i] = b[i] + a[i];
        }
        store_row<RUN>(out + first, a);
        return;
    }
    for (long long i = first; i < first + RUN && i < n; i++) {
        float sum = to_float(x[i]);
        if (accumulate) sum = to_float(out[i]) + sum;
        out[i] = from_float<O>(sum);
    }
}

template <class T> __device__ void fill(T *out, long long n, float value) {
    constexpr int N = PER_16<T>;
    long long first = (blockIdx.x * 256ll + threadIdx.x) * N;
    if (first + N <= n && is_aligned_16(out)) {
        float a[N];
        UNROLL for (int i = 0; i < N; i++) a[i] = value;
        return store_16(out + first, a);
    }
    for (long long i = first; i < first + N && i < n; i++) out[i] = from_float<T>(value);
}

template <class T> __device__ void sum_squares(float *parts, const T *x, long long n) {
    __shared__ float room[32];
    // Whole runs of 8 numbers a thread and round, so that a block's part is contiguous.
    long long per_block = (n + gridDim.x * RUN * 256ll - 1) / (gridDim.x * RUN * 256ll) * RUN * 256;
    long long begin = blockIdx.x * per_block, end = min(n, begin + per_block);
    bool wide = is_aligned_16(x);
    float sum = 0.0f;
    for (long long first = begin + threadIdx.x * RUN; first < end; first += 256 * RUN) {
        if (wide && first + RUN <= end) {
            float a[RUN];
            load_row<RUN>(x + first, a);
            UNROLL for (int i = 0; i < RUN; i++) sum += a[i] * a[i];
        } else {
            for (long long i = first; i < first + RUN && i < end; i++) {
                float a = to_float(x[i]);
                sum += a * a;
            }
        }
    }
    sum = block_sum(sum, room);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

} // namespace

#define OF_ONE(type)                                                                                       \
    ENTRY(256) fill_##type(NUMBER(type) *out, long long n, float value) { fill(out, n, value); }           \
    ENTRY(256) sum_squares_parts_##type(float *parts, const NUMBER(type) *x, long long n) { sum_squares(parts, x, n); }
OF_ONE(f32)
OF_ONE(bf16)

#define OF_TWO(to, from)                                                                                                             \
    ENTRY(256) copy_##to##_##from(NUMBER(to) *out, const NUMBER(from) *x, long long n) { combine<false>(out, x, n); }                \
    ENTRY(256) add_##to##_##from(NUMBER(to) *out, const NUMBER(from) *x, long long n) { combine<true>(out, x, n); }
OF_TWO(f32, f32)
OF_TWO(f32, bf16)
OF_TWO(bf16, f32)
OF_TWO(bf16, bf16)

ENTRY(256) sum_parts(float *out, const float *parts, long long n) {
    __shared__ float room[32];
    float sum = 0.0f;
    for (long long i = threadIdx.x; i < n; i += 256) sum += parts[i];
    sum = block_sum(sum, room);
    if (threadIdx.x == 0) out[0] = sum;
}
