/* actors.c: what a call to an actor costs: alone, pipelined, among n callers and n actors. */
#include "cases.h"

#include <stdlib.h>

enum { CALLS = 200000, MAX_ACTORS = 64 };

typedef struct {
    int64_t n;
} bench_counter;

MRAY_ACTOR(bench_counter)
{
    self->n = 0;
}

MRAY_METHOD(int64_t, bench_counter, add, int64_t, k)
{
    bench_ran();
    return self->n += k;
}

/* Pipelined: all are called, then all are asked for. The actor's answers count up from what it had. */
static int64_t call_many(mray_actor actor, int64_t n)
{
    mray_ref *refs = malloc((size_t)n * sizeof *refs);
    int64_t n_right = 0, last = 0;
    if (refs == NULL) return -1;
    for (int64_t i = 0; i < n; i++) refs[i] = mray_call(actor, bench_counter, add, (int64_t)1);
    for (int64_t i = 0; i < n; i++) {
        int64_t x = 0;
        n_right += mray_get(refs[i], &x) == MRAY_OK && x > 0 && (i == 0 || x == last + 1);
        last = x;
    }
    if (mray_release_many(refs, (size_t)n) != MRAY_OK) n_right = -1;
    free(refs);
    return n_right;
}

MRAY_TASK(int64_t, bench_caller, mray_actor, actor, int64_t, n)
{
    return call_many(actor, n);
}

static mray_actor actors[MAX_ACTORS];
static int n_actors;

/* Actors live as long as their session. */
static bool open_with_actors(bench_t *b, int n)
{
    static const bench_session_t all_ranks = {0};
    bool fresh = ranks_open(b, &all_ranks);
    if (n == 0) n = b->n_workers < 2 ? 2 : b->n_workers < MAX_ACTORS ? b->n_workers : MAX_ACTORS;
    if (fresh || n_actors != n) {
        for (int i = 0; !fresh && i < n_actors; i++) BENCH_OK(mray_actor_kill(actors[i]));
        for (int i = 0; i < n; i++) {
            actors[i] = mray_actor_new(bench_counter);
            if (mray_actor_is_nil(actors[i])) bench_die("no actor: %s", mray_error_message());
        }
        n_actors = n;
        fresh = true;
    }
    return fresh;
}

static double sync_round(bench_t *b, int64_t n)
{
    int64_t first = 0, x = 0;
    uint64_t before = bench_runs(b);
    double start = bench_seconds();
    for (int64_t i = 0; i < n; i++) {
        mray_ref ref = mray_call(actors[0], bench_counter, add, (int64_t)1);
        BENCH_OK(mray_get(ref, &x));
        BENCH_OK(mray_release(ref));
        if (i == 0) first = x;
    }
    double us = (bench_seconds() - start) / (double)n * 1e6;
    BENCH_CHECK(x == first + n - 1);
    bench_expect_runs(b, before, (uint64_t)n);
    return us;
}

static double sync_us(bench_t *b, const void *arg)
{
    (void)arg;
    int64_t n = bench_count(b, b->n_hosts > 1 ? 5000 : 50000);
    if (open_with_actors(b, 1)) (void)sync_round(b, n / 10);
    return sync_round(b, n);
}

static double async_round(bench_t *b, int64_t n)
{
    uint64_t before = bench_runs(b);
    double start = bench_seconds();
    BENCH_CHECK(call_many(actors[0], n) == n);
    double us = (bench_seconds() - start) / (double)n * 1e6;
    bench_expect_runs(b, before, (uint64_t)n);
    return us;
}

static double async_us(bench_t *b, const void *arg)
{
    (void)arg;
    int64_t n = bench_count(b, CALLS);
    if (open_with_actors(b, 1)) (void)async_round(b, n);
    return async_round(b, n);
}

static double nn_round(bench_t *b, int64_t n)
{
    mray_ref refs[MAX_ACTORS];
    uint64_t before = bench_runs(b);
    double start = bench_seconds();
    for (int i = 0; i < n_actors; i++) refs[i] = mray_remote(bench_caller, actors[i], n);
    for (int i = 0; i < n_actors; i++) {
        int64_t n_right = 0;
        BENCH_OK(mray_get(refs[i], &n_right));
        BENCH_CHECK(n_right == n);
        BENCH_OK(mray_release(refs[i]));
    }
    double us = (bench_seconds() - start) / (double)(n * n_actors) * 1e6;
    bench_expect_runs(b, before, (uint64_t)(n * n_actors));
    return us;
}

static double nn_us(bench_t *b, const void *arg)
{
    (void)arg;
    int64_t n = bench_count(b, CALLS);
    if (open_with_actors(b, 0)) (void)nn_round(b, n / 10);
    return nn_round(b, n);
}

static void measure(bench_t *b, const char *name, measure_fn fn, double must, double aim)
{
    n_actors = 0;
    ranks_close(b); /* the actors of another case would take its cores */
    measure_row(b, &(row_t){.name = name, .unit = "us", .reference = REFS_PING_PONG, .must = must, .aim = aim, .value = fn,
                            .measure_reference = refs_ping_pong_us});
    ranks_close(b);
}

void case_actor_sync(bench_t *b)
{
    measure(b, "actor_sync", sync_us, 1.0, 0.4);
}

void case_actor_async(bench_t *b)
{
    measure(b, "actor_async", async_us, 0.5, 0.15);
}

void case_actor_nn(bench_t *b)
{
    measure(b, "actor_nn", nn_us, 0.5, 0.1);
}
