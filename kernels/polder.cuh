// What all kernels share: numbers, loads of 16 bytes, sums in a fixed order, small matrix products.
//
// A source reads the same on a GPU and on the CPU (`emulation/`): what is an instruction of its own stands here, in a function with two bodies.
// Nothing here sums in an order that depends on timing.
#pragma once

#ifdef POLDER_EMULATION
#include "emulation/emulation.h"
#define SHARED_MEMORY(name) unsigned char *name = emulation::shared()
#define UNROLL
#define UNROLL_BY(n)
#else
#define SHARED_MEMORY(name) extern __shared__ __align__(1024) unsigned char name[]
#define UNROLL _Pragma("unroll")
#define PRAGMA(text) _Pragma(#text)
#define UNROLL_BY(n) PRAGMA(unroll n)
#endif

/// An entry point whose blocks have `threads` threads.
#define ENTRY(threads) extern "C" __global__ void __launch_bounds__(threads)
/// The same with the number of blocks that must fit on a multiprocessor.
#define ENTRY_RESIDENT(threads, blocks) extern "C" __global__ void __launch_bounds__(threads, blocks)

constexpr float INFINITE = __builtin_huge_valf();

/// The upper half of an f32.
struct __align__(2) bf16 {
    unsigned short bits;
};

/// The type that an entry point's name says: `f32` or `bf16`.
#define NUMBER(type) NUMBER_##type
#define NUMBER_f32 float
#define NUMBER_bf16 bf16

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(bf16 x) { return __uint_as_float(static_cast<unsigned>(x.bits) << 16); }

/// Two numbers rounded to the nearest, ties to even; the first in the lower half.
__device__ __forceinline__ unsigned pack(float low, float high) {
#ifdef POLDER_EMULATION
    auto round = [](float x) {
        unsigned bits = __float_as_uint(x);
        return x != x ? 0x7fffu : (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    };
    return round(low) | round(high) << 16;
#else
    unsigned out;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(out) : "f"(high), "f"(low));
    return out;
#endif
}
__device__ __forceinline__ float low_half(unsigned x) { return __uint_as_float(x << 16); }
__device__ __forceinline__ float high_half(unsigned x) { return __uint_as_float(x & 0xffff0000u); }

template <class T> __device__ __forceinline__ T from_float(float x);
template <> __device__ __forceinline__ float from_float<float>(float x) { return x; }
template <> __device__ __forceinline__ bf16 from_float<bf16>(float x) { return bf16{static_cast<unsigned short>(pack(x, 0.0f) & 0xffff)}; }

/// Rounds up or down by a random number, so that the mean is right.
__device__ __forceinline__ bf16 round_stochastically(float x, unsigned random) {
    unsigned bits = __float_as_uint(x);
    // Infinities and what is no number stay what they are.
    if ((bits & 0x7f800000u) == 0x7f800000u) return from_float<bf16>(x);
    return bf16{static_cast<unsigned short>((bits + (random & 0xffffu)) >> 16)};
}

/// A random word that depends on its key and counter alone.
///
/// Source: Widynski, Squares: a fast counter-based RNG, 2020 (the 32-bit generator of four rounds).
__device__ __forceinline__ unsigned random_word(unsigned long long key, unsigned long long counter) {
    unsigned long long x = counter * key, y = x, z = y + key;
    x = x * x + y;
    x = x >> 32 | x << 32;
    x = x * x + z;
    x = x >> 32 | x << 32;
    x = x * x + y;
    x = x >> 32 | x << 32;
    return static_cast<unsigned>((x * x + z) >> 32);
}

/// What gradients are multiplied by, so that their norm is at most `largest`; 1 for a largest of 0.
__device__ __forceinline__ float clip_scale(float norm_squared, float largest) {
    float norm = sqrtf(norm_squared);
    return largest > 0.0f && norm > largest ? largest / (norm + 1e-6f) : 1.0f;
}

/// How many numbers of a type fill 16 bytes.
template <class T> constexpr int PER_16 = 16 / static_cast<int>(sizeof(T));

__device__ __forceinline__ bool is_aligned_16(const void *p) { return (reinterpret_cast<unsigned long long>(p) & 15) == 0; }

