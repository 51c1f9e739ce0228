/* Where a worker's task goes that this worker has made ready: to itself, to an idle one, or where the arguments are. */
#include "route.h"

#include "runq.h"
#include "slot.h"
#include "test_node.h"

enum { FIRST = 8, N_WORKERS = 3, N_ARGS = 3, MOST = 128 };

typedef struct {
    test_node_t t;
    ep_t *driver, *workers[N_WORKERS], *far; /* far: of another rank of the node */
    sid_t args[N_ARGS];
    rid_t rid; /* WAITING for nothing any more */
    record_t *rec;
} fixture_t;

static fixture_t f;

static rid_t ready_record(unsigned n_refs, record_t **rec_p)
{
    rid_t rid = record_alloc(f.driver, n_refs, 0, rec_p);
    assert_int_not_equal(rid, 0);
    (*rec_p)->kind = RECORD_TASK;
    (*rec_p)->by_value = (uint16_t)((1u << n_refs) - 1);
    return rid;
}

static int setup(void **state)
{
    (void)state;
    test_node_make(&f.t, &(test_node_config_t){.n = 2, .n_cpus = 8, .segment = {.arena_bytes = 4096, .n_slots = 64, .n_records = 512}});
    f.driver = test_node_open(&f.t, 0, SEG_EP_MAIN, EP_KIND_USER, false);
    f.driver->seg->hdr->lease_mask[0] = 1;
    for (unsigned i = 0; i < N_WORKERS; i++) {
        f.workers[i] = test_node_open(&f.t, 0, FIRST + i, EP_KIND_WORKER, true);
        ep_mask_set(f.driver->seg->hdr->worker_mask, f.workers[i]->gid);
    }
    f.far = test_node_open(&f.t, 1, FIRST + N_WORKERS, EP_KIND_WORKER, true);
    ep_mask_set(f.far->seg->hdr->worker_mask, f.far->gid);
    f.rid = ready_record(N_ARGS, &f.rec);
    for (unsigned i = 0; i < N_ARGS; i++) {
        f.args[i] = slot_alloc_ready(f.driver, 0, 0, &(int64_t){0}, sizeof(int64_t));
        record_set_ref(f.driver, f.rec, i, slot_ref(f.driver, f.args[i]));
        slot_hold_for(f.driver, f.args[i], f.rid, i);
    }
    atomic_store(&f.rec->pending, 0);
    atomic_store(&f.rec->word, record_word(RECORD_WAITING, f.driver->gid, record_word_gen(atomic_load(&f.rec->word))));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < N_WORKERS; i++) ep_close(f.workers[i]);
    ep_close(f.far);
    ep_close(f.driver);
    test_node_free(&f.t);
    return 0;
}

static void have_tasks(const ep_t *worker, int n)
{
    for (int i = 0; i < n; i++) {
        record_t *rec;
        rid_t rid = ready_record(0, &rec);
        assert_true(route_push(f.driver, rid, rec, worker->gid));
    }
}

/* So that its line is in that worker's cache. */
static void touch(ep_t *worker, unsigned i)
{
    slot_change(worker, f.args[i], RC_HOLD);
    slot_change(worker, f.args[i], RC_DROP);
}

/* The first worker has others to run, and all arguments lie with that one. */
static void arguments_lie_with(ep_t *worker)
{
    have_tasks(f.workers[0], 1);
    for (unsigned i = 0; i < N_ARGS; i++) touch(worker, i);
}

/* The worker that has it after the first has made it ready. */
static int goes_to(void)
{
    route_ready(f.workers[0], f.rid);
    assert_int_equal(record_word_state(atomic_load(&f.rec->word)), RECORD_QUEUED);
    return (f.rec->target & 0xff) - FIRST;
}

static void test_who_has_nothing_else_keeps_it(void **state)
{
    (void)state;
    for (unsigned i = 0; i < N_ARGS; i++) touch(f.workers[1], i);
    assert_int_equal(goes_to(), 0);
    assert_int_equal(runq_next(f.workers[0]), f.rid);
}

