/* One forward pass of a dense decoder over the KV slab, in fp32 or with bf16 weights.
 *
 * Every sum (over the width of a matrix, a head, or positions) has one order, whatever else is in the batch and however
 * many threads there are: the numbers of a token do not depend on its batch, bit for bit. Shapes stand at each function.
 */
#include "layers.h"
#include "products.h"
#include "sampling.h"

typedef struct {
    Matrix qkv, o, gate_up, down;
    const float *input_norm, *middle_norm;       /* before attention and before the MLP, [hidden] */
    const float *attention_norm, *mlp_norm;      /* of what they add, [hidden]; NULL: none */
    const float *qk_norm;                        /* [heads + kv_heads, dim]; NULL: none */
    void *keys, *values;                         /* [blocks, chunks, dim, CHUNK], [blocks, chunks * CHUNK, dim] */
} Layer;

typedef struct {
    i64 layers, hidden, heads, kv_heads, dim, rotary, chunks;
    i64 mode, kv_half;                           /* see `multiply`; whether the slab is bf16 */
    float eps, scale;
    const float *cos, *sin;                      /* [positions, rotary / 2] */
    const float *final_norm;
    const void *embedding;                       /* [vocabulary, hidden]; NULL: columns of `head` */
    Matrix head;
    const Layer *layer;
} Model;

typedef struct { i64 m, qkv, attended, inner; float *x, *normed, *mix, *heads, *gated, *scores; uint16_t *a, *b; } Scratch;

static i64 padded(i64 k) { return (k + 31) / 32 * 32; }
static i64 widest(const Model *model) {
    i64 attended = model->heads * model->dim;
    return padded(attended > model->hidden ? attended : model->hidden);
}

/* Carves the scratch for m tokens out of `memory`, or returns how many floats it takes where that is NULL. */
static i64 carve(const Model *model, i64 m, int threads, float *memory, Scratch *s) {
    i64 qkv = (model->heads + 2 * model->kv_heads) * model->dim, attended = model->heads * model->dim;
    i64 inner = model->layer[0].down.k, rows = (m + TILE - 1) / TILE * TILE, at = 0;
    *s = (Scratch){.m = m, .qkv = qkv, .attended = attended, .inner = inner};
#define TAKE(field, count) s->field = (void *)(memory + at), at += ((count) + 15) / 16 * 16;
    TAKE(x, m * model->hidden)
    TAKE(normed, m * model->hidden)
    TAKE(mix, m * model->hidden)
    TAKE(heads, m * qkv)
    TAKE(gated, m * (inner > attended ? inner : attended))
    TAKE(scores, threads * HEADS * model->chunks * CHUNK)
    TAKE(a, rows * widest(model) / 2)
    TAKE(b, rows * padded(inner) / 2)
    return at;
}

EXPORT i64 scratch_floats(const Model *model, i64 m, int threads) {
    Scratch s;
    return carve(model, m, threads, NULL, &s);
}

/* Row `i` of x [.., k], columns from..to, as a row of bf16 [.., padded(k)]. */
static void to_half(const float *x, i64 k, i64 i, i64 from, i64 to, uint16_t *a) {
    uint16_t *row = a + i * padded(k);
    for (i64 c = from; c < to; c++) row[c] = narrow(x[i * k + c]);
    if (to == k)
        for (i64 c = k; c < padded(k); c++) row[c] = 0;
}

static void embed(const Model *model, i64 id, float *x) {
    i64 hidden = model->hidden, half = model->mode != 0;
    const void *table = model->embedding ? model->embedding : model->head.panels;
    for (i64 i = 0; i < hidden; i++) {
        i64 p = id / PANEL, c = id % PANEL, at = id * hidden + i;
        if (!model->embedding) at = half ? ((p * (padded(hidden) / 2) + i / 2) * PANEL + c) * 2 + i % 2 : (p * hidden + i) * PANEL + c;
        x[i] = load1(table, at, half);
    }
}

