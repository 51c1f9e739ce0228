/* Policies on small clusters: packing up to the threshold, the first fifth, distances, GPUs, infeasible shapes, spread. */
#include "policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>
#include <mray/status.h>

enum { MAX_RANKS = 40 };
static const node_shape_t CPU = {.cpu = NODE_UNIT};

typedef struct {
    node_table_t *nodes;
    sched_state_t state;
} cluster_t;

static void make(cluster_t *c, int n_ranks, int ranks_a_node, int n_workers)
{
    *c = (cluster_t){0};
    base_rng_seed(&c->state.rng, 4);
    assert_int_equal(node_table_create(n_ranks, &c->nodes), MRAY_OK);
    for (int r = 0; r < n_ranks; r++) {
        node_hello_t hello = {.rank = r, .node = r / ranks_a_node, .n_workers = n_workers};
        assert_int_equal(node_table_set(c->nodes, &hello, 0), MRAY_OK);
    }
}

static void add_resource(cluster_t *c, int rank, const char *name, uint32_t amount)
{
    node_hello_t hello = node_table_row(c->nodes, rank)->has;
    node_resource_t *r = &hello.resources[hello.n_resources++];
    snprintf(r->name, sizeof r->name, "%s", name);
    r->hash = node_resource_hash(name);
    r->total = amount;
    assert_int_equal(node_table_set(c->nodes, &hello, 0), MRAY_OK);
}

static int pick(cluster_t *c, const sched_policy_ops_t *policy, sched_request_t request)
{
    return policy->pick(&c->state, node_table_rows(c->nodes), node_table_ranks(c->nodes), &request);
}

/* Pick, and keep it. */
static int take(cluster_t *c, const sched_policy_ops_t *policy, int preferred)
{
    int rank = pick(c, policy, (sched_request_t){.shape = CPU, .preferred = preferred});
    if (rank >= 0) node_table_take(c->nodes, rank, &CPU, 1);
    return rank;
}

static void test_hybrid_packs_half_a_rank_then_spreads(void **state)
{
    (void)state;
    cluster_t c;
    make(&c, 2, 1, 4);
    static const int expected[] = {0, 0, 1, 1, 0, 1, 0, 1};
    for (size_t i = 0; i < 8; i++) assert_int_equal(take(&c, &sched_policy_hybrid, 0), expected[i]);
    /* All are busy: feasible ones are still given, by score. */
    assert_int_equal(take(&c, &sched_policy_hybrid, 0), 0);
    assert_int_equal(take(&c, &sched_policy_hybrid, 0), 1);
    node_table_destroy(c.nodes);
}

static void test_hybrid_takes_available_before_busy(void **state)
{
    (void)state;
    cluster_t c;
    make(&c, 2, 1, 4);
    node_table_take(c.nodes, 0, &CPU, 1);
    sched_request_t wide = {.shape = {.cpu = 4 * NODE_UNIT}, .preferred = 0};
    assert_int_equal(pick(&c, &sched_policy_hybrid, wide), 1); /* score 0 on both, but rank 0 has only 3 */
    node_table_take(c.nodes, 1, &CPU, 3);
    assert_int_equal(pick(&c, &sched_policy_hybrid, wide), 0); /* both busy: the low score */
    node_table_destroy(c.nodes);
}

static void test_hybrid_takes_near_before_far(void **state)
{
    (void)state;
    cluster_t c;
    make(&c, 6, 2, 2);
    node_hello_t driver = {.rank = 3, .node = 1, .n_workers = 0};
    assert_int_equal(node_table_set(c.nodes, &driver, 0), MRAY_OK);
    assert_int_equal(pick(&c, &sched_policy_hybrid, (sched_request_t){.shape = CPU, .preferred = 3}), 2);
    assert_int_equal(pick(&c, &sched_policy_hybrid, (sched_request_t){.shape = CPU, .preferred = 5}), 5);
    node_table_take(c.nodes, 5, &CPU, 2);
    assert_int_equal(pick(&c, &sched_policy_hybrid, (sched_request_t){.shape = CPU, .preferred = 5}), 4);
    assert_int_equal(sched_distance(node_table_rows(c.nodes), 1, 1), 0);
    assert_int_equal(sched_distance(node_table_rows(c.nodes), 1, 0), 1);
    assert_int_equal(sched_distance(node_table_rows(c.nodes), 1, 2), 2);
    node_table_destroy(c.nodes);
}

