/* session_start.c: the steps of init: cores, segments, the same program everywhere, workers. */
#include "session.h"

#include "arena.h"
#include "bindings.h"
#include "clock.h"
#include "cgroup.h"
#include "cpus.h"
#include "crew.h"
#include "error.h"
#include "functions.h"
#include "hash.h"
#include "log.h"
#include "payload.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A tenth of a TiB needs no more blocks than this; each costs 64 bytes once used. */
enum { MAX_BLOCKS_CAP = 1 << 24 };

/* ---- the same program ---- */

static int name_the_difference(session_t *s, const functions_digest_t *all, int other)
{
    /* The names of both tables, to say which one is missing where. */
    const net_info_t *info = net_info(s->net);
    uint64_t mine = functions_names(NULL, 0), longest = mine;
    uint64_t *sizes = calloc((size_t)info->n_ranks, sizeof *sizes);
    if (sizes == NULL || net_allgather(s->net, &mine, sizeof mine, sizes) != MRAY_OK) net_abort(s->net, 1);
    for (int r = 0; r < info->n_ranks; r++)
        if (sizes[r] > longest) longest = sizes[r];
    char *own = calloc(1, longest + 1), *names = calloc((size_t)info->n_ranks, longest + 1);
    if (own == NULL || names == NULL) net_abort(s->net, 1);
    functions_names(own, longest);
    int status = net_allgather(s->net, own, longest + 1, names);
    const char *zero = names, *theirs = names + (size_t)other * (longest + 1);
    const char *lacking = NULL;
    bool on_zero = false;
    for (int side = 0; side < 2 && lacking == NULL; side++) {
        const char *a = side == 0 ? zero : theirs, *b = side == 0 ? theirs : zero;
        for (const char *x = a; *x != 0 && lacking == NULL; x += strlen(x) + 1) {
            bool found = false;
            for (const char *y = b; *y != 0 && !found; y += strlen(y) + 1) found = strcmp(x, y) == 0;
            if (!found) lacking = x, on_zero = side == 1;
        }
    }
    if (status == MRAY_OK && lacking != NULL)
        status = base_error(MRAY_ERR_FUNCTION_MISMATCH, "the ranks do not run the same program: function '%s' is registered on rank %d but not on rank %d; "
                            "start the same binary everywhere", lacking, on_zero ? other : 0, on_zero ? 0 : other);
    else if (status == MRAY_OK)
        status = base_error(MRAY_ERR_FUNCTION_MISMATCH, "the ranks do not run the same program: rank %d registered %llu functions with other signatures than rank 0; "
                            "start the same binary everywhere", other, (unsigned long long)all[other].count);
    free(sizes);
    free(own);
    free(names);
    return status;
}

int session_compare_programs(session_t *s)
{
    const net_info_t *info = net_info(s->net);
    functions_digest_t mine = functions_digest(), *all = calloc((size_t)info->n_ranks, sizeof *all);
    if (all == NULL) net_abort(s->net, 1);
    int status = net_allgather(s->net, &mine, sizeof mine, all);
    for (int r = 1; r < info->n_ranks && status == MRAY_OK; r++)
        if (memcmp(&all[r], &all[0], sizeof all[0]) != 0) status = name_the_difference(s, all, r);
    free(all);
    return status;
}

/* ---- the timeline ---- */

int session_open_timeline(session_t *s)
{
    const net_info_t *info = net_info(s->net);
    if (info->rank != 0 || s->config.trace[0] == 0) return MRAY_OK;
    s->trace_slots = trace_slots(s->config.trace_events);
    return timeline_open(&s->timeline, s->config.trace, info->n_nodes);
}

int session_agree_on_timeline(session_t *s)
{
    uint32_t *all = calloc((size_t)net_info(s->net)->n_ranks, sizeof *all);
    if (all == NULL) net_abort(s->net, 1);
    int status = net_allgather(s->net, &s->trace_slots, sizeof s->trace_slots, all);
    s->trace_slots = all[0];
    s->timeline.on = s->trace_slots > 0;
    free(all);
    return status;
}

