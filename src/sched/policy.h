/* policy.h: which rank a task, a lease or an actor goes to. Policies are tables of functions, chosen by name.
 *
 *   hybrid   Ray's default. Ranks that are dead or lack the resources are dropped. Score = share of CPUs granted, taken as 0 below one
 *            half, so that work is packed up to half a rank and spread from there on. Available before busy, low score before
 *            high, near before far (own rank, own node, elsewhere), low rank before high. The preferred rank if its score is not above
 *            the least; else one of the first max(1, ranks / 5), at random. Work that needs no GPU avoids ranks that have one.
 *   spread   Round robin over the ranks that have it available, then over those that could ever run it.
 *
 * After Ray, src/ray/raylet/scheduling/policy/{hybrid,spread}_scheduling_policy.cc.
 *
 * A policy has two halves, so that a choice costs O(log ranks) and not a look at each: key() says of one rank what does not depend on who
 * asks; ranks are kept in the order of that (gcs/lease_pool.c), and pick() chooses from the order for one asker.
 *
 *   key = class (4 bits) | score (28 bits)      ranks of a later class are taken only where there is none of an earlier one
 *
 * The order's own keys may have more above these 32 bits (a load): it counts before the class. */
#ifndef MRAY_SCHED_POLICY_H
#define MRAY_SCHED_POLICY_H

#include "node_table.h"
#include "order.h"
#include "rng.h"

#define SCHED_NONE (-1)       /* nobody now */
#define SCHED_INFEASIBLE (-2) /* nobody ever, as the table is */

enum { SCHED_CLASS_SHIFT = 28 };

typedef struct {
    base_rng_t rng;
    unsigned turn; /* spread: where the last round ended */
} sched_state_t;

typedef struct sched_policy_ops {
    const char *name;
    /* Of a rank that has what the shape takes. */
    uint32_t (*key)(const node_row_t *row, const node_shape_t *shape);
    /* ranks: those that have what the shape takes, by key. preferred: the rank that submits, or has most of the arguments; -1: none.
     * A rank, or SCHED_INFEASIBLE. */
    int (*pick)(sched_state_t *state, const node_table_t *nodes, const base_order_t *ranks, int preferred);
} sched_policy_ops_t;

extern const sched_policy_ops_t sched_policy_hybrid, sched_policy_spread;
/* NULL if there is none of that name. */
const sched_policy_ops_t *sched_policy_find(const char *name);
/* The policy of a shape's strategy. */
const sched_policy_ops_t *sched_policy_of(uint32_t strategy);

/* 0 own rank, 1 own node, 2 elsewhere. */
int sched_distance(const node_row_t *rows, int a, int b);

#endif
