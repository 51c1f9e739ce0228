/* leases.c: queues by shape, asking, dispatching, returning. */
#include "leases.h"

#include "clock.h"
#include "crew.h"
#include "demand.h"
#include "error.h"
#include "functions.h"
#include "head.h"
#include "log.h"
#include "proxies.h"
#include "recall.h"
#include "remote.h"
#include "route.h"
#include "run.h"
#include "runq.h"
#include "shapes.h"
#include "slot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    AHEAD_PLAIN = 16,       /* records a slot of another node that are on the way or wait there */
    AHEAD_SHAPED = 4,       /* the same for other shapes, on this node, too */
    PULL_AT_A_TIME = 64,
    LOCALITY_MIN_BYTES = 32768,
    SPREAD_AT_LEAST = 16,   /* slots, so that tasks submitted one after the other go to different ranks, too */
};
static const uint64_t UNUSED_NS = 500000000, LOOK_NS = 250000000, LISTEN_AGAIN_NS = 200000, NO_WORKER_NAP_NS = 1000000, WARN_NS = 1000000000;

struct leases {
    agent_t *agent;
    demand_list_t demands; /* [0] is the plain one */
    uint64_t limit_ns;
    uint64_t look_ns;   /* next look for unused leases */
    uint64_t listen_ns; /* when to ask submitters again to say that workers are short; 0 = not */
    recall_t recall;
    bool look_around;   /* room came back elsewhere: is there something to pull? */
    bool stuck;         /* tasks are queued that no message will move: a worker is starting */
};

node_shape_t leases_shape_of(const record_t *rec)
{
    if (rec->shape == 0) return (node_shape_t){.cpu = NODE_UNIT};
    return (node_shape_t){.cpu = rec->shape_cpu & ~RECORD_CPU_SPREAD, .resource = rec->shape_resource, .amount = rec->shape_amount,
                          .strategy = (rec->shape_cpu & RECORD_CPU_SPREAD) != 0 ? NODE_STRATEGY_SPREAD : NODE_STRATEGY_DEFAULT};
}

static seg_header_t *header(const leases_t *l)
{
    return l->agent->ep->seg->hdr;
}

static int place_of(const leases_t *l, int rank)
{
    return l->agent->node->node_rank_of[rank];
}

/* ---- room ---- */

/* Plain tasks of this node are pushed by many, and not counted. */
static bool counts(const leases_t *l, const demand_t *d, int rank)
{
    return !d->plain || place_of(l, rank) < 0;
}

/* The slot of ref argument i of rec, if it is by value and its bytes lie in some rank's store; else NULL. */
static const slot_t *payload_of(const leases_t *l, record_t *rec, unsigned i)
{
    sid_t sid;
    if ((rec->by_value >> i & 1) == 0 || slot_find(l->agent->ep, record_ref(l->agent->ep, rec, i)->ref, &sid) != MRAY_OK || sid == 0) return NULL;
    const slot_t *slot = slot_at(l->agent->ep, sid);
    return slot->kind == SLOT_KIND_REMOTE || slot->kind == SLOT_KIND_PAYLOAD ? slot : NULL;
}

/* Bytes of rec's arguments by value that lie at rank, counted as remote results or as copies of them. */
static uint64_t bytes_at(const leases_t *l, record_t *rec, int rank)
{
    uint64_t sum = 0;
    if (rec->shape == 0 && rec->seq == RECORD_RECALLED) return 0; /* where its arguments are is where it had to wait */
    for (unsigned i = 0; i < rec->n_refs; i++) {
        const slot_t *slot = payload_of(l, rec, i);
        if (slot != NULL && slot->u.where.rank == (uint32_t)rank) sum += slot->bytes;
    }
    return sum;
}

