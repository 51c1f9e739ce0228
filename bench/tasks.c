/* tasks.c: what a task costs: alone, in bulk, in a chain, behind a gate, from tasks, in other places. */
#include "cases.h"

#include <stdlib.h>

enum { MANY = 1000000, NOP_VALUE = 42 };

MRAY_TASK(int64_t, bench_nop)
{
    bench_ran();
    return NOP_VALUE;
}

MRAY_TASK(int64_t, bench_next, int64_t, x)
{
    bench_ran();
    return x + 1;
}

/* A task that submits: n no-ops, their results, their number if all are right. */
MRAY_TASK(int64_t, bench_submitter, int64_t, n)
{
    int64_t n_right = 0;
    mray_ref *refs = malloc((size_t)n * sizeof *refs);
    if (refs == NULL) return -1;
    for (int64_t i = 0; i < n; i++) refs[i] = mray_remote(bench_nop);
    for (int64_t i = 0; i < n; i++) {
        int64_t x = 0;
        n_right += mray_get(refs[i], &x) == MRAY_OK && x == NOP_VALUE;
    }
    if (mray_release_many(refs, (size_t)n) != MRAY_OK) n_right = -1;
    free(refs);
    return n_right;
}

static mray_ref *new_refs(int64_t n)
{
    mray_ref *refs = calloc((size_t)n, sizeof *refs);
    if (refs == NULL) bench_die("no memory for %lld refs", (long long)n);
    return refs;
}

static void get_all(const mray_ref *refs, int64_t n, int64_t expected)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t x = 0;
        BENCH_OK(mray_get(refs[i], &x));
        if (x != expected) bench_die("%s: task %lld gave %lld", "task", (long long)i, (long long)x);
    }
}

/* In a job of several hosts a session is opened anew after every reference, so that it has to be made warm, and for fewer tasks. */
static int64_t how_many(const bench_t *b)
{
    return bench_count(b, b->n_hosts > 1 ? MANY / 10 : MANY);
}

static const bench_session_t all_ranks = {0};

/* ---- one after the other ---- */

static double sync_round(bench_t *b, int64_t n)
{
    uint64_t before = bench_runs(b);
    double start = bench_seconds();
    for (int64_t i = 0; i < n; i++) {
        int64_t x = 0;
        mray_ref ref = mray_remote(bench_nop);
        BENCH_OK(mray_get(ref, &x));
        BENCH_CHECK(x == NOP_VALUE);
        BENCH_OK(mray_release(ref));
    }
    double us = (bench_seconds() - start) / (double)n * 1e6;
    bench_expect_runs(b, before, (uint64_t)n);
    return us;
}

static double sync_us(bench_t *b, const void *session)
{
    int64_t n = bench_count(b, b->n_hosts > 1 ? 5000 : 50000);
    if (ranks_open(b, session != NULL ? session : &all_ranks)) (void)sync_round(b, n / 10);
    return sync_round(b, n);
}

/* ---- in bulk ---- */

static double async_round(bench_t *b, int64_t n)
{
    mray_ref *refs = new_refs(n);
    uint64_t before = bench_runs(b);
    double start = bench_seconds();
    for (int64_t i = 0; i < n; i++) refs[i] = mray_remote(bench_nop);
    get_all(refs, n, NOP_VALUE);
    BENCH_OK(mray_release_many(refs, (size_t)n));
    double us = (bench_seconds() - start) / (double)n * 1e6;
    bench_expect_runs(b, before, (uint64_t)n);
    free(refs);
    return us;
}

double tasks_async_us(bench_t *b, const void *session)
{
    int64_t n = how_many(b);
    if (ranks_open(b, session != NULL ? session : &all_ranks)) (void)async_round(b, n);
    return async_round(b, n);
}

static double async_4_us(bench_t *b, const void *arg)
{
    enum { N_SUBMITTERS = 4 };
    (void)arg;
    int64_t each = how_many(b) / N_SUBMITTERS, n = each * N_SUBMITTERS;
    mray_ref refs[N_SUBMITTERS];
    if (ranks_open(b, &all_ranks)) (void)async_round(b, n);
    uint64_t before = bench_runs(b);
    double start = bench_seconds();
    for (int i = 0; i < N_SUBMITTERS; i++) refs[i] = mray_remote(bench_submitter, each);
    get_all(refs, N_SUBMITTERS, each);
    BENCH_OK(mray_release_many(refs, N_SUBMITTERS));
    double us = (bench_seconds() - start) / (double)n * 1e6;
    bench_expect_runs(b, before, (uint64_t)n);
    return us;
}

/* ---- each on the one before ---- */

static double chain_round(bench_t *b, int64_t n)
{
    int64_t x = 0;
    uint64_t before = bench_runs(b);
    double start = bench_seconds();
    mray_ref ref = mray_remote(bench_next, (int64_t)0);
    for (int64_t i = 1; i < n; i++) {
        mray_ref next = mray_remote(bench_next, ref);
        BENCH_OK(mray_release(ref));
        ref = next;
    }
    BENCH_OK(mray_get(ref, &x));
    BENCH_OK(mray_release(ref));
    double us = (bench_seconds() - start) / (double)n * 1e6;
    BENCH_CHECK(x == n);
    bench_expect_runs(b, before, (uint64_t)n);
    return us;
}

