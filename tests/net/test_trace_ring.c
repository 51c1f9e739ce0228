/* Rings of the trace: events come back once, in order, with times that hold what was measured around them; a full ring loses the oldest and counts
 * them; stacked tasks, rapid runs of short ones, and a writer killed at any instruction. */
#include "trace_ring.h"

#include "clock.h"
#include "test_child.h"
#include "ticks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <mray/status.h>

enum { SHORT_NS = 1000 };

static trace_ring_t *make_ring(uint32_t n_slots)
{
    trace_ring_t *ring = mmap(NULL, trace_ring_bytes(n_slots), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(ring != MAP_FAILED);
    ring->mask = n_slots - 1;
    ring->short_ticks = SHORT_NS;
    return ring;
}

static void free_ring(trace_ring_t *ring)
{
    munmap(ring, trace_ring_bytes(ring->mask + 1));
}

static void spend(uint64_t ns)
{
    for (uint64_t end = base_clock_ns() + ns; base_clock_ns() < end;) {}
}

static void begin(trace_ring_t *ring, uint32_t fn)
{
    record_t rec = {.fn = fn, .kind = RECORD_TASK, .attempt = 2, .ret = {.rank = 3, .slot = fn + 100, .gen = 7}, .actor = 9};
    trace_begin(ring, &rec);
}

static void run(trace_ring_t *ring, uint32_t fn, uint64_t ns)
{
    begin(ring, fn);
    if (ns > 0) spend(ns);
    trace_end(ring, MRAY_OK);
}

typedef struct {
    trace_event_t *events;
    bool *approximate;
    uint64_t n, lost;
} events_t;

/* Apart or nested: in the order of their ends, none begins inside an earlier one. */
static void check_nesting(const events_t *e)
{
    for (uint64_t i = 0; i < e->n; i++) {
        assert_true(e->events[i].begin != 0);
        assert_true(e->events[i].begin <= e->events[i].end);
        if (i > 0) assert_true(e->events[i - 1].end <= e->events[i].end);
        for (uint64_t k = i; k-- > 0 && e->events[k].end > e->events[i].begin;)
            if (e->events[k].begin < e->events[i].begin) fail_msg("events %llu and %llu overlap", (unsigned long long)k, (unsigned long long)i);
    }
}

static events_t read_all(const trace_ring_t *ring)
{
    events_t e = {.events = calloc(ring->mask + 1u, sizeof *e.events), .approximate = calloc(ring->mask + 1u, 1)};
    trace_reader_t reader;
    trace_event_t event;
    bool approximate;
    assert_non_null(e.events);
    assert_non_null(e.approximate);
    trace_read_start(&reader, ring);
    while (trace_read(&reader, &event, &approximate)) {
        assert_true(e.n <= ring->mask);
        e.approximate[e.n] = approximate;
        e.events[e.n++] = event;
    }
    e.lost = reader.lost;
    check_nesting(&e);
    return e;
}

static void free_events(events_t *e)
{
    free(e->events);
    free(e->approximate);
}

static void test_events_come_back_with_what_they_were(void **state)
{
    (void)state;
    trace_ring_t *ring = make_ring(16);
    uint64_t before[5], after[5];
    for (uint32_t i = 0; i < 5; i++) {
        before[i] = base_clock_ns();
        begin(ring, i);
        spend(5000);
        trace_end(ring, i == 3 ? MRAY_ERR_TASK : MRAY_OK);
        after[i] = base_clock_ns();
        if (i == 2) trace_rest(ring);
    }
    events_t e = read_all(ring);
    assert_int_equal(e.n, 5);
    assert_int_equal(e.lost, 0);
    for (uint32_t i = 0; i < 5; i++) {
        const trace_event_t *x = &e.events[i];
        assert_int_equal(x->fn, i);
        assert_int_equal(x->kind, RECORD_TASK);
        assert_int_equal(x->attempt, 2);
        assert_int_equal(x->status, i == 3 ? MRAY_ERR_TASK : MRAY_OK);
        assert_int_equal(x->rank, 3);
        assert_int_equal(x->slot, i + 100);
        assert_int_equal(x->gen, 7);
        assert_int_equal(x->actor, 0); /* only of calls */
        assert_false(e.approximate[i]);
        /* Behind another without a rest it begins where that one ended. */
        assert_true(x->begin >= (i == 0 || i == 3 ? before[i] : e.events[i - 1].end));
        assert_true(x->end >= before[i] + 5000 && x->end <= after[i]);
    }
    assert_int_equal(e.events[1].begin, e.events[0].end);
    free_events(&e);
    free_ring(ring);
}

static void test_full_ring_loses_the_oldest_and_counts_them(void **state)
{
    (void)state;
    trace_ring_t *ring = make_ring(8);
    for (uint32_t i = 0; i < 20; i++) run(ring, i, 2000);
    trace_rest(ring);
    events_t e = read_all(ring);
    assert_int_equal(e.n, 7); /* one place is the next one's */
    assert_int_equal(e.lost, 13);
    for (uint64_t i = 0; i < e.n; i++) assert_int_equal(e.events[i].fn, 20 - e.n + i);
    free_events(&e);
    free_ring(ring);
}

static void test_outer_task_outlives_what_it_waits_for(void **state)
{
    (void)state;
    trace_ring_t *ring = make_ring(8);
    run(ring, 1, 2000);
    begin(ring, 50);
    begin(ring, 51);
    for (uint32_t i = 0; i < 100; i++) run(ring, 52, 0);
    trace_end(ring, MRAY_OK);
    trace_end(ring, MRAY_OK);
    run(ring, 2, 2000);
    events_t e = read_all(ring);
    assert_int_equal(e.n, 7);
    assert_int_equal(e.lost, 1 + 100 + 3 - 7);
    const trace_event_t *inner = &e.events[4], *outer = &e.events[5];
    assert_int_equal(inner->fn, 51);
    assert_int_equal(outer->fn, 50);
    assert_true(outer->begin <= inner->begin && inner->end <= outer->end);
    assert_true(inner->begin < e.events[0].begin && e.events[3].end <= inner->end);
    assert_int_equal(e.events[6].fn, 2);
    free_events(&e);
    free_ring(ring);
}

static void test_rapid_tasks_share_stamps(void **state)
{
    (void)state;
    enum { N = 2000 };
    trace_ring_t *ring = make_ring(2048);
    ring->short_ticks = 1000000; /* whatever the machine is busy with, these are short */
    uint64_t before = base_clock_ns(), n_bare = 0;
    for (uint32_t i = 0; i < N; i++) run(ring, 5, 0);
    trace_rest(ring);
    uint64_t after = base_clock_ns();
    for (uint32_t i = 0; i < N; i++) n_bare += ring->events[i].end == 0;
    assert_true(n_bare > N / 2);
    assert_true(n_bare < N - N / TRACE_RUN);
    events_t e = read_all(ring);
    assert_int_equal(e.n, N);
    assert_true(e.events[0].begin >= before && e.events[N - 1].end <= after);
    for (uint32_t i = 1; i < N; i++) assert_int_equal(e.events[i].begin, e.events[i - 1].end);
    free_events(&e);
    free_ring(ring);
}

/* Its function was short so far: its time shows up within the run, which says so, and from then on each is stamped. */
static void test_long_task_among_rapid_ones_is_marked(void **state)
{
    (void)state;
    enum { LONG_NS = 200000000 };
    trace_ring_t *ring = make_ring(256);
    ring->short_ticks = 1000000;
    for (uint32_t i = 0; i < 3 * TRACE_RUN + 2; i++) run(ring, 5, 0); /* two into a run */
    run(ring, 5, LONG_NS);
    for (uint32_t i = 0; i < TRACE_RUN; i++) run(ring, 5, 0);
    trace_rest(ring);
    events_t e = read_all(ring);
    uint64_t n_marked = 0, time = 0;
    for (uint64_t i = 0; i < e.n; i++)
        if (e.approximate[i]) n_marked++, time += e.events[i].end - e.events[i].begin;
    assert_int_equal(e.n, 3 * TRACE_RUN + 3 + TRACE_RUN);
    assert_true(n_marked >= 2 && n_marked <= TRACE_RUN);
    assert_true(time >= LONG_NS);
    assert_true(ring->events[e.n - 1].end != 0 && ring->events[e.n - 2].end != 0);
    free_events(&e);
    free_ring(ring);
}

static void test_rest_ends_a_run(void **state)
{
    (void)state;
    trace_ring_t *ring = make_ring(64);
    ring->short_ticks = 1000000;
    for (uint32_t i = 0; i < TRACE_RUN + 3; i++) run(ring, 5, 0);
    trace_rest(ring);
    uint64_t rested = base_clock_ns();
    spend(100000);
    run(ring, 5, 0);
    events_t e = read_all(ring);
    assert_true(e.events[e.n - 2].end <= rested);
    assert_true(e.events[e.n - 1].begin >= rested + 100000);
    free_events(&e);
    free_ring(ring);
}

static void test_what_a_dead_writer_was_at_ends_with_it(void **state)
{
    (void)state;
    trace_ring_t *ring = make_ring(16);
    run(ring, 1, 2000);
    for (uint32_t i = 0; i < 3; i++) begin(ring, 10 + i);
    uint64_t died = base_clock_ns();
    trace_abandon(ring, 0);
    trace_abandon(ring, 0);
    trace_rest(ring);
    run(ring, 2, 2000); /* the next user of the endpoint */
    events_t e = read_all(ring);
    static const uint32_t fns[] = {1, 12, 11, 10, 2};
    assert_int_equal(e.n, 5);
    for (int i = 0; i < 5; i++) assert_int_equal(e.events[i].fn, fns[i]);
    for (int i = 1; i < 4; i++) {
        assert_int_equal(e.events[i].status, MRAY_ERR_WORKER_CRASHED);
        assert_true(e.events[i].end >= died);
    }
    assert_true(e.events[4].begin >= e.events[3].end);
    free_events(&e);

    record_t call = {.fn = 3, .kind = RECORD_METHOD, .actor = 0x105};
    trace_begin(ring, &call);
    trace_abandon(ring, 0);
    begin(ring, 4);
    trace_abandon(ring, TRACE_UNFINISHED);
    e = read_all(ring);
    assert_int_equal(e.n, 7);
    assert_int_equal(e.events[5].status, MRAY_ERR_ACTOR_DIED);
    assert_int_equal(e.events[5].actor, 0x105);
    assert_int_equal(e.events[6].status, TRACE_UNFINISHED);
    free_events(&e);
    trace_abandon(NULL, 0);
    free_ring(ring);
}

static void test_too_deep_is_counted(void **state)
{
    (void)state;
    trace_ring_t *ring = make_ring(128);
    for (uint32_t i = 0; i < TRACE_MAX_OPEN + 5; i++) begin(ring, i);
    for (uint32_t i = 0; i < TRACE_MAX_OPEN + 5; i++) trace_end(ring, MRAY_OK);
    events_t e = read_all(ring);
    assert_int_equal(e.n, TRACE_MAX_OPEN);
    assert_int_equal(e.lost, 5);
    free_events(&e);
    free_ring(ring);
}

/* Tasks 8 * i + depth, alone and in stacks, with rests; more than the ring holds. */
enum { STACKS = 20 };
static unsigned depth_of(uint32_t i) { return i % 5 == 3 ? 3 : 0; }

static void write_stacks(void *arg)
{
    for (uint32_t i = 0; i < STACKS; i++) {
        for (uint32_t d = 0; d <= depth_of(i); d++) begin(arg, 8 * i + d);
        for (uint32_t d = 0; d <= depth_of(i); d++) trace_end(arg, MRAY_OK);
        if (i % 8 == 7) trace_rest(arg);
    }
}

static void clear(void *arg)
{
    trace_ring_t *ring = arg;
    uint32_t mask = ring->mask;
    memset(ring, 0, trace_ring_bytes(mask + 1));
    ring->mask = mask;
    ring->short_ticks = UINT32_MAX; /* so that tasks of all kinds share stamps */
    memset(ring->n_short, TRACE_RUN, sizeof ring->n_short);
}

/* Killed anywhere: each task once, inner ones before the one they are in, and only what was open ended by the death. */
static void check_stacks(void *arg)
{
    trace_ring_t *ring = arg;
    trace_abandon(ring, 0);
    events_t e = read_all(ring);
    bool died = false;
    for (uint64_t i = 0; i < e.n; i++) {
        uint32_t fn = e.events[i].fn, before = i > 0 ? e.events[i - 1].fn : 0;
        bool new_stack = i > 0 && fn / 8 != before / 8;
        if (i > 0 && (new_stack ? fn / 8 != before / 8 + 1 || before % 8 != 0 : fn + 1 != before)) fail_msg("task %u follows %u", fn, before);
        died = died || e.events[i].status == MRAY_ERR_WORKER_CRASHED;
        if (died) assert_int_equal(e.events[i].status, MRAY_ERR_WORKER_CRASHED);
        if (died && i > 0) assert_int_equal(fn / 8, e.events[e.n - 1].fn / 8);
    }
    if (e.n > 0) assert_int_equal(e.events[e.n - 1].fn % 8, 0);
    uint64_t n_ever = 0;
    for (uint32_t i = 0; e.n > 0 && i < e.events[e.n - 1].fn / 8; i++) n_ever += depth_of(i) + 1;
    assert_true(e.n + e.lost >= n_ever + (e.n > 0) && e.n + e.lost <= n_ever + 4);
    free_events(&e);
}

static void test_writer_killed_anywhere_leaves_it_whole(void **state)
{
    (void)state;
    trace_ring_t *ring = make_ring(16);
    test_child_kill_everywhere(write_stacks, ring, clear, check_stacks, 40000);
    free_ring(ring);
}

static void test_rings_of_a_segment_lie_apart(void **state)
{
    (void)state;
    segment_t seg;
    seg_name_t name;
    seg_config_t config = {.n_slots = 64, .n_records = 64, .arena_bytes = 4096, .trace_slots = trace_slots(1000), .trace_counter = 1};
    assert_int_equal(config.trace_slots, 1024);
    assert_int_equal(seg_create(&config, 1, 0, &seg, &name), MRAY_OK);
    assert_true(seg.hdr->trace_off >= seg.hdr->arena_off + seg.hdr->arena_bytes);
    uint64_t bytes = trace_ring_bytes(1024);
    assert_true(bytes >= sizeof(trace_ring_t) + 1024 * sizeof(trace_event_t));
    for (unsigned i = 0; i < SEG_MAX_EPS; i++) assert_ptr_equal(trace_ring_at(&seg, i), seg.rw + seg.hdr->trace_off + i * bytes);
    assert_true(seg.hdr->trace_off + SEG_MAX_EPS * bytes <= seg.bytes);
    trace_ring_t *ring = trace_ring_open(&seg, 5);
    assert_int_equal(ring->mask, 1023);
    assert_true(ring->counter);
    seg_unmap(&seg);
    seg_close_fd(&name);

    config.trace_slots = 0;
    assert_int_equal(seg_create(&config, 1, 0, &seg, &name), MRAY_OK);
    assert_int_equal(seg.hdr->trace_off, seg.bytes);
    assert_null(trace_ring_at(&seg, 5));
    assert_null(trace_ring_open(&seg, 5));
    seg_unmap(&seg);
    seg_close_fd(&name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events_come_back_with_what_they_were),
        cmocka_unit_test(test_full_ring_loses_the_oldest_and_counts_them),
        cmocka_unit_test(test_outer_task_outlives_what_it_waits_for),
        cmocka_unit_test(test_rapid_tasks_share_stamps),
        cmocka_unit_test(test_long_task_among_rapid_ones_is_marked),
        cmocka_unit_test(test_rest_ends_a_run),
        cmocka_unit_test(test_what_a_dead_writer_was_at_ends_with_it),
        cmocka_unit_test(test_too_deep_is_counted),
        cmocka_unit_test(test_writer_killed_anywhere_leaves_it_whole),
        cmocka_unit_test(test_rings_of_a_segment_lie_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
