/* metg.c: METG(50%): the smallest mean task time at which half of peak FLOP/s is kept; mray's side, and the search.
 *
 * One driver, rank 0, submits the whole graph; every rank has one worker, rank 0 too, so that both sides have the same cores. Task time is
 * wall time x ranks / tasks. At efficiency 1/2 it is twice the time of the kernel alone, so the search looks for the number of kernel
 * iterations at which efficiency passes 1/2, and gives twice their time at peak. Peak is measured with the kernel on all ranks at once. */
#include "metg.h"
#include "cases.h"

#include <math.h>
#include <stdio.h>

enum { STEPS = 1000, QUICK_STEPS = 20, LARGE = 65536, BISECTIONS = 3, MAX_ITERATIONS = 1 << 13 };

/* ---- the tasks: one function for each number of inputs, since a function's parameters are fixed ---- */

static void check(bool right, const metg_task_t *task)
{
    if (!right) mray_fail("task (%d, %d) got a wrong input", task->t, task->i);
}

static void small_call(void *const *args, void *ret, int n)
{
    const metg_task_t *task = args[0];
    const metg_pair_t *in[METG_MAX_DEPS];
    bench_ran();
    for (int d = 0; d < n; d++) in[d] = args[d + 1];
    check(metg_execute(task, in, 1, ret), task);
}

static void large_call(void *const *args, void *ret, int n)
{
    const metg_task_t *task = args[0];
    const metg_pair_t *in[METG_MAX_DEPS];
    mray_array(uint64_t) out = mray_return_array(uint64_t, LARGE / 8);
    bench_ran();
    for (int d = 0; d < n; d++) in[d] = (const void *)((const mray_array_any *)args[d + 1])->data;
    if (out.data == NULL) mray_fail("no room for an output: %s", mray_error_message());
    else check(metg_execute(task, in, LARGE / sizeof(metg_pair_t), (void *)out.data), task);
    *(mray_array(uint64_t) *)ret = out;
}

#define EACH_N(X) X(0) X(1) X(2) X(3) X(4) X(5)
#define CALLS(n)                                                                                \
    static void small_call_##n(void *const *args, void *ret) { small_call(args, ret, n); }      \
    static void large_call_##n(void *const *args, void *ret) { large_call(args, ret, n); }
EACH_N(CALLS)
static_assert(METG_MAX_DEPS == 5, "EACH_N");

