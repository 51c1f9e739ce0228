/* Rank 0's agent behind the network in memory: hellos, asks and returns of leases come as messages in random order, grants go out as messages.
 * What holders know from them is what the table says; no slot is granted twice while there are enough; shares are fair; a lost rank's slots
 * are nobody's. */
#include "agent.h"
#include "clock.h"
#include "head.h"
#include "rng.h"
#include "test_child.h"
#include "test_store.h"
#include "upcalls.h"

#include <string.h>

enum { N = 6, CPUS = 5, N_SHAPES = 3 };
static const node_shape_t shapes[N_SHAPES] = {{.cpu = NODE_UNIT}, {.cpu = NODE_UNIT, .strategy = NODE_STRATEGY_SPREAD}, {.cpu = 2 * NODE_UNIT}};

/* What one rank was told of one shape. */
typedef struct {
    uint32_t serial, wanted, capacity; /* wanted 0: it has given all back */
    uint32_t slots[N + 1];
} holder_t;

typedef struct {
    test_node_t t;
    net_t *nets[N + 1];
    agent_t *agent;
    holder_t holders[N + 1][N_SHAPES];
    int of_rank[N + 1];
    unsigned n_grants;
} fixture_t;

static fixture_t f;

static void on_grant(void *ctx, int src_rank, const net_item_t *item, const void *data)
{
    int rank = *(int *)ctx, s = 0;
    lease_grant_t grant;
    lease_t lease;
    assert_int_equal(src_rank, 0);
    assert_true(item->bytes >= sizeof grant);
    memcpy(&grant, data, sizeof grant);
    assert_int_equal(item->bytes, sizeof grant + grant.n * sizeof lease);
    while (!node_shape_same(&shapes[s], &grant.shape)) s++;
    holder_t *h = &f.holders[rank][s];
    f.n_grants++;
    if (h->wanted == 0 || grant.serial != h->serial) return; /* it crossed with a return */
    if (grant.first) memset(h->slots, 0, sizeof h->slots);
    for (unsigned i = 0; i < grant.n; i++) {
        memcpy(&lease, (const uint8_t *)data + sizeof grant + i * sizeof lease, sizeof lease);
        assert_in_range(lease.rank, 0, N);
        h->slots[lease.rank] = lease.slots;
    }
    h->capacity = grant.capacity;
}

static void on_other(void *ctx, int src_rank, const net_item_t *item, const void *data)
{
    (void)ctx, (void)src_rank, (void)item, (void)data;
}

static void settle(void)
{
    for (int n = 1; n > 0;) {
        n = agent_round(f.agent);
        for (int r = 1; r <= N; r++) n += net_poll(f.nets[r]);
    }
}

static void say_hello(int rank, int n_workers)
{
    node_hello_t hello = {.rank = rank, .node = rank, .n_workers = n_workers};
    assert_int_equal(net_send(f.nets[rank], 0, CONTROL_NODE_HELLO, 0, &hello, sizeof hello), MRAY_OK);
}

static void make(void)
{
    int nodes[N + 1];
    memset(&f, 0, sizeof f);
    for (int r = 0; r <= N; r++) nodes[r] = f.of_rank[r] = r;
    test_store_make(&f.t, (test_node_config_t){.n = 1, .n_elsewhere = N, .segment = {.arena_bytes = 1 << 16, .n_slots = 128, .n_records = 128}});
    assert_int_equal(net_open_fake(N + 1, nodes, f.nets), MRAY_OK);
    upcalls_install();
    assert_int_equal(agent_create(f.t.of[0], f.nets[0], &f.agent), MRAY_OK);
    for (int r = 1; r <= N; r++)
        for (uint16_t t = 1; t < CONTROL_N; t++) net_register_handler(f.nets[r], t, t == CONTROL_LEASE_GRANT ? on_grant : on_other, &f.of_rank[r]);
    node_hello_t driver = {.rank = 0};
    agent_send(f.agent, 0, CONTROL_NODE_HELLO, &driver, sizeof driver);
    for (int r = 1; r <= N; r++) say_hello(r, CPUS);
    settle();
    assert_int_equal(node_table_known(head_nodes(f.agent->head)), N + 1);
}

static void unmake(void)
{
    agent_destroy(f.agent);
    for (int r = 0; r <= N; r++) net_close(f.nets[r]);
    test_node_free(&f.t);
}

static void ask(int rank, int s, uint32_t wanted)
{
    holder_t *h = &f.holders[rank][s];
    if (h->wanted == 0) h->serial++;
    h->wanted = wanted;
    lease_ask_t body = {.shape = shapes[s], .wanted = wanted, .serial = h->serial};
    assert_int_equal(net_send(f.nets[rank], 0, CONTROL_LEASE_ASK, 0, &body, sizeof body), MRAY_OK);
}

static void give_back(int rank, int s)
{
    holder_t *h = &f.holders[rank][s];
    lease_return_t body = {.shape = shapes[s], .serial = h->serial};
    h->wanted = 0;
    memset(h->slots, 0, sizeof h->slots);
    assert_int_equal(net_send(f.nets[rank], 0, CONTROL_LEASE_RETURN, 0, &body, sizeof body), MRAY_OK);
}

static uint32_t sum(const holder_t *h)
{
    uint32_t n = 0;
    for (int r = 0; r <= N; r++) n += h->slots[r];
    return n;
}

