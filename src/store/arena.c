/* arena.c: lock, allocation and freeing. See arena.h for the algorithm, arena_layout.h for the invariants.
 *
 * "dirty" needs no memory barrier: it is read after a death, by who learnt of it from the kernel. A process is killed between
 * two instructions, all before it done and none after it, so only the compiler must keep the order, by signal fences. */
#include "arena_layout.h"

#include "error.h"

#include <assert.h>
#include <string.h>

/* So many blocks of one bin are looked at in a search that would fail otherwise. */
enum { N_SCAN = 64 };

static uint32_t dirty_load(const arena_t *arena)
{
    return atomic_load_explicit(&arena->dirty, memory_order_relaxed);
}

static void dirty_store(arena_t *arena, uint32_t dirty)
{
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&arena->dirty, dirty, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
}

static uint32_t desc_count(uint32_t max_blocks)
{
    return 2 * max_blocks + 2;
}

size_t arena_metadata_bytes(uint64_t capacity, uint32_t max_blocks)
{
    (void)capacity; /* the bins are there for the largest capacity */
    return sizeof(arena_t) + (size_t)desc_count(max_blocks) * sizeof(desc_t);
}

int arena_init(arena_t *arena, uint64_t capacity, uint32_t max_blocks)
{
    if (capacity < ARENA_ALIGN_BYTES || capacity > ARENA_CAPACITY_MAX)
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "an object store of %llu bytes: it can have 64 bytes to 1 TiB", (unsigned long long)capacity);
    if (max_blocks == 0 || max_blocks > ARENA_BLOCKS_MAX)
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "an object store of %u blocks: it can have 1 to %u", max_blocks, ARENA_BLOCKS_MAX);
    assert((uintptr_t)arena % 64 == 0);
    arena->n_units = capacity >> UNIT_SHIFT;
    arena->max_blocks = max_blocks;
    arena->n_descs = desc_count(max_blocks);
    holderlock_init(&arena->lock);
    atomic_init(&arena->dirty, ARENA_CLEAN);
    int rc = arena_rebuild(arena, NULL, 0);
    dirty_store(arena, ARENA_CLEAN);
    return rc;
}

void arena_lock(arena_t *arena, uint32_t holder)
{
    holderlock_acquire(&arena->lock, holder);
    dirty_store(arena, dirty_load(arena) == ARENA_CLEAN ? ARENA_BUSY : ARENA_BROKEN);
}

void arena_unlock(arena_t *arena, uint32_t holder)
{
    if (dirty_load(arena) == ARENA_BUSY) dirty_store(arena, ARENA_CLEAN);
    holderlock_release(&arena->lock, holder);
}

uint32_t arena_holder(const arena_t *arena)
{
    return holderlock_holder(&arena->lock);
}

bool arena_break(arena_t *arena, uint32_t dead_holder, uint32_t new_holder)
{
    if (!holderlock_break(&arena->lock, dead_holder, new_holder)) return false;
    dirty_store(arena, dirty_load(arena) == ARENA_CLEAN ? ARENA_BUSY : ARENA_BROKEN);
    return true;
}

bool arena_needs_rebuild(const arena_t *arena)
{
    return dirty_load(arena) == ARENA_BROKEN;
}

static int error_broken(void)
{
    return base_error(MRAY_ERR_INTERNAL, "the object store's block table was left half changed by a dead process and is not rebuilt");
}

/* A block of the bin that is large enough, among its first N_SCAN; 0 for none. */
static uint32_t scan_bin(const arena_t *arena, bin_t bin, uint64_t units)
{
    uint32_t d = arena->s.bins[bin.row][bin.col];
    for (int i = 0; d && i < N_SCAN; i++, d = arena->descs[d].next_free)
        if (arena->descs[d].units >= units) return d;
    return 0;
}

/* The first block of a bin whose blocks are all large enough; 0 for none. */
static uint32_t find_above(const arena_t *arena, uint64_t units)
{
    if (units >= N_COLS) units += (UINT64_C(1) << (63 - __builtin_clzll(units) - COL_SHIFT)) - 1;
    bin_t bin = bin_of(units);
    uint32_t cols = arena->s.col_map[bin.row] & (~0u << bin.col);
    if (!cols) {
        uint32_t rows = bin.row + 1 < N_ROWS ? arena->s.row_map & (~0u << (bin.row + 1)) : 0;
        if (!rows) return 0;
        bin.row = (unsigned)__builtin_ctz(rows);
        cols = arena->s.col_map[bin.row];
    }
    return arena->s.bins[bin.row][__builtin_ctz(cols)];
}

static uint32_t find_block(const arena_t *arena, uint64_t units)
{
    bin_t own = bin_of(units);
    uint32_t d = arena->s.bins[own.row][own.col];
    if (d && arena->descs[d].units >= units) return d;
    d = find_above(arena, units);
    return d ? d : scan_bin(arena, own, units);
}

/* Cut what is beyond `units` off block d as a free block of its own. */
static void split(arena_t *arena, uint32_t d, uint64_t units)
{
    desc_t *block = &arena->descs[d];
    if (block->units == units) return;
    uint32_t r = desc_take(arena);
    arena->descs[r] = (desc_t){.start = block->start + units, .units = block->units - units, .state = DESC_FREE, .prev_phys = d, .next_phys = block->next_phys};
    if (block->next_phys) arena->descs[block->next_phys].prev_phys = r;
    block->next_phys = r;
    block->units = units;
    bin_insert(arena, r);
}

