/* refs.c: see refs.h. */
#include "refs.h"

#include <string.h>

enum { PING_BYTES = 64 };

static void ping(char *buf, int64_t n, int64_t first)
{
    for (int64_t k = first; k < first + n; k++) {
        memcpy(buf, &k, sizeof k);
        MPI_Send(buf, PING_BYTES, MPI_BYTE, 1, 0, MPI_COMM_WORLD);
        MPI_Recv(buf, PING_BYTES, MPI_BYTE, 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        int64_t back;
        memcpy(&back, buf, sizeof back);
        if (back != k + 1) bench_die("ping-pong: wrong answer %lld", (long long)back);
    }
}

static void pong(char *buf, int64_t n)
{
    for (int64_t k = 0; k < n; k++) {
        int64_t value;
        MPI_Recv(buf, PING_BYTES, MPI_BYTE, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        memcpy(&value, buf, sizeof value);
        value++;
        memcpy(buf, &value, sizeof value);
        MPI_Send(buf, PING_BYTES, MPI_BYTE, 0, 0, MPI_COMM_WORLD);
    }
}

void refs_op_ping_pong(bench_t *b, const ranks_command_t *command, ranks_reply_t *reply)
{
    char buf[PING_BYTES] = {0};
    int64_t n = command->i[0], n_warm = n / 10 + 10;
    if (b->rank == 1) pong(buf, n_warm + n);
    if (b->rank != 0) return;
    ping(buf, n_warm, 0);
    double start = bench_seconds();
    ping(buf, n, n_warm);
    reply->x[0] = (bench_seconds() - start) / (double)n * 1e6;
}

double refs_ping_pong_us(bench_t *b, const void *arg)
{
    (void)arg;
    static ranks_reply_t replies[RANKS_MAX];
    ranks_quiet(b);
    ranks_all(b, OP_PING_PONG, (int64_t[]){bench_count(b, b->n_hosts > 1 ? 5000 : 50000)}, 1, replies);
    return replies[0].x[0];
}
