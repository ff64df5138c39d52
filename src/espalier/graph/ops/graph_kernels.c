/* Kernels that move indices, not numbers: transposition, induced subgraphs, neighbour samples, personalised PageRank.
 * Offsets are 64-bit, node indices 32-bit. Shapes stand at each function.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef int64_t i64;
typedef int32_t i32;
#define EXPORT __attribute__((visibility("default")))

/* Transposed rows of a CSR matrix; position[e] is the place of the e-th transposed entry in the matrix itself.
 * t_indptr (columns + 1) comes zeroed. Entries of a transposed row stand in order of their row: stable. */
EXPORT void transpose(i64 rows, i64 columns, const i64 *indptr, const i32 *indices, i64 *t_indptr, i32 *t_indices,
                      i64 *position) {
    i64 entries = indptr[rows];
    for (i64 e = 0; e < entries; e++) t_indptr[(i64)indices[e] + 1]++;
    for (i64 j = 0; j < columns; j++) t_indptr[j + 1] += t_indptr[j];
    for (i64 i = 0; i < rows; i++)
        for (i64 e = indptr[i]; e < indptr[i + 1]; e++) {
            i64 at = t_indptr[indices[e]]++;
            t_indices[at] = (i32)i;
            position[at] = e;
        }
    memmove(t_indptr + 1, t_indptr, sizeof(i64) * columns);
    t_indptr[0] = 0;
}

static inline uint64_t mixed(uint64_t z) {
    z += 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

/* Up to `fanout` distinct neighbours of each seed, drawn uniformly (Floyd's algorithm); out (seeds, fanout), padded with
 * -1, and counts (seeds). The draw of a seed depends on `seed` and its place in the list only. */
EXPORT void sample_neighbours(int threads, i64 seeds, const i64 *nodes, const i64 *indptr, const i32 *indices,
                              i64 fanout, uint64_t seed, i32 *out, i64 *counts) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 256)
    for (i64 s = 0; s < seeds; s++) {
        i64 from = indptr[nodes[s]], degree = indptr[nodes[s] + 1] - from, n = degree < fanout ? degree : fanout;
        i32 *row = out + s * fanout;
        counts[s] = n;
        for (i64 k = n; k < fanout; k++) row[k] = -1;
        if (degree <= fanout) {
            for (i64 k = 0; k < n; k++) row[k] = indices[from + k];
            continue;
        }
        i64 picked = 0;
        uint64_t state = mixed(seed ^ mixed((uint64_t)s));
        for (i64 j = degree - fanout; j < degree; j++) {
            state = mixed(state);
            i64 t = (i64)(((unsigned __int128)state * (uint64_t)(j + 1)) >> 64), seen = 0;
            for (i64 k = 0; k < picked; k++) seen |= row[k] == (i32)t;
            row[picked++] = (i32)(seen ? j : t); /* places first; nodes once all are known */
        }
        for (i64 k = 0; k < n; k++) row[k] = indices[from + row[k]];
    }
}

/* The subgraphs that each of `groups` node lists induces, as one block-diagonal CSR matrix.
 * nodes (group_ptr[groups]), distinct within a group. scratch (threads, total) holds -1 and is left so.
 * Call first with out_indices NULL: out_degree (all listed nodes) is filled; then with out_indptr and out_indices. */
EXPORT void induce(int threads, i64 groups, const i64 *group_ptr, const i64 *nodes, const i64 *indptr,
                   const i32 *indices, i64 total, i32 *scratch, i64 *out_degree, const i64 *out_indptr,
                   i32 *out_indices) {
#pragma omp parallel num_threads(threads)
    {
#ifdef _OPENMP
        extern int omp_get_thread_num(void);
        i32 *place = scratch + (i64)omp_get_thread_num() * total;
#else
        i32 *place = scratch;
#endif
#pragma omp for schedule(dynamic, 8)
        for (i64 g = 0; g < groups; g++) {
            for (i64 k = group_ptr[g]; k < group_ptr[g + 1]; k++) place[nodes[k]] = (i32)k;
            for (i64 k = group_ptr[g]; k < group_ptr[g + 1]; k++) {
                i64 found = 0;
                for (i64 e = indptr[nodes[k]]; e < indptr[nodes[k] + 1]; e++) {
                    i32 at = place[indices[e]];
                    if (at < 0) continue;
                    if (out_indices) out_indices[out_indptr[k] + found] = at;
                    found++;
                }
                if (out_degree) out_degree[k] = found;
            }
            for (i64 k = group_ptr[g]; k < group_ptr[g + 1]; k++) place[nodes[k]] = -1;
        }
    }
}

