/* sched_scale.c: rank 0's scheduler and a submitter for 10 to 10,000 nodes of 64 CPUs, in one process.
 *
 * What runs is the library's own code behind net_fake: rank 0 is a real agent with its tables of nodes and leases, rank 1 a real agent
 * that submits. The nodes' ranks only answer: they say what they have, ask for leases when told, and send each task's result back at
 * once. Time is what the agents take in their rounds, of the processor; the network in memory and the nodes' answers are not counted.
 *
 *   grant      rank 1 asks for half of all slots at once                       a slot
 *   decision   ranks taken at random ask for 1 to 4 slots, or return them      an ask or return, half of the slots being free
 *   contended  every rank wants twice its share; one returns all and asks again    a slot that changes hands; beside 100 nodes,
 *              since only from there on each slot comes from a rank of its own, which has to be told
 *   task       rank 1 submits no-ops and gets their results: submission, its agent's rounds, release; leases are warm    a task
 *   messages   to and from rank 0 during 1,000,000 of those tasks
 *   bytes      of rank 0's tables a node, while half of the slots are leased */
#include "cases.h"

#include "agent.h"
#include "head.h"
#include "lease_table.h"
#include "leases.h"
#include "net_impl.h"
#include "node.h"
#include "object.h"
#include "rng.h"
#include "slot.h"
#include "submit.h"
#include "upcalls.h"
#include "wire.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CPUS = 64, FIRST_NODE = 2, EPOCH = 5, WINDOW = 1 << 16, BATCH = 64, DECISIONS = 20000, TASKS = 1000000 };
static const int sizes[] = {10, 100, 1000, 10000};
enum { N_SIZES = sizeof sizes / sizeof sizes[0] };
static const node_shape_t CPU = {.cpu = NODE_UNIT};

/* A rank with an agent. */
typedef struct {
    node_t *node;
    agent_t *agent;
    net_handler_fn on_item;
    uint64_t n_items; /* taken in */
    double seconds;   /* in rounds */
} real_t;

typedef struct {
    int n; /* nodes */
    net_t **nets;
    real_t head, submitter;
    ep_t *ep;       /* rank 1's thread that submits */
    uint8_t *holds; /* by rank: it holds leases that it asked for as a node */
    base_rng_t rng;
} sim_t;

/* Of this thread: other programs on the machine do not count. */
static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- ranks ---- */

static void count_item(void *ctx, int src_rank, const net_item_t *item, const void *data)
{
    real_t *r = ctx;
    r->n_items++;
    r->on_item(r->agent, src_rank, item, data);
}

static void make_real(sim_t *sim, int rank, real_t *r)
{
    static node_description_t d;
    seg_config_t config = {.n_slots = rank == 1 ? 2 * WINDOW : 256, .n_records = rank == 1 ? 2 * WINDOW : 256, .arena_bytes = 1 << 16};
    segment_t segment;
    d = (node_description_t){.epoch = EPOCH, .rank = rank, .n_ranks = sim->n + FIRST_NODE, .n_node_ranks = 1, .n_cpus = 1, .n_own_cpus = 1, .multi_node = 1};
    d.ranks[0] = rank;
    BENCH_OK(seg_create(&config, EPOCH, (uint32_t)rank, &segment, &d.names[0]));
    BENCH_OK(node_create(&d, &segment, &r->node));
    seg_close_fd(&d.names[0]);
    BENCH_OK(agent_create(r->node, sim->nets[rank], &r->agent));
    net_t *net = sim->nets[rank];
    for (uint16_t t = 1; t < CONTROL_N; t++) {
        r->on_item = net->handlers[t].fn;
        net_register_handler(net, t, count_item, r);
    }
}

static void run_round(real_t *r)
{
    double start = cpu_seconds();
    (void)agent_round(r->agent);
    r->seconds += cpu_seconds() - start;
}

/* A node runs a task: its result is 1. */
static void on_record(void *ctx, int src_rank, const net_item_t *item, const void *data)
{
    net_t *net = ctx;
    wire_record_t w;
    (void)item;
    memcpy(&w, data, sizeof w);
    wire_object_t result = {.to = w.ret, .kind = SLOT_KIND_INLINE, .dtype = MRAY_INT64, .bytes = 8, .value = {1}, .rid = w.rid, .gen = w.gen};
    BENCH_OK(net_send(net, src_rank, CONTROL_RESULT, 0, &result, sizeof result));
}

static void on_other(void *ctx, int src_rank, const net_item_t *item, const void *data)
{
    (void)ctx, (void)src_rank, (void)item, (void)data;
}

