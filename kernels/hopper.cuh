// Hopper's own: barriers in shared memory, the tensor copy engine, matrix products of groups of four warps.
//
// The emulation keeps to the hardware's layouts: descriptors are encoded and decoded, copies swizzle as the engine does; loads arrive at once or
// when somebody waits for them, stores when somebody waits, and those that nobody waits for never. What it can't show: that the driver takes a tensor map, and how fast any of it is.
#pragma once
#include "polder.cuh"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL) || defined(POLDER_EMULATION)
/// This pass may use Hopper's instructions.
#define POLDER_HOPPER 1
#endif

#ifdef POLDER_HOPPER

/// A barrier in shared memory that counts arrivals and bytes; it completes in phases, whose parities alternate from 0.
struct __align__(8) PhaseBarrier {
#ifdef POLDER_EMULATION
    unsigned long long phase : 1, expected : 11, pending : 11;
    long long bytes : 41;
#else
    unsigned long long word;
#endif
};

/// An address in shared memory as instructions take it.
__device__ __forceinline__ unsigned shared_address(const void *p) {
#ifdef POLDER_EMULATION
    return static_cast<unsigned>(static_cast<const unsigned char *>(p) - emulation::shared());
#else
    return static_cast<unsigned>(__cvta_generic_to_shared(p));
#endif
}

#ifdef POLDER_EMULATION
namespace emulation {
inline void settle(PhaseBarrier *b) {
    if (b->pending == 0 && b->bytes == 0) {
        b->phase ^= 1;
        b->pending = b->expected;
        block->idle = 0;
    }
}
/// Delivers what is under way to a barrier.
inline bool deliver(PhaseBarrier *b) {
    bool any = false;
    auto &copies = block->tensor_copies;
    for (size_t i = 0; i < copies.size();) {
        if (copies[i].first == b) {
            auto copy = std::move(copies[i].second);
            copies.erase(copies.begin() + static_cast<long>(i));
            copy();
            any = true;
        } else {
            i++;
        }
    }
    return any;
}
} // namespace emulation
#endif

/// Readies a barrier for `count` arrivals a phase; others may use it behind `publish_barriers` and a barrier of the block.
__device__ __forceinline__ void begin_barrier(PhaseBarrier *b, int count) {
#ifdef POLDER_EMULATION
    b->phase = 0, b->expected = count, b->pending = count, b->bytes = 0;
#else
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(b)), "r"(count) : "memory");
#endif
}
__device__ __forceinline__ void publish_barriers() {
#ifndef POLDER_EMULATION
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}
__device__ __forceinline__ void arrive(PhaseBarrier *b) {
#ifdef POLDER_EMULATION
    b->pending = b->pending - 1;
    emulation::settle(b);
#else
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(b)) : "memory");
#endif
}
/// Arrives, and says how many bytes of copies belong to this phase.
__device__ __forceinline__ void arrive_expecting(PhaseBarrier *b, int bytes) {
#ifdef POLDER_EMULATION
    b->bytes = b->bytes + bytes;
    b->pending = b->pending - 1;
    emulation::settle(b);
#else
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(b)), "r"(bytes) : "memory");
#endif
}
/// Waits until the phase of that parity is complete. A new barrier counts as if a phase of parity 1 had been.
__device__ __forceinline__ void wait(PhaseBarrier *b, unsigned parity) {
#ifdef POLDER_EMULATION
    while (b->phase == parity) {
        if (emulation::deliver(b)) continue;
        if (++emulation::block->idle > 4000000) emulation::block->failure = "a phase that never completes is waited for";
        emulation::block->ready.push_back(emulation::block->current);
        emulation::leave();
    }
#else
    asm volatile("{\n"
                 ".reg .pred done;\n"
                 "again:\n"
                 "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
                 "@!done bra again;\n"
                 "}" ::"r"(shared_address(b)), "r"(parity) : "memory");
#endif
}

/// What threads wrote to shared memory becomes visible to the copy engine and to `multiply_group`, behind a barrier.
__device__ __forceinline__ void publish_shared() {
#ifndef POLDER_EMULATION
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

/// Waits for `count` threads that name the same of 15 barriers (1 … 15; 0 is the block's).
__device__ __forceinline__ void meet_at(int id, int count) {
#ifdef POLDER_EMULATION
    emulation::meet(emulation::block->named[id], count);
#else
    asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(count) : "memory");
#endif
}
/// Comes to such a barrier without waiting.
__device__ __forceinline__ void pass_by(int id, int count) {
#ifdef POLDER_EMULATION
    emulation::Barrier &b = emulation::block->named[id];
    if (++b.arrived >= static_cast<unsigned>(count)) emulation::wake(b);
#else
    asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(count) : "memory");