/* ---- cores ---- */

static int wanted_workers(const session_t *s, const mray_init_opts *opts)
{
    const net_info_t *info = net_info(s->net);
    if (opts != NULL && opts->num_workers == MRAY_NO_WORKERS) return 0;
    if (opts != NULL && opts->num_workers > 0) return opts->num_workers;
    if (s->config.num_workers > 0) return (int)s->config.num_workers;
    bool pure_driver = info->rank == 0 && info->n_ranks > 1 && !s->embedded;
    return pure_driver ? 0 : TOPO_WORKERS_AUTO;
}

static void print_bindings(session_t *s)
{
    const net_info_t *info = net_info(s->net);
    topo_row_t row, *rows = calloc((size_t)info->n_ranks, sizeof *rows);
    memset(&row, 0, sizeof row);
    topo_row_fill(topo_machine(s->topo), &s->share, net_hostname(), info->rank, &row);
    if (rows != NULL && net_allgather(s->net, &row, sizeof row, rows) == MRAY_OK && info->rank == 0) {
        char *text = topo_print(rows, info->n_ranks);
        if (text != NULL) {
            ssize_t ignored = write(STDERR_FILENO, text, strlen(text));
            (void)ignored;
        }
        free(text);
    }
    free(rows);
}

/* One rank of a node warns for all. */
static bool is_first_with_a_note(const session_t *s, const topo_desc_t *here, bool driver_here)
{
    const net_info_t *info = net_info(s->net);
    bool first = s->share.note[0] != 0;
    topo_share_t *other = malloc(sizeof *other);
    for (int p = 0; first && other != NULL && p < info->node_rank; p++)
        first = topo_divide(topo_machine(s->topo), here, info->n_node_ranks, p, driver_here ? 0 : -1, other) != MRAY_OK || other->note[0] == 0;
    free(other);
    return first;
}

int session_divide_cores(session_t *s, const mray_init_opts *opts)
{
    const net_info_t *info = net_info(s->net);
    int status = topo_load(NULL, &s->topo);
    topo_desc_t mine, *all = calloc((size_t)info->n_ranks, sizeof *all), *here = calloc((size_t)info->n_node_ranks, sizeof *here);
    memset(&mine, 0, sizeof mine);
    if (all == NULL || here == NULL) net_abort(s->net, 1);
    if (status == MRAY_OK) {
        int wanted = wanted_workers(s, opts);
        if (info->rank == 0 && info->n_ranks > 1 && !s->embedded) wanted = 0; /* the driver's rank hosts no workers */
        topo_describe(s->topo, info->rank, wanted, false, &mine);
    }
    int net_status = net_allgather(s->net, &mine, sizeof mine, all);
    for (int i = 0; i < info->n_node_ranks; i++) here[i] = all[info->node_ranks[i]];
    bool driver_here = info->node_ranks[0] == 0 && info->n_ranks > 1 && here[0].n_workers == 0;
    if (status == MRAY_OK && net_status == MRAY_OK)
        status = topo_divide(topo_machine(s->topo), here, info->n_node_ranks, info->node_rank, driver_here ? 0 : -1, &s->share);
    if (status == MRAY_OK && net_status == MRAY_OK) {
        s->n_cpus = topo_count_cpus(topo_machine(s->topo), here, info->n_node_ranks);
        s->n_own_cpus = topo_count_cpus(topo_machine(s->topo), &here[info->node_rank], 1);
        if (is_first_with_a_note(s, here, driver_here)) log_warn("%s", s->share.note);
    }
    free(all);
    free(here);
    if (status == MRAY_OK && net_status == MRAY_OK) {
        if (s->config.print_binding) print_bindings(s);
    }
    return net_status != MRAY_OK ? net_status : status;
}

/* ---- segments ---- */

