/* metg_mpi.c: the graph in non-blocking MPI, as an MPI programmer would write it: points in blocks, one a rank; in each step all receives and
 * sends are posted, waited for, and the own tasks run. An output goes to a rank once, however many tasks there take it. */
#include "metg.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    int point, rank;
} transfer_t;

/* What crosses ranks before a row: the same every period rows. */
typedef struct {
    transfer_t *sends, *receives;
    int n_sends, n_receives;
} phase_t;

typedef struct {
    metg_graph_t graph;
    int rank, n_ranks, period;
    size_t n_pairs;
    phase_t *phases;
    metg_pair_t *outputs[2]; /* by parity of the row: width outputs, own and received ones */
    MPI_Request *requests;
} run_t;

static int owner(const run_t *r, int point)
{
    return (int)((int64_t)point * r->n_ranks / r->graph.width);
}

static void *need(size_t n, size_t size)
{
    void *p = calloc(n, size);
    if (p == NULL) bench_die("no memory for the graph in MPI");
    return p;
}

/* Does a task of rank `rank` in row t take the output of point? */
static bool is_needed(const run_t *r, int t, int point, int rank)
{
    int deps[METG_MAX_DEPS];
    for (int i = 0; i < r->graph.width; i++) {
        if (owner(r, i) != rank) continue;
        int n = metg_deps(r->graph.pattern, r->graph.width, t, i, deps);
        for (int d = 0; d < n; d++)
            if (deps[d] == point) return true;
    }
    return false;
}

static void plan(run_t *r)
{
    size_t most = (size_t)(r->graph.width * r->n_ranks);
    r->phases = need((size_t)r->period, sizeof *r->phases);
    for (int phase = 0; phase < r->period; phase++) {
        phase_t *p = &r->phases[phase];
        int t = phase + r->period; /* a row like this one that is not the first */
        p->sends = need(most, sizeof *p->sends);
        p->receives = need(most, sizeof *p->receives);
        for (int point = 0; point < r->graph.width; point++)
            for (int rank = 0; rank < r->n_ranks; rank++) {
                int from = owner(r, point);
                if (rank == from || (rank != r->rank && from != r->rank) || !is_needed(r, t, point, rank)) continue;
                if (from == r->rank) p->sends[p->n_sends++] = (transfer_t){point, rank};
                else p->receives[p->n_receives++] = (transfer_t){point, from};
            }
    }
}

static metg_pair_t *output(const run_t *r, int t, int point)
{
    return r->outputs[t & 1] + (size_t)point * r->n_pairs;
}

static void exchange(run_t *r, int t)
{
    const phase_t *p = &r->phases[t % r->period];
    int n = 0;
    for (int k = 0; k < p->n_receives; k++)
        MPI_Irecv(output(r, t - 1, p->receives[k].point), r->graph.payload, MPI_BYTE, p->receives[k].rank, p->receives[k].point, MPI_COMM_WORLD,
                  &r->requests[n++]);
    for (int k = 0; k < p->n_sends; k++)
        MPI_Isend(output(r, t - 1, p->sends[k].point), r->graph.payload, MPI_BYTE, p->sends[k].rank, p->sends[k].point, MPI_COMM_WORLD,
                  &r->requests[n++]);
    MPI_Waitall(n, r->requests, MPI_STATUSES_IGNORE);
}

static int run_row(const run_t *r, int t)
{
    int n_run = 0, deps[METG_MAX_DEPS];
    const metg_pair_t *in[METG_MAX_DEPS];
    for (int i = 0; i < r->graph.width; i++) {
        if (owner(r, i) != r->rank) continue;
        metg_task_t task = {r->graph.pattern, r->graph.width, t, i, r->graph.iterations};
        int n = metg_deps(r->graph.pattern, r->graph.width, t, i, deps);
        for (int d = 0; d < n; d++) in[d] = output(r, t - 1, deps[d]);
        if (!metg_execute(&task, in, r->n_pairs, output(r, t, i))) bench_die("METG in MPI: task (%d, %d) got a wrong input", t, i);
        n_run++;
    }
    return n_run;
}

void metg_op_mpi(bench_t *b, const ranks_command_t *command, ranks_reply_t *reply)
{
    run_t r = {.rank = b->rank, .n_ranks = b->n_ranks};
    r.graph = (metg_graph_t){(int32_t)command->i[0], (int32_t)command->i[1], (int32_t)command->i[2], (int32_t)command->i[3], command->i[4]};
    r.period = metg_period(r.graph.pattern, r.graph.width);
    r.n_pairs = (size_t)r.graph.payload / sizeof(metg_pair_t);
    plan(&r);
    for (int k = 0; k < 2; k++) r.outputs[k] = need((size_t)r.graph.width * r.n_pairs, sizeof(metg_pair_t));
    for (int k = 0; k < 2; k++) memset(r.outputs[k], 255, (size_t)r.graph.width * r.n_pairs * sizeof(metg_pair_t)); /* no first touch in the run */
    r.requests = need((size_t)(2 * r.graph.width * r.n_ranks), sizeof(MPI_Request));

    int n_run = 0, n_all;
    MPI_Barrier(MPI_COMM_WORLD);
    double start = bench_seconds();
    for (int t = 0; t < r.graph.steps; t++) {
        if (t > 0) exchange(&r, t);
        n_run += run_row(&r, t);
    }
    MPI_Reduce(&n_run, &n_all, 1, MPI_INT, MPI_SUM, 0, MPI_COMM_WORLD);
    reply->x[0] = bench_seconds() - start;
    if (b->rank == 0 && n_all != r.graph.width * r.graph.steps) bench_die("METG in MPI: %d tasks ran", n_all);

    for (int phase = 0; phase < r.period; phase++) {
        free(r.phases[phase].sends);
        free(r.phases[phase].receives);
    }
    free(r.phases);
    for (int k = 0; k < 2; k++) free(r.outputs[k]);
    free(r.requests);
}
