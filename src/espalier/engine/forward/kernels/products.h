/* Matrices packed into panels, and products with them.
 *
 * A matrix [n, k] is packed into panels of PANEL columns of its transpose, so that a product reads it once, in order:
 * fp32 panels are [k][PANEL]; bf16 panels are [k / 2][PANEL][2], two rows of the transpose in one 32-bit word, and k is
 * padded with zeros to a multiple of 32. Every sum over k has one order, whatever the number of rows and threads.
 */
#pragma once
#include "vectors.h"

EXPORT i64 panel_width(void) { return PANEL; }
EXPORT i64 has_amx(void) {
#if AMX
    return syscall(SYS_arch_prctl, 0x1023, 18) == 0; /* ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA */
#else
    return 0;
#endif
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
INLINE void finish(const V *acc, int kind, float *out, i64 panel, i64 n, const float *bias) {
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

INLINE void block(int rows, int half, int kind, i64 k, const float *x, i64 stride, const void *panel, i64 index, float *out,
                  i64 n, const float *bias) {
    V acc[ROWS][VECTORS] = {};
    if (half) {
        const uint16_t *p = panel;
        for (i64 i = 0; i + 1 < k; i += 2, p += 2 * PANEL)
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS; v++) {
                U both = *(const U *)(p + v * 2 * LANES);
                V even = (V)(both << 16), odd = (V)(both & 0xffff0000u);
#pragma GCC unroll 6
                for (int r = 0; r < rows; r++) {
                    acc[r][v] += even * x[r * stride + i];
                    acc[r][v] += odd * x[r * stride + i + 1];
                }
            }
        if (k % 2)
            for (int v = 0; v < VECTORS; v++)
                for (int r = 0; r < rows; r++) acc[r][v] += (V)(*(const U *)(p + v * 2 * LANES) << 16) * x[r * stride + k - 1];
    } else {
        const float *p = panel;
        for (i64 i = 0; i < k; i++, p += PANEL) {
            V b[VECTORS];
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS; v++) b[v] = *(const V *)(p + v * LANES);
#pragma GCC unroll 6
            for (int r = 0; r < rows; r++) {
                float a = x[r * stride + i];
#pragma GCC unroll 4
                for (int v = 0; v < VECTORS; v++) acc[r][v] += b[v] * a;
            }
        }
    }
    for (int r = 0; r < rows; r++) finish(acc[r], kind, out + r * n, index, n, bias);
}

static void block_of(int rows, int half, int kind, i64 k, const float *x, const void *panel, i64 index, float *out, i64 n,
                     const float *bias) {
#define CASE(R, HALF_) block(R, HALF_, kind, k, x, k, panel, index, out, n, bias); break;
#define CASES(R) if (half) { CASE(R, 1) } else { CASE(R, 0) }
    switch (rows) {
        case 1: CASES(1)
        case 2: CASES(2)
        case 3: CASES(3)
#if __AVX512F__ || !__AVX2__
        case 4: CASES(4)
        case 5: CASES(5)
#endif
#if __AVX512F__
        case 6: CASES(6)
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
/* Sums of 16 rows of a [.., depth] (bf16) with one panel; depth a multiple of 32. */
INLINE void tiles16(const uint16_t *a, i64 depth, const uint16_t *panel, float *sums) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (i64 i = 0; i < depth; i += 32) {
        const uint16_t *b = panel + i * PANEL;
        _tile_loadd(4, a + i, depth * 2);
        _tile_loadd(5, b, PANEL * 4);
        _tile_dpbf16ps(0, 4, 5);
        _tile_loadd(6, b + 32, PANEL * 4);
        _tile_dpbf16ps(1, 4, 6);
        _tile_loadd(5, b + 64, PANEL * 4);
        _tile_dpbf16ps(2, 4, 5);
        _tile_loadd(6, b + 96, PANEL * 4);
        _tile_dpbf16ps(3, 4, 6);
    }
    _tile_stored(0, sums, PANEL * 4);
    _tile_stored(1, sums + 16, PANEL * 4);
    _tile_stored(2, sums + 32, PANEL * 4);
    _tile_stored(3, sums + 48, PANEL * 4);
}
#endif

/* Panels `from` to `to` of out [m, n] = x [m, k] times the matrix. mode 0: fp32, 1: bf16 widened, 2: bf16 tiles, whose
 * x is `a` [m rounded up to 16, k rounded up to 32] in bf16. */
static void multiply(int mode, int kind, i64 m, const float *x, const uint16_t *a, const Matrix *w, i64 from, i64 to,
                     float *out) {
    i64 depth = mode ? (w->k + 31) / 32 * 32 : w->k;
    for (i64 p = from; p < to; p++) {
        const char *panel = (const char *)w->panels + p * depth * PANEL * (mode ? 2 : 4);
#if AMX
        if (mode == 2) {
            float sums[TILE * PANEL] __attribute__((aligned(64)));
            for (i64 r = 0; r < m; r += TILE) {
                tiles16(a + r * depth, depth, (const uint16_t *)panel, sums);
                for (i64 i = 0; i < TILE && r + i < m; i++)
                    finish((const V *)(sums + i * PANEL), kind, out + (r + i) * w->n, p, w->n, w->bias);
            }
            continue;
        }
#endif
        for (i64 r = 0; r < m; r += ROWS)
            block_of(m - r < ROWS ? m - r : ROWS, mode, kind, w->k, x + r * w->k, panel, p, out + r * w->n, w->n, w->bias);
    }
}

#if AMX
#define OPEN_TILES(mode) if ((mode) == 2) open_tiles();
#define CLOSE_TILES(mode) if ((mode) == 2) _tile_release();
#else
#define OPEN_TILES(mode)
#define CLOSE_TILES(mode)
#endif
