/* scale.c: Ray's cases of many arguments, results and objects. */
#include "cases.h"

#include <stdlib.h>
#include <string.h>

enum { N_ARGS = 10000, N_RETURNS = 3000, N_GETS = 10000, N_WAITS = 1000, GET_DOUBLES = 100 };

/* Refs in one array argument, beyond the eight that a call has: the task gets each object itself. */
static void sum_call(void *const *args, void *ret)
{
    const mray_array_any *refs = args[0];
    int64_t sum = 0;
    bench_ran();
    for (size_t i = 0; i < refs->n; i++) {
        mray_ref ref;
        int64_t x = 0;
        memcpy(&ref, (const char *)refs->data + i * sizeof ref, sizeof ref);
        if (mray_get(ref, &x) != MRAY_OK) mray_fail("object %zu: %s", i, mray_error_message());
        sum += x;
    }
    *(int64_t *)ret = sum;
}

static mray_function sum_function = {.name = "bench_sum", .call = sum_call, .ret = {.dtype = MRAY_INT64, .size = 8}, .n_params = 1,
                                     .params = {{.dtype = MRAY_BYTES, .is_array = 1, .size = sizeof(mray_ref)}}};

__attribute__((constructor)) static void register_sum(void)
{
    mray_function_register(&sum_function);
}

MRAY_TASK(int64_t, bench_returns, int64_t, n)
{
    bench_ran();
    for (int i = 1; i < n; i++)
        if (mray_return(i, (int64_t)i) != MRAY_OK) mray_fail("result %d: %s", i, mray_error_message());
    return 0;
}

MRAY_TASK(int64_t, bench_one)
{
    bench_ran();
    return 1;
}

static const bench_session_t all_ranks = {0};

static void get_and_release(mray_ref ref, int64_t expected)
{
    int64_t x = -1;
    BENCH_OK(mray_get(ref, &x));
    if (x != expected) bench_die("a result is %lld, not %lld", (long long)x, (long long)expected);
    BENCH_OK(mray_release(ref));
}

static double args_us(bench_t *b, const void *arg)
{
    (void)arg;
    static mray_ref refs[N_ARGS];
    int64_t n = bench_count(b, N_ARGS), sum = 0;
    (void)ranks_open(b, &all_ranks);
    for (int64_t i = 0; i < n; i++, sum += i) {
        refs[i] = mray_put(i + 1);
        BENCH_CHECK(!mray_ref_is_nil(refs[i]));
    }
    uint64_t before = bench_runs(b);
    double start = bench_seconds();
    mray_arg one = {.type = sum_function.params[0], .data = refs, .n = (size_t)n};
    get_and_release(mray_submit_one(&sum_function, &one, 1, NULL), sum);
    double us = (bench_seconds() - start) / (double)n * 1e6;
    bench_expect_runs(b, before, 1);
    BENCH_OK(mray_release_many(refs, (size_t)n));
    return us;
}

static double returns_us(bench_t *b, const void *arg)
{
    (void)arg;
    static mray_ref refs[N_RETURNS];
    int64_t n = bench_count(b, N_RETURNS);
    (void)ranks_open(b, &all_ranks);
    uint64_t before = bench_runs(b);
    double start = bench_seconds();
    BENCH_OK(mray_remote_n(refs, (int)n, bench_returns, n));
    for (int64_t i = 0; i < n; i++) get_and_release(refs[i], i);
    double us = (bench_seconds() - start) / (double)n * 1e6;
    bench_expect_runs(b, before, 1);
    return us;
}

/* Objects with a payload of 800 bytes, as put by the driver. */
static double get_us(bench_t *b, const void *arg)
{
    (void)arg;
    static mray_ref refs[N_GETS];
    static double values[N_GETS][GET_DOUBLES];
    static void *bufs[N_GETS];
    int64_t n = bench_count(b, N_GETS);
    (void)ranks_open(b, &all_ranks);
    for (int64_t i = 0; i < n; i++) {
        for (int k = 0; k < GET_DOUBLES; k++) values[i][k] = (double)(i * k);
        refs[i] = mray_put_array(&values[i][0], GET_DOUBLES);
        bufs[i] = values[i];
    }
    memset(values, 0, (size_t)n * sizeof values[0]);
    double start = bench_seconds();
    BENCH_OK(mray_get_many(refs, (size_t)n, bufs, sizeof values[0], (mray_type){.dtype = MRAY_FLOAT64, .is_array = 1, .size = 8}, MRAY_FOREVER, NULL));
    double us = (bench_seconds() - start) / (double)n * 1e6;
    for (int64_t i = 0; i < n; i++) BENCH_CHECK(values[i][GET_DOUBLES - 1] == (double)(i * (GET_DOUBLES - 1)));
    BENCH_OK(mray_release_many(refs, (size_t)n));
    return us;
}

/* As Ray's `ready, rest = ray.wait(rest)`: one of those that are left, until none is. What stood before it moves up by one, so the order stays. */
static double wait_us(bench_t *b, const void *arg)
{
    (void)arg;
    mray_ref refs[N_WAITS], done[N_WAITS], *left = refs;
    bool ready[N_WAITS];
    int64_t n = bench_count(b, N_WAITS);
    (void)ranks_open(b, &all_ranks);
    uint64_t before = bench_runs(b);
    double start = bench_seconds();
    for (int64_t i = 0; i < n; i++) refs[i] = mray_remote(bench_one);
    for (int64_t n_done = 0; n_done < n; n_done++) {
        size_t n_ready = 0, at = 0;
        BENCH_OK(mray_wait(left, (size_t)(n - n_done), 1, MRAY_FOREVER, ready, &n_ready));
        BENCH_CHECK(n_ready == 1);
        while (!ready[at]) at++;
        done[n_done] = left[at];
        memmove(left + 1, left, at * sizeof *left);
        left++;
    }
    double us = (bench_seconds() - start) / (double)n * 1e6;
    for (int64_t i = 0; i < n; i++) get_and_release(done[i], 1);
    bench_expect_runs(b, before, (uint64_t)n);
    return us;
}

static void measure(bench_t *b, const char *name, measure_fn fn)
{
    measure_row(b, &(row_t){.name = name, .unit = "us", .reference = "task_async", .must = 1.0, .aim = 0.5, .value = fn, .measure_reference = tasks_async_us});
}

void case_args_10k(bench_t *b)
{
    measure(b, "args_10k", args_us);
}

void case_returns_3k(bench_t *b)
{
    measure(b, "returns_3k", returns_us);
}

void case_get_10k(bench_t *b)
{
    measure(b, "get_10k", get_us);
}

void case_wait_1k(bench_t *b)
{
    measure(b, "wait_1k", wait_us);
}
