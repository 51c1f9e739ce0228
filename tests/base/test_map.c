/* The hash map against a plain array, its edges, and that its selfcheck sees what is broken. */
#include "clock.h"
#include "map.h"
#include "rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* One test asks for more memory than there is; AddressSanitizer shall answer NULL as malloc does. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void check(const base_map_t *map)
{
    if (base_map_selfcheck(map) != MRAY_OK) fail_msg("%s", mray_error_message());
}

static void test_empty_map_answers(void **state)
{
    (void)state;
    base_map_t map;
    base_map_init(&map);
    uint64_t value = 7;
    assert_false(base_map_get(&map, base_key64(0), &value));
    assert_false(base_map_remove(&map, base_key64(0), &value));
    assert_null(base_map_find(&map, base_key64(0)));
    assert_int_equal(value, 7);
    size_t cursor = 0;
    base_map_entry_t entry;
    assert_false(base_map_next(&map, &cursor, &entry));
    base_map_clear(&map);
    check(&map);
    base_map_fini(&map);
    base_map_fini(&map);
    base_map_fini(NULL);
}

static void test_put_replaces_and_all_keys_are_allowed(void **state)
{
    (void)state;
    base_map_t map = {0};
    const base_key_t keys[] = {{0, 0}, {0, UINT64_MAX}, {UINT64_MAX, 0}, {UINT64_MAX, UINT64_MAX}, {1, 0}, {0, 1}};
    for (size_t i = 0; i < 6; i++) assert_int_equal(base_map_put(&map, keys[i], i), MRAY_OK);
    for (size_t i = 0; i < 6; i++) assert_int_equal(base_map_put(&map, keys[i], i + 100), MRAY_OK);
    assert_int_equal(map.n_entries, 6);
    for (size_t i = 0; i < 6; i++) {
        uint64_t value = 0;
        assert_true(base_map_get(&map, keys[i], &value));
        assert_int_equal(value, i + 100);
    }
    *base_map_find(&map, keys[3]) = 5;
    uint64_t value = 0;
    assert_true(base_map_remove(&map, keys[3], &value));
    assert_int_equal(value, 5);
    assert_false(base_map_get(&map, keys[3], NULL));
    check(&map);
    base_map_clear(&map);
    assert_false(base_map_get(&map, keys[0], NULL));
    check(&map);
    base_map_fini(&map);
}

static void test_random_steps_match_a_plain_array(void **state)
{
    (void)state;
    enum { N_KEYS = 3000, N_STEPS = 300000 };
    static uint64_t plain[N_KEYS]; /* 0: not there */
    base_map_t map = {0};
    base_rng_t rng;
    base_rng_seed(&rng, 2024);
    size_t n = 0;
    for (int step = 0; step < N_STEPS; step++) {
        size_t k = base_rng_below(&rng, N_KEYS);
        base_key_t key = k % 2 ? base_key64(k) : base_key128((k + 1) << 40, 17);
        uint64_t value = 0;
        /* Phases of growing and of shrinking, so that long runs form and go. */
        if (base_rng_below(&rng, 100) < (step / 20000 % 2 ? 30u : 70u)) {
            n += plain[k] == 0;
            plain[k] = base_rng_next(&rng) | 1;
            assert_int_equal(base_map_put(&map, key, plain[k]), MRAY_OK);
        } else {
            assert_true(base_map_remove(&map, key, &value) == (plain[k] != 0));
            assert_true(value == plain[k]);
            n -= plain[k] != 0;
            plain[k] = 0;
        }
        assert_true(map.n_entries == n);
        if (step % 5000 == 0) check(&map);
    }
    for (size_t k = 0; k < N_KEYS; k++) {
        uint64_t value = 0;
        base_map_get(&map, k % 2 ? base_key64(k) : base_key128((k + 1) << 40, 17), &value);
        assert_true(value == plain[k]);
    }
    check(&map);
    base_map_fini(&map);
}

