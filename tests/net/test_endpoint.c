/* Endpoints: indices are given out once and used again, inboxes keep each pusher's order and can be closed, sleepers are woken. */
#include "endpoint.h"

#include "clock.h"
#include "test_child.h"
#include "test_node.h"

#include <sched.h>
#include <string.h>

enum { N_PUSHERS = 3, N_PUSHES = 3000, N_TURNS = 2000 };
static const test_node_config_t two_ranks = {.n = 2, .n_cpus = 2, .segment = {.arena_bytes = 4096, .n_slots = 64, .n_records = 16384}};

static rid_t record_by(ep_t *ep, uint32_t number)
{
    record_t *rec;
    rid_t rid = record_alloc(ep, 0, 0, &rec);
    assert_int_not_equal(rid, 0);
    rec->fn = number;
    return rid;
}

static uint32_t number_of(ep_t *ep, rid_t rid)
{
    return record_at(ep, rid)->fn;
}

static rid_t after(ep_t *ep, rid_t rid)
{
    return atomic_load(&record_at(ep, rid)->next);
}

static void free_list(ep_t *ep, rid_t rid)
{
    while (rid != 0) {
        rid_t next = after(ep, rid);
        record_free(ep, rid, record_at(ep, rid));
        rid = next;
    }
}

/* ---- open and close ---- */

static void test_open_gives_each_index_once_until_closed(void **state)
{
    (void)state;
    test_node_t t;
    static ep_t *eps[SEG_MAX_EPS];
    test_node_make(&t, &two_ranks);
    int n = 0;
    while (ep_open(t.of[1], 0, EP_KIND_USER, false, &eps[n]) == MRAY_OK) {
        assert_int_equal(eps[n]->gid >> 8, 1);
        assert_true((eps[n]->gid & 0xff) > SEG_EP_MAIN); /* agent and main thread have theirs */
        for (int i = 0; i < n; i++) assert_int_not_equal(eps[i]->gid, eps[n]->gid);
        n++;
    }
    assert_int_equal(n, SEG_MAX_EPS - SEG_EP_MAIN - 1);
    assert_int_equal(ep_open(t.of[1], 0, EP_KIND_USER, false, &eps[n]), MRAY_ERR_LIMIT);
    assert_non_null(strstr(mray_error_message(), "255 endpoints"));
    assert_int_equal(ep_reserve(t.of[1], EP_KIND_ACTOR), 0);
    assert_int_not_equal(ep_reserve(t.of[0], EP_KIND_ACTOR), 0); /* of the other rank */
    uint16_t gid = eps[17]->gid;
    ep_close(eps[17]);
    eps[17] = test_node_open(&t, 1, 0, EP_KIND_WORKER, true);
    assert_int_equal(eps[17]->gid, gid);
    for (int i = 0; i < n; i++) ep_close(eps[i]);
    test_node_free(&t);
}

static void test_open_and_close_set_state_and_masks(void **state)
{
    (void)state;
    test_node_t t;
    test_node_make(&t, &two_ranks);
    seg_header_t *h = t.segs[0].hdr;
    ep_t *ep = test_node_open(&t, 0, 200, EP_KIND_WORKER, true);
    assert_int_equal(ep->gid, 200);
    assert_true(ep->mortal);
    assert_int_equal(ep->sh->state, EP_RUNNING);
    assert_int_equal(ep->sh->kind, EP_KIND_WORKER);
    assert_int_equal(ep->sh->pid, getpid());
    uint32_t incarnation = ep->sh->incarnation;
    assert_true(ep_mask_has(h->open_mask, 200));
    assert_true(ep_mask_has(h->awake_mask, 200));
    assert_false(ep_mask_has(h->worker_mask, 200)); /* it says itself when it takes work */
    ep_close(ep);
    assert_false(ep_mask_has(h->open_mask, 200));
    assert_false(ep_mask_has(h->awake_mask, 200));
    assert_int_equal(ep_shared_at(t.of[1], 200)->state, EP_UNUSED);
    ep = test_node_open(&t, 0, 200, EP_KIND_WORKER, true);
    assert_int_equal(ep->sh->incarnation, incarnation + 1);
    ep_close(ep);
    test_node_free(&t);
}