static void say_hello(sim_t *sim, int rank, int n_workers)
{
    node_hello_t hello = {.rank = rank, .node = rank, .n_workers = n_workers};
    BENCH_OK(net_send(sim->nets[rank], 0, CONTROL_NODE_HELLO, 0, &hello, sizeof hello));
}

static void poll_nodes(sim_t *sim)
{
    for (int r = FIRST_NODE; r < sim->n + FIRST_NODE; r++) (void)net_poll(sim->nets[r]);
}

static void make(sim_t *sim, int n)
{
    *sim = (sim_t){.n = n};
    int n_ranks = n + FIRST_NODE, *nodes = malloc((size_t)n_ranks * sizeof *nodes);
    sim->nets = malloc((size_t)n_ranks * sizeof(net_t *));
    sim->holds = calloc((size_t)n_ranks, 1);
    if (nodes == NULL || sim->nets == NULL || sim->holds == NULL) bench_die("no memory for %d nodes", n);
    for (int r = 0; r < n_ranks; r++) nodes[r] = r;
    BENCH_OK(net_open_fake(n_ranks, nodes, sim->nets));
    free(nodes);
    base_rng_seed(&sim->rng, 1);
    upcalls_install();
    make_real(sim, 0, &sim->head);
    make_real(sim, 1, &sim->submitter);
    BENCH_OK(ep_open(sim->submitter.node, SEG_EP_MAIN, EP_KIND_USER, false, &sim->ep));
    for (int r = FIRST_NODE; r < n_ranks; r++)
        for (uint16_t t = 1; t < CONTROL_N; t++) net_register_handler(sim->nets[r], t, t == CONTROL_RECORD ? on_record : on_other, sim->nets[r]);
    node_hello_t none = {.rank = 0, .node = 0};
    agent_send(sim->head.agent, 0, CONTROL_NODE_HELLO, &none, sizeof none);
    say_hello(sim, 1, 0);
    for (int r = FIRST_NODE; r < n_ranks; r++) say_hello(sim, r, CPUS);
    (void)net_poll(sim->nets[1]);
    poll_nodes(sim);
    run_round(&sim->head);
    BENCH_CHECK(node_table_known(head_nodes(sim->head.agent->head)) == n_ranks);
}

static void unmake(sim_t *sim)
{
    ep_close(sim->ep);
    real_t *real[] = {&sim->head, &sim->submitter};
    for (int i = 0; i < 2; i++) {
        agent_destroy(real[i]->agent);
        node_destroy(real[i]->node);
    }
    for (int r = 0; r < sim->n + FIRST_NODE; r++) net_close(sim->nets[r]);
    free(sim->nets);
    free(sim->holds);
}

static const lease_table_t *leases_of(const sim_t *sim)
{
    return head_leases(sim->head.agent->head);
}

static uint32_t granted(const sim_t *sim, int holder)
{
    const lease_row_t *row = lease_table_find(leases_of(sim), holder, &CPU);
    return row != NULL ? row->granted : 0;
}

static void ask(sim_t *sim, int holder, uint32_t wanted, uint32_t serial)
{
    lease_ask_t body = {.shape = CPU, .wanted = wanted, .serial = serial};
    BENCH_OK(net_send(sim->nets[holder], 0, CONTROL_LEASE_ASK, 0, &body, sizeof body));
    (void)net_poll(sim->nets[holder]);
}

static void give_back(sim_t *sim, int holder, uint32_t serial)
{
    lease_return_t body = {.shape = CPU, .serial = serial};
    BENCH_OK(net_send(sim->nets[holder], 0, CONTROL_LEASE_RETURN, 0, &body, sizeof body));
    (void)net_poll(sim->nets[holder]);
}

/* Seconds of rank 0 in rounds, from what was sent to it to its answers. */
static double head_seconds(sim_t *sim)
{
    double before = sim->head.seconds;
    run_round(&sim->head);
    run_round(&sim->head); /* answers that were queued in the first leave */
    return sim->head.seconds - before;
}

static void check(const sim_t *sim)
{
    if (lease_table_selfcheck(leases_of(sim)) != MRAY_OK) bench_die("%s", mray_error_message());
}

/* ---- grant, decision, contended ---- */

typedef struct {
    int n;
} size_arg_t;

static uint32_t half(const sim_t *sim)
{
    return (uint32_t)(sim->n * CPUS / 2);
}

