/* Run queues: fair among submitters, each record claimed once, whoever takes it: the worker, its agent, or somebody who runs it inline. */
#include "runq.h"

#include "futex.h"
#include "rng.h"
#include "test_child.h"
#include "test_node.h"

#include <string.h>
#include <sys/mman.h>

enum { N_SUBMITTERS = 3, N_RECORDS = 4096 };

typedef struct {
    test_node_t t;
    ep_t *agent, *worker, *sub[N_SUBMITTERS]; /* submitters of different lanes, the last of the other rank */
} fixture_t;

static unsigned lane_of(uint16_t gid)
{
    return (unsigned)(gid ^ gid >> 8) % RUNQ_LANES;
}

static int setup(void **state)
{
    static fixture_t f;
    test_node_make(&f.t, &(test_node_config_t){.n = 2, .segment = {.arena_bytes = 4096, .n_slots = 64, .n_records = N_RECORDS}});
    f.agent = test_node_open(&f.t, 0, SEG_EP_AGENT, EP_KIND_AGENT, false);
    f.worker = test_node_open(&f.t, 0, 8, EP_KIND_WORKER, true);
    f.sub[0] = test_node_open(&f.t, 0, 5, EP_KIND_USER, false);
    f.sub[1] = test_node_open(&f.t, 0, 6, EP_KIND_WORKER, true);
    f.sub[2] = test_node_open(&f.t, 1, 6, EP_KIND_WORKER, true);
    for (int i = 0; i < N_SUBMITTERS; i++)
        for (int k = 0; k < i; k++) assert_int_not_equal(lane_of(f.sub[i]->gid), lane_of(f.sub[k]->gid));
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture_t *f = *state;
    assert_int_equal(runq_next(f->worker), 0);
    assert_int_equal(runq_depth(f->worker->sh), 0);
    assert_int_equal(test_records_used(f->agent), 0);
    assert_int_equal(test_records_used(f->sub[2]), 0);
    ep_close(f->agent);
    ep_close(f->worker);
    for (int i = 0; i < N_SUBMITTERS; i++) ep_close(f->sub[i]);
    test_node_free(&f->t);
    return 0;
}

/* Queued for the worker, as route.c does. */
static void queue_again(ep_t *ep, uint16_t to, rid_t rid)
{
    record_t *rec = record_at(ep, rid);
    rec->target = to;
    atomic_store(&rec->word, record_word(RECORD_QUEUED, to, record_word_gen(atomic_load(&rec->word))));
    assert_true(ep_inbox_push(ep->node, ep_shared_at(ep->node, to), rid));
}

static rid_t submit(fixture_t *f, int who, uint32_t number)
{
    record_t *rec;
    rid_t rid = record_alloc(f->sub[who], 0, 0, &rec);
    assert_int_not_equal(rid, 0);
    rec->kind = RECORD_TASK;
    rec->fn = number;
    queue_again(f->sub[who], f->worker->gid, rid);
    return rid;
}

static uint64_t word_of(fixture_t *f, rid_t rid)
{
    return atomic_load(&record_at(f->agent, rid)->word);
}

static record_t *at(fixture_t *f, rid_t rid)
{
    return record_at(f->worker, rid);
}

/* The next record, run to its end; its submitter and number. */
static bool run_next(fixture_t *f, uint16_t *creator_p, uint32_t *number_p)
{
    rid_t rid = runq_next(f->worker);
    if (rid == 0) return false;
    assert_int_equal(record_word_state(word_of(f, rid)), RECORD_RUNNING);
    assert_int_equal(record_word_gid(word_of(f, rid)), f->worker->gid);
    if (creator_p != NULL) *creator_p = at(f, rid)->creator;
    if (number_p != NULL) *number_p = at(f, rid)->fn;
    runq_free_record(f->worker, rid, at(f, rid));
    return true;
}

/* ---- order and fairness ---- */

static void test_one_submitters_tasks_come_in_order(void **state)
{
    fixture_t *f = *state;
    uint32_t next = 0, number;
    for (uint32_t i = 0; i < 1000; i++) {
        submit(f, 0, i);
        if (i % 3 == 0) {
            assert_true(run_next(f, NULL, &number));
            assert_int_equal(number, next++);
        }
    }
    while (run_next(f, NULL, &number)) assert_int_equal(number, next++);
    assert_int_equal(next, 1000);
}