#endif
}

/// Brings global memory into the second-level cache; address and bytes are multiples of 16.
__device__ __forceinline__ void prefetch_bytes(const void *from, int bytes) {
#ifndef POLDER_EMULATION
    asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(__cvta_generic_to_global(from)), "r"(bytes) : "memory");
#endif
}

/// Brings a map into the cache that the copy engine reads maps from.
__device__ __forceinline__ void prefetch(const TensorMap *map) {
#ifndef POLDER_EMULATION
    asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
#endif
}

#ifdef POLDER_EMULATION
namespace emulation {
/// Copies a box between global and shared memory, both ways: rows of 128 bytes whose 16-byte parts are permuted by the row's place.
template <bool store> void tensor_copy(void *shared_at, const TensorMap &map, const int (&at)[4]) {
    const unsigned long long *w = map.words;
    unsigned char *base = reinterpret_cast<unsigned char *>(w[0]);
    long long sizes[4] = {(long long)w[2], (long long)w[3], (long long)w[4], (long long)w[5]};
    long long strides[4] = {2, (long long)w[6], (long long)w[7], (long long)w[8]};
    long long box[4] = {(long long)w[9], (long long)w[10], (long long)w[11], (long long)w[12]};
    if (box[0] != 64 || shared_address(shared_at) % 1024 != 0) {
        block->failure = "a tensor copy's box is not 128 bytes wide, or its place is not a multiple of 1024";
        return;
    }
    unsigned offset = shared_address(shared_at);
    for (long long d = 0; d < box[3]; d++)
        for (long long c = 0; c < box[2]; c++)
            for (long long b = 0; b < box[1]; b++)
                for (long long a = 0; a < box[0]; a++) {
                    long long place[4] = {at[0] + a, at[1] + b, at[2] + c, at[3] + d};
                    bool inside = true;
                    for (int i = 0; i < 4; i++) inside = inside && place[i] >= 0 && place[i] < sizes[i];
                    long long bytes = place[0] * 2 + place[1] * strides[1] + place[2] * strides[2] + place[3] * strides[3];
                    unsigned to = offset + static_cast<unsigned>(((d * box[2] + c) * box[1] + b) * 128 + a * 2);
                    to ^= (to >> 7 & 7) << 4;
                    bf16 *in_shared = reinterpret_cast<bf16 *>(shared() + to);
                    if (store) {
                        if (inside) *reinterpret_cast<bf16 *>(base + bytes) = *in_shared;
                    } else {
                        *in_shared = inside ? *reinterpret_cast<const bf16 *>(base + bytes) : bf16{0};
                    }
                }
}
/// Performs this thread's stores but those of its last `left` groups, each of which ends with an entry that does nothing.
inline void store(int left) {
    auto &copies = block->tensor_copies;
    int groups = 0;
    for (auto &copy : copies) groups += copy.first == block->current && !copy.second;
    for (size_t i = 0; i < copies.size() && groups > left;) {
        if (copies[i].first != block->current) {
            i++;
            continue;
        }
        auto copy = std::move(copies[i].second);
        copies.erase(copies.begin() + static_cast<long>(i));
        if (copy) copy();
        else groups--;
    }
}
inline long long box_bytes(const TensorMap &map) { return 2ll * (long long)map.words[9] * (long long)map.words[10] * (long long)map.words[11] * (long long)map.words[12]; }
} // namespace emulation
#endif