static double chain_us(bench_t *b, const void *arg)
{
    (void)arg;
    int64_t n = how_many(b);
    if (ranks_open(b, &all_ranks)) (void)chain_round(b, n);
    return chain_round(b, n);
}

/* ---- all behind one object ---- */

static double queued_round(bench_t *b, int64_t n)
{
    void *data;
    mray_ref gate, *refs = new_refs(n);
    uint64_t before = bench_runs(b);
    double start = bench_seconds();
    BENCH_OK(mray_create(sizeof(int64_t), (mray_type){.dtype = MRAY_INT64, .size = 8}, NULL, &data, &gate));
    for (int64_t i = 0; i < n; i++) refs[i] = mray_remote(bench_next, gate);
    *(int64_t *)data = 6;
    BENCH_OK(mray_seal(gate));
    get_all(refs, n, 7);
    BENCH_OK(mray_release_many(refs, (size_t)n));
    BENCH_OK(mray_release(gate));
    double us = (bench_seconds() - start) / (double)n * 1e6;
    bench_expect_runs(b, before, (uint64_t)n);
    free(refs);
    return us;
}

static double queued_us(bench_t *b, const void *arg)
{
    (void)arg;
    int64_t n = how_many(b);
    if (ranks_open(b, &all_ranks)) (void)queued_round(b, n);
    return queued_round(b, n);
}

/* ---- the cases ---- */

void case_task_sync(bench_t *b)
{
    measure_row(b, &(row_t){.name = "task_sync", .unit = "us", .reference = REFS_PING_PONG, .must = 1.0, .aim = 0.4, .value = sync_us,
                            .measure_reference = refs_ping_pong_us});
}

void case_task_async(bench_t *b)
{
    measure_row(b, &(row_t){.name = "task_async", .unit = "us", .reference = REFS_PING_PONG, .must = 0.5, .aim = 0.15, .value = tasks_async_us,
                            .measure_reference = refs_ping_pong_us});
}

void case_task_async_4(bench_t *b)
{
    measure_row(b, &(row_t){.name = "task_async_4", .unit = "us", .reference = "task_async", .must = 1.0, .aim = 0.5, .value = async_4_us,
                            .measure_reference = tasks_async_us});
}

void case_chain(bench_t *b)
{
    measure_row(b, &(row_t){.name = "chain", .unit = "us", .reference = REFS_PING_PONG, .must = 0.3, .aim = 0.1, .value = chain_us,
                            .measure_reference = refs_ping_pong_us});
}

void case_queued(bench_t *b)
{
    measure_row(b, &(row_t){.name = "queued", .unit = "us", .reference = "task_async", .must = 1.5, .aim = 1.1, .value = queued_us,
                            .measure_reference = tasks_async_us});
}

/* Rank 0 has no workers, and rank 1 is another host: only two ranks take part, so that every task goes there. */
void case_remote_task(bench_t *b)
{
    static const bench_session_t two = {.n_ranks = 2};
    measure_row(b, &(row_t){.name = "remote_task_sync", .unit = "us", .reference = REFS_PING_PONG, .must = 2.5, .aim = 1.3, .value = sync_us, .arg = &two,
                            .measure_reference = refs_ping_pong_us});
    measure_row(b, &(row_t){.name = "remote_task_async", .unit = "us", .reference = REFS_PING_PONG, .must = 0.5, .aim = 0.1, .value = tasks_async_us,
                            .arg = &two, .measure_reference = refs_ping_pong_us});
}

void case_oversubscribed(bench_t *b)
{
    static const bench_session_t eight = {.n_ranks = 8}, two = {.n_ranks = 2};
    measure_row(b, &(row_t){.name = "oversubscribed", .unit = "us", .reference = "task_async with 2 ranks", .must = 2.0, .aim = 1.2, .value = tasks_async_us,
                            .arg = &eight, .measure_reference = tasks_async_us, .reference_arg = &two});
}

void case_process_vs_thread(bench_t *b)
{
    static const bench_session_t process = {.mode = MRAY_WORKERS_PROCESS}, thread = {.mode = MRAY_WORKERS_THREAD};
    measure_row(b, &(row_t){.name = "process_vs_thread_sync", .unit = "us", .reference = "task_sync, thread workers", .must = 1.2, .aim = 1.0, .value = sync_us,
                            .arg = &process, .measure_reference = sync_us, .reference_arg = &thread});
    measure_row(b, &(row_t){.name = "process_vs_thread_async", .unit = "us", .reference = "task_async, thread workers", .must = 1.2, .aim = 1.0,
                            .value = tasks_async_us, .arg = &process, .measure_reference = tasks_async_us, .reference_arg = &thread});
}