static void test_masks_hold_every_index(void **state)
{
    (void)state;
    _Atomic uint64_t mask[SEG_MASK_WORDS] = {0};
    for (unsigned i = 0; i < SEG_MAX_EPS; i++) {
        ep_mask_set(mask, ep_gid(3, i));
        ep_mask_set(mask, ep_gid(3, i)); /* idempotent */
        for (unsigned k = 0; k < SEG_MAX_EPS; k++) assert_int_equal(ep_mask_has(mask, ep_gid(0, k)), k == i);
        ep_mask_clear(mask, ep_gid(3, i));
        ep_mask_clear(mask, ep_gid(3, i));
    }
    for (int w = 0; w < SEG_MASK_WORDS; w++) assert_int_equal(mask[w], 0);
}

static void test_a_walk_meets_each_index_of_a_mask_once(void **state)
{
    static const unsigned set[] = {1, 2, 62, 63, 64, 127, 128, 200, SEG_MAX_EPS - 1};
    enum { N = sizeof set / sizeof set[0] };
    (void)state;
    _Atomic uint64_t mask[SEG_MASK_WORDS] = {0};
    assert_int_equal(ep_mask_next(mask, ep_gid(3, 0)), 0);
    for (unsigned i = 0; i < N; i++) ep_mask_set(mask, ep_gid(3, set[i]));
    unsigned n = 0;
    for (uint16_t gid = ep_gid(3, 0); (gid = ep_mask_next(mask, gid)) != 0; n++) {
        assert_in_range(n, 0, N - 1);
        assert_int_equal(gid, ep_gid(3, set[n]));
        ep_mask_clear(mask, gid); /* does not disturb it */
    }
    assert_int_equal(n, N);
}

/* ---- inbox ---- */

static void test_inbox_gives_oldest_first(void **state)
{
    (void)state;
    test_node_t t;
    test_node_make(&t, &two_ranks);
    ep_t *a = test_node_open(&t, 0, SEG_EP_MAIN, EP_KIND_USER, false), *b = test_node_open(&t, 1, 5, EP_KIND_WORKER, true);
    assert_int_equal(ep_inbox_drain(t.of[1], b->sh), 0);
    assert_true(ep_inbox_empty(b->sh));
    for (uint32_t i = 0; i < 100; i++) assert_true(ep_inbox_push(t.of[0], ep_shared_at(t.of[0], b->gid), record_by(i % 3 == 2 ? b : a, i)));
    assert_false(ep_inbox_empty(b->sh));
    rid_t first = ep_inbox_drain(t.of[1], b->sh);
    assert_true(ep_inbox_empty(b->sh));
    uint32_t n = 0;
    for (rid_t rid = first; rid != 0; rid = after(b, rid)) {
        assert_int_equal(number_of(b, rid), n);
        assert_int_equal(rid >> 24, n % 3 == 2); /* whose pool it is of */
        n++;
    }
    assert_int_equal(n, 100);
    assert_int_equal(ep_inbox_drain(t.of[1], b->sh), 0);
    free_list(b, first);
    ep_close(a);
    ep_close(b);
    test_node_free(&t);
}

static void test_closed_inbox_takes_nothing_until_opened_anew(void **state)
{
    (void)state;
    test_node_t t;
    test_node_make(&t, &two_ranks);
    ep_t *a = test_node_open(&t, 0, SEG_EP_MAIN, EP_KIND_USER, false), *b = test_node_open(&t, 0, 9, EP_KIND_WORKER, true);
    rid_t rid = record_by(a, 1);
    atomic_store(&b->sh->inbox, INBOX_CLOSED);
    assert_false(ep_inbox_push(t.of[0], b->sh, rid));
    assert_int_equal(ep_inbox_drain(t.of[0], b->sh), 0);
    assert_true(ep_inbox_empty(b->sh));
    assert_int_equal(b->sh->inbox, INBOX_CLOSED); /* reading it does not open it */
    assert_false(ep_inbox_push(t.of[1], ep_shared_at(t.of[1], b->gid), rid));
    ep_close(b);
    b = test_node_open(&t, 0, 9, EP_KIND_WORKER, true);
    assert_true(ep_inbox_push(t.of[0], b->sh, rid));
    assert_int_equal(ep_inbox_drain(t.of[0], b->sh), rid);
    record_free(a, rid, record_at(a, rid));
    ep_close(a);
    ep_close(b);
    test_node_free(&t);
}

