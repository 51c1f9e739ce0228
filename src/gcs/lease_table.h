/* lease_table.h: who has what of which shape where, at rank 0.
 *
 * A row is one holder (a rank whose endpoints submit) and one shape: how many slots it wants, and what it was granted on which rank. A
 * slot stands for one task of the shape at a time. settle() gives every row its fair share:
 *
 *   capacity of the shape = sum over living ranks of the tasks each can run at a time
 *   share of a row        = max-min fair: nobody gets more than it wants, and what one leaves the others divide evenly
 *   more rows than slots  = one slot each, shared: two rows then have the same slot, and the worker's run queue is fair to both
 *
 * Rows over their share give back first, then rows under it are filled slot by slot; which rank, the pick function says (a policy of
 * sched/). A row whose grants changed, or that asked, is told. Nothing else is said, so the messages are as few as the changes.
 *
 * A row has a serial number that its holder chose when it asked first: a grant that crosses with a return is recognised by it.
 *
 * Private memory of rank 0's agent, under its lock. */
#ifndef MRAY_GCS_LEASE_TABLE_H
#define MRAY_GCS_LEASE_TABLE_H

#include "node_table.h"

typedef struct {
    int32_t rank;
    uint32_t slots;
} lease_t;

typedef struct {
    int32_t holder;
    uint32_t serial, wanted, granted;
    node_shape_t shape;
    uint32_t capacity; /* of the shape in the whole job; 0: no rank has what it takes */
    lease_t *leases;
    unsigned n_leases, cap_leases;
    uint32_t target;
    bool changed;
} lease_row_t;

typedef struct lease_table lease_table_t;

/* One slot of shape for holder: a rank whose skip is 0, or -1. */
typedef int (*lease_pick_fn)(void *ctx, const node_shape_t *shape, int holder, const uint8_t *skip);
typedef void (*lease_tell_fn)(void *ctx, const lease_row_t *row);

/* Errors: OUT_OF_MEMORY. */
int lease_table_create(node_table_t *nodes, lease_table_t **table_p);
void lease_table_destroy(lease_table_t *table);

/* holder wants that many slots (at least 1); replaces what it wanted before. Errors: OUT_OF_MEMORY. */
int lease_table_ask(lease_table_t *table, int holder, const node_shape_t *shape, uint32_t wanted, uint32_t serial);
/* All of the row comes back. A row of another serial number stays. */
void lease_table_return(lease_table_t *table, int holder, const node_shape_t *shape, uint32_t serial);
/* The rank is lost: its rows go, and grants on it. */
void lease_table_drop_rank(lease_table_t *table, int rank);

/* Shares anew; tells rows that changed. Errors: OUT_OF_MEMORY (what was granted is consistent, and told). */
int lease_table_settle(lease_table_t *table, lease_pick_fn pick, void *pick_ctx, lease_tell_fn tell, void *tell_ctx);

unsigned lease_table_count(const lease_table_t *table);
const lease_row_t *lease_table_find(const lease_table_t *table, int holder, const node_shape_t *shape);
/* Check that the node table's used amounts are what the rows say. Errors: INTERNAL with a sentence. */
int lease_table_selfcheck(const lease_table_t *table);

#endif
