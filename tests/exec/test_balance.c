/* Queues of a packed node: which are relieved, by how many workers, and when the looks end; and the CPU of a thread that falls asleep. */
#include "balance.h"

#include "route.h"
#include "runq.h"
#include "test_node.h"

#include <time.h>

enum { FIRST = 8, WORKERS = 5, TASKS = 40 };

typedef struct {
    test_node_t t;
    ep_t *driver, *worker[WORKERS];
    agent_t agent;
    balance_t *balance;
    rid_t rids[TASKS];
} fixture_t;

static fixture_t f;

static seg_header_t *header(void)
{
    return f.t.of[0]->segs[0].hdr;
}

static void put_to_sleep(const ep_t *ep)
{
    ep_mask_set(header()->idle_mask, ep->gid);
    ep_mask_clear(header()->awake_mask, ep->gid);
}

/* Worker 0 is awake, the others sleep. */
static int setup(void **state)
{
    (void)state;
    f = (fixture_t){0};
    test_node_make(&f.t, &(test_node_config_t){.n = 1, .n_cpus = 1, .segment = {.arena_bytes = 4096, .n_slots = 64, .n_records = 512}});
    f.agent.node = f.t.of[0];
    f.agent.ep = test_node_open(&f.t, 0, SEG_EP_AGENT, EP_KIND_AGENT, false);
    f.driver = test_node_open(&f.t, 0, SEG_EP_MAIN, EP_KIND_USER, false);
    for (unsigned w = 0; w < WORKERS; w++) {
        f.worker[w] = test_node_open(&f.t, 0, FIRST + w, EP_KIND_WORKER, true);
        ep_mask_set(header()->worker_mask, f.worker[w]->gid);
        if (w > 0) put_to_sleep(f.worker[w]);
    }
    atomic_store(&header()->lease_mask[0], 1);
    assert_int_equal(balance_create(&f.agent, &f.balance), MRAY_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    balance_destroy(f.balance);
    for (unsigned w = 0; w < WORKERS; w++) ep_close(f.worker[w]);
    ep_close(f.driver);
    ep_close(f.agent.ep);
    test_node_free(&f.t);
    return 0;
}

static void push(int n)
{
    for (int i = 0; i < n; i++) {
        record_t *rec;
        f.rids[i] = record_alloc(f.driver, 0, 0, &rec);
        assert_int_not_equal(f.rids[i], 0);
        rec->kind = RECORD_TASK;
        route_ready(f.driver, f.rids[i]);
    }
}

/* Tasks in the queue of worker w, which runs them all. */
static unsigned run_all(int w)
{
    unsigned n = 0;
    for (rid_t rid; (rid = runq_next(f.worker[w])) != 0; n++) record_free(f.worker[w], rid, record_at(f.worker[w], rid));
    return n;
}

/* The next look is due a millisecond after the last, by the clock. */
static int look_when_due(balance_t *balance)
{
    nanosleep(&(struct timespec){.tv_nsec = 1200000}, NULL);
    return balance_round(balance);
}

static int look(void)
{
    return look_when_due(f.balance);
}

static void test_tasks_behind_a_long_one_are_spread(void **state)
{
    (void)state;
    push(8);
    assert_true(balance_has_news(f.balance));
    assert_int_equal(balance_round(f.balance), 0); /* it may be moving: that is seen a millisecond later */
    assert_int_equal(balance_nap_ns(f.balance), 1000000);
    assert_false(balance_has_news(f.balance));
    assert_int_equal(look(), 4);
    for (int w = 1; w < WORKERS; w++) assert_int_equal(run_all(w), 1);
    assert_int_equal(run_all(0), 4);
}

static void test_a_queue_that_moves_goes_to_one_worker_or_to_none(void **state)
{
    (void)state;
    push(TASKS);
    assert_int_equal(balance_round(f.balance), 0);
    rid_t rid = runq_next(f.worker[0]); /* one in a millisecond is too slow for the rest */
    assert_int_not_equal(rid, 0);
    record_free(f.worker[0], rid, record_at(f.worker[0], rid));
    assert_int_equal(look(), TASKS / 2);
    int n_with = 0;
    for (int w = 1; w < WORKERS; w++) {
        n_with += run_all(w) > 0;
        put_to_sleep(f.worker[w]);
    }
    assert_int_equal(n_with, 1);
    assert_int_not_equal(run_all(0), 0);
    push(4);
    assert_int_equal(look(), 0); /* at that pace it is empty soon */
    assert_int_equal(run_all(0), 4);
}

static void test_looks_end_when_queues_stay_empty(void **state)
{
    (void)state;
    push(2);
    assert_int_equal(balance_round(f.balance), 0);
    assert_int_equal(run_all(0), 2);
    for (int i = 0; i < 5; i++) assert_int_equal(look(), 0);
    assert_int_equal(atomic_load(&header()->packed), 1);
    for (int i = 0; i < 5; i++) assert_int_equal(look(), 0);
    assert_int_equal(atomic_load(&header()->packed), 0);
    assert_int_equal(balance_nap_ns(f.balance), UINT64_MAX);
    push(20); /* more than a choice holds for */
    assert_int_equal(atomic_load(&header()->packed), 1);
    assert_int_equal(run_all(0), 20);
}

static void test_who_falls_asleep_gives_its_cpu_to_a_queue(void **state)
{
    (void)state;
    balance_offer_cpu(f.driver);
    assert_false(balance_has_news(f.balance)); /* nothing waits for one */
    push(8);
    assert_int_equal(balance_round(f.balance), 0);
    balance_offer_cpu(f.driver);
    assert_true(balance_has_news(f.balance));
    assert_int_equal(balance_round(f.balance), 4);
    assert_int_equal(runq_count(f.agent.ep, f.worker[0]->sh), 4);
    assert_int_equal(run_all(0) + run_all(1) + run_all(2) + run_all(3) + run_all(4), 8);
}

/* A task of another shape goes back to its agent: the worker that was picked for it is woken, and says again that it is idle. */
static void test_who_was_picked_in_vain_is_woken(void **state)
{
    (void)state;
    for (int w = 1; w < WORKERS; w++) atomic_store(&f.worker[w]->sh->asleep, 1);
    push(2);
    for (int i = 0; i < 2; i++) record_at(f.driver, f.rids[i])->shape = 1;
    assert_int_equal(balance_round(f.balance), 0);
    assert_int_equal(look(), 1);
    int n_woken = 0;
    for (int w = 1; w < WORKERS; w++) n_woken += atomic_load(&f.worker[w]->sh->asleep) == 0;
    assert_int_equal(n_woken, 1);
    assert_int_not_equal(ep_inbox_drain(f.agent.node, f.agent.ep->sh), 0);
}

/* The first rank, which looks, has no workers, as that of a driver; the tasks came from another node to the second one. */
static void test_what_another_rank_received_goes_back_to_its_agent(void **state)
{
    (void)state;
    test_node_t t;
    balance_t *balance;
    rid_t rids[8], got[64];
    test_node_make(&t, &(test_node_config_t){.n = 2, .n_elsewhere = 1, .n_cpus = 1, .segment = {.arena_bytes = 4096, .n_slots = 64, .n_records = 512}});
    agent_t agent = {.node = t.of[0], .ep = test_node_open(&t, 0, SEG_EP_AGENT, EP_KIND_AGENT, false)};
    ep_t *receiver = test_node_open(&t, 1, SEG_EP_AGENT, EP_KIND_AGENT, false), *worker[2];
    seg_header_t *h = t.of[0]->segs[1].hdr;
    for (unsigned w = 0; w < 2; w++) {
        worker[w] = test_node_open(&t, 1, FIRST + w, EP_KIND_WORKER, true);
        ep_mask_set(h->worker_mask, worker[w]->gid);
    }
    ep_mask_set(h->idle_mask, worker[1]->gid);
    ep_mask_clear(h->awake_mask, worker[1]->gid);
    assert_int_equal(balance_create(&agent, &balance), MRAY_OK);
    for (int i = 0; i < 8; i++) {
        record_t *rec;
        assert_int_not_equal(rids[i] = record_alloc(receiver, 0, 0, &rec), 0);
        rec->kind = RECORD_TASK;
        rec->actor = RECORD_HERE;
        assert_true(route_push(receiver, rids[i], rec, worker[0]->gid));
    }
    route_tell_packed(t.of[1]);
    assert_int_equal(balance_round(balance), 0);
    assert_int_equal(look_when_due(balance), 4);
    assert_int_equal(runq_take(receiver, worker[1]->sh, worker[1]->gid, 64, got), 1);
    int n = 0;
    for (rid_t rid = ep_inbox_drain(t.of[1], receiver->sh); rid != 0; rid = atomic_load(&record_at(receiver, rid)->next)) n++;
    assert_int_equal(n, 3);
    assert_int_equal(ep_inbox_drain(t.of[0], agent.ep->sh), 0);
    balance_destroy(balance);
    for (unsigned w = 0; w < 2; w++) ep_close(worker[w]);
    ep_close(receiver);
    ep_close(agent.ep);
    test_node_free(&t);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_tasks_behind_a_long_one_are_spread),
        TEST(test_a_queue_that_moves_goes_to_one_worker_or_to_none),
        TEST(test_looks_end_when_queues_stay_empty),
        TEST(test_who_falls_asleep_gives_its_cpu_to_a_queue),
        TEST(test_who_was_picked_in_vain_is_woken),
        cmocka_unit_test(test_what_another_rank_received_goes_back_to_its_agent),
    };
    return cmocka_run_group_tests_name("exec.balance", tests, NULL, NULL);
}
