/* refs.h: what mray is compared with: raw MPI on the same ranks, memcpy. */
#ifndef MRAY_BENCH_REFS_H
#define MRAY_BENCH_REFS_H

#include "bench.h"
#include "ranks.h"

/* Mean round trip of 64 bytes between ranks 0 and 1 by MPI_Send and MPI_Recv, microseconds. For measure_row(); arg is not used. */
double refs_ping_pong_us(bench_t *b, const void *arg);

/* Mean time to read `bytes` of rank 1 into a buffer of rank 0, n times: the better of MPI_Rget, rank 1 polling, and request and answer. */
double refs_pull_us(bench_t *b, uint64_t bytes, int n);
/* Has MPI windows between these ranks? Over TCP, Open MPI 4 has none with MPI_THREAD_MULTIPLE. */
bool refs_has_windows(const bench_t *b);
/* MPI_Bcast of rank 0's buffer to all ranks, until the last has it. */
double refs_bcast_us(bench_t *b, uint64_t bytes);

void refs_op_pull(bench_t *b, const ranks_command_t *command, ranks_reply_t *reply);
void refs_op_bcast(bench_t *b, const ranks_command_t *command, ranks_reply_t *reply);
void refs_op_ping_pong(bench_t *b, const ranks_command_t *command, ranks_reply_t *reply);

#define REFS_PING_PONG "raw MPI 64 B round trip"

#endif
