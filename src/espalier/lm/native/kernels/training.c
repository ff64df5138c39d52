/* Forward and backward passes of the decoder's layers, fp32. Shapes stand at each function. */
#include "attention.h"
#include "pointwise.h"

#ifdef _OPENMP
#define THREAD omp_get_thread_num()
#else
#define THREAD 0
#endif

EXPORT i64 lanes(void) { return LANES; }
EXPORT i64 step(void) { return STEP; }
EXPORT i64 block(void) { return BLOCK; }
EXPORT i64 attention_floats(const Plan *plan, int threads) { return threads * room_floats(plan); }

/* out [tokens, heads, dim] from q like it and k, v [tokens, kv_heads, dim]; sums [tokens, heads]: the log of the sum of
 * exponentials of each query; memory: `attention_floats`. */
EXPORT void attention(int threads, const Plan *plan, const float *q, const float *k, const float *v, float *memory, float *out,
                      float *sums) {
#pragma omp parallel for num_threads(threads) schedule(dynamic)
    for (i64 task = 0; task < plan->sets * plan->kv_heads; task++) {
        i64 set = task / plan->kv_heads, h = task % plan->kv_heads;
        Room room = room_of(plan, memory + THREAD * room_floats(plan));
        for (i64 row = plan->set[set]; row < plan->set[set + 1]; row++) forward_row(plan, row, h, q, k, v, room, out, sums);
    }
}

/* Gradients by_q, by_k, by_v (the latter two begin at zero) from `grad`, that of `out`. */
EXPORT void attention_backward(int threads, const Plan *plan, const float *q, const float *k, const float *v, const float *out,
                               const float *sums, const float *grad, float *memory, float *by_q, float *by_k, float *by_v) {
#pragma omp parallel for num_threads(threads) schedule(dynamic)
    for (i64 task = 0; task < plan->sets * plan->kv_heads; task++) {
        i64 set = task / plan->kv_heads, h = task % plan->kv_heads;
        Room room = room_of(plan, memory + THREAD * room_floats(plan));
        for (i64 row = plan->set[set]; row < plan->set[set + 1]; row++)
            backward_row(plan, row, h, q, k, v, out, sums, grad, room, by_q, by_k, by_v);
    }
}
