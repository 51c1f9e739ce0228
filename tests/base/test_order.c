/* The order of numbers by key against a plain sorted array, under random changes. */
#include "order.h"

#include "rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { N = 300 };

typedef struct {
    bool in;
    uint64_t key;
} plain_t;

static void check_against(const base_order_t *order, const plain_t *plain)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < N; i++) {
        assert_int_equal(base_order_has(order, i), plain[i].in);
        if (!plain[i].in) continue;
        uint32_t before = 0;
        for (uint32_t k = 0; k < N; k++) before += plain[k].in && (plain[k].key < plain[i].key || (plain[k].key == plain[i].key && k < i));
        assert_int_equal(base_order_before(order, plain[i].key, i), before);
        assert_int_equal(base_order_at(order, before), i);
        assert_true(base_order_key(order, i) == plain[i].key);
        n++;
    }
    assert_int_equal(base_order_count(order), n);
    assert_int_equal(base_order_selfcheck(order), MRAY_OK);
}

static void test_positions_are_those_of_a_sorted_array(void **state)
{
    (void)state;
    static const uint64_t ranges[] = {1, 4, 50, UINT64_MAX};
    base_rng_t rng;
    base_rng_seed(&rng, 11);
    for (size_t r = 0; r < sizeof ranges / sizeof ranges[0]; r++) {
        base_order_t order = {0};
        plain_t plain[N] = {0};
        assert_int_equal(base_order_reserve(&order, N), MRAY_OK);
        for (int turn = 0; turn < 60; turn++) {
            for (int i = 0; i < 40; i++) {
                uint32_t number = (uint32_t)base_rng_below(&rng, N);
                uint64_t key = base_rng_below(&rng, ranges[r]);
                if (base_rng_below(&rng, 3) == 0) {
                    base_order_remove(&order, number);
                    plain[number].in = false;
                } else {
                    base_order_set(&order, number, key);
                    plain[number] = (plain_t){.in = true, .key = key};
                }
            }
            check_against(&order, plain);
        }
        base_order_fini(&order);
    }
}

static void test_before_counts_keys_that_are_not_there(void **state)
{
    (void)state;
    base_order_t order = {0};
    assert_int_equal(base_order_before(&order, 5, 0), 0);
    assert_int_equal(base_order_reserve(&order, 8), MRAY_OK);
    for (uint32_t i = 0; i < 8; i++) base_order_set(&order, i, i / 2 * 10);
    assert_int_equal(base_order_before(&order, 5, 0), 2);
    assert_int_equal(base_order_before(&order, 10, 0), 2);
    assert_int_equal(base_order_before(&order, 10, 3), 3);
    assert_int_equal(base_order_before(&order, 11, 0), 4);
    assert_int_equal(base_order_before(&order, UINT64_MAX, 0), 8);
    base_order_fini(&order);
}

static void test_growth_keeps_what_is_there(void **state)
{
    (void)state;
    base_order_t order = {0};
    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(base_order_reserve(&order, i + 1), MRAY_OK);
        base_order_set(&order, i, 1000 - i);
    }
    assert_int_equal(base_order_selfcheck(&order), MRAY_OK);
    for (uint32_t i = 0; i < 1000; i++) assert_int_equal(base_order_at(&order, i), 999 - i);
    assert_false(base_order_has(&order, 5000));
    base_order_remove(&order, 5000);
    for (uint32_t i = 0; i < 1000; i++) base_order_remove(&order, i);
    assert_int_equal(base_order_count(&order), 0);
    base_order_fini(&order);
}

static uint32_t depth(const base_order_t *order, uint32_t link)
{
    if (link == 0) return 0;
    uint32_t left = depth(order, order->items[link - 1].left), right = depth(order, order->items[link - 1].right);
    return (left > right ? left : right) + 1;
}

static void test_depth_grows_with_the_logarithm(void **state)
{
    (void)state;
    for (uint32_t n = 1000, limit = 35; n <= 100000; n *= 10, limit += 12) {
        base_order_t order = {0};
        assert_int_equal(base_order_reserve(&order, n), MRAY_OK);
        for (uint32_t i = 0; i < n; i++) base_order_set(&order, i, i); /* sorted input is a plain tree's worst */
        assert_true(depth(&order, order.root) <= limit);
        base_order_fini(&order);
    }
}

static void test_selfcheck_sees_faults(void **state)
{
    (void)state;
    base_order_t order = {0};
    assert_int_equal(base_order_reserve(&order, 100), MRAY_OK);
    for (uint32_t i = 0; i < 100; i++) base_order_set(&order, i, i % 7);
    order.items[40].key += 3;
    assert_int_equal(base_order_selfcheck(&order), MRAY_ERR_INTERNAL);
    order.items[40].key -= 3;
    order.items[order.root - 1].size--;
    assert_int_equal(base_order_selfcheck(&order), MRAY_ERR_INTERNAL);
    order.items[order.root - 1].size++;
    assert_int_equal(base_order_selfcheck(&order), MRAY_OK);
    base_order_fini(&order);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_positions_are_those_of_a_sorted_array),
        cmocka_unit_test(test_before_counts_keys_that_are_not_there),
        cmocka_unit_test(test_growth_keeps_what_is_there),
        cmocka_unit_test(test_depth_grows_with_the_logarithm),
        cmocka_unit_test(test_selfcheck_sees_faults),
    };
    return cmocka_run_group_tests_name("base.order", tests, NULL, NULL);
}
