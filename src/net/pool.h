/* pool.h: allocation of fixed-size items (slots, records) in a segment by any process of the node, without locks,
 * without system calls, and so that a process killed at any instruction loses nothing.
 *
 * Items come in chunks of 64 that belong to one endpoint. Only the owner allocates from a chunk; anybody frees, by first
 * making the item's own state word say "free" and then setting its bit in the chunk's hint word (and the chunk's bit in
 * the summary). The owner collects hint words by one exchange and believes an item's word, not its bit. So a bit set
 * twice is harmless, and a bit lost with a dead process is found again by reading the words (pool_adopt()). */
#ifndef MRAY_NET_POOL_H
#define MRAY_NET_POOL_H

#include "segment.h"

/* True if the item at index is free by its own word. */
typedef bool (*pool_is_free_fn)(const void *item);

/* Hint bits that an endpoint has not set yet, in shared memory, so that an agent can do it for it. They stay there when they are set. */
typedef struct {
    _Atomic uint32_t rank, chunk; /* whose pool, and the chunk in it */
    _Atomic uint64_t bits;
} pool_unsaid_t;

enum { POOL_UNSAID_MAX = 8 }; /* bits: what an owner may lack for it */

/* The allocating endpoint's private side of one pool. */
typedef struct {
    const segment_t *seg;
    seg_pool_t *pool;
    pool_is_free_fn is_free;
    uint16_t gid;
    uint32_t *stack; /* free item indices, most recently freed on top */
    uint32_t n_stack, cap_stack;
    uint64_t *mine; /* bit per chunk: owned by this endpoint */
    uint32_t lo_word, hi_word; /* range of words of `mine` that have bits */
    uint32_t cursor, run_cursor;
    pool_unsaid_t *unsaid; /* NULL: every bit is set at once */
    const segment_t *unsaid_seg;
    seg_pool_t *unsaid_pool;
    unsigned n_unsaid;
} pool_cache_t;

int pool_cache_init(pool_cache_t *cache, const segment_t *seg, seg_pool_t *pool, pool_is_free_fn is_free, uint16_t gid);
/* Return every chunk to nobody; other endpoints find its free items. */
void pool_cache_fini(pool_cache_t *cache);

/* Index of a free item, or 0 when the pool is exhausted. Item 0 is never given out. */
uint32_t pool_alloc(pool_cache_t *cache);
/* First of n items in a row, or 0. For n above 1 a few of the endpoint's own chunks are looked at, then fresh ones. */
uint32_t pool_alloc_run(pool_cache_t *cache, uint32_t n);
/* The caller has made the item's word say "free". Own items go to the private stack. */
void pool_free(pool_cache_t *cache, const segment_t *seg, seg_pool_t *pool, uint32_t index);
/* Set the hint bits collected so far: before the endpoint sleeps. */
void pool_say(pool_cache_t *cache);
/* The same for another endpoint, dead or alive; of a living one some may be missed. Any number of times. */
void pool_say_for(const pool_unsaid_t *unsaid, const segment_t *seg, seg_pool_t *pool);

/* The chunks of a dead endpoint go to nobody, every free item hinted. Only the agent calls it. */
void pool_adopt(const segment_t *seg, seg_pool_t *pool, pool_is_free_fn is_free, uint16_t dead_gid);
/* Items below this index may ever have been used. */
uint32_t pool_high_water(const seg_pool_t *pool);

static inline void *pool_item(const segment_t *seg, const seg_pool_t *pool, uint32_t index)
{
    return seg->rw + pool->items_off + (uint64_t)index * pool->item_bytes;
}

#endif