/// Begins to copy a box to shared memory (a multiple of 1024), whose first number is at (x, y[, z[, w]]) of the tensor; what lies outside is 0. Its bytes
/// count for the barrier. One thread calls it.
template <int n_dims>
__device__ __forceinline__ void load_box(void *to, const TensorMap *map, PhaseBarrier *barrier, int x, int y, int z = 0, int w = 0) {
#ifdef POLDER_EMULATION
    TensorMap copy = *map;
    auto arrive = [=] {
        emulation::tensor_copy<false>(to, copy, {x, y, z, w});
        barrier->bytes = barrier->bytes - emulation::box_bytes(copy);
        emulation::settle(barrier);
    };
    // At once, or when somebody waits for it.
    if (emulation::block->next_random(2)) return arrive();
    emulation::block->tensor_copies.emplace_back(barrier, arrive);
#else
    if constexpr (n_dims == 2)
        asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::"r"(shared_address(to)),
                     "l"(map), "r"(shared_address(barrier)), "r"(x), "r"(y)
                     : "memory");
    if constexpr (n_dims == 3)
        asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], [%2];" ::"r"(shared_address(to)),
                     "l"(map), "r"(shared_address(barrier)), "r"(x), "r"(y), "r"(z)
                     : "memory");
    if constexpr (n_dims == 4)
        asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, %6}], [%2];" ::"r"(
                         shared_address(to)),
                     "l"(map), "r"(shared_address(barrier)), "r"(x), "r"(y), "r"(z), "r"(w)
                     : "memory");
#endif
}

/// Copies a box from shared memory out; what lies outside the tensor is left. One thread calls it, behind `publish_shared` and a barrier.
template <int n_dims> __device__ __forceinline__ void store_box(const TensorMap *map, const void *from, int x, int y, int z = 0, int w = 0) {
#ifdef POLDER_EMULATION
    TensorMap copy = *map;
    emulation::block->tensor_copies.emplace_back(emulation::block->current, [=] { emulation::tensor_copy<true>(const_cast<void *>(from), copy, {x, y, z, w}); });
#else
    if constexpr (n_dims == 2)
        asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%0, {%2, %3}], [%1];" ::"l"(map), "r"(shared_address(from)), "r"(x), "r"(y)
                     : "memory");
    if constexpr (n_dims == 3)
        asm volatile("cp.async.bulk.tensor.3d.global.shared::cta.tile.bulk_group [%0, {%2, %3, %4}], [%1];" ::"l"(map), "r"(shared_address(from)), "r"(x), "r"(y),
                     "r"(z)
                     : "memory");
    if constexpr (n_dims == 4)
        asm volatile("cp.async.bulk.tensor.4d.global.shared::cta.tile.bulk_group [%0, {%2, %3, %4, %5}], [%1];" ::"l"(map), "r"(shared_address(from)), "r"(x),
                     "r"(y), "r"(z), "r"(w)
                     : "memory");
#endif
}
/// Closes a group of such copies; `wait_for_stores` waits until shared memory of all but the last `n` groups may be written again.
__device__ __forceinline__ void close_stores() {
#ifdef POLDER_EMULATION
    emulation::block->tensor_copies.emplace_back(emulation::block->current, nullptr);
#else
    asm volatile("cp.async.bulk.commit_group;" ::: "memory");
#endif
}
template <int n> __device__ __forceinline__ void wait_for_stores() {
#ifdef POLDER_EMULATION
    emulation::store(n);
#else
    asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(n) : "memory");
#endif
}

/// Stores four 8×8 matrices of bf16 to shared memory, the reverse of `load_matrices`: lane 8·i + r names row r of matrix i (16 bytes, aligned), and lane
/// 4·g + t has numbers 2t and 2t+1 of row g of each.
__device__ __forceinline__ void store_matrices(void *row, const unsigned (&x)[4]) {
#ifdef POLDER_EMULATION
    emulation::with_warp(
        [](void *(*slots)[4]) {
            for (int lane = 0; lane < 32; lane++)
                for (int i = 0; i < 4; i++) memcpy(static_cast<char *>(slots[8 * i + lane / 4][0]) + lane % 4 * 4, static_cast<const unsigned *>(slots[lane][1]) + i, 4);
        },
        row, const_cast<unsigned *>(x));
#else
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(shared_address(row)), "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]) : "memory");
#endif
}

/// Names a swizzled matrix in shared memory. Rows of 128 bytes hold 64 numbers: along k (a_rows, b_rows = 0) or along m or n (= 1).
/// Along k: `stride` bytes lie between groups of 8 rows of m or n (1024 where they are dense); `leading` is not read. The next 16 of k are 32 bytes on.
/// Along m or n: `leading` bytes lie between runs of 64 of m or n, `stride` between groups of 8 of k (1024 where dense). The next 16 of k are 2048 bytes on.
__device__ __forceinline__ unsigned long long describe(const void *p, unsigned leading, unsigned stride) {
    unsigned long long address = shared_address(p);
    return (address & 0x3ffff) >> 4 | static_cast<unsigned long long>(leading >> 4) << 16 | static_cast<unsigned long long>(stride >> 4) << 32 | 1ull << 62;
}
/// The descriptor of what lies `bytes` further. Only the lower half changes: shared memory's addresses leave no carry.
__device__ __forceinline__ unsigned long long advance(unsigned long long descriptor, unsigned bytes) {
    return (descriptor & 0xffffffff00000000) | (static_cast<unsigned>(descriptor) + (bytes >> 4));
}

