/* net_bench.c: what the transport costs, between rank 0 and the first rank of another node.
 *
 *   mpirun -n N net_bench          across hosts, or MRAY_FAKE_NODE_RANKS=k on one; MRAY_BULK=rma|pull chooses the path
 *
 * Prints: round trip of a 64-byte item, items a second one way, latency and bandwidth of bulk reads by size, small reads a second
 * with many in flight, and what all ranks together cost when idle. */
#include "clock.h"
#include "error.h"
#include "idle.h"
#include "net.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { TYPE_PING = 1, TYPE_PONG = 2, TYPE_STREAM = 3, TYPE_STOP = 4, SEGMENT_BYTES = 64 << 20, N_SMALL = 64 };

typedef struct {
    net_t *net;
    uint64_t n_pongs, n_stream, n_stops;
} counts_t;

static void on_ping(void *ctx, int src, const net_item_t *item, const void *data)
{
    net_send(((counts_t *)ctx)->net, src, TYPE_PONG, 0, data, item->bytes);
}

static void on_count(void *ctx, int src, const net_item_t *item, const void *data)
{
    (void)src, (void)item, (void)data;
    ++*(uint64_t *)ctx;
}

static void on_read(net_get_t *get, int status)
{
    if (status != MRAY_OK) fprintf(stderr, "bulk read: %s\n", mray_error_message());
    --*(int *)get->user;
}

static void poll_or_yield(net_t *net)
{
    if (net_poll(net) == 0) sched_yield();
}

static double seconds_since(uint64_t start_ns)
{
    return (double)(base_clock_ns() - start_ns) * 1e-9;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void round_trips(counts_t *counts, int peer)
{
    enum { N = 5000 };
    static double us[N];
    char data[64] = {0};
    for (int i = 0; i < N; i++) {
        uint64_t before = counts->n_pongs, start_ns = base_clock_ns();
        net_send(counts->net, peer, TYPE_PING, 0, data, sizeof data);
        while (counts->n_pongs == before) poll_or_yield(counts->net);
        us[i] = seconds_since(start_ns) * 1e6;
    }
    qsort(us, N, sizeof us[0], compare);
    printf("  64 B item, round trip      %8.1f us (p99 %.1f)\n", us[N / 2], us[N * 99 / 100]);
}

/* One way, as fast as they go; the last is answered. */
static void item_rate(counts_t *counts, int peer)
{
    enum { N = 2000000 };
    char data[64] = {0};
    uint64_t start_ns = base_clock_ns(), before = counts->n_pongs;
    for (int i = 0; i < N; i++) {
        while (net_send(counts->net, peer, TYPE_STREAM, 0, data, sizeof data) != MRAY_OK) poll_or_yield(counts->net);
        if (i % 64 == 63) net_poll(counts->net);
    }
    net_send(counts->net, peer, TYPE_PING, 0, data, sizeof data);
    while (counts->n_pongs == before) poll_or_yield(counts->net);
    printf("  64 B items, one way        %8.2f M/s\n", N / seconds_since(start_ns) * 1e-6);
}

static void reads(net_t *net, int peer, char *dst)
{
    static const uint64_t sizes[] = {64, 4 << 10, 64 << 10, 1 << 20, 4 << 20, 64 << 20};
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        int n = sizes[k] <= (64 << 10) ? 2000 : sizes[k] <= (4 << 20) ? 100 : 20;
        double best = 1e9, sum = 0;
        for (int i = 0; i < n; i++) {
            int n_open = 1;
            net_get_t get = {.src_rank = peer, .dst = dst, .bytes = sizes[k], .done_fn = on_read, .user = &n_open};
            uint64_t start_ns = base_clock_ns();
            net_get_start(net, &get);
            while (n_open > 0) poll_or_yield(net);
            double s = seconds_since(start_ns);
            sum += s;
            if (s < best) best = s;
        }
        printf("  read of %8llu B         %8.1f us, %6.2f GB/s (best %.1f us)\n", (unsigned long long)sizes[k], sum / n * 1e6,
               (double)sizes[k] * n / sum * 1e-9, best * 1e6);
    }
}

