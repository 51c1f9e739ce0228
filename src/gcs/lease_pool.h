/* lease_pool.h: the slots of one kind in the whole job: how many each rank has, how many are granted, and the ranks in the order in
 * which a policy wants them. The part of the lease table that knows ranks, not holders.
 *
 *   key of a rank = load << 32 | what the policy says of it        load: 0 while a slot is free, else granted / slots
 *
 * Ranks with a free slot are picked first; where there is none, those whose slots the fewest share. Two orders for each strategy that was asked
 * for: of ranks with a free slot, which are few where slots are sought, and of full ones, made when a slot is first shared. Orders follow the
 * node table by its numbered changes, when they are next used: O(log n) a change. */
#ifndef MRAY_GCS_LEASE_POOL_H
#define MRAY_GCS_LEASE_POOL_H

#include "node_table.h"
#include "order.h"

enum { LEASE_LOAD_SHIFT = 32 };

/* The policies of sched/, as gcs/ calls them. */
typedef struct {
    /* Place of a living rank that has what the shape takes: the less the better. */
    uint32_t (*key)(void *ctx, const node_row_t *row, const node_shape_t *shape);
    /* The rank for one more slot of shape for holder. In the order are ranks with a free slot, or, if there is none, all that have slots. -1: none. */
    int (*pick)(void *ctx, const node_shape_t *shape, int holder, const base_order_t *ranks);
    void *ctx;
} lease_policy_t;

typedef struct {
    node_table_t *nodes;
    lease_policy_t policy;
    node_shape_t shape;     /* of the default strategy */
    uint32_t *slots, *used; /* by rank: has, granted */
    uint64_t capacity;      /* sum of slots */
    uint64_t n_free, n_over; /* slots not granted; granted beyond what there is */
    uint64_t seen;          /* changes of the node table that are in the orders */
    base_order_t orders[NODE_STRATEGIES][2]; /* [0] of ranks with a free slot, [1] of full ones */
    bool has_order[NODE_STRATEGIES][2];
} lease_pool_t;

/* Errors: OUT_OF_MEMORY. */
int lease_pool_create(node_table_t *nodes, const lease_policy_t *policy, const node_shape_t *shape, lease_pool_t **pool_p);
void lease_pool_destroy(lease_pool_t *pool);
/* Catch up with the node table. True: the capacity is another one. */
bool lease_pool_refresh(lease_pool_t *pool);
/* A rank for one more slot by that strategy; -1: there is none. Errors: OUT_OF_MEMORY as -2. */
int lease_pool_pick(lease_pool_t *pool, const node_shape_t *shape, int holder);
/* One slot of rank is granted, or comes back. */
void lease_pool_take(lease_pool_t *pool, int rank);
void lease_pool_give(lease_pool_t *pool, int rank);
/* Check sums and orders. Errors: INTERNAL. */
int lease_pool_selfcheck(lease_pool_t *pool);
size_t lease_pool_bytes(const lease_pool_t *pool);

#endif
