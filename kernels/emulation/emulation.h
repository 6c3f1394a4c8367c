// Runs kernels on the CPU: a block at a time, each CUDA thread a fiber, in an order that a seed decides.
//
// What makes mistakes show: threads run in a shuffled order, so that a missing barrier changes results with the seed. An odd seed takes any thread that
// can go on; with an even one those that went on last go on again, so that a warp runs as far ahead of the others as barriers let it;
// shared memory begins as NaNs in every block; asynchronous copies arrive when somebody waits for them and not before;
// a block whose threads all wait for each other is an error that says so. Collective operations (shuffles, matrix products)
// are computed by the last lane that arrives, which reads and writes the others' variables where they stand.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EMULATION_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define EMULATION_ASAN 1
#endif
#ifdef EMULATION_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#ifndef __x86_64__
#include <ucontext.h>
#endif

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) alignas(n)
#define __shared__ static thread_local

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(8) float2 {
    float x, y;
};

namespace emulation {

struct Fiber;

/// Threads that wait for each other.
struct Barrier {
    unsigned arrived = 0;
    std::vector<Fiber *> waiting;
};

constexpr size_t STACK_BYTES = 256 << 10;

struct Fiber {
    void *stack_pointer = nullptr;
    char *stack = nullptr;
    dim3 thread;
    unsigned index = 0;
    bool done = false;
    /// Copies that were issued and not yet waited for, by group.
    std::vector<std::vector<std::function<void()>>> copies{1};
#ifdef EMULATION_ASAN
    void *fake_stack = nullptr;
#endif
#ifndef __x86_64__
    ucontext_t context;
#endif
};

/// What lanes of a warp, or warps of a group, put down for each other.
struct Meeting {
    Barrier barrier;
    void *slots[128][4];
};

struct Block {
    dim3 grid, block, place;
    std::vector<Fiber> fibers;
    std::vector<Fiber *> ready;
    /// With `ahead`, the last to become ready goes on first; those that ask whether something has come to pass wait here until nobody else can.
    std::vector<Fiber *> asking;
    bool ahead = false;
    Barrier all, named[16];
    std::vector<Meeting> warps, groups;
    unsigned char *shared = nullptr;
    size_t shared_bytes = 0;
    unsigned live = 0;
    uint64_t random = 1;
    Fiber *current = nullptr;
    void *scheduler_pointer = nullptr;
    std::function<void()> body;
    const char *failure = nullptr;
    /// Times that somebody waited in vain since the last phase was completed.
    unsigned idle = 0;
#ifdef EMULATION_ASAN
    void *scheduler_fake_stack = nullptr;
    const void *scheduler_stack = nullptr;
    size_t scheduler_stack_bytes = 0;
#endif
#ifndef __x86_64__
    ucontext_t scheduler_context;
#endif
    /// Tensor copies under way, with the barrier that they complete on.
    std::vector<std::pair<void *, std::function<void()>>> tensor_copies;

    unsigned next_random(unsigned below) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        return static_cast<unsigned>((random >> 33) % below);
    }
};

extern thread_local Block *block;

#ifdef __x86_64__
// Saves what a callee must keep, and goes on where `to` was left.
extern "C" void emulation_switch(void **from, void *to);
#endif

void leave();

/// Lets others run until somebody makes this thread ready.
inline void sleep() { leave(); }

inline void wake(Barrier &barrier) {
    barrier.arrived = 0;
    block->ready.insert(block->ready.end(), barrier.waiting.begin(), barrier.waiting.end());
    barrier.waiting.clear();
}

/// Waits until `count` threads have come; the last one runs `work` before any goes on.
template <class Work> void meet(Barrier &barrier, unsigned count, Work work) {
    if (++barrier.arrived >= count) {
        work();
        wake(barrier);
        return;
    }
    barrier.waiting.push_back(block->current);
    sleep();
}

inline void meet(Barrier &barrier, unsigned count) {
    meet(barrier, count, [] {});
}

inline unsigned lane() { return block->current->index % 32; }
inline unsigned n_threads() { return block->block.x * block->block.y * block->block.z; }
inline unsigned lanes_of_warp() { return std::min(32u, n_threads() - block->current->index / 32 * 32); }

/// Lanes of a warp meet with up to four addresses each; the last one works on all of them.
template <class Work> void with_warp(Work work, void *a, void *b = nullptr, void *c = nullptr, void *d = nullptr) {
    Meeting &meeting = block->warps[block->current->index / 32];
    void **slot = meeting.slots[lane()];
    slot[0] = a, slot[1] = b, slot[2] = c, slot[3] = d;
    meet(meeting.barrier, lanes_of_warp(), [&] { work(meeting.slots); });
}