static void test_an_idle_one_takes_it(void **state)
{
    (void)state;
    arguments_lie_with(f.workers[1]);
    ep_mask_set(f.driver->seg->hdr->idle_mask, f.workers[2]->gid);
    assert_int_equal(goes_to(), 2);
}

static void test_while_all_are_busy_it_goes_where_most_arguments_are(void **state)
{
    (void)state;
    have_tasks(f.workers[0], 1);
    touch(f.workers[2], 0);
    touch(f.workers[1], 1);
    touch(f.workers[2], 2);
    assert_int_equal(goes_to(), 2);
}

static void test_an_argument_that_nobody_has_touched_is_at_who_makes_it_ready(void **state)
{
    (void)state;
    have_tasks(f.workers[0], 1);
    touch(f.workers[0], 0);
    touch(f.workers[2], 2);
    assert_int_equal(goes_to(), 0);
}

static void test_not_to_one_that_blocks(void **state)
{
    (void)state;
    arguments_lie_with(f.workers[1]);
    ep_mask_clear(f.driver->seg->hdr->worker_mask, f.workers[1]->gid);
    assert_int_equal(goes_to(), 0);
}

static void test_not_to_one_that_sleeps(void **state)
{
    (void)state;
    arguments_lie_with(f.workers[1]);
    ep_mask_clear(f.driver->seg->hdr->awake_mask, f.workers[1]->gid);
    assert_int_equal(goes_to(), 0);
}

static void test_not_to_a_rank_without_a_lease(void **state)
{
    (void)state;
    arguments_lie_with(f.far);
    assert_int_equal(goes_to(), 0);
}

static void test_to_another_rank_with_one(void **state)
{
    (void)state;
    arguments_lie_with(f.far);
    f.driver->seg->hdr->lease_mask[0] = 3;
    route_ready(f.workers[0], f.rid);
    assert_int_equal(f.rec->target, f.far->gid);
}

/* Of n tasks without arguments that the first worker makes ready, those that go elsewhere. */
static int n_elsewhere(int n)
{
    int found = 0;
    for (int i = 0; i < n; i++) {
        record_t *rec;
        rid_t rid = ready_record(0, &rec);
        atomic_store(&rec->word, record_word(RECORD_WAITING, f.driver->gid, record_word_gen(atomic_load(&rec->word))));
        atomic_store(&rec->pending, 0);
        route_ready(f.workers[0], rid);
        found += rec->target != f.workers[0]->gid;
    }
    return found;
}

static void test_a_long_queue_is_shared_out_in_turn(void **state)
{
    (void)state;
    have_tasks(f.workers[0], MOST + 1);
    assert_int_equal(runq_count(f.workers[0], f.workers[0]->sh), MOST + 1);
    assert_int_equal(n_elsewhere(2 * N_WORKERS), 2 * (N_WORKERS - 1));
}

/* They lie in the worker's inbox until it is done, and do not count as its queue. */
static void test_many_that_one_task_fires_are_shared_out_in_turn(void **state)
{
    (void)state;
    have_tasks(f.workers[0], 2);
    assert_int_not_equal(runq_next(f.workers[0]), 0);
    assert_int_equal(n_elsewhere(MOST), 0);
    assert_int_equal(n_elsewhere(2 * N_WORKERS), 2 * (N_WORKERS - 1));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_who_has_nothing_else_keeps_it),
        TEST(test_an_idle_one_takes_it),
        TEST(test_while_all_are_busy_it_goes_where_most_arguments_are),
        TEST(test_an_argument_that_nobody_has_touched_is_at_who_makes_it_ready),
        TEST(test_not_to_one_that_blocks),
        TEST(test_not_to_one_that_sleeps),
        TEST(test_not_to_a_rank_without_a_lease),
        TEST(test_to_another_rank_with_one),
        TEST(test_a_long_queue_is_shared_out_in_turn),
        TEST(test_many_that_one_task_fires_are_shared_out_in_turn),
    };
    return cmocka_run_group_tests_name("sched.fired", tests, NULL, NULL);
}