static double grant_us(bench_t *b, const void *arg)
{
    sim_t sim;
    double seconds = 0;
    uint64_t n_slots = 0;
    make(&sim, ((const size_arg_t *)arg)->n);
    uint64_t enough = (uint64_t)bench_count(b, 200000);
    for (uint32_t serial = 1; n_slots < enough; serial++) {
        ask(&sim, FIRST_NODE, half(&sim), serial);
        seconds += head_seconds(&sim);
        BENCH_CHECK(granted(&sim, FIRST_NODE) == half(&sim));
        if (serial == 1) check(&sim);
        n_slots += half(&sim);
        give_back(&sim, FIRST_NODE, serial);
        (void)head_seconds(&sim);
        BENCH_CHECK(granted(&sim, FIRST_NODE) == 0);
        (void)net_poll(sim.nets[FIRST_NODE]);
    }
    unmake(&sim);
    return seconds / (double)n_slots * 1e6;
}

static double decision_us(bench_t *b, const void *arg)
{
    sim_t sim;
    double seconds = 0;
    make(&sim, ((const size_arg_t *)arg)->n);
    ask(&sim, FIRST_NODE, half(&sim), 1);
    (void)head_seconds(&sim);
    int64_t n_decisions = bench_count(b, DECISIONS) / BATCH * BATCH + BATCH;
    for (int64_t i = 0; i < n_decisions; i += BATCH) {
        for (int k = 0; k < BATCH; k++) {
            int holder = FIRST_NODE + 1 + (int)base_rng_below(&sim.rng, (uint64_t)sim.n - 1);
            if (sim.holds[holder])
                give_back(&sim, holder, 1);
            else
                ask(&sim, holder, (uint32_t)base_rng_range(&sim.rng, 1, 4), 1);
            sim.holds[holder] ^= 1;
        }
        seconds += head_seconds(&sim);
        for (int r = FIRST_NODE; sim.n <= 1000 && r < sim.n + FIRST_NODE; r++)
            if (!sim.holds[r] && r > FIRST_NODE) BENCH_CHECK(granted(&sim, r) == 0);
        if (i % (BATCH * 16) == 0) poll_nodes(&sim);
    }
    check(&sim);
    BENCH_CHECK(granted(&sim, FIRST_NODE) == half(&sim));
    unmake(&sim);
    return seconds / (double)n_decisions * 1e6;
}

static double contended_us(bench_t *b, const void *arg)
{
    sim_t sim;
    double seconds = 0;
    uint64_t n_moved = 0;
    make(&sim, ((const size_arg_t *)arg)->n);
    for (int r = FIRST_NODE; r < sim.n + FIRST_NODE; r++) ask(&sim, r, 2 * CPUS, 1);
    (void)head_seconds(&sim);
    check(&sim);
    poll_nodes(&sim);
    for (int64_t i = 0; i < bench_count(b, DECISIONS) / 10; i++) {
        int holder = FIRST_NODE + (int)base_rng_below(&sim.rng, (uint64_t)sim.n);
        BENCH_CHECK(granted(&sim, holder) == CPUS);
        give_back(&sim, holder, 1);
        seconds += head_seconds(&sim);
        ask(&sim, holder, 2 * CPUS, 1);
        seconds += head_seconds(&sim);
        n_moved += 2 * CPUS;
        if (i % 128 == 127) poll_nodes(&sim); /* seldom: it takes all of them through the caches, which they are not part of */
    }
    check(&sim);
    unmake(&sim);
    return seconds / (double)n_moved * 1e6;
}

/* ---- tasks ---- */

static void never_called(void *const *args, void *ret)
{
    (void)args, (void)ret;
    abort();
}

static mray_function noop = {.name = "sched_scale_noop", .call = never_called, .ret = {.dtype = MRAY_INT64, .size = 8}};

static double submit_some(sim_t *sim, mray_ref *refs, int n)
{
    static const submit_kind_t kind = {.kind = RECORD_TASK, .what = "sched_scale"};
    double start = cpu_seconds();
    for (int i = 0; i < n; i++) BENCH_OK(submit_call(sim->ep, &kind, &noop, NULL, 0, NULL, &refs[i]));
    return cpu_seconds() - start;
}

/* Until all of refs are ready. */
static void run_tasks(sim_t *sim, const mray_ref *refs, int n)
{
    for (int i = 0; i < n;) {
        run_round(&sim->submitter);
        run_round(&sim->head);
        poll_nodes(sim);
        for (sid_t sid; i < n; i++) {
            BENCH_OK(slot_find(sim->ep, refs[i], &sid));
            if (!slot_is_ready(slot_at(sim->ep, sid))) break;
        }
    }
}

static double release_all(sim_t *sim, const mray_ref *refs, int n)
{
    double start = cpu_seconds();
    for (int i = 0; i < n; i++) {
        sid_t sid;
        mray_view view;
        BENCH_OK(slot_find(sim->ep, refs[i], &sid));
        BENCH_OK(object_look(sim->ep, slot_at(sim->ep, sid), &view));
        BENCH_CHECK(view.size == 8 && *(const int64_t *)view.data == 1);
        BENCH_OK(slot_release_ref(sim->ep, sid));
    }
    return cpu_seconds() - start;
}