static int plan_segment(session_t *s, const mray_init_opts *opts, seg_config_t *config)
{
    const net_info_t *info = net_info(s->net);
    uint64_t free_bytes = topo_memory_available(), store = s->config.store_bytes;
    if (opts != NULL && opts->store_bytes > 0) store = opts->store_bytes;
    if (store == 0) store = free_bytes / 10 * 3 / (uint64_t)info->n_node_ranks;
    if (store < (1u << 20)) store = 1u << 20;
    store = store / 4096 * 4096;
    if (store > ARENA_CAPACITY_MAX || store * (uint64_t)info->n_node_ranks > free_bytes)
        return base_error(MRAY_ERR_OUT_OF_MEMORY, "an object store of %llu MiB for each of %d ranks on host %s needs more memory than there is: %llu MiB are "
                          "available; set MRAY_STORE_BYTES lower", (unsigned long long)store >> 20, info->n_node_ranks, net_hostname(),
                          (unsigned long long)free_bytes >> 20);
    uint64_t blocks = store / 4096 + 4096;
    *config = (seg_config_t){.arena_bytes = store, .n_slots = opts != NULL && opts->max_objects > 0 ? opts->max_objects : (uint32_t)s->config.max_objects,
                             .n_records = opts != NULL && opts->max_tasks > 0 ? opts->max_tasks : (uint32_t)s->config.max_tasks};
    if (config->n_slots > SEG_MAX_ITEMS - 64 || config->n_records > SEG_MAX_ITEMS - 64)
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_init: max_tasks and max_objects go up to %d", SEG_MAX_ITEMS - 64);
    config->max_blocks = (uint32_t)(blocks < MAX_BLOCKS_CAP ? blocks : MAX_BLOCKS_CAP);
    config->arena_meta_bytes = arena_metadata_bytes(store, config->max_blocks);
    config->trace_slots = s->trace_slots;
    config->trace_counter = s->trace_slots > 0 && base_ticks_usable();
    return MRAY_OK;
}

typedef struct {
    int32_t status, n_workers;
    uint32_t epoch, reserved;
    seg_name_t name;
    uint64_t slots_off, arena_off;
    char text[BASE_ERROR_MAX];
} hello_t;

static int make_own(session_t *s, const mray_init_opts *opts, segment_t *own, hello_t *hello)
{
    seg_config_t config;
    const net_info_t *info = net_info(s->net);
    int status = plan_segment(s, opts, &config);
    if (status == MRAY_OK) status = seg_create(&config, 0, (uint32_t)info->rank, own, &s->name);
    if (status == MRAY_OK) {
        arena_t *arena = (arena_t *)(own->rw + own->hdr->arena_meta_off);
        topo_bind_memory(s->topo, &s->share, own->rw, own->bytes);
        status = arena_init(arena, config.arena_bytes, config.max_blocks);
        hello->slots_off = own->hdr->slots.items_off;
        hello->arena_off = own->hdr->arena_off;
    }
    hello->status = status;
    hello->name = s->name;
    hello->n_workers = s->share.n_workers;
    uint64_t seed[3] = {base_clock_ns(), (uint64_t)getpid(), base_hash_name(net_hostname())};
    hello->epoch = (uint32_t)base_hash64(seed, sizeof seed) | 1;
    if (status != MRAY_OK) memcpy(hello->text, mray_error_message(), sizeof hello->text - 1);
    return status;
}

/* Where the other ranks' tables begin: their settings may differ from ours. */
static int note_layouts(node_t *node, const hello_t *all)
{
    node->slots_off_of = malloc((size_t)node->n_ranks * sizeof(uint64_t));
    node->arena_off_of = malloc((size_t)node->n_ranks * sizeof(uint64_t));
    if (node->slots_off_of == NULL || node->arena_off_of == NULL) return base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory for %d ranks", node->n_ranks);
    for (int r = 0; r < node->n_ranks; r++) {
        node->slots_off_of[r] = all[r].slots_off;
        node->arena_off_of[r] = all[r].arena_off;
    }
    return MRAY_OK;
}

