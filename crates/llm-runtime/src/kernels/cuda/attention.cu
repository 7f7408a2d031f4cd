// Attention of query rows over keys and values that lie in blocks of a cache, with an online softmax in f32 (arXiv 2205.14135).
//
// A task is a few neighbouring rows of one sequence and a range of keys. A thread block takes a task and one key head, with all query
// heads that share it; what one row and one head ask is a vector. It goes through the keys in tiles that lie in shared memory. Where a
// sequence has few rows, its keys are split into short ranges, so that more of the device has work, and `merge` adds up what they give.

#include "cached.cuh"
#include "warp.cuh"

constexpr unsigned THREADS = 128;
constexpr unsigned WARPS = THREADS / WARP;
// Keys of a tile.
constexpr unsigned KEYS = 64;
// Positions of a cache block.
constexpr unsigned BLOCK_SIZE = 16;
constexpr unsigned WHOLE = 0xffffffffu;
// Rows of shared memory begin this many values apart from a multiple of 32, so that neighbours lie in different banks.
constexpr unsigned PAD = 4;

// As the host writes it.
struct Task {
    unsigned first_row, rows, first_position;
    // Of the sequence's first block, in `tables`.
    unsigned table;
    unsigned first_key, end_key;
    // Of the first row, where keys are split; later rows follow `splits` apart. Else `WHOLE`.
    unsigned part;
    unsigned splits;
};

// Rows whose keys are split.
struct Merge {
    unsigned row, first_part, parts;
};

__device__ void add_product(float& sum, const float4& a, const float4& b) {
    sum += a.x * b.x;
    sum += a.y * b.y;
    sum += a.z * b.z;
    sum += a.w * b.w;
}

// A tile of keys or values, `[KEYS, DIM]`; zeros behind the task's last key.
template <unsigned DIM, typename Cached>
__device__ void load_tile(float (*tile)[DIM + PAD], const Cached* cache, const unsigned* blocks, unsigned first, unsigned end,
                          unsigned key_heads, unsigned key_head) {
    constexpr unsigned PIECES = DIM / 4;
    for (unsigned i = threadIdx.x; i < KEYS * PIECES; i += THREADS) {
        const unsigned key = i / PIECES, piece = i % PIECES, position = first + key;
        float4 values = make_float4(0, 0, 0, 0);
        if (position < end) {
            const size_t slot = size_t(blocks[position / BLOCK_SIZE]) * BLOCK_SIZE + position % BLOCK_SIZE;
            values = widened(cache + (slot * key_heads + key_head) * DIM + 4 * piece);
        }
        *reinterpret_cast<float4*>(&tile[key][4 * piece]) = values;
    }
}