static void test_open_keeps_what_was_pushed_before(void **state)
{
    (void)state;
    test_node_t t;
    test_node_make(&t, &two_ranks);
    ep_t *a = test_node_open(&t, 0, SEG_EP_MAIN, EP_KIND_USER, false);
    unsigned index = ep_reserve(t.of[0], EP_KIND_ACTOR);
    rid_t rid = record_by(a, 1);
    assert_true(ep_inbox_push(t.of[0], ep_shared_at(t.of[0], ep_gid(0, index)), rid)); /* a call made before the actor's worker runs */
    ep_t *b = test_node_open(&t, 0, index, EP_KIND_ACTOR, true);
    assert_int_equal(ep_inbox_drain(t.of[0], b->sh), rid);
    record_free(a, rid, record_at(a, rid));
    ep_close(a);
    ep_close(b);
    test_node_free(&t);
}

typedef struct {
    ep_t *ep;
    ep_shared_t *to;
    uint32_t pusher;
} pusher_t;

static void push_many(void *arg)
{
    pusher_t *p = arg;
    for (uint32_t i = 0; i < N_PUSHES; i++) {
        if (!ep_inbox_push(p->ep->node, p->to, record_by(p->ep, p->pusher << 16 | i))) _exit(1);
        ep_wake(p->to);
    }
}

/* Collect what the pushers send, sleeping in between; each one's in order and nothing twice. */
static void receive_all(ep_t *ep, uint32_t n_expected)
{
    uint32_t next[N_PUSHERS] = {0}, n = 0;
    while (n < n_expected) {
        rid_t rid = ep_inbox_drain(ep->node, ep->sh);
        if (rid == 0) {
            ep_sleep_prepare(ep);
            if (!ep_inbox_empty(ep->sh)) {
                ep_sleep_cancel(ep);
                continue;
            }
            uint64_t before = base_clock_ns();
            ep_sleep(ep, UINT64_C(20000000000));
            if (base_clock_ns() - before > UINT64_C(15000000000)) fail_msg("a wake was lost after %u records", n);
            continue;
        }
        for (rid_t r = rid; r != 0; r = after(ep, r)) {
            uint32_t number = number_of(ep, r), pusher = number >> 16;
            assert_true(pusher < N_PUSHERS);
            assert_int_equal(number & 0xffff, next[pusher]);
            next[pusher]++;
            n++;
        }
        free_list(ep, rid);
    }
    assert_true(ep_inbox_empty(ep->sh));
}

static void test_processes_push_into_a_sleeping_endpoint(void **state)
{
    (void)state;
    test_node_t t;
    test_node_make(&t, &two_ranks);
    ep_t *ep = test_node_open(&t, 0, SEG_EP_MAIN, EP_KIND_USER, false);
    pusher_t p[N_PUSHERS];
    pid_t pids[N_PUSHERS];
    for (uint32_t i = 0; i < N_PUSHERS; i++) {
        int place = (int)(i % 2);
        p[i] = (pusher_t){.ep = test_node_open(&t, place, 0, EP_KIND_WORKER, true), .pusher = i};
        p[i].to = ep_shared_at(t.of[place], ep->gid);
        pids[i] = test_child_start(push_many, &p[i]);
    }
    receive_all(ep, N_PUSHERS * N_PUSHES);
    for (int i = 0; i < N_PUSHERS; i++) test_child_join(pids[i]);
    for (int i = 0; i < N_PUSHERS; i++) ep_close(p[i].ep);
    ep_close(ep);
    test_node_free(&t);
}

/* ---- sleep and wake ---- */

