// Activations and their slopes.
//
// Formula: out = act(x), or act(gate) · up for gated kinds, whose rows hold gate then up; backward: dx = dout · act'(x), and for gated kinds
// dgate = dout · up · act'(gate), dup = dout · act(gate).
// Shapes: x, dx (N, F · inputs), out, dout (N, F); `n` = N · F.
// Requirements: none; rows whose width is a multiple of 16 bytes, at aligned addresses, are read 16 bytes at a time.
// Launch: blocks of 256 threads, each thread 16 bytes of `out`.
// Numerics: f32 inside; within 1e-6 (f32) and half a unit (bf16) of the f64 reference.
// Bound: bytes: (inputs + 1) · N · F forward, (2 · inputs + 1) · N · F backward.
#include "polder.cuh"

namespace {

// As `Activation` in the launcher numbers them.
enum Kind { SWIGLU, GEGLU, GELU, GELU_TANH, RELU_SQUARED, TANH };

struct Bent {
    float value, slope;
};

template <int kind> __device__ __forceinline__ Bent bend(float x) {
    if (kind == SWIGLU) {
        float s = 1.0f / (1.0f + __expf(-x));
        return {x * s, s + x * s * (1.0f - s)};
    }
    if (kind == GEGLU || kind == GELU) {
        float phi = 0.5f * (1.0f + erff(x * 0.70710678f));
        return {x * phi, phi + x * 0.39894228f * __expf(-0.5f * x * x)};
    }
    if (kind == GELU_TANH) {
        const float c = 0.79788456f, a = 0.044715f;
        float t = tanhf(c * (x + a * x * x * x));
        return {0.5f * x * (1.0f + t), 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * c * (1.0f + 3.0f * a * x * x)};
    }
    if (kind == RELU_SQUARED) {
        float r = fmaxf(x, 0.0f);
        return {r * r, 2.0f * r};
    }
    float t = tanhf(x);
    return {t, 1.0f - t * t};
}

template <int kind> constexpr int N_INPUTS = kind == SWIGLU || kind == GEGLU ? 2 : 1;

template <int kind, int N, class T> __device__ __forceinline__ void forward_run(T *out, const T *x, long long at, long long width) {
    float a[N], y[N];
    const T *from = x + at / width * width * N_INPUTS<kind> + at % width;
    if constexpr (N > 1) load_row<N>(from, a);
    else a[0] = to_float(*from);
    UNROLL for (int i = 0; i < N; i++) y[i] = bend<kind>(a[i]).value;
    if (N_INPUTS<kind> == 2) {
        float up[N];
        if constexpr (N > 1) load_row<N>(from + width, up);
        else up[0] = to_float(from[width]);
        UNROLL for (int i = 0; i < N; i++) y[i] *= up[i];
    }
    if constexpr (N > 1) store_row<N>(out + at, y);
    else out[at] = from_float<T>(y[0]);
}

template <int kind, int N, class T> __device__ __forceinline__ void backward_run(T *dx, const T *dout, const T *x, long long at, long long width) {
    float a[N], d[N], gate[N], up[N];
    long long first = at / width * width * N_INPUTS<kind> + at % width;
    if constexpr (N > 1) load_row<N>(x + first, a), load_row<N>(dout + at, d);
    else a[0] = to_float(x[first]), d[0] = to_float(dout[at]);
    if (N_INPUTS<kind> == 2) {
        if constexpr (N > 1) load_row<N>(x + first + width, up);
        else up[0] = to_float(x[first + width]);
    }
    UNROLL for (int i = 0; i < N; i++) {
        Bent b = bend<kind>(a[i]);
        gate[i] = d[i] * b.slope * (N_INPUTS<kind> == 2 ? up[i] : 1.0f);
        up[i] = d[i] * b.value;
    }
    if constexpr (N > 1) store_row<N>(dx + first, gate);
    else dx[first] = from_float<T>(gate[0]);
    if (N_INPUTS<kind> == 2) {
        if constexpr (N > 1) store_row<N>(dx + first + width, up);
        else dx[first + width] = from_float<T>(up[0]);
    }
}

template <int kind, class T> __device__ void forward(T *out, const T *x, long long n, long long width) {
    constexpr int N = PER_16<T>;
    bool wide = width % N == 0 && is_aligned_16(out) && is_aligned_16(x);
    long long first = (blockIdx.x * 256ll + threadIdx.x) * N;
    if (first >= n) return;
    if (wide) return forward_run<kind, N>(out, x, first, width);
    for (long long at = first; at < first + N && at < n; at++) forward_run<kind, 1>(out, x, at, width);
}

template <int kind, class T> __device__ void backward(T *dx, const T *dout, const T *x, long long n, long long width) {
    constexpr int N = PER_16<T>;
    bool wide = width % N == 0 && is_aligned_16(dx) && is_aligned_16(dout) && is_aligned_16(x);
    long long first = (blockIdx.x * 256ll + threadIdx.x) * N;
    if (first >= n) return;
    if (wide) return backward_run<kind, N>(dx, dout, x, first, width);
    for (long long at = first; at < first + N && at < n; at++) backward_run<kind, 1>(dx, dout, x, at, width);
}

} // namespace

#define ACTIVATIONS(type)                                                                                                              \
    ENTRY(256) activation_forward_##type(NUMBER(type) *out, const NUMBER(type) *x, long long n, long long width, int kind) {           \
        switch (kind) {                                                                                                                \
        case SWIGLU: return forward<SWIGLU>(out, x, n, width);                                                                         \
        case GEGLU: return forward<GEGLU>(out, x, n, width);                                                                           \
        case GELU: return forward<GELU>(out, x, n, width);                                                                             \
        case GELU_TANH: return forward<GELU_TANH>(out, x, n, width);                                                                   \
        case RELU_SQUARED: return forward<RELU_SQUARED>(out, x, n, width);                                                             \
        case TANH: return forward<TANH>(out, x, n, width);                                                                             \
        }                                                                                                                              \
    }                                                                                                                                  \
    ENTRY(256)                                                                                                                         \
    activation_backward_##type(NUMBER(type) *dx, const NUMBER(type) *dout, const NUMBER(type) *x, long long n, long long width, int kind) { \
        switch (kind) {                                                                                                                \
        case SWIGLU: return backward<SWIGLU>(dx, dout, x, n, width);                                                                   \
        case GEGLU: return backward<GEGLU>(dx, dout, x, n, width);                                                                     \
        case GELU: return backward<GELU>(dx, dout, x, n, width);                                                                       \
        case GELU_TANH: return backward<GELU_TANH>(dx, dout, x, n, width);                                                             \
        case RELU_SQUARED: return backward<RELU_SQUARED>(dx, dout, x, n, width);                                                       \
        case TANH: return backward<TANH>(dx, dout, x, n, width);                                                                       \
        }                                                                                                                              \
    }
ACTIVATIONS(f32)
ACTIVATIONS(bf16)
