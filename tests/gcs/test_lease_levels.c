/* Rows by key against a plain array, under random changes. */
#include "lease_levels.h"

#include "rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { N = 60 };

typedef struct {
    bool in;
    uint64_t key;
} plain_t;

static void check_against(const lease_levels_t *levels, const plain_t *plain)
{
    assert_int_equal(lease_levels_selfcheck(levels), MRAY_OK);
    for (uint64_t below = 0; below <= 12; below++) {
        uint32_t least = lease_levels_least(levels, below), greatest = lease_levels_greatest(levels, below);
        bool any = false;
        for (uint32_t i = 0; i < N; i++) {
            if (!plain[i].in || plain[i].key >= below) continue;
            any = true;
            assert_true(least < N && plain[least].in && plain[least].key <= plain[i].key);
            assert_true(greatest < N && plain[greatest].in && plain[greatest].key >= plain[i].key && plain[greatest].key < below);
        }
        if (!any) assert_true(least == LEASE_NO_ROW && greatest == LEASE_NO_ROW);
    }
    for (uint32_t i = 0; i < N; i++)
        for (uint64_t key = 0; key < 12; key++) assert_int_equal(lease_levels_has(levels, i, key), plain[i].in && plain[i].key == key);
}

static void test_ends_are_those_of_a_plain_array(void **state)
{
    (void)state;
    base_rng_t rng;
    base_rng_seed(&rng, 5);
    for (uint64_t range = 1; range <= 12; range += 11) {
        lease_levels_t levels = {0};
        plain_t plain[N] = {0};
        for (uint32_t n = 1; n <= N; n++) { /* room for more while rows are in */
            assert_int_equal(lease_levels_reserve(&levels, n), MRAY_OK);
            for (int i = 0; i < 20; i++) {
                uint32_t id = (uint32_t)base_rng_below(&rng, n);
                uint64_t key = base_rng_below(&rng, range);
                if (base_rng_below(&rng, 3) == 0) {
                    lease_levels_remove(&levels, id);
                    plain[id].in = false;
                } else {
                    lease_levels_set(&levels, id, key);
                    plain[id] = (plain_t){.in = true, .key = key};
                }
            }
            check_against(&levels, plain);
        }
        lease_levels_fini(&levels);
    }
}

static void test_the_last_to_come_is_the_first(void **state)
{
    (void)state;
    lease_levels_t levels = {0};
    assert_int_equal(lease_levels_least(&levels, UINT64_MAX), LEASE_NO_ROW);
    assert_int_equal(lease_levels_reserve(&levels, 3), MRAY_OK);
    for (uint32_t i = 0; i < 3; i++) lease_levels_set(&levels, i, 7);
    assert_int_equal(lease_levels_least(&levels, 8), 2);
    lease_levels_set(&levels, 0, 9);
    lease_levels_set(&levels, 0, 7);
    assert_int_equal(lease_levels_least(&levels, 8), 0);
    assert_int_equal(lease_levels_greatest(&levels, 8), 0);
    assert_int_equal(lease_levels_greatest(&levels, 7), LEASE_NO_ROW);
    lease_levels_fini(&levels);
}

static void test_selfcheck_sees_faults(void **state)
{
    (void)state;
    lease_levels_t levels = {0};
    assert_int_equal(lease_levels_reserve(&levels, 4), MRAY_OK);
    for (uint32_t i = 0; i < 4; i++) lease_levels_set(&levels, i, i / 2);
    assert_int_equal(lease_levels_selfcheck(&levels), MRAY_OK);
    levels.places[1].below = 0;
    assert_int_equal(lease_levels_selfcheck(&levels), MRAY_ERR_INTERNAL);
    levels.places[1].below = 1;
    levels.places[0].above = 0;
    assert_int_equal(lease_levels_selfcheck(&levels), MRAY_ERR_INTERNAL);
    levels.places[0].above = 2;
    assert_int_equal(lease_levels_selfcheck(&levels), MRAY_OK);
    lease_levels_fini(&levels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends_are_those_of_a_plain_array),
        cmocka_unit_test(test_the_last_to_come_is_the_first),
        cmocka_unit_test(test_selfcheck_sees_faults),
    };
    return cmocka_run_group_tests_name("gcs.lease_levels", tests, NULL, NULL);
}