#ifdef POLDER_EMULATION
namespace emulation {
/// Number (row, k) of a described matrix; row counts m or n.
inline float described(unsigned long long d, bool along_rows, int row, int k) {
    unsigned start = static_cast<unsigned>(d & 0x3fff) << 4, leading = static_cast<unsigned>(d >> 16 & 0x3fff) << 4, stride = static_cast<unsigned>(d >> 32 & 0x3fff) << 4;
    if (d >> 62 != 1) block->failure = "a descriptor without the swizzle of 128 bytes";
    unsigned at = along_rows ? start + row / 64 * leading + k / 8 * stride + k % 8 * 128 + row % 64 * 2 : start + row / 8 * stride + row % 8 * 128 + k * 2;
    at ^= (at >> 7 & 7) << 4;
    if (at + 2 > block->shared_bytes) {
        block->failure = "a matrix product reads beyond shared memory";
        return 0.0f;
    }
    return to_float(*reinterpret_cast<const bf16 *>(shared() + at));
}
/// d (64, n) = or += a (64, 16) · b (16, n) of the 128 threads that meet.
template <int n, class Left> void group_product(void *(*slots)[4], int add, Left left, unsigned long long b, bool b_rows) {
    std::vector<float> right(16 * n), a(64 * 16);
    for (int k = 0; k < 16; k++)
        for (int j = 0; j < n; j++) right[k * n + j] = described(b, b_rows, j, k);
    for (int i = 0; i < 64; i++)
        for (int k = 0; k < 16; k++) a[i * 16 + k] = left(i, k);
    for (int t = 0; t < 128; t++) {
        float *d = static_cast<float *>(slots[t][0]);
        int g = t % 32 / 4, q = t % 4 * 2;
        for (int i = 0; i < n / 2; i++) {
            int row = t / 32 * 16 + g + (i / 2 % 2) * 8, column = i / 4 * 8 + q + i % 2;
            float sum = 0.0f;
            for (int k = 0; k < 16; k++) sum += a[row * 16 + k] * right[k * n + column];
            d[i] = add ? d[i] + sum : sum;
        }
    }
}
} // namespace emulation
#endif

#define ACCUMULATORS_8(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), "+f"(d[i + 7])

