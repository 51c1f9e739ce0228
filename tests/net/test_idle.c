/* test_idle.c: the idle ladder: its steps in order, its caps, and what an idle thread costs by it. */
#include "idle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { US = 1000, MS = 1000 * US };
static const uint64_t start_ns = 12345;

static idle_step_t step_after(bool may_spin, idle_due_t due, uint64_t idle_ns)
{
    idle_ladder_t ladder;
    idle_init(&ladder, may_spin);
    idle_next(&ladder, start_ns, due);
    return idle_next(&ladder, start_ns + idle_ns, due);
}

static void test_steps_come_in_order(void **state)
{
    (void)state;
    assert_int_equal(step_after(true, IDLE_DUE_NOTHING, 1 * US).kind, IDLE_SPIN);
    assert_int_equal(step_after(true, IDLE_DUE_NOTHING, 100 * US).kind, IDLE_YIELD);
    assert_int_equal(step_after(true, IDLE_DUE_NOTHING, 300 * US).kind, IDLE_SLEEP);
}

static void test_without_a_core_to_spare_nothing_spins(void **state)
{
    (void)state;
    for (uint64_t ns = 0; ns < 10 * MS; ns += 500) assert_int_not_equal(step_after(false, IDLE_DUE_NOTHING, ns).kind, IDLE_SPIN);
    assert_int_equal(step_after(false, IDLE_DUE_NOTHING, 1 * US).kind, IDLE_YIELD);
}

static void test_of_some_looks_one_yields(void **state)
{
    (void)state;
    idle_ladder_t ladder;
    idle_init(&ladder, false);
    ladder.looks = 4;
    assert_int_equal(idle_next(&ladder, start_ns, IDLE_DUE_ANSWER).kind, IDLE_YIELD);
    assert_int_equal(idle_next(&ladder, start_ns, IDLE_DUE_ANSWER).kind, IDLE_SPIN);
    idle_reset(&ladder);
    int n_yields = 0;
    for (int i = 0; i < 100; i++) n_yields += idle_next(&ladder, start_ns + (uint64_t)i * US, IDLE_DUE_ANSWER).kind == IDLE_YIELD;
    assert_int_equal(n_yields, 25);
    for (int i = 0; i < 100; i++) assert_int_equal(idle_next(&ladder, start_ns + (uint64_t)i * US, IDLE_DUE_DATA).kind, IDLE_YIELD); /* the sender wants the core */
    assert_int_equal(idle_next(&ladder, start_ns + 300 * US, IDLE_DUE_ANSWER).kind, IDLE_SLEEP);
}

static void test_sleeps_grow_to_their_caps(void **state)
{
    (void)state;
    uint32_t last = 0;
    for (uint64_t ns = 300 * US; ns < 3000ull * MS; ns += ns / 4) {
        idle_step_t step = step_after(true, IDLE_DUE_NOTHING, ns);
        assert_int_equal(step.kind, IDLE_SLEEP);
        assert_true(step.sleep_ns >= last);
        if (ns < IDLE_LONG_NS) assert_true(step.sleep_ns <= 1 * MS);
        last = step.sleep_ns;
    }
    assert_int_equal(last, 5 * MS);
    assert_int_equal(step_after(true, IDLE_DUE_NOTHING, 20 * MS).sleep_ns, 1 * MS);
}

static void test_what_is_due_keeps_sleeps_short(void **state)
{
    (void)state;
    assert_true(step_after(true, IDLE_DUE_ANSWER, 1 * MS).sleep_ns <= 50 * US);
    for (idle_due_t due = IDLE_DUE_ANSWER; due <= IDLE_DUE_DATA; due++) assert_true(step_after(true, due, 3000ull * MS).sleep_ns <= 1 * MS);
}

static void test_while_data_flow_it_sleeps_later(void **state)
{
    (void)state;
    assert_int_equal(step_after(true, IDLE_DUE_DATA, 3 * MS).kind, IDLE_YIELD);
    assert_int_equal(step_after(true, IDLE_DUE_DATA, 5 * MS).kind, IDLE_SLEEP); /* they may never come */
}

static void test_who_lingers_sleeps_later(void **state)
{
    (void)state;
    idle_ladder_t ladder;
    idle_init(&ladder, false);
    ladder.lingers = true;
    idle_next(&ladder, start_ns, IDLE_DUE_NOTHING);
    assert_int_equal(idle_next(&ladder, start_ns + 900 * US, IDLE_DUE_NOTHING).kind, IDLE_YIELD);
    assert_int_equal(idle_next(&ladder, start_ns + 1100 * US, IDLE_DUE_NOTHING).kind, IDLE_SLEEP);
    ladder.lingers = false;
    assert_int_equal(idle_next(&ladder, start_ns + 900 * US, IDLE_DUE_NOTHING).kind, IDLE_SLEEP);
}

static void test_reset_starts_again(void **state)
{
    (void)state;
    idle_ladder_t ladder;
    idle_init(&ladder, true);
    idle_next(&ladder, start_ns, IDLE_DUE_NOTHING);
    assert_int_equal(idle_next(&ladder, start_ns + 3000ull * MS, IDLE_DUE_NOTHING).kind, IDLE_SLEEP);
    idle_reset(&ladder);
    assert_int_equal(idle_next(&ladder, start_ns + 3001ull * MS, IDLE_DUE_NOTHING).kind, IDLE_SPIN);
}

/* Walk the ladder with a poll of 15 us, wake-up included, and sleeps 50 us too long: the share of a core it takes from 2 s on. */
static void test_long_idleness_costs_little(void **state)
{
    (void)state;
    idle_ladder_t ladder;
    idle_init(&ladder, true);
    uint64_t now = start_ns, work = 0, from = start_ns + 2000ull * MS, to = start_ns + 4000ull * MS;
    while (now < to) {
        now += 15 * US;
        if (now >= from) work += 15 * US;
        idle_step_t step = idle_next(&ladder, now, IDLE_DUE_NOTHING);
        uint64_t pause = step.kind == IDLE_SLEEP ? step.sleep_ns + 50 * US : 0;
        now += pause;
    }
    assert_true(work * 1000 < (to - from) * 5); /* under 0.5% a rank: eight of them stay under 4% */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps_come_in_order),       cmocka_unit_test(test_without_a_core_to_spare_nothing_spins),
        cmocka_unit_test(test_sleeps_grow_to_their_caps), cmocka_unit_test(test_what_is_due_keeps_sleeps_short),
        cmocka_unit_test(test_of_some_looks_one_yields),
        cmocka_unit_test(test_while_data_flow_it_sleeps_later),
        cmocka_unit_test(test_who_lingers_sleeps_later),
        cmocka_unit_test(test_reset_starts_again),        cmocka_unit_test(test_long_idleness_costs_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
