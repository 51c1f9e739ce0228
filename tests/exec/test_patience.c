/* How long a copy waits for who asked in vain: by a clock that is only a number. */
#include "patience.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#define SECOND UINT64_C(1000000000)

static mray_ref object(uint32_t i)
{
    return (mray_ref){.rank = 1, .slot = 1 + i, .gen = 3, .epoch = 5};
}

/* Polls so often until it finds the copy that the poll before it had fetched: by the how many-th. */
static int polls_until_seen(patience_t *all, mray_ref ref, uint64_t every_ns)
{
    uint64_t now = 1000 * SECOND, waits_ns = 0;
    for (int n = 1; n < 20; n++, now += every_ns) {
        if (n > 1 && waits_ns > every_ns) return n;
        if (n > 1) patience_note(all, ref, now - every_ns);
        waits_ns = patience_for(all, ref, now);
    }
    return 0;
}

static void test_who_polls_seldom_sees_it_the_third_time(void **state)
{
    (void)state;
    patience_t *all = calloc(1, sizeof *all);
    assert_non_null(all);
    assert_int_equal(polls_until_seen(all, object(0), SECOND), 2);
    assert_int_equal(polls_until_seen(all, object(1), 4 * SECOND), 2);
    assert_int_equal(polls_until_seen(all, object(2), 6 * SECOND), 3);
    assert_int_equal(polls_until_seen(all, object(3), 60 * SECOND), 3);
    assert_int_equal(polls_until_seen(all, object(4), 590 * SECOND), 3);
    assert_int_equal(polls_until_seen(all, object(5), 610 * SECOND), 0); /* the limit */
    free(all);
}

static void test_it_is_of_one_object_and_bounded(void **state)
{
    (void)state;
    patience_t *all = calloc(1, sizeof *all);
    assert_non_null(all);
    assert_true(patience_for(all, object(0), SECOND) == PATIENCE_NS);
    patience_note(all, object(0), SECOND);
    assert_true(patience_for(all, object(0), 2 * SECOND) == PATIENCE_NS); /* not less */
    assert_true(patience_for(all, object(0), 21 * SECOND) == 40 * SECOND);
    assert_true(patience_for(all, object(0), 100000 * SECOND) == PATIENCE_MAX_NS);
    assert_true(patience_for(all, object(1), 21 * SECOND) == PATIENCE_NS);
    mray_ref later = object(0);
    later.gen++;
    assert_true(patience_for(all, later, 21 * SECOND) == PATIENCE_NS);
    for (uint32_t i = 0; i < 100 * PATIENCE_PLACES; i++) patience_note(all, object(i), SECOND); /* most take another's place */
    assert_true(patience_for(all, object(100 * PATIENCE_PLACES - 1), 21 * SECOND) == 40 * SECOND);
    free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_polls_seldom_sees_it_the_third_time),
        cmocka_unit_test(test_it_is_of_one_object_and_bounded),
    };
    return cmocka_run_group_tests_name("exec.patience", tests, NULL, NULL);
}
