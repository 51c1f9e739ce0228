/* net_transport.c: the transport alone over MPI: items, bulk reads, collectives, closing and opening again.
 *
 *   mpirun -n N net_transport [world|comm|multiple|funneled|taken|huge] [seed]
 *     world      mray starts MPI (default)
 *     comm       the program has started MPI, THREAD_SERIALIZED, and lends a communicator of all ranks in reverse order
 *     multiple   the same with MPI_THREAD_MULTIPLE, funneled with MPI_THREAD_FUNNELED
 *     taken      the program has started MPI, and net_open_world must refuse
 *     huge       rank 0 makes one read of 4.5 GiB; takes 9 GiB of memory
 *
 * On one node there is little to test; MRAY_FAKE_NODE_RANKS=k makes several of it. MRAY_BULK chooses the path. The failure
 * count is summed over the ranks, so that a failure on one fails the run. */
#include "clock.h"
#include "error.h"
#include "log.h"
#include "net.h"
#include "rng.h"

#include <mpi.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

static int n_failed;
static int my_rank;

#define CHECK(cond)                                                                                              \
    do {                                                                                                         \
        if (!(cond)) {                                                                                           \
            n_failed++;                                                                                          \
            fprintf(stderr, "rank %d: %s:%d: failed: %s (%s)\n", my_rank, __FILE__, __LINE__, #cond, mray_error_message()); \
        }                                                                                                        \
    } while (0)

static void poll_or_yield(net_t *net)
{
    if (net_poll(net) == 0) sched_yield();
}

/* Items: numbered for each pair of ranks, of random sizes, filled with a word that follows from number and source. */
enum { TYPE_NUMBERED = 1, TYPE_ECHO = 2, TYPE_FILL = 3, TYPE_STRAY = 4, N_ITEMS = 20000 };

typedef struct {
    net_t *net;
    uint64_t *sent, *next; /* by rank */
    uint64_t n_taken, n_echoes, n_fill, n_stray;
} traffic_t;

static uint64_t fill_word(int src, uint64_t number)
{
    uint64_t state = (uint64_t)src << 40 ^ number;
    return base_splitmix64(&state);
}

static bool send_numbered(traffic_t *traffic, int dst, uint32_t n_words)
{
    uint64_t *words = net_send_reserve(traffic->net, dst, TYPE_NUMBERED, (uint16_t)n_words, n_words * 8);
    if (!words) return false;
    uint64_t number = traffic->sent[dst]++;
    words[0] = number;
    for (uint32_t i = 1; i < n_words; i++) words[i] = fill_word(my_rank, number);
    return true;
}

static void take_numbered(void *ctx, int src, const net_item_t *item, const void *data)
{
    traffic_t *traffic = ctx;
    const uint64_t *words = data;
    CHECK(item->bytes == item->flags * 8u && ((uintptr_t)data & 7) == 0);
    CHECK(words[0] == traffic->next[src]);
    for (uint32_t i = 1; i < item->flags; i++) {
        if (words[i] == fill_word(src, words[0])) continue;
        CHECK(!"an item's bytes are wrong");
        break;
    }
    traffic->next[src] = words[0] + 1;
    traffic->n_taken++;
    if (words[0] % 16 == 0) CHECK(net_send(traffic->net, src, TYPE_ECHO, 0, words, 8) == MRAY_OK); /* from inside a handler */
}

static void take_counted(void *ctx, int src, const net_item_t *item, const void *data)
{
    (void)src, (void)item, (void)data;
    ++*(uint64_t *)ctx;
}

static bool same_node(const net_info_t *info, int r)
{
    return info->node_of_rank[r] == info->node;
}

/* What every rank has sent to every other: row r is rank r's. */
static uint64_t *gather_sent(net_t *net, const uint64_t *sent)
{
    size_t n = (size_t)net_info(net)->n_ranks;
    uint64_t *all = malloc(n * n * sizeof *all);
    CHECK(net_allgather(net, sent, n * sizeof *sent, all) == MRAY_OK);
    return all;
}

static void test_items(net_t *net, traffic_t *traffic, base_rng_t *rng)
{
    const net_info_t *info = net_info(net);
    for (int i = 0; i < N_ITEMS; i++) {
        int dst = (int)base_rng_below(rng, (uint64_t)info->n_ranks);
        if (dst == my_rank) continue;
        uint32_t n_words = base_rng_below(rng, 20) == 0 ? (uint32_t)base_rng_range(rng, 1, NET_MAX_ITEM_BYTES / 8) : (uint32_t)base_rng_range(rng, 1, 16);
        while (!send_numbered(traffic, dst, n_words)) net_poll(net);
        if (base_rng_below(rng, 50) == 0) net_poll(net);
    }
    uint64_t *all = gather_sent(net, traffic->sent);
    uint64_t expected = 0, echoes = 0;
    for (int r = 0; r < info->n_ranks; r++) {
        expected += all[r * info->n_ranks + my_rank];
        echoes += (all[my_rank * info->n_ranks + r] + 15) / 16;
    }
    while (traffic->n_taken < expected || traffic->n_echoes < echoes || net_busy(net)) poll_or_yield(net);
    for (int r = 0; r < info->n_ranks; r++) CHECK(traffic->next[r] == all[r * info->n_ranks + my_rank]);
    free(all);
    CHECK(net_barrier(net) == MRAY_OK);
    CHECK(traffic->n_taken == expected && traffic->n_echoes == echoes);
}

/* Every rank floods one other until it is told to stop; nothing is lost. */
static void test_limit(net_t *net, traffic_t *traffic)
{
    const net_info_t *info = net_info(net);
    static char data[NET_MAX_ITEM_BYTES];
    int dst = (my_rank + 1) % info->n_ranks, n_sent = 0, status = MRAY_OK;
    uint64_t before = traffic->n_fill;
    while (n_sent < 4096 && (status = net_send(net, dst, TYPE_FILL, 0, data, sizeof data)) == MRAY_OK) n_sent++;
    CHECK(status == MRAY_ERR_LIMIT);
    CHECK(n_sent >= 1000); /* 64 MiB of packets; of the largest items each holds one */
    CHECK(net_busy(net));
    int *all = malloc((size_t)info->n_ranks * sizeof *all);
    CHECK(net_allgather(net, &n_sent, sizeof n_sent, all) == MRAY_OK);
    uint64_t expected = before + (uint64_t)all[(my_rank + info->n_ranks - 1) % info->n_ranks];
    while (traffic->n_fill < expected || net_busy(net)) poll_or_yield(net);
    CHECK(net_send(net, dst, TYPE_FILL, 0, data, 0) == MRAY_OK);
    while (traffic->n_fill < expected + 1) poll_or_yield(net);
    free(all);
    CHECK(net_barrier(net) == MRAY_OK);
}

/* Bulk reads. The segment is sparse: a part at its start and one beyond 4 GiB hold words that follow from rank and offset. */
#define SEGMENT_BYTES (5ull << 30)
#define LOW_BYTES (160ull << 20)
#define HIGH_OFF (SEGMENT_BYTES - (4ull << 20))
enum { N_READS = 400 };

static uint64_t segment_word(int rank, uint64_t off)
{
    return (off / 8 + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)rank << 56;
}

static unsigned char *make_segment(void)
{
    unsigned char *segment = mmap(NULL, SEGMENT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (segment == MAP_FAILED) {
        perror("mmap of a sparse segment");
        exit(1);
    }
    for (uint64_t off = 0; off < LOW_BYTES; off += 8) *(uint64_t *)(void *)(segment + off) = segment_word(my_rank, off);
    for (uint64_t off = HIGH_OFF; off < SEGMENT_BYTES; off += 8) *(uint64_t *)(void *)(segment + off) = segment_word(my_rank, off);
    return segment;
}

typedef struct {
    net_get_t get;
    bool ended;
    int status;
} read_t;

static void read_ended(net_get_t *get, int status)
{
    read_t *read = get->user;
    CHECK(!read->ended);
    read->ended = true;
    read->status = status;
}

static void start_read(net_t *net, read_t *read, int src, uint64_t off, uint64_t bytes)
{
    *read = (read_t){.get = {.src_rank = src, .src_off = off, .dst = malloc(bytes + 1), .bytes = bytes, .done_fn = read_ended, .user = read}};
    ((unsigned char *)read->get.dst)[bytes] = 0xa5;
    net_get_start(net, &read->get);
}

static bool content_is_right(const read_t *read)
{
    const unsigned char *bytes = read->get.dst;
    for (uint64_t i = 0; i < read->get.bytes; i++) {
        uint64_t off = read->get.src_off + i, word = segment_word(read->get.src_rank, off);
        if (off % 8 == 0 && read->get.bytes - i >= 8) {
            if (memcmp(bytes + i, &word, 8) != 0) return false;
            i += 7;
        } else if (bytes[i] != ((unsigned char *)&word)[off % 8]) {
            return false;
        }
    }
    return bytes[read->get.bytes] == 0xa5;
}

static void finish_read(net_t *net, read_t *read)
{
    while (!read->ended) poll_or_yield(net);
    CHECK(read->status == MRAY_OK);
    CHECK(content_is_right(read));
    free(read->get.dst);
}

static int other_node(const net_info_t *info, base_rng_t *rng)
{
    int r;
    do r = (int)base_rng_below(rng, (uint64_t)info->n_ranks);
    while (same_node(info, r));
    return r;
}

static void test_reads(net_t *net, base_rng_t *rng)
{
    const net_info_t *info = net_info(net);
    static read_t reads[N_READS];
    for (int i = 0; i < N_READS; i++) {
        static const uint64_t limits[] = {8, 64, 4096, 16384, 70000, 5000000};
        uint64_t bytes = base_rng_range(rng, i % 40 == 0 ? 0 : 1, limits[base_rng_below(rng, i % 8 == 0 ? 6 : 5)]);
        bool high = base_rng_below(rng, 3) == 0;
        if (high && bytes > SEGMENT_BYTES - HIGH_OFF) bytes = SEGMENT_BYTES - HIGH_OFF;
        uint64_t off = high ? base_rng_range(rng, HIGH_OFF, SEGMENT_BYTES - bytes) : base_rng_below(rng, LOW_BYTES - bytes + 1);
        start_read(net, &reads[i], other_node(info, rng), off, bytes);
    }
    CHECK(net_busy(net));
    for (int i = 0; i < N_READS; i++) finish_read(net, &reads[i]);
    bool serves = info->bulk == NET_BULK_PULL || info->bulk_small == NET_BULK_PULL;
    CHECK(!net_busy(net) || serves); /* the pull path may be serving others */
    CHECK(net_barrier(net) == MRAY_OK);

    /* More than one MPI call takes, at an odd place, with a small one beside it. */
    read_t large, small;
    start_read(net, &large, other_node(info, rng), 12345, (140ull << 20) + 777);
    start_read(net, &small, other_node(info, rng), 99, 64);
    finish_read(net, &small);
    finish_read(net, &large);
    CHECK(net_barrier(net) == MRAY_OK);
}

/* One read of more than 32 bits can count. */
static void test_huge(net_t *net, unsigned char *segment)
{
    const uint64_t bytes = SEGMENT_BYTES - (512ull << 20), off = 512ull << 20;
    CHECK(net_attach_segment(net, segment, SEGMENT_BYTES) == MRAY_OK);
    const net_info_t *info = net_info(net);
    if (my_rank == 0 && info->multi_node) {
        base_rng_t rng;
        base_rng_seed(&rng, 1);
        read_t read = {.get = {.src_rank = other_node(info, &rng), .src_off = off, .bytes = bytes, .done_fn = read_ended, .user = &read}};
        read.get.dst = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        uint64_t start_ns = base_clock_ns();
        net_get_start(net, &read.get);
        while (!read.ended) poll_or_yield(net);
        printf("%.1f GiB in %.2f s\n", (double)bytes / (1 << 30), (double)(base_clock_ns() - start_ns) * 1e-9);
        CHECK(read.status == MRAY_OK);
        read_t tail = {.get = {.src_rank = read.get.src_rank, .src_off = HIGH_OFF, .dst = (unsigned char *)read.get.dst + (HIGH_OFF - off), .bytes = (4u << 20) - 1}};
        ((unsigned char *)tail.get.dst)[tail.get.bytes] = 0xa5; /* content_is_right() looks for it */
        CHECK(content_is_right(&tail));
        munmap(read.get.dst, bytes);
    }
    net_close(net);
}

static void expect_status(net_t *net, int src, uint64_t off, uint64_t bytes, int status)
{
    char byte;
    read_t read = {.get = {.src_rank = src, .src_off = off, .dst = &byte, .bytes = bytes, .done_fn = read_ended, .user = &read}};
    net_get_start(net, &read.get);
    CHECK(!read.ended); /* never before the next poll */
    while (!read.ended) poll_or_yield(net);
    CHECK(read.status == status);
}

static void test_bad_reads(net_t *net, int other)
{
    expect_status(net, other, SEGMENT_BYTES, 1, MRAY_ERR_INVALID_ARGUMENT);
    expect_status(net, other, UINT64_MAX - 1, 8, MRAY_ERR_INVALID_ARGUMENT);
    expect_status(net, other, 0, SEGMENT_BYTES + 1, MRAY_ERR_INVALID_ARGUMENT);
    expect_status(net, my_rank, 0, 8, MRAY_ERR_INVALID_ARGUMENT);
    expect_status(net, 100000, 0, 8, MRAY_ERR_INVALID_ARGUMENT);
    expect_status(net, other, SEGMENT_BYTES, 0, MRAY_OK);
}

/* Rank 0 is in a barrier already while the others read from it and send to it; no callback runs there. */
static void test_serving_inside_a_collective(net_t *net, traffic_t *traffic)
{
    const net_info_t *info = net_info(net);
    uint64_t before = traffic->n_fill;
    CHECK(net_barrier(net) == MRAY_OK);
    if (!same_node(info, 0)) {
        read_t reads[4];
        for (int i = 0; i < 4; i++) start_read(net, &reads[i], 0, (uint64_t)i * 1000, i % 2 ? 9000000 : 100);
        for (int i = 0; i < 4; i++) finish_read(net, &reads[i]);
    }
    if (my_rank != 0) CHECK(net_send(net, 0, TYPE_FILL, 0, NULL, 0) == MRAY_OK);
    CHECK(net_barrier(net) == MRAY_OK);
    CHECK(traffic->n_fill == before);
    if (my_rank == 0)
        while (traffic->n_fill < before + (uint64_t)info->n_ranks - 1) poll_or_yield(net);
    CHECK(net_barrier(net) == MRAY_OK);
}

/* Waiting in a collective for a late rank does not burn a core. */
static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + 1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void test_waiting_is_cheap(net_t *net)
{
    CHECK(net_barrier(net) == MRAY_OK);
    double before = cpu_seconds();
    if (my_rank == 0) nanosleep(&(struct timespec){.tv_sec = 1}, NULL); /* being late is what is tested */
    CHECK(net_barrier(net) == MRAY_OK);
    CHECK(cpu_seconds() - before < 0.25);
}

static void take_stray(void *ctx, int src, const net_item_t *item, const void *data)
{
    (void)ctx, (void)src, (void)item, (void)data;
    CHECK(!"an item of an earlier session arrived");
}

/* Close with items and reads under way. */
static void close_in_traffic(net_t *net, int other)
{
    static char data[NET_MAX_ITEM_BYTES];
    static read_t read;
    const net_info_t *info = net_info(net);
    if (info->multi_node) {
        start_read(net, &read, other, 8, 3000000);
        for (int i = 0; i < 500; i++)
            for (int r = 0; r < info->n_ranks; r++)
                if (r != my_rank) net_send(net, r, TYPE_STRAY, 0, data, (uint32_t)(i * 50));
        if (my_rank % 2 == 0) net_poll(net);
    }
    bool multi_node = info->multi_node;
    net_close(net);
    if (multi_node) {
        CHECK(read.ended && read.status == MRAY_OK && content_is_right(&read));
        free(read.get.dst);
    }
}

static void test_one_node(net_t *net)
{
    char data[8] = {0};
    int other = my_rank == 0 ? 1 : 0;
    CHECK(net_info(net)->bulk == NET_BULK_NONE);
    CHECK(net_send(net, other, 1, 0, data, 8) != MRAY_OK);
    CHECK(net_poll(net) == 0 && !net_busy(net));
}

static void run_session(net_t *net, unsigned char *segment, uint64_t seed, bool brief)
{
    const net_info_t *info = net_info(net);
    size_t n_ranks = (size_t)info->n_ranks;
    base_rng_t rng;
    base_rng_seed(&rng, seed + (uint64_t)my_rank);
    traffic_t traffic = {.net = net, .sent = calloc(n_ranks, 8), .next = calloc(n_ranks, 8)};
    net_register_handler(net, TYPE_NUMBERED, take_numbered, &traffic);
    net_register_handler(net, TYPE_ECHO, take_counted, &traffic.n_echoes);
    net_register_handler(net, TYPE_FILL, take_counted, &traffic.n_fill);
    net_register_handler(net, TYPE_STRAY, take_stray, NULL);
    CHECK(net_attach_segment(net, segment, SEGMENT_BYTES) == MRAY_OK);
    if (!brief) test_waiting_is_cheap(net);
    int other = -1;
    if (info->multi_node) {
        other = other_node(info, &rng);
        CHECK(info->bulk != NET_BULK_NONE);
        test_items(net, &traffic, &rng);
        test_reads(net, &rng);
        test_bad_reads(net, other);
        test_serving_inside_a_collective(net, &traffic);
        if (!brief) test_limit(net, &traffic);
    } else {
        test_one_node(net);
    }
    net_register_handler(net, TYPE_STRAY, take_counted, &traffic.n_stray);
    close_in_traffic(net, other);
    free(traffic.sent);
    free(traffic.next);
}

static MPI_Comm lend_comm(int *argc, char ***argv, int level)
{
    int provided, rank;
    MPI_Comm reversed;
    setenv("OMPI_MCA_osc", "^ucx", 0);
    MPI_Init_thread(argc, argv, level, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_split(MPI_COMM_WORLD, 0, -rank, &reversed);
    return reversed;
}

static void open_session(const char *mode, int *argc, char ***argv, MPI_Comm lent, net_t **net_p)
{
    config_t config;
    if (config_load(&config) != MRAY_OK) {
        fprintf(stderr, "%s\n", mray_error_message());
        exit(1);
    }
    net_configure(&config);
    int status = lent != MPI_COMM_NULL ? net_open_comm(&lent, net_p) : net_open_world(argc, argv, net_p);
    if (status != MRAY_OK) {
        fprintf(stderr, "opening in mode %s: %s\n", mode, mray_error_message());
        exit(1);
    }
    const net_info_t *info = net_info(*net_p);
    my_rank = info->rank;
    log_set_rank(my_rank);
    CHECK(info->owns_mpi == (lent == MPI_COMM_NULL && net_under_launcher()));
    CHECK(info->one_thread == (strcmp(mode, "funneled") == 0));
    CHECK(info->polled_only == (strcmp(mode, "funneled") == 0 || strcmp(mode, "comm") == 0));
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "world";
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : base_clock_ns();
    if (getenv("MRAY_LOG")) log_set_level(getenv("MRAY_LOG"));
    MPI_Comm lent = MPI_COMM_NULL;
    if (strcmp(mode, "comm") == 0 || strcmp(mode, "taken") == 0) lent = lend_comm(&argc, &argv, MPI_THREAD_SERIALIZED);
    if (strcmp(mode, "multiple") == 0) lent = lend_comm(&argc, &argv, MPI_THREAD_MULTIPLE);
    if (strcmp(mode, "funneled") == 0) lent = lend_comm(&argc, &argv, MPI_THREAD_FUNNELED);
    net_t *net;
    if (strcmp(mode, "taken") == 0) {
        CHECK(net_open_world(&argc, &argv, &net) == MRAY_ERR_ALREADY_INITIALIZED);
        CHECK(strstr(mray_error_message(), "mray_init_comm") != NULL);
        MPI_Finalize();
        return n_failed != 0;
    }

    unsigned char *segment = NULL;
    uint64_t failures = 0;
    for (int session = 0; session < 3; session++) {
        open_session(mode, &argc, &argv, lent, &net);
        if (!segment) {
            segment = make_segment();
            if (my_rank == 0) printf("%d ranks on %d nodes, seed %llu\n", net_info(net)->n_ranks, net_info(net)->n_nodes, (unsigned long long)seed);
        }
        if (strcmp(mode, "huge") == 0) {
            test_huge(net, segment);
            break;
        }
        run_session(net, segment, seed + 1000 * (uint64_t)session, session > 0);
    }

    open_session(mode, &argc, &argv, lent, &net);
    uint64_t mine = (uint64_t)n_failed, all[1024];
    CHECK(net_info(net)->n_ranks <= 1024 && net_allgather(net, &mine, sizeof mine, all) == MRAY_OK);
    for (int r = 0; r < net_info(net)->n_ranks; r++) failures += all[r];
    net_close(net);
    if (lent != MPI_COMM_NULL) {
        MPI_Comm_free(&lent);
        MPI_Finalize();
    }
    net_shutdown_mpi();
    if (my_rank == 0) printf("%s\n", failures ? "FAILED" : "passed");
    return failures != 0;
}
