/* Ticks become the clock's nanoseconds: within the marks, in order, and near what the clock says. */
#include "ticks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void check(bool counter)
{
    enum { N = 2000, NEAR_NS = 20000 };
    static uint64_t ticks[N], before[N], after[N];
    base_ticks_mark_t from = base_ticks_mark(counter);
    for (int i = 0; i < N; i++) {
        before[i] = base_clock_ns();
        ticks[i] = base_ticks(counter);
        after[i] = base_clock_ns();
        while (base_clock_ns() < after[i] + 2000) {}
    }
    base_ticks_mark_t to = base_ticks_mark(counter);
    for (int i = 0; i < N; i++) {
        uint64_t ns = base_ticks_ns(&from, &to, ticks[i]);
        assert_true(ns + NEAR_NS >= before[i] && ns <= after[i] + NEAR_NS);
        if (i > 0) assert_true(ns >= base_ticks_ns(&from, &to, ticks[i - 1]));
    }
    /* About a microsecond: between a quarter and four. */
    uint64_t a_microsecond = base_ticks_ns(&from, &to, from.ticks + base_ticks_a_microsecond(counter)) - from.ns;
    assert_true(a_microsecond >= 250 && a_microsecond <= 4000);
}

static void test_clock_stands_for_itself(void **state)
{
    (void)state;
    check(false);
}

static void test_counter_agrees_with_the_clock(void **state)
{
    (void)state;
    if (!base_ticks_usable()) {
        print_message("the kernel does not use the CPU's counter here\n");
        skip();
    }
    check(true);
}

static void test_conversion_is_exact_at_the_marks_and_safe_beside_them(void **state)
{
    (void)state;
    base_ticks_mark_t from = {.ticks = 1000, .ns = 50000}, to = {.ticks = 3000, .ns = 51000}, same = from;
    assert_int_equal(base_ticks_ns(&from, &to, 1000), 50000);
    assert_int_equal(base_ticks_ns(&from, &to, 2000), 50500);
    assert_int_equal(base_ticks_ns(&from, &to, 3000), 51000);
    assert_int_equal(base_ticks_ns(&from, &to, 5000), 52000);
    assert_int_equal(base_ticks_ns(&from, &to, 10), 50000);
    assert_int_equal(base_ticks_ns(&from, &same, 7000), 50000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock_stands_for_itself),
        cmocka_unit_test(test_counter_agrees_with_the_clock),
        cmocka_unit_test(test_conversion_is_exact_at_the_marks_and_safe_beside_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
