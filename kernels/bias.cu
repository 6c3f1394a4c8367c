// Gradients of biases, and the sum of blocks' parts that other gradients of vectors share.
//
// Formula: dbias += sum of dout over rows; add_parts: out += sum of parts over blocks, in their order.
// Shapes: dbias (C), dout (N, C), parts (n_parts, C).
// Requirements: none; rows whose width is a multiple of 16 bytes, at aligned addresses, are read 16 bytes at a time.
// Launch: parts: blocks of 256 threads over a tile of columns and a run of `rows_per_part` rows; a warp spans up to 512 bytes of a row, and
// narrower rows share it. add_parts: blocks of 32 columns and 32 strides over the parts.
// Numerics: f32, in an order that sizes decide; within 2e-6 of the f64 reference.
// Bound: bytes: N · C.
#include "polder.cuh"

namespace {

/// The lanes that span a tile of columns: a power of two.
__device__ __forceinline__ int lanes_across(int n_vectors) {
    int lanes = 1;
    while (lanes < 32 && lanes < n_vectors) lanes *= 2;
    return lanes;
}

template <bool whole, class T> __device__ void sum_rows(float *parts, const T *dout, long long n, int channels, int rows_per_part) {
    constexpr int V = PER_16<T>, N_AHEAD = 8;
    SHARED_MEMORY(memory);
    float *sums = reinterpret_cast<float *>(memory);
    int lanes = lanes_across((channels + V - 1) / V), n_slices = 256 / lanes;
    int lane = threadIdx.x % lanes, slice = threadIdx.x / lanes;
    int tile = blockIdx.x * lanes * V, column = tile + lane * V;
    long long begin = static_cast<long long>(blockIdx.y) * rows_per_part, end = min(n, begin + rows_per_part);
    float sum[V];
    UNROLL for (int i = 0; i < V; i++) sum[i] = 0.0f;
    for (long long row = begin + slice; row < end; row += n_slices * N_AHEAD) {
        Vector<T, V> ahead[N_AHEAD];
        UNROLL for (int j = 0; j < N_AHEAD; j++) {
            long long at = row + j * n_slices;
            ahead[j] = load_vector<whole, V>(dout + at * channels + column, at < end ? channels - column : 0);
        }
        UNROLL for (int j = 0; j < N_AHEAD; j++) {
            UNROLL for (int i = 0; i < V; i++) sum[i] += ahead[j][i];
        }
    }
    UNROLL for (int i = 0; i < V; i++) sums[(slice * lanes + lane) * V + i] = sum[i];
    __syncthreads();
    int width = lanes * V;
    if (threadIdx.x < width && tile + static_cast<int>(threadIdx.x) < channels) {
        float total = 0.0f;
        for (int s = 0; s < n_slices; s++) total += sums[s * width + threadIdx.x];
        parts[static_cast<long long>(blockIdx.y) * channels + tile + threadIdx.x] = total;
    }
}

} // namespace

#define BIAS_BACKWARD(type)                                                                                                       \
    ENTRY(256) bias_backward_parts_##type(float *parts, const NUMBER(type) *dout, long long n, int channels, int rows_per_part) { \
        constexpr int V = PER_16<NUMBER(type)>;                                                                                   \
        if (channels % V == 0 && fits_vectors<V>(dout)) sum_rows<true>(parts, dout, n, channels, rows_per_part);                  \
        else sum_rows<false>(parts, dout, n, channels, rows_per_part);                                                            \
    }
BIAS_BACKWARD(f32)
BIAS_BACKWARD(bf16)

// Rows of `parts` are `stride` numbers apart. Where there are two sums, the second one's parts stand behind the first one's.
ENTRY(1024) add_parts(float *out, float *second, const float *parts, int n_parts, int columns, int stride) {
    __shared__ float room[32][33];
    int column = blockIdx.x * 32 + threadIdx.x % 32, slice = threadIdx.x / 32;
    if (blockIdx.y == 1) out = second, parts += columns;
    float sum = 0.0f;
    if (column < columns) {
        UNROLL_BY(8) for (int p = slice; p < n_parts; p += 32) sum += parts[static_cast<long long>(p) * stride + column];
    }
    room[slice][threadIdx.x % 32] = sum;
    __syncthreads();
    if (slice == 0 && column < columns) {
        float total = 0.0f;
        for (int s = 0; s < 32; s++) total += room[s][threadIdx.x % 32];
        out[column] += total;
    }
}