static void test_walk_sees_each_entry_once(void **state)
{
    (void)state;
    base_map_t map = {0};
    uint8_t seen[1000] = {0};
    for (uint64_t k = 0; k < 1000; k++) assert_int_equal(base_map_put(&map, base_key64(k * 64), k), MRAY_OK);
    base_map_entry_t entry;
    for (size_t cursor = 0; base_map_next(&map, &cursor, &entry);) {
        assert_true(entry.key.lo == entry.value * 64);
        seen[entry.value]++;
    }
    for (int k = 0; k < 1000; k++) assert_int_equal(seen[k], 1);
    base_map_fini(&map);
}

static void test_reserve_holds_and_refuses_what_no_memory_has(void **state)
{
    (void)state;
    base_map_t map = {0};
    assert_int_equal(base_map_reserve(&map, 1000), MRAY_OK);
    base_map_entry_t *entries = map.entries;
    for (uint64_t k = 0; k < 1000; k++) assert_int_equal(base_map_put(&map, base_key64(k), k), MRAY_OK);
    assert_ptr_equal(map.entries, entries);
    assert_int_equal(base_map_reserve(&map, SIZE_MAX), MRAY_ERR_OUT_OF_MEMORY);
    assert_int_equal(base_map_reserve(&map, SIZE_MAX >> 22), MRAY_ERR_OUT_OF_MEMORY); /* refused by calloc */
    assert_non_null(strstr(mray_error_message(), "hash map"));
    assert_int_equal(map.n_entries, 1000);
    check(&map);
    base_map_fini(&map);
}

static void test_selfcheck_sees_each_kind_of_damage(void **state)
{
    (void)state;
    base_map_t map = {0};
    for (uint64_t k = 0; k < 12; k++) assert_int_equal(base_map_put(&map, base_key64(k), k), MRAY_OK);
    check(&map);
    size_t used = 0;
    while (!map.tags[used]) used++;

    map.n_entries--;
    assert_int_equal(base_map_selfcheck(&map), MRAY_ERR_INTERNAL);
    map.n_entries++;
    map.tags[used] ^= 1;
    assert_int_equal(base_map_selfcheck(&map), MRAY_ERR_INTERNAL);
    map.tags[used] ^= 1;
    map.entries[used].key.lo ^= 12345;
    assert_int_equal(base_map_selfcheck(&map), MRAY_ERR_INTERNAL);
    map.entries[used].key.lo ^= 12345;
    map.n_places--;
    assert_int_equal(base_map_selfcheck(&map), MRAY_ERR_INTERNAL);
    map.n_places++;
    check(&map);
    base_map_fini(&map);
}

/* Not a test of speed: the line is there to be read, the bound only catches a probe length that has gone linear. */
static void test_look_ups_stay_short(void **state)
{
    (void)state;
    enum { N = 200000 };
    base_map_t map = {0};
    for (uint64_t k = 0; k < N; k++) assert_int_equal(base_map_put(&map, base_key128(3, k * 4096), k), MRAY_OK);
    uint64_t sum = 0, value, start = base_clock_ns();
    for (uint64_t k = 0; k < N; k++) {
        base_map_get(&map, base_key128(3, (k * 7919 % N) * 4096), &value);
        sum += value;
    }
    uint64_t ns = (base_clock_ns() - start) / N;
    assert_true(sum == (uint64_t)N * (N - 1) / 2);
    printf("map: %llu ns a look-up, %d entries\n", (unsigned long long)ns, N);
    assert_true(ns < 5000);
    base_map_fini(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_map_answers),
        cmocka_unit_test(test_put_replaces_and_all_keys_are_allowed),
        cmocka_unit_test(test_random_steps_match_a_plain_array),
        cmocka_unit_test(test_walk_sees_each_entry_once),
        cmocka_unit_test(test_reserve_holds_and_refuses_what_no_memory_has),
        cmocka_unit_test(test_selfcheck_sees_each_kind_of_damage),
        cmocka_unit_test(test_look_ups_stay_short),
    };
    return cmocka_run_group_tests_name("base.map", tests, NULL, NULL);
}
