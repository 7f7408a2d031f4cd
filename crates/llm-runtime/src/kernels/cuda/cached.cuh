// Keys and values as a cache keeps them, four at a time.
#pragma once

#include <cuda_fp16.h>

__device__ float4 widened(const float* values) {
    return *reinterpret_cast<const float4*>(values);
}

__device__ float4 widened(const __half* values) {
    const __half2* pairs = reinterpret_cast<const __half2*>(values);
    const float2 low = __half22float2(pairs[0]), high = __half22float2(pairs[1]);
    return make_float4(low.x, low.y, high.x, high.y);
}

__device__ void keep(float* place, const float4& values) {
    *reinterpret_cast<float4*>(place) = values;
}

__device__ void keep(__half* place, const float4& values) {
    __half2* pairs = reinterpret_cast<__half2*>(place);
    pairs[0] = __floats2half2_rn(values.x, values.y);
    pairs[1] = __floats2half2_rn(values.z, values.w);
}
