/* metg.h: the graphs of Task Bench (Slaughter et al., SC 2020) for METG(50%), and what one of their tasks does.
 *
 * A graph has `steps` rows of `width` tasks. Task (t, i) takes the outputs of some tasks of row t-1, runs a kernel of `iterations`, and
 * writes an output of `payload` bytes: its own (t, i) over and over. Inputs are checked at both ends. The same body runs in mray's tasks
 * (metg.c) and between MPI calls (metg_mpi.c).
 *
 *   stencil  i-1, i, i+1            fft   i, and i with bit t mod log2(width) flipped
 *   nearest  i-2 .. i+2             tree  a reduction to task 0, level by level, then a broadcast from it; i itself always */
#ifndef MRAY_BENCH_METG_H
#define MRAY_BENCH_METG_H

#include "ranks.h"

typedef enum { METG_STENCIL, METG_NEAREST, METG_FFT, METG_TREE, METG_N_PATTERNS } metg_pattern_t;
enum { METG_MAX_DEPS = 5, METG_MAX_WIDTH = 1024, METG_SMALL = 16, METG_FLOPS = 128 };

typedef struct {
    int32_t pattern, width, steps, payload;
    int64_t iterations;
} metg_graph_t;

/* What a task must know. */
typedef struct {
    int32_t pattern, width, t, i;
    int64_t iterations;
} metg_task_t;

typedef struct {
    int64_t t, i;
} metg_pair_t;

/* Points of row t-1 that (t, i) needs, ascending; their number. None for t = 0. */
int metg_deps(int pattern, int width, int t, int i, int deps[METG_MAX_DEPS]);
/* Rows after which the dependencies repeat. */
int metg_period(int pattern, int width);
/* The body: false if an input is not what it should be. in[d] is the output of the d-th dependency. */
bool metg_execute(const metg_task_t *task, const metg_pair_t *const *in, size_t n_pairs, metg_pair_t *out);
/* The kernel alone. */
void metg_kernel(int64_t iterations);

/* All ranks: kernel iterations a second of this rank while all ranks run it, in x[0]. */
void metg_op_peak(bench_t *b, const ranks_command_t *command, ranks_reply_t *reply);
/* All ranks: the graph in non-blocking MPI; seconds in x[0] of rank 0. Arguments: pattern, width, steps, payload, iterations. */
void metg_op_mpi(bench_t *b, const ranks_command_t *command, ranks_reply_t *reply);

#endif