/// Loads 16 bytes of numbers. The address must be aligned.
__device__ __forceinline__ void load_16(const float *p, float (&out)[4]) {
    float4 v = *reinterpret_cast<const float4 *>(p);
    out[0] = v.x, out[1] = v.y, out[2] = v.z, out[3] = v.w;
}
__device__ __forceinline__ void load_16(const bf16 *p, float (&out)[8]) {
    uint4 v = *reinterpret_cast<const uint4 *>(p);
    unsigned words[4] = {v.x, v.y, v.z, v.w};
    UNROLL for (int i = 0; i < 4; i++) out[2 * i] = low_half(words[i]), out[2 * i + 1] = high_half(words[i]);
}

/// The numbers in 16 bytes that were loaded as they are: what waits for its turn takes half the registers.
__device__ __forceinline__ void unpack_16(uint4 raw, float (&out)[4]) {
    out[0] = __uint_as_float(raw.x), out[1] = __uint_as_float(raw.y), out[2] = __uint_as_float(raw.z), out[3] = __uint_as_float(raw.w);
}
__device__ __forceinline__ void unpack_16(uint4 raw, float (&out)[8]) {
    unsigned words[4] = {raw.x, raw.y, raw.z, raw.w};
    UNROLL for (int i = 0; i < 4; i++) out[2 * i] = low_half(words[i]), out[2 * i + 1] = high_half(words[i]);
}

/// Stores 16 bytes of numbers. The address must be aligned.
__device__ __forceinline__ void store_16(float *p, const float (&x)[4]) { *reinterpret_cast<float4 *>(p) = float4{x[0], x[1], x[2], x[3]}; }
__device__ __forceinline__ void store_16(bf16 *p, const float (&x)[8]) {
    *reinterpret_cast<uint4 *>(p) = uint4{pack(x[0], x[1]), pack(x[2], x[3]), pack(x[4], x[5]), pack(x[6], x[7])};
}

/// Loads N numbers, N · sizeof(T) a multiple of 16, from an aligned address.
template <int N, class T> __device__ __forceinline__ void load_row(const T *p, float (&out)[N]) {
    UNROLL for (int i = 0; i < N; i += PER_16<T>) {
        float part[PER_16<T>];
        load_16(p + i, part);
        UNROLL for (int j = 0; j < PER_16<T>; j++) out[i + j] = part[j];
    }
}
template <int N, class T> __device__ __forceinline__ void store_row(T *p, const float (&x)[N]) {
    UNROLL for (int i = 0; i < N; i += PER_16<T>) {
        float part[PER_16<T>];
        UNROLL for (int j = 0; j < PER_16<T>; j++) part[j] = x[i + j];
        store_16(p + i, part);
    }
}

/// Sums over a warp; every lane gets it.
__device__ __forceinline__ float warp_sum(float x) {
    UNROLL for (int mask = 16; mask; mask >>= 1) x += __shfl_xor_sync(0xffffffffu, x, mask);
    return x;
}
__device__ __forceinline__ float warp_max(float x) {
    UNROLL for (int mask = 16; mask; mask >>= 1) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, mask));
    return x;
}

/// Sums over a block of whole warps; every thread gets it. `room` holds 32 numbers of shared memory, which may be used again at once.
__device__ __forceinline__ float block_sum(float x, float *room) {
    int warp = threadIdx.x / 32, n_warps = (blockDim.x + 31) / 32;
    x = warp_sum(x);
    __syncthreads();
    if (threadIdx.x % 32 == 0) room[warp] = x;
    __syncthreads();
    float total = 0.0f;
    for (int i = 0; i < n_warps; i++) total += room[i];
    return total;
}
__device__ __forceinline__ float block_max(float x, float *room) {
    int warp = threadIdx.x / 32, n_warps = (blockDim.x + 31) / 32;
    x = warp_max(x);
    __syncthreads();
    if (threadIdx.x % 32 == 0) room[warp] = x;
    __syncthreads();
    float total = room[0];
    for (int i = 1; i < n_warps; i++) total = fmaxf(total, room[i]);
    return total;
}

/// 2ˣ, by the special function unit.
__device__ __forceinline__ float exp2_fast(float x) {
#ifdef POLDER_EMULATION
    return exp2f(x);
#else
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#endif
}

