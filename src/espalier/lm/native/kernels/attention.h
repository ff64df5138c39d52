/* Causal attention within rows of tokens, and its gradient; rows may share their first tokens.
 *
 * A task is a KV head and a set of rows that share tokens with each other, so tasks write to different places and need no
 * order. Probabilities are not kept: the backward pass computes them again from the sums of each query. */
#pragma once
#include "vectors.h"

enum { QUERIES = 8, WIDE = LANES == 16 ? 2 : 1, STEP = WIDE * LANES };

typedef struct {
    i64 sets, heads, kv_heads, dim, longest;     /* longest: tokens of the longest row, rounded up to STEP */
    float scale;
    const i64 *set;                              /* [sets + 1] its first row, and the end */
    const i64 *start;                            /* [rows + 1] where a row begins in `flat` */
    const i64 *own;                              /* [rows] its first token that no row before it has */
    const i64 *flat;                             /* the tokens of each row */
} Plan;

typedef struct {
    float *keys, *key_rows, *values, *value_rows;   /* of one row: [dim, longest] and [longest, dim] */
    float *by_keys, *by_values;                     /* [longest, dim] */
    float *probs, *grads;                           /* [QUERIES, longest] */
} Room;

static i64 room_floats(const Plan *p) { return 6 * p->dim * p->longest + 2 * QUERIES * p->longest; }
static Room room_of(const Plan *p, float *memory) {
    i64 size = p->dim * p->longest, block = QUERIES * p->longest;
    return (Room){memory, memory + size, memory + 2 * size, memory + 3 * size, memory + 4 * size, memory + 5 * size,
                  memory + 6 * size, memory + 6 * size + block};
}

/* Head `h` of x [tokens, heads, dim] for the tokens `at` of a row, as rows [length, dim] and as columns [dim, longest]. */
static void fetch(const Plan *p, const float *x, i64 heads, i64 h, const i64 *at, i64 length, float *rows, float *columns) {
    for (i64 j = 0; j < length; j++) memcpy(rows + j * p->dim, x + (at[j] * heads + h) * p->dim, 4 * p->dim);
    i64 padded = (length + STEP - 1) / STEP * STEP;
    for (i64 d = 0; d < p->dim; d++) {
        float *to = columns + d * p->longest;
        for (i64 j = 0; j < length; j++) to[j] = rows[j * p->dim + d];
        for (i64 j = length; j < padded; j++) to[j] = 0;
    }
}

/* out [QUERIES, longest]: products of each vector with columns [dim, longest] 0..limit; limit: a multiple of STEP. */
static void products(const Plan *p, const float *columns, const float *const *vectors, i64 limit, float *out) {
    for (i64 c = 0; c < limit; c += STEP) {
        V acc[QUERIES][WIDE] = {};
        for (i64 d = 0; d < p->dim; d++)
#pragma GCC unroll 2
            for (int w = 0; w < WIDE; w++) {
                V column = *(const V *)(columns + d * p->longest + c + w * LANES);
#pragma GCC unroll 8
                for (int b = 0; b < QUERIES; b++) acc[b][w] += column * vectors[b][d];
            }
        for (int b = 0; b < QUERIES; b++)
            for (int w = 0; w < WIDE; w++) *(V *)(out + b * p->longest + c + w * LANES) = acc[b][w];
    }
}

/* outs[b] [dim] for b < many: the sum of rows [.., dim] 0..last, weighted by weights [QUERIES, longest]. */
static void mixture(const Plan *p, const float *rows, const float *weights, i64 last, int many, float *const *outs) {
    for (i64 d = 0; d < p->dim; d += LANES) {
        V acc[QUERIES] = {};
        for (i64 j = 0; j <= last; j++) {
            V row = *(const V *)(rows + j * p->dim + d);
#pragma GCC unroll 8
            for (int b = 0; b < QUERIES; b++) acc[b] += row * weights[b * p->longest + j];
        }
        for (int b = 0; b < many; b++) *(V *)(outs[b] + d) = acc[b];
    }
}

/* rows [.., dim] 0..last += each vector times its weights: the transpose of `mixture`. */
static void spread(const Plan *p, const float *weights, const float *const *vectors, i64 last, float *rows) {
    for (i64 d = 0; d < p->dim; d += LANES) {
        V vector[QUERIES];
        for (int b = 0; b < QUERIES; b++) vector[b] = *(const V *)(vectors[b] + d);
        for (i64 j = 0; j <= last; j++) {
            V sum = *(V *)(rows + j * p->dim + d);
#pragma GCC unroll 8
            for (int b = 0; b < QUERIES; b++) sum += vector[b] * weights[b * p->longest + j];
            *(V *)(rows + j * p->dim + d) = sum;
        }
    }
}

INLINE V upto(V value, i64 first, i64 last) {
    I mask;
    for (int l = 0; l < LANES; l++) mask[l] = first + l <= last ? -1 : 0;
    return (V)((I)value & mask);
}

/* Softmax of scale * s[0..last], zero from there to `limit`. Returns the log of the sum of exponentials. */
static float softmax(float *s, i64 last, i64 limit, float scale) {
    float high = -INFINITY;
    for (i64 j = 0; j <= last; j++) high = s[j] > high ? s[j] : high;
    V sum = {};
    for (i64 j = 0; j < limit; j += LANES) {
        V e = upto(vexp((*(V *)(s + j) - high) * scale), j, last);
        *(V *)(s + j) = e, sum += e;
    }
    float whole = total(sum);
    for (i64 j = 0; j < limit; j += LANES) *(V *)(s + j) /= whole;
    return high * scale + logf(whole);
}

