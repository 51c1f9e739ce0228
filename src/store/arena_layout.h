/* arena_layout.h: the arena's metadata as they lie in shared memory, and the steps on them that arena.c and arena_rebuild.c share.
 *
 *      | constants | lock, dirty | state: counts, bitmaps, bins | descriptors, 32 bytes each          |
 *      0           64            128                            ...  [0] unused [1] [2] ... [n_descs)
 *
 * Invariants outside of a critical section:
 *  - the blocks from `first` along `next_phys` cover [0, n_units) without gap or overlap; `prev_phys` is the inverse
 *  - no two neighbours are both free; each free block is in the bin of its size, no used one is
 *  - a bitmap's bit is set exactly if its bin (second level) or its row of bins (first level) is not empty
 *  - a descriptor below n_fresh is in the chain of blocks or, UNUSED, in the list of desc_free; those from n_fresh on were never used.
 * Number 0 is "none" in all links. Everything is in units of 64 bytes. All fields are guarded by the lock, `used_units` is
 * read without it too. */
#ifndef MRAY_STORE_ARENA_LAYOUT_H
#define MRAY_STORE_ARENA_LAYOUT_H

#include "arena.h"
#include "holderlock.h"

#include <stdatomic.h>

enum { UNIT_SHIFT = 6, N_ROWS = 32, N_COLS = 32, COL_SHIFT = 5 };
enum { DESC_UNUSED, DESC_FREE, DESC_USED };
enum { ARENA_CLEAN, ARENA_BUSY, ARENA_BROKEN };

_Static_assert(ARENA_ALIGN_BYTES == 1u << UNIT_SHIFT, "one unit is the alignment");

/*   0        8                14      16          20          24          28          32
 *   +--------+----------------+-------+-----------+-----------+-----------+-----------+
 *   | start  | units          | state | prev_phys | next_phys | prev_free | next_free |
 *   +--------+----------------+-------+-----------+-----------+-----------+-----------+   */
typedef struct {
    uint64_t start;
    uint64_t units : 48;
    uint64_t state : 16;
    uint32_t prev_phys, next_phys;
    uint32_t prev_free, next_free; /* next_free also links unused descriptors */
} desc_t;

_Static_assert(sizeof(desc_t) == 32, "two descriptors a cache line");

typedef struct {
    _Atomic uint64_t used_units;
    uint64_t peak_units;
    uint32_t n_used;    /* allocated blocks */
    uint32_t n_fresh;   /* descriptors below were handed out before */
    uint32_t desc_free; /* list of unused descriptors, last freed first */
    uint32_t first;     /* the block at offset 0 */
    uint32_t row_map;
    uint32_t col_map[N_ROWS];
    uint32_t bins[N_ROWS][N_COLS]; /* lists of free blocks, last freed first */
} arena_state_t;

struct arena {
    _Alignas(64) uint64_t n_units; /* constants after init */
    uint32_t max_blocks;
    uint32_t n_descs;
    _Alignas(64) holderlock_t lock;
    _Atomic uint32_t dirty;
    _Alignas(64) arena_state_t s;
    _Alignas(64) desc_t descs[];
};

typedef struct {
    unsigned row, col;
} bin_t;

/* The bin of a block: row 0 holds 1..31 units exactly, row r > 0 the sizes from 2^(r+4) on, in 32 equal steps. */
static inline bin_t bin_of(uint64_t units)
{
    if (units < N_COLS) return (bin_t){0, (unsigned)units};
    unsigned log2 = 63u - (unsigned)__builtin_clzll(units);
    return (bin_t){log2 - COL_SHIFT + 1, (unsigned)(units >> (log2 - COL_SHIFT)) & (N_COLS - 1)};
}

static inline void bin_insert(arena_t *arena, uint32_t d)
{
    bin_t bin = bin_of(arena->descs[d].units);
    uint32_t *head = &arena->s.bins[bin.row][bin.col];
    arena->descs[d].prev_free = 0;
    arena->descs[d].next_free = *head;
    if (*head) arena->descs[*head].prev_free = d;
    *head = d;
    arena->s.col_map[bin.row] |= 1u << bin.col;
    arena->s.row_map |= 1u << bin.row;
}

static inline void bin_remove(arena_t *arena, uint32_t d)
{
    uint32_t prev = arena->descs[d].prev_free, next = arena->descs[d].next_free;
    if (next) arena->descs[next].prev_free = prev;
    if (prev) {
        arena->descs[prev].next_free = next;
        return;
    }
    bin_t bin = bin_of(arena->descs[d].units);
    arena->s.bins[bin.row][bin.col] = next;
    if (next) return;
    arena->s.col_map[bin.row] &= ~(1u << bin.col);
    if (arena->s.col_map[bin.row] == 0) arena->s.row_map &= ~(1u << bin.row);
}

/* A descriptor to use. There is one: n_descs allows for max_blocks used blocks and a free one on each side of each. */
static inline uint32_t desc_take(arena_t *arena)
{
    uint32_t d = arena->s.desc_free;
    if (d)
        arena->s.desc_free = arena->descs[d].next_free;
    else
        d = arena->s.n_fresh++;
    return d;
}

static inline void desc_drop(arena_t *arena, uint32_t d)
{
    arena->descs[d].state = DESC_UNUSED;
    arena->descs[d].next_free = arena->s.desc_free;
    arena->s.desc_free = d;
}

static inline uint64_t units_of(uint64_t bytes)
{
    return bytes == 0 ? 1 : (bytes + ARENA_ALIGN_BYTES - 1) >> UNIT_SHIFT;
}

#endif
