// Rotation of heads by their row's position, in place.
//
// Formula: (x[i], x[i + D/2]) = (x[i] · cos - x[i + D/2] · sin, x[i + D/2] · cos + x[i] · sin); the inverse turns sin's sign.
// Shapes: x (N, row) of which the leading `n_rotated` heads of D numbers; table: cosines (T, D/2), then sines (T, D/2); positions (N).
// Requirements: none; halves and rows of a multiple of 16 bytes, at aligned addresses, are moved 16 bytes at a time.
// Launch: blocks of 256 threads; a thread turns one vector of pairs in four heads of a row, with the same cosines and sines.
// Numerics: f32 inside; within 1e-6 (f32) and half a unit (bf16) of the f64 reference.
// Bound: bytes: 2 · N · n_rotated · D.
#include "polder.cuh"

namespace {

template <bool whole, class T>
__device__ void rotate(T *x, const float *table, const int *positions, long long n, int row, int head, int n_rotated, int time, float sign) {
    constexpr int V = PER_16<T>, N_HEADS = 4;
    int half = head / 2, n_vectors = (half + V - 1) / V, per_row = (n_rotated + N_HEADS - 1) / N_HEADS * n_vectors;
    // One division of 64 bits for the block, and a small one for each thread.
    long long begin = blockIdx.x * 256ll, r = begin / per_row;
    unsigned rest = static_cast<unsigned>(begin - r * per_row) + threadIdx.x;
    r += rest / per_row, rest %= per_row;
    if (r >= n) return;
    int first_head = rest / n_vectors * N_HEADS, i = rest % n_vectors * V, count = half - i;
    T *from = x + r * row + static_cast<long long>(first_head) * head + i;
    const float *cosines = table + static_cast<long long>(positions[r]) * half + i, *sines = cosines + static_cast<long long>(time) * half;
    // What is loaded one by one takes more registers.
    constexpr int AT_ONCE = whole ? N_HEADS : 1;
    UNROLL_BY(1) for (int first = first_head; first < min(n_rotated, first_head + N_HEADS); first += AT_ONCE, from += AT_ONCE * head) {
        Vector<T, V> low[AT_ONCE], high[AT_ONCE];
        UNROLL for (int h = 0; h < AT_ONCE; h++) {
            int here = first + h < n_rotated ? count : 0;
            low[h] = load_vector<whole, V>(from + h * head, here);
            high[h] = load_vector<whole, V>(from + h * head + half, here);
        }
        Vector<float, V> c = load_vector<whole, V>(cosines, count), s = load_vector<whole, V>(sines, count);
        float turned[V];
        UNROLL for (int j = 0; j < V; j++) turned[j] = s[j] * sign;
        UNROLL for (int h = 0; h < AT_ONCE; h++) {
            int here = first + h < n_rotated ? count : 0;
            float a[V], b[V];
            UNROLL for (int j = 0; j < V; j++) {
                a[j] = low[h][j] * c[j] - high[h][j] * turned[j];
                b[j] = high[h][j] * c[j] + low[h][j] * turned[j];
            }
            store_vector<whole, V>(from + h * head, a, here);
            store_vector<whole, V>(from + h * head + half, b, here);
        }
    }
}

} // namespace

#define ROPE(type)                                                                                                                  \
    ENTRY_RESIDENT(256, 3)                                                                                                          \
    rope_##type(NUMBER(type) *x, const float *table, const int *positions, long long n, int row, int head, int n_rotated, int time, \
                float sign) {                                                                                                       \
        constexpr int V = PER_16<NUMBER(type)>;                                                                                     \
        bool whole = head / 2 % V == 0 && row % V == 0 && fits_vectors<V>(x) && fits_vectors<V>(table);                             \
        if (whole) rotate<true>(x, table, positions, n, row, head, n_rotated, time, sign);                                          \
        else rotate<false>(x, table, positions, n, row, head, n_rotated, time, sign);                                               \
    }
ROPE(f32)
ROPE(bf16)