/* Norms and rotates the heads of one token, and writes its keys and values. */
static void rotate_and_store(const Model *model, const Layer *layer, float *heads, i64 row, i64 position) {
    i64 dim = model->dim, queries = model->heads, half = model->rotary / 2, max_len = model->chunks * CHUNK;
    const float *cosine = model->cos + position * half, *sine = model->sin + position * half;
    for (i64 h = 0; h < queries + model->kv_heads; h++) {
        float *x = heads + h * dim, scale = h < queries ? model->scale : 1.0f;
        if (layer->qk_norm) norm(x, layer->qk_norm + h * dim, model->eps, dim, x, 0);
        for (i64 i = 0; i < half; i++) {
            float one = x[i], two = x[i + half];
            x[i] = one * cosine[i] - two * sine[i];
            x[i + half] = two * cosine[i] + one * sine[i];
        }
        for (i64 i = 0; i < dim; i++) x[i] *= scale;
    }
    for (i64 h = 0; h < model->kv_heads; h++) {
        i64 block = row * model->kv_heads + h;
        const float *key = heads + (queries + h) * dim, *value = key + model->kv_heads * dim;
        i64 k_at = (block * model->chunks + position / CHUNK) * dim * CHUNK + position % CHUNK;
        i64 v_at = (block * max_len + position) * dim;
        for (i64 d = 0; d < dim; d++) {
            store1(layer->keys, k_at + d * CHUNK, key[d], model->kv_half);
            store1(layer->values, v_at + d, value[d], model->kv_half);
        }
    }
}

/* All heads of KV head `h` for one token. */
static void attend_token(const Model *model, const Layer *layer, const float *heads, i64 row, i64 position, i64 h, float *scores,
                         float *out) {
    i64 dim = model->dim, group = model->heads / model->kv_heads, block = row * model->kv_heads + h, size = model->kv_half ? 2 : 4;
    const char *keys = (const char *)layer->keys + block * model->chunks * dim * CHUNK * size;
    const char *values = (const char *)layer->values + block * model->chunks * CHUNK * dim * size;
    for (i64 g = 0; g < group; g += HEADS) {
        const float *q = heads + (h * group + g) * dim;
        float *to = out + (h * group + g) * dim;
#define GROUP(N) case N: { \
        if (model->kv_half) attend(N, 1, dim, position, q, keys, values, scores, to); \
        else attend(N, 0, dim, position, q, keys, values, scores, to); \
        break; }
        switch (group - g < HEADS ? group - g : HEADS) { GROUP(1) GROUP(2) GROUP(3) GROUP(4) }
    }
}

#ifdef _OPENMP
#define THREAD omp_get_thread_num()
#define TEAM omp_get_num_threads()
#else
#define THREAD 0
#define TEAM 1
#endif
#define SHARE(total) i64 from = (total) * me / team, to = (total) * (me + 1) / team;
#define PRODUCT(kind, input, half_input, matrix, out) { \
    SHARE((matrix.n + ((kind) == SILU ? HALF : PANEL) - 1) / ((kind) == SILU ? HALF : PANEL)) \
    multiply(model->mode, kind, s->m, input, half_input, &matrix, from, to, out); }
#define BARRIER _Pragma("omp barrier")

