// The loss of logits and, in place, its gradient.
//
// Formula: y = logits, or cap · tanh(logits / cap); lse = ln Σ exp y; loss = lse − y[target]; gradient
// scale · (p − hit + 2 · z_loss · lse · p) · slope, p = exp(y − lse), slope that of the cap. A negative target: 0 and zeros.
// Shapes: losses, targets (N), logits (N, V), of which the first `n_classes` columns count and the rest become 0.
// `scale` (1) stands in memory, for it differs from step to step where calls are replayed; it is read with a gradient only.
// Requirements: none; a row is read and written 16 bytes at a time from its first aligned address to its last. Targets are below
// `n_classes`; one that is not gives a loss that is no number.
// Launch: `cross_entropy` a block of 512 threads a row, which keeps `room` bytes of its row in shared memory, half of what a multiprocessor has,
// and reads the rest again from the last to the first, as far as a cache has it. `cross_entropy_narrow` a warp a row.
// Numerics: f32; within 6e-6 (f32) and half a unit (bf16) of the f64 reference.
// Bound: bytes: a read and, with the gradient, a write of the logits.
#include "polder.cuh"

namespace {

constexpr int AHEAD = 4;
constexpr float LOG2E = 1.44269504f;
/// Stands for the largest of nothing; finite, so that differences of two are numbers.
constexpr float LOWEST = -1e38f;

/// Who works on a row: a block of 512, or a warp of it.
template <bool whole_block> struct Team {
    static constexpr int SIZE = whole_block ? 512 : 32;
    static __device__ __forceinline__ int rank() { return whole_block ? threadIdx.x : threadIdx.x % 32; }
    static __device__ __forceinline__ float sum(float x, float *room) { return whole_block ? block_sum(x, room) : warp_sum(x); }
    static __device__ __forceinline__ float largest(float x, float *room) { return whole_block ? block_max(x, room) : warp_max(x); }
};

/// The largest of what was seen, and Σ exp(y − top).
struct Spread {
    float top = LOWEST, sum = 0.0f;
};

/// exp(y − top); the difference is taken first, for it is exact where it matters.
__device__ __forceinline__ float below(float y, float top) { return exp2_fast((y - top) * LOG2E); }

template <int N> __device__ __forceinline__ void take(Spread &s, const float (&y)[N]) {
    float e[N];
    UNROLL for (int i = 0; i < N; i++) e[i] = y[i];
    // Pairs of pairs, so that neither the comparisons nor the additions wait for each other in a row.
    UNROLL for (int n = N / 2; n; n /= 2) {
        UNROLL for (int i = 0; i < n; i++) e[i] = fmaxf(e[i], e[i + n]);
    }
    if (e[0] > s.top) {
        s.sum *= below(s.top, e[0]);
        s.top = e[0];
    }
    UNROLL for (int i = 0; i < N; i++) e[i] = below(y[i], s.top);
    UNROLL for (int n = N / 2; n; n /= 2) {
        UNROLL for (int i = 0; i < n; i++) e[i] += e[i + n];
    }
    s.sum += e[0];
}

struct Settings {
    int with_gradient;
    float scale, z_loss, cap, inverse_cap;
};

template <bool capped, int N> __device__ __forceinline__ void bend(float (&x)[N], const Settings &s) {
    if (capped) {
        UNROLL for (int i = 0; i < N; i++) x[i] = s.cap * tanhf(x[i] * s.inverse_cap);
    }
}

/// Logits become their gradient, but for the target.
template <bool capped, int N> __device__ __forceinline__ void weigh(float (&x)[N], float top, float factor, const Settings &s) {
    UNROLL for (int i = 0; i < N; i++) {
        float slope = 1.0f;
        if (capped) {
            float t = tanhf(x[i] * s.inverse_cap);
            x[i] = s.cap * t;
            slope = 1.0f - t * t;
        }
        x[i] = below(x[i], top) * factor;
        if (capped) x[i] *= slope;
    }
}

/// Numbers from `x` to the first aligned address, of `n`.
template <class T> __device__ __forceinline__ int head_of(const T *x, int n) {
    int past = static_cast<int>(reinterpret_cast<unsigned long long>(x) & 15) / static_cast<int>(sizeof(T));
    return min(n, (PER_16<T> - past) % PER_16<T>);
}

template <class T> __device__ void clear(T *x, int n, int rank, int size) {
    constexpr int N = PER_16<T>;
    int head = head_of(x, n), n_chunks = (n - head) / N;
    float zeros[N] = {};
    for (int at = rank; at < n_chunks; at += size) store_16(x + head + at * N, zeros);
    int tail = head + n_chunks * N + rank - 16;
    if (rank < head) x[rank] = from_float<T>(0.0f);
    else if (rank >= 16 && tail < n) x[tail] = from_float<T>(0.0f);
}

template <bool whole_block, bool capped, class T>
__device__ __forceinline__ void row(float *loss, T *x, int target, int vocab, int n_classes, uint4 *kept, int n_kept, const Settings &s) {
    using Team = Team<whole_block>;
    constexpr int N = PER_16<T>, SIZE = Team::SIZE;
    __shared__ float room[32];
    int rank = Team::rank();
    if (target < 0 || target >= n_classes) {
        if (rank == 0) *loss = target < 0 ? 0.0f : INFINITE - INFINITE;
        if (s.with_gradient) clear(x, vocab, rank, SIZE);
        return;
    }
    // Read before anyone writes: sums over the team stand between.
    float chosen[1] = {to_float(x[target])};
    int head = head_of(x, n_classes), n_chunks = (n_classes - head) / N;
    uint4 *middle = reinterpret_cast<uint4 *>(x + head);
    // What stands before and behind the middle, less than 16 numbers each, is one number for each of the first threads.
    int edge = rank < head ? rank : rank < 16 ? n_classes : head + n_chunks * N + rank - 16;
    float outer[1];

    Spread spread;
    if (edge < n_classes) {
        outer[0] = to_float(x[edge]);
        float y[1] = {outer[0]};
        bend<capped>(y, s);
        take(spread, y);
    }
    int n_rounds = (n_chunks + AHEAD * SIZE - 1) / (AHEAD * SIZE);
    for (int round = 0; round < n_rounds; round++) {
        uint4 raw[AHEAD];
        int first = round * AHEAD * SIZE + rank;
        UNROLL for (int i = 0; i < AHEAD; i++) {
            if (first + i * SIZE < n_chunks) raw[i] = middle[first + i * SIZE];
        }
        UNROLL for (int i = 0; i < AHEAD; i++) {
            int at = first + i * SIZE;
            if (at >= n_chunks) break;
            if (whole_block && at < n_kept) kept[at] = raw[i];
            float y[N];
            unpack_16(raw[i], y);
            bend<capped>(y, s);
            take(spread, y);
        }
    }
    float top = Team::largest(spread.top, room);
    float sum = Team::sum(spread.sum * below(spread.top, top), room);

    float y[1] = {chosen[0]};
    bend<capped>(y, s);
    float mine = (top - y[0]) + logf(sum);
    if (rank == 0) *loss = mine;
    if (!s.with_gradient) return;
    float pull = 2.0f * s.z_loss * (mine + y[0]);
    float factor = s.scale * (1.0f + pull) / sum;
    // 1 is taken away first, for near 1 the rest is small.
    float p = below(y[0], top) / sum, hit = s.scale * ((p - 1.0f) + pull * p);
    if (capped) {
        float t = tanhf(chosen[0] * s.inverse_cap);
        hit *= 1.0f - t * t;
    }

    for (int round = n_rounds - 1; round >= 0; round--) {
        uint4 raw[AHEAD];
        int first = round * AHEAD * SIZE + rank;
        UNROLL for (int i = 0; i < AHEAD; i++) {
            int at = first + i * SIZE;
            if (at >= n_chunks) break;
            // A thread finds what it kept itself: no barrier is needed.
            if (whole_block && at < n_kept) raw[i] = kept[at];
            else raw[i] = middle[at];
        }
        UNROLL for (int i = 0; i < AHEAD; i++) {
            int at = first + i * SIZE;
            if (at >= n_chunks) break;
            float y[N];
            unpack_16(raw[i], y);
            weigh<capped>(y, top, factor, s);
            T *to = x + head + at * N;
            store_16(to, y);
            // By the thread that wrote there, so that the order is certain.
            int place = target - head - at * N;
            if (place >= 0 && place < N) to[place] = from_float<T>(hit);
        }
    }
    if (edge < n_classes) {
        weigh<capped>(outer, top, factor, s);
        x[edge] = from_float<T>(edge == target ? hit : outer[0]);
    }
    if (n_classes < vocab) clear(x + n_classes, vocab - n_classes, rank, SIZE);
}

template <bool whole_block, class T>
__device__ __forceinline__ void rows(float *losses, T *logits, const int *targets, long long at, int vocab, int n_classes, uint4 *kept, int room,
                                     const Settings &s) {
    T *x = logits + at * vocab;
    if (s.cap > 0.0f) row<whole_block, true>(losses + at, x, targets[at], vocab, n_classes, kept, room / 16, s);
    else row<whole_block, false>(losses + at, x, targets[at], vocab, n_classes, kept, room / 16, s);
}

} // namespace

