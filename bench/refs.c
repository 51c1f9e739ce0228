/* refs.c: see refs.h. */
#include "refs.h"

#include <math.h>
#include <stdlib.h>
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

/* ---- a read ---- */

/* MPI counts are int. */
enum { CHUNK = 64 << 20, TAG_DATA = 1, TAG_ASK = 2, TAG_END = 3 };

static char *new_buffer(uint64_t bytes, int fill)
{
    char *buf = malloc(bytes);
    if (buf == NULL) bench_die("no memory for %llu bytes", (unsigned long long)bytes);
    memset(buf, fill, bytes);
    return buf;
}

static int chunk_of(uint64_t bytes, uint64_t at)
{
    return bytes - at < CHUNK ? (int)(bytes - at) : CHUNK;
}

static void check_bytes(const char *buf, uint64_t bytes)
{
    if (buf[0] != 7 || buf[bytes - 1] != 7) bench_die("a read by MPI: wrong bytes");
}

static double ask_and_receive(char *buf, uint64_t bytes, int n)
{
    double start = bench_seconds();
    for (int i = 0; i < n; i++) {
        buf[0] = buf[bytes - 1] = 0;
        for (uint64_t at = 0; at < bytes; at += CHUNK) {
            MPI_Request request;
            MPI_Irecv(buf + at, chunk_of(bytes, at), MPI_BYTE, 1, TAG_DATA, MPI_COMM_WORLD, &request);
            MPI_Send(&at, sizeof at, MPI_BYTE, 1, TAG_ASK, MPI_COMM_WORLD);
            MPI_Wait(&request, MPI_STATUS_IGNORE);
        }
        check_bytes(buf, bytes);
    }
    return (bench_seconds() - start) / n * 1e6;
}

static void answer(const char *buf, uint64_t bytes, int n)
{
    for (int i = 0; i < n; i++)
        for (uint64_t at = 0; at < bytes; at += CHUNK) {
            uint64_t asked;
            MPI_Recv(&asked, sizeof asked, MPI_BYTE, 0, TAG_ASK, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
            MPI_Send(buf + asked, chunk_of(bytes, asked), MPI_BYTE, 0, TAG_DATA, MPI_COMM_WORLD);
        }
}

static double read_window(MPI_Win window, char *buf, uint64_t bytes, int n)
{
    double start = bench_seconds();
    for (int i = 0; i < n; i++) {
        buf[0] = buf[bytes - 1] = 0;
        for (uint64_t at = 0; at < bytes; at += CHUNK) {
            MPI_Request request;
            int count = chunk_of(bytes, at);
            MPI_Rget(buf + at, count, MPI_BYTE, 1, (MPI_Aint)at, count, MPI_BYTE, window, &request);
            MPI_Wait(&request, MPI_STATUS_IGNORE);
        }
        check_bytes(buf, bytes);
    }
    return (bench_seconds() - start) / n * 1e6;
}

bool refs_has_windows(const bench_t *b)
{
    int level;
    MPI_Query_thread(&level);
    return b->n_hosts == 1 || b->fake_hosts || level < MPI_THREAD_MULTIPLE;
}

void refs_op_pull(bench_t *b, const ranks_command_t *command, ranks_reply_t *reply)
{
    uint64_t bytes = (uint64_t)command->i[0];
    int n = (int)command->i[1], refused;
    if (b->rank > 1) return;
    MPI_Comm pair;
    MPI_Group all, two;
    MPI_Comm_group(MPI_COMM_WORLD, &all);
    MPI_Group_incl(all, 2, (int[]){0, 1}, &two);
    MPI_Comm_create_group(MPI_COMM_WORLD, two, 0, &pair);
    char *buf = new_buffer(bytes, b->rank == 1 ? 7 : 0);

    if (b->rank == 1) answer(buf, bytes, n + 1);
    else (void)ask_and_receive(buf, bytes, 1), reply->x[0] = ask_and_receive(buf, bytes, n);

    MPI_Win window;
    MPI_Comm_set_errhandler(pair, MPI_ERRORS_RETURN);
    refused = !refs_has_windows(b) || MPI_Win_create(buf, (MPI_Aint)bytes, 1, MPI_INFO_NULL, pair, &window) != MPI_SUCCESS;
    reply->x[1] = INFINITY;
    if (!refused) {
        MPI_Win_lock_all(MPI_MODE_NOCHECK, window);
        if (b->rank == 0) {
            (void)read_window(window, buf, bytes, 1);
            reply->x[1] = read_window(window, buf, bytes, n);
            MPI_Send(NULL, 0, MPI_BYTE, 1, TAG_END, MPI_COMM_WORLD);
        } else {
            MPI_Recv(NULL, 0, MPI_BYTE, 0, TAG_END, MPI_COMM_WORLD, MPI_STATUS_IGNORE); /* polls MPI meanwhile */
        }
        MPI_Win_unlock_all(window);
        MPI_Win_free(&window);
    }
    free(buf);
    MPI_Comm_free(&pair);
    MPI_Group_free(&two);
    MPI_Group_free(&all);
}

double refs_pull_us(bench_t *b, uint64_t bytes, int n)
{
    static ranks_reply_t replies[RANKS_MAX];
    ranks_quiet(b);
    ranks_all(b, OP_PULL_MPI, (int64_t[]){(int64_t)bytes, n}, 2, replies);
    return fmin(replies[0].x[0], replies[0].x[1]);
}

/* ---- broadcast ---- */

void refs_op_bcast(bench_t *b, const ranks_command_t *command, ranks_reply_t *reply)
{
    uint64_t bytes = (uint64_t)command->i[0];
    char *buf = new_buffer(bytes, b->rank == 0 ? 7 : 0);
    MPI_Barrier(MPI_COMM_WORLD);
    double start = bench_seconds();
    for (uint64_t at = 0; at < bytes; at += CHUNK) MPI_Bcast(buf + at, chunk_of(bytes, at), MPI_BYTE, 0, MPI_COMM_WORLD);
    MPI_Barrier(MPI_COMM_WORLD);
    reply->x[0] = (bench_seconds() - start) * 1e6;
    check_bytes(buf, bytes);
    free(buf);
}

double refs_bcast_us(bench_t *b, uint64_t bytes)
{
    static ranks_reply_t replies[RANKS_MAX];
    ranks_quiet(b);
    ranks_all(b, OP_BCAST_MPI, (int64_t[]){(int64_t)bytes}, 1, replies);
    return replies[0].x[0];
}