static void test_one_task_is_not_kept_waiting_by_a_thousand(void **state)
{
    fixture_t *f = *state;
    uint16_t creator;
    for (int late = 0; late < 2; late++) {
        for (uint32_t i = 0; i < 1000; i++) submit(f, 0, i);
        if (late)
            for (int i = 0; i < 3; i++) assert_true(run_next(f, NULL, NULL)); /* a batch of the first submitter's is noted already */
        submit(f, 1, 0);
        int turn = 1;
        while (assert_true(run_next(f, &creator, NULL)), creator != f->sub[1]->gid) turn++;
        assert_true(turn <= (late ? RUNQ_BATCH : 0) + RUNQ_LANES);
        while (run_next(f, NULL, NULL)) continue;
    }
}

static void test_submitters_share_alike(void **state)
{
    fixture_t *f = *state;
    static const uint32_t n_tasks[N_SUBMITTERS] = {900, 100, 300};
    for (int s = 0; s < N_SUBMITTERS; s++)
        for (uint32_t i = 0; i < n_tasks[s]; i++) submit(f, s, i);
    uint32_t n_run[N_SUBMITTERS] = {0}, number;
    uint16_t creator;
    while (run_next(f, &creator, &number)) {
        for (int s = 0; s < N_SUBMITTERS; s++) {
            if (creator != f->sub[s]->gid) continue;
            assert_int_equal(number, n_run[s]);
            n_run[s]++;
        }
        for (int s = 1; s < N_SUBMITTERS && n_run[1] < n_tasks[1]; s++) assert_in_range(n_run[s] + 2, n_run[0], n_run[0] + 4);
    }
    for (int s = 0; s < N_SUBMITTERS; s++) assert_int_equal(n_run[s], n_tasks[s]);
}

static void test_own_tasks_run_behind_the_current_one(void **state)
{
    fixture_t *f = *state;
    uint32_t number;
    for (uint32_t i = 0; i < 3 * RUNQ_BATCH; i++) { /* more than the batch has room for: the rest goes round by the inbox */
        record_t *rec;
        rid_t rid = record_alloc(f->worker, 0, 0, &rec);
        rec->fn = i;
        rec->target = f->worker->gid;
        atomic_store(&rec->word, record_word(RECORD_QUEUED, f->worker->gid, record_word_gen(atomic_load(&rec->word))));
        runq_push_self(f->worker, rid);
    }
    for (uint32_t i = 0; i < 3 * RUNQ_BATCH; i++) {
        assert_true(run_next(f, NULL, &number));
        assert_int_equal(number, i);
    }
    assert_false(run_next(f, NULL, NULL));
}

/* ---- taking ---- */

static void test_taken_tasks_are_the_oldest_and_the_rest_stays(void **state)
{
    fixture_t *f = *state;
    enum { N = 40, TAKEN = 12 };
    rid_t rids[N], taken[N];
    uint32_t number;
    for (uint32_t i = 0; i < N; i++) rids[i] = submit(f, 0, i);
    assert_int_equal(runq_take(f->agent, f->worker->sh, f->worker->gid, TAKEN, taken), TAKEN);
    for (int i = 0; i < TAKEN; i++) {
        assert_int_equal(taken[i], rids[i]);
        assert_int_equal(record_word_gid(word_of(f, taken[i])), f->agent->gid); /* nobody else's */
        assert_false(runq_contains(f->agent, f->worker->sh, taken[i]));
        record_free(f->agent, taken[i], at(f, taken[i]));
    }
    for (uint32_t i = TAKEN; i < N; i++) {
        assert_true(run_next(f, NULL, &number));
        assert_int_equal(number, i);
    }
}

