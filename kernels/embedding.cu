// Rows of a table by id, and their gradient.
//
// Formula: out[r] = weight[ids[r]], or +=; zeros where the id is negative. Backward: dweight[ids[r]] += dout[r].
// Shapes: out, dout (N, C), weight, dweight (V, C), ids (N).
// Requirements: none; rows whose width is a multiple of what a thread moves at once, at aligned addresses, are moved so.
// Launch: forward: a warp a row. Backward, for the same bits at any timing and speed however often an id occurs:
//   1. Row numbers are sorted by id, stably, by a radix sort of 8 bits a pass: `count` counts the first digits of tiles of 2048 rows; `sort`
//      puts a tile's rows where its digits begin, and counts the digits of the next pass in the tiles where they land (integers: no order shows).
//   2. `runs`: a warp sums a run of `run` sorted rows for a tile of columns. An id whose rows all lie in the run is added to the table at once;
//      of an id that reaches in from the run before, and of one that reaches out to the next, the sum is a part in scratch.
//   3. `join`: the parts of each id that reaches over runs are summed in their order, in strides of 8, and added to the table.
// Numerics: f32 sums, rounded once; within 1e-6 (f32) and half a unit (bf16) of the f64 reference.
// Bound: bytes: 2 · N · C forward; N · C and twice the rows of the table that occur backward.
#include "polder.cuh"

