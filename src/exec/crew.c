/* crew.c: spawning and burying workers. */
#include "crew.h"

#include "actors.h"
#include "clock.h"
#include "error.h"
#include "futex.h"
#include "log.h"
#include "recover.h"
#include "remote.h"
#include "route.h"
#include "worker.h"
#include "worker_main.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const uint64_t ZYGOTE_LOOK_NS = 1000000;

struct crew {
    agent_t *agent;
    crew_config_t config;
    crew_core_t *cores;
    int core_of[SEG_MAX_EPS]; /* by endpoint of a worker, an index of cores; -1: none */
    int n_starting;   /* spawned and not yet in a mask */
    bool starting[SEG_MAX_EPS];
    uint32_t deaths_seen;
    bool zygote_lost;
    bool stopping;
    uint64_t next_look_ns; /* at the zygote: a system call */
};

static void on_spawn(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    (void)src_rank, (void)body, (void)bytes;
    crew_want_worker(agent->crew);
}

int crew_create(agent_t *agent, crew_t **crew_p)
{
    crew_t *crew = calloc(1, sizeof *crew);
    if (crew == NULL) return base_error(MRAY_ERR_OUT_OF_MEMORY, "cannot allocate the crew");
    crew->agent = agent;
    agent_register(agent, CONTROL_SPAWN, on_spawn);
    *crew_p = crew;
    return MRAY_OK;
}

void crew_destroy(crew_t *crew)
{
    if (crew == NULL) return;
    free(crew->cores);
    free(crew);
}

/* The core that the fewest living workers have: a replacement takes the dead one's place. */
static int least_used_core(const crew_t *crew)
{
    const node_t *node = crew->agent->node;
    int users[SEG_MAX_EPS] = {0}, best = -1;
    for (unsigned i = SEG_EP_MAIN + 1; i < SEG_MAX_EPS; i++)
        if (crew->core_of[i] >= 0 && atomic_load(&ep_shared_at(node, ep_gid(node->node_rank, i))->state) != EP_UNUSED) users[crew->core_of[i]]++;
    for (int c = 0; c < crew->config.n_workers && c < SEG_MAX_EPS; c++)
        if (best < 0 || users[c] < users[best]) best = c;
    return best;
}

/* Before it starts: where it runs, and whom it is near. */
static int give_core(crew_t *crew, unsigned index)
{
    const node_t *node = crew->agent->node;
    seg_header_t *h = node->segs[node->node_rank].hdr;
    uint16_t gid = ep_gid(node->node_rank, index);
    int core = least_used_core(crew), group = core >= 0 ? crew->cores[core].group : -1;
    if (group >= SEG_GROUPS) group = -1;
    crew->core_of[index] = core;
    for (int g = 0; g < SEG_GROUPS; g++) ep_mask_clear(h->group_mask[g], gid);
    if (group >= 0) ep_mask_set(h->group_mask[group], gid);
    if (core >= 0 && crew->cores[core].pu >= 0) ep_mask_set(h->bound_mask, gid);
    else ep_mask_clear(h->bound_mask, gid);
    atomic_store(&ep_shared_at(node, gid)->group, group);
    return core >= 0 ? crew->cores[core].pu : -1;
}

static int spawn(crew_t *crew, unsigned index, ep_kind_t kind)
{
    crew->core_of[index] = -1; /* an earlier user's does not count */
    int pu = kind == EP_KIND_WORKER ? give_core(crew, index) : -1;
    if (crew->config.threads) return worker_main_thread(crew->agent->node, index, kind, pu);
    return zygote_spawn(crew->config.zygote, index, kind, pu);
}

static int make_worker(crew_t *crew)
{
    unsigned index = ep_reserve(crew->agent->node, EP_KIND_WORKER);
    if (index == 0) return base_error(MRAY_ERR_LIMIT, "rank %d has no endpoint left for another worker", crew->agent->node->rank);
    int status = spawn(crew, index, EP_KIND_WORKER);
    if (status != MRAY_OK) return status;
    crew->starting[index] = true;
    crew->n_starting++;
    return MRAY_OK;
}