/* The leased rank with room that has most of the arguments, or else is the least full; NULL: none has room. */
static demand_place_t *pick_place(const leases_t *l, const demand_t *d, record_t *rec)
{
    demand_place_t *best = demand_best(d);
    uint64_t best_bytes = LOCALITY_MIN_BYTES - 1;
    if (d->shape.strategy == NODE_STRATEGY_SPREAD) return best; /* whatever lies where */
    for (unsigned i = 0; best != NULL && i < rec->n_refs; i++) {
        const slot_t *slot = payload_of(l, rec, i);
        demand_place_t *p = slot != NULL ? demand_place(d, (int)slot->u.where.rank) : NULL;
        uint64_t bytes = p != NULL && demand_has_room(d, p) ? bytes_at(l, rec, p->rank) : 0;
        if (bytes > best_bytes) best = p, best_bytes = bytes;
    }
    return best;
}

/* ---- asking ---- */

static bool is_leased(const leases_t *l, const demand_t *d, int place)
{
    const demand_place_t *p = demand_place(d, l->agent->node->rank_of[place]);
    return p != NULL && p->slots > 0;
}

static void publish(leases_t *l, const demand_t *plain)
{
    uint64_t mask[SEG_MASK_WORDS] = {0};
    for (int place = 0; place < l->agent->node->n_node_ranks; place++)
        if (is_leased(l, plain, place)) mask[place / 64] |= 1ull << (place & 63);
    for (int w = 0; w < SEG_MASK_WORDS; w++) atomic_store_explicit(&header(l)->lease_mask[w], mask[w], memory_order_release);
}

static void ask(leases_t *l, demand_t *d, uint64_t wanted)
{
    if (d->shape.strategy == NODE_STRATEGY_SPREAD && wanted > 0 && wanted < SPREAD_AT_LEAST) wanted = SPREAD_AT_LEAST;
    if (d->asking || wanted == 0 || wanted <= d->asked) return;
    if (wanted < 2ull * d->asked) wanted = 2ull * d->asked;
    if (d->capacity > 0 && wanted > d->capacity) wanted = d->capacity;
    if (wanted > UINT32_MAX) wanted = UINT32_MAX;
    if (wanted <= d->asked) return;
    if (d->asked == 0) d->serial = ++l->demands.serial;
    d->asked = (uint32_t)wanted;
    d->asking = true;
    d->used_ns = base_clock_ns();
    lease_ask_t body = {.shape = d->shape, .wanted = d->asked, .serial = d->serial};
    agent_send(l->agent, 0, CONTROL_LEASE_ASK, &body, sizeof body);
}

static void give_back(leases_t *l, demand_t *d)
{
    lease_return_t body = {.shape = d->shape, .serial = d->serial};
    demand_forget(d);
    if (d->plain) {
        publish(l, d);
        atomic_store(&header(l)->lease_listen, 0);
        l->listen_ns = 0;
    }
    agent_send(l->agent, 0, CONTROL_LEASE_RETURN, &body, sizeof body);
}

/* Have submitters wake the agent when leased workers are short: only while it could do something about it. */
static void listen(leases_t *l, const demand_t *plain)
{
    bool could = plain->granted > 0 && !plain->asking && (plain->asked < plain->capacity || plain->room > 0);
    l->listen_ns = 0;
    atomic_store(&header(l)->lease_listen, could ? 1 : 0);
}

/* ---- dispatching ---- */

static void send_away(leases_t *l, demand_t *d, rid_t rid, demand_place_t *p)
{
    int rank = p->rank;
    p->heard_ns = base_clock_ns();
    demand_count(d, p, 1);
    remote_forward(l->agent->remote, rid, rank);
}

/* One plain task to a worker of the node, or to another node; false: neither now. */
static bool place_plain(leases_t *l, demand_t *d, rid_t rid, record_t *rec)
{
    agent_t *agent = l->agent;
    demand_place_t *p = agent->node->multi_node ? pick_place(l, d, rec) : NULL;
    bool there = p != NULL && rec->n_refs > 0 && bytes_at(l, rec, p->rank) >= LOCALITY_MIN_BYTES;
    uint16_t worker = there ? 0 : route_pick_worker(agent->ep, rid, rec, 0);
    if (worker == 0 && p == NULL) return false;
    if (worker == 0) {
        send_away(l, d, rid, p);
        return true;
    }
    if (agent->node->multi_node && remote_localise(agent->remote, rid, rec)) { /* it comes back when all arguments are here */
        route_unpick(agent->node, worker);
        return true;
    }
    if (!route_push(agent->ep, rid, rec, worker)) demand_push(d, agent->ep, rid, rec); /* it died: next time another */
    return true;
}

