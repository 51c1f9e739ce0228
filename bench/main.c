/* main.c: mray-bench: what mray costs, each case beside its reference in the same run.
 *
 *     mpirun -n 2 mray-bench [--case NAME[,NAME]] [--json FILE] [--reps N] [--quick] [--list]
 *
 * The program starts MPI itself and opens mray sessions on the ranks' communicator (mray/mpi.h), so that raw MPI on the same ranks and mray
 * take turns. On one node a session makes no MPI call between start and end and stays open meanwhile; one of several nodes is closed
 * for every reference. Rank 0 has no workers, as in a job of mray_init(). */
#include "bench.h"
#include "cases.h"
#include "measure.h"
#include "metg.h"
#include "probe.h"
#include "ranks.h"
#include "refs.h"

#include <mray/mpi.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static const bench_case_t cases[] = {
    {"task_sync", "submit a no-op, get its result, release it; one at a time", case_task_sync, .min_ranks = 2},
    {"task_async", "1,000,000 no-ops by one driver, then get and release all; per task", case_task_async, .min_ranks = 2},
    {"task_async_4", "the same number from 4 tasks that submit; per task", case_task_async_4, .min_ranks = 2},
    {"chain", "1,000,000 tasks, each on the result of the one before; per task", case_chain, .min_ranks = 2},
    {"actor_sync", "one call, its result; one at a time", case_actor_sync, .min_ranks = 2},
    {"actor_async", "200,000 calls to one actor, then all results; per call", case_actor_async, .min_ranks = 2},
    {"actor_nn", "as many callers (tasks) as actors, 200,000 calls each; per call", case_actor_nn, .min_ranks = 2},
    {"metg_stencil", "METG(50%) of a 1-D stencil, 1000 steps", case_metg_stencil, .min_ranks = 2},
    {"metg_nearest", "METG(50%), each task on its five nearest", case_metg_nearest, .min_ranks = 2},
    {"metg_fft", "METG(50%) of butterflies", case_metg_fft, .min_ranks = 2},
    {"metg_tree", "METG(50%) of reductions and broadcasts in turn", case_metg_tree, .min_ranks = 2},
    {"args_10k", "a task that gets 10,000 objects whose refs are its argument; per object", case_args_10k, .min_ranks = 2},
    {"returns_3k", "a task with 3,000 results, all got and released; per result", case_returns_3k, .min_ranks = 2},
    {"get_10k", "one mray_get_many() of 10,000 objects of 800 bytes; per object", case_get_10k, .min_ranks = 2},
    {"wait_1k", "mray_wait() for one of those left of 1,000 tasks, until none is; per task", case_wait_1k, .min_ranks = 2},
    {"queued", "1,000,000 tasks on one unsealed object, sealed, then get all; per task", case_queued, .min_ranks = 2},
    {"small_objects", "put 8 bytes; get a value that is there", case_small_objects, .min_ranks = 1},
    {"put_bw", "put of 1 MiB, 64 MiB, 1 GiB; its store is warm", case_put_bw, .min_ranks = 1},
    {"get_view", "a view of another rank's object on the same host, and its release", case_get_view, .min_ranks = 2},
    {"remote_get", "get of an object that lies on another host, each read once", case_remote_get, .min_ranks = 2, .min_hosts = 2},
    {"broadcast", "an object of the driver to a task on every other rank: 256 MiB to hosts, 1 GiB to ranks of one host", case_broadcast, .min_ranks = 3},
    {"memory", "bytes that a queued task, an object and an idle worker take", case_memory, .min_ranks = 2},
    {"idle", "CPU time of all processes of a job that has nothing to do", case_idle, .min_ranks = 2},
    {"oversubscribed", "task_async on 8 ranks", case_oversubscribed, .min_ranks = 8},
    {"process_vs_thread", "task_sync and task_async with worker processes and with threads", case_process_vs_thread, .min_ranks = 2},
    {"remote_task", "task_sync and task_async with the only worker on another host", case_remote_task, .min_ranks = 2, .min_hosts = 2},
    {"startup", "mray_init and mray_finalize of 4 ranks", NULL, .skip = "needs runs of its own, in turn with MPI's; bench/run makes them"},
    {"tracing", "task_async with the timeline on (MRAY_TRACE)", case_tracing, .min_ranks = 2},
    {"sched_scale", "decisions of the scheduler for 10 to 10,000 nodes, behind a network in memory", case_sched_scale, .min_ranks = 1},
};
enum { N_CASES = sizeof cases / sizeof cases[0] };

