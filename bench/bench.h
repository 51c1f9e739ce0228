/* bench.h: what a case of mray-bench is, and what it may ask of the frame.
 *
 * A case is a function that runs on rank 0, the driver. Other ranks wait in a read of a socket (ranks.h) for what the driver
 * wants of all: to open or close an mray session, to take part in a reference that uses raw MPI, to count. */
#ifndef MRAY_BENCH_BENCH_H
#define MRAY_BENCH_BENCH_H

#include <assert.h>
#include <mpi.h>
#include <mray/mray.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BENCH_MIN_REPS = 7, BENCH_QUICK_REPS = 3, BENCH_MAX_REPS = 99, BENCH_MAX_ROWS = 256 };

/** How a session is set up. Zero is the default: all ranks, the driver's without workers where there are others, as with mray_init(). */
typedef struct bench_session {
    int n_ranks;           /**< of the first n_ranks ranks; 0: all */
    int driver_works;      /**< 1: rank 0 has workers, too */
    int n_workers;         /**< of each rank that has any; 0: one a core of its share */
    int mode;              /**< mray_worker_mode; 0: as MRAY_WORKERS says */
    int ranks_by_name;     /**< 1: rank k has a resource "rank<k>", to send a task there */
    uint64_t store_bytes;  /**< of each rank; 0: mray's default */
} bench_session_t;

typedef struct bench {
    int rank, n_ranks, n_hosts; /* hosts as mray sees them: pretend nodes count */
    bool fake_hosts;            /* MRAY_FAKE_NODE_RANKS */
    bool quick;
    int reps;
    bool open; /* a session is */
    bench_session_t session;
    int n_workers, n_nodes; /* of the open session */
    const struct bench_case *now;
    const char *note; /* goes into the next row */
    bool unclear;     /* the next row's ratio cannot be judged; note says why */
    double case_s; /* when it began */
} bench_t;

typedef struct bench_case {
    const char *name, *what;
    void (*fn)(bench_t *b);
    int min_ranks, min_hosts;
    const char *skip; /* why it never runs here; NULL: it does */
} bench_case_t;

/** Ends the whole job: something was not done, or done wrong. */
_Noreturn void bench_die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/** For mray calls that must succeed. */
#define BENCH_OK(call) bench_ok((call), #call)
void bench_ok(int status, const char *call);
#define BENCH_CHECK(cond)                                                                  \
    do {                                                                                   \
        if (!(cond)) bench_die("%s:%d: wrong answer: %s", __FILE__, __LINE__, #cond);      \
    } while (0)

double bench_seconds(void);
/** How many of something: full, or a hundredth (at least 100, at most full) with --quick. */
int64_t bench_count(const bench_t *b, int64_t full);

/** Count one execution; the first line of every task of the benchmarks. */
void bench_ran(void);
/** Executions of all ranks since the program began. Closes nothing; any time no task runs. */
uint64_t bench_runs(bench_t *b);
/** Die unless exactly n tasks ran since `before`. */
void bench_expect_runs(bench_t *b, uint64_t before, uint64_t n);

#endif