typedef struct {
    double us, messages_cold, messages_warm, bytes;
} tasks_t;

/* Windows of unfinished tasks, at first of 1, 2, 4 and so on, as a program that begins, up to as many as there are records; those count
 * from which on nothing was said to rank 0 any more. */
static tasks_t measure_tasks(bench_t *b, int n_nodes)
{
    static mray_ref refs[WINDOW];
    sim_t sim;
    tasks_t t = {0};
    make(&sim, n_nodes);
    noop.index = 0;
    uint64_t before = sim.head.n_items + sim.submitter.n_items, from_nodes = 0;
    int64_t n_tasks = bench_count(b, TASKS);
    bool warm = false;
    int most = n_tasks < WINDOW ? (int)n_tasks : WINDOW, n = 1;
    for (int64_t done = 0, last = 0; done < n_tasks; n = 2 * n < most ? 2 * n : most) {
        double seconds = -sim.submitter.seconds;
        seconds += submit_some(&sim, refs, n);
        run_tasks(&sim, refs, n);
        from_nodes += (uint64_t)n;
        seconds += release_all(&sim, refs, n) + sim.submitter.seconds;
        uint64_t now = sim.head.n_items + sim.submitter.n_items - from_nodes;
        if (!warm) {
            warm = now - before == (uint64_t)last && n == most;
            last = (int64_t)(now - before);
            t.messages_cold = (double)last;
        } else {
            t.us += seconds;
            done += n;
            t.messages_warm = (double)(now - before) - t.messages_cold;
            if (done >= n_tasks) t.us *= 1e6 / (double)done;
        }
    }
    check(&sim);
    t.bytes = (double)(lease_table_bytes(leases_of(&sim)) + node_table_bytes(head_nodes(sim.head.agent->head))) / n_nodes;
    unmake(&sim);
    return t;
}

/* ---- rows ---- */

static void keep_one(bench_t *b, const char *name, int n, const char *unit, double must, double aim, double value)
{
    char text[64];
    snprintf(text, sizeof text, "sched_scale_%s_%d", name, n);
    sample_t sample = {value, value, value};
    measure_keep(b, &(row_t){.name = text, .unit = unit, .must = must, .aim = aim}, &sample, NULL);
}

/* The cost at n nodes beside that at the smallest size, which it may exceed by the ratio of their logarithms. */
static void growth(bench_t *b, const char *name, int smallest, measure_fn fn)
{
    const size_arg_t small = {sizes[smallest]};
    char reference[64];
    snprintf(reference, sizeof reference, "the same with %d nodes", small.n);
    for (int i = smallest + 1; i < N_SIZES; i++) {
        char text[64];
        size_arg_t arg = {sizes[i]};
        double logs = log(sizes[i]) / log(small.n);
        snprintf(text, sizeof text, "sched_scale_%s_%d", name, sizes[i]);
        measure_row(b, &(row_t){.name = text, .unit = "us", .reference = reference, .must = logs, .aim = 1 + (logs - 1) / 2, .value = fn, .measure_reference = fn,
                                .arg = &arg, .reference_arg = &small});
    }
}

static void tasks(bench_t *b)
{
    double us[N_SIZES][BENCH_MAX_REPS];
    tasks_t t[N_SIZES];
    for (int rep = 0; rep < b->reps; rep++)
        for (int i = 0; i < N_SIZES; i++) {
            t[i] = measure_tasks(b, sizes[i]);
            us[i][rep] = t[i].us;
        }
    sample_t ten = sample_of(us[0], b->reps);
    for (int i = 0; i < N_SIZES; i++) {
        char text[64];
        double logs = log(sizes[i]) / log(10);
        sample_t sample = sample_of(us[i], b->reps);
        snprintf(text, sizeof text, "sched_scale_task_%d", sizes[i]);
        if (i > 0)
            measure_keep(b, &(row_t){.name = text, .unit = "us", .reference = "the same with 10 nodes", .must = logs, .aim = 1 + (logs - 1) / 2}, &sample, &ten);
        keep_one(b, "messages_cold", sizes[i], "items", 1000, 200, t[i].messages_cold);
        keep_one(b, "messages_warm", sizes[i], "items", 1000, 10, t[i].messages_warm);
        keep_one(b, "bytes_a_node", sizes[i], "B", 4096, 2048, t[i].bytes);
    }
}

void case_sched_scale(bench_t *b)
{
    growth(b, "grant", 0, grant_us);
    growth(b, "decision", 0, decision_us);
    growth(b, "contended", 1, contended_us);
    tasks(b);
}
