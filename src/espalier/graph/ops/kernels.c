/* The CPU kernels of the graph room: compressed sparse rows, no atomics, every row computed by one thread in one order,
 * so that results do not depend on the number of threads. Compiled twice, with -DREAL=float and -DREAL=double.
 * Offsets are 64-bit; column indices are 32-bit. Shapes stand at each function.
 */
#include <tgmath.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef int64_t i64;
typedef int32_t i32;
#define EXPORT __attribute__((visibility("default")))
#define CHUNK 32 /* rows that a thread takes at a time */
#define RESTRICT __restrict__

static inline REAL dot(const REAL *RESTRICT a, const REAL *RESTRICT b, i64 n) {
    REAL sum = 0;
    for (i64 k = 0; k < n; k++) sum += a[k] * b[k];
    return sum;
}

static inline void add_scaled(REAL *RESTRICT out, const REAL *RESTRICT x, REAL scale, i64 n) {
    for (i64 k = 0; k < n; k++) out[k] += scale * x[k];
}

/* out[i,:] = sum over the entries e of row i of values[position[e]] * x[indices[e],:].
 * values NULL: ones. position NULL: e itself. x (columns, width), out (rows, width). */
EXPORT void spmm(int threads, i64 rows, i64 width, const i64 *indptr, const i32 *indices, const i64 *position,
                 const REAL *values, const REAL *x, REAL *out) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, CHUNK)
    for (i64 i = 0; i < rows; i++) {
        REAL *row = out + i * width;
        memset(row, 0, sizeof(REAL) * width);
        for (i64 e = indptr[i]; e < indptr[i + 1]; e++) {
            REAL scale = values ? values[position ? position[e] : e] : 1;
            if (scale != 0) add_scaled(row, x + (i64)indices[e] * width, scale, width);
        }
    }
}

/* out[e] = a[i,:] . b[indices[e],:] for every entry e of row i. a (rows, width), b (columns, width), out (entries). */
EXPORT void sddmm(int threads, i64 rows, i64 width, const i64 *indptr, const i32 *indices, const REAL *a, const REAL *b,
                  REAL *out) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, CHUNK)
    for (i64 i = 0; i < rows; i++)
        for (i64 e = indptr[i]; e < indptr[i + 1]; e++) out[e] = dot(a + i * width, b + (i64)indices[e] * width, width);
}

/* Graph attention, forward. Per entry e of row i and head h, with s = indices[e]:
 *   logit = leaky(source[s,h] + target[i,h]);  alpha[e,h] = softmax over the row;
 *   out[i,h,:] = sum_e alpha[e,h] * keep[e,h] * z[s, h or shared, :].
 * keep NULL: ones. z is (columns, heads * width), or (columns, width) where `shared`. alpha (entries, heads). */
EXPORT void attend(int threads, i64 rows, i64 heads, i64 width, int shared, const i64 *indptr, const i32 *indices,
                   REAL slope, const REAL *source, const REAL *target, const REAL *keep, const REAL *z, REAL *alpha,
                   REAL *out) {
    i64 stride = shared ? width : heads * width, step = shared ? 0 : width;
#pragma omp parallel for num_threads(threads) schedule(dynamic, CHUNK)
    for (i64 i = 0; i < rows; i++) {
        i64 from = indptr[i], to = indptr[i + 1];
        memset(out + i * heads * width, 0, sizeof(REAL) * heads * width);
        for (i64 h = 0; h < heads; h++) {
            REAL top = -INFINITY, sum = 0;
            for (i64 e = from; e < to; e++) {
                REAL v = source[(i64)indices[e] * heads + h] + target[i * heads + h];
                v = v > 0 ? v : slope * v;
                alpha[e * heads + h] = v;
                if (v > top) top = v;
            }
            for (i64 e = from; e < to; e++) sum += alpha[e * heads + h] = exp(alpha[e * heads + h] - top);
            for (i64 e = from; e < to; e++) alpha[e * heads + h] /= sum;
        }
        for (i64 e = from; e < to; e++)
            for (i64 h = 0; h < heads; h++) {
                REAL scale = alpha[e * heads + h] * (keep ? keep[e * heads + h] : 1);
                if (scale != 0)
                    add_scaled(out + (i * heads + h) * width, z + (i64)indices[e] * stride + h * step, scale, width);
            }
    }
}

/* Gradient of `attend` in the logits, row by row: logit_grad (entries, heads), target_grad (rows, heads). */
EXPORT void attend_rows(int threads, i64 rows, i64 heads, i64 width, int shared, const i64 *indptr, const i32 *indices,
                        REAL slope, const REAL *source, const REAL *target, const REAL *keep, const REAL *z,
                        const REAL *alpha, const REAL *out_grad, REAL *logit_grad, REAL *target_grad) {
    i64 stride = shared ? width : heads * width, step = shared ? 0 : width;
#pragma omp parallel for num_threads(threads) schedule(dynamic, CHUNK)
    for (i64 i = 0; i < rows; i++)
        for (i64 h = 0; h < heads; h++) {
            REAL mean = 0, total = 0;
            for (i64 e = indptr[i]; e < indptr[i + 1]; e++) {
                REAL kept = keep ? keep[e * heads + h] : 1, g = 0;
                if (kept != 0)
                    g = kept * dot(out_grad + (i * heads + h) * width, z + (i64)indices[e] * stride + h * step, width);
                logit_grad[e * heads + h] = g;
                mean += alpha[e * heads + h] * g;
            }
            for (i64 e = indptr[i]; e < indptr[i + 1]; e++) {
                REAL raw = source[(i64)indices[e] * heads + h] + target[i * heads + h];
                REAL g = alpha[e * heads + h] * (logit_grad[e * heads + h] - mean) * (raw > 0 ? 1 : slope);
                logit_grad[e * heads + h] = g;
                total += g;
            }
            target_grad[i * heads + h] = total;
        }
}

