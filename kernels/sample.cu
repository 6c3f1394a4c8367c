// Draws a token for each row of logits.
//
// Formula: tokens are in order of their logits, the largest first, of equals the one with the smaller id; weight = 2^(k · (logit − largest)),
// k = log₂e / temperature. Of the first top-k, the shortest run whose weight reaches top-p of all their weight is kept; of its tokens the first is
// drawn whose weight and that of all before exceeds random · (weight of the run). k = 0 takes the first.
// Shapes: tokens, places (N), logits (N, V), of which the first `n_classes` columns count; settings (N, 6) words: bits of k, top-k or 0, top-p as a
// whole number of 2⁻⁶² and the key of the row's random numbers, lower half first each. The random number is the key's at the row's place.
// Requirements: V below 2^31; what is aligned is read 16 bytes at a time.
// Launch: a block of 1024 threads a row; 57 KB of shared memory.
// Numerics: a weight is made of f32 operations that are rounded alike everywhere, and then a whole number: sums are exact, in any order, and the
// twin on the processor draws the same token. Weights are within 4e-6 of the formula; those below 2^−(62 − log₂ V) are 0.
// Bound: bytes, of one multiprocessor: each row is read three to six times, from a cache after the first.
//
// How: a token's logit and id make one number, its `order`, that grows as tokens come later. To find the token at which a sum over the first ones reaches
// something, the span of orders is cut into 2048 bins, sums are made for each, and the bin in question is cut again until few tokens are in it.
#include "polder.cuh"

namespace {

#ifdef POLDER_EMULATION
#define ROLLED
#else
#define ROLLED _Pragma("unroll 1")
#endif

typedef unsigned long long u64;

constexpr int THREADS = 1024, BINS = 2048, EACH = BINS / THREADS, LIST = 512, AHEAD = 4;

// Rounded one by one: no compiler may contract them.
__device__ __forceinline__ float times(float a, float b) {
#ifdef POLDER_EMULATION
    return a * b;
#else
    return __fmul_rn(a, b);
#endif
}
__device__ __forceinline__ float plus(float a, float b) {
#ifdef POLDER_EMULATION
    return a + b;
#else
    return __fadd_rn(a, b);
#endif
}

/// Grows as logits become smaller; what is no number comes last, beside −∞.
__device__ __forceinline__ unsigned order_of(float x) {
    // Both zeros become one.
    unsigned bits = __float_as_uint(x == x ? plus(x, 0.0f) : -INFINITE);
    return bits & 0x80000000u ? bits : ~bits & 0x7fffffffu;
}
__device__ __forceinline__ float logit_of(unsigned order) { return __uint_as_float(order & 0x80000000u ? order : ~order & 0x7fffffffu); }

/// What all threads of a row know.
struct Row {
    int n, id_bits, weight_bits;
    float k, largest;

    __device__ __forceinline__ u64 place(float x, int id) const { return static_cast<u64>(order_of(x)) << id_bits | static_cast<unsigned>(id); }

