/* test_node.h: the ranks of one node, all in the test's own process: a segment and a node map each. With test_store.h their arenas work.
 * Segments are shared memory, so children that a test forks see the same node. */
#ifndef TEST_NODE_H
#define TEST_NODE_H

#include "endpoint.h"
#include "node.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <mray/status.h>

enum { TEST_NODE_EPOCH = 77, TEST_NODE_MAX = 4 };

typedef struct {
    int n;
    segment_t segs[TEST_NODE_MAX]; /* each rank's own mapping; unmapped with its node */
    seg_name_t names[TEST_NODE_MAX];
    node_t *of[TEST_NODE_MAX]; /* the node as each rank sees it */
} test_node_t;

/* n_elsewhere ranks more are on nodes that do not exist. Ranks here are numbered from first_rank on, so that rank and place differ. */
typedef struct {
    int n, n_elsewhere, first_rank, n_cpus;
    seg_config_t segment;
} test_node_config_t;

static inline void test_node_make(test_node_t *t, const test_node_config_t *config)
{
    *t = (test_node_t){.n = config->n};
    node_description_t d = {.epoch = TEST_NODE_EPOCH, .n_ranks = config->n + config->n_elsewhere, .n_node_ranks = config->n,
                            .n_cpus = config->n_cpus > 0 ? config->n_cpus : 1, .n_own_cpus = config->n_cpus > 0 ? config->n_cpus : 1,
                             .multi_node = config->n_elsewhere > 0};
    for (int p = 0; p < t->n; p++) {
        d.ranks[p] = config->first_rank + p;
        assert_int_equal(seg_create(&config->segment, TEST_NODE_EPOCH, (uint32_t)d.ranks[p], &t->segs[p], &t->names[p]), MRAY_OK);
        d.names[p] = t->names[p];
    }
    for (int p = 0; p < t->n; p++) {
        d.rank = d.ranks[p];
        d.node_rank = p;
        assert_int_equal(node_create(&d, &t->segs[p], &t->of[p]), MRAY_OK);
    }
    for (int p = 0; p < t->n; p++) seg_close_fd(&t->names[p]);
}

static inline void test_node_free(test_node_t *t)
{
    for (int p = 0; p < t->n; p++) node_destroy(t->of[p]);
    *t = (test_node_t){0};
}

static inline ep_t *test_node_open(test_node_t *t, int place, unsigned index, ep_kind_t kind, bool mortal)
{
    ep_t *ep = NULL;
    assert_int_equal(ep_open(t->of[place], index, kind, mortal, &ep), MRAY_OK);
    return ep;
}

/* Items of the pool whose own word says that they are in use. */
static inline uint32_t test_pool_used(const segment_t *seg, const seg_pool_t *pool, pool_is_free_fn is_free)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < pool->n_chunks * 64; i++) n += !is_free(pool_item(seg, pool, i));
    return n;
}

static inline uint32_t test_records_used(const ep_t *ep)
{
    return test_pool_used(ep->seg, &ep->seg->hdr->records, ep_record_is_free_fn());
}

static inline uint32_t test_slots_used(const ep_t *ep)
{
    return test_pool_used(ep->seg, &ep->seg->hdr->slots, ep_slot_is_free_fn());
}

#endif