static void test_noted_tasks_can_be_taken_but_not_those_that_run(void **state)
{
    fixture_t *f = *state;
    rid_t taken[64];
    for (uint32_t i = 0; i < RUNQ_BATCH; i++) submit(f, 0, i);
    rid_t running = runq_next(f->worker); /* the others are in the batch */
    unsigned n = runq_take(f->agent, f->worker->sh, f->worker->gid, 64, taken);
    assert_int_equal(n, RUNQ_BATCH - 1);
    for (unsigned i = 0; i < n; i++) {
        assert_int_not_equal(taken[i], running);
        record_free(f->agent, taken[i], at(f, taken[i]));
    }
    assert_int_equal(runq_take(f->agent, f->worker->sh, f->worker->gid, 64, taken), 0);
    runq_free_record(f->worker, running, at(f, running));
}

static void test_depth_and_contains_follow_the_queue(void **state)
{
    fixture_t *f = *state;
    rid_t rids[20], absent = 0;
    assert_int_equal(runq_depth(f->worker->sh), 0);
    for (uint32_t i = 0; i < 20; i++) rids[i] = submit(f, (int)i % 2, i);
    assert_true(runq_depth(f->worker->sh) >= 1);
    record_t *rec;
    absent = record_alloc(f->sub[0], 0, 0, &rec);
    assert_false(runq_contains(f->agent, f->worker->sh, absent));
    record_free(f->sub[0], absent, rec);
    for (int i = 0; i < 20; i++) assert_true(runq_contains(f->agent, f->worker->sh, rids[i])); /* from the inbox into the lanes */
    assert_int_equal(runq_depth(f->worker->sh), 20);
    rid_t first = runq_next(f->worker); /* now some are noted in the batch */
    for (int i = 0; i < 20; i++) assert_int_equal(runq_contains(f->agent, f->worker->sh, rids[i]), rids[i] != first);
    assert_int_equal(runq_depth(f->worker->sh), 19);
    runq_free_record(f->worker, first, at(f, first));
    while (run_next(f, NULL, NULL)) continue;
}

/* ---- inline ---- */

static void test_inline_claim_is_skipped_by_the_queue(void **state)
{
    fixture_t *f = *state;
    uint32_t number;
    rid_t rids[3];
    for (uint32_t i = 0; i < 3; i++) rids[i] = submit(f, 0, i);
    assert_true(runq_claim_inline(f->sub[0], at(f, rids[1]), word_of(f, rids[1])));
    assert_int_equal(record_word_state(word_of(f, rids[1])), RECORD_RUNNING);
    assert_int_equal(record_word_gid(word_of(f, rids[1])), f->sub[0]->gid);
    assert_true(run_next(f, NULL, &number));
    assert_int_equal(number, 0);
    assert_true(run_next(f, NULL, &number)); /* meets the claimed one on the way and lets go of it */
    assert_int_equal(number, 2);
    assert_int_equal(record_word_state(word_of(f, rids[1])), RECORD_RUNNING); /* its runner has it still */
    runq_free_record(f->sub[0], rids[1], at(f, rids[1]));
    assert_int_equal(record_word_state(word_of(f, rids[1])), RECORD_FREE);
}

static void test_inline_record_is_freed_by_whoever_comes_second(void **state)
{
    fixture_t *f = *state;
    rid_t rid = submit(f, 0, 0), taken[4];
    for (int who = 0; who < 2; who++) {
        uint32_t gen = record_word_gen(word_of(f, rid));
        assert_true(runq_claim_inline(f->sub[1], at(f, rid), word_of(f, rid)));
        runq_free_record(f->sub[1], rid, at(f, rid)); /* done, but still linked in the worker's queue */
        assert_int_equal(record_word_gen(word_of(f, rid)), gen);
        assert_int_not_equal(record_word_state(word_of(f, rid)), RECORD_FREE);
        if (who == 0)
            assert_int_equal(runq_next(f->worker), 0);
        else
            assert_int_equal(runq_take(f->agent, f->worker->sh, f->worker->gid, 4, taken), 0);
        assert_int_equal(record_word_state(word_of(f, rid)), RECORD_FREE);
        assert_int_equal(record_word_gen(word_of(f, rid)), gen + 1);
        if (who == 0) rid = submit(f, 0, 1);
    }
}

