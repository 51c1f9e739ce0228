/* lease_row.c: leases by rank. */
#include "lease_row.h"

#include "array.h"

#include <stdlib.h>

enum { SCAN_BELOW = 80 }; /* leases of a row, more than most machines have cores; more are found by the map, and fewer than half as many by looking at each again */

static base_key_t rank_key(const lease_row_t *row, int rank)
{
    return base_key128(row->id, (uint32_t)rank);
}

int lease_row_entry(const lease_row_t *row, const base_map_t *by_rank, int rank)
{
    uint64_t entry;
    if (row->mapped) return base_map_get(by_rank, rank_key(row, rank), &entry) ? (int)entry : -1;
    for (unsigned i = 0; i < row->n_leases; i++)
        if (row->leases[i].rank == rank) return (int)i;
    return -1;
}

/* Entry i may be found where it is now. */
static bool note_entry(const lease_row_t *row, base_map_t *by_rank, unsigned i)
{
    return !row->mapped || base_map_put(by_rank, rank_key(row, row->leases[i].rank), i) == MRAY_OK;
}

static void unmap_leases(lease_row_t *row, base_map_t *by_rank, unsigned n)
{
    for (unsigned i = 0; i < n; i++) (void)base_map_remove(by_rank, rank_key(row, row->leases[i].rank), NULL);
    row->mapped = false;
}

static bool map_leases(lease_row_t *row, base_map_t *by_rank)
{
    row->mapped = true;
    for (unsigned i = 0; i < row->n_leases; i++)
        if (!note_entry(row, by_rank, i)) {
            unmap_leases(row, by_rank, i);
            return false;
        }
    return true;
}

lease_t *lease_row_on(lease_row_t *row, base_map_t *by_rank, int rank)
{
    int entry = lease_row_entry(row, by_rank, rank);
    if (entry >= 0) return &row->leases[entry];
    lease_t *leases = base_array_room(row->leases, row->n_leases, &row->cap_leases, sizeof *leases);
    if (leases == NULL) return NULL;
    row->leases = leases;
    unsigned i = row->n_leases;
    if (i == SCAN_BELOW && !row->mapped && !map_leases(row, by_rank)) return NULL;
    leases[i] = (lease_t){.rank = rank};
    if (!note_entry(row, by_rank, i)) return NULL;
    row->n_leases++;
    if (rank != row->holder || i == 0) return &leases[i];
    leases[i] = leases[0]; /* the own one is given back last */
    leases[0] = (lease_t){.rank = rank};
    (void)note_entry(row, by_rank, i); /* replaced in place: needs no memory */
    (void)note_entry(row, by_rank, 0);
    return &leases[0];
}

void lease_row_drop_entry(lease_row_t *row, base_map_t *by_rank, unsigned entry)
{
    if (row->mapped) (void)base_map_remove(by_rank, rank_key(row, row->leases[entry].rank), NULL);
    unsigned last = --row->n_leases;
    if (entry != last) {
        row->leases[entry] = row->leases[last];
        (void)note_entry(row, by_rank, entry);
    }
    if (row->mapped && row->n_leases < SCAN_BELOW / 2) unmap_leases(row, by_rank, row->n_leases);
}

unsigned lease_row_worst(lease_row_t *row)
{
    return row->shape.strategy == NODE_STRATEGY_SPREAD ? row->turn++ % row->n_leases : row->n_leases - 1;
}

void lease_row_note_dirty(lease_row_t *row, int rank)
{
    if (row->whole || (row->n_dirty > 0 && row->dirty[row->n_dirty - 1] == rank)) return;
    int32_t *dirty = base_array_room(row->dirty, row->n_dirty, &row->cap_dirty, sizeof *dirty);
    if (dirty == NULL) {
        row->whole = true;
        return;
    }
    row->dirty = dirty;
    dirty[row->n_dirty++] = rank;
}

void lease_row_free(lease_row_t *row)
{
    if (row == NULL) return;
    free(row->leases);
    free(row->dirty);
    free(row);
}