#define SMALL_TYPE {.dtype = MRAY_BYTES, .size = sizeof(metg_pair_t)}
#define LARGE_TYPE {.dtype = MRAY_UINT64, .is_array = 1, .size = 8}
#define TASK_TYPE {.dtype = MRAY_BYTES, .size = sizeof(metg_task_t)}
#define FUNCTION(kind, TYPE, n)                                                                                                       \
    {.name = "metg_" #kind "_" #n, .call = kind##_call_##n, .ret = TYPE, .n_params = 1 + n, .params = {TASK_TYPE, TYPE, TYPE, TYPE, TYPE, TYPE}},
#define SMALL_FUNCTION(n) FUNCTION(small, SMALL_TYPE, n)
#define LARGE_FUNCTION(n) FUNCTION(large, LARGE_TYPE, n)
static mray_function small_functions[] = {EACH_N(SMALL_FUNCTION)};
static mray_function large_functions[] = {EACH_N(LARGE_FUNCTION)};

__attribute__((constructor)) static void register_functions(void)
{
    for (int n = 0; n <= METG_MAX_DEPS; n++) {
        for (int d = n + 1; d <= METG_MAX_DEPS; d++) small_functions[n].params[d] = large_functions[n].params[d] = (mray_type){0};
        mray_function_register(&small_functions[n]);
        mray_function_register(&large_functions[n]);
    }
}

/* ---- the graph by mray ---- */

static const bench_session_t one_worker_each = {.driver_works = 1, .n_workers = 1};

static void submit_row(const metg_graph_t *g, int t, const mray_ref *before, mray_ref *row)
{
    mray_function *functions = g->payload == METG_SMALL ? small_functions : large_functions;
    for (int i = 0; i < g->width; i++) {
        int deps[METG_MAX_DEPS], n = metg_deps(g->pattern, g->width, t, i, deps);
        metg_task_t task = {g->pattern, g->width, t, i, g->iterations};
        mray_arg args[1 + METG_MAX_DEPS] = {{.type = TASK_TYPE, .data = &task, .n = 1}};
        for (int d = 0; d < n; d++)
            args[1 + d] = (mray_arg){.type = {.dtype = MRAY_REF, .size = sizeof(mray_ref)}, .data = &before[deps[d]], .n = 1};
        row[i] = mray_submit_one(&functions[n], args, 1 + n, NULL);
    }
}

static void check_output(const metg_graph_t *g, mray_ref ref, int i)
{
    mray_view view;
    BENCH_OK(mray_get_view(ref, MRAY_FOREVER, &view));
    const metg_pair_t *pairs = view.data;
    BENCH_CHECK(view.size == (size_t)g->payload && pairs[0].t == g->steps - 1 && pairs[0].i == i);
    mray_view_release(&view);
}

static double run_mray(bench_t *b, const metg_graph_t *g)
{
    static mray_ref rows[2][METG_MAX_WIDTH];
    uint64_t before = bench_runs(b);
    double start = bench_seconds();
    for (int t = 0; t < g->steps; t++) {
        submit_row(g, t, rows[(t + 1) & 1], rows[t & 1]);
        if (t > 0) BENCH_OK(mray_release_many(rows[(t + 1) & 1], (size_t)g->width));
    }
    mray_ref *last = rows[(g->steps - 1) & 1];
    for (int i = 0; i < g->width; i++) check_output(g, last[i], i);
    double seconds = bench_seconds() - start;
    BENCH_OK(mray_release_many(last, (size_t)g->width));
    bench_expect_runs(b, before, (uint64_t)(g->steps * g->width));
    return seconds;
}

static double run_mpi(bench_t *b, const metg_graph_t *g)
{
    static ranks_reply_t replies[RANKS_MAX];
    ranks_all(b, OP_METG_MPI, (int64_t[]){g->pattern, g->width, g->steps, g->payload, g->iterations}, 5, replies);
    return replies[0].x[0];
}

/* ---- the search ---- */

typedef struct {
    metg_graph_t graph;
    bool mpi;
    int64_t *guess; /* where the last search ended */
} search_t;

/* Kernel iterations a second of all ranks together. */
static double peak_rate(bench_t *b)
{
    static ranks_reply_t replies[RANKS_MAX];
    double sum = 0;
    ranks_all(b, OP_PEAK, (int64_t[]){bench_count(b, 100000)}, 1, replies);
    for (int r = 0; r < b->n_ranks; r++) sum += replies[r].x[0];
    return sum;
}

static double efficiency(bench_t *b, const search_t *s, int64_t iterations, double peak)
{
    metg_graph_t g = s->graph;
    g.iterations = iterations;
    double seconds = s->mpi ? run_mpi(b, &g) : run_mray(b, &g);
    return (double)g.steps * g.width * (double)iterations / seconds / peak;
}

/* Iterations at which efficiency passes one half: a bracket of a factor of two, bisected. A machine that is busy with other things may
 * never let it pass; the result is then a lower bound, and said to be one. A ratio to a lower bound tells nothing. */
static double search(bench_t *b, const search_t *s, double peak)
{
    int64_t low = *s->guess, high;
    if (efficiency(b, s, low, peak) >= 0.5) {
        do {
            high = low;
            low /= 2;
        } while (low > 0 && efficiency(b, s, low, peak) >= 0.5);
        if (low == 0) return 1; /* an iteration is enough */
    } else {
        high = low;
        do {
            low = high;
            high *= 2;
            if (high > (b->quick ? MAX_ITERATIONS / 4 : MAX_ITERATIONS)) {
                if (s->mpi) b->unclear = true;
                if (s->mpi) b->note = "MPI did not reach half of peak in every repetition: not to be judged";
                else if (!b->unclear) b->note = "half of peak was not reached in every repetition: a lower bound";
                return (double)low;
            }
        } while (efficiency(b, s, high, peak) < 0.5);
    }
    for (int i = 0; i < (b->quick ? 1 : BISECTIONS) && high - low > 1; i++) {
        int64_t middle = (int64_t)sqrt((double)low * (double)high);
        if (middle <= low) middle = low + 1;
        if (efficiency(b, s, middle, peak) >= 0.5) high = middle;
        else low = middle;
    }
    *s->guess = high;
    return sqrt((double)low * (double)high);
}

static double metg_us(bench_t *b, const void *arg)
{
    const search_t *s = arg;
    if (s->mpi) {
        ranks_quiet(b);
    } else if (ranks_open(b, &one_worker_each)) {
        (void)efficiency(b, s, *s->guess, 1);
    }
    /* Peak of several nodes is measured with the session closed, since it begins with a barrier; so it is kept. */
    static double rate_of_reference;
    double rate = !s->mpi && b->n_hosts > 1 && rate_of_reference > 0 ? rate_of_reference : 0;
    if (rate == 0) {
        bool reopen = !s->mpi && b->n_hosts > 1;
        if (reopen) ranks_close(b);
        rate = rate_of_reference = peak_rate(b);
        if (reopen) (void)ranks_open(b, &one_worker_each);
    }
    return 2 * search(b, s, rate) * b->n_ranks / rate * 1e6;
}

/* ---- the cases ---- */

static int floor_power_of_two(int n)
{
    int p = 1;
    while (2 * p <= n) p *= 2;
    return p;
}

static void measure(bench_t *b, const char *name, metg_pattern_t pattern)
{
    for (int wide = 0; wide < 2; wide++) {
        int width = (wide ? 4 : 1) * b->n_ranks;
        if (pattern == METG_FFT || pattern == METG_TREE) width = floor_power_of_two(width);
        if (width > METG_MAX_WIDTH) width = METG_MAX_WIDTH;
        for (int large = 0; large < 2; large++) {
            int64_t guesses[2] = {64, 64};
            char row[64];
            metg_graph_t g = {pattern, width, (int32_t)(b->quick ? QUICK_STEPS : STEPS), large ? LARGE : METG_SMALL, 0};
            search_t mray = {g, false, &guesses[0]}, mpi = {g, true, &guesses[1]};
            snprintf(row, sizeof row, "%s.%dw.%s", name, wide ? 4 : 1, large ? "64K" : "16B");
            measure_row(b, &(row_t){.name = row, .unit = "us", .reference = "the same graph in non-blocking MPI", .must = large ? 1.0 : 2.5, .aim = large ? 0.6 : 1.2,
                                    .bytes = (uint64_t)g.payload, .value = metg_us, .arg = &mray, .measure_reference = metg_us, .reference_arg = &mpi});
        }
    }
}

void case_metg_stencil(bench_t *b)
{
    measure(b, "metg_stencil", METG_STENCIL);
}

void case_metg_nearest(bench_t *b)
{
    measure(b, "metg_nearest", METG_NEAREST);
}

void case_metg_fft(bench_t *b)
{
    measure(b, "metg_fft", METG_FFT);
}

void case_metg_tree(bench_t *b)
{
    measure(b, "metg_tree", METG_TREE);
}