namespace {

constexpr int TILE = 2048, N_DIGITS = 256, N_ROUNDS = TILE / 256;

template <bool whole, int V, class O, class W>
__device__ void gather(O *out, const W *weight, const int *ids, long long n, int n_ids, int channels, int accumulate) {
    constexpr int N_AHEAD = 4;
    long long row = blockIdx.x * 8ll + threadIdx.x / 32;
    if (row >= n) return;
    int id = ids[row];
    // An id outside the table is a bug of the caller, and no reason to read what is not there.
    bool inside = id >= 0 && id < n_ids;
    if (accumulate && !inside) return;
    const W *from = weight + static_cast<long long>(inside ? id : 0) * channels;
    O *to = out + row * channels;
    for (int base = threadIdx.x % 32 * V; base < channels; base += 32 * V * N_AHEAD) {
        Vector<W, V> w[N_AHEAD];
        Vector<O, V> o[N_AHEAD];
        UNROLL for (int j = 0; j < N_AHEAD; j++) {
            int column = base + j * 32 * V, count = channels - column;
            w[j] = load_vector<whole, V>(from + column, inside ? count : 0);
            o[j] = load_vector<whole, V>(to + column, accumulate ? count : 0);
        }
        UNROLL for (int j = 0; j < N_AHEAD; j++) {
            int column = base + j * 32 * V;
            float sum[V];
            UNROLL for (int i = 0; i < V; i++) sum[i] = o[j][i] + w[j][i];
            store_vector<whole, V>(to + column, sum, channels - column);
        }
    }
}

/// What is sorted: an id, rows without one being the last, and the row's number.
struct __align__(8) Key {
    int id, row;
};

/// What rows without an id, or with one outside the table, are sorted by.
__device__ __forceinline__ int key_of(int id, int n_ids) { return id >= 0 && id < n_ids ? id : n_ids; }

/// Bits of the digit of a pass; the last one has what is left.
__device__ __forceinline__ int bits_of(int n_ids, int pass) { return min(8, 32 - __clz(n_ids) - 8 * pass); }

/// The lanes whose digit is this lane's, among those that have one.
__device__ __forceinline__ unsigned peers_of(int digit, int bits, bool has) {
    unsigned peers = __ballot_sync(0xffffffffu, has);
    for (int b = 0; b < bits; b++) {
        bool bit = digit >> b & 1;
        unsigned with = __ballot_sync(0xffffffffu, bit);
        peers &= bit ? with : ~with;
    }
    return peers;
}

/// Counts a warp's digits, round by round; a round's count for a lane's digit before it, and the lane's place among its peers, is the lane's rank.
__device__ __forceinline__ int count_round(int *counts, int digit, int bits, bool has) {
    unsigned peers = peers_of(digit, bits, has), before = peers & ((1u << threadIdx.x % 32) - 1);
    int rank = (has ? counts[digit] : 0) + __popc(before);
    __syncwarp();
    if (has && before == 0) counts[digit] += __popc(peers);
    __syncwarp();
    return rank;
}

/// The sum of what threads before this one have, over 256 threads.
__device__ __forceinline__ int sum_before(int x, int *room) {
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, sum = x;
    UNROLL for (int by = 1; by < 32; by *= 2) {
        int other = __shfl_up_sync(0xffffffffu, sum, by);
        if (lane >= by) sum += other;
    }
    if (lane == 31) room[warp] = sum;
    __syncthreads();
    for (int w = 0; w < warp; w++) sum += room[w];
    return sum - x;
}

template <bool whole, int V, class G, class D>
__device__ void sum_runs(G *dweight, float *parts, const D *dout, const Key *sorted, int n, int n_ids, int channels, int run) {
    constexpr int N_AHEAD = 4;
    int lane = threadIdx.x % 32, n_tiles = (channels + 32 * V - 1) / (32 * V), stride = (channels + 7) / 8 * 8;
    // Neighbouring warps have neighbouring columns of the same rows.
    long long task = blockIdx.x * 8ll + threadIdx.x / 32;
    int first = static_cast<int>(min(task / n_tiles * run, static_cast<long long>(n))), column = static_cast<int>(task % n_tiles) * 32 * V + lane * V;
    if (first >= n) return;
    int count = channels - column, end = min(n, first + run);
    float *part = parts + task / n_tiles * 2 * stride + column;
    // Whether the id under way began before this run.
    bool reaches_in = first > 0 && sorted[first - 1].id == sorted[first].id, open = false;
    float sum[V];
    UNROLL for (int i = 0; i < V; i++) sum[i] = 0.0f;
    for (int base = first; base < end; base += 32) {
        int at = base + lane;
        Key key = at < end ? sorted[at] : Key{n_ids, 0};
        // The last row of an id ends it.
        bool ends = at + 1 >= n || sorted[at + 1].id != key.id;
        unsigned all_ends = __ballot_sync(0xffffffffu, ends), all = __ballot_sync(0xffffffffu, key.id < n_ids);
        if (all == 0) break;
        for (int ahead = 0; ahead < 32; ahead += N_AHEAD) {
            if (!(all >> ahead & 1)) break;
            Vector<D, V> d[N_AHEAD];
            Vector<G, V> g[N_AHEAD];
            int ids[N_AHEAD];
            bool in = reaches_in;
            UNROLL for (int j = 0; j < N_AHEAD; j++) {
                ids[j] = __shfl_sync(0xffffffffu, key.id, ahead + j);
                long long row = __shfl_sync(0xffffffffu, key.row, ahead + j);
                bool has = all >> (ahead + j) & 1, ended = all_ends >> (ahead + j) & 1;
                d[j] = load_vector<whole, V>(dout + row * channels + column, has ? count : 0);
                // The table's row is on its way with the rows that are added to it.
                g[j] = load_vector<whole, V>(dweight + static_cast<long long>(ids[j]) * channels + column, has && ended && !in ? count : 0);
                in = in && !ended;
            }
            UNROLL for (int j = 0; j < N_AHEAD; j++) {
                bool has = all >> (ahead + j) & 1, ended = all_ends >> (ahead + j) & 1;
                if (!has) break;
                UNROLL for (int i = 0; i < V; i++) sum[i] += d[j][i];
                open = !ended;
                if (!ended) continue;
                if (reaches_in) {
                    store_vector<whole, V>(part, sum, count);
                } else {
                    UNROLL for (int i = 0; i < V; i++) sum[i] += g[j][i];
                    store_vector<whole, V>(dweight + static_cast<long long>(ids[j]) * channels + column, sum, count);
                }
                UNROLL for (int i = 0; i < V; i++) sum[i] = 0.0f;
                reaches_in = false;
            }
        }
    }
    // What reaches out: of an id that also reached in, there is one part.
    if (open) store_vector<whole, V>(reaches_in ? part : part + stride, sum, count);
}

/// Joins what the ids leave that begin in one of 8 runs and reach out of it.
template <bool whole, class G>
__device__ void join_runs(G *dweight, const float *parts, const Key *sorted, int n, int n_ids, int channels, int run, float *sums) {
    constexpr int V = 4, N_SLICES = 8;
    int lane = threadIdx.x % 32, slice = threadIdx.x / 32, column = blockIdx.y * 32 * V + lane * V, count = channels - column;
    int stride = (channels + 7) / 8 * 8, *counts = reinterpret_cast<int *>(sums + N_SLICES * 32 * V);
    // Each warp looks at all 8, a lane each.
    long long begin = (blockIdx.x * 8ll + lane) * run, next = begin + run;
    bool joins = false;
    int id = n_ids;
    if (lane < 8 && next < n) {
        id = sorted[next - 1].id;
        joins = id < n_ids && sorted[next].id == id && (begin == 0 || sorted[begin - 1].id != id);
    }
    for (unsigned left = __ballot_sync(0xffffffffu, joins); left; left &= left - 1) {
        int which = __ffs(static_cast<int>(left)) - 1, id_here = __shfl_sync(0xffffffffu, id, which);
        long long first = blockIdx.x * 8ll + which;
        // How many runs it reaches into.
        int reached = 0, here;
        do {
            long long at = (first + 1 + reached + threadIdx.x) * run;
            unsigned same = __ballot_sync(0xffffffffu, at < n && sorted[at].id == id_here);
            if (lane == 0) counts[slice] = __popc(same);
            __syncthreads();
            here = 0;
            for (int w = 0; w < 8; w++) here += counts[w];
            __syncthreads();
            reached += here;
        } while (here == 256);
        const float *from = parts + first * 2 * stride + column;
        float sum[V];
        UNROLL for (int i = 0; i < V; i++) sum[i] = 0.0f;
        // Part 0 stands behind the first run's own first part; those of the runs that follow are their first ones.
        UNROLL_BY(8) for (int p = slice; p <= reached; p += N_SLICES) {
            Vector<float, V> v = load_vector<whole, V>(from + (p == 0 ? stride : static_cast<long long>(p) * 2 * stride), count);
            UNROLL for (int i = 0; i < V; i++) sum[i] += v[i];
        }
        UNROLL for (int i = 0; i < V; i++) sums[slice * 32 * V + lane * V + i] = sum[i];
        __syncthreads();
        if (slice == 0) {
            G *to = dweight + static_cast<long long>(id_here) * channels + column;
            Vector<G, V> g = load_vector<whole, V>(to, count);
            for (int s = 1; s < N_SLICES; s++) {
                UNROLL for (int i = 0; i < V; i++) sum[i] += sums[s * 32 * V + lane * V + i];
            }
            UNROLL for (int i = 0; i < V; i++) sum[i] += g[i];
            store_vector<whole, V>(to, sum, count);
        }
        // The next one's sums use the same room.
        __syncthreads();
    }
}

} // namespace

