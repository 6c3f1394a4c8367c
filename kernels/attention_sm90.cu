// Attention over the rows that each row sees, for Hopper: tiles by the copy engine, products of groups of four warps.
//
// Formula: out = softmax(scale · q·kᵀ)·v; lse = ln Σ exp(scale · q·kᵀ). Backward, with P = exp(scale · q·kᵀ − lse) and delta = Σ dout·out over a head:
// dP = dout·vᵀ, dS = P∘(dP − delta), dq = scale · dS·k, dk = scale · dSᵀ·q, dv = Pᵀ·dout.
// Shapes: qkv, dqkv (B, T, (H + 2K)·D): query heads, key heads, value heads of a row; out, dout (B, T, H·D); lse, delta (B, H, T); documents (B, T, 2)
// or none: first and end of each row's document within its sequence.
// Requirements: bf16; D 64, 96 or 128; qkv, out, dout, dqkv aligned to 16 bytes.
// Launch: as many blocks as multiprocessors, in which one group of four warps brings tiles and two or three multiply, 64 rows each. Blocks go through
// (rows of queries, head, sequence), the longest first; backward once for dq and delta, and once more through (rows of keys, head of keys, sequence) for
// dk and dv, computing scores again rather than add to shared sums in an order of chance.
// Numerics: f32 sums; probabilities and dS are rounded to bf16 for their products. Within 8e-3 of the f64 reference's norm, lse within 1e-5.
// Bound: FLOP: 4·D a pair of rows that see each other forward, 14·D backward (10·D of them necessary).
#include "hopper.cuh"

#ifdef POLDER_HOPPER
namespace {

constexpr float LOG2_E = 1.44269504f;
constexpr int WIDTH = 128;      // bytes of a row of a tile's chunk: 64 numbers of a head
constexpr int BOX = 64 * WIDTH; // a copy: 64 rows
constexpr unsigned ALL = 0xffffffffu;

/// Keys that a row sees; none: 0, 0.
struct Span {
    int from, to;
};

struct Sizes {
    int batch, time, n_heads, n_kv_heads, causal, window;
};

__device__ __forceinline__ Span seen(const Sizes &s, const int *documents, int b, int row) {
    if (row >= s.time) return {0, 0};
    int first = 0, end = s.time;
    if (documents) {
        const int *bounds = documents + (static_cast<long long>(b) * s.time + row) * 2;
        first = bounds[0], end = min(bounds[1], s.time);
    }
    int from = max(first, row - s.window), to = min(end, s.causal ? row + 1 : row + s.window + 1);
    return from < to ? Span{from, to} : Span{0, 0};
}

/// Over rows that see something: the first and the last of `from` and of `to`.
struct Extent {
    int from_min = 0x7fffffff, from_max = 0, to_min = 0x7fffffff, to_max = 0;
    __device__ __forceinline__ void add(const Span &s) {
        if (s.from >= s.to) return;
        from_min = min(from_min, s.from), from_max = max(from_max, s.from), to_min = min(to_min, s.to), to_max = max(to_max, s.to);
    }
    __device__ __forceinline__ void meet(int mask) {
        from_min = min(from_min, __shfl_xor_sync(ALL, from_min, mask)), from_max = max(from_max, __shfl_xor_sync(ALL, from_max, mask));
        to_min = min(to_min, __shfl_xor_sync(ALL, to_min, mask)), to_max = max(to_max, __shfl_xor_sync(ALL, to_max, mask));
    }
};

/// The extent of `n` rows from `row` on, by all lanes of a warp.
__device__ __forceinline__ Extent extent_of(const Sizes &s, const int *documents, int b, int row, int n) {
    Extent e;
    if (!documents) {
        int last = min(row + n, s.time) - 1;
        if (row > last) return e;
        e.from_min = max(row - s.window, 0), e.from_max = max(last - s.window, 0);
        e.to_min = min(s.causal ? row + 1 : row + s.window + 1, s.time), e.to_max = min(s.causal ? last + 1 : last + s.window + 1, s.time);
        return e;
    }
    for (int i = threadIdx.x % 32; i < n; i += 32) e.add(seen(s, documents, b, row + i));
    UNROLL for (int mask = 16; mask; mask >>= 1) e.meet(mask);
    return e;
}

/// A block's work. Heads are taken a section at a time, so that what they share stays in the cache; within one, all heads' longest rows come first.
struct Item {
    int tile, head, b;
};
__device__ __forceinline__ Item item_of(int index, int n_tiles, int n_heads, int batch, int section, bool last_first) {
    int part = index / (section * n_tiles), within = index - part * section * n_tiles, heads = min(section, batch * n_heads - part * section);
    int tile = within / heads, head = part * section + within - tile * heads;
    return {last_first ? n_tiles - 1 - tile : tile, head % n_heads, head / n_heads};
}

/// A block's item of a round: there and back over the blocks, so that none gets the longer one every time.
__device__ __forceinline__ int turn(int round) {
    int n_blocks = gridDim.x, block = blockIdx.x;
    return round * n_blocks + (round % 2 ? n_blocks - 1 - block : block);
}

/// The place in a tile's chunk of 16 bytes of a row, as the copy engine swizzles.
__device__ __forceinline__ int swizzled(int row, int part) { return row * WIDTH + ((part ^ (row & 7)) << 4); }

/// Puts a group's 64 rows of sums, times a factor for each of a thread's two rows, where `store_box` takes them from.
template <int D> __device__ __forceinline__ void stage(unsigned char *to, int chunk_bytes, const float (&x)[D / 2], float low, float high) {
    int thread = threadIdx.x;
#ifndef POLDER_EMULATION
    // Addresses are computed here and not held in registers through the products before.
    asm volatile("" : "+r"(thread));
#endif
    int lane = thread % 32, row = thread % 128 / 32 * 16 + lane / 4;
    UNROLL for (int i = 0; i < D / 8; i++) {
        unsigned char *at = to + i / 8 * chunk_bytes + swizzled(row, i % 8) + lane % 4 * 4;
        *reinterpret_cast<unsigned *>(at) = pack(x[4 * i] * low, x[4 * i + 1] * low);
        *reinterpret_cast<unsigned *>(at + 8 * WIDTH) = pack(x[4 * i + 2] * high, x[4 * i + 3] * high);
    }
}

/// s (64, n) = a (64, D) · b (n, D)ᵀ, chunks of a and b so many bytes apart.
template <int D, int n>
__device__ __forceinline__ void scores(float (&s)[n / 2], unsigned long long a, int a_chunk, unsigned long long b, int b_chunk) {
    UNROLL for (int k = 0; k < D / 16; k++)
        multiply_group<n, 0, 0>(s, advance(a, k / 4 * a_chunk + k % 4 * 32), advance(b, k / 4 * b_chunk + k % 4 * 32), k > 0);
}

/// o (64, D) += p (64, n) · v (n, D), p in registers.
template <int D, int n> __device__ __forceinline__ void mix(float (&o)[D / 2], const unsigned (&p)[n / 16][4], unsigned long long v) {
    UNROLL for (int k = 0; k < n / 16; k++) multiply_group<D, 1>(o, p[k], advance(v, k * 2048), 1);
}

/// Sums as the left side of a product.
template <int n> __device__ __forceinline__ void pack_left(unsigned (&p)[n / 16][4], const float (&s)[n / 2]) {
    UNROLL for (int k = 0; k < n / 16; k++)
        UNROLL for (int i = 0; i < 4; i++) p[k][i] = pack(s[8 * k + 2 * i], s[8 * k + 2 * i + 1]);
}

/// Scores of keys that a row doesn't see become −∞; columns are keys, `first` the key of this thread's first.
template <int n> __device__ __forceinline__ void mask_keys(float (&s)[n], int first, const Span (&rows)[2]) {
    UNROLL for (int i = 0; i < n; i++) {
        const Span &row = rows[i / 2 % 2];
        int key = first + i / 4 * 8 + i % 2;
        if (static_cast<unsigned>(key - row.from) >= static_cast<unsigned>(row.to - row.from)) s[i] = -INFINITE;
    }
}

/// Products go on while this thread computes `a` and `b`: the compiler would move a wait that follows to where it can be issued at once, but for a way
/// out between, which it can't know is never taken by what is no less than 0.
__device__ __forceinline__ void compute_first(float a, float b) {
#ifndef POLDER_EMULATION
    if (a + b == -1.0f) asm volatile("nanosleep.u32 1;" ::: "memory");
#endif
}

/// What both rows of a thread have been through: the sum of 2^(score − base), scores times log2 e.
struct Softmax {
    float base[2] = {-INFINITE, -INFINITE}, sum[2] = {0.0f, 0.0f}, fix[2];

