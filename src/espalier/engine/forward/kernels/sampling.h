/* Sampling one token a row from the softmax. */
#pragma once
#include "vectors.h"

typedef double D __attribute__((vector_size(8 * LANES), aligned(4)));
enum { BLOCK = 1024 };

/* e^((z - high) / temperature) of n logits, into e; its sum, and the sums of blocks of BLOCK. In fp64: a vocabulary of
 * 150,000 small probabilities adds up. */
static double exponentials(const float *z, i64 n, float high, float temperature, float *e, double *sums) {
    double whole = 0;
    for (i64 b = 0; b * BLOCK < n; b++) {
        i64 end = (b + 1) * BLOCK < n ? (b + 1) * BLOCK : n, i = b * BLOCK;
        D sum = {};
        double rest = 0;
        for (; i + LANES <= end; i += LANES) {
            V value = vexp((*(V *)(z + i) - high) / temperature);
            *(V *)(e + i) = value;
            sum += __builtin_convertvector(value, D);
        }
        for (; i < end; i++) {
            e[i] = vexp((V){} + (z[i] - high) / temperature)[0];
            rest += e[i];
        }
        for (int l = 0; l < LANES; l++) rest += sum[l];
        sums[b] = rest, whole += rest;
    }
    return whole;
}

/* For each row of logits [rows, n]: a token, its log-prob under softmax(logits / temperature) and under softmax(logits).
 * The token is the first whose cumulative probability exceeds uniform[r] (the last where none does); at temperature 0 it
 * is the most probable, and its log-prob 0. NaN in a row makes its untempered log-prob NaN. */
EXPORT void draw(int threads, i64 rows, i64 n, const float *logits, const double *temperature, const double *uniform, i64 *tokens,
                 float *logprobs, float *raw) {
#pragma omp parallel num_threads(threads)
    {
        float *e = malloc(sizeof(float) * n);
        double *sums = malloc(sizeof(double) * (n / BLOCK + 1));
#pragma omp for schedule(static)
        for (i64 r = 0; r < rows; r++) {
            const float *z = logits + r * n;
            float high = z[0], warmth = (float)temperature[r];
            V most = (V){} - INFINITY;
            i64 i = 0, b = 0;
            for (; i + LANES <= n; i += LANES) most = pick(*(V *)(z + i) > most, *(V *)(z + i), most);
            for (int l = 0; l < LANES; l++) high = most[l] > high ? most[l] : high;
            for (; i < n; i++) high = z[i] > high ? z[i] : high;
            if (warmth == 0) {
                for (i = 0; i < n - 1 && z[i] != high; i++) {}
                tokens[r] = i, logprobs[r] = 0;
            } else {
                double whole = exponentials(z, n, high, warmth, e, sums), goal = uniform[r] * whole, before = 0;
                for (; (b + 1) * BLOCK < n && !(before + sums[b] > goal); b++) before += sums[b];
                for (i = b * BLOCK; i < n - 1 && !(before + e[i] > goal); i++) before += e[i];
                tokens[r] = i, logprobs[r] = (float)((z[i] - high) / warmth - log(whole));
            }
            raw[r] = warmth == 1 ? logprobs[r] : (float)(z[i] - high - log(exponentials(z, n, high, 1, e, sums)));
        }
        free(e);
        free(sums);
    }
}
