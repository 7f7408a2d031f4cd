// Operators that work row by row. All tensors are contiguous, and f32 but for a cache.

#include "cached.cuh"
#include "warp.cuh"

// Sum over a block of whole warps; every thread gets it.
__device__ float sum_of_block(float value) {
    __shared__ float sums[WARP];
    const unsigned warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    value = sum_of_warp(value);
    if (lane == 0) {
        sums[warp] = value;
    }
    __syncthreads();
    return sum_of_warp(lane < blockDim.x / WARP ? sums[lane] : 0);
}

// `x / sqrt(mean(x²) + eps) · weight`; a block for each row of `[rows, width]`, whose width is a multiple of 4.
extern "C" __global__ void rms_norm(const float4* x, const float4* weight, float4* out, unsigned width, float eps) {
    const unsigned pieces = width / 4;
    x += size_t(blockIdx.x) * pieces;
    out += size_t(blockIdx.x) * pieces;
    float sum = 0;
    for (unsigned i = threadIdx.x; i < pieces; i += blockDim.x) {
        const float4 v = x[i];
        sum += v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
    }
    const float scale = 1.0f / sqrtf(sum_of_block(sum) / float(width) + eps);
    for (unsigned i = threadIdx.x; i < pieces; i += blockDim.x) {
        const float4 v = x[i], w = weight[i];
        out[i] = make_float4(v.x * scale * w.x, v.y * scale * w.y, v.z * scale * w.z, v.w * scale * w.w);
    }
}

// Rotates in the half-split layout: `x` is `[rows, heads, 2 · half]`, `cos` and `sin` `[rows, half]`; the grid is `[rows, heads]`.
extern "C" __global__ void rope(const float* x, const float* cos, const float* sin, float* out, unsigned half) {
    const size_t row = blockIdx.x, head = row * gridDim.y + blockIdx.y;
    for (unsigned angle = threadIdx.x; angle < half; angle += blockDim.x) {
        const size_t low = head * 2 * half + angle, high = low + half;
        const float c = cos[row * half + angle], s = sin[row * half + angle];
        const float a = x[low], b = x[high];
        out[low] = a * c - b * s;
        out[high] = b * c + a * s;
    }
}

// `silu(gate) · up`, element by element.
extern "C" __global__ void silu_mul(const float* gate, const float* up, float* out, size_t count) {
    const size_t i = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < count) {
        out[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
    }
}

// Puts each row of `[rows, pieces]` at its slot of the cache; the first dimension of the grid is the rows, the second goes through the pieces.
template <typename Cached>
__device__ void write_rows(const float4* rows, const unsigned* slots, Cached* cache, unsigned pieces) {
    const unsigned i = blockIdx.y * blockDim.x + threadIdx.x;
    if (i < pieces) {
        keep(cache + 4 * (size_t(slots[blockIdx.x]) * pieces + i), rows[size_t(blockIdx.x) * pieces + i]);
    }
}

extern "C" __global__ void write_rows_f32(const float4* rows, const unsigned* slots, float* cache, unsigned pieces) {
    write_rows(rows, slots, cache, pieces);
}

extern "C" __global__ void write_rows_f16(const float4* rows, const unsigned* slots, __half* cache, unsigned pieces) {
    write_rows(rows, slots, cache, pieces);
}
