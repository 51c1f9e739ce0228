/* net_probe.c: each rank reads from a rank of the next node, all at once, by each path; all poll meanwhile, as they do at work:
 *
 *   small   SMALL_READS slots of 64 bytes, started together, as a get of many objects does
 *   large   one read of 4 MiB
 *
 * A path's cost is the mean over ranks of its best time. For large reads the faster one is taken. For small ones the pull path
 * has to be twice as fast: where a network card reads memory by itself, RMA has the virtue of needing nobody at the owner, which
 * a probe with everybody polling cannot see. Over TCP no component has that virtue, and pull, which packs, is ten
 * times as fast. */
#include "net_probe.h"

#include "clock.h"
#include "error.h"
#include "log.h"
#include "net_bulk.h"

#include <stdlib.h>

enum { SMALL_BYTES = 64, SMALL_READS = 32, SMALL_ROUNDS = 12, LARGE_BYTES = 4 << 20, LARGE_ROUNDS = 4 };

typedef struct {
    double small_s, large_s;
} times_t;

/* The rank of the next node with this one's place in it. */
static int partner_of(const net_info_t *info)
{
    int next = (info->node + 1) % info->n_nodes, n = 0;
    for (int r = 0; r < info->n_ranks; r++) n += info->node_of_rank[r] == next;
    int place = info->node_rank % n;
    for (int r = 0;; r++)
        if (info->node_of_rank[r] == next && place-- == 0) return r;
}

typedef struct {
    int n_open, status;
} outcome_t;

static void read_ended(net_get_t *get, int status)
{
    outcome_t *outcome = get->user;
    outcome->n_open--;
    if (status != MRAY_OK) outcome->status = status;
}

static bool all_ended(net_mpi_t *mpi, void *outcome)
{
    net_impl_run_done(&mpi->net);
    return ((outcome_t *)outcome)->n_open == 0;
}

/* Best time of n_rounds rounds of n reads each, one behind the other in memory, after a round that does not count. */
static int measure(net_mpi_t *mpi, net_bulk_path_t *path, int partner, unsigned char *dst, uint64_t bytes, int n, int n_rounds, double *best_p)
{
    uint64_t limit = mpi->segment_bytes[partner] / (uint64_t)n; /* a small segment gives smaller reads */
    if (bytes > limit) bytes = limit;
    *best_p = 0;
    for (int round = 0; round <= n_rounds && bytes > 0; round++) {
        outcome_t outcome = {.n_open = n, .status = MRAY_OK};
        net_get_t gets[SMALL_READS];
        uint64_t start_ns = base_clock_ns();
        for (int i = 0; i < n; i++) {
            uint64_t off = (uint64_t)i * bytes;
            gets[i] = (net_get_t){.src_rank = partner, .src_off = off, .dst = dst + off, .bytes = bytes, .done_fn = read_ended, .user = &outcome};
            path->ops->start(path, &gets[i]);
        }
        net_mpi_wait_until(mpi, all_ended, &outcome);
        double s = (double)(base_clock_ns() - start_ns) * 1e-9;
        if (outcome.status != MRAY_OK) return outcome.status;
        if (round == 1 || (round > 1 && s < *best_p)) *best_p = s;
    }
    return MRAY_OK;
}

static int measure_path(net_mpi_t *mpi, net_bulk_path_t *path, int partner, unsigned char *dst, times_t *mine_p)
{
    int status = net_mpi_barrier(&mpi->net);
    if (status == MRAY_OK) status = measure(mpi, path, partner, dst, SMALL_BYTES, SMALL_READS, SMALL_ROUNDS, &mine_p->small_s);
    if (status == MRAY_OK) status = measure(mpi, path, partner, dst, LARGE_BYTES, 1, LARGE_ROUNDS, &mine_p->large_s);
    return status;
}

/* What every rank measured: [0] RMA, [1] pull. ok 0: this path failed on that rank. */
typedef struct {
    times_t path[2];
    int64_t ok[2];
} row_t;

static net_choice_t decide(const row_t *rows, int n_ranks, times_t mean[2])
{
    bool ok[2] = {true, true};
    for (int k = 0; k < 2; k++) {
        mean[k] = (times_t){0};
        for (int r = 0; r < n_ranks; r++) {
            mean[k].small_s += rows[r].path[k].small_s / n_ranks;
            mean[k].large_s += rows[r].path[k].large_s / n_ranks;
            if (!rows[r].ok[k]) ok[k] = false;
        }
    }
    if (!ok[0] || !ok[1]) {
        net_bulk_t kind = ok[0] ? NET_BULK_RMA : NET_BULK_PULL;
        return (net_choice_t){.small = kind, .large = kind};
    }
    return (net_choice_t){.small = 2 * mean[1].small_s < mean[0].small_s ? NET_BULK_PULL : NET_BULK_RMA,
                          .large = mean[1].large_s < mean[0].large_s ? NET_BULK_PULL : NET_BULK_RMA};
}

int net_probe_choose(net_mpi_t *mpi, net_choice_t *choice_p)
{
    const net_info_t *info = &mpi->net.info;
    int partner = partner_of(info);
    row_t mine = {0};
    row_t *rows = malloc((size_t)info->n_ranks * sizeof *rows);
    unsigned char *dst = malloc(LARGE_BYTES);
    for (int k = 0; k < 2; k++) {
        /* Without memory there is nothing to read into, but the others' barriers are kept company. */
        net_bulk_path_t *path = mpi->paths[k == 0 ? NET_BULK_RMA : NET_BULK_PULL];
        mine.ok[k] = dst ? measure_path(mpi, path, partner, dst, &mine.path[k]) == MRAY_OK : net_mpi_barrier(&mpi->net) == MRAY_OK;
    }
    free(dst);
    int status = rows ? net_mpi_allgather(&mpi->net, &mine, sizeof mine, rows)
                      : base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory for the times of %d ranks", info->n_ranks);
    if (status == MRAY_OK) {
        times_t mean[2];
        *choice_p = decide(rows, info->n_ranks, mean);
        if (info->rank == 0)
            log_info("net: reads between nodes: small by %s, large by %s (%d x %d B: rma %.0f us, pull %.0f us; 4 MiB: rma %.2f GB/s, pull %.2f GB/s)",
                     net_bulk_name(choice_p->small), net_bulk_name(choice_p->large), SMALL_READS, SMALL_BYTES, mean[0].small_s * 1e6,
                     mean[1].small_s * 1e6, LARGE_BYTES / mean[0].large_s * 1e-9, LARGE_BYTES / mean[1].large_s * 1e-9);
    }
    free(rows);
    return status;
}