/* ---- counting executions ---- */

/* One line a thread that runs tasks, in memory that the worker processes inherit: mapped before the zygote is forked. */
enum { MAX_LINES = 1 << 16 };
typedef struct {
    _Alignas(64) _Atomic uint64_t n;
} line_t;
typedef struct {
    _Atomic uint32_t n_lines;
    line_t lines[MAX_LINES];
} counters_t;

static counters_t *counters;
static bool lose_one;
static _Thread_local line_t *my_line;

static line_t *claim_line(void)
{
    uint32_t i = atomic_fetch_add(&counters->n_lines, 1);
    if (i >= MAX_LINES) _exit(99); /* the task's result is then an error */
    return &counters->lines[i];
}

void bench_ran(void)
{
    if (my_line == NULL) {
        my_line = claim_line();
        if (lose_one) return;
    }
    /* Only this thread writes it. */
    atomic_store_explicit(&my_line->n, atomic_load_explicit(&my_line->n, memory_order_relaxed) + 1, memory_order_relaxed);
}

static void op_runs(bench_t *b, const ranks_command_t *command, ranks_reply_t *reply)
{
    (void)b;
    (void)command;
    uint64_t sum = 0;
    uint32_t n = atomic_load(&counters->n_lines);
    for (uint32_t i = 0; i < n; i++) sum += atomic_load_explicit(&counters->lines[i].n, memory_order_relaxed);
    reply->x[0] = (double)sum;
}

uint64_t bench_runs(bench_t *b)
{
    static ranks_reply_t replies[RANKS_MAX];
    double sum = 0;
    ranks_all(b, OP_RUNS, NULL, 0, replies);
    for (int r = 0; r < b->n_ranks; r++) sum += replies[r].x[0];
    return (uint64_t)sum;
}

void bench_expect_runs(bench_t *b, uint64_t before, uint64_t n)
{
    uint64_t ran = bench_runs(b) - before;
    if (ran != n) bench_die("%llu tasks ran, not %llu", (unsigned long long)ran, (unsigned long long)n);
}

/* ---- what cases use ---- */

void bench_die(const char *fmt, ...)
{
    va_list ap;
    int started = 0;
    va_start(ap, fmt);
    fprintf(stderr, "mray-bench: ");
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "\n");
    va_end(ap);
    fflush(stdout);
    MPI_Initialized(&started);
    if (started) MPI_Abort(MPI_COMM_WORLD, 1);
    exit(1);
}

void bench_ok(int status, const char *call)
{
    if (status != MRAY_OK) bench_die("%s: %s: %s", call, mray_status_name(status), mray_error_message());
}

double bench_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int64_t bench_count(const bench_t *b, int64_t full)
{
    int64_t n = b->quick ? full / 100 : full;
    return n < 100 ? (full < 100 ? full : 100) : n;
}

const ranks_op_fn ranks_ops[N_OPS] = {
    [OP_OPEN] = ranks_op_open,
    [OP_CLOSE] = ranks_op_close,
    [OP_RUNS] = op_runs,
    [OP_PING_PONG] = refs_op_ping_pong,
    [OP_JOB] = system_op_job,
    [OP_PULL_MPI] = refs_op_pull,
    [OP_BCAST_MPI] = refs_op_bcast,
    [OP_PEAK] = metg_op_peak,
    [OP_METG_MPI] = metg_op_mpi,
};

/* ---- options ---- */

typedef struct {
    const char *names, *except, *json, *probe;
    int reps;
    bool quick, list, lose_one;
} options_t;