    /// A whole number of 2^−weight_bits.
    __device__ __forceinline__ u64 weight(float x) const {
        float y = times(plus(x, -largest), k);
        if (!(y > -1.0f - weight_bits)) return 0;
        // 2^rest by its series, ln2ⁱ / i!: as the rest is a half at most, what is left out is below 2e-7.
        float whole = rintf(y), rest = plus(y, -whole), p = 1.540353e-4f;
        p = plus(times(p, rest), 1.3333558e-3f);
        p = plus(times(p, rest), 9.618129e-3f);
        p = plus(times(p, rest), 5.550411e-2f);
        p = plus(times(p, rest), 2.402265e-1f);
        p = plus(times(p, rest), 6.931472e-1f);
        p = plus(times(p, rest), 1.0f);
        u64 digits = static_cast<u64>(p * 16777216.0f);
        int shift = static_cast<int>(whole) + weight_bits - 24;
        return shift >= 0 ? digits << shift : digits >> -shift;
    }
};

/// Calls `f(id, logit)` for every one of n.
template <class T, class F> __device__ __forceinline__ void for_each(const T *x, int n, F f) {
    constexpr int N = PER_16<T>;
    int past = static_cast<int>(reinterpret_cast<u64>(x) & 15) / static_cast<int>(sizeof(T)), head = min(n, (N - past) % N), rank = threadIdx.x;
    int n_chunks = (n - head) / N;
    for (int first = rank; first < n_chunks; first += AHEAD * THREADS) {
        uint4 raw[AHEAD];
        UNROLL for (int i = 0; i < AHEAD; i++) {
            int at = first + i * THREADS;
            if (at < n_chunks) raw[i] = *reinterpret_cast<const uint4 *>(x + head + at * N);
        }
        // One body for all of them, for `f` is long; they move up in their registers.
        ROLLED for (int at = first; at < min(n_chunks, first + AHEAD * THREADS); at += THREADS) {
            float part[N];
            unpack_16(raw[0], part);
            UNROLL for (int j = 0; j < N; j++) f(head + at * N + j, part[j]);
            UNROLL for (int i = 1; i < AHEAD; i++) raw[i - 1] = raw[i];
        }
    }
    int tail = head + n_chunks * N + rank - 16;
    if (rank < head) f(rank, to_float(x[rank]));
    else if (rank >= 16 && tail < n) f(tail, to_float(x[tail]));
}

/// Sums for bins of orders from `first` to `last`.
struct Bins {
    unsigned counts[BINS], low[BINS], high[BINS];
    u64 first, last;
    int shift;
};

struct Listed {
    u64 order, weight;
};

/// Count and weight of all tokens up to one, or before a bin.
struct Sums {
    u64 order, count, weight;
};

struct Shared {
    Bins outer, inner;
    Listed list[LIST];
    unsigned n_listed;
    int bin;
    Sums sums, parts[32];
};

static_assert(sizeof(Shared) == 58192, "as much as the launcher asks for");

/// Sums in bins over orders from `first` to `last`; weights only where they are asked for.
template <class T> __device__ __forceinline__ void fill(Bins &bins, const T *x, const Row &row, u64 first, u64 last, bool weighted) {
    __syncthreads();
    for (int i = threadIdx.x; i < BINS; i += THREADS) bins.counts[i] = 0, bins.low[i] = 0, bins.high[i] = 0;
    int shift = 0;
    while ((last - first) >> shift >= BINS) shift++;
    if (threadIdx.x == 0) bins.first = first, bins.last = last, bins.shift = shift;
    __syncthreads();
    for_each(x, row.n, [&](int id, float logit) {
        u64 order = row.place(logit, id);
        if (order < first || order > last) return;
        int bin = static_cast<int>((order - first) >> shift);
        atomicAdd(&bins.counts[bin], 1u);
        if (!weighted) return;
        u64 weight = row.weight(logit);
        if (weight == 0) return;
        // 64 bits in two halves: whoever makes the lower one overflow carries.
        unsigned low = static_cast<unsigned>(weight), old = atomicAdd(&bins.low[bin], low);
        atomicAdd(&bins.high[bin], static_cast<unsigned>(weight >> 32) + (old + low < old ? 1u : 0u));
    });
    __syncthreads();
}

__device__ __forceinline__ Sums sums_of(const Bins &bins, int bin) {
    return {0, bins.counts[bin], bins.low[bin] | static_cast<u64>(bins.high[bin]) << 32};
}

/// Sums before this thread's bins; `all` are those of all bins.
__device__ __forceinline__ Sums sums_before(Shared &shared, const Bins &bins, Sums &all) {
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    Sums own{};
    for (int i = 0; i < EACH; i++) {
        Sums s = sums_of(bins, threadIdx.x * EACH + i);
        own.count += s.count, own.weight += s.weight;
    }
    Sums upto = own;
    for (int by = 1; by < 32; by *= 2) {
        u64 count = __shfl_up_sync(0xffffffffu, upto.count, by), weight = __shfl_up_sync(0xffffffffu, upto.weight, by);
        if (lane >= by) upto.count += count, upto.weight += weight;
    }
    __syncthreads();
    if (lane == 31) shared.parts[warp] = upto;
    __syncthreads();
    Sums before{0, upto.count - own.count, upto.weight - own.weight};
    all = Sums{};
    ROLLED for (int i = 0; i < THREADS / 32; i++) {
        Sums s = shared.parts[i];
        if (i < warp) before.count += s.count, before.weight += s.weight;
        all.count += s.count, all.weight += s.weight;
    }
    return before;
}

/// Leaves in `shared` the bin at which the sum over the first reaches `wanted`, and the sums before it.
__device__ __forceinline__ void find_bin(Shared &shared, const Bins &bins, Sums before, bool by_weight, u64 wanted) {
    for (int i = 0; i < EACH; i++) {
        Sums s = sums_of(bins, threadIdx.x * EACH + i);
        u64 sum = by_weight ? before.weight : before.count, more = by_weight ? s.weight : s.count;
        if (sum < wanted && sum + more >= wanted) shared.bin = threadIdx.x * EACH + i, shared.sums = before;
        before.count += s.count, before.weight += s.weight;
    }
    __syncthreads();
}

/// Leaves in `shared` the token, of the `count` from `first` to `last`, at which the sum reaches `wanted`, and the weight of all up to it.
template <class T>
__device__ __forceinline__ void find_token(Shared &shared, const T *x, const Row &row, u64 first, u64 last, unsigned count, bool by_weight, u64 wanted) {
    if (threadIdx.x == 0) shared.n_listed = 0;
    __syncthreads();
    for_each(x, row.n, [&](int id, float logit) {
        u64 order = row.place(logit, id);
        if (order >= first && order <= last) shared.list[atomicAdd(&shared.n_listed, 1u)] = {order, row.weight(logit)};
    });
    __syncthreads();
    // The list has the order in which threads came; sums over it do not.
    if (threadIdx.x < count) {
        Listed own = shared.list[threadIdx.x];
        u64 n = 0, weight = 0;
        ROLLED for (unsigned i = 0; i < count; i++) {
            Listed other = shared.list[i];
            if (other.order <= own.order) n++, weight += other.weight;
        }
        u64 sum = by_weight ? weight : n, mine = by_weight ? own.weight : 1;
        if (sum >= wanted && sum - mine < wanted) shared.sums = {own.order, n, weight};
    }
    __syncthreads();
}

/// The generator of the host, whose place `n` of a key this is.
///
/// Source: Steele, Lea and Flood, Fast splittable pseudorandom number generators, 2014 (the finaliser of SplitMix64).
__device__ __forceinline__ u64 random_at(u64 key, u64 n) {
    u64 z = key + n * 0x9e3779b97f4a7c15ull + 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

__device__ __forceinline__ u64 two_words(const int *words) { return static_cast<unsigned>(words[0]) | static_cast<u64>(static_cast<unsigned>(words[1])) << 32; }

template <class T>
__device__ void sample(Shared &shared, int *token, const T *x, const int *settings, int place, int n, int id_bits) {
    int lane = threadIdx.x % 32;
    u64 mask = (1ull << id_bits) - 1;
    Row row{n, id_bits, 62 - id_bits, __uint_as_float(settings[0]), 0.0f};

    u64 first = ~0ull, last = 0;
    for_each(x, n, [&](int id, float logit) {
        u64 order = row.place(logit, id);
        first = min(first, order), last = max(last, order);
    });
    for (int by = 16; by; by /= 2) {
        first = min(first, __shfl_xor_sync(0xffffffffu, first, by));
        last = max(last, __shfl_xor_sync(0xffffffffu, last, by));
    }
    if (lane == 0) shared.parts[threadIdx.x / 32] = {0, first, last};
    __syncthreads();
    for (int i = 0; i < THREADS / 32; i++) first = min(first, shared.parts[i].count), last = max(last, shared.parts[i].weight);
    if (row.k == 0.0f) {
        if (threadIdx.x == 0) *token = static_cast<int>(first & mask);
        return;
    }
    row.largest = logit_of(static_cast<unsigned>(first >> id_bits));

    // What is looked for, each with what was found before: the last of top-k, the last of top-p, the token.
    enum { TOP_K, TOP_P, DRAW } phase = settings[1] > 0 && settings[1] < n ? TOP_K : TOP_P;
    u64 low = first, high = last, wanted = 0, weight_before = 0, kept = 0;
    Bins *bins = &shared.outer;
    for (bool full = false;;) {
        bool by_weight = phase != TOP_K;
        if (!full) fill(*bins, x, row, low, high, by_weight);
        Sums all, before = sums_before(shared, *bins, all);
        if (bins == &shared.outer) {
            u64 top_p = two_words(settings + 2);
            weight_before = 0;
            if (phase == TOP_K) wanted = settings[1];
            if (phase == TOP_P) {
                kept = all.weight;
                // Infinite logits, or none that is a number: there is nothing to draw by.
                if (kept == 0) break;
                wanted = static_cast<u64>((static_cast<unsigned __int128>(kept) * top_p + ((1ull << 62) - 1)) >> 62);
                wanted = max(wanted, 1ull);
                if (top_p >= 1ull << 62) phase = DRAW;
            }
            if (phase == DRAW) {
                u64 random = random_at(two_words(settings + 4), static_cast<u64>(place));
                wanted = static_cast<u64>(static_cast<unsigned __int128>(random) * kept >> 64) + 1;
            }
        }
        find_bin(shared, *bins, before, by_weight, wanted);
        unsigned count = bins->counts[shared.bin];
        low = bins->first + (static_cast<u64>(shared.bin) << bins->shift), high = min(bins->last, low + ((1ull << bins->shift) - 1));
        weight_before += shared.sums.weight, wanted -= by_weight ? shared.sums.weight : shared.sums.count;
        if (count > LIST) {
            bins = &shared.inner, full = false;
            continue;
        }
        find_token(shared, x, row, low, high, count, by_weight, wanted);
        bins = &shared.outer, full = phase != TOP_K;
        if (phase == DRAW) {
            first = shared.sums.order;
            break;
        }
        if (phase == TOP_K) low = first, high = shared.sums.order, phase = TOP_P;
        else kept = weight_before + shared.sums.weight, phase = DRAW;
    }
    if (threadIdx.x == 0) *token = static_cast<int>(first & mask);
}

} // namespace

#define SAMPLE(type)                                                                                                                            \
    ENTRY(1024)                                                                                                                                 \
    sample_##type(int *tokens, const NUMBER(type) *logits, const int *settings, const int *places, long long n, int vocab, int n_classes,       \
                  int id_bits) {                                                                                                                \
        SHARED_MEMORY(room);                                                                                                                    \
        long long at = blockIdx.x;                                                                                                              \
        sample(*reinterpret_cast<Shared *>(room), tokens + at, logits + at * vocab, settings + at * 6, places[at], n_classes, id_bits);         \
    }
SAMPLE(f32)
SAMPLE(bf16)