#define EMBEDDING_FORWARD(to, from)                                                                                                    \
    ENTRY(256)                                                                                                                         \
    embedding_forward_##to##_##from(NUMBER(to) *out, const NUMBER(from) *weight, const int *ids, long long n, int n_ids, int channels, \
                                    int accumulate) {                                                                                  \
        constexpr int V = TOGETHER<NUMBER(to), NUMBER(from)>;                                                                          \
        bool whole = channels % V == 0 && fits_vectors<V>(out) && fits_vectors<V>(weight);                                             \
        if (whole) gather<true, V>(out, weight, ids, n, n_ids, channels, accumulate);                                                  \
        else gather<false, V>(out, weight, ids, n, n_ids, channels, accumulate);                                                       \
    }
EMBEDDING_FORWARD(f32, f32)
EMBEDDING_FORWARD(f32, bf16)
EMBEDDING_FORWARD(bf16, f32)
EMBEDDING_FORWARD(bf16, bf16)

// `counts` holds, for each pass, a row of digits a tile; those of later passes begin at 0.
ENTRY(256) embedding_backward_count(int *counts, const int *ids, int n, int n_ids, int n_passes) {
    SHARED_MEMORY(memory);
    int *of_warps = reinterpret_cast<int *>(memory), warp = threadIdx.x / 32, digit = threadIdx.x;
    for (int w = 0; w < 8; w++) of_warps[w * N_DIGITS + digit] = 0;
    __syncthreads();
    int bits = bits_of(n_ids, 0);
    for (int round = 0; round < N_ROUNDS; round++) {
        int at = blockIdx.x * TILE + warp * (TILE / 8) + round * 32 + threadIdx.x % 32;
        bool has = at < n;
        int key = has ? key_of(ids[at], n_ids) : 0;
        count_round(of_warps + warp * N_DIGITS, key & (N_DIGITS - 1), bits, has);
    }
    __syncthreads();
    int total = 0;
    for (int w = 0; w < 8; w++) total += of_warps[w * N_DIGITS + digit];
    counts[blockIdx.x * N_DIGITS + digit] = total;
    for (int pass = 1; pass < n_passes; pass++) counts[(static_cast<long long>(pass) * gridDim.x + blockIdx.x) * N_DIGITS + digit] = 0;
}

