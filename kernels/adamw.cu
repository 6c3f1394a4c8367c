// AdamW's update of parameters and of the copy that products read, and copies that are rounded by chance.
//
// Formula: g' = g · clip; m = b1 · m + (1 − b1) · g'; v = b2 · v + (1 − b2) · g'²;
// p = p · (1 − lr · decay) − rate · m / (√v · root + eps), rate = lr / (1 − b1ᵗ), root = 1 / √(1 − b2ᵗ); working = p, rounded.
// clip = largest / (norm + 1e-6) where the norm, the root of `norm_squared`, is above it, and 1 elsewhere.
// `scalars` (7): b1, b2, eps, root, 1 − lr · decay, rate, the largest norm; in memory, for they differ from step to step where calls are replayed.
// Shapes: flat, n numbers. `segments` (S, 6) words: first number and end (lower half, upper half each), whether it decays, bits of the factor of
// the learning rate; in order, without overlap; numbers of no segment stay as they are.
// Requirements: none. What is 16 bytes wide is where all addresses are equally far from a multiple of 16.
// Launch: blocks of 256 threads, 4 numbers each.
// Numerics: f32, as on the processor but for contractions: within 2e-6 of the f64 reference over five steps. `stochastic` copies are rounded up
// with a probability that is the part cut off, by a random half-word of (key, place in the buffer) alone.
// Bound: bytes: 28 a parameter, 30 with a bf16 copy; copies 6.
#include "polder.cuh"

namespace {

constexpr int RUN = 4;

struct Step {
    float beta1, beta2, eps, root, keep, rate;
};

__device__ __forceinline__ void update(float &p, float &m, float &v, float g, const Step &s) {
    m = s.beta1 * m + (1.0f - s.beta1) * g;
    v = s.beta2 * v + (1.0f - s.beta2) * g * g;
    p = p * s.keep - s.rate * m / (sqrtf(v) * s.root + s.eps);
}

/// Two words at an aligned address. As one number, for a pair of them is written one by one.
__device__ __forceinline__ void store_pair(bf16 *to, unsigned low, unsigned high) {
    *reinterpret_cast<unsigned long long *>(to) = low | static_cast<unsigned long long>(high) << 32;
}

/// Four numbers at an address that is a multiple of their size.
__device__ __forceinline__ void store_run(float *to, const float (&x)[RUN]) { store_16(to, x); }
__device__ __forceinline__ void store_run(bf16 *to, const float (&x)[RUN]) { store_pair(to, pack(x[0], x[1]), pack(x[2], x[3])); }

/// Rounds to the nearest.
struct Nearest {
    template <class W> __device__ __forceinline__ void one(W *to, float x, long long) const { *to = from_float<W>(x); }
    template <class W> __device__ __forceinline__ void run(W *to, const float (&x)[RUN], long long) const { store_run(to, x); }
};

/// Rounds by chance: the numbers at 2i and 2i + 1 by the halves of random word i. Runs begin at even places: where a buffer begins, and at each
/// multiple of 16 bytes of its f32.
struct ByChance {
    unsigned long long key;
    __device__ __forceinline__ void one(bf16 *to, float x, long long place) const {
        *to = round_stochastically(x, random_word(key, place / 2) >> place % 2 * 16);
    }
    __device__ __forceinline__ void run(bf16 *to, const float (&x)[RUN], long long place) const {
        unsigned out[2];
        UNROLL for (int i = 0; i < 2; i++) {
            unsigned word = random_word(key, place / 2 + i);
            out[i] = round_stochastically(x[2 * i], word).bits | static_cast<unsigned>(round_stochastically(x[2 * i + 1], word >> 16).bits) << 16;
        }
        store_pair(to, out[0], out[1]);
    }
};

/// Numbers between the last multiple of 16 bytes and the address.
__device__ __forceinline__ int past_16(const float *x) { return static_cast<int>(reinterpret_cast<unsigned long long>(x) & 15) / 4; }

template <class W> __device__ __forceinline__ bool is_aligned_run(const W *x) {
    return (reinterpret_cast<unsigned long long>(x) & (RUN * sizeof(W) - 1)) == 0;
}

/// Segments of parameters that differ in how they are updated.
struct Segments {
    const int *words;
    int n;
    __device__ __forceinline__ long long at(int segment, int word) const {
        return static_cast<unsigned>(words[segment * 6 + word]) | static_cast<long long>(words[segment * 6 + word + 1]) << 32;
    }
    /// The last segment that begins at or before a place, or -1.
    __device__ __forceinline__ int find(long long place) const {
        int low = -1, high = n;
        while (high - low > 1) {
            int middle = (low + high) / 2;
            if (at(middle, 0) <= place) low = middle;
            else high = middle;
        }
        return low;
    }
    __device__ __forceinline__ Step step(int segment, Step s, float lr, float decay) const {
        float factor = __uint_as_float(words[segment * 6 + 5]);
        s.keep = 1.0f - lr * factor * (words[segment * 6 + 4] ? decay : 0.0f);
        s.rate *= factor;
        return s;
    }
};

/// `first` is where the parameters begin in the buffer that places are counted in for rounding; segments are counted from the parameters on.
template <bool segmented, class W, class Rounding>
__device__ void step(float *params, W *working, float *m, float *v, const float *grads, const float *norm_squared, const Segments &segments,
                     long long n, long long first, float clip, float lr, float decay, Step s, const Rounding &rounding) {
    long long begin = (blockIdx.x * 256ll + threadIdx.x) * RUN - past_16(params);
    bool wide = begin >= 0 && begin + RUN <= n && is_aligned_16(m + begin) && is_aligned_16(v + begin) && is_aligned_16(grads + begin) &&
                (!working || is_aligned_run(working + begin));
    if (segmented) {
        int segment = segments.find(begin + RUN - 1);
        if (segment < 0 || segments.at(segment, 2) <= begin) return;
        wide = wide && segments.at(segment, 0) <= begin && begin + RUN <= segments.at(segment, 2);
        if (wide) s = segments.step(segment, s, lr, decay);
    }
    if (wide) {
        float p[RUN], a[RUN], b[RUN], g[RUN];
        load_16(params + begin, p), load_16(m + begin, a), load_16(v + begin, b), load_16(grads + begin, g);
        // Behind the loads, so that they are under way while it is computed.
        float scale = clip_scale(norm_squared[0], clip);
        UNROLL for (int i = 0; i < RUN; i++) update(p[i], a[i], b[i], g[i] * scale, s);
        store_16(params + begin, p), store_16(m + begin, a), store_16(v + begin, b);
        if (working) rounding.run(working + begin, p, first + begin);
        return;
    }
    float scale = clip_scale(norm_squared[0], clip);
    for (long long at = max(begin, 0ll); at < begin + RUN && at < n; at++) {
        Step mine = s;
        if (segmented) {
            int segment = segments.find(at);
            if (segment < 0 || at >= segments.at(segment, 2)) continue;
            mine = segments.step(segment, s, lr, decay);
        }
        float p = params[at], a = m[at], b = v[at];
        update(p, a, b, grads[at] * scale, mine);
        params[at] = p, m[at] = a, v[at] = b;
        if (working) rounding.one(working + at, p, first + at);
    }
}

template <class Rounding> __device__ void copy(bf16 *out, const float *x, long long n, long long first, const Rounding &rounding) {
    constexpr int TWICE = 2 * RUN;
    long long begin = (blockIdx.x * 256ll + threadIdx.x) * TWICE - past_16(x);
    if (begin >= 0 && begin + TWICE <= n && is_aligned_run(out + begin)) {
        float a[RUN], b[RUN];
        load_16(x + begin, a), load_16(x + begin + RUN, b);
        rounding.run(out + begin, a, first + begin);
        rounding.run(out + begin + RUN, b, first + begin + RUN);
        return;
    }
    for (long long at = max(begin, 0ll); at < begin + TWICE && at < n; at++) rounding.one(out + at, x[at], first + at);
}

} // namespace