/* One task of another shape to the agent of a rank that has a lease for it. */
static bool place_shaped(leases_t *l, demand_t *d, rid_t rid, record_t *rec)
{
    agent_t *agent = l->agent;
    demand_place_t *p = pick_place(l, d, rec);
    if (p == NULL) return false;
    int place = place_of(l, p->rank);
    if (place < 0) {
        send_away(l, d, rid, p);
        return true;
    }
    if (agent->node->multi_node && remote_localise(agent->remote, rid, rec)) return true;
    int rank = p->rank;
    demand_count(d, p, 1);
    record_set(rec, shape, RECORD_SHAPE_PLACED);
    if (rank == agent->node->rank)
        shapes_admit(agent->shapes, rid, rec);
    else
        (void)route_push(agent->ep, rid, rec, ep_gid(place, SEG_EP_AGENT)); /* agents' inboxes are always open */
    return true;
}

static int pump(leases_t *l, demand_t *d)
{
    int n = 0;
    rid_t rid;
    while ((rid = demand_pop(d, l->agent->ep)) != 0) {
        record_t *rec = record_at(l->agent->ep, rid);
        if (!(d->plain ? place_plain(l, d, rid, rec) : place_shaped(l, d, rid, rec))) {
            demand_unpop(d, l->agent->ep, rid, rec);
            break;
        }
        n++;
    }
    if (d->n_queued == 0) {
        d->waiting_ns = 0;
        d->warned = false;
    } else {
        if (d->waiting_ns == 0) d->waiting_ns = base_clock_ns();
    }
    /* Those sent ahead of free slots are wanted elsewhere, too: the first may be a long one. */
    if (d->n_queued > 0 || d->outstanding > d->granted) ask(l, d, d->n_queued + d->outstanding);
    return n;
}

void leases_on_task(leases_t *l, rid_t rid, record_t *rec)
{
    int home = (int)(rid >> 24);
    ep_t *ep = l->agent->ep;
    if (home != l->agent->node->node_rank) {
        (void)route_push(ep, rid, rec, ep_gid(home, SEG_EP_AGENT));
        return;
    }
    node_shape_t shape = leases_shape_of(rec);
    demand_t *d = demand_of(&l->demands, &shape, rec->shape == 0, rec->shape == 0 ? AHEAD_PLAIN : AHEAD_SHAPED);
    if (d == NULL) {
        run_fail(ep, rid, rec, MRAY_ERR_OUT_OF_MEMORY, "no memory to queue the task");
        return;
    }
    d->used_ns = base_clock_ns();
    demand_push(d, ep, rid, rec);
    d->fresh = true; /* leases_round() hands out all that came together */
}

void leases_count(leases_t *l, int rank, const node_shape_t *shape, int by)
{
    demand_t *d = demand_find(&l->demands, shape);
    demand_place_t *p = d != NULL ? demand_place(d, rank) : NULL;
    if (p == NULL || (p->outstanding == 0 && by < 0) || !counts(l, d, rank)) return;
    p->heard_ns = base_clock_ns();
    demand_count(d, p, by);
    d->used_ns = 0; /* in use until now: the next look sets it */
    d->fresh = true;
    if (d->plain) l->look_around = true;
}

typedef struct {
    node_shape_t shape;
    int32_t at, by;
} task_state_t;

static void tell_sender(leases_t *l, int rank, int at, const node_shape_t *shape, int by)
{
    task_state_t body = {.shape = *shape, .at = at, .by = by};
    if (rank == l->agent->node->rank)
        leases_count(l, at, shape, by);
    else
        agent_send(l->agent, rank, CONTROL_TASK_STATE, &body, sizeof body);
}