/* A purge frees what was run inline anywhere in the queue, and leaves the rest in its order. */
static void test_purge_frees_what_was_run_inline(void **state)
{
    enum { N = 40 };
    fixture_t *f = *state;
    rid_t rids[N];
    uint32_t n_inline = 0, number;
    assert_int_equal(runq_purge(f->agent), 0);
    for (uint32_t i = 0; i < N; i++) rids[i] = submit(f, 0, i);
    for (uint32_t i = 0; i < N; i++) {
        if (i % 3 == 1) continue;
        assert_true(runq_claim_inline(f->sub[0], at(f, rids[i]), word_of(f, rids[i])));
        if (i % 3 == 0) runq_free_record(f->sub[0], rids[i], at(f, rids[i])); /* done; every third one is still being run */
        n_inline++;
    }
    assert_int_equal(runq_purge(f->agent), n_inline);
    assert_int_equal(runq_depth(f->worker->sh), N - n_inline);
    for (uint32_t i = 0; i < N; i++) {
        if (i % 3 == 0) assert_int_equal(record_word_state(word_of(f, rids[i])), RECORD_FREE);
        if (i % 3 != 2) continue;
        assert_int_equal(record_word_state(word_of(f, rids[i])), RECORD_RUNNING);
        runq_free_record(f->sub[0], rids[i], at(f, rids[i]));
        assert_int_equal(record_word_state(word_of(f, rids[i])), RECORD_FREE);
    }
    (void)submit(f, 0, N + 1); /* the lane's tail is right */
    for (uint32_t i = 0; i < N; i++) {
        if (i % 3 != 1) continue;
        assert_true(run_next(f, NULL, &number));
        assert_int_equal(number, i);
    }
    assert_true(run_next(f, NULL, &number));
    assert_int_equal(number, N + 1);
}

static void test_inline_claim_wants_the_very_word(void **state)
{
    fixture_t *f = *state;
    rid_t rid = submit(f, 0, 0);
    uint64_t old = word_of(f, rid);
    assert_int_equal(runq_next(f->worker), rid);
    assert_false(runq_claim_inline(f->sub[0], at(f, rid), old)); /* it runs */
    runq_free_record(f->sub[0], rid, at(f, rid)); /* into its own stack */
    assert_false(runq_claim_inline(f->sub[0], at(f, rid), old));
    assert_int_equal(submit(f, 0, 0), rid); /* the same record in another life */
    assert_false(runq_claim_inline(f->sub[0], at(f, rid), old));
    assert_true(run_next(f, NULL, NULL));
}

/* ---- death ---- */

static void test_recovery_frees_the_lock_and_lets_go_of_all(void **state)
{
    fixture_t *f = *state;
    rid_t rids[30];
    for (uint32_t i = 0; i < 30; i++) rids[i] = submit(f, (int)i % 3, i);
    rid_t running = runq_next(f->worker);
    rid_t in_lane = rids[28], done = rids[29];
    assert_true(in_lane != running && done != running);
    assert_true(runq_claim_inline(f->sub[0], at(f, in_lane), word_of(f, in_lane)));
    assert_true(runq_claim_inline(f->sub[0], at(f, done), word_of(f, done)));
    runq_free_record(f->sub[0], done, at(f, done));
    holderlock_acquire(&f->worker->sh->lock, f->worker->gid); /* and dies */
    runq_recover(f->agent, f->worker->gid);
    assert_int_equal(holderlock_holder(&f->worker->sh->lock), 0);
    assert_int_equal(runq_depth(f->worker->sh), 0);
    for (int i = 0; i < 30; i++) assert_false(runq_contains(f->agent, f->worker->sh, rids[i]));
    assert_int_equal(record_word_state(word_of(f, done)), RECORD_FREE);
    runq_free_record(f->sub[0], in_lane, at(f, in_lane)); /* nobody will meet it: its runner frees it */
    assert_int_equal(record_word_state(word_of(f, in_lane)), RECORD_FREE);
    for (int i = 0; i < 28; i++) /* the others still say where they were; the agent finds them so */
        if (rids[i] != running) {
            assert_int_equal(record_word_state(word_of(f, rids[i])), RECORD_QUEUED);
            assert_int_equal(record_word_gid(word_of(f, rids[i])), f->worker->gid);
            record_free(f->agent, rids[i], at(f, rids[i]));
        }
    runq_free_record(f->agent, running, at(f, running));
}

/* ---- at once ---- */

