/* mpi_kv.c: the key-value store from the driver and from tasks on every rank: sizes, overwriting, one winner among many. */
/* ranks: local 1 2 4 */
/* sanitize: local 2 */
#include "check.h"

#include <string.h>

static void test_a_value_comes_back(void)
{
    int32_t x = 41, y = 0;
    size_t n = 0;
    int there = -1;
    CHECK_OK(mray_kv_put("x", &x, sizeof x, 0));
    CHECK_OK(mray_kv_get("x", &y, sizeof y, &n));
    CHECK(y == 41 && n == sizeof y);
    CHECK_OK(mray_kv_exists("x", &there));
    CHECK_EQUAL(there, 1);
    CHECK_ERROR(mray_kv_put("x", &x, sizeof x, 0), MRAY_ERR_KEY_EXISTS, "'x'");
    x = 42;
    CHECK_OK(mray_kv_put("x", &x, sizeof x, 1));
    CHECK_OK(mray_kv_get("x", &y, sizeof y, NULL));
    CHECK_EQUAL(y, 42);
    CHECK_ERROR(mray_kv_get("x", &y, 2, &n), MRAY_ERR_BUFFER_TOO_SMALL, "4 bytes");
    CHECK_EQUAL(n, 4);
    CHECK_OK(mray_kv_remove("x"));
    CHECK_ERROR(mray_kv_remove("x"), MRAY_ERR_KEY_NOT_FOUND, "'x'");
    CHECK_ERROR(mray_kv_get("x", &y, sizeof y, NULL), MRAY_ERR_KEY_NOT_FOUND, "'x'");
    CHECK_OK(mray_kv_exists("x", &there));
    CHECK_EQUAL(there, 0);
}

static void test_sizes_up_to_the_limit(void)
{
    static char large[MRAY_KV_MAX_VALUE + 1], back[MRAY_KV_MAX_VALUE], key[MRAY_KV_MAX_KEY + 2];
    size_t n = 1;
    for (size_t i = 0; i < sizeof large; i++) large[i] = (char)(i * 7);
    for (size_t bytes = 0; bytes <= MRAY_KV_MAX_VALUE; bytes = bytes * 3 + 1) {
        CHECK_OK(mray_kv_put("large", large, bytes, 1));
        CHECK_OK(mray_kv_get("large", back, sizeof back, &n));
        CHECK(n == bytes && memcmp(large, back, n) == 0);
    }
    CHECK_OK(mray_kv_put("large", large, MRAY_KV_MAX_VALUE, 1));
    CHECK_OK(mray_kv_get("large", back, sizeof back, &n));
    CHECK(n == MRAY_KV_MAX_VALUE && memcmp(large, back, n) == 0);
    CHECK_ERROR(mray_kv_put("large", large, MRAY_KV_MAX_VALUE + 1, 1), MRAY_ERR_INVALID_ARGUMENT, "mray_put");
    memset(key, 'k', MRAY_KV_MAX_KEY);
    CHECK_OK(mray_kv_put(key, NULL, 0, 0));
    CHECK_OK(mray_kv_get(key, NULL, 0, &n));
    CHECK_EQUAL(n, 0);
    CHECK_OK(mray_kv_remove(key));
    key[MRAY_KV_MAX_KEY] = 'k';
    CHECK_ERROR(mray_kv_put(key, NULL, 0, 0), MRAY_ERR_INVALID_ARGUMENT, "too long");
    CHECK_ERROR(mray_kv_put("", "x", 1, 0), MRAY_ERR_INVALID_ARGUMENT, "empty");
    CHECK_ERROR(mray_kv_put(NULL, "x", 1, 0), MRAY_ERR_INVALID_ARGUMENT, "NULL");
    CHECK_ERROR(mray_kv_put("x", NULL, 1, 0), MRAY_ERR_INVALID_ARGUMENT, "value is NULL");
    CHECK_ERROR(mray_kv_get("x", NULL, 1, NULL), MRAY_ERR_INVALID_ARGUMENT, "buf is NULL");
    CHECK_ERROR(mray_kv_exists("x", NULL), MRAY_ERR_INVALID_ARGUMENT, "exists_p");
    CHECK_OK(mray_kv_remove("large"));
}

/* 1 if this task was the one that made the key, and what it reads is whole in any case. */
MRAY_TASK(int32_t, race, int, round, int, me)
{
    char key[32], value[3000], got[sizeof value];
    size_t n;
    snprintf(key, sizeof key, "round%d", round);
    memset(value, 'a' + me % 26, sizeof value);
    int status = mray_kv_put(key, value, sizeof value, 0);
    if (status != MRAY_OK && status != MRAY_ERR_KEY_EXISTS) return -1;
    if (mray_kv_get(key, got, sizeof got, &n) != MRAY_OK || n != sizeof got) return -2;
    for (size_t i = 1; i < n; i++)
        if (got[i] != got[0]) return -3;
    return status == MRAY_OK;
}

static void test_one_of_many_makes_a_key(void)
{
    enum { ROUNDS = 10, TASKS = 20 };
    mray_ref refs[TASKS];
    for (int round = 0; round < ROUNDS; round++) {
        int winners = 0;
        for (int i = 0; i < TASKS; i++) refs[i] = mray_remote_with(check_on_rank(check_worker_rank(i)), race, round, i);
        for (int i = 0; i < TASKS; i++) {
            int32_t won = -9;
            CHECK_OK(mray_get(refs[i], &won));
            CHECK(won >= 0);
            winners += won;
        }
        CHECK_EQUAL(winners, 1);
        CHECK_OK(mray_release_many(refs, TASKS));
    }
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv, NULL);
    size_t used = check_store_used();
    test_a_value_comes_back();
    test_sizes_up_to_the_limit();
    test_one_of_many_makes_a_key();
    CHECK(check_store_settles(used));
    CHECK_OK(mray_finalize());
    CHECK_ERROR(mray_kv_put("x", "x", 1, 0), MRAY_ERR_NOT_INITIALIZED, "mray_kv_put");
    return check_finish();
}