static _Noreturn void usage(const char *complaint)
{
    if (complaint != NULL) fprintf(stderr, "mray-bench: %s\n", complaint);
    fprintf(complaint != NULL ? stderr : stdout,
            "mpirun -n RANKS mray-bench [--case NAME[,NAME]] [--except NAME[,NAME]] [--json FILE] [--reps N] [--quick] [--list]\n"
            "  --case   these cases only, --except all but these; --list names all\n"
            "  --json   rows and the machine as JSON\n"
            "  --reps   repetitions of value and reference, %d to %d, in turn (default %d; with --quick 1 and up, default %d)\n"
            "  --quick  a hundredth of the work: to see that it runs, not how fast\n"
            "  --probe  for bench/run and the tests: a measurement that has the process for itself\n"
            "  --lose-one  for tests: one execution a worker is not counted, so that the run must fail\n",
            BENCH_MIN_REPS, BENCH_MAX_REPS, BENCH_MIN_REPS, BENCH_QUICK_REPS);
    exit(complaint != NULL ? 2 : 0);
}

static options_t parse(int argc, char **argv)
{
    options_t o = {0};
    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;
        if (strcmp(argv[i], "--case") == 0 && more) o.names = argv[++i];
        else if (strcmp(argv[i], "--except") == 0 && more) o.except = argv[++i];
        else if (strcmp(argv[i], "--json") == 0 && more) o.json = argv[++i];
        else if (strcmp(argv[i], "--probe") == 0 && more) o.probe = argv[++i];
        else if (strcmp(argv[i], "--reps") == 0 && more) o.reps = atoi(argv[++i]);
        else if (strcmp(argv[i], "--quick") == 0) o.quick = true;
        else if (strcmp(argv[i], "--list") == 0) o.list = true;
        else if (strcmp(argv[i], "--lose-one") == 0) o.lose_one = true;
        else if (strcmp(argv[i], "--help") == 0) usage(NULL);
        else usage(argv[i]);
    }
    int least = o.quick ? 1 : BENCH_MIN_REPS;
    if (o.reps == 0) o.reps = o.quick ? BENCH_QUICK_REPS : BENCH_MIN_REPS;
    if (o.reps < least || o.reps > BENCH_MAX_REPS) usage("--reps is out of range");
    return o;
}

/* Is name in the comma-separated list? */
static bool is_listed(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = list; (at = strstr(at, name)) != NULL; at += n)
        if ((at == list || at[-1] == ',') && (at[n] == 0 || at[n] == ',')) return true;
    return false;
}

static bool is_case(const char *name, size_t n)
{
    for (int i = 0; i < N_CASES; i++)
        if (strlen(cases[i].name) == n && strncmp(cases[i].name, name, n) == 0) return true;
    return false;
}

static void check_names(const char *list)
{
    for (const char *at = list; at != NULL && *at != 0; at += strspn(at, ",")) {
        size_t n = strcspn(at, ",");
        if (!is_case(at, n)) {
            fprintf(stderr, "mray-bench: no case %.*s; --list names them\n", (int)n, at);
            exit(2);
        }
        at += n;
    }
}

static void list_cases(void)
{
    for (int i = 0; i < N_CASES; i++) {
        printf("%-20s %s", cases[i].name, cases[i].what);
        if (cases[i].min_ranks > 1) printf("; %d ranks", cases[i].min_ranks);
        if (cases[i].min_hosts > 1) printf(" on %d hosts", cases[i].min_hosts);
        printf("\n");
    }
}

/* ---- the run ---- */

static void run_case(bench_t *b, const bench_case_t *c)
{
    b->now = c;
    if (c->skip != NULL) {
        measure_skip(b, c->name, "%s", c->skip);
    } else if (b->n_ranks < c->min_ranks) {
        measure_skip(b, c->name, "needs %d ranks, this run has %d", c->min_ranks, b->n_ranks);
    } else if (b->n_hosts < c->min_hosts) {
        measure_skip(b, c->name, "needs %d hosts, all %d ranks of this run are on %d", c->min_hosts, b->n_ranks, b->n_hosts);
    } else {
        c->fn(b);
        ranks_close(b);
    }
}