void leases_tell_sender(leases_t *l, int rank, const node_shape_t *shape, int by)
{
    tell_sender(l, rank, l->agent->node->rank, shape, by);
}

void leases_recalled(leases_t *l, int rank)
{
    demand_place_t *p = demand_place(l->demands.items[0], rank);
    if (p == NULL) return;
    p->recalling = false;
    p->heard_ns = base_clock_ns(); /* what could be had was had: not at once again */
}

static void on_task_state(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    task_state_t state;
    (void)src_rank, (void)bytes;
    memcpy(&state, body, sizeof state);
    leases_count(agent->leases, state.at, &state.shape, state.by);
}

static void on_task_waits(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    static const node_shape_t plain = {.cpu = NODE_UNIT};
    leases_waits_t waits;
    (void)src_rank, (void)bytes;
    memcpy(&waits, body, sizeof waits);
    tell_sender(agent->leases, waits.rank, waits.at, &plain, waits.by);
}

static void on_grant(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    leases_t *l = agent->leases;
    lease_grant_t grant;
    lease_t lease;
    if (bytes < sizeof grant) {
        log_error("internal: a grant of %u bytes from rank %d", bytes, src_rank);
        return;
    }
    memcpy(&grant, body, sizeof grant);
    if (bytes != sizeof grant + grant.n * sizeof lease) {
        log_error("internal: a grant of %u leases in %u bytes from rank %d", grant.n, bytes, src_rank);
        return;
    }
    demand_t *d = demand_find(&l->demands, &grant.shape);
    if (d == NULL || d->serial != grant.serial || d->asked == 0) return; /* it crossed with a return */
    if (grant.first) demand_clear_slots(d);
    for (unsigned i = 0; i < grant.n; i++) {
        memcpy(&lease, (const uint8_t *)body + sizeof grant + i * sizeof lease, sizeof lease);
        if (!demand_set_slots(d, lease.rank, lease.slots, counts(l, d, lease.rank))) log_error("no memory for a lease on rank %d", lease.rank);
    }
    if (!grant.last) return;
    d->asking = false;
    d->capacity = grant.capacity;
    d->best_cpu = grant.best_cpu;
    d->best_amount = grant.best_amount;
    d->fresh = true;
    log_debug("leases of shape %u.%04u cpu: %u of %u slots on %u ranks", d->shape.cpu / NODE_UNIT, d->shape.cpu % NODE_UNIT, d->granted, d->capacity,
              d->n_places);
    if (!d->plain) return;
    publish(l, d);
    listen(l, d);
    l->look_around = true;
}

/* ---- plain tasks that queue at this node's workers ---- */

typedef struct {
    uint16_t deepest;
    unsigned depth;
    uint64_t all;
    bool busy;
} local_t;

static local_t look_at_workers(const leases_t *l, const demand_t *plain)
{
    local_t found = {0};
    const node_t *node = l->agent->node;
    for (int place = 0; place < node->n_node_ranks; place++) {
        if (!is_leased(l, plain, place)) continue;
        seg_header_t *h = node->segs[place].hdr;
        for (unsigned w = 0; w < SEG_MASK_WORDS; w++) {
            uint64_t workers = atomic_load_explicit(&h->worker_mask[w], memory_order_relaxed);
            found.busy |= (workers & ~atomic_load_explicit(&h->idle_mask[w], memory_order_relaxed)) != 0;
            for (uint64_t m = workers; m != 0; m &= m - 1) {
                uint16_t gid = ep_gid(place, w * 64 + (unsigned)__builtin_ctzll(m));
                unsigned depth = runq_depth(ep_shared_at(node, gid));
                found.all += depth;
                if (depth > found.depth) found.depth = depth, found.deepest = gid;
            }
        }
    }
    return found;
}

/* Those who submitted in the meantime told nobody, and may not submit again: what they left in queues is told for them, after the flag is set. */
static void listen_again(leases_t *l, const demand_t *plain)
{
    uint32_t listening = 1;
    listen(l, plain);
    if (atomic_load(&header(l)->lease_listen) == 1 && look_at_workers(l, plain).all > 0) atomic_compare_exchange_strong(&header(l)->lease_listen, &listening, 2);
}