/* Rows of shapes `from` and `to` share capacity; each rank has `slots` of it. */
static void check_shares(int from, int to, uint32_t slots, int n_alive)
{
    uint32_t granted[N + 1] = {0}, all = 0, n_rows = 0, poorest = UINT32_MAX, richest = 0;
    for (int r = 1; r <= N; r++)
        for (int s = from; s <= to; s++) {
            const holder_t *h = &f.holders[r][s];
            if (h->wanted == 0) continue;
            uint32_t n = sum(h);
            assert_in_range(n, 1, h->wanted);
            assert_int_equal(h->capacity, slots * (uint32_t)n_alive);
            for (int k = 0; k <= N; k++) granted[k] += h->slots[k];
            all += n;
            n_rows++;
            if (n > richest) richest = n;
            if (n < h->wanted && n < poorest) poorest = n;
        }
    bool enough = n_rows <= slots * (uint32_t)n_alive;
    for (int k = 0; k <= N && enough; k++) assert_true(granted[k] <= slots); /* no slot twice */
    if (poorest != UINT32_MAX) {
        assert_true(richest <= poorest + 1);
        assert_true(all >= slots * (uint32_t)n_alive); /* none is free while a row wants more */
    }
}

static void check_all(int n_alive)
{
    if (lease_table_selfcheck(head_leases(f.agent->head)) != MRAY_OK) fail_msg("%s", mray_error_message());
    for (int r = 1; r <= N; r++)
        for (int s = 0; s < N_SHAPES; s++) {
            const lease_row_t *row = lease_table_find(head_leases(f.agent->head), r, &shapes[s]);
            assert_int_equal(row != NULL, f.holders[r][s].wanted > 0);
            for (int k = 0; row != NULL && k <= N; k++) assert_int_equal(lease_table_slots(head_leases(f.agent->head), row, k), f.holders[r][s].slots[k]);
        }
    check_shares(0, 1, CPUS, n_alive);
    check_shares(2, 2, CPUS / 2, n_alive);
}

static void test_no_slot_twice_and_fair_shares_whatever_is_asked(void **state)
{
    (void)state;
    base_rng_t rng;
    base_rng_seed(&rng, test_seed());
    make();
    for (int i = 0; i < 1500; i++) {
        int n = (int)base_rng_range(&rng, 1, 4);
        for (int k = 0; k < n; k++) {
            int rank = (int)base_rng_range(&rng, 1, N), s = (int)base_rng_below(&rng, N_SHAPES);
            if (f.holders[rank][s].wanted > 0 && base_rng_below(&rng, 3) == 0)
                give_back(rank, s);
            else
                ask(rank, s, (uint32_t)base_rng_range(&rng, 1, 2 * N * CPUS));
            if (base_rng_below(&rng, 2) == 0) (void)net_poll(f.nets[rank]); /* some messages travel together, some cross */
        }
        settle();
        check_all(N);
    }
    unmake();
}

static void test_a_spread_row_goes_round_the_ranks(void **state)
{
    (void)state;
    make();
    ask(1, 1, N);
    settle();
    for (int r = 1; r <= N; r++) assert_int_equal(f.holders[1][1].slots[r], 1);
    ask(1, 1, 2 * N);
    settle();
    for (int r = 1; r <= N; r++) assert_int_equal(f.holders[1][1].slots[r], 2);
    ask(1, 1, N + 1); /* and comes back as evenly */
    settle();
    for (int r = 1; r <= N; r++) assert_in_range(f.holders[1][1].slots[r], 0, 2);
    assert_int_equal(sum(&f.holders[1][1]), N + 1);
    unmake();
}

static void test_the_own_rank_comes_first_and_goes_last(void **state)
{
    (void)state;
    make();
    for (uint32_t wanted = 1; wanted <= CPUS / 2; wanted++) {
        ask(3, 0, wanted);
        settle();
        assert_int_equal(f.holders[3][0].slots[3], wanted);
    }
    ask(3, 0, N * CPUS);
    settle();
    ask(3, 0, 2);
    settle();
    assert_int_equal(f.holders[3][0].slots[3], 2);
    unmake();
}

static void test_only_who_has_news_is_told(void **state)
{
    (void)state;
    make();
    for (int r = 1; r <= N; r++) ask(r, 0, CPUS);
    settle();
    f.n_grants = 0;
    give_back(1, 0);
    settle();
    assert_int_equal(f.n_grants, 0); /* the others have what they want */
    ask(1, 0, 1);
    settle();
    assert_int_equal(f.n_grants, 1);
    check_all(N);
    unmake();
}

static void test_a_lost_ranks_slots_are_nobodys(void **state)
{
    (void)state;
    make();
    for (int r = 1; r <= N; r++) ask(r, 0, 2 * CPUS);
    settle();
    head_rank_died(f.agent->head, N);
    memset(f.holders[N], 0, sizeof f.holders[N]);
    settle();
    for (int r = 1; r < N; r++) assert_int_equal(f.holders[r][0].slots[N], 0);
    check_all(N - 1);
    unmake();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_slot_twice_and_fair_shares_whatever_is_asked),
        cmocka_unit_test(test_a_spread_row_goes_round_the_ranks),
        cmocka_unit_test(test_the_own_rank_comes_first_and_goes_last),
        cmocka_unit_test(test_only_who_has_news_is_told),
        cmocka_unit_test(test_a_lost_ranks_slots_are_nobodys),
    };
    return cmocka_run_group_tests_name("exec.head", tests, NULL, NULL);
}