static void test_wake_before_sleep_is_not_lost(void **state)
{
    (void)state;
    test_node_t t;
    test_node_make(&t, &two_ranks);
    seg_header_t *h = t.segs[0].hdr;
    ep_t *ep = test_node_open(&t, 0, SEG_EP_MAIN, EP_KIND_USER, false);
    ep_sleep_prepare(ep);
    assert_false(ep_mask_has(h->awake_mask, ep->gid));
    assert_int_equal(ep->sh->asleep, 1);
    ep_wake(ep_shared_at(t.of[1], ep->gid));
    uint64_t before = base_clock_ns();
    ep_sleep(ep, UINT64_C(20000000000));
    assert_true(base_clock_ns() - before < UINT64_C(10000000000));
    assert_true(ep_mask_has(h->awake_mask, ep->gid));
    assert_int_equal(ep->sh->asleep, 0);
    ep_sleep_prepare(ep);
    before = base_clock_ns();
    ep_sleep(ep, 5000000); /* nobody wakes it */
    assert_true(base_clock_ns() - before >= 4000000);
    assert_int_equal(ep->sh->asleep, 0);
    ep_wake(ep->sh); /* awake: nothing to do */
    assert_int_equal(ep->sh->asleep, 0);
    ep_close(ep);
    test_node_free(&t);
}

/* Sleeps until a record comes and sends it back. */
static void echo(void *arg)
{
    pusher_t *p = arg;
    for (int turn = 0; turn < N_TURNS;) {
        rid_t rid = ep_inbox_drain(p->ep->node, p->ep->sh);
        if (rid == 0) {
            ep_sleep_prepare(p->ep);
            if (ep_inbox_empty(p->ep->sh))
                ep_sleep(p->ep, UINT64_C(20000000000));
            else
                ep_sleep_cancel(p->ep);
            continue;
        }
        if (!ep_inbox_push(p->ep->node, p->to, rid)) _exit(2);
        ep_wake(p->to);
        turn++;
    }
}

static void test_two_processes_wake_each_other(void **state)
{
    (void)state;
    test_node_t t;
    test_node_make(&t, &two_ranks);
    ep_t *ep = test_node_open(&t, 0, SEG_EP_MAIN, EP_KIND_USER, false);
    pusher_t p = {.ep = test_node_open(&t, 1, 0, EP_KIND_WORKER, true), .to = ep_shared_at(t.of[1], ep->gid)};
    pid_t pid = test_child_start(echo, &p);
    ep_shared_t *to = ep_shared_at(t.of[0], p.ep->gid);
    rid_t rid = record_by(ep, 0);
    for (int turn = 0; turn < N_TURNS; turn++) {
        assert_true(ep_inbox_push(t.of[0], to, rid));
        ep_wake(to);
        while ((rid = ep_inbox_drain(t.of[0], ep->sh)) == 0) {
            ep_sleep_prepare(ep);
            uint64_t before = base_clock_ns();
            if (ep_inbox_empty(ep->sh))
                ep_sleep(ep, UINT64_C(20000000000));
            else
                ep_sleep_cancel(ep);
            if (base_clock_ns() - before > UINT64_C(15000000000)) fail_msg("a wake was lost in turn %d", turn);
        }
    }
    test_child_join(pid);
    record_free(ep, rid, record_at(ep, rid));
    ep_close(p.ep);
    ep_close(ep);
    test_node_free(&t);
}

static void sleep_long(void *arg)
{
    ep_t *ep = arg;
    uint64_t before = base_clock_ns();
    ep_sleep_prepare(ep);
    ep_sleep(ep, UINT64_C(20000000000));
    if (base_clock_ns() - before > UINT64_C(15000000000)) _exit(1);
}

static void test_wake_all_wakes_every_rank(void **state)
{
    (void)state;
    test_node_t t;
    test_node_make(&t, &two_ranks);
    ep_t *eps[4];
    pid_t pids[4];
    for (int i = 0; i < 4; i++) {
        eps[i] = test_node_open(&t, i % 2, 60 + (unsigned)i * 60, EP_KIND_WORKER, true); /* in different words of the mask */
        pids[i] = test_child_start(sleep_long, eps[i]);
    }
    for (int i = 0; i < 4; i++)
        while (atomic_load(&eps[i]->sh->asleep) == 0) usleep(100);
    ep_wake_all(t.of[0]);
    for (int i = 0; i < 4; i++) test_child_join(pids[i]);
    for (int i = 0; i < 4; i++) ep_close(eps[i]);
    test_node_free(&t);
}

