/* Where a ready record goes: leases, idle and awake workers, who is left out, turns among busy ones, closed inboxes. */
#include "route.h"

#include "runq.h"
#include "test_node.h"

enum { FIRST = 8, WORKERS = 3, PLACES = 2, AWAKE = 1 + PLACES * WORKERS };

typedef struct {
    test_node_t t;
    ep_t *agent[PLACES], *driver, *worker[PLACES][WORKERS];
    record_t *rec; /* BUILDING by the driver */
    rid_t rid;
} fixture_t;

static fixture_t f;

static seg_header_t *header(int place)
{
    return f.t.of[0]->segs[place].hdr;
}

static int setup(void **state)
{
    (void)state;
    test_node_make(&f.t, &(test_node_config_t){.n = PLACES, .n_cpus = AWAKE, .segment = {.arena_bytes = 4096, .n_slots = 64, .n_records = 512}});
    for (int p = 0; p < PLACES; p++) {
        f.agent[p] = test_node_open(&f.t, p, SEG_EP_AGENT, EP_KIND_AGENT, false);
        for (unsigned w = 0; w < WORKERS; w++) {
            f.worker[p][w] = test_node_open(&f.t, p, FIRST + w, EP_KIND_WORKER, true);
            ep_mask_set(header(p)->worker_mask, f.worker[p][w]->gid);
        }
    }
    f.driver = test_node_open(&f.t, 0, SEG_EP_MAIN, EP_KIND_USER, false);
    f.rid = record_alloc(f.driver, 0, 0, &f.rec);
    f.rec->kind = RECORD_TASK;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    record_free(f.driver, f.rid, f.rec);
    ep_close(f.driver);
    for (int p = 0; p < PLACES; p++) {
        ep_close(f.agent[p]);
        for (unsigned w = 0; w < WORKERS; w++) ep_close(f.worker[p][w]);
    }
    test_node_free(&f.t);
    return 0;
}

/* The threads of the node have this many CPUs. */
static void have_cpus(int n)
{
    f.driver->node->n_cpus = n;
}

/* The driver's rank holds leases on the places of this mask. */
static void lease(uint64_t places)
{
    atomic_store(&header(0)->lease_mask[0], places);
}

static void make_idle(const ep_t *ep, bool awake)
{
    seg_header_t *h = header(ep->gid >> 8);
    ep_mask_set(h->idle_mask, ep->gid);
    if (awake) ep_mask_set(h->awake_mask, ep->gid);
    else ep_mask_clear(h->awake_mask, ep->gid);
}

static uint16_t pick(uint16_t exclude)
{
    return route_pick_worker(f.driver, f.rid, f.rec, exclude);
}

static void test_without_leases_it_is_the_agents(void **state)
{
    (void)state;
    make_idle(f.worker[0][0], true);
    assert_int_equal(pick(0), 0);
    route_ready(f.driver, f.rid);
    assert_int_equal(ep_inbox_drain(f.driver->node, f.agent[0]->sh), f.rid);
    uint64_t word = atomic_load(&f.rec->word);
    assert_int_equal(record_word_state(word), RECORD_QUEUED);
    assert_int_equal(record_word_gid(word), f.agent[0]->gid);
}

static void test_busy_workers_of_leased_ranks_take_turns(void **state)
{
    (void)state;
    int counts[PLACES][WORKERS] = {{0}};
    lease(1);
    for (int i = 0; i < 10 * WORKERS; i++) {
        uint16_t gid = pick(0);
        assert_int_equal(gid >> 8, 0);
        counts[0][(gid & 0xff) - FIRST]++;
    }
    for (int w = 0; w < WORKERS; w++) assert_int_equal(counts[0][w], 10);
    lease(3);
    for (int i = 0; i < 10 * WORKERS * PLACES; i++) {
        uint16_t gid = pick(0);
        counts[gid >> 8][(gid & 0xff) - FIRST]++;
    }
    for (int w = 0; w < WORKERS; w++) assert_int_equal(counts[0][w] + counts[1][w], 30);
    for (int w = 0; w < WORKERS; w++) assert_int_equal(counts[1][w], 10);
}

static void test_an_idle_one_is_given_once(void **state)
{
    (void)state;
    lease(1);
    make_idle(f.worker[0][1], true);
    make_idle(f.worker[0][2], true);
    uint16_t a = pick(0), b = pick(0);
    assert_int_not_equal(a, b);
    assert_true(a == f.worker[0][1]->gid || a == f.worker[0][2]->gid);
    assert_true(b == f.worker[0][1]->gid || b == f.worker[0][2]->gid);
    assert_int_equal(atomic_load(&header(0)->idle_mask[0]), 0);
}

