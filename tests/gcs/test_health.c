/* test_health.c: the health view: silence, late reports, pauses of rank 0 itself. Times are given, so nothing here waits. */
#include "error.h"
#include "health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define S UINT64_C(1000000000)
enum { N = 4 };

typedef struct {
    int n, rank;
    health_state_t from, to;
} seen_t;

static void note(void *ctx, int rank, health_state_t from, health_state_t to)
{
    seen_t *seen = ctx;
    *seen = (seen_t){.n = seen->n + 1, .rank = rank, .from = from, .to = to};
}

static health_t *make(void)
{
    health_t *health;
    assert_int_equal(health_create(N, 10 * S, 60 * S, &health), MRAY_OK);
    for (int r = 1; r < N; r++) health_set_mortal(health, r, true);
    return health;
}

/* Looks every second up to `until`, in which those of the mask are heard; returns the last change. */
static seen_t run(health_t *health, uint64_t *now, uint64_t until, unsigned mask)
{
    seen_t seen = {0};
    for (; *now <= until; *now += S) {
        for (int r = 0; r < N; r++)
            if (mask >> r & 1) health_heard(health, r, *now, NULL);
        health_look(health, *now, note, &seen);
    }
    return seen;
}

static void test_silence_makes_suspect_then_dead(void **state)
{
    (void)state;
    health_t *health = make();
    uint64_t now = 1000 * S;
    assert_int_equal(run(health, &now, 1005 * S, 0xf).n, N); /* all heard for the first time */
    seen_t seen = run(health, &now, 1014 * S, 0xb);          /* rank 2 was heard at 1005 last */
    assert_int_equal(seen.n, 0);
    seen = run(health, &now, 1015 * S, 0xb);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.rank, 2);
    assert_int_equal(seen.to, HEALTH_SUSPECT);
    assert_int_equal(run(health, &now, 1064 * S, 0xb).n, 0); /* not before the limit */
    seen = run(health, &now, 1065 * S, 0xb);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.from, HEALTH_SUSPECT);
    assert_int_equal(seen.to, HEALTH_DEAD);
    assert_int_equal(run(health, &now, 1100 * S, 0xf).n, 0); /* dead for ever */
    assert_int_equal(health_row(health, 2)->state, HEALTH_DEAD);
    assert_string_equal(health_state_name(HEALTH_SUSPECT), "suspect");
    health_destroy(health);
}

static void test_a_suspect_that_speaks_is_alive(void **state)
{
    (void)state;
    health_t *health = make();
    uint64_t now = 1000 * S;
    run(health, &now, 1005 * S, 0xf);
    assert_int_equal(run(health, &now, 1030 * S, 0xd).to, HEALTH_SUSPECT);
    seen_t seen = run(health, &now, 1031 * S, 0xf);
    assert_int_equal(seen.from, HEALTH_SUSPECT);
    assert_int_equal(seen.to, HEALTH_ALIVE);
    assert_int_equal(run(health, &now, 1040 * S, 0xd).n, 0); /* its silence counts from there */
    health_destroy(health);
}

static void test_some_are_only_ever_suspect(void **state)
{
    (void)state;
    health_t *health = make(); /* rank 0 is not mortal */
    uint64_t now = 1000 * S;
    run(health, &now, 1005 * S, 0xf);
    assert_int_equal(run(health, &now, 2000 * S, 0xe).to, HEALTH_SUSPECT);
    assert_int_equal(health_row(health, 0)->state, HEALTH_SUSPECT);
    health_destroy(health);
}

static void test_a_rank_that_never_spoke_is_unknown(void **state)
{
    (void)state;
    health_t *health = make();
    uint64_t now = 1000 * S;
    run(health, &now, 1500 * S, 0x7);
    assert_int_equal(health_row(health, 3)->state, HEALTH_UNKNOWN);
    assert_null(health_row(health, N));
    assert_null(health_row(health, -1));
    health_destroy(health);
}

/* Rank 0, or the whole machine, stood still for ten minutes: nobody else is to blame, and the silence before it still counts. */
static void test_a_pause_of_rank_0_blames_nobody(void **state)
{
    (void)state;
    health_t *health = make();
    uint64_t now = 1000 * S;
    run(health, &now, 1005 * S, 0xf);
    run(health, &now, 1012 * S, 0xb); /* rank 2 silent for 7 s */
    now = 1612 * S;
    seen_t seen = {0};
    assert_int_equal(health_look(health, now, note, &seen), 0);
    now += S;
    assert_int_equal(run(health, &now, 1613 * S, 0xb).n, 0);
    seen = run(health, &now, 1616 * S, 0xb);
    assert_int_equal(seen.rank, 2);
    assert_int_equal(seen.to, HEALTH_SUSPECT);
    health_destroy(health);
}

/* Even if dead_ns is below suspect_ns nobody dies without having been suspect at an earlier look. */
static void test_death_comes_after_suspicion(void **state)
{
    (void)state;
    health_t *health;
    seen_t seen = {0};
    assert_int_equal(health_create(2, 10 * S, S, &health), MRAY_OK);
    health_set_mortal(health, 1, true);
    health_heard(health, 1, 5 * S, NULL);
    health_look(health, 5 * S, note, &seen);
    for (uint64_t t = 6; t <= 15; t++) health_look(health, t * S, note, &seen);
    assert_int_equal(seen.to, HEALTH_SUSPECT);
    health_look(health, 16 * S, note, &seen);
    assert_int_equal(seen.to, HEALTH_DEAD);
    health_destroy(health);
}

static void test_reports_are_kept_and_old_ones_change_no_time(void **state)
{
    (void)state;
    health_t *health = make();
    health_heard(health, 1, 50 * S, &(health_report_t){.n_workers = 4, .n_busy = 3, .n_queued = 9, .load_milli = 1250});
    health_heard(health, 1, 40 * S, NULL);
    assert_int_equal(health_row(health, 1)->heard_ns, 50 * S);
    assert_int_equal(health_row(health, 1)->report.n_busy, 3);
    assert_int_equal(health_row(health, 1)->report.load_milli, 1250);
    health_destroy(health);
    health_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_silence_makes_suspect_then_dead),
        cmocka_unit_test(test_a_suspect_that_speaks_is_alive),
        cmocka_unit_test(test_some_are_only_ever_suspect),
        cmocka_unit_test(test_a_rank_that_never_spoke_is_unknown),
        cmocka_unit_test(test_a_pause_of_rank_0_blames_nobody),
        cmocka_unit_test(test_death_comes_after_suspicion),
        cmocka_unit_test(test_reports_are_kept_and_old_ones_change_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
