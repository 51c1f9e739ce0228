/* refs.h: what mray is compared with: raw MPI on the same ranks, memcpy. */
#ifndef MRAY_BENCH_REFS_H
#define MRAY_BENCH_REFS_H

#include "bench.h"
#include "ranks.h"

/* Mean round trip of 64 bytes between ranks 0 and 1 by MPI_Send and MPI_Recv, microseconds. For measure_row(); arg is not used. */
double refs_ping_pong_us(bench_t *b, const void *arg);

void refs_op_ping_pong(bench_t *b, const ranks_command_t *command, ranks_reply_t *reply);

#define REFS_PING_PONG "raw MPI 64 B round trip"

#endif