/* Gradient of `attend` in the sources, over the transposed graph: row j of it lists the targets i of node j, and
 * position[e] is the entry's place in the graph itself. z_grad like z, source_grad (columns, heads). Where the logits are
 * products of z itself with `by_source` and `by_target` (heads, width), their share is added; target_grad
 * (columns, heads). */
EXPORT void attend_columns(int threads, i64 columns, i64 heads, i64 width, int shared, const i64 *indptr,
                           const i32 *indices, const i64 *position, const REAL *keep, const REAL *alpha,
                           const REAL *out_grad, const REAL *logit_grad, const REAL *by_source, const REAL *by_target,
                           const REAL *target_grad, REAL *z_grad, REAL *source_grad) {
    i64 stride = shared ? width : heads * width, step = shared ? 0 : width;
#pragma omp parallel for num_threads(threads) schedule(dynamic, CHUNK)
    for (i64 j = 0; j < columns; j++) {
        memset(z_grad + j * stride, 0, sizeof(REAL) * stride);
        memset(source_grad + j * heads, 0, sizeof(REAL) * heads);
        for (i64 e = indptr[j]; e < indptr[j + 1]; e++) {
            i64 p = position[e], i = indices[e];
            for (i64 h = 0; h < heads; h++) {
                REAL scale = alpha[p * heads + h] * (keep ? keep[p * heads + h] : 1);
                source_grad[j * heads + h] += logit_grad[p * heads + h];
                if (scale != 0)
                    add_scaled(z_grad + j * stride + h * step, out_grad + (i * heads + h) * width, scale, width);
            }
        }
        for (i64 h = 0; by_source && h < heads; h++) {
            add_scaled(z_grad + (j * heads + h) * width, by_source + h * width, source_grad[j * heads + h], width);
            add_scaled(z_grad + (j * heads + h) * width, by_target + h * width, target_grad[j * heads + h], width);
        }
    }
}

/* a[i,h] = z[i,h,:] . by_a[h,:] and b likewise. z (rows, heads, width), by_a and by_b (heads, width). */
EXPORT void head_dots(int threads, i64 rows, i64 heads, i64 width, const REAL *z, const REAL *by_a, const REAL *by_b,
                      REAL *a, REAL *b) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (i64 i = 0; i < rows; i++)
        for (i64 h = 0; h < heads; h++) {
            const REAL *row = z + (i * heads + h) * width;
            a[i * heads + h] = dot(row, by_a + h * width, width);
            b[i * heads + h] = dot(row, by_b + h * width, width);
        }
}

/* Gradient of PReLU with one slope: x_grad = grad where x > 0, else slope * grad; slope_grad (rows) holds each row's
 * sum of grad * x where x <= 0. */
EXPORT void prelu_backward(int threads, i64 rows, i64 width, REAL slope, const REAL *x, const REAL *grad, REAL *x_grad,
                           REAL *slope_grad) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (i64 i = 0; i < rows; i++) {
        const REAL *RESTRICT in = x + i * width, *RESTRICT g = grad + i * width;
        REAL *RESTRICT out = x_grad + i * width;
        REAL sum = 0;
        for (i64 k = 0; k < width; k++) {
            out[k] = in[k] > 0 ? g[k] : slope * g[k];
            sum += in[k] > 0 ? 0 : g[k] * in[k];
        }
        slope_grad[i] = sum;
    }
}

/* out[k] = x[k] / (1 - rate) where the k-th random number of the stream `seed` is at least `rate`, else 0. */
EXPORT void dropout(int threads, i64 count, uint64_t seed, double rate, const REAL *x, REAL *out) {
    const i64 block = 1 << 14;
    const uint32_t threshold = (uint32_t)(rate * 4294967296.0);
    const REAL scale = (REAL)(1.0 / (1.0 - rate));
#pragma omp parallel for num_threads(threads) schedule(static)
    for (i64 b = 0; b < (count + block - 1) / block; b++) {
        uint64_t s = (seed + (uint64_t)b) * 0x9E3779B97F4A7C15ull; /* splitmix64 gives each block its own key */
        s = (s ^ (s >> 30)) * 0xBF58476D1CE4E5B9ull;
        s = (s ^ (s >> 27)) * 0x94D049BB133111EBull;
        const uint32_t low = (uint32_t)s, high = (uint32_t)(s >> 32);
        const i64 from = b * block, n = (from + block < count ? block : count - from);
        const REAL *RESTRICT in = x + from;
        REAL *RESTRICT to = out + from;
        for (i64 k = 0; k < n; k++) {
            uint32_t r = (uint32_t)k * 0x9E3779B9u + low; /* then a 32-bit finaliser with full avalanche */
            r = (r ^ (r >> 16)) * 0x7FEB352Du;
            r ^= high;
            r = (r ^ (r >> 15)) * 0x846CA68Bu;
            r ^= r >> 16;
            to[k] = r >= threshold ? in[k] * scale : 0;
        }
    }
}