static void drive(bench_t *b, const options_t *o)
{
    printf("mray-bench %s: %d ranks on %d host%s%s, %d repetitions%s\n", mray_version_string(), b->n_ranks, b->n_hosts, b->n_hosts == 1 ? "" : "s",
           b->fake_hosts ? " (pretended by MRAY_FAKE_NODE_RANKS)" : "", b->reps, b->quick ? ", a hundredth of the work: no figures to quote" : "");
    printf("%-28s %11s %-6s %11s %8s\n", "case", "median", "unit", "reference", "ratio");
    for (int i = 0; i < N_CASES; i++)
        if ((o->names == NULL || is_listed(o->names, cases[i].name)) && (o->except == NULL || !is_listed(o->except, cases[i].name))) run_case(b, &cases[i]);
    ranks_all(b, OP_QUIT, NULL, 0, NULL);
    if (o->json != NULL) measure_write_json(b, o->json);
}

/* Hosts as mray counts them: pretend nodes of k ranks, else ranks that share memory. */
static void find_hosts(bench_t *b)
{
    const char *text = getenv("MRAY_FAKE_NODE_RANKS");
    int fake = text != NULL ? atoi(text) : 0, leader;
    if (fake > 0) {
        b->fake_hosts = true;
        b->n_hosts = (b->n_ranks + fake - 1) / fake;
        return;
    }
    MPI_Comm node;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
    MPI_Comm_rank(node, &leader);
    leader = leader == 0;
    MPI_Allreduce(&leader, &b->n_hosts, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    MPI_Comm_free(&node);
}

/* One-sided reads, as mray_init() would set them; and where ranks outnumber cores MPI yields, in the references as well. */
static void set_mpi(void)
{
    const char *text = getenv("OMPI_COMM_WORLD_LOCAL_SIZE");
    setenv("OMPI_MCA_osc", "^ucx", 0);
    if (text != NULL && atoi(text) > sysconf(_SC_NPROCESSORS_ONLN)) setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0);
}

/* On several hosts a session needs a thread that polls MPI beside the program's, as a job of mray_init() has one. On one host it needs none, and
 * MPI is spared the locks. */
static int thread_level(void)
{
    const char *size = getenv("OMPI_COMM_WORLD_SIZE"), *local = getenv("OMPI_COMM_WORLD_LOCAL_SIZE");
    bool one_host = size == NULL || local == NULL || atoi(size) == atoi(local);
    return one_host && getenv("MRAY_FAKE_NODE_RANKS") == NULL ? MPI_THREAD_SERIALIZED : MPI_THREAD_MULTIPLE;
}

int main(int argc, char **argv)
{
    options_t o = parse(argc, argv);
    bench_t b = {.quick = o.quick, .reps = o.reps};
    int level;
    check_names(o.names);
    check_names(o.except);
    if (o.list) {
        const char *rank = getenv("OMPI_COMM_WORLD_RANK");
        if (rank == NULL || atoi(rank) == 0) list_cases();
        return 0;
    }
    lose_one = o.lose_one; /* before the zygote: workers inherit it */
    set_mpi();
    counters = mmap(NULL, sizeof *counters, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (counters == MAP_FAILED) bench_die("no memory for the counters");
    if (o.probe != NULL) return probe_run(o.probe, &argc, &argv);
    BENCH_OK(mray_prefork());
    MPI_Init_thread(&argc, &argv, thread_level(), &level);
    MPI_Comm_rank(MPI_COMM_WORLD, &b.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &b.n_ranks);
    if (level < thread_level()) bench_die("MPI gives thread level %d, not %d", level, thread_level());
    if (b.n_ranks > RANKS_MAX) bench_die("%d ranks; %d are possible", b.n_ranks, RANKS_MAX);
    find_hosts(&b);
    ranks_start(&b);
    if (b.rank == 0) drive(&b, &o);
    else ranks_serve(&b);
    MPI_Finalize();
    return 0;
}