typedef struct {
    i32 node;
    float score;
} Scored;

static int by_score(const void *a, const void *b) {
    const Scored *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return x->node < y->node ? -1 : x->node > y->node;
}

/* Moves the `k` best of `all` to its front, in no order (quickselect). */
static void select_best(Scored *all, i64 count, i64 k) {
    i64 low = 0, high = count - 1;
    while (low < high) {
        Scored pivot = all[low + (high - low) / 2];
        i64 i = low, j = high;
        while (i <= j) {
            while (by_score(&all[i], &pivot) < 0) i++;
            while (by_score(&all[j], &pivot) > 0) j--;
            if (i <= j) {
                Scored t = all[i];
                all[i++] = all[j];
                all[j--] = t;
            }
        }
        if (k - 1 <= j) high = j;
        else if (k - 1 >= i) low = i;
        else return;
    }
}

/* Approximate personalised PageRank by pushing (Andersen, Chung and Lang 2006): while some node u has a residual of at
 * least `tolerance` * degree(u), `teleport` of it becomes score and the rest goes to u's neighbours in equal
 * parts. For each seed the `keep` nodes of the largest score (or score / degree, where by_degree), the seed first and
 * then in falling order: out_nodes, out_scores (seeds, keep), counts (seeds). At most `limit` pushes per seed (0: no
 * limit). Returns 0, or 1 where memory ran out. */
EXPORT int ppr(int threads, i64 nodes, i64 seeds, const i64 *seed, const i64 *indptr, const i32 *indices,
               float teleport, float tolerance, i64 limit, i64 keep, int by_degree, i32 *out_nodes, float *out_scores,
               i64 *counts) {
    int failed = 0;
#pragma omp parallel num_threads(threads)
    {
        float *score = calloc(nodes, sizeof(float)), *residual = calloc(nodes, sizeof(float));
        char *state = calloc(nodes, 1); /* 1: touched, 2: queued */
        i32 *touched = malloc(sizeof(i32) * nodes), *queue = malloc(sizeof(i32) * nodes);
        Scored *found = malloc(sizeof(Scored) * nodes);
        int poor = !score || !residual || !state || !touched || !queue || !found;
        if (poor) {
#pragma omp atomic write
            failed = 1;
        }
#pragma omp for schedule(dynamic, 16)
        for (i64 s = 0; s < seeds; s++) {
            if (poor) continue;
            i64 n_touched = 1, head = 0, queued = 1, pushes = 0;
            i32 root = (i32)seed[s];
            residual[root] = 1;
            touched[0] = queue[0] = root;
            state[root] = 3;
            while (queued && (!limit || pushes++ < limit)) {
                i32 u = queue[head];
                head = head + 1 == nodes ? 0 : head + 1;
                queued--;
                state[u] &= ~2;
                i64 degree = indptr[u + 1] - indptr[u];
                float r = residual[u];
                residual[u] = 0;
                score[u] += degree ? teleport * r : r; /* a node without neighbours keeps all */
                if (!degree) continue;
                float part = (1 - teleport) * r / (float)degree;
                for (i64 e = indptr[u]; e < indptr[u + 1]; e++) {
                    i32 v = indices[e];
                    residual[v] += part;
                    if (!(state[v] & 1)) {
                        touched[n_touched++] = v;
                        state[v] |= 1;
                    }
                    if (!(state[v] & 2) &&
                        residual[v] >= tolerance * (float)(indptr[v + 1] - indptr[v])) {
                        state[v] |= 2;
                        i64 tail = head + queued;
                        queue[tail >= nodes ? tail - nodes : tail] = v;
                        queued++;
                    }
                }
            }
            i64 n = 0;
            for (i64 k = 0; k < n_touched; k++) {
                i32 u = touched[k];
                i64 degree = indptr[u + 1] - indptr[u];
                float value = by_degree && degree ? score[u] / (float)degree : score[u];
                if (u != root && value > 0) found[n++] = (Scored){u, value};
            }
            i64 degree = indptr[root + 1] - indptr[root];
            out_nodes[s * keep] = root;
            out_scores[s * keep] = by_degree && degree ? score[root] / (float)degree : score[root];
            i64 kept = n < keep - 1 ? n : keep - 1;
            if (n > kept && kept > 0) select_best(found, n, kept);
            if (kept > 0) qsort(found, kept, sizeof(Scored), by_score);
            for (i64 k = 0; k < kept; k++) {
                out_nodes[s * keep + 1 + k] = found[k].node;
                out_scores[s * keep + 1 + k] = found[k].score;
            }
            counts[s] = kept + 1;
            for (i64 k = 0; k < n_touched; k++) {
                score[touched[k]] = residual[touched[k]] = 0;
                state[touched[k]] = 0;
            }
        }
        free(score), free(residual), free(state), free(touched), free(queue), free(found);
    }
    return failed;
}

