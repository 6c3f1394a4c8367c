// Matrix products on Hopper's copy engine and group products.
//
// Formula: out (m, n) = a · b [+ bias (n)], or +=.
// Shapes: a (m, k) or (k, m), b (k, n) or (n, k), as the entry point says; out row-major.
// Requirements: sm_90a; a and b bf16, at addresses and with rows of multiples of 16 bytes. m, n, k of any size, out at any address; where its rows are
// multiples of 16 bytes too and nothing is added to, it leaves through the copy engine.
// Launch: blocks of 384 threads, one a multiprocessor, which walks over tiles of 128 × 256 or × 192: one group of four warps loads, two multiply 64 rows each.
// The tiles that whole rounds leave over may be split along k into parts, f32 in scratch memory, which `gemm_sm90_sum` adds up.
// Numerics: f32 sums in the order of k within a part, then of parts; how parts are cut depends on sizes alone. Within 3e-6 of the reference by norm, or bf16's rounding.
// Bound: FLOP, 128 cycles for 64 × 256 × 16; a tile's step over 64 of k loads 48 KB in the 1024 cycles that it multiplies.
#include "hopper.cuh"

// Loops that are rare, or wait for memory anyway, stay small.
#ifdef POLDER_EMULATION
#define ROLLED
#else
#define ROLLED _Pragma("unroll 1")
#endif

namespace {

/// Rows of a tile, and what of k one stage of the ring holds.
constexpr int ROWS = 128, DEPTH = 64, STAGES = 4;
/// A box of rows of 128 bytes: what the copy engine brings at a time of a matrix whose rows run along m or n, and what it takes out at a time.
constexpr int BOX_BYTES = 64 * 128;
/// What shared memory holds: the ring, each stage a's rows and then b's; 64 rows on their way out as boxes, or two times 64 rows of 64
/// columns as f32; barriers.
constexpr int A_BYTES = ROWS * DEPTH * 2;
template <int columns> constexpr int STAGE_BYTES = A_BYTES + columns *DEPTH * 2;
template <int columns> constexpr int OUT_AT = STAGES *STAGE_BYTES<columns>;
template <int columns> constexpr int BARRIERS_AT = OUT_AT<columns> + 2 * 2 * BOX_BYTES;

/// How tiles, and steps of 64 along k, are dealt out: the first `direct` tiles whole, the others in parts to `processors`.
struct Deal {
    int tiles_m, tiles_n, steps, direct, processors, least;
};

template <int columns> __device__ __forceinline__ Deal deal_out(int m, int n, int k, int direct, int processors, int least) {
    return {(m + ROWS - 1) / ROWS, (n + columns - 1) / columns, (k + DEPTH - 1) / DEPTH, direct, processors, least};
}

/// Where a tile stands: up to 16 rows of tiles are swept over the columns together, so that what runs at a time shares its loads.
template <int columns> __device__ __forceinline__ void place(const Deal &deal, int tile, int &row, int &column) {
    int sweep = 16 * deal.tiles_n, first = tile / sweep * 16, rows = min(16, deal.tiles_m - first);
    row = (first + tile % sweep % rows) * ROWS;
    column = tile % sweep / rows * columns;
}

/// Fewer tiles than processors: `groups` times as many processors take `length` steps of each tile, one group behind the other, and `rest` steps remain
/// for those processors that are left over. All of a group go through the same part of k at a time, which is read once for all.
struct Share {
    int groups, length, rest;
};
__device__ __forceinline__ Share share(int tiles, int steps, int processors, int least) {
    int groups = processors / tiles;
    int length = max(least, static_cast<int>((static_cast<long long>(steps) * tiles + processors - 1) / processors));
    int rest = steps - groups * length;
    if (processors % tiles == 0 || rest < least) {
        length = max(least, (steps + groups - 1) / groups);
        groups = (steps + length - 1) / length;
        rest = 0;
    }
    return {groups, length, rest};
}

/// Adds to and rounds two neighbours of a row.
template <class T> struct Pair;
template <> struct Pair<float> {
    using Bits = float2;
    static __device__ __forceinline__ float low(float2 x) { return x.x; }
    static __device__ __forceinline__ float high(float2 x) { return x.y; }
    static __device__ __forceinline__ float2 of(float low, float high) { return {low, high}; }
};
template <> struct Pair<bf16> {
    using Bits = unsigned;
    static __device__ __forceinline__ float low(unsigned x) { return low_half(x); }
    static __device__ __forceinline__ float high(unsigned x) { return high_half(x); }
    static __device__ __forceinline__ unsigned of(float low, float high) { return pack(low, high); }
};

/// Whether two neighbours that begin at an even column may be read and written as one.
template <class T> __device__ __forceinline__ bool in_pairs(const T *out, int n) { return n % 2 == 0 && reinterpret_cast<unsigned long long>(out) % (2 * sizeof(T)) == 0; }

/// Writes two neighbours of a row, to which those of `onto` are added where there is one; those outside are left.
template <class T> __device__ __forceinline__ void put(T *out, const T *onto, int m, int n, int row, int column, float low, float high, bool pairs) {
    using P = Pair<T>;
    if (row >= m || column >= n) return;
    long long at = static_cast<long long>(row) * n + column;
    if (pairs) {
        if (onto) {
            auto both = *reinterpret_cast<const typename P::Bits *>(onto + at);
            low += P::low(both), high += P::high(both);
        }
        *reinterpret_cast<typename P::Bits *>(out + at) = P::of(low, high);
        return;
    }
    out[at] = from_float<T>(onto ? to_float(onto[at]) + low : low);
    if (column + 1 < n) out[at + 1] = from_float<T>(onto ? to_float(onto[at + 1]) + high : high);
}

#ifdef POLDER_HOPPER

/// Goes through what a block does: whole tiles, then a part each of tiles that are split, as Euclid would cut them.
struct Walk {
    int whole, processor;
    // Tiles, steps, room for parts and processors that are still to be dealt out.
    int tile, tiles, step, steps, slot, self, processors;

