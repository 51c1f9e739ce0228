/* test_machine.c: sets as text, distances, fingerprints. */
#include "machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void expect_text(const char *text, const char *wanted)
{
    topo_cpuset_t set;
    char buf[64];
    assert_true(topo_cpuset_parse(text, &set));
    topo_cpuset_format(&set, buf, sizeof buf);
    assert_string_equal(buf, wanted);
}

static void test_cpuset_text_goes_both_ways(void **state)
{
    (void)state;
    expect_text("0", "0");
    expect_text("0-3,8", "0-3,8");
    expect_text("8,3,2,1,0", "0-3,8");
    expect_text("62-65,1023", "62-65,1023");
    expect_text("5-5", "5");
}

static void test_cpuset_parse_refuses_nonsense(void **state)
{
    (void)state;
    const char *const bad[] = {"", "a", "1,", ",1", "3-1", "1-", "-1", "1024", "0-1024", "1 2", "99999999999999999999"};
    topo_cpuset_t set;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) assert_false(topo_cpuset_parse(bad[i], &set));
}

static void test_cpuset_format_cuts_long_lists(void **state)
{
    (void)state;
    topo_cpuset_t set = {0};
    char buf[16];
    topo_cpuset_format(&set, buf, sizeof buf);
    assert_string_equal(buf, "-");
    for (int i = 0; i < TOPO_MAX_PUS; i += 2) topo_cpuset_add(&set, i);
    topo_cpuset_format(&set, buf, sizeof buf);
    assert_string_equal(buf, "0,2,4,6,8...");
    for (size_t bytes = 1; bytes <= sizeof buf; bytes++) {
        memset(buf, 'x', sizeof buf);
        topo_cpuset_format(&set, buf, bytes);
        assert_non_null(memchr(buf, '\0', bytes));
    }
}

static void test_cpuset_ignores_values_outside(void **state)
{
    (void)state;
    topo_cpuset_t set = {0};
    topo_cpuset_add(&set, -1);
    topo_cpuset_add(&set, TOPO_MAX_PUS);
    assert_int_equal(topo_cpuset_count(&set), 0);
    assert_false(topo_cpuset_has(&set, -1));
    assert_false(topo_cpuset_has(&set, TOPO_MAX_PUS));
    topo_cpuset_add(&set, 1023);
    assert_true(topo_cpuset_has(&set, 1023));
    assert_int_equal(topo_cpuset_count(&set), 1);
}

static void test_cpuset_and_equal(void **state)
{
    (void)state;
    topo_cpuset_t a, b, wanted;
    assert_true(topo_cpuset_parse("0-9,100", &a));
    assert_true(topo_cpuset_parse("5-12,100-101", &b));
    assert_true(topo_cpuset_parse("5-9,100", &wanted));
    assert_false(topo_cpuset_equal(&a, &b));
    topo_cpuset_and(&a, &b);
    assert_true(topo_cpuset_equal(&a, &wanted));
}

static void test_distance_is_the_nearest_shared_level(void **state)
{
    (void)state;
    topo_core_t cores[] = {
        {.cache = 0, .numa = 0, .package = 0}, {.cache = 0, .numa = 0, .package = 0}, {.cache = 1, .numa = 0, .package = 0},
        {.cache = 2, .numa = 1, .package = 0}, {.cache = 3, .numa = 2, .package = 1}, {.cache = -1, .numa = -1, .package = -1},
        {.cache = -1, .numa = -1, .package = -1},
    };
    const topo_machine_t machine = {.n_cores = 7, .cores = cores};
    assert_int_equal(topo_distance(&machine, 0, 0), TOPO_DIST_CORE);
    assert_int_equal(topo_distance(&machine, 0, 1), TOPO_DIST_CACHE);
    assert_int_equal(topo_distance(&machine, 0, 2), TOPO_DIST_NUMA);
    assert_int_equal(topo_distance(&machine, 0, 3), TOPO_DIST_PACKAGE);
    assert_int_equal(topo_distance(&machine, 0, 4), TOPO_DIST_NODE);
    assert_int_equal(topo_distance(&machine, 5, 6), TOPO_DIST_NODE);
    assert_int_equal(topo_distance(&machine, 0, 7), TOPO_DIST_NODE);
    assert_int_equal(topo_distance(&machine, -1, -1), TOPO_DIST_NODE);
    for (int a = 0; a < 7; a++)
        for (int b = 0; b < 7; b++) assert_int_equal(topo_distance(&machine, a, b), topo_distance(&machine, b, a));
}

static void test_hash_sees_every_field(void **state)
{
    (void)state;
    topo_core_t cores[2] = {{.pus = {0}, .n_pus = 1}, {.pus = {1}, .n_pus = 1}};
    topo_machine_t machine = {.n_cores = 2, .cores = cores};
    uint64_t hash = topo_machine_hash(&machine);
    assert_true(hash == topo_machine_hash(&machine));
    cores[1].numa = 1;
    assert_true(hash != topo_machine_hash(&machine));
    cores[1].numa = 0;
    cores[1].pus[0] = 2;
    assert_true(hash != topo_machine_hash(&machine));
    cores[1].pus[0] = 1;
    machine.n_cores = 1;
    assert_true(hash != topo_machine_hash(&machine));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cpuset_text_goes_both_ways),        cmocka_unit_test(test_cpuset_parse_refuses_nonsense),
        cmocka_unit_test(test_cpuset_format_cuts_long_lists),     cmocka_unit_test(test_cpuset_ignores_values_outside),
        cmocka_unit_test(test_cpuset_and_equal),                  cmocka_unit_test(test_distance_is_the_nearest_shared_level),
        cmocka_unit_test(test_hash_sees_every_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
