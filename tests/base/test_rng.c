/* The generators against their authors' values, and the ranges. */
#include "rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_splitmix64_has_the_published_values(void **state)
{
    (void)state;
    uint64_t s = 1234567; /* values of the reference code for this seed */
    assert_true(base_splitmix64(&s) == UINT64_C(6457827717110365317));
    assert_true(base_splitmix64(&s) == UINT64_C(3203168211198807973));
    assert_true(base_splitmix64(&s) == UINT64_C(9817491932198370423));
}

static void test_xoshiro_has_the_published_values(void **state)
{
    (void)state;
    base_rng_t rng = {{1, 2, 3, 4}}; /* the first numbers of the reference code from this state */
    assert_true(base_rng_next(&rng) == 11520);
    assert_true(base_rng_next(&rng) == 0);
    assert_true(base_rng_next(&rng) == 1509978240);
    assert_true(base_rng_next(&rng) == UINT64_C(1215971899390074240));
}

static void test_ranges_hold_and_are_filled(void **state)
{
    (void)state;
    base_rng_t rng;
    base_rng_seed(&rng, 42);
    unsigned seen[7] = {0};
    for (int i = 0; i < 7000; i++) {
        uint64_t x = base_rng_range(&rng, 10, 16);
        assert_in_range(x, 10, 16);
        seen[x - 10]++;
        double u = base_rng_unit(&rng);
        assert_true(u >= 0 && u < 1);
    }
    for (int i = 0; i < 7; i++) assert_in_range(seen[i], 800, 1200);
    assert_true(base_rng_below(&rng, 1) == 0);
    base_rng_t copy = rng;
    assert_true(base_rng_range(&rng, 0, UINT64_MAX) == base_rng_next(&copy));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_splitmix64_has_the_published_values),
        cmocka_unit_test(test_xoshiro_has_the_published_values),
        cmocka_unit_test(test_ranges_hold_and_are_filled),
    };
    return cmocka_run_group_tests_name("base.rng", tests, NULL, NULL);
}
