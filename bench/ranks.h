/* ranks.h: rank 0 tells the other ranks what to do.
 *
 * Over a socket of its own, which rank 0 opens on a port the kernel chooses: a thread that waits in read() takes no CPU and calls neither MPI
 * nor mray, so it disturbs nothing that is being measured. That thread also makes the MPI calls of references; while a session is open on one
 * host nobody else does, and SERIALIZED suffices. */
#ifndef MRAY_BENCH_RANKS_H
#define MRAY_BENCH_RANKS_H

#include "bench.h"

enum { RANKS_ARGS = 8, RANKS_RESULTS = 4, RANKS_MAX = 256 };

typedef enum ranks_op {
    OP_QUIT,
    OP_OPEN,
    OP_CLOSE,
    OP_RUNS,
    OP_JOB,
    OP_PING_PONG,
    OP_PEAK,
    OP_METG_MPI,
    OP_PULL_MPI,
    OP_BCAST_MPI,
    N_OPS
} ranks_op_t;

typedef struct {
    uint32_t op;
    int32_t rank; /* of a reply */
    int64_t i[RANKS_ARGS];
} ranks_command_t;

typedef struct {
    int32_t status; /* 0, or an mray status */
    int32_t rank;
    double x[RANKS_RESULTS];
    char text[256];
} ranks_reply_t;

/* What a rank does for an op; runs on all ranks, rank 0 included. */
typedef void (*ranks_op_fn)(bench_t *b, const ranks_command_t *command, ranks_reply_t *reply);
extern const ranks_op_fn ranks_ops[N_OPS]; /* main.c */

/* Collective, before anything else: connect. */
void ranks_start(bench_t *b);
/* Ranks above 0: do what comes until OP_QUIT. */
void ranks_serve(bench_t *b);
/* Rank 0: all ranks do op; replies[r] is rank r's (may be NULL). Dies if one failed. */
void ranks_all(bench_t *b, ranks_op_t op, const int64_t *args, int n_args, ranks_reply_t *replies);

/* Open this session if it is not: true if it was not, and nothing is warm. Another one is closed first. */
bool ranks_open(bench_t *b, const bench_session_t *session);
void ranks_close(bench_t *b);
/* Before a reference that calls MPI: closes the session if it polls MPI itself (several nodes), else leaves it. */
void ranks_quiet(bench_t *b);

void ranks_op_open(bench_t *b, const ranks_command_t *command, ranks_reply_t *reply);
void ranks_op_close(bench_t *b, const ranks_command_t *command, ranks_reply_t *reply);

#endif
