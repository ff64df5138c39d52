/* Matrices packed into panels, and products with them.
 *
 * A matrix [n, k] is packed into panels of PANEL columns of its transpose, so that a product reads it once, in order:
 * fp32 panels are [k][PANEL]; bf16 panels are [k / 2][PANEL][2], two rows of the transpose in one 32-bit word, and k is
 * padded with zeros to a multiple of 32. Every sum over k has one order, whatever the number of rows and threads.
 */
#pragma once
#include "vectors.h"
#if defined(__AVX512BF16__)
#include <immintrin.h>
#define PAIRS 1
#else
#define PAIRS 0
#endif
#if defined(__AMX_BF16__) && defined(__linux__) && defined(__AVX512F__)
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#define AMX 1
#else
#define AMX 0
#endif

enum { ROWS = LANES == 16 ? 12 : 6, VECTORS = 2, PANEL = VECTORS * LANES, HALF = PANEL / 2, TILE = 16 };

EXPORT i64 panel_width(void) { return PANEL; }

/* Whether the processor multiplies bf16: by tiles (AMX), where the system permits them, or by pairs (AVX-512). */
static int use_tiles;
EXPORT i64 has_half(void) {
#if AMX
    use_tiles = syscall(SYS_arch_prctl, 0x1023, 18) == 0; /* ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA */
#endif
    return use_tiles || PAIRS;
}

/* Rows of w [n, k] (bf16 where `from_half`) become columns of `out`: row j goes to panel (start + j) / width, column
 * offset + (start + j) % width. k is padded with zeros to `depth`, even for bf16. */
EXPORT void pack(int threads, int half, int from_half, i64 n, i64 k, i64 depth, i64 start, i64 width, i64 offset,
                 const void *w, void *out) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (i64 block = start / width; block < (start + n + width - 1) / width; block++)
        for (i64 i = 0; i < depth; i++)
            for (i64 c = 0; c < width; c++) {
                i64 j = block * width + c - start;
                if (j < 0 || j >= n) continue;
                float value = i < k ? load1(w, j * k + i, from_half) : 0.0f;
                if (half) ((uint16_t *)out)[((block * (depth / 2) + i / 2) * PANEL + offset + c) * 2 + i % 2] = narrow(value);
                else ((float *)out)[(block * depth + i) * PANEL + offset + c] = value;
            }
}

enum { STORE, ADD, SILU };

/* What becomes of the sums `acc` of one row and panel. STORE: out = acc + bias. ADD: out += acc. SILU: the panel's first
 * half is a gate, the second what it opens: out = silu(gate) * up, half as wide. `n`: columns of out. */
static __attribute__((noinline)) void finish(const V *acc, int kind, float *out, i64 panel, i64 n, const float *bias) {
    i64 width = kind == SILU ? HALF : PANEL, first = panel * width;
    int vectors = kind == SILU ? VECTORS / 2 : VECTORS;
    V value[VECTORS];
    for (int v = 0; v < vectors; v++) {
        if (kind == SILU) value[v] = silu(acc[v]) * acc[v + VECTORS / 2];
        else value[v] = acc[v];
    }
    if (first + width <= n) {
        for (int v = 0; v < vectors; v++) {
            V *at = (V *)(out + first + v * LANES);
            if (kind == ADD) *at += value[v];
            else if (bias) *at = value[v] + *(const V *)(bias + first + v * LANES);
            else *at = value[v];
        }
        return;
    }
    for (i64 c = 0; c < n - first; c++) {
        float one = value[c / LANES][c % LANES];
        out[first + c] = kind == ADD ? out[first + c] + one : bias ? one + bias[first + c] : one;
    }
}

