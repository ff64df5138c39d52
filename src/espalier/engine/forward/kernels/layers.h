/* The parts of a layer besides its products: norms, rotation, attention. */
#pragma once
#include "vectors.h"

enum { CHUNK = 32, HEADS = 4 };

/* out = x / sqrt(mean(x^2) + eps) * weight; `add`: out += that. */
INLINE void norm(const float *x, const float *weight, float eps, i64 n, float *out, int add) {
    V squares = {};
    i64 i = 0;
    for (; i + LANES <= n; i += LANES) squares += *(const V *)(x + i) * *(const V *)(x + i);
    float sum = total(squares);
    for (; i < n; i++) sum += x[i] * x[i];
    float scale = 1.0f / sqrtf(sum / n + eps);
    for (i = 0; i < n; i++) out[i] = add ? out[i] + x[i] * scale * weight[i] : x[i] * scale * weight[i];
}

/* Attention of `heads` query heads q [heads, dim] that share a KV head, over positions 0..last.
 * keys [chunks, dim, CHUNK], values [positions, dim], scores: scratch [heads, positions rounded up to CHUNK]. */
INLINE void attend(int heads, int half, i64 dim, i64 last, const float *q, const void *keys, const void *values, float *scores,
                   float *out) {
    i64 length = (last / CHUNK + 1) * CHUNK;
    V most[HEADS];
    for (int h = 0; h < heads; h++) most[h] = (V){} - INFINITY;
    for (i64 c = 0; c < length; c += CHUNK) {
        V acc[HEADS][CHUNK / LANES] = {};
        for (i64 d = 0; d < dim; d++)
#pragma GCC unroll 8
            for (int v = 0; v < CHUNK / LANES; v++) {
                V key = load(keys, (c * dim) + d * CHUNK + v * LANES, half);
#pragma GCC unroll 4
                for (int h = 0; h < heads; h++) acc[h][v] += key * q[h * dim + d];
            }
        for (int h = 0; h < heads; h++)
            for (int v = 0; v < CHUNK / LANES; v++) *(V *)(scores + h * length + c + v * LANES) = acc[h][v];
    }
    for (int h = 0; h < heads; h++) {
        float *s = scores + h * length, high = s[0];
        for (i64 i = last + 1; i < length; i++) s[i] = -INFINITY;
        for (i64 i = 0; i < length; i += LANES) {
            V value = *(V *)(s + i);
            most[h] = pick(value > most[h], value, most[h]);
        }
        for (int i = 0; i < LANES; i++) high = most[h][i] > high ? most[h][i] : high;
        V sum = {};
        for (i64 i = 0; i < length; i += LANES) {
            V e = vexp(*(V *)(s + i) - high);
            I real;
            for (int l = 0; l < LANES; l++) real[l] = i + l <= last ? -1 : 0;
            e = (V)((I)e & real);
            *(V *)(s + i) = e, sum += e;
        }
        float inverse = 1.0f / total(sum);
        for (i64 i = 0; i < length; i++) s[i] *= inverse;
    }
    i64 d = 0;
    for (; d + LANES <= dim; d += LANES) {
        V acc[HEADS] = {};
        for (i64 i = 0; i <= last; i++) {
            V value = load(values, i * dim + d, half);
#pragma GCC unroll 4
            for (int h = 0; h < heads; h++) acc[h] += value * scores[h * length + i];
        }
        for (int h = 0; h < heads; h++) *(V *)(out + h * dim + d) = acc[h];
    }
    for (; d < dim; d++)
        for (int h = 0; h < heads; h++) {
            float acc = 0;
            for (i64 i = 0; i <= last; i++) acc += load1(values, i * dim + d, half) * scores[h * length + i];
            out[h * dim + d] = acc;
        }
}