/* The queries of one block: query `b` is head h * group + (first + b) % group at position own + (first + b) / group. Places
 * behind the last repeat it. Returns the position of the last. */
typedef struct { int many; i64 last, limit, at[QUERIES], position[QUERIES]; } Queries;
INLINE Queries queries_of(const Plan *p, i64 row, i64 h, i64 first) {
    i64 group = p->heads / p->kv_heads, own = p->own[row], length = p->start[row + 1] - p->start[row];
    i64 count = (length - own) * group;
    Queries q = {.many = count - first < QUERIES ? (int)(count - first) : QUERIES};
    for (int b = 0; b < QUERIES; b++) {
        i64 i = first + (b < q.many ? b : q.many - 1);
        q.position[b] = own + i / group;
        q.at[b] = p->flat[p->start[row] + q.position[b]] * p->heads + h * group + i % group;
    }
    q.last = q.position[QUERIES - 1];
    q.limit = (q.last / STEP + 1) * STEP;
    return q;
}

static void forward_row(const Plan *p, i64 row, i64 h, const float *q, const float *k, const float *v, Room room, float *out,
                        float *sums) {
    i64 length = p->start[row + 1] - p->start[row], count = (length - p->own[row]) * (p->heads / p->kv_heads);
    const i64 *at = p->flat + p->start[row];
    if (!count) return;
    fetch(p, k, p->kv_heads, h, at, length, room.key_rows, room.keys);
    for (i64 j = 0; j < length; j++) memcpy(room.value_rows + j * p->dim, v + (at[j] * p->kv_heads + h) * p->dim, 4 * p->dim);
    for (i64 first = 0; first < count; first += QUERIES) {
        Queries block = queries_of(p, row, h, first);
        const float *vectors[QUERIES];
        float *outs[QUERIES];
        for (int b = 0; b < QUERIES; b++) vectors[b] = q + block.at[b] * p->dim, outs[b] = out + block.at[b] * p->dim;
        products(p, room.keys, vectors, block.limit, room.probs);
        for (int b = 0; b < QUERIES; b++)
            sums[block.at[b]] = softmax(room.probs + b * p->longest, block.position[b], block.limit, p->scale);
        mixture(p, room.value_rows, room.probs, block.last, block.many, outs);
    }
}

/* With p the probabilities, D = grad . out and s = scale p (grad . v - D): dq = sum of s k, dk = sum of s q, dv = sum of p grad. */
static void backward_row(const Plan *p, i64 row, i64 h, const float *q, const float *k, const float *v, const float *out,
                         const float *sums, const float *grad, Room room, float *by_q, float *by_k, float *by_v) {
    i64 length = p->start[row + 1] - p->start[row], count = (length - p->own[row]) * (p->heads / p->kv_heads);
    const i64 *at = p->flat + p->start[row];
    if (!count) return;
    fetch(p, k, p->kv_heads, h, at, length, room.key_rows, room.keys);
    fetch(p, v, p->kv_heads, h, at, length, room.value_rows, room.values);
    memset(room.by_keys, 0, 4 * length * p->dim);
    memset(room.by_values, 0, 4 * length * p->dim);
    for (i64 first = 0; first < count; first += QUERIES) {
        Queries block = queries_of(p, row, h, first);
        const float *vectors[QUERIES], *grads[QUERIES];
        float *outs[QUERIES];
        for (int b = 0; b < QUERIES; b++)
            vectors[b] = q + block.at[b] * p->dim, grads[b] = grad + block.at[b] * p->dim, outs[b] = by_q + block.at[b] * p->dim;
        products(p, room.keys, vectors, block.limit, room.probs);
        products(p, room.values, grads, block.limit, room.grads);
        for (int b = 0; b < QUERIES; b++) {
            float *probs = room.probs + b * p->longest, *by_scores = room.grads + b * p->longest, along = 0;
            i64 last = b < block.many ? block.position[b] : -1;
            const float *done = out + block.at[b] * p->dim;
            V sum = {};
            for (i64 d = 0; d < p->dim; d += LANES) sum += *(const V *)(grads[b] + d) * *(const V *)(done + d);
            along = total(sum);
            for (i64 j = 0; j < block.limit; j += LANES) {
                V prob = upto(vexp(*(V *)(probs + j) * p->scale - sums[block.at[b]]), j, last);
                *(V *)(probs + j) = prob;
                *(V *)(by_scores + j) = upto(prob * (*(V *)(by_scores + j) - along) * p->scale, j, last);
            }
        }
        mixture(p, room.key_rows, room.grads, block.last, block.many, outs);
        spread(p, room.grads, vectors, block.last, room.by_keys);
        spread(p, room.probs, grads, block.last, room.by_values);
    }
    for (i64 j = 0; j < length; j++)
        for (i64 d = 0; d < p->dim; d++) {
            by_k[(at[j] * p->kv_heads + h) * p->dim + d] += room.by_keys[j * p->dim + d];
            by_v[(at[j] * p->kv_heads + h) * p->dim + d] += room.by_values[j * p->dim + d];
        }
}