static void test_awake_before_asleep_and_leased_before_others(void **state)
{
    (void)state;
    lease(1);
    make_idle(f.worker[0][0], false);
    make_idle(f.worker[0][2], true);
    make_idle(f.worker[1][1], true);
    assert_int_equal(pick(0), f.worker[0][2]->gid);
    assert_int_equal(pick(0), f.worker[0][0]->gid); /* a sleeper of a leased rank before an awake one elsewhere */
    assert_int_equal(pick(0), f.worker[1][1]->gid); /* which helps, since it is idle */
    assert_int_equal(pick(0) >> 8, 0);
}

/* Two are awake beside the driver, the others sleep: with CPUs for no more, nobody is woken. */
static void test_none_is_woken_without_a_cpu_for_it(void **state)
{
    (void)state;
    lease(3);
    for (int p = 0; p < PLACES; p++)
        for (int w = 0; w < WORKERS; w++)
            if (w != 1) make_idle(f.worker[p][w], false);
    have_cpus(1 + 2);
    assert_false(route_has_cpu(f.driver->node, f.worker[0][0]->gid));
    assert_true(route_has_cpu(f.driver->node, f.driver->gid)); /* itself */
    int counts[PLACES] = {0};
    for (int i = 0; i < 1000; i++) {
        uint16_t gid = pick(0);
        assert_int_equal((gid & 0xff) - FIRST, 1);
        counts[gid >> 8]++;
    }
    assert_in_range(counts[0], 450, 550); /* those that are awake take turns */
    assert_int_equal(atomic_load(&header(0)->packed), 0);
    assert_true(route_push(f.driver, f.rid, f.rec, pick(0)));
    assert_int_equal(atomic_load(&header(0)->packed), 1); /* somebody has to look after it */
    have_cpus(1 + 3);
    uint16_t woken = 0;
    for (int i = 0; i < 100 && woken == 0; i++) { /* a choice holds for some tasks */
        uint16_t gid = pick(0);
        if ((gid & 0xff) - FIRST != 1) woken = gid;
    }
    assert_int_not_equal(woken, 0);
    assert_true(ep_mask_has(header(woken >> 8)->awake_mask, woken)); /* as good as awake, so that no other is */
    assert_false(route_has_cpu(f.driver->node, f.worker[0][woken == f.worker[0][0]->gid ? 2 : 0]->gid));
}

/* A core for each rank, to which its worker is bound, and the driver is awake on that of its own. */
static void test_a_bound_one_is_not_woken_while_its_rank_uses_its_cores(void **state)
{
    (void)state;
    lease(3);
    have_cpus(2 + 2); /* what others of the node leave is of no use to it */
    for (int p = 0; p < PLACES; p++) {
        for (int w = 0; w < WORKERS; w++) {
            make_idle(f.worker[p][w], false);
            if (w > 0) ep_mask_clear(header(p)->worker_mask, f.worker[p][w]->gid);
        }
        ep_mask_set(header(p)->bound_mask, f.worker[p][0]->gid);
        atomic_store(&header(p)->n_cores, 1);
    }
    assert_false(route_has_cpu(f.driver->node, f.worker[0][0]->gid));
    for (int i = 0; i < 50; i++) assert_int_equal(pick(0), f.worker[1][0]->gid); /* first asleep, then awake and busy */
    ep_mask_clear(header(0)->awake_mask, f.driver->gid); /* it waits */
    assert_true(route_has_cpu(f.driver->node, f.worker[0][0]->gid));
    uint16_t gid = 0;
    for (int i = 0; i < 50 && gid != f.worker[0][0]->gid; i++) gid = pick(0); /* a choice holds for some tasks */
    assert_int_equal(gid, f.worker[0][0]->gid);
    ep_mask_set(header(0)->awake_mask, f.driver->gid);
}

static void test_one_is_woken_if_all_sleep(void **state)
{
    (void)state;
    lease(1);
    for (int w = 0; w < WORKERS; w++) make_idle(f.worker[0][w], false);
    have_cpus(1);
    uint16_t first = pick(0);
    assert_int_equal(first >> 8, 0);
    for (int i = 0; i < 100; i++) assert_int_equal(pick(0), first);
}

/* An idle one that is awake is found whatever the CPUs, also while a choice holds. */
static void test_an_awake_idle_one_costs_no_cpu(void **state)
{
    (void)state;
    lease(3);
    for (int w = 0; w < WORKERS; w++) make_idle(f.worker[0][w], false);
    have_cpus(1);
    make_idle(f.worker[1][2], true);
    assert_int_equal(pick(0), f.worker[1][2]->gid);
    for (int i = 0; i < 5; i++) assert_int_equal(pick(0) >> 8, 1);
    uint16_t held = pick(0);
    make_idle(f.worker[1][(held & 0xff) - FIRST], true);
    assert_int_equal(pick(0), held);
    assert_false(ep_mask_has(header(1)->idle_mask, held)); /* taken as an idle one */
}