#define ADAMW(type)                                                                                                                       \
    ENTRY(256)                                                                                                                            \
    adamw_##type(float *params, NUMBER(type) *working, float *m, float *v, const float *grads, const float *norm_squared,                 \
                 const float *scalars, long long n) {                                                                                     \
        const float *s = scalars;                                                                                                         \
        step<false>(params, working, m, v, grads, norm_squared, Segments{}, n, 0, s[6], 0.0f, 0.0f, {s[0], s[1], s[2], s[3], s[4], s[5]}, \
                    Nearest{});                                                                                                           \
    }                                                                                                                                     \
    ENTRY(256)                                                                                                                            \
    adamw_segments_##type(float *params, NUMBER(type) *working, float *m, float *v, const float *grads, const float *norm_squared,        \
                          const int *segments, long long n, int n_segments, float beta1, float beta2, float eps, float root, float lr,    \
                          float rate, float decay, float clip) {                                                                          \
        step<true>(params, working, m, v, grads, norm_squared, Segments{segments, n_segments}, n, 0, clip, lr, decay,                     \
                   {beta1, beta2, eps, root, 1.0f, rate}, Nearest{});                                                                     \
    }
ADAMW(f32)
ADAMW(bf16)

ENTRY(256)
adamw_stochastic_bf16(float *params, bf16 *working, float *m, float *v, const float *grads, const float *norm_squared, long long n, long long first,
                      long long key, float beta1, float beta2, float eps, float root, float keep, float rate, float clip) {
    step<false>(params, working, m, v, grads, norm_squared, Segments{}, n, first, clip, 0.0f, 0.0f, {beta1, beta2, eps, root, keep, rate},
                ByChance{static_cast<unsigned long long>(key)});
}

ENTRY(256)
adamw_segments_stochastic_bf16(float *params, bf16 *working, float *m, float *v, const float *grads, const float *norm_squared, const int *segments,
                               long long n, int n_segments, long long first, long long key, float beta1, float beta2, float eps, float root, float lr, float rate,
                               float decay, float clip) {
    step<true>(params, working, m, v, grads, norm_squared, Segments{segments, n_segments}, n, first, clip, lr, decay,
               {beta1, beta2, eps, root, 1.0f, rate}, ByChance{static_cast<unsigned long long>(key)});
}

ENTRY(256) copy_stochastic_bf16(bf16 *out, const float *x, long long n, long long first, long long key) {
    copy(out, x, n, first, ByChance{static_cast<unsigned long long>(key)});
}
