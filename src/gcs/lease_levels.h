/* lease_levels.h: rows in order of a key that many of them share: a stack of rows a key. A part of the lease table.
 *
 *   order of levels   key 0 | key 7 | key 8 | ...        as many as keys are in use: base/order.h
 *   level             top -> row -> row                  linked through places, by row id
 *
 * Where slots are scarce all rows have nearly as many as each other: then levels are few, however many the rows, and a row moves in the time
 * of a look at a handful of them. Which of a level's rows is its top: the one that came last.
 *
 * Not for several threads at once: rank 0's agent's lock. */
#ifndef MRAY_GCS_LEASE_LEVELS_H
#define MRAY_GCS_LEASE_LEVELS_H

#include "order.h"

#include <stddef.h>

enum { LEASE_NO_ROW = UINT32_MAX };

typedef struct {
    uint32_t level;        /* + 1; 0: the row is in none */
    uint32_t above, below; /* row id + 1; 0: none */
} lease_place_t;

typedef struct {
    base_order_t order;    /* of levels that have rows */
    lease_place_t *places; /* by row id */
    uint32_t *tops;        /* by level: row id + 1; of one without rows the next such, + 1 */
    uint32_t capacity, n_levels, free_level;
} lease_levels_t; /* {0} is an empty one */

void lease_levels_fini(lease_levels_t *levels);
/* Room for row ids below n; lease_levels_set() does not allocate then. Errors: OUT_OF_MEMORY. */
MRAY_CHECK_RESULT int lease_levels_reserve(lease_levels_t *levels, uint32_t n);

/* Put a row in, or move it. */
void lease_levels_set(lease_levels_t *levels, uint32_t id, uint64_t key);
/* Nothing if it is not there. */
void lease_levels_remove(lease_levels_t *levels, uint32_t id);

/* The row is there, with that key. */
bool lease_levels_has(const lease_levels_t *levels, uint32_t id, uint64_t key);
/* A row of the least key, or of the greatest, below that key; LEASE_NO_ROW: there is none. */
uint32_t lease_levels_least(const lease_levels_t *levels, uint64_t below);
uint32_t lease_levels_greatest(const lease_levels_t *levels, uint64_t below);

/* Errors: INTERNAL with a sentence. */
MRAY_CHECK_RESULT int lease_levels_selfcheck(const lease_levels_t *levels);
size_t lease_levels_bytes(const lease_levels_t *levels);

#endif