/* Its share of the node's CPUs: not all of those that it may run on, which others may share with it. */
static int count_cores(const node_t *node, int n_workers)
{
    int share = (node->n_cpus + node->n_node_ranks - 1) / node->n_node_ranks;
    if (share < n_workers) share = n_workers;
    return share < node->n_own_cpus ? share : node->n_own_cpus;
}

int crew_start(crew_t *crew, const crew_config_t *config)
{
    crew->config = *config;
    crew->cores = malloc((size_t)(config->n_workers + 1) * sizeof *crew->cores);
    if (crew->cores == NULL) return base_error(MRAY_ERR_OUT_OF_MEMORY, "cannot allocate the list of cores");
    memcpy(crew->cores, config->cores, (size_t)config->n_workers * sizeof *crew->cores);
    crew->config.cores = crew->cores;
    for (unsigned i = 0; i < SEG_MAX_EPS; i++) crew->core_of[i] = -1;
    atomic_store(&crew->agent->ep->seg->hdr->n_workers, (uint32_t)config->n_workers);
    atomic_store(&crew->agent->ep->seg->hdr->n_cores, (uint32_t)count_cores(crew->agent->node, config->n_workers));
    for (int i = 0; i < config->n_workers; i++) {
        int status = make_worker(crew);
        if (status != MRAY_OK) return status;
    }
    return MRAY_OK;
}

/* Those that have arrived in a mask are no longer starting. */
static void count_starting(crew_t *crew)
{
    for (unsigned i = 1; crew->n_starting > 0 && i < SEG_MAX_EPS; i++) {
        if (!crew->starting[i]) continue;
        const ep_shared_t *sh = ep_shared_at(crew->agent->node, ep_gid(crew->agent->node->node_rank, i));
        if (atomic_load(&sh->state) == EP_STARTING) continue;
        crew->starting[i] = false;
        crew->n_starting--;
    }
}

void crew_want_worker(crew_t *crew)
{
    count_starting(crew);
    const seg_header_t *h = crew->agent->ep->seg->hdr;
    if (crew->stopping || worker_count(h) + crew->n_starting >= (int)atomic_load(&h->n_workers)) return;
    if (make_worker(crew) != MRAY_OK) log_debug("no worker for one that blocks: %s", mray_error_message());
}

void crew_want_spare(crew_t *crew)
{
    count_starting(crew);
    if (crew->stopping || crew->n_starting > 0) return;
    if (make_worker(crew) != MRAY_OK) log_debug("no spare worker: %s", mray_error_message());
}

int crew_spawn_actor(crew_t *crew, uint32_t serial, uint32_t *actor_p)
{
    node_t *node = crew->agent->node;
    unsigned index = ep_reserve(node, EP_KIND_ACTOR);
    if (index == 0)
        return base_error(MRAY_ERR_LIMIT, "rank %d has %d endpoints (workers, actors, threads) and no room for another actor; kill some or use more ranks",
                          node->rank, SEG_MAX_EPS - 1);
    ep_shared_t *sh = ep_shared_at(node, ep_gid(node->node_rank, index));
    uint32_t closed = INBOX_CLOSED; /* calls may come before its worker does */
    atomic_store(&sh->actor_end, 0);
    atomic_store(&sh->pid, 0);
    atomic_store(&sh->actor, index | serial << 8);
    atomic_compare_exchange_strong(&sh->inbox, &closed, 0);
    int status = spawn(crew, index, EP_KIND_ACTOR);
    if (status != MRAY_OK) { /* nobody knows its number yet */
        atomic_store(&sh->actor, 0);
        atomic_store(&sh->state, EP_UNUSED);
        return status;
    }
    *actor_p = index | serial << 8;
    return MRAY_OK;
}