// `queries` and `out` are `[rows, key_heads · group, DIM]`, the cache `[slots, key_heads, DIM]`; parts are `[parts, heads, DIM]`, their
// greatest scores and sums `[parts, heads, 2]`. The grid is `[tasks, key_heads]`, and `rows · group <= VECTORS`.
template <unsigned DIM, unsigned VECTORS, typename Cached>
__device__ void attend(const float* queries, const Cached* keys, const Cached* values, const Task* tasks, const unsigned* tables,
                       float* out, float* parts, float* part_sums, unsigned key_heads, unsigned group, unsigned window,
                       float scale) {
    // Of each thread, in the scores: queries `q_lane + 4 i`, keys `k_lane + 32 i`.
    constexpr unsigned Q_LANES = 4, K_LANES = THREADS / Q_LANES;
    constexpr unsigned Q_EACH = VECTORS / Q_LANES, K_EACH = KEYS / K_LANES;
    // And in the output: one dimension of some vectors.
    constexpr unsigned SHARES = THREADS / DIM < VECTORS ? THREADS / DIM : VECTORS;
    constexpr unsigned OUT_EACH = VECTORS / SHARES;
    // Vectors of each warp, in the softmax.
    constexpr unsigned SOFT_EACH = VECTORS / WARPS;

    __shared__ __align__(16) float q_tile[VECTORS][DIM + PAD];
    __shared__ __align__(16) float kv_tile[KEYS][DIM + PAD];
    __shared__ __align__(16) float weights[VECTORS][KEYS + PAD];
    // By which earlier sums shrink; at the end the sums, and the greatest scores.
    __shared__ float factors[VECTORS];
    __shared__ float greatest_of[VECTORS];

    const Task task = tasks[blockIdx.x];
    const unsigned key_head = blockIdx.y, heads = key_heads * group;
    const unsigned* blocks = tables + task.table;
    const unsigned used = task.rows * group;
    const unsigned thread = threadIdx.x, warp = thread / WARP, lane = thread % WARP;
    const unsigned q_lane = thread % Q_LANES, k_lane = thread / Q_LANES;
    const unsigned dimension = thread % DIM, share = thread / DIM;

    for (unsigned i = thread; i < VECTORS * DIM; i += THREADS) {
        const unsigned vector = i / DIM, d = i % DIM;
        const size_t row = task.first_row + vector / group, head = key_head * group + vector % group;
        q_tile[vector][d] = vector < used ? queries[(row * heads + head) * DIM + d] * scale : 0;
    }

    float mixed[OUT_EACH] = {};
    float greatest[SOFT_EACH], sum[SOFT_EACH];
    for (unsigned i = 0; i < SOFT_EACH; i++) {
        greatest[i] = -INFINITY;
        sum[i] = 0;
    }

    for (unsigned first = task.first_key; first < task.end_key; first += KEYS) {
        load_tile<DIM>(kv_tile, keys, blocks, first, task.end_key, key_heads, key_head);
        __syncthreads();

        float scores[Q_EACH][K_EACH] = {};
#pragma unroll 4
        for (unsigned d = 0; d < DIM; d += 4) {
            float4 q[Q_EACH], k[K_EACH];
#pragma unroll
            for (unsigned i = 0; i < Q_EACH; i++) {
                q[i] = *reinterpret_cast<const float4*>(&q_tile[q_lane + Q_LANES * i][d]);
            }
#pragma unroll
            for (unsigned j = 0; j < K_EACH; j++) {
                k[j] = *reinterpret_cast<const float4*>(&kv_tile[k_lane + K_LANES * j][d]);
            }
#pragma unroll
            for (unsigned i = 0; i < Q_EACH; i++) {
#pragma unroll
                for (unsigned j = 0; j < K_EACH; j++) {
                    add_product(scores[i][j], q[i], k[j]);
                }
            }
        }
#pragma unroll
        for (unsigned i = 0; i < Q_EACH; i++) {
            const unsigned vector = q_lane + Q_LANES * i, position = task.first_position + vector / group;
#pragma unroll
            for (unsigned j = 0; j < K_EACH; j++) {
                const unsigned key = k_lane + K_LANES * j, at = first + key;
                const bool is_seen = at < task.end_key && at <= position && position - at < window;
                weights[vector][key] = is_seen ? scores[i][j] : -INFINITY;
            }
        }
        __syncthreads();

        // The values take the keys' place while the weights are made.
        load_tile<DIM>(kv_tile, values, blocks, first, task.end_key, key_heads, key_head);
#pragma unroll
        for (unsigned i = 0; i < SOFT_EACH; i++) {
            const unsigned vector = warp + WARPS * i;
            const float low = weights[vector][lane], high = weights[vector][lane + WARP];
            const float now = fmaxf(greatest[i], max_of_warp(fmaxf(low, high)));
            // Nothing is seen yet: exp(−∞ − −∞) would be no number.
            const float shift = now == -INFINITY ? 0 : now;
            const float factor = expf(greatest[i] - shift);
            const float low_weight = expf(low - shift), high_weight = expf(high - shift);
            sum[i] = sum[i] * factor + sum_of_warp(low_weight + high_weight);
            greatest[i] = now;
            weights[vector][lane] = low_weight;
            weights[vector][lane + WARP] = high_weight;
            if (lane == 0) {
                factors[vector] = factor;
            }
        }
        __syncthreads();

        if (share < SHARES) {
#pragma unroll
            for (unsigned i = 0; i < OUT_EACH; i++) {
                mixed[i] *= factors[share * OUT_EACH + i];
            }
#pragma unroll 2
            for (unsigned key = 0; key < KEYS; key += 4) {
                const float v0 = kv_tile[key][dimension], v1 = kv_tile[key + 1][dimension];
                const float v2 = kv_tile[key + 2][dimension], v3 = kv_tile[key + 3][dimension];
#pragma unroll
                for (unsigned i = 0; i < OUT_EACH; i++) {
                    const float4 w = *reinterpret_cast<const float4*>(&weights[share * OUT_EACH + i][key]);
                    add_product(mixed[i], w, make_float4(v0, v1, v2, v3));
                }
            }
        }
        __syncthreads();
    }

#pragma unroll
    for (unsigned i = 0; i < SOFT_EACH; i++) {
        if (lane == 0) {
            factors[warp + WARPS * i] = sum[i];
            greatest_of[warp + WARPS * i] = greatest[i];
        }
    }
    __syncthreads();
    if (share >= SHARES) {
        return;
    }
#pragma unroll
    for (unsigned i = 0; i < OUT_EACH; i++) {
        const unsigned vector = share * OUT_EACH + i;
        if (vector >= used) {
            continue;
        }
        const unsigned row = vector / group, head = key_head * group + vector % group;
        if (task.part == WHOLE) {
            out[(size_t(task.first_row + row) * heads + head) * DIM + dimension] = mixed[i] / factors[vector];
            continue;
        }
        const size_t part = size_t(task.part + row * task.splits) * heads + head;
        parts[part * DIM + dimension] = mixed[i];
        if (dimension == 0) {
            part_sums[2 * part] = greatest_of[vector];
            part_sums[2 * part + 1] = factors[vector];
        }
    }
}