#define CROSS_ENTROPY(type)                                                                                                           \
    ENTRY_RESIDENT(512, 2)                                                                                                            \
    cross_entropy_##type(float *losses, NUMBER(type) *logits, const int *targets, const float *scale, long long n, int vocab,         \
                         int n_classes, int room, int with_gradient, float z_loss, float soft_cap) {                                  \
        SHARED_MEMORY(kept);                                                                                                          \
        Settings s{with_gradient, with_gradient ? scale[0] : 0.0f, z_loss, soft_cap, 1.0f / soft_cap};                                \
        rows<true>(losses, logits, targets, blockIdx.x, vocab, n_classes, reinterpret_cast<uint4 *>(kept), room, s);                  \
    }                                                                                                                                 \
    ENTRY(256)                                                                                                                        \
    cross_entropy_narrow_##type(float *losses, NUMBER(type) *logits, const int *targets, const float *scale, long long n, int vocab,  \
                                int n_classes, int with_gradient, float z_loss, float soft_cap) {                                     \
        long long at = blockIdx.x * 8ll + threadIdx.x / 32;                                                                           \
        Settings s{with_gradient, with_gradient ? scale[0] : 0.0f, z_loss, soft_cap, 1.0f / soft_cap};                                \
        if (at < n) rows<false>(losses, logits, targets, at, vocab, n_classes, nullptr, 0, s);                                        \
    }
CROSS_ENTROPY(f32)
CROSS_ENTROPY(bf16)