static void test_who_is_excluded_or_left_the_mask_is_never_given(void **state)
{
    (void)state;
    lease(1);
    make_idle(f.worker[0][1], true);
    for (int i = 0; i < 20; i++) assert_int_not_equal(pick(f.worker[0][1]->gid), f.worker[0][1]->gid);
    ep_mask_clear(header(0)->worker_mask, f.worker[0][1]->gid); /* blocked, though its idle bit is set still */
    for (int i = 0; i < 20; i++) assert_int_not_equal(pick(0), f.worker[0][1]->gid);
    for (unsigned w = 0; w < WORKERS; w++) ep_mask_clear(header(0)->worker_mask, f.worker[0][w]->gid);
    assert_int_equal(pick(0), 0);
}

static void test_shortage_is_told_once_to_who_listens(void **state)
{
    (void)state;
    lease(1);
    assert_int_not_equal(pick(0), 0);
    assert_int_equal(atomic_load(&header(0)->lease_listen), 0);
    atomic_store(&header(0)->lease_listen, 1);
    make_idle(f.worker[0][0], true);
    assert_int_not_equal(pick(0), 0);
    assert_int_equal(atomic_load(&header(0)->lease_listen), 1); /* one was idle */
    assert_int_not_equal(pick(0), 0);
    assert_int_equal(atomic_load(&header(0)->lease_listen), 2);
    assert_int_equal(atomic_load(&header(0)->lease_used), 1);
}

static void test_a_shape_goes_to_the_agent_and_a_method_to_its_actor(void **state)
{
    (void)state;
    lease(3);
    f.rec->shape = 1;
    f.rec->shape_cpu = 2 * SHAPE_UNIT;
    route_ready(f.driver, f.rid);
    assert_int_equal(ep_inbox_drain(f.driver->node, f.agent[0]->sh), f.rid);
    f.rec->shape = 0;
    f.rec->kind = RECORD_METHOD;
    f.rec->actor = 77;
    f.rec->target = f.worker[1][0]->gid;
    atomic_store(&f.worker[1][0]->sh->actor, 77);
    route_requeue(f.driver, f.rid);
    assert_int_equal(ep_inbox_drain(f.driver->node, f.worker[1][0]->sh), f.rid);
    f.rec->target = f.worker[1][0]->gid;
    atomic_store(&f.worker[1][0]->sh->actor, 78); /* somebody who came after it */
    route_requeue(f.driver, f.rid);
    assert_int_equal(ep_inbox_drain(f.driver->node, f.agent[0]->sh), f.rid);
}

/* Whoever takes it out of a worker's queue: what it takes is counted by that worker's agent. */
static void test_a_shape_comes_back_to_the_agent_that_started_it(void **state)
{
    (void)state;
    lease(3);
    rid_t taken = 0;
    f.rec->shape = 1;
    f.rec->shape_cpu = SHAPE_UNIT / 2;
    uint16_t worker = f.worker[1][0]->gid;
    assert_true(route_push(f.agent[1], f.rid, f.rec, worker));
    assert_int_equal(runq_take(f.agent[0], f.worker[1][0]->sh, worker, 1, &taken), 1);
    assert_int_equal(taken, f.rid);
    route_requeue(f.agent[0], f.rid);
    assert_int_equal(ep_inbox_drain(f.driver->node, f.agent[0]->sh), 0);
    assert_int_equal(ep_inbox_drain(f.driver->node, f.agent[1]->sh), f.rid);
}

static void test_a_closed_inbox_gives_the_record_back(void **state)
{
    (void)state;
    ep_shared_t *sh = f.worker[0][0]->sh;
    atomic_store(&sh->inbox, INBOX_CLOSED);
    assert_false(route_push(f.driver, f.rid, f.rec, f.worker[0][0]->gid));
    uint64_t word = atomic_load(&f.rec->word);
    assert_int_equal(record_word_state(word), RECORD_MOVING);
    assert_int_equal(record_word_gid(word), f.driver->gid);
    atomic_store(&sh->inbox, 0);
    assert_true(route_push(f.driver, f.rid, f.rec, f.worker[0][0]->gid));
    assert_int_equal(runq_next(f.worker[0][0]), f.rid);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_without_leases_it_is_the_agents),
        TEST(test_busy_workers_of_leased_ranks_take_turns),
        TEST(test_an_idle_one_is_given_once),
        TEST(test_awake_before_asleep_and_leased_before_others),
        TEST(test_none_is_woken_without_a_cpu_for_it),
        TEST(test_a_bound_one_is_not_woken_while_its_rank_uses_its_cores),
        TEST(test_one_is_woken_if_all_sleep),
        TEST(test_an_awake_idle_one_costs_no_cpu),
        TEST(test_who_is_excluded_or_left_the_mask_is_never_given),
        TEST(test_shortage_is_told_once_to_who_listens),
        TEST(test_a_shape_goes_to_the_agent_and_a_method_to_its_actor),
        TEST(test_a_shape_comes_back_to_the_agent_that_started_it),
        TEST(test_a_closed_inbox_gives_the_record_back),
    };
    return cmocka_run_group_tests_name("sched.route", tests, NULL, NULL);
}