INLINE void block(int rows, int half, int kind, i64 k, const float *x, const void *panel, i64 index, float *out, i64 n,
                  const float *bias, int ahead) {
    V acc[ROWS][VECTORS] = {};
    i64 size = (half ? (k + 31) / 32 * 32 : k) * PANEL; /* of a panel */
    if (half) {
        const uint16_t *p = panel;
        for (i64 i = 0; i + 1 < k; i += 2, p += 2 * PANEL) {
            U one = *(const U *)p, two = *(const U *)(p + 2 * LANES);
            V even[2] = {(V)(one << 16), (V)(two << 16)}, odd[2] = {(V)(one & 0xffff0000u), (V)(two & 0xffff0000u)};
            if (ahead) __builtin_prefetch(p + size, 0, 2), __builtin_prefetch(p + size + 2 * LANES, 0, 2);
#pragma GCC unroll 12
            for (int r = 0; r < rows; r++) {
                float a = x[r * k + i], b = x[r * k + i + 1];
                acc[r][0] += even[0] * a, acc[r][1] += even[1] * a;
                acc[r][0] += odd[0] * b, acc[r][1] += odd[1] * b;
            }
        }
        if (k % 2) {
            U one = *(const U *)p, two = *(const U *)(p + 2 * LANES);
#pragma GCC unroll 12
            for (int r = 0; r < rows; r++) {
                float a = x[r * k + k - 1];
                acc[r][0] += (V)(one << 16) * a, acc[r][1] += (V)(two << 16) * a;
            }
        }
    } else {
        const float *p = panel;
        for (i64 i = 0; i < k; i++, p += PANEL) {
            V one = *(const V *)p, two = *(const V *)(p + LANES);
            if (ahead) __builtin_prefetch(p + size, 0, 2), __builtin_prefetch(p + size + LANES, 0, 2);
#pragma GCC unroll 12
            for (int r = 0; r < rows; r++) {
                float a = x[r * k + i];
                acc[r][0] += one * a, acc[r][1] += two * a;
            }
        }
    }
    V sums[ROWS][VECTORS]; /* a copy, so that `acc` stays in registers */
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) sums[r][0] = acc[r][0], sums[r][1] = acc[r][1];
    for (int r = 0; r < rows; r++) finish(sums[r], kind, out + r * n, index, n, bias);
}

static void block_of(int rows, int half, int kind, i64 k, const float *x, const void *panel, i64 index, float *out, i64 n,
                     const float *bias, int ahead) {
#define CASE(R) case R: { \
        if (half) block(R, 1, kind, k, x, panel, index, out, n, bias, ahead); \
        else block(R, 0, kind, k, x, panel, index, out, n, bias, ahead); \
        break; }
    switch (rows) {
        CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#if __AVX512F__
        CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
#endif
    }
}

typedef struct { i64 n, k; const void *panels; const float *bias; } Matrix; /* n: columns of the result */

#if AMX
typedef struct { uint8_t palette, start, zero[14]; uint16_t bytes[16]; uint8_t rows[16]; } Tiles;
static void open_tiles(void) {
    Tiles tiles = {.palette = 1};
    for (int t = 0; t < 8; t++) tiles.bytes[t] = 64, tiles.rows[t] = TILE;
    _tile_loadconfig(&tiles);
}
/* Sums of 16 (or, `pair`, 32) rows of a [.., depth] (bf16) with one panel; depth a multiple of 32. `fetch`: how far ahead
 * to read, 0: not. */
INLINE void add_tiles(int pair, const uint16_t *a, i64 depth, const uint16_t *panel, float *sums, i64 fetch) {
    _tile_zero(0);
    _tile_zero(1);
    if (pair) {
        _tile_zero(2);
        _tile_zero(3);
    }
    for (i64 i = 0; i < depth; i += 32) {
        const uint16_t *b = panel + i * PANEL;
        if (fetch)
            for (i64 line = 0; line < 32 * PANEL; line += 32) __builtin_prefetch(b + fetch + line, 0, 3);
        _tile_loadd(4, a + i, depth * 2);
        _tile_loadd(6, b, PANEL * 4);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, b + 32, PANEL * 4);
        _tile_dpbf16ps(1, 4, 7);
        if (pair) {
            _tile_loadd(5, a + TILE * depth + i, depth * 2);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
    }
    _tile_stored(0, sums, PANEL * 4);
    _tile_stored(1, sums + 16, PANEL * 4);
    if (pair) {
        _tile_stored(2, sums + TILE * PANEL, PANEL * 4);
        _tile_stored(3, sums + TILE * PANEL + 16, PANEL * 4);
    }
}
#endif