/// The same for the 128 threads of a group of four warps.
template <class Work> void with_group(Work work, void *a, void *b = nullptr, void *c = nullptr, void *d = nullptr) {
    unsigned index = block->current->index;
    Meeting &meeting = block->groups[index / 128];
    void **slot = meeting.slots[index % 128];
    slot[0] = a, slot[1] = b, slot[2] = c, slot[3] = d;
    meet(meeting.barrier, 128, [&] { work(meeting.slots); });
}

inline unsigned char *shared() { return block->shared; }

/// Runs all blocks of a launch; returns what went wrong, or nothing.
const char *run(dim3 grid, dim3 threads, size_t shared_bytes, uint64_t seed, const std::function<void()> &body);

} // namespace emulation

#define threadIdx (emulation::block->current->thread)
#define blockIdx (emulation::block->place)
#define blockDim (emulation::block->block)
#define gridDim (emulation::block->grid)

inline void __syncthreads() { emulation::meet(emulation::block->all, emulation::block->live); }
inline void __syncwarp(unsigned = 0xffffffffu) {
    emulation::with_warp([](void *(*)[4]) {}, nullptr);
}

template <class T> T emulated_shuffle(T value, unsigned from) {
    T result = value;
    struct Want {
        T *value, *result;
        unsigned from;
    } want{&value, &result, from};
    unsigned lanes = emulation::lanes_of_warp();
    emulation::with_warp(
        [lanes](void *(*slots)[4]) {
            for (unsigned i = 0; i < lanes; i++) {
                Want *w = static_cast<Want *>(slots[i][0]);
                if (w->from < lanes) memcpy(w->result, static_cast<Want *>(slots[w->from][0])->value, sizeof(T));
            }
        },
        &want);
    return result;
}
template <class T> T __shfl_sync(unsigned, T value, int from, int width = 32) {
    return emulated_shuffle(value, emulation::lane() / width * width + from % width);
}
template <class T> T __shfl_xor_sync(unsigned, T value, int mask, int = 32) { return emulated_shuffle(value, emulation::lane() ^ mask); }
template <class T> T __shfl_down_sync(unsigned, T value, unsigned by, int width = 32) {
    unsigned lane = emulation::lane(), from = lane + by;
    return emulated_shuffle(value, from / width == lane / width ? from : lane);
}
template <class T> T __shfl_up_sync(unsigned, T value, unsigned by, int width = 32) {
    unsigned lane = emulation::lane();
    return emulated_shuffle(value, lane % width >= by ? lane - by : lane);
}
inline unsigned __ballot_sync(unsigned, int predicate) {
    unsigned result = 0, lanes = emulation::lanes_of_warp();
    emulation::with_warp(
        [lanes](void *(*slots)[4]) {
            unsigned bits = 0;
            for (unsigned i = 0; i < lanes; i++) bits |= (*static_cast<int *>(slots[i][0]) ? 1u : 0u) << i;
            for (unsigned i = 0; i < lanes; i++) *static_cast<unsigned *>(slots[i][1]) = bits;
        },
        &predicate, &result);
    return result;
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) {
    unsigned lanes = emulation::lanes_of_warp();
    return __ballot_sync(mask, predicate) == (lanes == 32 ? 0xffffffffu : (1u << lanes) - 1);
}
inline int __syncthreads_or(int predicate) {
    // Two meetings around a shared word.
    static thread_local int any;
    __syncthreads();
    any = 0;
    __syncthreads();
    any |= predicate;
    __syncthreads();
    return any;
}

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline float __uint_as_float(unsigned x) {
    float f;
    memcpy(&f, &x, 4);
    return f;
}
inline unsigned __float_as_uint(float f) {
    unsigned x;
    memcpy(&x, &f, 4);
    return x;
}
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>((static_cast<uint64_t>(a) * b) >> 32); }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fdividef(float a, float b) { return a / b; }
template <class T> T __ldg(const T *p) { return *p; }
template <class T> T __ldcs(const T *p) { return *p; }
template <class T> void __stcs(T *p, T v) { *p = v; }
inline int atomicAdd(int *p, int v) {
    int old = *p;
    *p += v;
    return old;
}
inline unsigned atomicAdd(unsigned *p, unsigned v) {
    unsigned old = *p;
    *p += v;
    return old;
}
inline void __threadfence() {}
using std::max;
using std::min;
