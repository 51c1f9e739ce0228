/* balance.c: see balance.h. */
#include "balance.h"

#include "clock.h"
#include "error.h"
#include "route.h"
#include "runq.h"

#include <stdlib.h>

enum {
    AT_A_TIME = 256,
    AT_A_LOOK = 64,
    VICTIMS = 64, /* the others' turn comes when these are empty */
    QUIET_LOOKS = 10, /* before it stops looking, so that a submitter whose tasks are run at once does not wake it each time */
};
typedef struct {
    uint16_t gid;
    uint32_t moved; /* tasks that it has begun since the last look */
} victim_t;

static const uint64_t LOOK_NS = 1000000;

struct balance {
    agent_t *agent;
    _Atomic bool looking; /* the node is packed, and the next look is due at look_ns; read without the agent's lock before a sleep */
    unsigned n_quiet; /* looks in a row that found all queues empty */
    uint64_t look_ns;
    uint32_t *taken;  /* by endpoint: its n_taken at the last look. NULL where this is not the node's first rank */
};

int balance_create(agent_t *agent, balance_t **balance_p)
{
    const node_t *node = agent->node;
    balance_t *b = calloc(1, sizeof *b);
    bool looks = node->node_rank == 0;
    if (b != NULL && looks) b->taken = calloc((size_t)node->n_node_ranks * SEG_MAX_EPS, sizeof *b->taken);
    if (b == NULL || (looks && b->taken == NULL)) {
        free(b);
        return base_error(MRAY_ERR_OUT_OF_MEMORY, "cannot allocate the balance of queues");
    }
    b->agent = agent;
    *balance_p = b;
    return MRAY_OK;
}

void balance_destroy(balance_t *b)
{
    if (b == NULL) return;
    free(b->taken);
    free(b);
}

/* A plain task out of a victim's queue goes to that worker; 0: to one that is picked. Without one it is the business of the agent in whose tables
 * it lies: that one has received it, or its leases. This one may have no workers at all. */
static void give(agent_t *agent, rid_t rid, uint16_t worker, uint16_t victim)
{
    ep_t *ep = agent->ep;
    record_t *rec = record_at(ep, rid);
    if (!record_is_plain(rec)) {
        route_unpick(ep->node, worker);
        route_requeue(ep, rid);
        return;
    }
    if (rec->actor != RECORD_HERE) {
        if (worker == 0) worker = route_pick_worker(ep, rid, rec, victim);
    } else if (worker >> 8 != (int)(rid >> 24)) {
        /* It came from another node, where its leases are. Its results leave by the agent of the rank that runs it: the receiver's, or this one,
         * which are alive. A third rank may have been given up as dead while its workers live on. */
        route_unpick(ep->node, worker);
        worker = route_pick_own(ep, victim);
    }
    if (worker == 0 || !route_push(ep, rid, rec, worker)) (void)route_push(ep, rid, rec, ep_gid((int)(rid >> 24), SEG_EP_AGENT));
}

/* runq_depth() takes what is still in an inbox for one task. */
static unsigned half(agent_t *agent, uint16_t victim, unsigned most)
{
    unsigned n = (runq_count(agent->ep, ep_shared_at(agent->node, victim)) + 1) / 2;
    return n < most ? n : most;
}

/* ---- a worker has nothing to do ---- */

static uint16_t longest_queue(const node_t *node)
{
    uint16_t victim = 0;
    unsigned deepest = 0;
    for (int p = 0; p < node->n_node_ranks; p++)
        for (uint16_t gid = ep_gid(p, 0); (gid = ep_mask_next(node->segs[p].hdr->worker_mask, gid)) != 0;) {
            unsigned depth = runq_depth(ep_shared_at(node, gid));
            if (depth > deepest) deepest = depth, victim = gid;
        }
    return victim;
}

static int share_longest(agent_t *agent)
{
    uint16_t victim = longest_queue(agent->node);
    if (victim == 0) return 0;
    rid_t rids[AT_A_TIME];
    unsigned want = half(agent, victim, AT_A_TIME);
    unsigned n = runq_take(agent->ep, ep_shared_at(agent->node, victim), victim, want, rids);
    for (unsigned i = 0; i < n; i++) give(agent, rids[i], 0, victim);
    return (int)n;
}