/* Append block n to its left neighbour d. Neither is in a bin. */
static void merge_next(arena_t *arena, uint32_t d, uint32_t n)
{
    desc_t *block = &arena->descs[d];
    block->units += arena->descs[n].units;
    block->next_phys = arena->descs[n].next_phys;
    if (block->next_phys) arena->descs[block->next_phys].prev_phys = d;
    desc_drop(arena, n);
}

static uint64_t largest_free_units(const arena_t *arena)
{
    if (!arena->s.row_map) return 0;
    unsigned row = 31u - (unsigned)__builtin_clz(arena->s.row_map);
    unsigned col = 31u - (unsigned)__builtin_clz(arena->s.col_map[row]);
    uint64_t largest = 0;
    uint32_t d = arena->s.bins[row][col];
    for (int i = 0; d && i < N_SCAN; i++, d = arena->descs[d].next_free)
        if (arena->descs[d].units > largest) largest = arena->descs[d].units;
    return largest;
}

__attribute__((cold, noinline)) static int error_full(const arena_t *arena, uint64_t bytes)
{
    arena_stats_t stats;
    arena_stats_locked(arena, &stats);
    if (stats.n_blocks == stats.max_blocks)
        return base_error(MRAY_ERR_OBJECT_STORE_FULL,
                          "the object store is full: %llu bytes asked, all %u blocks are in use (%llu bytes free); release objects, or put fewer and larger ones",
                          (unsigned long long)bytes, stats.max_blocks, (unsigned long long)stats.free_bytes);
    return base_error(MRAY_ERR_OBJECT_STORE_FULL,
                      "the object store is full: %llu bytes asked, %llu of %llu free, largest free block %llu; release objects, or give the store more memory",
                      (unsigned long long)bytes, (unsigned long long)stats.free_bytes, (unsigned long long)stats.capacity_bytes,
                      (unsigned long long)stats.largest_free_bytes);
}

int arena_alloc_locked(arena_t *arena, uint64_t bytes, arena_block_t *block_p)
{
    assert(holderlock_holder(&arena->lock) != 0);
    if (dirty_load(arena) != ARENA_BUSY) return error_broken();
    if (bytes > arena->n_units << UNIT_SHIFT || arena->s.n_used == arena->max_blocks) return error_full(arena, bytes);
    uint64_t units = units_of(bytes);
    uint32_t d = find_block(arena, units);
    if (!d) return error_full(arena, bytes);

    bin_remove(arena, d);
    split(arena, d, units);
    arena->descs[d].state = DESC_USED;
    arena->s.n_used++;
    uint64_t used = atomic_load_explicit(&arena->s.used_units, memory_order_relaxed) + units;
    atomic_store_explicit(&arena->s.used_units, used, memory_order_relaxed);
    if (used > arena->s.peak_units) arena->s.peak_units = used;
    *block_p = (arena_block_t){arena->descs[d].start << UNIT_SHIFT, d};
    return MRAY_OK;
}

int arena_alloc(arena_t *arena, uint32_t holder, uint64_t bytes, arena_block_t *block_p)
{
    arena_lock(arena, holder);
    int rc = arena_alloc_locked(arena, bytes, block_p);
    arena_unlock(arena, holder);
    return rc;
}

int arena_free_locked(arena_t *arena, arena_block_t block)
{
    assert(holderlock_holder(&arena->lock) != 0);
    if (dirty_load(arena) != ARENA_BUSY) return error_broken();
    uint32_t d = block.block;
    if (d == 0 || d >= arena->s.n_fresh || arena->descs[d].state != DESC_USED || arena->descs[d].start << UNIT_SHIFT != block.off)
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "block %u at offset %llu of the object store is not allocated: freed twice, or never allocated", d,
                          (unsigned long long)block.off);

    uint64_t used = atomic_load_explicit(&arena->s.used_units, memory_order_relaxed) - arena->descs[d].units;
    atomic_store_explicit(&arena->s.used_units, used, memory_order_relaxed);
    arena->s.n_used--;
    arena->descs[d].state = DESC_FREE;
    uint32_t next = arena->descs[d].next_phys, prev = arena->descs[d].prev_phys;
    if (next && arena->descs[next].state == DESC_FREE) {
        bin_remove(arena, next);
        merge_next(arena, d, next);
    }
    if (prev && arena->descs[prev].state == DESC_FREE) {
        bin_remove(arena, prev);
        merge_next(arena, prev, d);
        d = prev;
    }
    bin_insert(arena, d);
    return MRAY_OK;
}

int arena_free(arena_t *arena, uint32_t holder, arena_block_t block)
{
    arena_lock(arena, holder);
    int rc = arena_free_locked(arena, block);
    arena_unlock(arena, holder);
    return rc;
}

uint64_t arena_used_bytes(const arena_t *arena)
{
    return atomic_load_explicit(&arena->s.used_units, memory_order_relaxed) << UNIT_SHIFT;
}

void arena_stats_locked(const arena_t *arena, arena_stats_t *stats_p)
{
    uint64_t capacity = arena->n_units << UNIT_SHIFT, used = arena_used_bytes(arena);
    *stats_p = (arena_stats_t){
        .capacity_bytes = capacity,
        .used_bytes = used,
        .free_bytes = capacity - used,
        .largest_free_bytes = largest_free_units(arena) << UNIT_SHIFT,
        .peak_bytes = arena->s.peak_units << UNIT_SHIFT,
        .n_blocks = arena->s.n_used,
        .max_blocks = arena->max_blocks,
    };
}

void arena_stats(arena_t *arena, uint32_t holder, arena_stats_t *stats_p)
{
    arena_lock(arena, holder);
    arena_stats_locked(arena, stats_p);
    arena_unlock(arena, holder);
}