static void run_layer(const Model *model, const Layer *layer, const Scratch *s, const i64 *rows, const i64 *positions, int me,
                      int team) {
    i64 hidden = model->hidden, half = model->mode == 2;
    float *scores = s->scores + me * HEADS * model->chunks * CHUNK;
    float *attended = s->gated;
    SHARE(s->m)
    for (i64 t = from; t < to; t++) {
        norm(s->x + t * hidden, layer->input_norm, model->eps, hidden, s->normed + t * hidden, 0);
        if (half) to_half(s->normed, hidden, t, 0, hidden, s->a);
    }
    BARRIER
    PRODUCT(STORE, s->normed, s->a, layer->qkv, s->heads)
    BARRIER
    for (i64 t = from; t < to; t++) rotate_and_store(model, layer, s->heads + t * s->qkv, rows[t], positions[t]);
    BARRIER
    {
        SHARE(s->m * model->kv_heads)
        i64 width = s->attended / model->kv_heads;
        for (i64 i = from; i < to; i++) {
            i64 t = i / model->kv_heads, h = i % model->kv_heads;
            attend_token(model, layer, s->heads + t * s->qkv, rows[t], positions[t], h, scores, attended + t * s->attended);
            if (half) to_half(attended, s->attended, t, h * width, (h + 1) * width, s->a);
        }
    }
    BARRIER
    PRODUCT(layer->attention_norm ? STORE : ADD, attended, s->a, layer->o, (layer->attention_norm ? s->mix : s->x))
    BARRIER
    for (i64 t = from; t < to; t++) {
        float *x = s->x + t * hidden;
        if (layer->attention_norm) norm(s->mix + t * hidden, layer->attention_norm, model->eps, hidden, x, 1);
        norm(x, layer->middle_norm, model->eps, hidden, s->normed + t * hidden, 0);
        if (half) to_half(s->normed, hidden, t, 0, hidden, s->a);
    }
    BARRIER
    PRODUCT(SILU, s->normed, s->a, layer->gate_up, s->gated)
    if (half) {
        SHARE((s->inner + HALF - 1) / HALF)
        i64 last = to * HALF < s->inner ? to * HALF : s->inner;
        if (from < to)
            for (i64 t = 0; t < s->m; t++) to_half(s->gated, s->inner, t, from * HALF, last, s->b);
    }
    BARRIER
    PRODUCT(layer->mlp_norm ? STORE : ADD, s->gated, s->b, layer->down, (layer->mlp_norm ? s->mix : s->x))
    BARRIER
    if (layer->mlp_norm)
        for (i64 t = from; t < to; t++) norm(s->mix + t * hidden, layer->mlp_norm, model->eps, hidden, s->x + t * hidden, 1);
}

/* Final hidden states out [m, hidden] of tokens `ids` [m] at `positions` [m] of KV rows `rows` [m]. The keys and values of
 * all of them are written before any of them attends. */
EXPORT void forward(int threads, const Model *model, i64 m, const i64 *ids, const i64 *rows, const i64 *positions, float *memory,
                    float *out) {
    Scratch scratch, *s = &scratch;
    carve(model, m, threads, memory, s);
#pragma omp parallel num_threads(threads)
    {
        int me = THREAD, team = TEAM;
        OPEN_TILES(model->mode)
        SHARE(m)
        for (i64 t = from; t < to; t++) embed(model, ids[t], s->x + t * model->hidden);
        for (i64 l = 0; l < model->layers; l++) run_layer(model, &model->layer[l], s, rows, positions, me, team);
        for (i64 t = from; t < to; t++)
            norm(s->x + t * model->hidden, model->final_norm, model->eps, model->hidden, out + t * model->hidden, 0);
        CLOSE_TILES(model->mode)
    }
}

/* Logits out [m, vocabulary] of hidden states x [m, hidden]. */
EXPORT void project(int threads, const Model *model, i64 m, const float *x, float *memory, float *out) {
    Scratch scratch, *s = &scratch;
    carve(model, m, threads, memory, s);
#pragma omp parallel num_threads(threads)
    {
        int me = THREAD, team = TEAM;
        OPEN_TILES(model->mode)
        if (model->mode == 2) {
            SHARE(m)
            for (i64 t = from; t < to; t++) to_half(x, model->hidden, t, 0, model->hidden, s->a);
        }
        BARRIER
        PRODUCT(STORE, x, s->a, model->head, out)
        CLOSE_TILES(model->mode)
    }
}