    /// Scores become probabilities times what the end divides by; `fix` is what earlier sums are to be multiplied by. The base follows the largest score
    /// only where that has left it by more than 2^8, so that earlier sums mostly stay as they are. `scale` includes log2 e.
    template <int n> __device__ __forceinline__ void take(float (&s)[n], float scale) {
        float minus[2];
        UNROLL for (int r = 0; r < 2; r++) {
            float a = s[2 * r], b = s[2 * r + 1];
            UNROLL for (int i = 4; i < n; i += 4) a = fmaxf(a, s[i + 2 * r]), b = fmaxf(b, s[i + 2 * r + 1]);
            a = fmaxf(a, b);
            a = fmaxf(a, __shfl_xor_sync(ALL, a, 1));
            a = fmaxf(a, __shfl_xor_sync(ALL, a, 2)) * scale;
            bool leave = a > base[r] + 8.0f;
            fix[r] = leave ? exp2_fast(base[r] - a) : 1.0f;
            base[r] = leave ? a : base[r];
            // A row that has seen nothing yet: −∞ − −∞ is no number.
            minus[r] = base[r] == -INFINITE ? 0.0f : -base[r];
        }
        UNROLL for (int r = 0; r < 2; r++) {
            float a = 0.0f, b = 0.0f;
            UNROLL for (int i = 0; i < n; i += 4) {
                float &x = s[i + 2 * r], &y = s[i + 2 * r + 1];
                x = exp2_fast(fmaf(x, scale, minus[r])), y = exp2_fast(fmaf(y, scale, minus[r]));
                a += x, b += y;
            }
            sum[r] = fmaf(sum[r], fix[r], a + b);
        }
    }
    template <int n> __device__ __forceinline__ void mend(float (&o)[n]) {
        if (__any_sync(ALL, fix[0] != 1.0f || fix[1] != 1.0f)) {
            UNROLL for (int i = 0; i < n; i++) o[i] *= fix[i / 2 % 2];
        }
    }
};

// ---- forward

template <int D, int n_groups> struct Forward {
    static constexpr int CHUNKS = (D + 63) / 64, ROWS = 64 * n_groups, KEYS = 128, STAGES = D == 64 ? 4 : 2;
    static constexpr int GROUP_BYTES = CHUNKS * BOX, TILE_CHUNK = KEYS * WIDTH, TILE_BYTES = CHUNKS * TILE_CHUNK;
    static constexpr int K_AT = n_groups * GROUP_BYTES, V_AT = K_AT + STAGES * TILE_BYTES, OUT_AT = V_AT + STAGES * TILE_BYTES;
    static constexpr int BARRIERS_AT = OUT_AT + n_groups * GROUP_BYTES, N_BARRIERS = 2 + 4 * STAGES;
    static constexpr int RANGE_AT = BARRIERS_AT + 8 * N_BARRIERS;
};

/// Barriers of a ring of stages, in pairs: filled, emptied.
struct Ring {
    PhaseBarrier *full, *empty;
};

template <int D, int n_groups>
__device__ void forward(float *lse, const TensorMap *out_map, const TensorMap *qkv_map, const int *documents, const Sizes s, int section, float scale) {
    using Plan = Forward<D, n_groups>;
    constexpr int CHUNKS = Plan::CHUNKS, ROWS = Plan::ROWS, KEYS = Plan::KEYS, STAGES = Plan::STAGES;
    SHARED_MEMORY(shared);
    PhaseBarrier *q_full = reinterpret_cast<PhaseBarrier *>(shared + Plan::BARRIERS_AT), *q_empty = q_full + 1;
    Ring k = {q_empty + 1, q_empty + 1 + STAGES}, v = {k.empty + STAGES, k.empty + 2 * STAGES};
    volatile int *range = reinterpret_cast<volatile int *>(shared + Plan::RANGE_AT);
    if (threadIdx.x == 0) {
        begin_barrier(q_full, 1), begin_barrier(q_empty, 4 * n_groups);
        for (int i = 0; i < STAGES; i++) {
            begin_barrier(k.full + i, 1), begin_barrier(v.full + i, 1);
            begin_barrier(k.empty + i, 4 * n_groups), begin_barrier(v.empty + i, 4 * n_groups);
        }
        publish_barriers();
    }
    __syncthreads();
    int n_tiles = (s.time + ROWS - 1) / ROWS, n_items = n_tiles * s.n_heads * s.batch;
    int role = __shfl_sync(ALL, static_cast<int>(threadIdx.x / 128), 0);
    if (role == 0) {
        give_registers<n_groups == 3 ? 32 : 40>();
        if (threadIdx.x >= 32) return;
        int n_done = 0, filled = 0;
        for (int round = 0; round * static_cast<int>(gridDim.x) < n_items; round++) {
            int index = turn(round);
            if (index >= n_items) continue;
            Item item = item_of(index, n_tiles, s.n_heads, s.batch, section, true);
            Extent e = extent_of(s, documents, item.b, item.tile * ROWS, ROWS);
            int low = e.to_max > 0 ? e.from_min / KEYS : 0, high = (e.to_max + KEYS - 1) / KEYS;
            if (threadIdx.x == 0) {
                wait(q_empty, n_done % 2 ^ 1);
                range[0] = low, range[1] = high;
                arrive_expecting(q_full, n_groups * Plan::GROUP_BYTES);
                for (int i = 0; i < n_groups * CHUNKS; i++)
                    load_box<4>(shared + i * BOX, qkv_map, q_full, i % CHUNKS * 64, item.head, item.tile * ROWS + i / CHUNKS * 64, item.b);
                int kv_head = item.head / (s.n_heads / s.n_kv_heads);
                for (int j = high - 1; j >= low; j--, filled++) {
                    int at = filled % STAGES, parity = filled / STAGES % 2 ^ 1;
                    for (int which = 0; which < 2; which++) {
                        Ring ring = which ? v : k;
                        unsigned char *to = shared + (which ? Plan::V_AT : Plan::K_AT) + at * Plan::TILE_BYTES;
                        int head = s.n_heads + which * s.n_kv_heads + kv_head;
                        wait(ring.empty + at, parity);
                        arrive_expecting(ring.full + at, Plan::TILE_BYTES);
                        for (int i = 0; i < CHUNKS * KEYS / 64; i++)
                            load_box<4>(to + i * BOX, qkv_map, ring.full + at, i / (KEYS / 64) * 64, head, j * KEYS + i % (KEYS / 64) * 64, item.b);
                    }
                }
            }
            n_done++;
        }
    } else {
        take_registers<n_groups == 3 ? 160 : 232>();
        int group = role - 1, lane = threadIdx.x % 32, warp = threadIdx.x % 128 / 32;
        bool leads_warp = lane == 0, leads = threadIdx.x % 128 == 0;
        unsigned char *staging = shared + Plan::OUT_AT + group * Plan::GROUP_BYTES;
        unsigned long long q_at = describe(shared + group * Plan::GROUP_BYTES, 16, 1024);
        unsigned long long k_at = describe(shared + Plan::K_AT, 16, 1024), v_at = describe(shared + Plan::V_AT, Plan::TILE_CHUNK, 1024);
        // Groups take turns at the tensor cores, so that one multiplies while another is busy with exponentials.
        if (group == n_groups - 1) pass_by(1, 256);
        int n_done = 0, used = 0;
        for (int round = 0; round * static_cast<int>(gridDim.x) < n_items; round++) {
            int index = turn(round);
            if (index >= n_items) continue;
            Item item = item_of(index, n_tiles, s.n_heads, s.batch, section, true);
            int first_row = item.tile * ROWS + group * 64, row = first_row + warp * 16 + lane / 4;
            Span rows[2] = {seen(s, documents, item.b, row), seen(s, documents, item.b, row + 8)};
            Extent e;
            e.add(rows[0]), e.add(rows[1]);
            UNROLL for (int mask = 4; mask <= 16; mask <<= 1) e.meet(mask);
            Softmax softmax;
            float o[D / 2];
            unsigned p[KEYS / 16][4];
            UNROLL for (int i = 0; i < D / 2; i++) o[i] = 0.0f;
            auto mask = [&](float(&x)[KEYS / 2], int tile) {
                if (tile * KEYS < e.from_max || tile * KEYS + KEYS > e.to_min) mask_keys(x, tile * KEYS + lane % 4 * 2, rows);
            };

            // Tiles that this group's rows see, of those that the block's do: the rest it passes by, turns included.
            Extent own = extent_of(s, documents, item.b, first_row, 64);
            int own_low = own.to_max > 0 ? own.from_min / KEYS : 0, own_high = (own.to_max + KEYS - 1) / KEYS;
            auto pass_over = [&](bool has_turn) {
                int at = used % STAGES, parity = used / STAGES % 2;
                wait(k.full + at, parity), wait(v.full + at, parity);
                __syncwarp();
                if (leads_warp) arrive(k.empty + at), arrive(v.empty + at);
                if (has_turn) meet_at(1 + group, 256), pass_by(1 + (group + 1) % n_groups, 256);
                used++;
            };

            wait(q_full, n_done % 2);
            int low = range[0], tile = range[1] - 1;
            __syncwarp();
            // A turn less than tiles: the first scores are out of turn.
            for (; tile >= max(low, own_high); tile--) pass_over(own_high > 0 || tile > low);
            if (own_high > 0) {
                float first[KEYS / 2];
                int at = used % STAGES, parity = used / STAGES % 2;
                wait(k.full + at, parity);
                begin_products();
                scores<D, KEYS>(first, q_at, BOX, advance(k_at, at * Plan::TILE_BYTES), Plan::TILE_CHUNK);
                close_products();
                wait_for_products<0>();
                hold(first);
                if (leads_warp) arrive(k.empty + at);
                if (leads_warp && tile == own_low) arrive(q_empty);
                mask(first, tile);
                softmax.take(first, scale);
                pack_left<KEYS>(p, first);
                for (tile--; tile >= own_low; tile--) {
                    // The scores of this tile, and the sums of the one before it. Scores are fresh registers in every round: the compiler takes what
                    // was written to them otherwise for a part of the next product.
                    float x[KEYS / 2];
                    int before = at, before_parity = parity;
                    used++;
                    at = used % STAGES, parity = used / STAGES % 2;
                    wait(k.full + at, parity);
                    meet_at(1 + group, 256);
                    begin_products();
                    scores<D, KEYS>(x, q_at, BOX, advance(k_at, at * Plan::TILE_BYTES), Plan::TILE_CHUNK);
                    close_products();
                    wait(v.full + before, before_parity);
                    begin_products();
                    mix<D, KEYS>(o, p, advance(v_at, before * Plan::TILE_BYTES));
                    close_products();
                    pass_by(1 + (group + 1) % n_groups, 256);
                    wait_for_products<1>();
                    hold(x);
                    if (leads_warp) arrive(k.empty + at);
                    if (leads_warp && tile == own_low) arrive(q_empty);
                    mask(x, tile);
                    softmax.take(x, scale);
                    compute_first(softmax.sum[0], softmax.sum[1]);
                    wait_for_products<0>();
                    hold(o);
                    if (leads_warp) arrive(v.empty + before);
                    softmax.mend(o);
                    pack_left<KEYS>(p, x);
                }
                wait(v.full + at, parity);
                begin_products();
                mix<D, KEYS>(o, p, advance(v_at, at * Plan::TILE_BYTES));
                close_products();
                used++;
                wait_for_products<0>();
                hold(o);
                if (leads_warp) arrive(v.empty + at);
                for (; tile >= low; tile--) pass_over(true);
            } else if (leads_warp) {
                arrive(q_empty);
            }
            float factor[2];
            UNROLL for (int r = 0; r < 2; r++) {
                float sum = softmax.sum[r];
                sum += __shfl_xor_sync(ALL, sum, 1);
                sum += __shfl_xor_sync(ALL, sum, 2);
                bool sees = rows[r].from < rows[r].to;
                factor[r] = sees ? 1.0f / sum : 0.0f;
                if (lane % 4 == 0 && row + 8 * r < s.time)
                    lse[(static_cast<long long>(item.b) * s.n_heads + item.head) * s.time + row + 8 * r] =
                        sees ? fmaf(softmax.base[r], 1.0f / LOG2_E, __logf(sum)) : 0.0f;
            }
            if (leads) wait_for_stores<0>();
            meet_at(8 + group, 128);
            stage<D>(staging, BOX, o, factor[0], factor[1]);
            publish_shared();
            meet_at(8 + group, 128);
            if (leads && first_row < s.time) {
                for (int i = 0; i < CHUNKS; i++) store_box<4>(out_map, staging + i * BOX, i * 64, item.head, first_row, item.b);
                close_stores();
            }
            n_done++;
        }
        if (group == 0) meet_at(1, 256);
        if (leads) wait_for_stores<0>();
    }
}

// ---- backward

template <int D> struct BackwardQueries {
    static constexpr int CHUNKS = (D + 63) / 64, ROWS = 128, KEYS = 128, STAGES = D == 64 ? 3 : 2;
    static constexpr int GROUP_BYTES = CHUNKS * BOX, ROW_BYTES = 2 * GROUP_BYTES, KEY_CHUNK = KEYS * WIDTH, KEY_BYTES = CHUNKS * KEY_CHUNK;
    static constexpr int DOUT_AT = ROW_BYTES, K_AT = 2 * ROW_BYTES, V_AT = K_AT + STAGES * KEY_BYTES, DQ_AT = V_AT + STAGES * KEY_BYTES;
    static constexpr int BARRIERS_AT = DQ_AT + ROW_BYTES, RANGE_AT = BARRIERS_AT + 8 * (2 + 2 * STAGES);
};

/// dout·out over a row of a head, by four neighbouring lanes.
template <int D> __device__ __forceinline__ float row_product(const bf16 *dout, const bf16 *out) {
    float sum = 0.0f;
    UNROLL for (int i = 0; i < D / 32; i++) {
        float x[8], y[8];
        int at = (i * 4 + static_cast<int>(threadIdx.x) % 4) * 8;
        load_16(dout + at, x), load_16(out + at, y);
        UNROLL for (int j = 0; j < 8; j++) sum = fmaf(x[j], y[j], sum);
    }
    return sum;
}

/// dq of 128 rows, and their deltas.
template <int D>
__device__ void backward_queries(float *delta, const TensorMap *dqkv_map, const TensorMap *qkv_map, const TensorMap *dout_map, const bf16 *dout, const bf16 *out,
                                 const float *lse, const int *documents, const Sizes s, int section, float scale) {
    using Plan = BackwardQueries<D>;
    constexpr int CHUNKS = Plan::CHUNKS, ROWS = Plan::ROWS, KEYS = Plan::KEYS, STAGES = Plan::STAGES;
    // Sums go on while the next scores begin, where registers suffice.
    constexpr bool LATE = D == 64;
    SHARED_MEMORY(shared);
    PhaseBarrier *q_full = reinterpret_cast<PhaseBarrier *>(shared + Plan::BARRIERS_AT), *q_empty = q_full + 1;
    Ring ring = {q_full + 2, q_full + 2 + STAGES};
    volatile int *range = reinterpret_cast<volatile int *>(shared + Plan::RANGE_AT);
    if (threadIdx.x == 0) {
        begin_barrier(q_full, 1), begin_barrier(q_empty, 8);
        for (int i = 0; i < STAGES; i++) begin_barrier(ring.full + i, 1), begin_barrier(ring.empty + i, 8);
        publish_barriers();
    }
    __syncthreads();
    int n_tiles = (s.time + ROWS - 1) / ROWS, n_items = n_tiles * s.n_heads * s.batch;
    int role = __shfl_sync(ALL, static_cast<int>(threadIdx.x / 128), 0), n_done = 0;
    if (role == 0) {
        give_registers<40>();
        if (threadIdx.x >= 32) return;
        int filled = 0;
        for (int round = 0; round * static_cast<int>(gridDim.x) < n_items; round++) {
            int index = turn(round);
            if (index >= n_items) continue;
            Item item = item_of(index, n_tiles, s.n_heads, s.batch, section, true);
            Extent e = extent_of(s, documents, item.b, item.tile * ROWS, ROWS);
            int low = e.to_max > 0 ? e.from_min / KEYS : 0, high = (e.to_max + KEYS - 1) / KEYS;
            if (threadIdx.x == 0) {
                wait(q_empty, n_done % 2 ^ 1);
                range[0] = low, range[1] = high;
                arrive_expecting(q_full, 2 * Plan::ROW_BYTES);
                // A group's rows of all chunks stand together.
                for (int i = 0; i < 4 * CHUNKS; i++)
                    load_box<4>(shared + i * BOX, i < 2 * CHUNKS ? qkv_map : dout_map, q_full, i % CHUNKS * 64, item.head,
                                item.tile * ROWS + i / CHUNKS % 2 * 64, item.b);
                int kv_head = item.head / (s.n_heads / s.n_kv_heads);
                for (int j = high - 1; j >= low; j--, filled++) {
                    int at = filled % STAGES;
                    wait(ring.empty + at, filled / STAGES % 2 ^ 1);
                    arrive_expecting(ring.full + at, 2 * Plan::KEY_BYTES);
                    for (int which = 0; which < 2; which++)
                        for (int i = 0; i < CHUNKS * KEYS / 64; i++)
                            load_box<4>(shared + (which ? Plan::V_AT : Plan::K_AT) + at * Plan::KEY_BYTES + i * BOX, qkv_map, ring.full + at,
                                        i / (KEYS / 64) * 64, s.n_heads + which * s.n_kv_heads + kv_head, j * KEYS + i % (KEYS / 64) * 64, item.b);
                }
            }
            n_done++;
        }
    } else {
        take_registers<232>();
        int group = role - 1, lane = threadIdx.x % 32, warp = threadIdx.x % 128 / 32, used = 0;
        bool leads_warp = lane == 0, leads = threadIdx.x % 128 == 0;
        unsigned char *own_q = shared + group * Plan::GROUP_BYTES, *staging = own_q + Plan::DQ_AT;
        unsigned long long q_at = describe(own_q, 16, 1024), dout_at = describe(own_q + Plan::DOUT_AT, 16, 1024);
        unsigned long long k_at = describe(shared + Plan::K_AT, Plan::KEY_CHUNK, 1024), v_at = describe(shared + Plan::V_AT, Plan::KEY_CHUNK, 1024);
        for (int round = 0; round * static_cast<int>(gridDim.x) < n_items; round++) {
            int index = turn(round);
            if (index >= n_items) continue;
            Item item = item_of(index, n_tiles, s.n_heads, s.batch, section, true);
            int first_row = item.tile * ROWS + group * 64, row = first_row + warp * 16 + lane / 4;
            Span rows[2] = {seen(s, documents, item.b, row), seen(s, documents, item.b, row + 8)};
            Extent e, own = extent_of(s, documents, item.b, first_row, 64);
            e.add(rows[0]), e.add(rows[1]);
            UNROLL for (int mask = 4; mask <= 16; mask <<= 1) e.meet(mask);
            int own_low = own.to_max > 0 ? own.from_min / KEYS : 0, own_high = (own.to_max + KEYS - 1) / KEYS;
            float sum[2], mean[2];
            UNROLL for (int r = 0; r < 2; r++) {
                sum[r] = INFINITE, mean[r] = 0.0f;
                bool inside = row + 8 * r < s.time;
                long long from = ((static_cast<long long>(item.b) * s.time + row + 8 * r) * s.n_heads + item.head) * D;
                if (inside) mean[r] = row_product<D>(dout + from, out + from);
                mean[r] += __shfl_xor_sync(ALL, mean[r], 1);
                mean[r] += __shfl_xor_sync(ALL, mean[r], 2);
                long long at = (static_cast<long long>(item.b) * s.n_heads + item.head) * s.time + row + 8 * r;
                if (inside && lane % 4 == 0) delta[at] = mean[r];
                if (rows[r].from < rows[r].to) sum[r] = lse[at] * LOG2_E;
                else mean[r] = 0.0f;
            }
            float dq[D / 2];
            UNROLL for (int i = 0; i < D / 2; i++) dq[i] = 0.0f;
            auto pass_over = [&] {
                wait(ring.full + used % STAGES, used / STAGES % 2);
                __syncwarp();
                if (leads_warp) arrive(ring.empty + used % STAGES);
                used++;
            };
            wait(q_full, n_done % 2);
            int low = range[0], tile = range[1] - 1;
            __syncwarp();
            for (; tile >= max(low, own_high); tile--) pass_over();
            if (own_high > 0) {
                bool first = true;
                do {
                    float x[KEYS / 2], y[KEYS / 2];
                    unsigned ds[KEYS / 16][4];
                    int at = used % STAGES;
                    unsigned long long k = advance(k_at, at * Plan::KEY_BYTES);
                    wait(ring.full + at, used / STAGES % 2);
                    begin_products();
                    scores<D, KEYS>(x, q_at, BOX, k, Plan::KEY_CHUNK);
                    close_products();
                    begin_products();
                    scores<D, KEYS>(y, dout_at, BOX, advance(v_at, at * Plan::KEY_BYTES), Plan::KEY_CHUNK);
                    close_products();
                    wait_for_products<1>();
                    hold(x);
                    // Products of the tile before are done with.
                    if (LATE && leads_warp && !first) arrive(ring.empty + (used - 1) % STAGES);
                    if (tile * KEYS < e.from_max || tile * KEYS + KEYS > e.to_min) mask_keys(x, tile * KEYS + lane % 4 * 2, rows);
                    UNROLL for (int i = 0; i < KEYS / 2; i++) x[i] = exp2_fast(fmaf(x[i], scale, -sum[i / 2 % 2]));
                    wait_for_products<0>();
                    hold(y);
                    if (leads_warp && tile == own_low) arrive(q_empty);
                    UNROLL for (int i = 0; i < KEYS / 2; i++) y[i] = x[i] * (y[i] - mean[i / 2 % 2]);
                    pack_left<KEYS>(ds, y);
                    begin_products();
                    mix<D, KEYS>(dq, ds, k);
                    close_products();
                    if (!LATE) {
                        wait_for_products<0>();
                        hold(dq);
                        if (leads_warp) arrive(ring.empty + at);
                    }
                    first = false;
                    used++;
                } while (--tile >= own_low);
                if (LATE) {
                    wait_for_products<0>();
                    hold(dq);
                    if (leads_warp) arrive(ring.empty + (used - 1) % STAGES);
                }
                for (; tile >= low; tile--) pass_over();
            } else if (leads_warp) {
                arrive(q_empty);
            }
            float factor = scale * (1.0f / LOG2_E);
            if (leads) wait_for_stores<0>();
            meet_at(8 + group, 128);
            stage<D>(staging, BOX, dq, factor, factor);
            publish_shared();
            meet_at(8 + group, 128);
            if (leads && first_row < s.time) {
                for (int i = 0; i < CHUNKS; i++) store_box<4>(dqkv_map, staging + i * BOX, i * 64, item.head, first_row, item.b);
                close_stores();
            }
            n_done++;
        }
        if (leads) wait_for_stores<0>();
    }
}

template <int D> struct BackwardKeys {
    static constexpr int CHUNKS = (D + 63) / 64, KEYS = 128, ROWS = D == 64 ? 128 : 64, STAGES = 3, KEY_STAGES = D == 64 ? 2 : 1;
    static constexpr int KEY_CHUNK = KEYS * WIDTH, KEY_BYTES = CHUNKS * KEY_CHUNK, ROW_CHUNK = ROWS * WIDTH, ROW_BYTES = CHUNKS * ROW_CHUNK;
    static constexpr int Q_AT = KEY_STAGES * 2 * KEY_BYTES, DOUT_AT = Q_AT + STAGES * ROW_BYTES, OUT_AT = DOUT_AT + STAGES * ROW_BYTES;
    static constexpr int LSE_AT = OUT_AT + 2 * KEY_BYTES, DELTA_AT = LSE_AT + STAGES * ROWS * 4, SPANS_AT = DELTA_AT + STAGES * ROWS * 4;
    static constexpr int INFO_AT = SPANS_AT + STAGES * ROWS * 4, BARRIERS_AT = INFO_AT + STAGES * 8;
};

// Flags of a stage.
constexpr int PARTIAL = 1, LAST = 2;

/// dk and dv of 128 keys: scores stand with keys as rows, so that probabilities are a left side as they come out.
template <int D>
__device__ void backward_keys(const TensorMap *dqkv_map, const TensorMap *qkv_map, const TensorMap *dout_map, const float *lse, const float *delta,
                              const int *documents, const Sizes s, int section, float scale) {
    using Plan = BackwardKeys<D>;
    constexpr int CHUNKS = Plan::CHUNKS, KEYS = Plan::KEYS, ROWS = Plan::ROWS, STAGES = Plan::STAGES, KEY_STAGES = Plan::KEY_STAGES;
    SHARED_MEMORY(shared);
    PhaseBarrier *barriers = reinterpret_cast<PhaseBarrier *>(shared + Plan::BARRIERS_AT);
    Ring ring = {barriers, barriers + STAGES}, kv = {barriers + 2 * STAGES, barriers + 2 * STAGES + KEY_STAGES};
    float *lse_of = reinterpret_cast<float *>(shared + Plan::LSE_AT), *delta_of = reinterpret_cast<float *>(shared + Plan::DELTA_AT);
    // The keys of the block that each row sees, the first in the lower half and the end in the upper; read where they are wanted and no earlier, for
    // there are no registers to hold them.
    volatile unsigned *spans = reinterpret_cast<volatile unsigned *>(shared + Plan::SPANS_AT);
    // Of a stage: its first row, or −1 if no row sees any of the keys; flags: some rows see some of the keys only; the item's last.
    volatile int *info = reinterpret_cast<volatile int *>(shared + Plan::INFO_AT);
    if (threadIdx.x == 0) {
        for (int i = 0; i < STAGES; i++) begin_barrier(ring.full + i, 1), begin_barrier(ring.empty + i, 8);
        for (int i = 0; i < KEY_STAGES; i++) begin_barrier(kv.full + i, 1), begin_barrier(kv.empty + i, 8);
        publish_barriers();
    }
    __syncthreads();
    int n_tiles = (s.time + KEYS - 1) / KEYS, n_items = n_tiles * s.n_kv_heads * s.batch, in_group = s.n_heads / s.n_kv_heads;
    int role = __shfl_sync(ALL, static_cast<int>(threadIdx.x / 128), 0), n_done = 0;
    if (role == 0) {
        give_registers<56>();
        if (threadIdx.x >= 32) return;
        int lane = threadIdx.x, filled = 0;
        for (int round = 0; round * static_cast<int>(gridDim.x) < n_items; round++) {
            int index = turn(round);
            if (index >= n_items) continue;
            Item item = item_of(index, n_tiles, s.n_kv_heads, s.batch, section, false);
            int first_key = item.tile * KEYS, slot = n_done % KEY_STAGES;
            if (lane == 0) {
                wait(kv.empty + slot, n_done / KEY_STAGES % 2 ^ 1);
                arrive_expecting(kv.full + slot, 2 * Plan::KEY_BYTES);
                for (int i = 0; i < 2 * CHUNKS * KEYS / 64; i++) {
                    int which = i / (CHUNKS * KEYS / 64), box = i % (CHUNKS * KEYS / 64);
                    load_box<4>(shared + slot * 2 * Plan::KEY_BYTES + i * BOX, qkv_map, kv.full + slot, box / (KEYS / 64) * 64,
                                s.n_heads + which * s.n_kv_heads + item.head, first_key + box % (KEYS / 64) * 64, item.b);
                }
            }
            int last_key = min(first_key + KEYS, s.time) - 1;
            int low = (s.causal ? first_key : max(0, first_key - s.window)) / ROWS, high = min(s.time - 1, last_key + s.window) / ROWS;
            // A tile is handed out when the next one is found, which tells whether it is the last.
            int found = -1, found_head = 0, flags = 0;
            int head = item.head * in_group, tile = low - 1;
            while (true) {
                int next = -1, next_head = 0, next_flags = 0;
                while (next < 0) {
                    if (++tile > high) {
                        if (head == (item.head + 1) * in_group - 1) break;
                        head++, tile = low;
                    }
                    Extent e = extent_of(s, documents, item.b, tile * ROWS, ROWS);
                    if (e.from_min > last_key || e.to_max <= first_key) continue;
                    next = tile, next_head = head, next_flags = e.from_max > first_key || e.to_min <= last_key ? PARTIAL : 0;
                }
                if (found >= 0 || next < 0) {
                    int at = filled % STAGES;
                    // Asked for before room for them is waited for.
                    float sum[ROWS / 32], mean[ROWS / 32];
                    unsigned span[ROWS / 32];
                    if (found >= 0) {
                        long long row_of = (static_cast<long long>(item.b) * s.n_heads + found_head) * s.time;
                        UNROLL for (int i = 0; i < ROWS / 32; i++) {
                            int row = found * ROWS + i * 32 + lane;
                            Span seen_of = seen(s, documents, item.b, row);
                            bool sees = seen_of.from < seen_of.to;
                            // A row that sees nothing, or is none, has probabilities 2^−∞.
                            sum[i] = sees ? lse[row_of + row] : INFINITE, mean[i] = sees ? delta[row_of + row] : 0.0f;
                            int from = min(max(seen_of.from - first_key, 0), KEYS), to = min(max(seen_of.to - first_key, 0), KEYS);
                            span[i] = static_cast<unsigned>(from) | static_cast<unsigned>(to) << 16;
                        }
                    }
                    wait(ring.empty + at, filled / STAGES % 2 ^ 1);
                    if (found >= 0) {
                        UNROLL for (int i = 0; i < ROWS / 32; i++) {
                            int to = at * ROWS + i * 32 + lane;
                            lse_of[to] = sum[i] * LOG2_E, delta_of[to] = mean[i], spans[to] = span[i];
                        }
                    }
                    __syncwarp();
                    if (lane == 0) {
                        info[at * 2] = found * ROWS, info[at * 2 + 1] = flags | (next < 0 ? LAST : 0);
                        if (found >= 0) {
                            arrive_expecting(ring.full + at, 2 * Plan::ROW_BYTES);
                            for (int i = 0; i < 2 * CHUNKS * ROWS / 64; i++) {
                                int which = i / (CHUNKS * ROWS / 64), box = i % (CHUNKS * ROWS / 64);
                                load_box<4>(shared + (which ? Plan::DOUT_AT : Plan::Q_AT) + at * Plan::ROW_BYTES + box * BOX, which ? dout_map : qkv_map,
                                            ring.full + at, box / (ROWS / 64) * 64, found_head, found * ROWS + box % (ROWS / 64) * 64, item.b);
                            }
                        } else {
                            arrive(ring.full + at);
                        }
                    }
                    filled++;
                }
                if (next < 0) break;
                found = next, found_head = next_head, flags = next_flags;
            }
            n_done++;
        }
    } else {
        take_registers<224>();
        int group = role - 1, lane = threadIdx.x % 32, warp = threadIdx.x % 128 / 32, used = 0;
        bool leads_warp = lane == 0, leads = threadIdx.x % 128 == 0;
        unsigned long long k_at = describe(shared + group * BOX, 16, 1024);
        unsigned long long q_at = describe(shared + Plan::Q_AT, Plan::ROW_CHUNK, 1024), dout_at = describe(shared + Plan::DOUT_AT, Plan::ROW_CHUNK, 1024);
        unsigned char *staging = shared + Plan::OUT_AT + group * 2 * CHUNKS * BOX;
        int key = group * 64 + warp * 16 + lane / 4;
        for (int round = 0; round * static_cast<int>(gridDim.x) < n_items; round++) {
            int index = turn(round);
            if (index >= n_items) continue;
            int slot = n_done % KEY_STAGES;
            unsigned long long k = advance(k_at, slot * 2 * Plan::KEY_BYTES), v = advance(k, Plan::KEY_BYTES);
            float dk[D / 2], dv[D / 2];
            UNROLL for (int i = 0; i < D / 2; i++) dk[i] = 0.0f, dv[i] = 0.0f;
            wait(kv.full + slot, n_done / KEY_STAGES % 2);
            wait(ring.full + used % STAGES, used / STAGES % 2);
            if (info[used % STAGES * 2] >= 0) {
                int flags;
                do {
                    float x[ROWS / 2], y[ROWS / 2];
                    unsigned p[ROWS / 16][4], ds[ROWS / 16][4];
                    int at = used % STAGES;
                    wait(ring.full + at, used / STAGES % 2);
                    flags = info[at * 2 + 1];
                    unsigned long long q = advance(q_at, at * Plan::ROW_BYTES), dout = advance(dout_at, at * Plan::ROW_BYTES);
                    begin_products();
                    scores<D, ROWS>(x, k, Plan::KEY_CHUNK, q, Plan::ROW_CHUNK);
                    close_products();
                    begin_products();
                    scores<D, ROWS>(y, v, Plan::KEY_CHUNK, dout, Plan::ROW_CHUNK);
                    close_products();
                    wait_for_products<1>();
                    hold(x);
                    if (flags & PARTIAL) {
                        UNROLL for (int i = 0; i < ROWS / 8; i++)
                            UNROLL for (int j = 0; j < 2; j++) {
                                unsigned span = spans[at * ROWS + 8 * i + lane % 4 * 2 + j];
                                int from = span & 0xffff, to = span >> 16;
                                if (key < from || key >= to) x[4 * i + j] = -INFINITE;
                                if (key + 8 < from || key + 8 >= to) x[4 * i + 2 + j] = -INFINITE;
                            }
                    }
                    UNROLL for (int i = 0; i < ROWS / 8; i++) {
                        float2 sum = *reinterpret_cast<const float2 *>(lse_of + at * ROWS + 8 * i + lane % 4 * 2);
                        x[4 * i] = exp2_fast(fmaf(x[4 * i], scale, -sum.x)), x[4 * i + 1] = exp2_fast(fmaf(x[4 * i + 1], scale, -sum.y));
                        x[4 * i + 2] = exp2_fast(fmaf(x[4 * i + 2], scale, -sum.x)), x[4 * i + 3] = exp2_fast(fmaf(x[4 * i + 3], scale, -sum.y));
                    }
                    wait_for_products<0>();
                    hold(y);
                    if (leads_warp && flags & LAST) arrive(kv.empty + slot);
                    UNROLL for (int i = 0; i < ROWS / 8; i++) {
                        float2 mean = *reinterpret_cast<const float2 *>(delta_of + at * ROWS + 8 * i + lane % 4 * 2);
                        y[4 * i] = x[4 * i] * (y[4 * i] - mean.x), y[4 * i + 1] = x[4 * i + 1] * (y[4 * i + 1] - mean.y);
                        y[4 * i + 2] = x[4 * i + 2] * (y[4 * i + 2] - mean.x), y[4 * i + 3] = x[4 * i + 3] * (y[4 * i + 3] - mean.y);
                    }
                    pack_left<ROWS>(p, x), pack_left<ROWS>(ds, y);
                    begin_products();
                    mix<D, ROWS>(dv, p, dout);
                    mix<D, ROWS>(dk, ds, q);
                    close_products();
                    // The other group keeps the tensor cores busy: registers don't suffice to begin the next scores before this is done.
                    wait_for_products<0>();
                    hold(dk), hold(dv);
                    if (leads_warp) arrive(ring.empty + at);
                    used++;
                } while (!(flags & LAST));
            } else {
                __syncwarp();
                if (leads_warp) arrive(kv.empty + slot), arrive(ring.empty + used % STAGES);
                used++;
            }
            float factor = scale * (1.0f / LOG2_E);
            if (leads) wait_for_stores<0>();
            meet_at(8 + group, 128);
            stage<D>(staging, BOX, dk, factor, factor);
            stage<D>(staging + CHUNKS * BOX, BOX, dv, 1.0f, 1.0f);
            publish_shared();
            meet_at(8 + group, 128);
            Item item = item_of(index, n_tiles, s.n_kv_heads, s.batch, section, false);
            int first_key = item.tile * KEYS + group * 64;
            if (leads && first_key < s.time) {
                for (int i = 0; i < 2 * CHUNKS; i++)
                    store_box<4>(dqkv_map, staging + i * BOX, i % CHUNKS * 64, s.n_heads + i / CHUNKS * s.n_kv_heads + item.head, first_key, item.b);
                close_stores();
            }
            n_done++;
        }
        if (leads) wait_for_stores<0>();
    }
}

} // namespace
#define ON_HOPPER(...) __VA_ARGS__
#else
#define ON_HOPPER(...)
#endif

