/* Hashes are part of what ranks tell each other: their values are pinned here. */
#include "hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_hash64_has_the_published_values(void **state)
{
    (void)state;
    assert_true(base_hash64("", 0) == UINT64_C(0x2d06800538d394c2)); /* XXH3_64bits of nothing, xxHash's specification */
    assert_true(base_hash64("mray", 4) == base_hash64("mrayx", 4));
}

static void test_hash64_depends_on_each_byte(void **state)
{
    (void)state;
    unsigned char buf[300];
    for (size_t n = 1; n <= sizeof buf; n += 13) {
        memset(buf, 7, n);
        uint64_t h = base_hash64(buf, n);
        for (size_t i = 0; i < n; i++) {
            buf[i] ^= 1;
            assert_true(base_hash64(buf, n) != h);
            buf[i] ^= 1;
        }
        assert_true(base_hash64(buf, n) == h);
        assert_true(base_hash64(buf, n - 1) != h);
    }
}

static void test_hash64_needs_no_alignment(void **state)
{
    (void)state;
    char buf[80];
    for (size_t at = 0; at < 8; at++) {
        memcpy(buf + at, "a name of some length, longer than sixteen bytes", 48);
        assert_true(base_hash64(buf + at, 48) == base_hash64("a name of some length, longer than sixteen bytes", 48));
    }
}

static void test_seeded_depends_on_order(void **state)
{
    (void)state;
    uint64_t ab = base_hash64_seeded("b", 1, base_hash64("a", 1));
    uint64_t ba = base_hash64_seeded("a", 1, base_hash64("b", 1));
    assert_true(ab != ba);
    assert_true(ab == base_hash64_seeded("b", 1, base_hash64("a", 1)));
}

static void test_name_is_the_hash_of_its_letters(void **state)
{
    (void)state;
    assert_true(base_hash_name("norm2") == base_hash64("norm2", 5));
    assert_true(base_hash_name("norm2") != base_hash_name("norm3"));
    assert_true(base_hash_name("") != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hash64_has_the_published_values),
        cmocka_unit_test(test_hash64_depends_on_each_byte),
        cmocka_unit_test(test_hash64_needs_no_alignment),
        cmocka_unit_test(test_seeded_depends_on_order),
        cmocka_unit_test(test_name_is_the_hash_of_its_letters),
    };
    return cmocka_run_group_tests_name("base.hash", tests, NULL, NULL);
}
