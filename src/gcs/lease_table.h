/* lease_table.h: who has what of which shape where, at rank 0.
 *
 * A row is one holder (a rank whose endpoints submit) and one shape: how many slots it wants, and what it was granted on which rank. A
 * slot stands for one task of the shape at a time. settle() gives every row its fair share:
 *
 *   capacity of the shape = sum over living ranks of the tasks each can run at a time
 *   share of a row        = max-min fair: nobody gets more than it wants, and what one leaves the others divide evenly
 *   more rows than slots  = one slot each, shared: two rows then have the same slot, and the worker's run queue is fair to both
 *
 * It moves a slot at a time: a free one to the row that has least of those that want more; when none is free, one of the row that has
 * most, while it has two more than the one that has least. So a slot costs O(log ranks + log different shares), wherever it comes from, and an ask
 * costs as much as the slots that change hands. Which rank, the policy says (of sched/; lease_pool.h). Rows of the same amounts share capacity,
 * whatever their strategy.
 *
 * A row whose grants changed is told what changed, and one that asked is answered; nothing else is said.
 *
 * A row has a serial number that its holder chose when it asked first: a grant that crosses with a return is recognised by it.
 *
 * Private memory of rank 0's agent, under its lock. */
#ifndef MRAY_GCS_LEASE_TABLE_H
#define MRAY_GCS_LEASE_TABLE_H

#include "lease_pool.h"
#include "lease_row.h"

typedef struct lease_table lease_table_t;

/* What a row's holder is to hear: slots of those ranks are now so many (0: none); whole: and of no others. Called by settle(). The
 * table may be asked for more meanwhile, but not settled; row lives until the call returns unless it is returned. */
typedef void (*lease_tell_fn)(void *ctx, const lease_row_t *row, const lease_t *changes, unsigned n_changes, bool whole);

/* Errors: OUT_OF_MEMORY. */
int lease_table_create(node_table_t *nodes, const lease_policy_t *policy, lease_table_t **table_p);
void lease_table_destroy(lease_table_t *table);

/* holder wants that many slots (at least 1); replaces what it wanted before. Errors: OUT_OF_MEMORY. */
int lease_table_ask(lease_table_t *table, int holder, const node_shape_t *shape, uint32_t wanted, uint32_t serial);
/* All of the row comes back. A row of another serial number stays. */
void lease_table_return(lease_table_t *table, int holder, const node_shape_t *shape, uint32_t serial);
/* The rank is lost: its rows go, and grants on it. */
void lease_table_drop_rank(lease_table_t *table, int rank);

/* Shares anew; tells rows that changed. Errors: OUT_OF_MEMORY (what was granted is consistent, and told). */
int lease_table_settle(lease_table_t *table, lease_tell_fn tell, void *tell_ctx);

unsigned lease_table_count(const lease_table_t *table);
const lease_row_t *lease_table_find(const lease_table_t *table, int holder, const node_shape_t *shape);
/* Slots of rank that the row has. */
uint32_t lease_table_slots(const lease_table_t *table, const lease_row_t *row, int rank);
/* Check that the node table's used amounts are what the rows say, and that shares are fair. Errors: INTERNAL with a sentence. */
int lease_table_selfcheck(const lease_table_t *table);
/* Bytes of memory that the table takes. */
size_t lease_table_bytes(const lease_table_t *table);

#endif