/* `count` edges of an R-MAT graph on nodes 0 .. 2^levels - 1 cut to `nodes`, from number `first` on; edge k depends on
 * `seed` and k alone. With probability `inside` both ends lie in one community (a run of `community` nodes). Quadrants
 * are drawn with probabilities a, b, c. source, target (count). */
static inline i64 descend(uint64_t *state, int levels, double a, double b, double c, i64 *column) {
    i64 row = 0, col = 0;
    for (int l = 0; l < levels; l++) {
        *state = mixed(*state);
        double u = (double)(*state >> 11) * 0x1p-53;
        row = row << 1 | (u >= a + b);
        col = col << 1 | ((u >= a && u < a + b) || u >= a + b + c);
    }
    *column = col;
    return row;
}

EXPORT void rmat(int threads, i64 first, i64 edges, i64 nodes, i64 community, double inside, double a, double b,
                 double c, uint64_t seed, i64 *source, i64 *target) {
    int whole = 0, part = 0;
    while (((i64)1 << whole) < nodes) whole++;
    while (((i64)1 << part) < community) part++;
    i64 communities = (nodes + community - 1) / community;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (i64 k = 0; k < edges; k++) {
        uint64_t state = mixed(seed ^ mixed((uint64_t)(first + k)));
        i64 row, column;
        state = mixed(state);
        int local = (double)(state >> 11) * 0x1p-53 < inside;
        do {
            if (local) {
                state = mixed(state);
                i64 from = (i64)(((unsigned __int128)state * (uint64_t)communities) >> 64) * community;
                row = from + descend(&state, part, a, b, c, &column) % community;
                column = from + column % community;
            } else {
                row = descend(&state, whole, a, b, c, &column);
            }
        } while (row >= nodes || column >= nodes);
        source[k] = row;
        target[k] = column;
    }
}

/* Adds the two ends of each edge to degree (nodes). */
EXPORT void count_ends(i64 edges, const i64 *source, const i64 *target, i64 *degree) {
    for (i64 k = 0; k < edges; k++) degree[source[k]]++, degree[target[k]]++;
}

/* Writes both directions of each edge behind cursor (nodes), which moves on. */
EXPORT void place_ends(i64 edges, const i64 *source, const i64 *target, i64 *cursor, i32 *indices) {
    for (i64 k = 0; k < edges; k++) {
        indices[cursor[source[k]]++] = (i32)target[k];
        indices[cursor[target[k]]++] = (i32)source[k];
    }
}

static int by_number(const void *a, const void *b) {
    i32 x = *(const i32 *)a, y = *(const i32 *)b;
    return (x > y) - (x < y);
}

/* Sorts each row, drops duplicates and self-loops, and moves the rows together in place. indptr is rewritten; returns
 * the number of entries left. Rows are sorted in parallel. */
EXPORT i64 tidy_rows(int threads, i64 nodes, i64 *indptr, i32 *indices) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1024)
    for (i64 i = 0; i < nodes; i++) qsort(indices + indptr[i], indptr[i + 1] - indptr[i], sizeof(i32), by_number);
    i64 at = 0, from = indptr[0];
    for (i64 i = 0; i < nodes; i++) {
        i64 to = indptr[i + 1], begin = at;
        for (i64 e = from; e < to; e++)
            if (indices[e] != (i32)i && (at == begin || indices[at - 1] != indices[e])) indices[at++] = indices[e];
        from = to;
        indptr[i + 1] = at;
    }
    return at;
}
