/* For all kernels: vectors of fp32 as wide as the processor has them, bf16 and e^x. */
#pragma once
#define _GNU_SOURCE
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

typedef int64_t i64;
#define EXPORT __attribute__((visibility("default")))
#define INLINE static inline __attribute__((always_inline))

#if defined(__AVX512F__)
enum { LANES = 16 };
#elif defined(__AVX2__)
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif

typedef float V __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t I __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint32_t U __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint16_t H __attribute__((vector_size(2 * LANES), aligned(2), may_alias));

INLINE V wide(H h) { return (V)(__builtin_convertvector(h, U) << 16); }
INLINE V load(const void *base, i64 index, int half) {
    return half ? wide(*(const H *)((const uint16_t *)base + index)) : *(const V *)((const float *)base + index);
}
INLINE float load1(const void *base, i64 index, int half) {
    if (!half) return ((const float *)base)[index];
    uint32_t bits = (uint32_t)((const uint16_t *)base)[index] << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}
/* To the nearest bf16, ties to even; NaN stays NaN. */
INLINE uint16_t narrow(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 64);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
INLINE void store1(void *base, i64 index, float value, int half) {
    if (half) ((uint16_t *)base)[index] = narrow(value);
    else ((float *)base)[index] = value;
}
INLINE V pick(I mask, V yes, V no) { return (V)(((I)yes & mask) | ((I)no & ~mask)); }
INLINE float total(V v) {
    float sum = 0;
    for (int i = 0; i < LANES; i++) sum += v[i];
    return sum;
}

/* e^x to 2 ulp below 88; NaN stays NaN. Cody and Waite's reduction, Taylor to x^7 on [-ln2 / 2, ln2 / 2]. */
INLINE V vexp(V x) {
    x = pick(x < -87.0f, (V){} - 87.0f, x);
    x = pick(x > 88.0f, (V){} + 88.0f, x);
    V shifted = x * 1.44269504f + 12582912.0f, n = shifted - 12582912.0f;
    V r = x - n * 0.693359375f;
    r = r - n * -2.12194440e-4f;
    V p = (V){} + 1.0f / 5040;
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    return p * (V)(((I)shifted - 0x4b400000 + 127) << 23);
}
INLINE V silu(V x) { return x / (1.0f + vexp(-x)); }