    __device__ __forceinline__ Walk() : whole(blockIdx.x), processor(static_cast<int>(blockIdx.x) - static_cast<int>(gridDim.x)), tiles(0) {}

    /// The next tile, its steps, and the part that they make, or −1 where they make the whole.
    __device__ __forceinline__ bool next(const Deal &deal, int &at, int &begin, int &end, int &part) {
        if (whole < deal.direct) {
            at = whole, begin = 0, end = deal.steps, part = -1;
            whole += gridDim.x;
            return true;
        }
        for (;;) {
            if (tiles == 0) {
                processor += gridDim.x;
                tile = deal.direct, tiles = deal.tiles_m * deal.tiles_n - deal.direct;
                if (processor >= deal.processors || tiles == 0) return tiles = 0, false;
                step = 0, steps = deal.steps, slot = 0, self = processor, processors = deal.processors;
            }
            if (tiles >= processors) {
                at = tile + self, begin = step, end = step + steps, part = slot + self;
                tile += processors, tiles -= processors, slot += processors;
                return true;
            }
            Share s = share(tiles, steps, processors, deal.least);
            int group = self / tiles, taken = s.groups * tiles;
            if (group < s.groups) {
                at = tile + self % tiles, begin = step + group * s.length, end = min(begin + s.length, step + steps), part = slot + self;
                tiles = 0;
                return true;
            }
            if (s.rest == 0) tiles = 0;
            slot += taken, self -= taken, processors -= taken;
            step += steps - s.rest, steps = s.rest;
        }
    }
};

template <int columns, int a_rows, int b_rows>
__device__ __forceinline__ void load_tiles(const Deal &deal, unsigned char *shared, PhaseBarrier *full, PhaseBarrier *empty, const TensorMap *a, const TensorMap *b, const float *added_to, int m, int n) {
    Walk walk;
    int tile, begin, end, part, row, column, stage = 0;
    unsigned parity = 0;
    while (walk.next(deal, tile, begin, end, part)) {
        place<columns>(deal, tile, row, column);
        ROLLED for (int step = begin; step < end; step++) {
            unsigned char *to = shared + stage * STAGE_BYTES<columns>;
            PhaseBarrier *arrived = full + stage;
            wait(empty + stage, parity ^ 1);
            // What lies outside counts too: it arrives as zeros.
            arrive_expecting(arrived, STAGE_BYTES<columns>);
            if (a_rows) {
                UNROLL for (int i = 0; i < ROWS / 64; i++) load_box<2>(to + i * BOX_BYTES, a, arrived, row + 64 * i, step * DEPTH);
            } else {
                load_box<2>(to, a, arrived, step * DEPTH, row);
            }
            to += A_BYTES;
            if (b_rows) {
                UNROLL for (int i = 0; i < columns / 64; i++) load_box<2>(to + i * BOX_BYTES, b, arrived, column + 64 * i, step * DEPTH);
            } else {
                load_box<2>(to, b, arrived, step * DEPTH, column);
            }
            if (++stage == STAGES) stage = 0, parity ^= 1;
            // What the tile is added to comes near while its last steps are multiplied.
            if (added_to && part < 0 && end - step <= 16) {
                int further = row + (end - step - 1) * 8;
                ROLLED for (int i = further; i < min(m, further + 8); i++) prefetch_bytes(added_to + static_cast<long long>(i) * n + column, min(columns, n - column) * 4);
            }
        }
    }
}

/// Rounds a group's 64 rows to bf16 and hands them to the copy engine, which reads them while the group goes on. Both groups fill the same room, one after
/// the other: phase 2i of `read` is complete when the first group's i-th rows have left it, phase 2i + 1 when the second's have.
template <int columns>
__device__ __forceinline__ void store_boxes(const float (&d)[columns / 2], const TensorMap *out, unsigned char *room, PhaseBarrier *read, int group, int m, int n, int row, int column) {
    int thread = threadIdx.x % 128, lane = thread % 32;
    // A lane names a row of one of four matrices of 8 × 8: two down, then two to the right.
    int r = thread / 32 * 16 + lane % 16, right = lane / 16;
    wait(read, group ^ 1);
    UNROLL for (int i = 0; i < columns / 16; i++) {
        const float *x = d + 8 * i;
        unsigned words[4] = {pack(x[0], x[1]), pack(x[2], x[3]), pack(x[4], x[5]), pack(x[6], x[7])};
        store_matrices(room + i / 4 * BOX_BYTES + r * 128 + ((i % 4 * 2 + right) ^ r % 8) * 16, words);
    }
    publish_shared();
    meet_at(1 + group, 128);
    if (thread == 0) {
        UNROLL for (int c = 0; c < columns / 64; c++)
            if (row < m && column + 64 * c < n) store_box<2>(out, room + c * BOX_BYTES, column + 64 * c, row);
        close_stores();
    }
}

/// Writes a group's 64 rows, those of `onto` added, by way of shared memory, so that a warp writes whole rows of 64 columns.
template <int columns, class T> __device__ __forceinline__ void store_rows(const float (&d)[columns / 2], T *out, const T *onto, unsigned char *room, int group, int m, int n, int row, int column) {
    int thread = threadIdx.x % 128, lane = thread % 32;
    bool wide = sizeof(T) == 4 && n % 4 == 0 && is_aligned_16(out) && is_aligned_16(onto), pairs = in_pairs(out, n) && in_pairs(onto, n);
    // Parts of 32 bytes are permuted within a row, by its last three bits: whoever writes and whoever reads meets all banks.
    auto at = [room](int r, int c) { return room + r * 256 + ((c * 4) ^ (r % 8 * 32)); };
    // Four columns of every eighth row; what is added to is asked for 64 columns ahead.
    int rows_left = m - row - thread / 16, columns_left = n - column - thread % 16 * 4;
    long long mine = static_cast<long long>(row + thread / 16) * n + column + thread % 16 * 4;
    T *to = out + mine;
    // One set of addresses serves both: two would not fit in registers.
    using Address = unsigned long long;
    Address further = reinterpret_cast<Address>(onto) - reinterpret_cast<Address>(out);
    float4 old[8];
    int width = n;
    auto four = [&](int i, int c) { return static_cast<long long>(i * 8) * width + 64 * c; };
    auto asked = [&](int i, int c) {
        load_no_earlier();
        return *reinterpret_cast<const float4 *>(reinterpret_cast<Address>(to + four(i, c)) + further);
    };
    if (wide && onto) {
        UNROLL for (int i = 0; i < 8; i++)
            if (8 * i < rows_left && 0 < columns_left) old[i] = asked(i, 0);
    }
    UNROLL for (int c = 0; c < columns / 64; c++) {
        if (column + 64 * c >= n) break;
#ifndef POLDER_EMULATION
        // Addresses of all rows at once would not fit in registers.
        asm volatile("" : "+r"(width));
#endif
        meet_at(1 + group, 128);
        UNROLL for (int i = 0; i < 8; i++) {
            const float *x = d + 32 * c + 4 * i;
            int r = thread / 32 * 16 + lane / 4, along = 8 * i + lane % 4 * 2;
            *reinterpret_cast<float2 *>(at(r, along)) = float2{x[0], x[1]};
            *reinterpret_cast<float2 *>(at(r + 8, along)) = float2{x[2], x[3]};
        }
        meet_at(1 + group, 128);
        if (wide) {
            UNROLL for (int i = 0; i < 8; i++) {
                float4 x = *reinterpret_cast<const float4 *>(at(thread / 16 + 8 * i, thread % 16 * 4));
                if (8 * i >= rows_left) continue;
                if (onto) {
                    x = float4{old[i].x + x.x, old[i].y + x.y, old[i].z + x.z, old[i].w + x.w};
                    if (c + 1 < columns / 64 && 64 * (c + 1) < columns_left) old[i] = asked(i, c + 1);
                }
                if (64 * c < columns_left) *reinterpret_cast<float4 *>(to + four(i, c)) = x;
            }
            continue;
        }
        ROLLED for (int i = thread; i < 64 * 32; i += 128) {
            float2 x = *reinterpret_cast<const float2 *>(at(i / 32, i % 32 * 2));
            put(out, onto, m, n, row + i / 32, column + 64 * c + i % 32 * 2, x.x, x.y, pairs);
        }
    }
}

template <int columns, int a_rows, int b_rows, class T>
__device__ __forceinline__ void multiply_tiles(const Deal &deal, unsigned char *shared, PhaseBarrier *full, PhaseBarrier *empty, PhaseBarrier *read, T *out, const T *onto, float *parts, const TensorMap *boxes, const float *bias, int m, int n, bool boxed) {
    constexpr int A_FURTHER = a_rows ? 2048 : 32, B_FURTHER = b_rows ? 2048 : 32;
    int group = threadIdx.x / 128 - 1, thread = threadIdx.x % 128, lane = thread % 32;
    unsigned long long a = describe(shared + group * BOX_BYTES, BOX_BYTES, 1024), b = describe(shared + A_BYTES, BOX_BYTES, 1024);
    Walk walk;
    int tile, begin, end, part, row, column, stage = 0;
    bool stored = false;
    unsigned parity = 0;
    float d[columns / 2];
    bool more = walk.next(deal, tile, begin, end, part);
    // The second group begins two steps late, and stays behind: while one group writes a tile out, the other multiplies.
    if (more && group == 1 && end - begin > 2) wait(full + 2, 0);
    while (more) {
        int last = 0;
        ROLLED for (int step = begin; step < end; step++) {
            wait(full + stage, parity);
            begin_products();
            UNROLL for (int i = 0; i < DEPTH / 16; i++)
                multiply_group<columns, a_rows, b_rows>(d, advance(a, stage * STAGE_BYTES<columns> + i * A_FURTHER), advance(b, stage * STAGE_BYTES<columns> + i * B_FURTHER), i > 0 || step > begin);
            close_products();
            // The tile before has left by now; if not, products go on meanwhile.
            if (stored && thread == 0) {
                wait_for_stores<0>();
                arrive(read);
            }
            stored = false;
            // The step before is done with; each warp says so for its own part of the products.
            wait_for_products<1>();
            if (step > begin && lane == 0) arrive(empty + last);
            last = stage;
            if (++stage == STAGES) stage = 0, parity ^= 1;
        }
        // Where this tile goes and which is next is worked out while the last step is multiplied.
        place<columns>(deal, tile, row, column);
        row += group * 64;
        int to = part;
        more = walk.next(deal, tile, begin, end, part);
        wait_for_products<0>();
        hold(d);
        if (lane == 0) arrive(empty + last);
        if (to >= 0) {
            float4 *at = reinterpret_cast<float4 *>(parts) + (static_cast<long long>(to) * 2 + group) * (ROWS * columns / 8) + thread;
            UNROLL for (int i = 0; i < columns / 8; i++) at[i * 128] = float4{d[4 * i], d[4 * i + 1], d[4 * i + 2], d[4 * i + 3]};
            continue;
        }
        if (bias) {
            UNROLL for (int i = 0; i < columns / 8; i++) {
                int c = column + 8 * i + lane % 4 * 2;
                float low = c < n ? bias[c] : 0.0f, high = c + 1 < n ? bias[c + 1] : 0.0f;
                d[4 * i] += low, d[4 * i + 1] += high, d[4 * i + 2] += low, d[4 * i + 3] += high;
            }
        }
        if constexpr (sizeof(T) == 2) {
            if (boxed) {
                store_boxes<columns>(d, boxes, shared + OUT_AT<columns>, read, group, m, n, row, column);
                stored = true;
                continue;
            }
        }
        store_rows<columns>(d, out, onto, shared + OUT_AT<columns> + group * 2 * BOX_BYTES, group, m, n, row, column);
    }
    // The copy engine reads shared memory, which goes with the block.
    if (stored && thread == 0) {
        wait_for_stores<0>();
        arrive(read);
    }
}

template <int columns, int a_rows, int b_rows, class T>
__device__ __forceinline__ void product(T *out, const T *onto, float *parts, const TensorMap &boxes, const TensorMap &a, const TensorMap &b, const float *bias, int m, int n, int k, int direct, int processors, int least, bool boxed) {
    SHARED_MEMORY(shared);
    PhaseBarrier *full = reinterpret_cast<PhaseBarrier *>(shared + BARRIERS_AT<columns>), *empty = full + STAGES, *read = empty + STAGES;
    Deal deal = deal_out<columns>(m, n, k, direct, processors, least);
    if (threadIdx.x == 0) {
        prefetch(&a), prefetch(&b);
        if (boxed) prefetch(&boxes);
        for (int i = 0; i < STAGES; i++) begin_barrier(full + i, 1), begin_barrier(empty + i, 8);
        begin_barrier(read, 1);
        publish_barriers();
    }
    __syncthreads();
    if (threadIdx.x < 128) {
        give_registers<40>();
        const float *added_to = nullptr;
        if constexpr (sizeof(T) == 4) {
            if (n % 4 == 0 && is_aligned_16(onto)) added_to = onto;
        }
        if (threadIdx.x == 0) load_tiles<columns, a_rows, b_rows>(deal, shared, full, empty, &a, &b, added_to, m, n);
    } else {
        take_registers<232>();
        multiply_tiles<columns, a_rows, b_rows>(deal, shared, full, empty, read, out, onto, parts, &boxes, bias, m, n, boxed);
    }
}

#endif

/// Adds up a tile's parts in the order of k; a thread does what one thread of a product holds of 8 columns.
template <int columns, class T> __device__ __forceinline__ void sum(T *out, const T *onto, const float *parts, const float *bias, int m, int n, const Deal &deal) {
    constexpr int PER_PART = ROWS * columns / 4;
    int index = blockIdx.x * 256 + threadIdx.x;
    int tiles = deal.tiles_m * deal.tiles_n - deal.direct, steps = deal.steps, processors = deal.processors, slot = blockIdx.y;
    const float4 *from = reinterpret_cast<const float4 *>(parts) + index;
    float x[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    // `slot` counts on from this tile's place among those that are left, as `Walk` goes.
    int in = slot;
    for (;;) {
        if (tiles >= processors) {
            if (in < processors) {
                float4 y = from[static_cast<long long>(slot) * PER_PART];
                x[0] += y.x, x[1] += y.y, x[2] += y.z, x[3] += y.w;
                break;
            }
            // What stands before this tile's slot is the same, for as many slots as tiles are gone.
            in -= processors, tiles -= processors;
            continue;
        }
        Share s = share(tiles, steps, processors, deal.least);
#ifndef POLDER_EMULATION
#pragma unroll 4
#endif
        for (int g = 0; g < s.groups; g++) {
            float4 y = from[static_cast<long long>(slot + g * tiles) * PER_PART];
            x[0] += y.x, x[1] += y.y, x[2] += y.z, x[3] += y.w;
        }
        if (s.rest == 0) break;
        slot += s.groups * tiles, steps = s.rest, processors -= s.groups * tiles;
    }
    int row, column, thread = index % 128, block = index / 128 % (columns / 8), group = index / 128 / (columns / 8);
    place<columns>(deal, deal.direct + blockIdx.y, row, column);
    row += group * 64 + thread / 32 * 16 + thread % 32 / 4;
    column += block * 8 + thread % 4 * 2;
    if (bias) {
        float low = column < n ? bias[column] : 0.0f, high = column + 1 < n ? bias[column + 1] : 0.0f;
        x[0] += low, x[1] += high, x[2] += low, x[3] += high;
    }
    bool pairs = in_pairs(out, n) && in_pairs(onto, n);
    put(out, onto, m, n, row, column, x[0], x[1], pairs);
    put(out, onto, m, n, row + 8, column, x[2], x[3], pairs);
}

} // namespace

#ifdef POLDER_HOPPER
#define PRODUCT(...) product<__VA_ARGS__>(out, onto, parts, boxes, a, b, bias, m, n, k, direct, processors, least, boxed)
#else
#define PRODUCT(...)
#endif
#define ENTRY_PRODUCT(layout, columns, type, a_rows, b_rows)                                                                                                     \
    ENTRY_RESIDENT(384, 1)                                                                                                                                       \
    gemm_sm90_##layout##_##columns##_##type(NUMBER(type) *out, float *parts, const __grid_constant__ TensorMap boxes, const NUMBER(type) *onto,                  \
                                            const __grid_constant__ TensorMap a,                                                                                 \
                                            const __grid_constant__ TensorMap b, const float *bias, int m, int n, int k, int direct, int processors, int least,  \
                                            int boxed, int blocks) {                                                                                             \
        PRODUCT(columns, a_rows, b_rows);                                                                                                                        \
    }
#define OF(columns, type)                                                                                                                                        \
    ENTRY_PRODUCT(mk_nk, columns, type, 0, 0)                                                                                                                    \
    ENTRY_PRODUCT(mk_kn, columns, type, 0, 1)                                                                                                                    \
    ENTRY_PRODUCT(km_kn, columns, type, 1, 1)                                                                                                                    \
    ENTRY_PRODUCT(km_nk, columns, type, 1, 0)                                                                                                                    \
    ENTRY(256) gemm_sm90_sum_##columns##_##type(NUMBER(type) *out, const NUMBER(type) *onto, const float *parts, const float *bias, int m, int n, int k, int direct, int processors,       \
                                                int least, int split) {                                                                                          \
        sum<columns>(out, onto, parts, bias, m, n, deal_out<columns>(m, n, k, direct, processors, least));                                                       \
    }
OF(256, bf16)
OF(256, f32)
OF(192, bf16)
OF(192, f32)
