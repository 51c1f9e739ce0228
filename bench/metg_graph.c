/* metg_graph.c: see metg.h. */
#include "metg.h"

#include <math.h>

enum { KERNEL_DOUBLES = 64 };
static_assert(METG_FLOPS == 2 * KERNEL_DOUBLES, "a multiplication and an addition each");

static int log2_of(int width)
{
    int n = 0;
    while (1 << (n + 1) <= width) n++;
    return n;
}

static int neighbours(int width, int i, int radius, int *deps)
{
    int n = 0;
    for (int k = i - radius; k <= i + radius; k++)
        if (k >= 0 && k < width) deps[n++] = k;
    return n;
}

static int pair(int i, int other, int *deps)
{
    deps[0] = i < other ? i : other;
    deps[1] = i < other ? other : i;
    return 2;
}

static int fft(int width, int t, int i, int *deps)
{
    int levels = log2_of(width), other = levels == 0 ? i : i ^ 1 << (t % levels);
    deps[0] = i;
    return other == i || other >= width ? 1 : pair(i, other, deps);
}

static int tree(int width, int t, int i, int *deps)
{
    int levels = log2_of(width), phase = levels == 0 ? 0 : t % (2 * levels);
    deps[0] = i;
    if (levels == 0) return 1;
    if (phase < levels) { /* towards task 0: strides 1, 2, 4 .. */
        int stride = 1 << phase;
        return i % (2 * stride) == 0 && i + stride < width ? pair(i, i + stride, deps) : 1;
    }
    int stride = 1 << (2 * levels - 1 - phase); /* and back */
    return i % (2 * stride) == stride ? pair(i, i - stride, deps) : 1;
}

int metg_deps(int pattern, int width, int t, int i, int deps[METG_MAX_DEPS])
{
    if (t == 0) return 0;
    switch (pattern) {
    case METG_STENCIL: return neighbours(width, i, 1, deps);
    case METG_NEAREST: return neighbours(width, i, 2, deps);
    case METG_FFT: return fft(width, t, i, deps);
    default: return tree(width, t, i, deps);
    }
}

int metg_period(int pattern, int width)
{
    int levels = log2_of(width) > 0 ? log2_of(width) : 1;
    return pattern == METG_FFT ? levels : pattern == METG_TREE ? 2 * levels : 1;
}

void metg_kernel(int64_t iterations)
{
    static volatile double sink;
    double a[KERNEL_DOUBLES];
    for (int k = 0; k < KERNEL_DOUBLES; k++) a[k] = 1.0 + k;
    for (int64_t n = 0; n < iterations; n++) {
        for (int k = 0; k < KERNEL_DOUBLES; k++) a[k] = a[k] * 0.999 + 0.001;
        __asm__ volatile("" : : "r"(a) : "memory"); /* each iteration is done */
    }
    sink = a[0];
    (void)sink;
}

static bool is_output_of(const metg_pair_t *in, size_t n_pairs, int t, int i)
{
    return in[0].t == t && in[0].i == i && in[n_pairs - 1].t == t && in[n_pairs - 1].i == i;
}

bool metg_execute(const metg_task_t *task, const metg_pair_t *const *in, size_t n_pairs, metg_pair_t *out)
{
    int deps[METG_MAX_DEPS], n = metg_deps(task->pattern, task->width, task->t, task->i, deps);
    for (int d = 0; d < n; d++)
        if (!is_output_of(in[d], n_pairs, task->t - 1, deps[d])) return false;
    metg_kernel(task->iterations);
    for (size_t k = 0; k < n_pairs; k++) out[k] = (metg_pair_t){task->t, task->i};
    return true;
}

void metg_op_peak(bench_t *b, const ranks_command_t *command, ranks_reply_t *reply)
{
    (void)b;
    enum { TRIES = 10 };
    int64_t n = command->i[0];
    MPI_Barrier(MPI_COMM_WORLD);
    for (int i = 0; i < TRIES; i++) { /* the best one: a peak */
        double start = bench_seconds();
        metg_kernel(n);
        reply->x[0] = fmax(reply->x[0], (double)n / (bench_seconds() - start));
    }
}
