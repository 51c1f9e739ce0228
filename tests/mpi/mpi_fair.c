/* mpi_fair.c: several submitters: one with very many tasks does not keep another's few waiting. */
/* ranks: local 1 2 4 */
#include "check.h"

#include <stdlib.h>
#include <time.h>

enum { MANY = 20000, FEW = 100 };

/* In nanoseconds: one clock for all processes of a machine. */
static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* When it ran. */
MRAY_TASK(int64_t, stamp, int, spin)
{
    for (volatile int i = 0; i < spin; i++) continue;
    return now_ns();
}

typedef struct {
    int64_t first, last, middle;
    int32_t n, status;
} span_t;

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

MRAY_TASK(span_t, submit_many, int, n, int, spin)
{
    span_t span = {0};
    mray_ref *refs = malloc((size_t)n * sizeof *refs);
    int64_t *times = malloc((size_t)n * sizeof *times);
    if (refs == NULL || times == NULL) mray_fail("no memory");
    for (int i = 0; i < n; i++) refs[i] = mray_remote(stamp, spin);
    for (int i = 0; i < n; i++) {
        int status = mray_get(refs[i], &times[i]);
        if (status != MRAY_OK) span.status = status;
        span.n += status == MRAY_OK;
        mray_release(refs[i]);
    }
    qsort(times, (size_t)n, sizeof *times, by_time);
    span.first = times[0];
    span.middle = times[n / 2];
    span.last = times[n - 1];
    free(times);
    free(refs);
    return span;
}

/* Submitters that are tasks, of any shape. */
static void check_two(mray_task_opts opts)
{
    span_t many = {0}, few = {0};
    mray_ref a = mray_remote_with(opts, submit_many, MANY, 300);
    nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL); /* the first is in the midst of it */
    mray_ref b = mray_remote_with(opts, submit_many, FEW, 300);
    CHECK_OK(mray_get(a, &many));
    CHECK_OK(mray_get(b, &few));
    CHECK_EQUAL(many.n, MANY);
    CHECK_EQUAL(few.n, FEW);
    printf("many: %.2f ms, few: %.2f ms, the last of few %.2f ms before the last of many\n", (double)(many.last - many.first) * 1e-6,
           (double)(few.last - few.first) * 1e-6, (double)(many.last - few.last) * 1e-6);
    if (few.first < many.last) CHECK(few.last < many.last);
    CHECK_OK(mray_release_many((mray_ref[]){a, b}, 2));
}

/* The driver has queued very many; a task's own few are not behind them. */
static void test_a_task_among_the_drivers_many(void)
{
    static mray_ref refs[MANY];
    static int64_t times[MANY];
    span_t few = {0};
    /* It costs no CPU, so it begins at once. */
    mray_ref warm = mray_remote_with(check_on_rank(check_worker_rank(0)), submit_many, 1, 1);
    CHECK_OK(check_done(warm));
    for (int i = 0; i < MANY; i++) refs[i] = mray_remote(stamp, 20000);
    int64_t begin = now_ns();
    mray_ref b = mray_remote_with(check_on_rank(check_worker_rank(0)), submit_many, FEW, 1);
    CHECK_OK(mray_get(b, &few));
    for (int i = 0; i < MANY; i++) CHECK_OK(mray_get(refs[i], &times[i]));
    qsort(times, MANY, sizeof times[0], by_time);
    CHECK_EQUAL(few.n, FEW);
    int done = 0;
    while (done < MANY && times[done] < begin) done++;
    int before = done, left = MANY - done;
    while (before < MANY && times[before] < few.last) before++;
    printf("%d of the %d tasks that the driver had queued ended before the last of the %d\n", before - done, left, FEW);
    /* A driver that a sanitizer slows down has queued few, or none, when it is through. */
    if (left >= MANY / 10) CHECK(before - done < left / 2);
    CHECK_OK(mray_release_many(refs, MANY));
    CHECK_OK(mray_release_many((mray_ref[]){b, warm}, 2));
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv, &(mray_init_opts){.num_workers = 2});
    size_t used = check_store_used();
    check_two((mray_task_opts){0});
    check_two((mray_task_opts){.num_cpus = MRAY_NO_CPU});
    test_a_task_among_the_drivers_many();
    CHECK(check_store_settles(used));
    return check_finish();
}
