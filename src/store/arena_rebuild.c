/* arena_rebuild.c: the arena's metadata made anew from the live blocks, and checked in whole. Cold code, walks everything.
 *
 * Rebuilding trusts nothing but the constants of the header. It puts the live blocks under their old numbers, strings them together in
 * next_phys, sorts that list by offset (bottom-up merge sort of a list: no memory taken) and fills the gaps with free blocks. */
#include "arena_layout.h"

#include "error.h"

#include <assert.h>
#include <string.h>

/* Write the live blocks into their descriptors and string them together; all other descriptors below n_fresh become unused. */
static int place_live(arena_t *arena, const arena_live_t *live, size_t n_live, uint32_t *list_p)
{
    uint32_t n_fresh = 1;
    for (size_t i = 0; i < n_live; i++) {
        if (live[i].block == 0 || live[i].block >= arena->n_descs)
            return base_error(MRAY_ERR_INTERNAL, "a live block has the number %u, of %u", live[i].block, arena->n_descs);
        if (live[i].block >= n_fresh) n_fresh = live[i].block + 1;
    }
    for (uint32_t d = 1; d < n_fresh; d++) arena->descs[d].state = DESC_UNUSED;
    arena->s.n_fresh = n_fresh;

    uint64_t capacity = arena->n_units << UNIT_SHIFT;
    uint32_t list = 0;
    for (size_t i = 0; i < n_live; i++) {
        desc_t *block = &arena->descs[live[i].block];
        if (block->state == DESC_USED) return base_error(MRAY_ERR_INTERNAL, "two live blocks have the number %u", live[i].block);
        if (live[i].off % ARENA_ALIGN_BYTES != 0 || live[i].bytes > capacity || live[i].off > capacity - units_of(live[i].bytes) * ARENA_ALIGN_BYTES)
            return base_error(MRAY_ERR_INTERNAL, "live block %u, %llu bytes at offset %llu, is not in the object store", live[i].block,
                              (unsigned long long)live[i].bytes, (unsigned long long)live[i].off);
        *block = (desc_t){.start = live[i].off >> UNIT_SHIFT, .units = units_of(live[i].bytes), .state = DESC_USED, .next_phys = list};
        list = live[i].block;
    }
    *list_p = list;
    return MRAY_OK;
}

static uint32_t merge_lists(desc_t *descs, uint32_t a, uint32_t b)
{
    uint32_t head = 0, *tail = &head;
    while (a && b) {
        uint32_t *from = descs[a].start <= descs[b].start ? &a : &b;
        *tail = *from;
        tail = &descs[*from].next_phys;
        *from = *tail;
    }
    *tail = a ? a : b;
    return head;
}

static uint32_t sort_list(desc_t *descs, uint32_t list)
{
    uint32_t runs[32] = {0}; /* runs[i]: none, or a sorted list of 2^i blocks */
    while (list) {
        uint32_t run = list;
        list = descs[run].next_phys;
        descs[run].next_phys = 0;
        unsigned i = 0;
        for (; i < 31 && runs[i]; i++) {
            run = merge_lists(descs, runs[i], run);
            runs[i] = 0;
        }
        runs[i] = run;
    }
    uint32_t sorted = 0;
    for (unsigned i = 0; i < 32; i++) sorted = merge_lists(descs, runs[i], sorted);
    return sorted;
}

static int error_overlap(const arena_t *arena, uint32_t a, uint32_t b)
{
    return base_error(MRAY_ERR_INTERNAL, "live blocks %u and %u overlap at offset %llu", a, b,
                      (unsigned long long)(arena->descs[b].start << UNIT_SHIFT));
}

/* Hang block d behind block prev, 0 for none. */
static void link_phys(arena_t *arena, uint32_t prev, uint32_t d)
{
    arena->descs[d].prev_phys = prev;
    if (prev)
        arena->descs[prev].next_phys = d;
    else
        arena->s.first = d;
}

/* A free block behind prev over [from, to); returns the last block, which is prev where there is no gap. */
static uint32_t fill_gap(arena_t *arena, uint32_t prev, uint64_t from, uint64_t to)
{
    if (from == to) return prev;
    uint32_t d = desc_take(arena);
    arena->descs[d] = (desc_t){.start = from, .units = to - from, .state = DESC_FREE};
    link_phys(arena, prev, d);
    bin_insert(arena, d);
    return d;
}

static int chain_blocks(arena_t *arena, uint32_t sorted)
{
    uint32_t last = 0;
    uint64_t end = 0, used = 0;
    for (uint32_t d = sorted, next; d; d = next) {
        next = arena->descs[d].next_phys;
        if (arena->descs[d].start < end) return error_overlap(arena, last, d);
        last = fill_gap(arena, last, end, arena->descs[d].start);
        link_phys(arena, last, d);
        last = d;
        end = arena->descs[d].start + arena->descs[d].units;
        used += arena->descs[d].units;
    }
    last = fill_gap(arena, last, end, arena->n_units);
    arena->descs[last].next_phys = 0;
    arena->s.peak_units = used;
    atomic_store_explicit(&arena->s.used_units, used, memory_order_relaxed);
    return MRAY_OK;
}

int arena_rebuild(arena_t *arena, const arena_live_t *live, size_t n_live)
{
    atomic_store_explicit(&arena->dirty, ARENA_BROKEN, memory_order_relaxed);
    if (n_live > arena->max_blocks)
        return base_error(MRAY_ERR_INTERNAL, "%zu live blocks in an object store of %u", n_live, arena->max_blocks);
    memset(&arena->s, 0, sizeof arena->s);
    uint32_t list = 0;
    int rc = place_live(arena, live, n_live, &list);
    if (rc != MRAY_OK) return rc;
    arena->s.n_used = (uint32_t)n_live;
    for (uint32_t d = arena->s.n_fresh; d-- > 1;)
        if (arena->descs[d].state == DESC_UNUSED) desc_drop(arena, d);
    rc = chain_blocks(arena, sort_list(arena->descs, list));
    if (rc != MRAY_OK) return rc;
    atomic_store_explicit(&arena->dirty, ARENA_BUSY, memory_order_release);
    return MRAY_OK;
}

