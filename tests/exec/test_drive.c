/* A thread that waits makes the agent's rounds, and hands them back to the helper thread. */
#include "drive.h"

#include "clock.h"
#include "error.h"
#include "request.h"
#include "route.h"
#include "test_agents.h"
#include "test_child.h"
#include "wait.h"

#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum { THREADS = 3, QUESTIONS = 2000 };

typedef struct {
    mray_ref reply;
    int32_t rank, n;
} question_t;

static struct {
    test_agents_t agents;
    ep_t *ep;
} f;

static _Thread_local bool is_test_thread;
static atomic_int n_here; /* questions that the thread of the test has handled itself */

static void on_question(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    question_t q;
    (void)src_rank;
    memcpy(&q, body, sizeof q);
    if (is_test_thread) atomic_fetch_add(&n_here, 1);
    if (q.rank != agent->node->rank)
        agent_send(agent, q.rank, CONTROL_KV, body, bytes);
    else
        request_answer(agent, q.reply, MRAY_OK, NULL, &q.n, sizeof q.n);
}

static int setup(void **state)
{
    (void)state;
    test_agents_make(&f.agents, 1024);
    agent_register(f.agents.of[0], CONTROL_KV, on_question);
    f.ep = test_agents_open(&f.agents, 0);
    test_agents_start(&f.agents);
    drive_install(f.agents.of[0]);
    is_test_thread = true;
    atomic_store(&n_here, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    drive_install(NULL);
    test_agents_stop(&f.agents);
    assert_int_equal(test_slots_used(f.ep), 0);
    assert_int_equal(test_records_used(f.ep), 0);
    ep_close(f.ep);
    test_agents_free(&f.agents);
    return 0;
}

static int ask(ep_t *ep, int rank, int n)
{
    question_t q = {.rank = rank, .n = n};
    int32_t answer = -1;
    if (request_call(ep, CONTROL_KV, &q, sizeof q, &answer, sizeof answer) != MRAY_OK) return -1;
    return answer;
}

static void until(bool (*true_fn)(const agent_t *agent))
{
    uint64_t limit_ns = base_clock_deadline(UINT64_C(20000000000));
    while (!true_fn(f.agents.of[0])) {
        if (base_clock_ns() > limit_ns) fail_msg("it does not come to that");
        sched_yield();
    }
}

static bool is_parked(const agent_t *agent)
{
    return atomic_load(&agent->parked);
}

static void test_what_is_pushed_first_after_a_wait_is_handled_by_its_thread(void **state)
{
    (void)state;
    int n_first = 0;
    for (int i = 0; i < 50; i++) {
        assert_int_equal(ask(f.ep, 1, i), i); /* waits */
        until(is_parked);
        question_t q = {.rank = 0, .n = i};
        sid_t sid = slot_alloc(f.ep, 1);
        q.reply = slot_ref(f.ep, sid);
        if (drive_before_push(f.ep)) { /* the helper may have looked up just now: then it is its */
            atomic_store(&n_here, 0);
            assert_int_equal(route_control(f.ep, f.agents.of[0]->ep->gid, CONTROL_KV, &q, sizeof q), MRAY_OK);
            drive_after_push();
            n_first += atomic_load(&n_here);
            assert_false(drive_has_driver(f.agents.of[0]));
            assert_false(drive_before_push(f.ep)); /* the second is the helper's */
        } else {
            assert_int_equal(route_control(f.ep, f.agents.of[0]->ep->gid, CONTROL_KV, &q, sizeof q), MRAY_OK);
        }
        assert_int_equal(wait_slots(f.ep, &sid, 1, 1, BASE_FOREVER), 1);
        slot_change(f.ep, sid, RC_DROP_CREATOR);
    }
    assert_true(n_first > 25);
}

typedef struct {
    pthread_t thread;
    sid_t sid;
    ep_t *ep;
    int n_wrong;
} waiter_t;

static void *wait_for_it(void *arg)
{
    waiter_t *w = arg;
    w->ep = test_node_open(&f.agents.nodes[0], 0, 0, EP_KIND_USER, false);
    w->n_wrong = wait_slots(w->ep, &w->sid, 1, 1, BASE_FOREVER) != 1;
    ep_close(w->ep);
    return NULL;
}

/* While one waits, it drives or sleeps between its looks; when its wait is over, the helper polls again. */
static void test_the_helper_takes_over_when_the_wait_ends(void **state)
{
    (void)state;
    waiter_t w = {.sid = slot_alloc(f.ep, 1)};
    assert_int_equal(pthread_create(&w.thread, NULL, wait_for_it, &w), 0);
    until(drive_has_driver);
    until(is_parked);
    question_t q = {.rank = 1, .n = 5};
    int32_t answer = 0;
    is_test_thread = false;
    assert_int_equal(request_call(f.ep, CONTROL_KV, &q, sizeof q, &answer, sizeof answer), MRAY_OK);
    assert_int_equal(answer, 5);
    pthread_mutex_lock(&f.agents.of[0]->lock);
    request_answer(f.agents.of[0], slot_ref(f.ep, w.sid), MRAY_OK, NULL, &answer, sizeof answer);
    pthread_mutex_unlock(&f.agents.of[0]->lock);
    assert_int_equal(pthread_join(w.thread, NULL), 0);
    assert_int_equal(w.n_wrong, 0);
    assert_false(drive_has_driver(f.agents.of[0]));
    /* Pushed by one that cannot drive, to a helper that may still be asleep: it must be woken, or wake by itself soon. */
    sid_t sid = slot_alloc(f.ep, 1);
    q = (question_t){.reply = slot_ref(f.ep, sid), .rank = 1, .n = 6};
    assert_int_equal(route_control(f.ep, f.agents.of[0]->ep->gid, CONTROL_KV, &q, sizeof q), MRAY_OK);
    uint64_t limit_ns = base_clock_deadline(UINT64_C(20000000000));
    while (!slot_is_ready(slot_at(f.ep, sid)) && base_clock_ns() < limit_ns) sched_yield();
    assert_true(slot_is_ready(slot_at(f.ep, sid)));
    slot_change(f.ep, sid, RC_DROP_CREATOR);
    slot_change(f.ep, w.sid, RC_DROP_CREATOR);
}

static void *ask_many(void *arg)
{
    waiter_t *w = arg;
    w->ep = test_node_open(&f.agents.nodes[0], 0, 0, EP_KIND_USER, false);
    for (int i = 0; i < QUESTIONS; i++) w->n_wrong += ask(w->ep, i % 7 == 0 ? 0 : 1, i) != i;
    ep_close(w->ep);
    return NULL;
}

static void test_threads_that_wait_at_the_same_time_all_get_their_answers(void **state)
{
    (void)state;
    waiter_t w[THREADS] = {0};
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&w[i].thread, NULL, ask_many, &w[i]), 0);
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_join(w[i].thread, NULL), 0);
    for (int i = 0; i < THREADS; i++) assert_int_equal(w[i].n_wrong, 0);
    assert_false(drive_has_driver(f.agents.of[0]));
}

/* Nobody completes the slot: the time limit ends the wait, and the rounds with it. */
static void test_a_wait_with_a_time_limit_stops_driving(void **state)
{
    (void)state;
    sid_t sid = slot_alloc(f.ep, 1);
    for (uint64_t limit_ns = 1000; limit_ns <= 10000000; limit_ns *= 100) {
        uint64_t start_ns = base_clock_ns();
        assert_int_equal(wait_slots(f.ep, &sid, 1, 1, base_clock_deadline(limit_ns)), 0);
        assert_true(base_clock_ns() - start_ns >= limit_ns);
        assert_false(drive_has_driver(f.agents.of[0]));
    }
    assert_int_equal(ask(f.ep, 1, 3), 3);
    slot_give_back(f.ep, sid);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_pushed_first_after_a_wait_is_handled_by_its_thread),
        TEST(test_the_helper_takes_over_when_the_wait_ends),
        TEST(test_threads_that_wait_at_the_same_time_all_get_their_answers),
        TEST(test_a_wait_with_a_time_limit_stops_driving),
    };
    return cmocka_run_group_tests_name("exec.drive", tests, NULL, NULL);
}
