// Operators that work row by row. All tensors are f32 and contiguous.

constexpr unsigned WARP = 32;
constexpr unsigned ALL_LANES = 0xffffffffu;

__device__ float sum_of_warp(float value) {
    for (unsigned distance = WARP / 2; distance > 0; distance /= 2) {
        value += __shfl_xor_sync(ALL_LANES, value, distance);
    }
    return value;
}

// `x / sqrt(mean(x²) + eps) · weight`; a block for each row of `[rows, width]`.
extern "C" __global__ void rms_norm(const float* x, const float* weight, float* out, unsigned width, float eps) {
    __shared__ float sums[WARP];
    x += size_t(blockIdx.x) * width;
    out += size_t(blockIdx.x) * width;
    float sum = 0;
    for (unsigned i = threadIdx.x; i < width; i += blockDim.x) {
        sum += x[i] * x[i];
    }
    sum = sum_of_warp(sum);
    if (threadIdx.x % WARP == 0) {
        sums[threadIdx.x / WARP] = sum;
    }
    __syncthreads();
    const unsigned lane = threadIdx.x % WARP;
    sum = sum_of_warp(lane < blockDim.x / WARP ? sums[lane] : 0);
    const float scale = 1.0f / sqrtf(sum / float(width) + eps);
    for (unsigned i = threadIdx.x; i < width; i += blockDim.x) {
        out[i] = x[i] * scale * weight[i];
    }
}

// Rotates in the half-split layout: `x` is `[rows, heads, 2 · half]`, `cos` and `sin` `[rows, half]`; a block for each row.
extern "C" __global__ void rope(const float* x, const float* cos, const float* sin, float* out, unsigned heads, unsigned half) {
    const size_t row = blockIdx.x;
    for (unsigned i = threadIdx.x; i < heads * half; i += blockDim.x) {
        const unsigned head = i / half, angle = i % half;
        const size_t low = (row * heads + head) * 2 * half + angle, high = low + half;
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

// Puts each row of `[rows, width]` at its slot of the cache; a block for each row.
extern "C" __global__ void write_rows(const float* rows, const unsigned* slots, float* cache, unsigned width) {
    const float* row = rows + size_t(blockIdx.x) * width;
    float* slot = cache + size_t(slots[blockIdx.x]) * width;
    for (unsigned i = threadIdx.x; i < width; i += blockDim.x) {
        slot[i] = row[i];
    }
}