/* ---- selfcheck ---- */

typedef struct {
    uint64_t used_units;
    uint32_t n_used, n_free;
} walk_t;

static int error_check(const char *what, uint32_t d)
{
    return base_error(MRAY_ERR_INTERNAL, "object store: %s, at block %u", what, d);
}

static bool is_desc(const arena_t *arena, uint32_t d)
{
    return d != 0 && d < arena->s.n_fresh;
}

static int check_chain(const arena_t *arena, walk_t *walk)
{
    uint64_t end = 0;
    uint32_t prev = 0;
    for (uint32_t d = arena->s.first; d; prev = d, d = arena->descs[d].next_phys) {
        if (!is_desc(arena, d)) return error_check("a link leads out of the table", d);
        const desc_t *block = &arena->descs[d];
        if (block->prev_phys != prev) return error_check("the links to the neighbours disagree", d);
        /* Starts grow by at least one each step, so a cycle ends here too. */
        if (block->start != end || block->units == 0 || block->units > arena->n_units - end) return error_check("a gap or an overlap", d);
        if (block->state != DESC_FREE && block->state != DESC_USED) return error_check("a block is neither free nor used", d);
        if (block->state == DESC_FREE && prev && arena->descs[prev].state == DESC_FREE) return error_check("two free neighbours", d);
        end += block->units;
        walk->n_used += block->state == DESC_USED;
        walk->n_free += block->state == DESC_FREE;
        if (block->state == DESC_USED) walk->used_units += block->units;
    }
    if (end != arena->n_units) return error_check("the blocks do not reach the end", prev);
    return MRAY_OK;
}

static int check_bin(const arena_t *arena, bin_t bin, uint32_t *n_listed)
{
    uint32_t prev = 0;
    for (uint32_t d = arena->s.bins[bin.row][bin.col]; d; prev = d, d = arena->descs[d].next_free) {
        if (!is_desc(arena, d)) return error_check("a bin leads out of the table", d);
        const desc_t *block = &arena->descs[d];
        bin_t right = bin_of(block->units);
        if (block->state != DESC_FREE) return error_check("a bin holds a block that is not free", d);
        if (right.row != bin.row || right.col != bin.col) return error_check("a free block is in the bin of another size", d);
        if (block->prev_free != prev) return error_check("the links of a bin disagree", d);
        if (++*n_listed > arena->n_descs) return error_check("a bin has no end", d);
    }
    return MRAY_OK;
}

static int check_bins(const arena_t *arena, const walk_t *walk)
{
    uint32_t n_listed = 0;
    for (unsigned row = 0; row < N_ROWS; row++) {
        if ((arena->s.row_map >> row & 1) != (arena->s.col_map[row] != 0)) return error_check("the bitmap of rows is wrong", row);
        for (unsigned col = 0; col < N_COLS; col++) {
            if ((arena->s.col_map[row] >> col & 1) != (arena->s.bins[row][col] != 0)) return error_check("the bitmap of bins is wrong", arena->s.bins[row][col]);
            int rc = check_bin(arena, (bin_t){row, col}, &n_listed);
            if (rc != MRAY_OK) return rc;
        }
    }
    if (n_listed != walk->n_free) return error_check("free blocks are missing in the bins", n_listed);
    return MRAY_OK;
}

static int check_unused(const arena_t *arena, const walk_t *walk)
{
    uint32_t n_unused = 0;
    for (uint32_t d = arena->s.desc_free; d; d = arena->descs[d].next_free) {
        if (!is_desc(arena, d)) return error_check("the list of unused descriptors leads out of the table", d);
        if (arena->descs[d].state != DESC_UNUSED) return error_check("the list of unused descriptors holds a used one", d);
        if (++n_unused >= arena->s.n_fresh) return error_check("the list of unused descriptors has no end", d);
    }
    if ((uint64_t)n_unused + walk->n_free + walk->n_used + 1 != arena->s.n_fresh) return error_check("descriptors are lost", arena->s.n_fresh);
    return MRAY_OK;
}

int arena_selfcheck_locked(const arena_t *arena)
{
    if (arena->s.n_fresh == 0 || arena->s.n_fresh > arena->n_descs) return error_check("the count of descriptors is wrong", arena->s.n_fresh);
    walk_t walk = {0};
    int rc = check_chain(arena, &walk);
    if (rc == MRAY_OK) rc = check_bins(arena, &walk);
    if (rc == MRAY_OK) rc = check_unused(arena, &walk);
    if (rc != MRAY_OK) return rc;
    if (walk.n_used != arena->s.n_used || walk.n_used > arena->max_blocks) return error_check("the count of blocks is wrong", arena->s.n_used);
    if (walk.used_units << UNIT_SHIFT != arena_used_bytes(arena)) return error_check("the count of bytes is wrong", 0);
    if (walk.used_units > arena->s.peak_units || arena->s.peak_units > arena->n_units) return error_check("the peak is wrong", 0);
    return MRAY_OK;
}

int arena_selfcheck(arena_t *arena, uint32_t holder)
{
    arena_lock(arena, holder);
    int rc = arena_selfcheck_locked(arena);
    arena_unlock(arena, holder);
    return rc;
}