/// c (16, 8) += a (16, 16) · b (16, 8) of a warp, in the tensor cores' layout: lane l = 4·g + t holds
/// a: rows g and g+8 (a[0], a[2] and a[1], a[3]) at columns 2t, 2t+1 (a[0], a[1]) and 8 further (a[2], a[3]);
/// b: column g at rows 2t, 2t+1 (b[0]) and 8 further (b[1]); c: row g (c[0], c[1]) and g+8 (c[2], c[3]) at columns 2t, 2t+1.
__device__ __forceinline__ void multiply_16x8x16(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#ifdef POLDER_EMULATION
    emulation::with_warp(
        [](void *(*slots)[4]) {
            float left[16][16], right[16][8];
            for (int lane = 0; lane < 32; lane++) {
                const unsigned *a = static_cast<const unsigned *>(slots[lane][1]), *b = static_cast<const unsigned *>(slots[lane][2]);
                int g = lane / 4, t = lane % 4 * 2;
                for (int i = 0; i < 4; i++) {
                    int row = g + i % 2 * 8, column = t + i / 2 * 8;
                    left[row][column] = low_half(a[i]), left[row][column + 1] = high_half(a[i]);
                }
                for (int i = 0; i < 2; i++) right[t + i * 8][g] = low_half(b[i]), right[t + i * 8 + 1][g] = high_half(b[i]);
            }
            for (int lane = 0; lane < 32; lane++) {
                float *c = static_cast<float *>(slots[lane][0]);
                for (int i = 0; i < 4; i++) {
                    int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
                    float sum = 0.0f;
                    for (int k = 0; k < 16; k++) sum += left[row][k] * right[k][column];
                    c[i] += sum;
                }
            }
        },
        c, const_cast<unsigned *>(a), const_cast<unsigned *>(b));
#else
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

/// Loads four 8×8 matrices of bf16 from shared memory; lane 8·i + r names row r of matrix i (16 bytes, aligned). Lane 4·g + t gets
/// numbers 2t and 2t+1 of row g of each; with `transposed`, of column g.
template <bool transposed> __device__ __forceinline__ void load_matrices(unsigned (&out)[4], const bf16 *row) {
#ifdef POLDER_EMULATION
    emulation::with_warp(
        [](void *(*slots)[4]) {
            for (int lane = 0; lane < 32; lane++) {
                unsigned *out = static_cast<unsigned *>(slots[lane][0]);
                for (int i = 0; i < 4; i++) {
                    unsigned halves[2];
                    for (int h = 0; h < 2; h++) {
                        int r = transposed ? lane % 4 * 2 + h : lane / 4, c = transposed ? lane / 4 : lane % 4 * 2 + h;
                        halves[h] = static_cast<const bf16 *>(slots[8 * i + r][1])[c].bits;
                    }
                    out[i] = halves[0] | halves[1] << 16;
                }
            }
        },
        out, const_cast<bf16 *>(row));
#else
    unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(row));
    if (transposed)
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3]) : "r"(address) : "memory");
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3]) : "r"(address) : "memory");
#endif
}

/// Begins to copy 16 bytes to shared memory, of which `bytes` come from global memory and the rest is 0. Both addresses are aligned.
__device__ __forceinline__ void copy_16(void *to, const void *from, int bytes = 16) {
#ifdef POLDER_EMULATION
    // What is read is read when the copy arrives, as late as it may.
    emulation::block->current->copies.back().push_back([=] {
        memcpy(to, from, bytes);
        memset(static_cast<char *>(to) + bytes, 0, 16 - bytes);
    });
#else
    unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(to));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(bytes) : "memory");