enum { N_TASKS = 30000 };

typedef struct {
    _Atomic uint8_t n_run[N_TASKS];
} counts_t;

typedef struct {
    fixture_t *f;
    counts_t *counts;
} busy_t;

/* A worker process: runs what it finds until the last one comes. */
static void work(void *arg)
{
    busy_t *b = arg;
    ep_t *ep = b->f->worker;
    for (;;) {
        rid_t rid = runq_next(ep);
        if (rid == 0) {
            base_cpu_relax();
            continue;
        }
        record_t *rec = record_at(ep, rid);
        bool last = rec->attempt == 1;
        if (!last) atomic_fetch_add(&b->counts->n_run[rec->fn], 1);
        runq_free_record(ep, rid, rec);
        if (last) return;
    }
}

static void take_some(busy_t *b, base_rng_t *rng)
{
    fixture_t *f = b->f;
    rid_t rids[16];
    unsigned n = runq_take(f->agent, f->worker->sh, f->worker->gid, (unsigned)base_rng_range(rng, 1, 16), rids);
    for (unsigned i = 0; i < n; i++) {
        if (base_rng_below(rng, 2) == 0) { /* back again */
            queue_again(f->agent, f->worker->gid, rids[i]);
            continue;
        }
        atomic_fetch_add(&b->counts->n_run[at(f, rids[i])->fn], 1);
        runq_free_record(f->agent, rids[i], at(f, rids[i]));
    }
}

/* As somebody who waits for its result. */
static void run_inline(busy_t *b, rid_t rid, uint64_t word)
{
    fixture_t *f = b->f;
    if (record_word_state(word) != RECORD_QUEUED || !runq_claim_inline(f->sub[0], at(f, rid), word)) return;
    atomic_fetch_add(&b->counts->n_run[at(f, rid)->fn], 1);
    runq_free_record(f->sub[0], rid, at(f, rid));
}

static void test_worker_agent_and_waiters_run_each_task_once(void **state)
{
    busy_t b = {.f = *state};
    base_rng_t rng;
    base_rng_seed(&rng, test_seed());
    b.counts = mmap(NULL, sizeof *b.counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(b.counts, MAP_FAILED);
    pid_t pid = test_child_start(work, &b);
    for (uint32_t i = 0; i < N_TASKS; i++) {
        while (runq_depth(b.f->worker->sh) > N_RECORDS / 4) take_some(&b, &rng);
        rid_t rid = submit(b.f, (int)(i % 2), i);
        uint64_t word = word_of(b.f, rid);
        if (base_rng_below(&rng, 4) == 0) run_inline(&b, rid, word);
        if (base_rng_below(&rng, 50) == 0) take_some(&b, &rng);
    }
    while (runq_depth(b.f->worker->sh) > 0) usleep(100);
    record_t *rec;
    rid_t last = record_alloc(b.f->sub[0], 0, 0, &rec);
    rec->attempt = 1;
    queue_again(b.f->sub[0], b.f->worker->gid, last);
    test_child_join(pid);
    for (uint32_t i = 0; i < N_TASKS; i++)
        if (b.counts->n_run[i] != 1) fail_msg("task %u ran %u times", i, b.counts->n_run[i]);
    munmap(b.counts, sizeof *b.counts);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_one_submitters_tasks_come_in_order),
        TEST(test_one_task_is_not_kept_waiting_by_a_thousand),
        TEST(test_submitters_share_alike),
        TEST(test_own_tasks_run_behind_the_current_one),
        TEST(test_taken_tasks_are_the_oldest_and_the_rest_stays),
        TEST(test_noted_tasks_can_be_taken_but_not_those_that_run),
        TEST(test_depth_and_contains_follow_the_queue),
        TEST(test_inline_claim_is_skipped_by_the_queue),
        TEST(test_inline_record_is_freed_by_whoever_comes_second),
        TEST(test_purge_frees_what_was_run_inline),
        TEST(test_inline_claim_wants_the_very_word),
        TEST(test_recovery_frees_the_lock_and_lets_go_of_all),
        TEST(test_worker_agent_and_waiters_run_each_task_once),
    };
    return cmocka_run_group_tests_name("sched.runq", tests, NULL, NULL);
}