static void small_read_rate(net_t *net, int peer, char *dst)
{
    enum { ROUNDS = 1000 };
    static net_get_t gets[N_SMALL];
    uint64_t start_ns = base_clock_ns();
    for (int round = 0; round < ROUNDS; round++) {
        int n_open = N_SMALL;
        for (int i = 0; i < N_SMALL; i++) {
            gets[i] = (net_get_t){.src_rank = peer, .src_off = (uint64_t)i * 64, .dst = dst + i * 64, .bytes = 64, .done_fn = on_read, .user = &n_open};
            net_get_start(net, &gets[i]);
        }
        while (n_open > 0) poll_or_yield(net);
    }
    printf("  64 B reads, %d in flight   %8.3f M/s\n", N_SMALL, ROUNDS * N_SMALL / seconds_since(start_ns) * 1e-6);
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + 1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* Poll on the idle ladder for 4 s with nothing to do; the first second, with its shorter sleeps, apart. */
static void idle_cost(net_t *net)
{
    const net_info_t *info = net_info(net);
    double mine[2], *all = malloc((size_t)info->n_ranks * sizeof mine), sum[2] = {0};
    net_barrier(net);
    idle_ladder_t ladder;
    idle_init(&ladder, false);
    for (int part = 0; part < 2; part++) {
        double before = cpu_seconds();
        uint64_t start_ns = base_clock_ns(), length_ns = part == 0 ? 1000000000ull : 3000000000ull;
        while (base_clock_ns() - start_ns < length_ns) {
            if (net_poll(net) > 0) idle_reset(&ladder);
            idle_pause(idle_next(&ladder, base_clock_ns(), net_busy(net) ? IDLE_DUE_DATA : IDLE_DUE_NOTHING));
        }
        mine[part] = (cpu_seconds() - before) / (double)length_ns * 1e9;
    }
    net_allgather(net, mine, sizeof mine, all);
    for (int r = 0; r < info->n_ranks; r++) sum[0] += all[2 * r], sum[1] += all[2 * r + 1];
    if (info->rank == 0) printf("  idle, %d ranks together     %8.2f%% of a core in the first second, %.2f%% later\n", info->n_ranks, sum[0] * 100, sum[1] * 100);
    free(all);
}

int main(int argc, char **argv)
{
    net_t *net;
    config_t config;
    int status = config_load(&config);
    if (status == MRAY_OK) {
        net_configure(&config);
        status = net_open_world(&argc, &argv, &net);
    }
    if (status != MRAY_OK) {
        fprintf(stderr, "%s\n", mray_error_message());
        return 1;
    }
    const net_info_t *info = net_info(net);
    if (!info->multi_node) {
        if (info->rank == 0) printf("all ranks are on one node: nothing crosses (MRAY_FAKE_NODE_RANKS=1 makes more of it)\n");
        net_close(net);
        net_shutdown_mpi();
        return 0;
    }
    char *segment = mmap(NULL, SEGMENT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *dst = malloc(SEGMENT_BYTES);
    if (segment == MAP_FAILED || !dst) {
        fprintf(stderr, "no memory\n");
        net_abort(net, 1);
    }
    memset(segment, 1, SEGMENT_BYTES);
    memset(dst, 0, SEGMENT_BYTES);
    counts_t counts = {.net = net};
    net_register_handler(net, TYPE_PING, on_ping, &counts);
    net_register_handler(net, TYPE_PONG, on_count, &counts.n_pongs);
    net_register_handler(net, TYPE_STREAM, on_count, &counts.n_stream);
    net_register_handler(net, TYPE_STOP, on_count, &counts.n_stops);
    if (net_attach_segment(net, segment, SEGMENT_BYTES) != MRAY_OK) {
        fprintf(stderr, "%s\n", mray_error_message());
        net_abort(net, 1);
    }
    int peer = 0;
    while (info->node_of_rank[peer] == 0) peer++;
    if (info->rank == 0) {
        static const char *const names[] = {"none", "rma", "pull"};
        printf("%d ranks on %d nodes, small reads by %s, large by %s\n", info->n_ranks, info->n_nodes, names[info->bulk_small], names[info->bulk]);
        round_trips(&counts, peer);
        item_rate(&counts, peer);
        reads(net, peer, dst);
        small_read_rate(net, peer, dst);
        net_send(net, peer, TYPE_STOP, 0, NULL, 0);
        while (net_busy(net)) poll_or_yield(net);
    } else if (info->rank == peer) {
        while (counts.n_stops == 0) poll_or_yield(net);
    }
    idle_cost(net);
    net_close(net);
    net_shutdown_mpi();
    return 0;
}