/* Half of the longest queue of the node, as far as there is room elsewhere. */
static int pull(leases_t *l, demand_t *plain, const local_t *local)
{
    ep_t *ep = l->agent->ep;
    rid_t rids[PULL_AT_A_TIME];
    unsigned want = (local->depth + 1) / 2, most = plain->room;
    if (want > most) want = most;
    if (want > PULL_AT_A_TIME) want = PULL_AT_A_TIME;
    if (want == 0) return 0;
    unsigned n = runq_take(ep, ep_shared_at(l->agent->node, local->deepest), local->deepest, want, rids);
    for (unsigned i = 0; i < n; i++) {
        record_t *rec = record_at(ep, rids[i]);
        demand_place_t *p = pick_place(l, plain, rec);
        bool mine = (int)(rids[i] >> 24) == l->agent->node->node_rank && record_is_plain(rec) && rec->actor != RECORD_HERE;
        if (!mine || p == NULL)
            route_requeue(ep, rids[i]);
        else
            send_away(l, plain, rids[i], p);
    }
    return (int)n;
}

static int balance_plain(leases_t *l, demand_t *plain)
{
    bool told = atomic_load(&header(l)->lease_listen) == 2;
    if (plain->granted == 0 || (!told && !l->look_around)) return 0;
    l->look_around = false;
    local_t local = look_at_workers(l, plain);
    int n = pull(l, plain, &local);
    if (told) {
        atomic_store(&header(l)->lease_listen, 0);
        l->listen_ns = base_clock_ns() + LISTEN_AGAIN_NS;
        ask(l, plain, plain->granted + local.all + plain->n_queued);
    } else if (l->listen_ns == 0 && atomic_load(&header(l)->lease_listen) == 0) {
        listen(l, plain);
    }
    return n;
}

/* ---- what takes time ---- */

static void describe(const leases_t *l, const demand_t *d, char *text, size_t text_bytes)
{
    char need[96] = "", best[96] = "";
    const char *name = demand_name(&l->demands, d->shape.resource);
    if (d->shape.resource != 0) {
        snprintf(need, sizeof need, " and %g of resource '%s'", d->shape.amount / (double)NODE_UNIT, name);
        snprintf(best, sizeof best, ", the most of '%s' on one is %g", name, (double)d->best_amount / NODE_UNIT);
    }
    snprintf(text, text_bytes, "it needs %g CPUs%s on one rank; the largest rank has %g CPUs%s", d->shape.cpu / (double)NODE_UNIT, need,
             (double)d->best_cpu / NODE_UNIT, best);
}

/* Tasks that ask for what no rank has: say so after a second, fail them when the limit is reached. */
static int watch_unschedulable(leases_t *l, demand_t *d, uint64_t now_ns)
{
    if (d->n_queued == 0 || d->waiting_ns == 0 || d->asking || d->capacity > 0) return 0;
    char why[320], text[BASE_ERROR_MAX];
    uint64_t waited = now_ns > d->waiting_ns ? now_ns - d->waiting_ns : 0;
    describe(l, d, why, sizeof why);
    if (waited < l->limit_ns) {
        if (waited >= WARN_NS && !d->warned)
            log_warn("%u tasks wait for resources that no rank has: %s; they fail after %g s (MRAY_UNSCHEDULABLE_TIMEOUT)", d->n_queued, why,
                     (double)l->limit_ns * 1e-9);
        d->warned |= waited >= WARN_NS;
        return 0;
    }
    int n = 0;
    for (rid_t rid; (rid = demand_pop(d, l->agent->ep)) != 0; n++) {
        record_t *rec = record_at(l->agent->ep, rid);
        const mray_function *f = functions_at(rec->fn);
        snprintf(text, sizeof text, "task '%s' cannot be scheduled: %s. Ask for less, give a rank that resource (MRAY_RESOURCES, mray_init_opts) or start more "
                 "workers a rank", f != NULL ? f->name : "?", why);
        run_fail(l->agent->ep, rid, rec, MRAY_ERR_TASK_UNSCHEDULABLE, text);
    }
    d->waiting_ns = 0;
    d->warned = false;
    give_back(l, d);
    return n;
}