#define FORWARD(D, n_groups)                                                                                                                          \
    ENTRY_RESIDENT(128 + 128 * n_groups, 1)                                                                                                           \
    attention_forward_##D##_sm90_bf16(float *lse, const __grid_constant__ TensorMap out, const __grid_constant__ TensorMap qkv, const int *documents, \
                                      int batch, int time, int n_heads, int n_kv_heads, int section, int n_blocks, int causal, int window, float scale) { \
        ON_HOPPER(forward<D, n_groups>(lse, &out, &qkv, documents, {batch, time, n_heads, n_kv_heads, causal, window}, section, scale);)              \
    }
FORWARD(64, 3)
FORWARD(96, 2)
FORWARD(128, 2)

#define BACKWARD(D)                                                                                                                                   \
    ENTRY_RESIDENT(384, 1)                                                                                                                            \
    attention_backward_queries_##D##_sm90_bf16(float *delta, const __grid_constant__ TensorMap dqkv, const __grid_constant__ TensorMap qkv,           \
                                               const __grid_constant__ TensorMap dout_tiles, const bf16 *dout, const bf16 *out, const float *lse,     \
                                               const int *documents, int batch, int time, int n_heads, int n_kv_heads, int section, int n_blocks,     \
                                               int causal, int window, float scale) {                                                                 \
        ON_HOPPER(backward_queries<D>(delta, &dqkv, &qkv, &dout_tiles, dout, out, lse, documents, {batch, time, n_heads, n_kv_heads, causal, window}, \
                                      section, scale);)                                                                                               \
    }                                                                                                                                                 \
    ENTRY_RESIDENT(384, 1)                                                                                                                            \
    attention_backward_keys_##D##_sm90_bf16(const __grid_constant__ TensorMap dqkv, const __grid_constant__ TensorMap qkv,                            \
                                            const __grid_constant__ TensorMap dout, const float *lse, const float *delta, const int *documents,       \
                                            int batch, int time, int n_heads, int n_kv_heads, int section, int n_blocks, int causal, int window,      \
                                            float scale) {                                                                                            \
        ON_HOPPER(backward_keys<D>(&dqkv, &qkv, &dout, lse, delta, documents, {batch, time, n_heads, n_kv_heads, causal, window}, section, scale);)   \
    }
BACKWARD(64)
BACKWARD(96)
BACKWARD(128)
