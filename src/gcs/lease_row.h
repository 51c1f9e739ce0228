/* lease_row.h: what one holder has of one shape: its leases by rank, and what it was not told yet. A part of the lease table.
 *
 * Leases stand in an array. One is found by looking at each, or, in rows with many, by a map that all rows share. */
#ifndef MRAY_GCS_LEASE_ROW_H
#define MRAY_GCS_LEASE_ROW_H

#include "map.h"
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
    lease_t *leases;   /* in the order in which ranks were added, the holder's own first */
    unsigned n_leases;
    /* The table's own. */
    unsigned cap_leases, turn;
    bool mapped; /* its leases are in the table's map */
    uint32_t id;
    struct lease_group *group;
    int32_t *dirty; /* ranks whose slots its holder does not know yet */
    unsigned n_dirty, cap_dirty;
    bool whole;         /* its holder is to forget what it was told before */
    uint32_t changed_at; /* place + 1 among those to be told; 0: none */
    uint32_t shared_at;  /* place + 1 among those whose one slot was another's already; 0: none */
} lease_row_t;

/* Entry of row->leases for that rank; -1: none. */
int lease_row_entry(const lease_row_t *row, const base_map_t *by_rank, int rank);
/* The lease on that rank, made if need be; the caller adds slots. NULL without memory. */
lease_t *lease_row_on(lease_row_t *row, base_map_t *by_rank, int rank);
void lease_row_drop_entry(lease_row_t *row, base_map_t *by_rank, unsigned entry);
/* The entry of which a slot goes back: of those packed by the policy the last, and the own one last of all; of those spread each in turn. */
unsigned lease_row_worst(lease_row_t *row);
/* The holder is to hear of rank. Without memory it hears all of the row. */
void lease_row_note_dirty(lease_row_t *row, int rank);
/* NULL is fine. The row has no leases, or the map goes as well. */
void lease_row_free(lease_row_t *row);

#endif
