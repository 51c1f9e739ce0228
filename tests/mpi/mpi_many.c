/* mpi_many.c: many tasks: 200,000 small ones, 70,000 of two results, a chain of 100,000, fan-out and fan-in of 1000, and as many that wait for one object. */
/* ranks: local 1 2 4 */
/* sanitize: none */
#include "check.h"

#include <stdlib.h>

MRAY_TASK(int64_t, square, int64_t, x) { return x * x; }
MRAY_TASK(int64_t, add, int64_t, x, int64_t, y) { return x + y; }
MRAY_TASK(int64_t, add8, int64_t, a, int64_t, b, int64_t, c, int64_t, d, int64_t, e, int64_t, f, int64_t, g, int64_t, h)
{
    return a + b + c + d + e + f + g + h;
}

static int64_t take(mray_ref ref)
{
    int64_t x = INT64_MIN;
    CHECK_OK(mray_get(ref, &x));
    CHECK_OK(mray_release(ref));
    return x;
}

static void test_many_small_tasks(void)
{
    enum { N = 200000 };
    mray_ref *refs = malloc(N * sizeof *refs);
    int64_t sum = 0, expected = 0;
    for (int64_t i = 0; i < N; i++) {
        refs[i] = mray_remote(square, i % 1000);
        expected += (i % 1000) * (i % 1000);
    }
    for (int i = 0; i < N; i++) sum += take(refs[i]);
    CHECK(sum == expected);
    free(refs);
}

MRAY_TASK(int64_t, halves, int64_t, x)
{
    if (mray_return(1, x - x / 2) != MRAY_OK) mray_fail("mray_return: %s", mray_error_message());
    return x / 2;
}

/* More than there are chunks in the slot table, one after the other: their slots must be used again. */
static void test_many_tasks_of_several_results(void)
{
    enum { N = 70000, AT_A_TIME = 100 };
    mray_ref refs[AT_A_TIME][2];
    int64_t sum = 0;
    for (int n = 0; n < N; n += AT_A_TIME) {
        for (int i = 0; i < AT_A_TIME; i++) {
            int status = mray_remote_n(refs[i], 2, halves, n + i);
            CHECK_OK(status);
            if (status != MRAY_OK) return;
        }
        for (int i = 0; i < AT_A_TIME; i++) sum += take(refs[i][0]) + take(refs[i][1]);
    }
    CHECK_EQUAL(sum, (int64_t)N * (N - 1) / 2);
}

static void test_a_long_chain(void)
{
    enum { N = 100000 };
    mray_ref last = mray_put((int64_t)0);
    for (int i = 0; i < N; i++) {
        mray_ref next = mray_remote(add, last, 1);
        CHECK_OK(mray_release(last));
        last = next;
    }
    CHECK_EQUAL(take(last), N);
}

/* The same, but nothing may run before all are submitted. */
static void test_a_chain_behind_a_gate(void)
{
    enum { N = 20000 };
    mray_ref gate, last;
    void *data;
    CHECK_OK(mray_create(8, (mray_type){.dtype = MRAY_INT64, .size = 8}, NULL, &data, &gate));
    last = mray_remote(add, gate, 0);
    for (int i = 0; i < N; i++) {
        mray_ref next = mray_remote(add, last, 1);
        CHECK_OK(mray_release(last));
        last = next;
    }
    *(int64_t *)data = 5;
    CHECK_OK(mray_seal(gate));
    CHECK_EQUAL(take(last), N + 5);
    CHECK_OK(mray_release(gate));
}

static void test_fan_out_and_fan_in(void)
{
    enum { N = 1000 };
    mray_ref gate, refs[N], sums[N / 8];
    void *data;
    CHECK_OK(mray_create(8, (mray_type){.dtype = MRAY_INT64, .size = 8}, NULL, &data, &gate));
    for (int i = 0; i < N; i++) refs[i] = mray_remote(add, gate, i);
    for (int i = 0; i < N / 8; i++) {
        mray_ref *r = &refs[8 * i];
        sums[i] = mray_remote(add8, r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7]);
    }
    *(int64_t *)data = 1;
    CHECK_OK(mray_seal(gate));
    int64_t sum = 0;
    for (int i = 0; i < N / 8; i++) sum += take(sums[i]);
    CHECK_EQUAL(sum, N + N * (N - 1) / 2);
    CHECK_OK(mray_release(gate));
    CHECK_OK(mray_release_many(refs, N));
}

static void test_many_wait_for_one_object(void)
{
    enum { N = 20000 };
    mray_ref gate, *refs = malloc(N * sizeof *refs);
    void *data;
    CHECK_OK(mray_create(8, (mray_type){.dtype = MRAY_INT64, .size = 8}, NULL, &data, &gate));
    for (int i = 0; i < N; i++) refs[i] = mray_remote(add, gate, i);
    *(int64_t *)data = 7;
    CHECK_OK(mray_seal(gate));
    int64_t sum = 0;
    for (int i = 0; i < N; i++) sum += take(refs[i]);
    CHECK_EQUAL(sum, (int64_t)N * 7 + (int64_t)N * (N - 1) / 2);
    CHECK_OK(mray_release(gate));
    free(refs);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv, NULL);
    size_t used = check_store_used();
    test_many_small_tasks();
    test_many_tasks_of_several_results();
    test_a_long_chain();
    test_a_chain_behind_a_gate();
    test_fan_out_and_fan_in();
    test_many_wait_for_one_object();
    CHECK(check_store_settles(used));
    return check_finish();
}
