/* starpu_peer.c: the cases by StarPU: starpu_peer OUT [--quick] [--metg].
 *
 * Without --metg one worker runs the tasks, as in task_sync of mray-bench; with it there are two, and the graph, its kernel and its checks are
 * those of metg_graph.c. A graph's outputs lie in two rows of buffers, each a data handle: StarPU finds the dependencies from them, and they
 * are the graph's own, since whoever reads an output comes before its successor's successor anyway. Writes what peer.py writes. */
#include "metg.h"

#include <math.h>
#include <pthread.h>
#include <starpu.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NOP_VALUE = 42, N_SYNC = 50000, N_ASYNC = 200000, N_CHAIN = 200000, METG_WORKERS = 2, STEPS = 1000, QUICK_STEPS = 20, LARGE = 65536 };
enum { BISECTIONS = 3, MAX_ITERATIONS = 1 << 13, PEAK_ITERATIONS = 100000 };

static _Atomic uint64_t n_ran, n_wrong;
static bool quick;
static FILE *out;
static const char *separator = "";

static _Noreturn void die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "starpu_peer: ");
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "\n");
    exit(1);
}

#define OK(call)                                                  \
    do {                                                          \
        int status_ = (call);                                     \
        if (status_ != 0) die("%s: %s", #call, strerror(-status_)); \
    } while (0)

double bench_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void *need(size_t bytes)
{
    void *p = calloc(1, bytes);
    if (p == NULL) die("no memory for %zu bytes", bytes);
    return p;
}

static void expect_runs(const char *what, uint64_t before, uint64_t n)
{
    uint64_t ran = atomic_load(&n_ran) - before;
    if (ran != n || atomic_load(&n_wrong) != 0) die("wrong answer: %s: %llu tasks ran, not %llu", what, (unsigned long long)ran, (unsigned long long)n);
}

static void write_row(const char *name, double us)
{
    fprintf(out, "%s\"%s\": %.9g", separator, name, us);
    separator = ", ";
}

static void start(unsigned n_workers)
{
    struct starpu_conf conf;
    OK(starpu_conf_init(&conf));
    conf.ncpus = (int)n_workers;
    conf.ncuda = conf.nopencl = 0;
    OK(starpu_init(&conf));
    if (starpu_cpu_worker_get_count() != n_workers) die("%u workers, not %u", starpu_cpu_worker_get_count(), n_workers);
}

/* ---- tasks alone, in bulk, in a chain ---- */

static void count(void)
{
    atomic_fetch_add_explicit(&n_ran, 1, memory_order_relaxed);
}

static void nop(void *buffers[], void *arg)
{
    (void)buffers;
    count();
    *(int64_t *)arg = NOP_VALUE;
}

static void next_of(void *buffers[], void *arg)
{
    (void)arg;
    count();
    *(int64_t *)STARPU_VARIABLE_GET_PTR(buffers[0]) += 1;
}

static struct starpu_codelet nop_codelet = {.cpu_funcs = {nop}, .name = "nop"};
static struct starpu_codelet next_codelet = {.cpu_funcs = {next_of}, .nbuffers = 1, .modes = {STARPU_RW}, .name = "next"};

static void submit_nop(int64_t *result, int synchronous)
{
    struct starpu_task *task = starpu_task_create();
    task->cl = &nop_codelet;
    task->cl_arg = result;
    task->cl_arg_size = sizeof *result;
    task->synchronous = synchronous ? 1 : 0;
    OK(starpu_task_submit(task));
}

static double sync_us(int64_t n)
{
    uint64_t before = atomic_load(&n_ran);
    double begin = bench_seconds();
    for (int64_t i = 0; i < n; i++) {
        int64_t x = 0;
        submit_nop(&x, 1);
        if (x != NOP_VALUE) die("wrong answer: no-op");
    }
    double us = (bench_seconds() - begin) / (double)n * 1e6;
    expect_runs("task_sync", before, (uint64_t)n);
    return us;
}

static double async_us(int64_t n)
{
    int64_t *results = need((size_t)n * sizeof *results);
    uint64_t before = atomic_load(&n_ran);
    double begin = bench_seconds();
    for (int64_t i = 0; i < n; i++) submit_nop(&results[i], 0);
    OK(starpu_task_wait_for_all());
    for (int64_t i = 0; i < n; i++)
        if (results[i] != NOP_VALUE) die("wrong answer: no-op %lld", (long long)i);
    double us = (bench_seconds() - begin) / (double)n * 1e6;
    expect_runs("task_async", before, (uint64_t)n);
    free(results);
    return us;
}

static double chain_us(int64_t n)
{
    static int64_t x;
    starpu_data_handle_t handle;
    uint64_t before = atomic_load(&n_ran);
    x = 0;
    starpu_variable_data_register(&handle, STARPU_MAIN_RAM, (uintptr_t)&x, sizeof x);
    double begin = bench_seconds();
    for (int64_t i = 0; i < n; i++) {
        struct starpu_task *task = starpu_task_create();
        task->cl = &next_codelet;
        task->handles[0] = handle;
        OK(starpu_task_submit(task));
    }
    OK(starpu_task_wait_for_all());
    double us = (bench_seconds() - begin) / (double)n * 1e6;
    starpu_data_unregister(handle);
    if (x != n) die("wrong answer: a chain of %lld gave %lld", (long long)n, (long long)x);
    expect_runs("chain", before, (uint64_t)n);
    return us;
}

static void measure(const char *name, double (*fn)(int64_t), int64_t n)
{
    if (quick) n /= 10;
    (void)fn(n / 10);
    write_row(name, fn(n));
}

/* ---- METG(50%) of the stencil ---- */

typedef struct {
    metg_graph_t graph;
    metg_task_t *tasks;
    metg_pair_t *outputs[2];
    starpu_data_handle_t *handles[2];
} stencil_t;

static void point(void *buffers[], void *arg)
{
    const metg_task_t *task = arg;
    const metg_pair_t *in[METG_MAX_DEPS];
    int deps[METG_MAX_DEPS], n = metg_deps(task->pattern, task->width, task->t, task->i, deps);
    size_t n_pairs = STARPU_VECTOR_GET_NX(buffers[n]);
    count();
    for (int d = 0; d < n; d++) in[d] = (const metg_pair_t *)STARPU_VECTOR_GET_PTR(buffers[d]);
    if (!metg_execute(task, in, n_pairs, (metg_pair_t *)STARPU_VECTOR_GET_PTR(buffers[n]))) atomic_fetch_add(&n_wrong, 1);
}

static struct starpu_codelet point_codelet = {.cpu_funcs = {point}, .nbuffers = STARPU_VARIABLE_NBUFFERS, .name = "point"};

static void create(stencil_t *s)
{
    const metg_graph_t *g = &s->graph;
    size_t n_pairs = (size_t)g->payload / sizeof(metg_pair_t);
    s->tasks = need((size_t)(g->steps * g->width) * sizeof *s->tasks);
    for (int row = 0; row < 2; row++) {
        s->outputs[row] = need((size_t)g->width * (size_t)g->payload);
        s->handles[row] = need((size_t)g->width * sizeof *s->handles[row]);
        for (int i = 0; i < g->width; i++)
            starpu_vector_data_register(&s->handles[row][i], STARPU_MAIN_RAM, (uintptr_t)(s->outputs[row] + (size_t)i * n_pairs), (uint32_t)n_pairs,
                                        sizeof(metg_pair_t));
    }
}

static void destroy(stencil_t *s)
{
    for (int row = 0; row < 2; row++) {
        for (int i = 0; i < s->graph.width; i++) starpu_data_unregister(s->handles[row][i]);
        free(s->handles[row]);
        free(s->outputs[row]);
    }
    free(s->tasks);
}

static void submit_point(stencil_t *s, int t, int i)
{
    const metg_graph_t *g = &s->graph;
    int deps[METG_MAX_DEPS], n = metg_deps(g->pattern, g->width, t, i, deps);
    metg_task_t *arg = &s->tasks[t * g->width + i];
    struct starpu_task *task = starpu_task_create();
    *arg = (metg_task_t){g->pattern, g->width, t, i, g->iterations};
    task->cl = &point_codelet;
    task->cl_arg = arg;
    task->cl_arg_size = sizeof *arg;
    task->nbuffers = n + 1;
    for (int d = 0; d < n; d++) {
        task->handles[d] = s->handles[(t + 1) & 1][deps[d]];
        task->modes[d] = STARPU_R;
    }
    task->handles[n] = s->handles[t & 1][i];
    task->modes[n] = STARPU_W;
    OK(starpu_task_submit(task));
}

static double efficiency(stencil_t *s, int64_t iterations, double peak)
{
    const metg_graph_t *g = &s->graph;
    uint64_t before = atomic_load(&n_ran);
    s->graph.iterations = iterations;
    double begin = bench_seconds();
    for (int t = 0; t < g->steps; t++)
        for (int i = 0; i < g->width; i++) submit_point(s, t, i);
    OK(starpu_task_wait_for_all());
    double seconds = bench_seconds() - begin;
    expect_runs("metg_stencil", before, (uint64_t)(g->steps * g->width));
    return (double)g->steps * g->width * (double)iterations / seconds / peak;
}

/* As in metg.c: a bracket of a factor of two around efficiency 1/2, bisected. NAN if half of peak is never reached. */
static double search(stencil_t *s, double peak)
{
    int64_t low = 64, high = 64;
    (void)efficiency(s, low, peak);
    while (efficiency(s, high, peak) < 0.5) {
        low = high;
        high *= 2;
        if (high > MAX_ITERATIONS) return NAN;
    }
    while (low == high && low > 1) {
        if (efficiency(s, low / 2, peak) < 0.5) low /= 2;
        else low = high = high / 2;
    }
    for (int i = 0; i < BISECTIONS && high - low > 1; i++) {
        int64_t middle = (int64_t)sqrt((double)low * (double)high);
        if (middle <= low) middle = low + 1;
        if (efficiency(s, middle, peak) >= 0.5) high = middle;
        else low = middle;
    }
    return sqrt((double)low * (double)high);
}

static pthread_barrier_t barrier;

static void *peak_thread(void *rate_p)
{
    enum { TRIES = 10 };
    int64_t n = quick ? PEAK_ITERATIONS / 100 : PEAK_ITERATIONS;
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < TRIES; i++) {
        double begin = bench_seconds();
        metg_kernel(n);
        *(double *)rate_p = fmax(*(double *)rate_p, (double)n / (bench_seconds() - begin));
    }
    return NULL;
}

