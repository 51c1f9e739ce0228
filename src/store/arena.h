/* arena.h: allocates blocks of a shared-memory region by offset, for all processes of a node at once.
 *
 * The region [0, capacity) holds payloads and nothing else; it is never read or written here. The metadata (header, bins, table of
 * block descriptors) lie in a second area of shared memory, without pointers, since each process maps it at its own address.
 * An arena_t * is the address of that area in the calling process.
 *
 * Algorithm: two-level segregated fit (Masmano, Ripoll, Crespo, Real: "TLSF: a new dynamic memory allocator for real-time systems",
 * ECRTS 2004): 32 x 32 bins of free blocks found by two bitmaps, neighbours merged at once. Allocation and freeing are O(1).
 * Blocks are multiples of 64 bytes on 64-byte boundaries, cut to exactly what is asked. The bin of the very size asked for is looked at
 * first, so what was freed last is reused first, and once more before the arena is said to be full, 64 blocks deep.
 *
 * Every call takes the arena's lock (holderlock.h) under the caller's holder id, or has the name ..._locked and wants it held.
 *
 * Death of a process (kill -9 at any instruction). Who dies inside leaves the lock taken and the word "dirty" set; the metadata may
 * be half changed. The agent, having reaped it, calls arena_break(); if arena_needs_rebuild() it collects the live blocks from
 * the slot table, which is the truth, and calls arena_rebuild() before arena_unlock(). Live blocks keep offset and number.
 *
 *      free ──lock──> busy ──unlock──> free            dirty: 0 clean, 1 busy, 2 needs a rebuild
 *                      └──holder dies, arena_break──> needs rebuild ──arena_rebuild──> busy (held by the agent)
 *
 * Hence the rule for callers: a block's slot is written between arena_alloc_locked() and arena_unlock(), and cleared
 * between arena_lock() and arena_unlock() with arena_free_locked(). A block that no slot names during a rebuild is free afterwards. */
#ifndef MRAY_STORE_ARENA_H
#define MRAY_STORE_ARENA_H

#include <mray/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct arena arena_t;

/* One allocated block; block is the number of its descriptor, never 0. Kept by the caller and given back to free it. */
typedef struct {
    uint64_t off;
    uint32_t block;
} arena_block_t;

/* A live block as the slot table knows it; bytes as asked for at allocation. */
typedef struct {
    uint64_t off;
    uint64_t bytes;
    uint32_t block;
} arena_live_t;

typedef struct {
    uint64_t capacity_bytes;
    uint64_t used_bytes; /* whole blocks, so rounded up to 64 bytes each */
    uint64_t free_bytes;
    uint64_t largest_free_bytes;
    uint64_t peak_bytes; /* largest used_bytes since init or the last rebuild */
    uint32_t n_blocks;
    uint32_t max_blocks;
} arena_stats_t;

#define ARENA_ALIGN_BYTES UINT64_C(64)
#define ARENA_CAPACITY_MAX (UINT64_C(1) << 40)
#define ARENA_BLOCKS_MAX (UINT32_C(1) << 30)

/* Bytes of metadata for a region of capacity bytes with at most max_blocks blocks at a time: 4.5 KiB and 64 bytes a block.
 * Pages of descriptors that were never needed are never touched. */
size_t arena_metadata_bytes(uint64_t capacity, uint32_t max_blocks);

/* Make the region one free block. arena: arena_metadata_bytes() bytes, aligned to 64. capacity is rounded down to 64 bytes.
 * MRAY_ERR_INVALID_ARGUMENT: capacity or max_blocks out of range. */
MRAY_CHECK_RESULT int arena_init(arena_t *arena, uint64_t capacity, uint32_t max_blocks);

/* holder: see holderlock_acquire(). */
void arena_lock(arena_t *arena, uint32_t holder);
void arena_unlock(arena_t *arena, uint32_t holder);

/* MRAY_ERR_OBJECT_STORE_FULL: no free block is large enough, or max_blocks are in use; the sentence says what there is.
 * MRAY_ERR_INTERNAL: a rebuild is needed. *block_p is set only on success. bytes == 0 gives a block of 64. */
MRAY_CHECK_RESULT int arena_alloc(arena_t *arena, uint32_t holder, uint64_t bytes, arena_block_t *block_p);
MRAY_CHECK_RESULT int arena_alloc_locked(arena_t *arena, uint64_t bytes, arena_block_t *block_p);

/* MRAY_ERR_INVALID_ARGUMENT: not an allocated block (freed twice, or never allocated); nothing is changed. A block freed twice is not
 * noticed if its number and offset were allocated anew in between: the slot's generation guards that. */
MRAY_CHECK_RESULT int arena_free(arena_t *arena, uint32_t holder, arena_block_t block);
MRAY_CHECK_RESULT int arena_free_locked(arena_t *arena, arena_block_t block);

void arena_stats(arena_t *arena, uint32_t holder, arena_stats_t *stats_p);
void arena_stats_locked(const arena_t *arena, arena_stats_t *stats_p);

/* Bytes in use right now, without the lock: for limits and for choosing a node. */
uint64_t arena_used_bytes(const arena_t *arena);

/* Who holds the lock, 0 for nobody. */
uint32_t arena_holder(const arena_t *arena);

/* dead_holder was reaped. True: it held the lock, which new_holder has now and gives back with arena_unlock(), after a rebuild if
 * arena_needs_rebuild(). False: it did not, nothing to do. */
bool arena_break(arena_t *arena, uint32_t dead_holder, uint32_t new_holder);
bool arena_needs_rebuild(const arena_t *arena);

/* With the lock held: make all metadata anew from the live blocks, in any order. O(n log n), no memory taken.
 * MRAY_ERR_INTERNAL: they overlap, lie outside or share a number; the arena then stays unusable until a rebuild succeeds. */
MRAY_CHECK_RESULT int arena_rebuild(arena_t *arena, const arena_live_t *live, size_t n_live);

/* Walk everything; MRAY_ERR_INTERNAL with a sentence for the first invariant that is broken. Bears any damage beyond the header. */
MRAY_CHECK_RESULT int arena_selfcheck(arena_t *arena, uint32_t holder);
MRAY_CHECK_RESULT int arena_selfcheck_locked(const arena_t *arena);

#endif