static void test_hybrid_chooses_at_random_among_the_first_fifth(void **state)
{
    (void)state;
    cluster_t c;
    make(&c, MAX_RANKS, 1, 4);
    for (int r = 0; r < MAX_RANKS; r++) node_table_take(c.nodes, r, &CPU, r % 2 == 0 ? 3 : 0);
    int seen[MAX_RANKS] = {0};
    for (int i = 0; i < 2000; i++) {
        int rank = pick(&c, &sched_policy_hybrid, (sched_request_t){.shape = CPU, .preferred = -1});
        assert_true(rank >= 0);
        seen[rank]++;
    }
    for (int r = 0; r < MAX_RANKS; r++) {
        bool top = r % 2 == 1 && r < 16; /* 8 of 40: the odd ones, lowest first */
        if (top)
            assert_in_range(seen[r], 150, 350);
        else
            assert_int_equal(seen[r], 0);
    }
    /* A preferred rank whose score is not above the least wins over all of them. */
    for (int i = 0; i < 50; i++) assert_int_equal(pick(&c, &sched_policy_hybrid, (sched_request_t){.shape = CPU, .preferred = 37}), 37);
    for (int i = 0; i < 50; i++) assert_int_not_equal(pick(&c, &sched_policy_hybrid, (sched_request_t){.shape = CPU, .preferred = 38}), 38);
    node_table_destroy(c.nodes);
}

static void test_hybrid_keeps_cpu_work_off_gpus(void **state)
{
    (void)state;
    cluster_t c;
    make(&c, 2, 1, 2);
    add_resource(&c, 0, "GPU", 2 * NODE_UNIT);
    assert_int_equal(take(&c, &sched_policy_hybrid, 0), 1);
    assert_int_equal(take(&c, &sched_policy_hybrid, 0), 1);
    assert_int_equal(take(&c, &sched_policy_hybrid, 0), 0); /* rank 1 is full */
    sched_request_t gpu = {.shape = {.cpu = NODE_UNIT, .resource = node_resource_hash("GPU"), .amount = NODE_UNIT}, .preferred = 1};
    assert_int_equal(pick(&c, &sched_policy_hybrid, gpu), 0);
    node_table_destroy(c.nodes);
}

static void check_infeasible(const sched_policy_ops_t *policy)
{
    cluster_t c;
    uint8_t skip[2] = {1, 1};
    make(&c, 2, 1, 2);
    assert_int_equal(pick(&c, policy, (sched_request_t){.shape = {.cpu = 3 * NODE_UNIT}, .preferred = 0}), SCHED_INFEASIBLE);
    sched_request_t lens = {.shape = {.resource = node_resource_hash("lens"), .amount = 1}, .preferred = 0};
    assert_int_equal(pick(&c, policy, lens), SCHED_INFEASIBLE);
    assert_int_equal(pick(&c, policy, (sched_request_t){.shape = CPU, .preferred = 0, .skip = skip}), SCHED_NONE);
    skip[1] = 0;
    assert_int_equal(pick(&c, policy, (sched_request_t){.shape = CPU, .preferred = 0, .skip = skip}), 1);
    node_table_mark_dead(c.nodes, 0);
    assert_int_equal(pick(&c, policy, (sched_request_t){.shape = CPU, .preferred = 0}), 1);
    node_table_mark_dead(c.nodes, 1);
    assert_int_equal(pick(&c, policy, (sched_request_t){.shape = CPU, .preferred = 0}), SCHED_INFEASIBLE);
    node_table_destroy(c.nodes);
}

static void test_nobody_now_is_not_nobody_ever(void **state)
{
    (void)state;
    check_infeasible(&sched_policy_hybrid);
    check_infeasible(&sched_policy_spread);
}

static void test_spread_goes_round_the_available_then_the_feasible(void **state)
{
    (void)state;
    cluster_t c;
    make(&c, 3, 1, 2);
    static const int expected[] = {0, 1, 2, 0, 1, 2, /* full */ 0, 1, 2};
    for (size_t i = 0; i < 9; i++) assert_int_equal(take(&c, &sched_policy_spread, 2), expected[i]);
    node_table_give(c.nodes, 1, &CPU, 3);
    assert_int_equal(take(&c, &sched_policy_spread, 2), 1);
    assert_int_equal(take(&c, &sched_policy_spread, 2), 1); /* the only one with room */
    node_table_destroy(c.nodes);
}

static void test_policies_are_found_by_name(void **state)
{
    (void)state;
    assert_ptr_equal(sched_policy_find("hybrid"), &sched_policy_hybrid);
    assert_ptr_equal(sched_policy_find("spread"), &sched_policy_spread);
    assert_null(sched_policy_find("random"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hybrid_packs_half_a_rank_then_spreads),
        cmocka_unit_test(test_hybrid_takes_available_before_busy),
        cmocka_unit_test(test_hybrid_takes_near_before_far),
        cmocka_unit_test(test_hybrid_chooses_at_random_among_the_first_fifth),
        cmocka_unit_test(test_hybrid_keeps_cpu_work_off_gpus),
        cmocka_unit_test(test_nobody_now_is_not_nobody_ever),
        cmocka_unit_test(test_spread_goes_round_the_available_then_the_feasible),
        cmocka_unit_test(test_policies_are_found_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
