/* probe.c: see probe.h.
 *
 * startup_mray  mray_init, mray_finalize and what mray does at exit (MPI_Finalize), on every rank; prints rank 0's seconds
 * startup_mpi   MPI_Init and MPI_Finalize
 * budget        100,000 warm tasks in phases, for callgrind and strace (bench/budget.sh)
 * budget_none   the same without the 100,000, for what to subtract
 * async         100,000 warm tasks, driver and worker process side by side; async_none */
#include "probe.h"
#include "bench.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else /* bench/budget.sh then finds no phases, and says so */
#define CALLGRIND_ZERO_STATS
#define CALLGRIND_DUMP_STATS_AT(name)
#endif

static double started;

static void print_seconds(void)
{
    printf("seconds %.6f\n", bench_seconds() - started);
}

/* Handlers run in reverse order: this one, registered first, after mray's, which ends MPI. Ranks above 0 leave the process inside mray_init(). */
static int startup_mray(int *argc, char ***argv)
{
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    started = bench_seconds();
    if ((rank == NULL || atoi(rank) == 0) && atexit(print_seconds) != 0) return 1;
    if (mray_init(argc, argv, NULL) != MRAY_OK) return 1;
    return mray_finalize();
}

static int startup_mpi(int *argc, char ***argv)
{
    int level, rank;
    started = bench_seconds();
    MPI_Init_thread(argc, argv, MPI_THREAD_SERIALIZED, &level); /* as mray_init() asks for */
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Finalize();
    if (rank == 0) print_seconds();
    return 0;
}

/* ---- the budget ----
 *
 * Counts repeat only if no thread waits for another by spinning, whose turns depend on the machine. So there is one worker, a thread of this
 * process, and driver and worker are never awake together: a task that sleeps on a semaphore holds the worker while the driver submits, and
 * the driver sleeps on another while the worker runs them all. Each phase is one thread's work, the code the same as in any other mode. */

enum { BUDGET_TASKS = 100000 };
static sem_t plug_taken, plug_pulled, all_run;
static mray_ref refs[BUDGET_TASKS];

MRAY_TASK(int64_t, bench_plug)
{
    sem_post(&plug_taken);
    while (sem_wait(&plug_pulled) != 0) {}
    return 0;
}

MRAY_TASK(int64_t, bench_budget, int64_t, i)
{
    if (i == BUDGET_TASKS - 1) sem_post(&all_run);
    return i + 1;
}

static int get_and_check(void)
{
    for (int64_t i = 0; i < BUDGET_TASKS; i++) {
        int64_t x = 0;
        if (mray_get(refs[i], &x) != MRAY_OK || x != i + 1) return 1;
    }
    return 0;
}

static int run_phases(void)
{
    mray_ref plug = mray_remote(bench_plug);
    while (sem_wait(&plug_taken) != 0) {}
    CALLGRIND_ZERO_STATS;
    for (int64_t i = 0; i < BUDGET_TASKS; i++) refs[i] = mray_remote(bench_budget, i);
    CALLGRIND_DUMP_STATS_AT("submit");
    CALLGRIND_ZERO_STATS;
    sem_post(&plug_pulled);
    while (sem_wait(&all_run) != 0) {}
    CALLGRIND_DUMP_STATS_AT("run");
    /* The last one's result may be a moment later than what it does. */
    if (mray_wait(&refs[BUDGET_TASKS - 1], 1, 1, MRAY_FOREVER, (bool[1]){false}, NULL) != MRAY_OK) return 1;
    CALLGRIND_ZERO_STATS;
    int failed = get_and_check();
    CALLGRIND_DUMP_STATS_AT("get");
    CALLGRIND_ZERO_STATS;
    if (mray_release_many(refs, BUDGET_TASKS) != MRAY_OK) failed = 1;
    CALLGRIND_DUMP_STATS_AT("release");
    return failed | (mray_release(plug) != MRAY_OK);
}

static int run_async(void)
{
    for (int64_t i = 0; i < BUDGET_TASKS; i++) refs[i] = mray_remote(bench_budget, i);
    int failed = get_and_check();
    return failed | (mray_release_many(refs, BUDGET_TASKS) != MRAY_OK);
}

/* Once to warm up, and a second time that is counted. */
static int twice(mray_worker_mode mode, int (*run)(void), bool again, int *argc, char ***argv)
{
    mray_init_opts opts = {.num_workers = 1, .workers = mode, .store_bytes = 64 << 20};
    sem_init(&plug_taken, 0, 0);
    sem_init(&plug_pulled, 0, 0);
    sem_init(&all_run, 0, 0);
    if (mray_init(argc, argv, &opts) != MRAY_OK) return 1;
    int failed = run();
    if (again) failed |= run();
    printf("%s\n", failed ? "wrong answers" : "right");
    return mray_finalize() | failed;
}

static int budget(int *argc, char ***argv)
{
    return twice(MRAY_WORKERS_THREAD, run_phases, true, argc, argv);
}

static int budget_none(int *argc, char ***argv)
{
    return twice(MRAY_WORKERS_THREAD, run_phases, false, argc, argv);
}

static int async(int *argc, char ***argv)
{
    return twice(MRAY_WORKERS_PROCESS, run_async, true, argc, argv);
}

static int async_none(int *argc, char ***argv)
{
    return twice(MRAY_WORKERS_PROCESS, run_async, false, argc, argv);
}

static const struct {
    const char *name;
    int (*fn)(int *argc, char ***argv);
} probes[] = {
    {"startup_mray", startup_mray},
    {"startup_mpi", startup_mpi},
    {"budget", budget},
    {"budget_none", budget_none},
    {"async", async},
    {"async_none", async_none},
};

int probe_run(const char *name, int *argc, char ***argv)
{
    for (size_t i = 0; i < sizeof probes / sizeof probes[0]; i++)
        if (strcmp(probes[i].name, name) == 0) return probes[i].fn(argc, argv);
    fprintf(stderr, "mray-bench: no probe %s\n", name);
    return 2;
}
