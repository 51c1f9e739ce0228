/* test_agents.h: two agents, each of a node of its own with one rank, joined by the fake network. */
#ifndef TEST_AGENTS_H
#define TEST_AGENTS_H

#include "agent.h"
#include "net.h"
#include "test_store.h"
#include "upcalls.h"

enum { TEST_AGENTS = 2 };

typedef struct {
    test_node_t nodes[TEST_AGENTS];
    net_t *nets[TEST_AGENTS];
    agent_t *of[TEST_AGENTS]; /* by rank; [0] is this process's, as agent_here says */
} test_agents_t;

static inline void test_agents_make(test_agents_t *a, uint32_t n_items)
{
    static const int node_of_rank[TEST_AGENTS] = {0, 1};
    const seg_config_t segment = {.arena_bytes = 1 << 20, .n_slots = n_items, .n_records = n_items};
    assert_int_equal(net_open_fake(TEST_AGENTS, node_of_rank, a->nets), MRAY_OK);
    upcalls_install();
    for (int r = TEST_AGENTS - 1; r >= 0; r--) { /* [0] last: so it is this process's */
        test_store_make(&a->nodes[r], (test_node_config_t){.n = 1, .n_elsewhere = 1, .first_rank = r, .segment = segment});
        assert_int_equal(agent_create(a->nodes[r].of[0], a->nets[r], &a->of[r]), MRAY_OK);
    }
}

/* From here on each has a thread of its own. */
static inline void test_agents_start(test_agents_t *a)
{
    for (int r = 0; r < TEST_AGENTS; r++) assert_int_equal(agent_start_helper(a->of[r]), MRAY_OK);
}

static inline void test_agents_stop(test_agents_t *a)
{
    for (int r = 0; r < TEST_AGENTS; r++) agent_stop_helper(a->of[r]);
}

static inline void test_agents_free(test_agents_t *a)
{
    for (int r = 0; r < TEST_AGENTS; r++) {
        agent_destroy(a->of[r]);
        net_close(a->nets[r]);
        test_node_free(&a->nodes[r]);
    }
}

static inline ep_t *test_agents_open(test_agents_t *a, int rank)
{
    return test_node_open(&a->nodes[rank], 0, SEG_EP_MAIN, EP_KIND_USER, false);
}

#endif