// The grid is `[merges, heads]`, a thread for each dimension.
extern "C" __global__ void merge(const float* parts, const float* part_sums, const Merge* merges, float* out) {
    const Merge merge = merges[blockIdx.x];
    const size_t heads = gridDim.y, head = blockIdx.y, dim = blockDim.x;
    float greatest = -INFINITY;
#pragma unroll 8
    for (unsigned i = 0; i < merge.parts; i++) {
        greatest = fmaxf(greatest, part_sums[2 * ((merge.first_part + i) * heads + head)]);
    }
    float sum = 0, mixed = 0;
#pragma unroll 8
    for (unsigned i = 0; i < merge.parts; i++) {
        const size_t part = (merge.first_part + i) * heads + head;
        const float factor = expf(part_sums[2 * part] - greatest);
        sum += part_sums[2 * part + 1] * factor;
        mixed += parts[part * dim + threadIdx.x] * factor;
    }
    out[(merge.row * heads + head) * dim + threadIdx.x] = mixed / sum;
}

#define ATTEND(NAME, CACHED, DIM, VECTORS)                                                                                 \
    extern "C" __global__ void __launch_bounds__(THREADS) attend_##NAME##_##DIM##_##VECTORS(                               \
        const float* queries, const CACHED* keys, const CACHED* values, const Task* tasks, const unsigned* tables,         \
        float* out, float* parts, float* part_sums, unsigned key_heads, unsigned group, unsigned window, float scale) {    \
        attend<DIM, VECTORS>(queries, keys, values, tasks, tables, out, parts, part_sums, key_heads, group, window,        \
                             scale);                                                                                       \
    }

#define ATTEND_VECTORS(NAME, CACHED, DIM)                                                                                  \
    ATTEND(NAME, CACHED, DIM, 4) ATTEND(NAME, CACHED, DIM, 8) ATTEND(NAME, CACHED, DIM, 16)
#define ATTEND_DIMS(NAME, CACHED)                                                                                          \
    ATTEND_VECTORS(NAME, CACHED, 16)                                                                                       \
    ATTEND_VECTORS(NAME, CACHED, 32)                                                                                       \
    ATTEND_VECTORS(NAME, CACHED, 64)                                                                                       \
    ATTEND_VECTORS(NAME, CACHED, 128)

ATTEND_DIMS(f32, float)
ATTEND_DIMS(f16, __half)