#endif
}
/// Closes a group of this thread's copies.
__device__ __forceinline__ void close_copies() {
#ifdef POLDER_EMULATION
    emulation::block->current->copies.emplace_back();
#else
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
/// Waits until at most the last `n` closed groups of this thread are under way. Others see them behind a barrier.
template <int n> __device__ __forceinline__ void wait_for_copies() {
#ifdef POLDER_EMULATION
    auto &groups = emulation::block->current->copies;
    // The last group is open.
    while (groups.size() > n + 1) {
        for (auto &copy : groups.front()) copy();
        groups.erase(groups.begin());
    }
#else
    asm volatile("cp.async.wait_group %0;" ::"n"(n) : "memory");
#endif
}

/// What the copy engine is told of a tensor; see `hopper.cuh`.
struct __align__(64) TensorMap {
    unsigned long long words[16];
};

/// N numbers as they stand in memory: what a thread moves at once, kept packed so that many fit in registers.
template <class T, int N> struct Vector {
    unsigned words[(N * sizeof(T) + 3) / 4];

    __device__ __forceinline__ float operator[](int i) const {
        if constexpr (sizeof(T) == 4) return __uint_as_float(words[i]);
        else return i % 2 ? high_half(words[i / 2]) : low_half(words[i / 2]);
    }
    /// Between two passes over numbers that are held: without it, a compiler keeps what the first pass unpacked, which takes twice the registers.
    __device__ __forceinline__ void stay_packed() {
#ifndef POLDER_EMULATION
        if constexpr (sizeof(T) == 2) {
            UNROLL for (unsigned &word : words) asm volatile("" : "+r"(word));
        }
#endif
    }
};

/// What is loaded behind this is not loaded before it: a compiler that hoists loads over a whole row takes more registers than there are.
__device__ __forceinline__ void load_no_earlier() {
#ifndef POLDER_EMULATION
    asm volatile("" ::: "memory");
#endif
}

/// How many numbers a thread moves at once where rows of these types meet: 16 bytes of the widest.
template <class... T> constexpr int TOGETHER = ((sizeof(T) == 2) && ...) ? 8 : 4;

/// Tells whether vectors of N numbers may be moved at this address.
template <int N, class T> __device__ __forceinline__ bool fits_vectors(const T *p) {
    constexpr unsigned long long BYTES = N * sizeof(T) < 16 ? N * sizeof(T) : 16;
    return (reinterpret_cast<unsigned long long>(p) & (BYTES - 1)) == 0;
}

/// Loads the first `count` of N numbers, the others being 0: at once where `whole` says that addresses fit and that `count` is 0 or less, or N or
/// more; one by one otherwise.
template <bool whole, int N, class T> __device__ __forceinline__ Vector<T, N> load_vector(const T *p, int count) {
    constexpr int BYTES = N * sizeof(T), N_WORDS = BYTES / 4;
    Vector<T, N> v;
    UNROLL for (int i = 0; i < N_WORDS; i++) v.words[i] = 0;
    if constexpr (whole) {
        if (count <= 0) return v;
        if constexpr (BYTES % 16 == 0) {
            UNROLL for (int i = 0; i < N_WORDS; i += 4) {
                uint4 w = reinterpret_cast<const uint4 *>(p)[i / 4];
                v.words[i] = w.x, v.words[i + 1] = w.y, v.words[i + 2] = w.z, v.words[i + 3] = w.w;
            }
        } else {
            static_assert(BYTES == 8, "vectors have 8 bytes, or a multiple of 16");
            uint2 w = *reinterpret_cast<const uint2 *>(p);
            v.words[0] = w.x, v.words[1] = w.y;
        }
    } else {
        UNROLL for (int i = 0; i < N; i++) {
            if (i >= count) continue;
            if constexpr (sizeof(T) == 4) v.words[i] = __float_as_uint(p[i]);
            else v.words[i / 2] |= static_cast<unsigned>(p[i].bits) << i % 2 * 16;
        }
    }
    return v;
}

/// Stores the first `count` of N numbers; as above.
template <bool whole, int N, class T> __device__ __forceinline__ void store_vector(T *p, const float (&x)[N], int count) {
    if constexpr (whole) {
        if (count <= 0) return;
        if constexpr (N * sizeof(T) % 16 == 0) store_row<N>(p, x);
        else *reinterpret_cast<uint2 *>(p) = uint2{pack(x[0], x[1]), pack(x[2], x[3])};
    } else {
        UNROLL for (int i = 0; i < N; i++) {
            if (i < count) p[i] = from_float<T>(x[i]);
        }
    }
}

#ifdef POLDER_PROTOTYPES
// Every entry point as the launchers' table has it: a definition that differs does not compile.
#include "prototypes.h"
#endif
