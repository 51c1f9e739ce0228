/* policy.h: which rank a task, a lease or an actor goes to. Policies are tables of functions, chosen by name.
 *
 *   hybrid   Ray's default. Ranks that are dead or lack the resources are dropped. Score = share of CPUs granted, taken as 0 below one
 *            half, so that work is packed up to half a rank and spread from there on. Available before busy, low score before
 *            high, near before far (own rank, own node, elsewhere), low rank before high. The preferred rank if its score is not above
 *            the least; else one of the first max(1, ranks / 5), at random. Work that needs no GPU avoids ranks that have one.
 *   spread   Round robin over the ranks that have it available, then over those that could ever run it.
 *
 * After Ray, src/ray/raylet/scheduling/policy/{hybrid,spread}_scheduling_policy.cc. O(ranks) a pick. */
#ifndef MRAY_SCHED_POLICY_H
#define MRAY_SCHED_POLICY_H

#include "node_table.h"
#include "rng.h"

#define SCHED_NONE (-1)       /* nobody now: every feasible rank is skipped */
#define SCHED_INFEASIBLE (-2) /* nobody ever, as the table is */

typedef struct {
    node_shape_t shape;
    int preferred;       /* rank that submits, or has most of the arguments; -1: none */
    const uint8_t *skip; /* by rank: not this one; NULL: all may */
} sched_request_t;

typedef struct {
    base_rng_t rng;
    unsigned turn; /* spread: where the last round ended */
} sched_state_t;

typedef struct sched_policy_ops {
    const char *name;
    /* rows: n of them, by rank. A rank, SCHED_NONE or SCHED_INFEASIBLE. */
    int (*pick)(sched_state_t *state, const node_row_t *rows, int n, const sched_request_t *request);
} sched_policy_ops_t;

extern const sched_policy_ops_t sched_policy_hybrid, sched_policy_spread;
/* NULL if there is none of that name. */
const sched_policy_ops_t *sched_policy_find(const char *name);

/* 0 own rank, 1 own node, 2 elsewhere. */
int sched_distance(const node_row_t *rows, int a, int b);

#endif