static void return_unused(leases_t *l, demand_t *d, uint64_t now_ns)
{
    if (d->asked == 0 || d->asking || d->n_queued > 0) return;
    bool used = d->outstanding > 0 || d->used_ns == 0;
    if (d->plain) used |= atomic_exchange(&header(l)->lease_used, 0) != 0 || look_at_workers(l, d).busy;
    if (used)
        d->used_ns = now_ns;
    else if (now_ns - d->used_ns >= UNUSED_NS)
        give_back(l, d);
}

int leases_round(leases_t *l)
{
    int n = 0;
    bool any = false;
    l->stuck = false;
    for (unsigned i = 0; i < l->demands.n; i++) {
        demand_t *d = l->demands.items[i];
        any |= d->asked != 0;
        if (d->n_queued == 0 && !d->fresh) continue;
        d->fresh = false;
        n += pump(l, d);
        if (d->n_queued > 0) n += watch_unschedulable(l, d, base_clock_ns());
        l->stuck |= d->n_queued > 0 && d->plain && d->granted > 0;
    }
    if (l->stuck) crew_want_worker(l->agent->crew);
    if (!any) return n;
    demand_t *plain = l->demands.items[0];
    n += balance_plain(l, plain);
    uint64_t now_ns = base_clock_ns();
    if (l->listen_ns != 0 && now_ns >= l->listen_ns) listen_again(l, plain);
    if (l->agent->node->multi_node) n += recall_round(&l->recall, l->agent, plain, now_ns);
    if (now_ns < l->look_ns) return n;
    l->look_ns = now_ns + LOOK_NS;
    for (unsigned i = 0; i < l->demands.n; i++) return_unused(l, l->demands.items[i], now_ns);
    return n;
}

uint64_t leases_nap_ns(const leases_t *l)
{
    if (l->stuck) return NO_WORKER_NAP_NS;
    uint64_t nap = recall_nap_ns(&l->recall);
    for (unsigned i = 0; i < l->demands.n; i++) {
        const demand_t *d = l->demands.items[i];
        if (d->asked != 0 && nap > LOOK_NS) nap = LOOK_NS;
        if (d->n_queued > 0 && d->capacity == 0 && !d->asking && nap > LOOK_NS / 10) nap = LOOK_NS / 10;
    }
    return l->listen_ns != 0 && nap > LISTEN_AGAIN_NS ? LISTEN_AGAIN_NS : nap;
}

void leases_set_limit(leases_t *l, uint64_t unschedulable_ns)
{
    l->limit_ns = unschedulable_ns;
}

static void on_name(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    node_resource_t named;
    (void)src_rank, (void)bytes;
    memcpy(&named, body, sizeof named);
    demand_note_name(&agent->leases->demands, named.hash, named.name);
}

int leases_create(agent_t *agent, leases_t **leases_p)
{
    leases_t *l = calloc(1, sizeof *l);
    static const node_shape_t plain = {.cpu = NODE_UNIT};
    if (l == NULL || demand_of(&l->demands, &plain, true, AHEAD_PLAIN) == NULL) {
        free(l);
        return base_error(MRAY_ERR_OUT_OF_MEMORY, "cannot allocate the table of leases");
    }
    l->agent = agent;
    agent_register(agent, CONTROL_LEASE_GRANT, on_grant);
    agent_register(agent, CONTROL_TASK_STATE, on_task_state);
    agent_register(agent, CONTROL_TASK_WAITS, on_task_waits);
    agent_register(agent, CONTROL_RESOURCE_NAME, on_name);
    recall_register(agent);
    *leases_p = l;
    return MRAY_OK;
}

void leases_destroy(leases_t *l)
{
    if (l == NULL) return;
    demand_list_fini(&l->demands);
    free(l);
}