void balance_ask(const ep_t *ep)
{
    if (atomic_exchange(&ep->seg->hdr->balance, 1) == 0) ep_wake(ep_shared_at(ep->node, ep_gid(ep->node->node_rank, SEG_EP_AGENT)));
}

void balance_offer_cpu(const ep_t *ep)
{
    if (atomic_load_explicit(&ep->node->segs[0].hdr->packed, memory_order_relaxed) != 0) balance_ask(ep);
}

/* ---- the node is packed ---- */

/* Half of a queue that does not get shorter fast enough. */
static int relieve(agent_t *agent, uint16_t victim, uint32_t moved)
{
    uint16_t worker = route_pick_idle(agent->ep, victim);
    if (worker == 0) return 0;
    rid_t rids[AT_A_LOOK];
    unsigned want = half(agent, victim, AT_A_LOOK);
    unsigned n = runq_take(agent->ep, ep_shared_at(agent->node, victim), victim, want, rids);
    for (unsigned i = 0; i < n; i++) {
        if (i > 0 && moved == 0) worker = route_pick_idle(agent->ep, victim);
        give(agent, rids[i], worker, victim);
    }
    if (n == 0) route_unpick(agent->node, worker);
    return (int)n;
}

/* Queues that move too slowly, up to VICTIMS of them; *any_p: there are queues. */
static unsigned look_at_queues(balance_t *b, victim_t *victims, bool *any_p)
{
    const node_t *node = b->agent->node;
    unsigned n = 0;
    *any_p = false;
    for (int p = 0; p < node->n_node_ranks; p++)
        for (uint16_t gid = ep_gid(p, 0); (gid = ep_mask_next(node->segs[p].hdr->worker_mask, gid)) != 0;) {
            const ep_shared_t *sh = ep_shared_at(node, gid);
            uint32_t taken = atomic_load_explicit(&sh->n_taken, memory_order_relaxed), *last = &b->taken[(size_t)p * SEG_MAX_EPS + (gid & 0xff)];
            uint32_t moved = taken - *last;
            unsigned depth = runq_depth(sh);
            *last = taken;
            *any_p |= depth > 0;
            if (depth > moved && n < VICTIMS) victims[n++] = (victim_t){.gid = gid, .moved = moved};
        }
    return n;
}

static int look(balance_t *b)
{
    seg_header_t *first = b->agent->node->segs[0].hdr;
    victim_t victims[VICTIMS];
    bool any;
    unsigned n_victims = look_at_queues(b, victims, &any);
    int n = 0;
    for (unsigned i = 0; b->looking && i < n_victims; i++) n += relieve(b->agent, victims[i].gid, victims[i].moved);
    b->n_quiet = !b->looking || any ? 0 : b->n_quiet + 1;
    b->looking = true;
    if (b->n_quiet >= QUIET_LOOKS) {
        atomic_store(&first->packed, 0);
        (void)look_at_queues(b, victims, &any);
        b->looking = any;
        b->n_quiet = 0;
        if (any) atomic_store(&first->packed, 1);
    }
    b->look_ns = base_clock_ns() + LOOK_NS;
    return n;
}

int balance_round(balance_t *b)
{
    int n = 0;
    if (atomic_exchange_explicit(&b->agent->ep->seg->hdr->balance, 0, memory_order_acq_rel) != 0) n += share_longest(b->agent);
    if (b->taken == NULL || atomic_load_explicit(&b->agent->ep->seg->hdr->packed, memory_order_relaxed) == 0) return n;
    if (!b->looking || base_clock_ns() >= b->look_ns) n += look(b);
    return n;
}

bool balance_has_news(const balance_t *b)
{
    const seg_header_t *h = b->agent->ep->seg->hdr;
    return atomic_load(&h->balance) != 0 || (b->taken != NULL && !b->looking && atomic_load(&h->packed) != 0);
}

uint64_t balance_nap_ns(const balance_t *b)
{
    return b->looking ? LOOK_NS : UINT64_MAX;
}
