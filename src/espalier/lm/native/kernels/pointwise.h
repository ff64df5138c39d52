/* Layers that work on each token by itself, and their gradients: SwiGLU, RMSNorm, rotary positions. */
#pragma once
#include "vectors.h"

enum { BLOCK = 64 };

INLINE V part(const float *x, i64 i, i64 n) {
    V v = {};
    if (i + LANES <= n) return *(const V *)(x + i);
    memcpy(&v, x + i, 4 * (n - i));
    return v;
}
INLINE void put(float *x, i64 i, i64 n, V v) {
    if (i + LANES <= n) *(V *)(x + i) = v;
    else memcpy(x + i, &v, 4 * (n - i));
}

/* out [n, size] = silu(gate) * up; rows of gate and up are `gate_stride` and `up_stride` floats apart. */
EXPORT void swiglu(int threads, i64 n, i64 size, i64 gate_stride, i64 up_stride, const float *gate, const float *up, float *out) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (i64 t = 0; t < n; t++) {
        const float *g = gate + t * gate_stride, *u = up + t * up_stride;
        for (i64 i = 0; i < size; i += LANES) put(out + t * size, i, size, silu(part(g, i, size)) * part(u, i, size));
    }
}

/* Gradients by_gate and by_up [n, size] from that of the output, grad [n, size].
 * With s = sigmoid(g): d silu(g) / dg = s + g s (1 - s). */
EXPORT void swiglu_backward(int threads, i64 n, i64 size, i64 gate_stride, i64 up_stride, const float *gate, const float *up,
                            const float *grad, float *by_gate, float *by_up) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (i64 t = 0; t < n; t++)
        for (i64 i = 0; i < size; i += LANES) {
            V g = part(gate + t * gate_stride, i, size), u = part(up + t * up_stride, i, size), d = part(grad + t * size, i, size);
            V s = 1.0f / (1.0f + vexp(-g)), open = g * s;
            put(by_up + t * size, i, size, d * open);
            put(by_gate + t * size, i, size, d * u * (s + open * (1.0f - s)));
        }
}

/* x [dim] turned by the angles of its position, or back by them. cosine, sine [width], as `Rotation` keeps them: in the
 * sine, the first of each pair is negated. The pairs are neighbours, or half the width apart. */
INLINE void turn(float *restrict x, i64 width, int neighbours, float direction, const float *restrict cosine, const float *restrict sine) {
    i64 half = width / 2;
    if (neighbours) {
        for (i64 i = 0; i < width; i += 2) {
            float one = x[i], two = x[i + 1], s = direction * sine[i + 1];
            x[i] = one * cosine[i] - two * s;
            x[i + 1] = two * cosine[i] + one * s;
        }
        return;
    }
    for (i64 i = 0; i < half; i++) {
        float one = x[i], two = x[i + half], s = direction * sine[i + half];
        x[i] = one * cosine[i] - two * s;
        x[i + half] = two * cosine[i] + one * s;
    }
}

INLINE float dot(const float *a, const float *b, i64 n) {
    V sum = {};
    for (i64 i = 0; i < n; i += LANES) sum += part(a, i, n) * part(b, i, n);
    return total(sum);
}

/* out [n, heads, dim]: each head of x normed (weight [dim]; NULL: not), then turned (cosine, sine [n, width]; width 0: not).
 * scales [n, heads]: 1 / rms of each head, for the backward pass. */
EXPORT void norm_turn(int threads, i64 n, i64 heads, i64 dim, i64 width, int neighbours, float eps, const float *x,
                      const float *weight, const float *cosine, const float *sine, float *scales, float *out) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (i64 t = 0; t < n; t++)
        for (i64 h = 0; h < heads; h++) {
            const float *from = x + (t * heads + h) * dim;
            float *to = out + (t * heads + h) * dim;
            if (weight) {
                float scale = 1.0f / sqrtf(dot(from, from, dim) / dim + eps);
                scales[t * heads + h] = scale;
                for (i64 i = 0; i < dim; i++) to[i] = from[i] * scale * weight[i];
            } else memcpy(to, from, 4 * dim);
            if (width) turn(to, width, neighbours, 1.0f, cosine + t * width, sine + t * width);
        }
}

/* The gradient by_x from grad, both [n, heads, dim]; by_weight [blocks of BLOCK tokens, dim] is the weight's in parts, so that
 * sums do not depend on the number of threads (NULL: not wanted).
 * With r = 1 / rms(x), m = r x and g the gradient of w m: dx = r (w g - m mean(w g m)), dw = sum of g m. */
EXPORT void norm_turn_backward(int threads, i64 n, i64 heads, i64 dim, i64 width, int neighbours, const float *x, const float *weight,
                               const float *cosine, const float *sine, const float *scales, const float *grad, float *by_x,
                               float *by_weight) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (i64 block = 0; block < (n + BLOCK - 1) / BLOCK; block++) {
        float *sums = by_weight ? by_weight + block * dim : NULL;
        if (sums) memset(sums, 0, 4 * dim);
        for (i64 t = block * BLOCK; t < n && t < (block + 1) * BLOCK; t++)
            for (i64 h = 0; h < heads; h++) {
                const float *from = x + (t * heads + h) * dim;
                float *to = by_x + (t * heads + h) * dim;
                memcpy(to, grad + (t * heads + h) * dim, 4 * dim);
                if (width) turn(to, width, neighbours, -1.0f, cosine + t * width, sine + t * width);
                if (!weight) continue;
                float scale = scales[t * heads + h];
                V along = {};
                for (i64 i = 0; i < dim; i += LANES) {
                    V product = part(to, i, dim) * part(from, i, dim) * scale;
                    if (sums) put(sums, i, dim, part(sums, i, dim) + product);
                    along += product * part(weight, i, dim);
                }
                float mean = total(along) / dim * scale;
                for (i64 i = 0; i < dim; i++) to[i] = scale * (to[i] * weight[i] - from[i] * mean);
            }
    }
}