void crew_kill(crew_t *crew, unsigned index)
{
    ep_shared_t *sh = ep_shared_at(crew->agent->node, ep_gid(crew->agent->node->node_rank, index));
    uint32_t pid = atomic_load(&sh->pid);
    if (!crew->config.threads && pid != 0 && atomic_load(&sh->state) != EP_DEAD) kill((pid_t)pid, SIGKILL);
}

/* A worker that was killed as it called a spare one may have done so after that one's death was dealt with: no bit stands for nobody. */
static void mend_worker_mask(const crew_t *crew)
{
    const node_t *node = crew->agent->node;
    seg_header_t *h = node->segs[node->node_rank].hdr;
    for (uint16_t gid = ep_gid(node->node_rank, 0); (gid = ep_mask_next(h->worker_mask, gid)) != 0;)
        if (!ep_is_open(ep_shared_at(node, gid))) ep_mask_clear(h->worker_mask, gid);
}

static void bury(crew_t *crew, unsigned index)
{
    agent_t *agent = crew->agent;
    uint16_t gid = ep_gid(agent->node->node_rank, index);
    ep_shared_t *sh = ep_shared_at(agent->node, gid);
    bool actor = atomic_load(&sh->kind) == EP_KIND_ACTOR;
    recover_endpoint(agent, gid);
    remote_on_death(agent->remote, gid);
    if (crew->starting[index]) crew->starting[index] = false, crew->n_starting--;
    actors_on_death(agent->actors, gid);
    atomic_store(&sh->pid, 0);
    atomic_store(&sh->state, EP_UNUSED);
    mend_worker_mask(crew);
    if (!actor) crew_want_worker(crew);
}

bool crew_has_news(const crew_t *crew)
{
    return atomic_load(&crew->agent->ep->seg->hdr->deaths) != crew->deaths_seen;
}

uint32_t crew_deaths(const crew_t *crew)
{
    return crew->deaths_seen;
}

static void look_at_zygote(crew_t *crew)
{
    if (crew->config.threads || crew->config.zygote == NULL || crew->stopping || crew->zygote_lost) return;
    uint64_t now_ns = base_clock_ns();
    if (now_ns < crew->next_look_ns) return;
    crew->next_look_ns = now_ns + ZYGOTE_LOOK_NS;
    if (zygote_alive(crew->config.zygote)) return;
    crew->zygote_lost = true;
    log_error("the process that makes workers was killed, and the workers with it; the job ends");
    net_abort(crew->agent->net, 1);
}

int crew_round(crew_t *crew)
{
    int n = 0;
    if (crew_has_news(crew)) {
        crew->deaths_seen = atomic_load(&crew->agent->ep->seg->hdr->deaths);
        for (unsigned i = SEG_EP_MAIN + 1; i < SEG_MAX_EPS; i++) {
            if (atomic_load(&ep_shared_at(crew->agent->node, ep_gid(crew->agent->node->node_rank, i))->state) != EP_DEAD) continue;
            if (!crew->stopping) bury(crew, i);
            n++;
        }
    }
    look_at_zygote(crew);
    return n;
}

void crew_stop(crew_t *crew)
{
    crew->stopping = true;
    node_t *node = crew->agent->node;
    seg_header_t *h = node->segs[node->node_rank].hdr;
    atomic_store(&h->stop, 1);
    for (unsigned i = SEG_EP_MAIN + 1; i < SEG_MAX_EPS; i++) {
        ep_shared_t *sh = ep_shared_at(node, ep_gid(node->node_rank, i));
        uint32_t kind = atomic_load(&sh->kind);
        if (kind != EP_KIND_WORKER && kind != EP_KIND_ACTOR) continue;
        ep_wake(sh);
        /* A thread that is stuck in user code cannot be ended: it is said, and waited for. */
        for (uint64_t turn = 0; crew->config.threads && atomic_load(&sh->state) != EP_UNUSED; turn++) {
            if (turn == 5000) log_warn("a worker thread of rank %d does not leave its task; waiting for it", node->rank);
            ep_wake(sh);
            nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
        }
    }
}
