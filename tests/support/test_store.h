/* test_store.h: test_node.h with working arenas. */
#ifndef TEST_STORE_H
#define TEST_STORE_H

#include "arena.h"
#include "object.h"
#include "payload.h"
#include "slot.h"
#include "test_node.h"

static inline void test_store_make(test_node_t *t, test_node_config_t config)
{
    uint32_t max_blocks = (uint32_t)(config.segment.arena_bytes / 1024 + 64);
    config.segment.max_blocks = max_blocks;
    config.segment.arena_meta_bytes = arena_metadata_bytes(config.segment.arena_bytes, max_blocks);
    test_node_make(t, &config);
    for (int p = 0; p < t->n; p++) {
        const segment_t *seg = &t->of[p]->segs[p];
        assert_int_equal(arena_init((arena_t *)(void *)(seg->rw + seg->hdr->arena_meta_off), config.segment.arena_bytes, max_blocks), MRAY_OK);
    }
}

static inline uint64_t test_store_used_bytes(const ep_t *ep, int place)
{
    return arena_used_bytes(payload_arena(ep, place));
}

#endif