/* ep_may_spin() as if every endpoint ran on a CPU of its own, which they do not here. */
static bool may_spin_apart(ep_t *ep, ep_t *const *all, int n)
{
    for (int i = 0; i < n; i++)
        if (all[i] != ep) atomic_store(&all[i]->sh->cpu, 1000000 + i);
    return ep_may_spin(ep);
}

static void test_spinning_stops_when_threads_exceed_cpus(void **state)
{
    (void)state;
    test_node_t t;
    test_node_make(&t, &two_ranks); /* two cores */
    ep_t *a = test_node_open(&t, 0, 0, EP_KIND_USER, false), *b = test_node_open(&t, 1, 0, EP_KIND_WORKER, true);
    ep_t *all[3] = {a, b};
    assert_true(may_spin_apart(a, all, 2));
    ep_t *c = all[2] = test_node_open(&t, 1, 130, EP_KIND_WORKER, true);
    assert_false(may_spin_apart(a, all, 3));
    assert_false(may_spin_apart(c, all, 3));
    ep_sleep_prepare(b);
    assert_true(may_spin_apart(c, all, 3)); /* who sleeps needs no core */
    ep_sleep_cancel(b);
    assert_false(may_spin_apart(c, all, 3));
    /* The node has CPUs enough, but this rank is bound to one: its second thread would take it from the first. */
    t.of[0]->n_cpus = t.of[1]->n_cpus = 8;
    t.of[0]->n_own_cpus = t.of[1]->n_own_cpus = 1;
    assert_true(may_spin_apart(a, all, 3));
    assert_false(may_spin_apart(c, all, 3));
    ep_close(a);
    ep_close(b);
    ep_close(c);
    test_node_free(&t);
}

/* Two endpoints of one thread: whatever CPU that is on, they share it. */
static void test_nobody_spins_on_the_cpu_of_another_that_is_awake(void **state)
{
    (void)state;
    test_node_t t;
    test_node_make(&t, &two_ranks);
    ep_t *a = test_node_open(&t, 0, 0, EP_KIND_USER, false), *b = test_node_open(&t, 1, 0, EP_KIND_WORKER, true);
    cpu_set_t here, one;
    assert_int_equal(sched_getaffinity(0, sizeof here, &here), 0);
    CPU_ZERO(&one);
    CPU_SET((unsigned)sched_getcpu(), &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    ep_sleep_prepare(b);
    ep_sleep_cancel(b); /* it wakes here */
    assert_false(ep_may_spin(a));
    ep_sleep_prepare(b);
    assert_true(ep_may_spin(a));
    ep_sleep_cancel(b);
    assert_int_equal(sched_setaffinity(0, sizeof here, &here), 0);
    ep_close(a);
    ep_close(b);
    test_node_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_spins_on_the_cpu_of_another_that_is_awake),
        cmocka_unit_test(test_open_gives_each_index_once_until_closed),
        cmocka_unit_test(test_open_and_close_set_state_and_masks),
        cmocka_unit_test(test_masks_hold_every_index),
        cmocka_unit_test(test_a_walk_meets_each_index_of_a_mask_once),
        cmocka_unit_test(test_inbox_gives_oldest_first),
        cmocka_unit_test(test_closed_inbox_takes_nothing_until_opened_anew),
        cmocka_unit_test(test_open_keeps_what_was_pushed_before),
        cmocka_unit_test(test_processes_push_into_a_sleeping_endpoint),
        cmocka_unit_test(test_wake_before_sleep_is_not_lost),
        cmocka_unit_test(test_two_processes_wake_each_other),
        cmocka_unit_test(test_wake_all_wakes_every_rank),
        cmocka_unit_test(test_spinning_stops_when_threads_exceed_cpus),
    };
    return cmocka_run_group_tests_name("net.endpoint", tests, NULL, NULL);
}