/// Begins d (64, n) = a (64, 16) · b (16, n) of a group of four warps, or += with `add`; n is 64, 96, 128, 192 or 256. Both matrices are described; `a_rows`
/// and `b_rows` say that their rows of 128 bytes run along m and n.
/// Thread t of the group holds rows t / 32 · 16 + t % 32 / 4 (d[4i], d[4i + 1]) and 8 further (d[4i + 2], d[4i + 3]) at columns 8i + t % 4 · 2 and the next.
template <int n, int a_rows, int b_rows>
__device__ __forceinline__ void multiply_group(float (&d)[n / 2], unsigned long long a, unsigned long long b, int add) {
#ifdef POLDER_EMULATION
    emulation::with_group([=](void *(*slots)[4]) { emulation::group_product<n>(slots, add, [=](int i, int k) { return emulation::described(a, a_rows, i, k); }, b, b_rows); }, d);
#else
    if constexpr (n == 64)
        asm volatile("{.reg .pred p; setp.ne.b32 p, %34, 0; wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6, "
                     "%7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
                     "}, %32, %33, p, 1, 1, %35, %36;}"
                     : ACCUMULATORS_8(0), ACCUMULATORS_8(8), ACCUMULATORS_8(16), ACCUMULATORS_8(24)
                     : "l"(a), "l"(b), "r"(add), "n"(a_rows), "n"(b_rows));
    if constexpr (n == 96)
        asm volatile("{.reg .pred p; setp.ne.b32 p, %50, 0; wgmma.mma_async.sync.aligned.m64n96k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6, "
                     "%7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
                     ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47}, %48, %49, p, 1, 1, %51, %52;}"
                     : ACCUMULATORS_8(0), ACCUMULATORS_8(8), ACCUMULATORS_8(16), ACCUMULATORS_8(24), ACCUMULATORS_8(32), ACCUMULATORS_8(40)
                     : "l"(a), "l"(b), "r"(add), "n"(a_rows), "n"(b_rows));
    if constexpr (n == 128)
        asm volatile("{.reg .pred p; setp.ne.b32 p, %66, 0; wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6,"
                     " %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %3"
                     "1, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %5"
                     "5, %56, %57, %58, %59, %60, %61, %62, %63}, %64, %65, p, 1, 1, %67, %68;}"
                     : ACCUMULATORS_8(0), ACCUMULATORS_8(8), ACCUMULATORS_8(16), ACCUMULATORS_8(24), ACCUMULATORS_8(32), ACCUMULATORS_8(40), ACCUMULATORS_8(48), ACCUMULATORS_8(56)
                     : "l"(a), "l"(b), "r"(add), "n"(a_rows), "n"(b_rows));
    if constexpr (n == 192)
        asm volatile("{.reg .pred p; setp.ne.b32 p, %98, 0; wgmma.mma_async.sync.aligned.m64n192k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6,"
                     " %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %3"
                     "1, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %5"
                     "5, %56, %57, %58, %59, %60, %61, %62, %63, %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %7"
                     "9, %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95}, %96, %97, p, 1, 1, %99, %100;}"
                     : ACCUMULATORS_8(0), ACCUMULATORS_8(8), ACCUMULATORS_8(16), ACCUMULATORS_8(24), ACCUMULATORS_8(32), ACCUMULATORS_8(40), ACCUMULATORS_8(48), ACCUMULATORS_8(56), ACCUMULATORS_8(64), ACCUMULATORS_8(72), ACCUMULATORS_8(80), ACCUMULATORS_8(88)
                     : "l"(a), "l"(b), "r"(add), "n"(a_rows), "n"(b_rows));
    if constexpr (n == 256)
        asm volatile("{.reg .pred p; setp.ne.b32 p, %130, 0; wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6"
                     ", %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %"
                     "31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %"
                     "55, %56, %57, %58, %59, %60, %61, %62, %63, %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %"
                     "79, %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, %96, %97, %98, %99, %100, %101, %102"
                     ", %103, %104, %105, %106, %107, %108, %109, %110, %111, %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122"
                     ", %123, %124, %125, %126, %127}, %128, %129, p, 1, 1, %131, %132;}"
                     : ACCUMULATORS_8(0), ACCUMULATORS_8(8), ACCUMULATORS_8(16), ACCUMULATORS_8(24), ACCUMULATORS_8(32), ACCUMULATORS_8(40), ACCUMULATORS_8(48), ACCUMULATORS_8(56), ACCUMULATORS_8(64), ACCUMULATORS_8(72), ACCUMULATORS_8(80), ACCUMULATORS_8(88), ACCUMULATORS_8(96), ACCUMULATORS_8(104), ACCUMULATORS_8(112), ACCUMULATORS_8(120)
                     : "l"(a), "l"(b), "r"(add), "n"(a_rows), "n"(b_rows));
#endif
}