// The first pass takes `ids`, later ones what the one before has sorted.
ENTRY(256) embedding_backward_sort(int *sorted, int *counts, const int *from, const int *ids, int n, int n_ids, int n_passes, int pass) {
    SHARED_MEMORY(memory);
    int *of_warps = reinterpret_cast<int *>(memory), *room = of_warps + 8 * N_DIGITS;
    int warp = threadIdx.x / 32, n_tiles = gridDim.x, bits = bits_of(n_ids, pass);
    const int *of_tiles = counts + static_cast<long long>(pass) * n_tiles * N_DIGITS;
    int *of_next = counts + static_cast<long long>(pass + 1) * n_tiles * N_DIGITS;
    for (int w = 0; w < 8; w++) of_warps[w * N_DIGITS + threadIdx.x] = 0;
    __syncthreads();
    Key keys[N_ROUNDS];
    int ranks[N_ROUNDS];
    int first = blockIdx.x * TILE + warp * (TILE / 8) + threadIdx.x % 32;
    UNROLL for (int round = 0; round < N_ROUNDS; round++) {
        int at = first + round * 32;
        if (at >= n) keys[round] = Key{-1, 0};
        else if (pass == 0) keys[round] = Key{key_of(ids[at], n_ids), at};
        else keys[round] = reinterpret_cast<const Key *>(from)[at];
    }
    UNROLL for (int round = 0; round < N_ROUNDS; round++) {
        int digit = keys[round].id >> 8 * pass & (N_DIGITS - 1);
        ranks[round] = count_round(of_warps + warp * N_DIGITS, digit, bits, keys[round].id >= 0);
    }
    // A thread a digit: where it begins in all, in this tile, in each warp.
    int before = 0, total = 0, tile = blockIdx.x;
    UNROLL_BY(16) for (int t = 0; t < n_tiles; t++) {
        int here = of_tiles[static_cast<long long>(t) * N_DIGITS + threadIdx.x];
        total += here, before += t < tile ? here : 0;
    }
    __syncthreads();
    int begin = sum_before(total, room) + before;
    for (int w = 0; w < 8; w++) {
        int here = of_warps[w * N_DIGITS + threadIdx.x];
        of_warps[w * N_DIGITS + threadIdx.x] = begin;
        begin += here;
    }
    __syncthreads();
    UNROLL for (int round = 0; round < N_ROUNDS; round++) {
        if (keys[round].id < 0) continue;
        int digit = keys[round].id >> 8 * pass & (N_DIGITS - 1), at = of_warps[warp * N_DIGITS + digit] + ranks[round];
        reinterpret_cast<Key *>(sorted)[at] = keys[round];
        if (pass + 1 < n_passes) atomicAdd(&of_next[at / TILE * N_DIGITS + (keys[round].id >> 8 * (pass + 1) & (N_DIGITS - 1))], 1);
    }
}

#define EMBEDDING_BACKWARD(to, from)                                                                                                        \
    ENTRY_RESIDENT(256, 2)                                                                                                                  \
    embedding_backward_runs_##to##_##from(NUMBER(to) *dweight, float *parts, const NUMBER(from) *dout, const int *sorted, int n, int n_ids, \
                                          int channels, int run) {                                                                          \
        constexpr int V = PER_16<NUMBER(from)>;                                                                                             \
        const Key *keys = reinterpret_cast<const Key *>(sorted);                                                                            \
        bool whole = channels % V == 0 && fits_vectors<V>(dweight) && fits_vectors<V>(dout);                                                \
        if (whole) sum_runs<true, V>(dweight, parts, dout, keys, n, n_ids, channels, run);                                                  \
        else sum_runs<false, V>(dweight, parts, dout, keys, n, n_ids, channels, run);                                                       \
    }
EMBEDDING_BACKWARD(f32, f32)
EMBEDDING_BACKWARD(f32, bf16)
EMBEDDING_BACKWARD(bf16, f32)
EMBEDDING_BACKWARD(bf16, bf16)

#define EMBEDDING_JOIN(to)                                                                                                              \
    ENTRY(256)                                                                                                                          \
    embedding_backward_join_##to(NUMBER(to) *dweight, const float *parts, const int *sorted, int n, int n_ids, int channels, int run) { \
        SHARED_MEMORY(memory);                                                                                                          \
        float *sums = reinterpret_cast<float *>(memory);                                                                                \
        const Key *keys = reinterpret_cast<const Key *>(sorted);                                                                        \
        if (channels % 4 == 0 && fits_vectors<4>(dweight)) join_runs<true>(dweight, parts, keys, n, n_ids, channels, run, sums);        \
        else join_runs<false>(dweight, parts, keys, n, n_ids, channels, run, sums);                                                     \
    }
EMBEDDING_JOIN(f32)
EMBEDDING_JOIN(bf16)
