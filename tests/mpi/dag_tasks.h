/* dag_tasks.h: what the tasks of a random graph compute, as plain functions: the serial answer. The tasks themselves call the same
 * functions on what reached them. */
#ifndef MRAY_TEST_DAG_TASKS_H
#define MRAY_TEST_DAG_TASKS_H

#include "check.h"

enum { DAG_STATUS_MARK = 0x5eed, DAG_MAX_WIDTH = 4 };

static inline uint64_t dag_fold_words(const uint64_t *words, uint64_t n)
{
    uint64_t h = n;
    for (uint64_t i = 0; i < n; i++) h = (h ^ words[i]) * 0x100000001b3u;
    return check_mix(h, n);
}

static inline void dag_fill_words(uint64_t seed, uint64_t *words, uint64_t n)
{
    uint64_t x = seed;
    for (uint64_t i = 0; i < n; i++) words[i] = x = x * 6364136223846793005u + 1442695040888963407u;
}

static inline void dag_blend_words(const uint64_t *a, uint64_t n_a, const uint64_t *b, uint64_t n_b, uint64_t *out)
{
    uint64_t n = n_a > n_b ? n_a : n_b;
    for (uint64_t i = 0; i < n; i++) out[i] = (i < n_a ? a[i] * 3 : 0) + (i < n_b ? b[i] : 5);
}

/* A tree of nested tasks. */
static inline uint64_t dag_nest_value(uint64_t a, int depth, int width)
{
    if (depth == 0) return check_mix(a, 7);
    uint64_t acc = a;
    for (int i = 0; i < width; i++) acc = check_mix(acc, dag_nest_value(a + (uint64_t)i, depth - 1, width));
    return acc;
}

#include <mray/mray.h>

MRAY_TASK_DECLARE(uint64_t, dag_mix, uint64_t, a, uint64_t, b);
MRAY_TASK_DECLARE(uint64_t, dag_five, uint64_t, a, uint64_t, b, uint64_t, c, uint64_t, d, uint64_t, e);
MRAY_TASK_DECLARE(mray_array(uint64_t), dag_make, uint64_t, seed, uint64_t, n);
MRAY_TASK_DECLARE(uint64_t, dag_fold, mray_array(uint64_t), v);
MRAY_TASK_DECLARE(mray_array(uint64_t), dag_blend, mray_array(uint64_t), a, mray_array(uint64_t), b);
MRAY_TASK_DECLARE(uint64_t, dag_split, uint64_t, a, mray_array(uint64_t), v);
MRAY_TASK_DECLARE(uint64_t, dag_look, mray_ref, ref);
MRAY_TASK_DECLARE(uint64_t, dag_delegate, mray_ref, a, mray_ref, b, int, max_retries);
MRAY_TASK_DECLARE(uint64_t, dag_nest, uint64_t, a, int, depth, int, width, int, max_retries);
MRAY_TASK_DECLARE(uint64_t, dag_refuse, int, number);
MRAY_TASK_DECLARE(uint64_t, dag_tell, mray_actor, total, uint64_t, x);

/* The number of the refusal that an error sentence tells of, or -1. */
int dag_refusal_of(const char *sentence);

typedef struct {
    uint64_t state;
} dag_cell;
extern mray_actor_class dag_cell__mray_class;
extern mray_function dag_cell__step__mray, dag_cell__add__mray, dag_cell__read__mray;

#endif
