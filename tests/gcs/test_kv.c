/* The key-value store: byte strings, overwriting, limits, many keys. */
#include "kv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <mray/status.h>

static void test_put_get_remove(void **state)
{
    (void)state;
    kv_t *kv;
    size_t n = 99;
    assert_int_equal(kv_create(&kv), MRAY_OK);
    assert_null(kv_get(kv, "a", 1, &n));
    assert_int_equal(kv_put(kv, "a", 1, "first", 5, false), MRAY_OK);
    assert_memory_equal(kv_get(kv, "a", 1, &n), "first", 5);
    assert_int_equal(n, 5);
    assert_true(kv_exists(kv, "a", 1));
    assert_false(kv_exists(kv, "a\0", 2)); /* a NUL is a byte like any other */
    assert_true(kv_remove(kv, "a", 1));
    assert_false(kv_remove(kv, "a", 1));
    assert_false(kv_exists(kv, "a", 1));
    assert_int_equal(kv_bytes(kv), 0);
    kv_destroy(kv);
    kv_destroy(NULL);
}

static void test_a_value_is_replaced_only_on_request(void **state)
{
    (void)state;
    kv_t *kv;
    size_t n;
    assert_int_equal(kv_create(&kv), MRAY_OK);
    assert_int_equal(kv_put(kv, "k", 1, "old", 3, true), MRAY_OK);
    assert_int_equal(kv_put(kv, "k", 1, "new", 3, false), MRAY_ERR_KEY_EXISTS);
    assert_memory_equal(kv_get(kv, "k", 1, &n), "old", 3);
    assert_int_equal(kv_put(kv, "k", 1, "newer", 5, true), MRAY_OK);
    assert_memory_equal(kv_get(kv, "k", 1, &n), "newer", 5);
    assert_int_equal(kv_count(kv), 1);
    assert_int_equal(kv_bytes(kv), 6);
    kv_destroy(kv);
}

static void test_sizes_are_checked(void **state)
{
    (void)state;
    static char large[KV_MAX_VALUE + 1], key[KV_MAX_KEY + 1];
    kv_t *kv;
    size_t n = 1;
    assert_int_equal(kv_create(&kv), MRAY_OK);
    assert_int_equal(kv_put(kv, "k", 1, large, KV_MAX_VALUE, true), MRAY_OK);
    assert_int_equal(kv_put(kv, "k", 1, large, KV_MAX_VALUE + 1, true), MRAY_ERR_INVALID_ARGUMENT);
    assert_int_equal(kv_put(kv, key, KV_MAX_KEY, "", 0, true), MRAY_OK);
    assert_int_equal(kv_put(kv, key, KV_MAX_KEY + 1, "", 0, true), MRAY_ERR_INVALID_ARGUMENT);
    assert_int_equal(kv_put(kv, "", 0, "x", 1, true), MRAY_ERR_INVALID_ARGUMENT);
    assert_non_null(kv_get(kv, key, KV_MAX_KEY, &n)); /* empty is not absent */
    assert_int_equal(n, 0);
    kv_destroy(kv);
}

static void test_the_store_is_bounded(void **state)
{
    (void)state;
    static char value[KV_MAX_VALUE];
    kv_t *kv;
    int status = MRAY_OK;
    unsigned i = 0;
    assert_int_equal(kv_create(&kv), MRAY_OK);
    for (; status == MRAY_OK && i < 100000; i++) status = kv_put(kv, &i, sizeof i, value, sizeof value, false);
    assert_int_equal(status, MRAY_ERR_LIMIT);
    assert_true(kv_bytes(kv) <= KV_MAX_BYTES);
    i = 0;
    assert_true(kv_remove(kv, &i, sizeof i));
    assert_int_equal(kv_put(kv, "x", 1, value, 100, false), MRAY_OK);
    kv_destroy(kv);
}

static void test_many_keys(void **state)
{
    (void)state;
    kv_t *kv;
    size_t n;
    assert_int_equal(kv_create(&kv), MRAY_OK);
    for (int i = 0; i < 20000; i++) assert_int_equal(kv_put(kv, &i, sizeof i, &i, sizeof i, false), MRAY_OK);
    for (int i = 0; i < 20000; i += 2) assert_true(kv_remove(kv, &i, sizeof i));
    assert_int_equal(kv_count(kv), 10000);
    for (int i = 0; i < 20000; i++) {
        const void *value = kv_get(kv, &i, sizeof i, &n);
        if (i % 2 == 0)
            assert_null(value);
        else
            assert_memory_equal(value, &i, sizeof i);
    }
    kv_destroy(kv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_get_remove),
        cmocka_unit_test(test_a_value_is_replaced_only_on_request),
        cmocka_unit_test(test_sizes_are_checked),
        cmocka_unit_test(test_the_store_is_bounded),
        cmocka_unit_test(test_many_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