/* Kernel iterations a second of as many threads as there will be workers. */
static double peak_rate(void)
{
    pthread_t threads[METG_WORKERS];
    double rates[METG_WORKERS] = {0}, sum = 0;
    pthread_barrier_init(&barrier, NULL, METG_WORKERS);
    for (int i = 0; i < METG_WORKERS; i++) OK(-pthread_create(&threads[i], NULL, peak_thread, &rates[i]));
    for (int i = 0; i < METG_WORKERS; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < METG_WORKERS; i++) sum += rates[i];
    pthread_barrier_destroy(&barrier);
    return sum;
}

static void measure_metg(double peak)
{
    for (int wide = 1; wide <= 4; wide += 3)
        for (int large = 0; large < 2; large++) {
            char name[64];
            stencil_t s = {.graph = {METG_STENCIL, wide * METG_WORKERS, quick ? QUICK_STEPS : STEPS, large ? LARGE : METG_SMALL, 0}};
            create(&s);
            double iterations = search(&s, peak);
            destroy(&s);
            snprintf(name, sizeof name, "metg_stencil.%dw.%s", wide, large ? "64K" : "16B");
            if (!isnan(iterations)) write_row(name, 2 * iterations * METG_WORKERS / peak * 1e6);
        }
}

int main(int argc, char **argv)
{
    bool metg = false;
    int version[3];
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0) quick = true;
        if (strcmp(argv[i], "--metg") == 0) metg = true;
    }
    if (argc < 2 || (out = fopen(argv[1], "we")) == NULL) die("cannot write %s", argc < 2 ? "without a file's name" : argv[1]);
    starpu_get_version(&version[0], &version[1], &version[2]);
    fprintf(out, "{\"version\": \"StarPU %d.%d.%d\", \"skipped\": {}, \"rows\": {", version[0], version[1], version[2]);
    double peak = metg ? peak_rate() : 0; /* before workers take the cores */
    start(metg ? METG_WORKERS : 1);
    if (metg) {
        measure_metg(peak);
    } else {
        measure("task_sync", sync_us, N_SYNC);
        measure("task_async", async_us, N_ASYNC);
        measure("chain", chain_us, N_CHAIN);
    }
    starpu_shutdown();
    fprintf(out, "}}\n");
    if (fclose(out) != 0) die("cannot write %s", argv[1]);
    return 0;
}