/// The same with a's 16 columns in registers, laid out as of `multiply_16x8x16` for each warp's 16 rows.
template <int n, int b_rows>
__device__ __forceinline__ void multiply_group(float (&d)[n / 2], const unsigned (&a)[4], unsigned long long b, int add) {
#ifdef POLDER_EMULATION
    emulation::with_group(
        [=](void *(*slots)[4]) {
            auto left = [=](int i, int k) {
                const unsigned *words = static_cast<const unsigned *>(slots[i / 16 * 32 + i % 8 * 4 + k % 8 / 2][1]);
                unsigned word = words[i % 16 / 8 + k / 8 * 2];
                return k % 2 ? high_half(word) : low_half(word);
            };
            emulation::group_product<n>(slots, add, left, b, b_rows);
        },
        d, const_cast<unsigned *>(a));
#else
    if constexpr (n == 64)
        asm volatile("{.reg .pred p; setp.ne.b32 p, %37, 0; wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6, "
                     "%7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
                     "}, {%32, %33, %34, %35}, %36, p, 1, 1, %38;}"
                     : ACCUMULATORS_8(0), ACCUMULATORS_8(8), ACCUMULATORS_8(16), ACCUMULATORS_8(24)
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add), "n"(b_rows));
    if constexpr (n == 96)
        asm volatile("{.reg .pred p; setp.ne.b32 p, %53, 0; wgmma.mma_async.sync.aligned.m64n96k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6, "
                     "%7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
                     ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47}, {%48, %49, %50, %51}, %52, p, 1, 1, %"
                     "54;}"
                     : ACCUMULATORS_8(0), ACCUMULATORS_8(8), ACCUMULATORS_8(16), ACCUMULATORS_8(24), ACCUMULATORS_8(32), ACCUMULATORS_8(40)
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add), "n"(b_rows));
    if constexpr (n == 128)
        asm volatile("{.reg .pred p; setp.ne.b32 p, %69, 0; wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6,"
                     " %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %3"
                     "1, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %5"
                     "5, %56, %57, %58, %59, %60, %61, %62, %63}, {%64, %65, %66, %67}, %68, p, 1, 1, %70;}"
                     : ACCUMULATORS_8(0), ACCUMULATORS_8(8), ACCUMULATORS_8(16), ACCUMULATORS_8(24), ACCUMULATORS_8(32), ACCUMULATORS_8(40), ACCUMULATORS_8(48), ACCUMULATORS_8(56)
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add), "n"(b_rows));
    if constexpr (n == 192)
        asm volatile("{.reg .pred p; setp.ne.b32 p, %101, 0; wgmma.mma_async.sync.aligned.m64n192k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6"
                     ", %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %"
                     "31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %"
                     "55, %56, %57, %58, %59, %60, %61, %62, %63, %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %"
                     "79, %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95}, {%96, %97, %98, %99}, %100, p, 1, 1"
                     ", %102;}"
                     : ACCUMULATORS_8(0), ACCUMULATORS_8(8), ACCUMULATORS_8(16), ACCUMULATORS_8(24), ACCUMULATORS_8(32), ACCUMULATORS_8(40), ACCUMULATORS_8(48), ACCUMULATORS_8(56), ACCUMULATORS_8(64), ACCUMULATORS_8(72), ACCUMULATORS_8(80), ACCUMULATORS_8(88)
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add), "n"(b_rows));
    if constexpr (n == 256)
        asm volatile("{.reg .pred p; setp.ne.b32 p, %133, 0; wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6"
                     ", %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %"
                     "31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %"
                     "55, %56, %57, %58, %59, %60, %61, %62, %63, %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %"
                     "79, %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, %96, %97, %98, %99, %100, %101, %102"
                     ", %103, %104, %105, %106, %107, %108, %109, %110, %111, %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122"
                     ", %123, %124, %125, %126, %127}, {%128, %129, %130, %131}, %132, p, 1, 1, %134;}"
                     : ACCUMULATORS_8(0), ACCUMULATORS_8(8), ACCUMULATORS_8(16), ACCUMULATORS_8(24), ACCUMULATORS_8(32), ACCUMULATORS_8(40), ACCUMULATORS_8(48), ACCUMULATORS_8(56), ACCUMULATORS_8(64), ACCUMULATORS_8(72), ACCUMULATORS_8(80), ACCUMULATORS_8(88), ACCUMULATORS_8(96), ACCUMULATORS_8(104), ACCUMULATORS_8(112), ACCUMULATORS_8(120)
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add), "n"(b_rows));
#endif
}
#undef ACCUMULATORS_8

/// Registers that products read or wrote may be touched before, and products begin behind, this.
__device__ __forceinline__ void begin_products() {
#ifndef POLDER_EMULATION
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}
/// Closes a batch of products; `wait_for_products` waits until at most the last `n` batches are under way.
__device__ __forceinline__ void close_products() {
#ifndef POLDER_EMULATION
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
}
template <int n> __device__ __forceinline__ void wait_for_products() {
#ifndef POLDER_EMULATION
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(n) : "memory");
#endif
}
/// Keeps the compiler from moving reads of an accumulator across a wait.
template <int n> __device__ __forceinline__ void hold(float (&d)[n]) {
#ifndef POLDER_EMULATION
    UNROLL for (int i = 0; i < n; i++) asm volatile("" : "+f"(d[i])::"memory");
#endif
}

/// Asks for, or gives up, registers of each thread of this group of four warps.
template <int n> __device__ __forceinline__ void take_registers() {
#ifndef POLDER_EMULATION
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(n));
#endif
}
template <int n> __device__ __forceinline__ void give_registers() {
#ifndef POLDER_EMULATION
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(n));
#endif
}

#endif