#if PAIRS
/* Sums of `rows` rows of a [.., depth] (bf16) with one panel, two products at a time; depth a multiple of 32. */
INLINE void pairs(int rows, int kind, const uint16_t *a, i64 depth, const uint16_t *panel, i64 index, float *out, i64 n,
                  const float *bias, int ahead) {
    __m512 acc[ROWS][2];
    const uint16_t *p = panel;
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) acc[r][0] = acc[r][1] = _mm512_setzero_ps();
    for (i64 i = 0; i < depth; i += 2, p += 2 * PANEL) {
        __m512bh one = (__m512bh)_mm512_loadu_si512(p), two = (__m512bh)_mm512_loadu_si512(p + 2 * LANES);
        if (ahead) __builtin_prefetch(p + depth * PANEL, 0, 2), __builtin_prefetch(p + depth * PANEL + 2 * LANES, 0, 2);
#pragma GCC unroll 12
        for (int r = 0; r < rows; r++) {
            int32_t both;
            memcpy(&both, a + r * depth + i, 4);
            __m512bh x = (__m512bh)_mm512_set1_epi32(both);
            acc[r][0] = _mm512_dpbf16_ps(acc[r][0], one, x), acc[r][1] = _mm512_dpbf16_ps(acc[r][1], two, x);
        }
    }
    V sums[ROWS][VECTORS];
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) sums[r][0] = (V)acc[r][0], sums[r][1] = (V)acc[r][1];
    for (int r = 0; r < rows; r++) finish(sums[r], kind, out + r * n, index, n, bias);
}

static void pairs_of(int rows, int kind, const uint16_t *a, i64 depth, const uint16_t *panel, i64 index, float *out, i64 n,
                     const float *bias, int ahead) {
#define PAIR(R) case R: pairs(R, kind, a, depth, panel, index, out, n, bias, ahead); break;
    switch (rows) { PAIR(1) PAIR(2) PAIR(3) PAIR(4) PAIR(5) PAIR(6) PAIR(7) PAIR(8) PAIR(9) PAIR(10) PAIR(11) PAIR(12) }
}
#endif

/* Panels `from` to `to` of out [m, n] = x [m, k] times the matrix. mode 0: fp32, 1: bf16 widened, 2: bf16
 * products, whose x is `a` [m rounded up to 16, k rounded up to 32] in bf16. */
static void multiply(int mode, int kind, i64 m, const float *x, const uint16_t *a, const Matrix *w, i64 from, i64 to,
                     float *out) {
    i64 depth = mode ? (w->k + 31) / 32 * 32 : w->k;
    for (i64 p = from; p < to; p++) {
        const char *panel = (const char *)w->panels + p * depth * PANEL * (mode ? 2 : 4);
#if AMX
        if (mode == 2 && use_tiles) {
            float sums[2 * TILE * PANEL] __attribute__((aligned(64)));
            for (i64 r = 0; r < m; r += 2 * TILE) {
                i64 near = 4 * 32 * PANEL, fetch = m <= 2 * TILE ? near : r + 2 * TILE >= m ? depth * PANEL : 0;
                if (r + TILE < m) add_tiles(1, a + r * depth, depth, (const uint16_t *)panel, sums, fetch);
                else add_tiles(0, a + r * depth, depth, (const uint16_t *)panel, sums, fetch);
                for (i64 i = 0; i < 2 * TILE && r + i < m; i++)
                    finish((const V *)(sums + i * PANEL), kind, out + (r + i) * w->n, p, w->n, w->bias);
            }
            continue;
        }
#endif
        i64 blocks = (m + ROWS - 1) / ROWS; /* of about equally many rows; the last fetches the next panel meanwhile */
        for (i64 b = 0; b < blocks; b++) {
            i64 r = m * b / blocks, rows = m * (b + 1) / blocks - r;
#if PAIRS
            if (mode == 2) {
                pairs_of(rows, kind, a + r * depth, depth, (const uint16_t *)panel, p, out + r * w->n, w->n, w->bias,
                         b + 1 == blocks && p + 1 < to);
                continue;
            }
#endif
            block_of(rows, mode, kind, w->k, x + r * w->k, panel, p, out + r * w->n, w->n, w->bias, b + 1 == blocks && p + 1 < to);
        }
    }
}

#if AMX
#define OPEN_TILES(mode) if ((mode) == 2 && use_tiles) open_tiles();
#define CLOSE_TILES(mode) if ((mode) == 2 && use_tiles) _tile_release();
#else
#define OPEN_TILES(mode)
#define CLOSE_TILES(mode)
#endif
