/* pool_items.h: a pool of plain items for the tests of pool.c: an item is free when its first word is 0, else the word says whose it is. */
#ifndef POOL_ITEMS_H
#define POOL_ITEMS_H

#include "pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <mray/status.h>

typedef struct {
    segment_t seg;
    seg_name_t name;
    seg_pool_t *pool;
} pool_items_t;

static inline bool item_is_free(const void *item)
{
    return atomic_load_explicit((const _Atomic uint64_t *)item, memory_order_acquire) == 0;
}

static inline _Atomic uint64_t *item_word(const pool_items_t *p, uint32_t index)
{
    return pool_item(&p->seg, p->pool, index);
}

static inline void pool_items_make(pool_items_t *p, uint32_t n_items)
{
    seg_config_t config = {.n_slots = n_items, .n_records = 64, .arena_bytes = 4096};
    assert_int_equal(seg_create(&config, 1, 0, &p->seg, &p->name), MRAY_OK);
    seg_close_fd(&p->name);
    p->pool = &p->seg.hdr->slots;
}

static inline void pool_items_free(pool_items_t *p)
{
    seg_unmap(&p->seg);
}

static inline pool_cache_t item_cache(pool_items_t *p, uint16_t gid)
{
    pool_cache_t cache;
    assert_int_equal(pool_cache_init(&cache, &p->seg, p->pool, item_is_free, gid), MRAY_OK);
    return cache;
}

/* Take an item and mark it; 0 when there is none. */
static inline uint32_t item_take(pool_items_t *p, pool_cache_t *cache)
{
    uint32_t index = pool_alloc(cache);
    if (index == 0) return 0;
    uint64_t nobody = 0;
    if (!atomic_compare_exchange_strong(item_word(p, index), &nobody, cache->gid)) fail_msg("item %u was given out twice", index);
    return index;
}

static inline void item_drop(pool_items_t *p, pool_cache_t *cache, uint32_t index)
{
    assert_int_not_equal(atomic_exchange(item_word(p, index), 0), 0);
    pool_free(cache, &p->seg, p->pool, index);
}

static inline uint32_t items_used(const pool_items_t *p)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->pool->n_chunks * 64; i++) n += !item_is_free(item_word(p, i));
    return n;
}

/* Everything that is free can be had by a new endpoint: nothing was lost. All endpoints before it are closed or adopted. */
static inline void check_nothing_is_lost(pool_items_t *p)
{
    enum { NEWCOMER = 0x7fff };
    uint32_t used = items_used(p), capacity = p->pool->n_chunks * 64 - 1, n = 0;
    pool_cache_t cache = item_cache(p, NEWCOMER);
    while (item_take(p, &cache) != 0) n++;
    if (used + n != capacity) fail_msg("%u items were in use and %u could be had; there are %u", used, n, capacity);
    for (uint32_t i = 1; i <= capacity; i++)
        if (atomic_load(item_word(p, i)) == NEWCOMER) item_drop(p, &cache, i);
    pool_cache_fini(&cache);
}

#endif