int session_make_segment(session_t *s, const mray_init_opts *opts, node_description_t *d)
{
    const net_info_t *info = net_info(s->net);
    segment_t own = {0};
    hello_t hello, *all = calloc((size_t)info->n_ranks, sizeof *all);
    memset(&hello, 0, sizeof hello);
    if (all == NULL) net_abort(s->net, 1);
    (void)make_own(s, opts, &own, &hello);
    int status = net_allgather(s->net, &hello, sizeof hello, all);
    for (int r = 0; r < info->n_ranks && status == MRAY_OK; r++)
        if (all[r].status != MRAY_OK) {
            status = all[r].status;
            base_error_set(all[r].text);
        }
    memset(d, 0, sizeof *d);
    *d = (node_description_t){.epoch = all[0].epoch, .rank = info->rank, .n_ranks = info->n_ranks, .node_rank = info->node_rank,
                              .n_node_ranks = info->n_node_ranks, .multi_node = info->multi_node, .n_cpus = s->n_cpus, .n_own_cpus = s->n_own_cpus};
    if (status == MRAY_OK && info->n_node_ranks > NODE_MAX_RANKS)
        status = base_error(MRAY_ERR_LIMIT, "%d ranks on host %s; %d are possible", info->n_node_ranks, net_hostname(), NODE_MAX_RANKS);
    for (int p = 0; status == MRAY_OK && p < info->n_node_ranks; p++) {
        const hello_t *h = &all[info->node_ranks[p]];
        d->ranks[p] = info->node_ranks[p];
        d->names[p] = h->name;
    }
    for (int r = 0; r < info->n_ranks; r++) s->total_workers += all[r].n_workers;
    if (status == MRAY_OK && s->total_workers == 0)
        status = base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_init_comm: no rank has workers: with MRAY_NO_WORKERS on some ranks, others must have some");
    if (status == MRAY_OK) {
        own.hdr->epoch = d->epoch;
        own.hdr->n_nodes = (uint32_t)info->n_nodes;
        own.hdr->total_workers = (uint32_t)s->total_workers;
        status = node_create(d, &own, &s->node);
    }
    if (status == MRAY_OK)
        status = note_layouts(s->node, all);
    else
        seg_unmap(&own);
    free(all);
    return status;
}

/* ---- workers ---- */

/* By worker: its PU, and a number that is the same for those that share a cache. */
static crew_core_t *cores_of_workers(const session_t *s)
{
    size_t n = (size_t)s->share.n_workers;
    crew_core_t *cores = malloc((n + 1) * sizeof *cores);
    uint8_t *distances = malloc(n * n + 1);
    bool bind = s->config.bind && s->share.bind == TOPO_BIND_PLACE && topo_is_real(s->topo);
    int n_groups = 0;
    if (cores != NULL && distances != NULL) {
        topo_share_distances(topo_machine(s->topo), &s->share, distances);
        for (size_t i = 0; i < n; i++) {
            cores[i] = (crew_core_t){.pu = bind ? topo_share_place(&s->share, (int)i)->pu : -1, .group = -1};
            for (size_t k = 0; bind && k < i && cores[i].group < 0; k++)
                if (distances[i * n + k] <= TOPO_DIST_CACHE) cores[i].group = cores[k].group;
            if (bind && cores[i].group < 0) cores[i].group = n_groups++;
        }
    } else {
        free(cores);
        cores = NULL;
    }
    free(distances);
    return cores;
}

int session_start_workers(session_t *s, zygote_t *zygote, const node_description_t *description)
{
    int status = MRAY_OK;
    crew_core_t *cores = cores_of_workers(s);
    if (cores == NULL) return base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory for the list of cores");
    if (!s->threads) {
        zygote_settings_t settings = {.full_wait_ns = s->config.store_full_ms * 1000000u};
        status = zygote_attach(zygote, description, &settings);
    }
    crew_config_t config = {.threads = s->threads, .n_workers = s->share.n_workers, .cores = cores, .zygote = zygote};
    if (status == MRAY_OK) status = crew_start(s->agent->crew, &config);
    free(cores);
    return status;
}
