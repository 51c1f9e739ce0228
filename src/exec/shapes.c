/* shapes.c: ledger, admission, runners. */
#include "shapes.h"

#include "array.h"
#include "clock.h"
#include "crew.h"
#include "error.h"
#include "leases.h"
#include "log.h"
#include "map.h"
#include "route.h"
#include "run.h"
#include "runq.h"
#include "worker.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_RUNNING = 64 }; /* shaped tasks of one rank that run, those blocked in a get not counted */
static const uint64_t ALL_TAKEN_NS = 100000000, REST_NS = 5000000, NAP_NS = 1000000;

typedef struct queue {
    struct queue *next;
    node_shape_t shape;
    rid_t head, tail;
    uint64_t since; /* turn at which the head became the head */
} queue_t;

typedef struct {
    rid_t rid;
    uint32_t gen;
    uint16_t gid; /* who runs it */
    bool blocked; /* in a get: its CPUs are given back */
    bool far;     /* another node sent it, and learns of its end by its results */
    int sender;   /* rank */
    node_shape_t shape;
} running_t;

struct shapes {
    agent_t *agent;
    node_hello_t has;
    uint64_t cpu_total, cpu_used; /* used may be above total for a while, when a blocked task goes on */
    uint64_t used[NODE_MAX_RESOURCES];
    queue_t *queues;
    uint64_t turn;
    running_t *running;
    unsigned n_running, cap_running, n_blocked;
    _Atomic uint32_t news_seen; /* read without the agent's lock before a sleep */
    uint32_t deaths_seen;
    uint64_t taken_ns; /* since when every CPU is taken; 0 = not */
    uint64_t rest_ns;  /* no CPUs for shaped tasks until then */
    base_map_t senders; /* rid -> rank, of tasks of other nodes */
    bool waits;        /* for a spare worker, or for one to leave the mask */
};

static seg_header_t *header(const shapes_t *s)
{
    return s->agent->ep->seg->hdr;
}

/* ---- the ledger ---- */

static int resource_index(const shapes_t *s, uint32_t hash)
{
    for (int i = 0; i < s->has.n_resources; i++)
        if (s->has.resources[i].hash == hash) return i;
    return -1;
}

static bool has_resource(const shapes_t *s, const node_shape_t *shape)
{
    int i = shape->resource != 0 ? resource_index(s, shape->resource) : -1;
    return shape->resource == 0 || (i >= 0 && s->used[i] + shape->amount <= s->has.resources[i].total);
}

/* CPUs taken leave that many workers in the mask. */
static uint32_t workers_beside(const shapes_t *s, uint64_t cpu_used)
{
    uint64_t taken = (cpu_used + NODE_UNIT - 1) / NODE_UNIT, all = s->cpu_total / NODE_UNIT;
    return (uint32_t)(taken < all ? all - taken : 0);
}

static void set_workers(shapes_t *s, uint64_t cpu_used)
{
    uint32_t n = workers_beside(s, cpu_used);
    atomic_store(&header(s)->n_workers, n);
    if (n > 0 || cpu_used == 0) {
        if (s->taken_ns != 0 && base_clock_ns() - s->taken_ns > ALL_TAKEN_NS) s->rest_ns = base_clock_ns() + REST_NS;
        s->taken_ns = 0;
    } else if (s->taken_ns == 0) {
        s->taken_ns = base_clock_ns();
    }
}

static void take_cpu(shapes_t *s, const node_shape_t *shape)
{
    s->cpu_used += shape->cpu;
}

static void give_cpu(shapes_t *s, const node_shape_t *shape)
{
    s->cpu_used -= shape->cpu;
}

/* What an entry of the running list holds, exactly once: the entry goes with it. */
static void release(shapes_t *s, unsigned i)
{
    running_t *r = &s->running[i];
    int resource = r->shape.resource != 0 ? resource_index(s, r->shape.resource) : -1;
    if (resource >= 0) s->used[resource] -= r->shape.amount;
    if (!r->blocked)
        give_cpu(s, &r->shape);
    else
        s->n_blocked--;
    *r = s->running[--s->n_running];
}

/* ---- what became of those that run ---- */

/* That one died, and comes back. */
static void note_death(shapes_t *s, unsigned i)
{
    running_t died = s->running[i];
    release(s, i);
    if (died.blocked) leases_tell_sender(s->agent->leases, died.sender, &died.shape, 1);
}

static void note_end(shapes_t *s, unsigned i)
{
    running_t over = s->running[i];
    release(s, i);
    /* One that died while it blocked was counted as it blocked. */
    if (!over.far && !over.blocked) leases_tell_sender(s->agent->leases, over.sender, &over.shape, -1);
    if (over.far && over.blocked) leases_tell_sender(s->agent->leases, over.sender, &over.shape, 1); /* its result counts once more */
}

/* ---- workers ---- */

static bool does_nothing(const ep_shared_t *sh)
{
    return atomic_load(&sh->current) == 0 && runq_depth(sh) == 0;
}

/* A bit of a mask of this rank's workers whose worker does nothing, taken; 0: none. */
static uint16_t take_bit(const shapes_t *s, _Atomic uint64_t *mask)
{
    const node_t *node = s->agent->node;
    for (uint16_t gid = ep_gid(node->node_rank, 0); (gid = ep_mask_next(mask, gid)) != 0;)
        if (does_nothing(ep_shared_at(node, gid)) && ep_mask_take(mask, gid)) return gid;
    return 0;
}

/* Idle workers above the number wanted become spare. A task pushed to one meanwhile is run by it all the same. */
static void withdraw_idle(shapes_t *s)
{
    seg_header_t *h = header(s);
    while (worker_count(h) > (int)atomic_load(&h->n_workers)) {
        uint16_t gid = take_bit(s, h->worker_mask);
        if (gid == 0) return;
        ep_mask_clear(h->idle_mask, gid);
        ep_mask_set(h->spare_mask, gid);
    }
}

/* Spare workers fill the mask up; without one another is made, since a worker that blocked while fewer were wanted was not replaced. */
static void fill_mask(shapes_t *s)
{
    seg_header_t *h = header(s);
    while (worker_count(h) < (int)atomic_load(&h->n_workers)) {
        uint16_t gid = take_bit(s, h->spare_mask);
        if (gid == 0) {
            crew_want_worker(s->agent->crew);
            return;
        }
        ep_mask_set(h->worker_mask, gid);
        ep_mask_set(h->idle_mask, gid);
    }
}

/* ---- admission ---- */

static queue_t *queue_of(shapes_t *s, const node_shape_t *shape)
{
    queue_t *free_one = NULL;
    for (queue_t *q = s->queues; q != NULL; q = q->next) {
        if (memcmp(&q->shape, shape, sizeof *shape) == 0) return q;
        if (q->head == 0) free_one = q;
    }
    if (free_one == NULL) {
        free_one = calloc(1, sizeof *free_one);
        if (free_one == NULL) return NULL;
        free_one->next = s->queues;
        s->queues = free_one;
    }
    free_one->shape = *shape;
    return free_one;
}

void shapes_admit(shapes_t *s, rid_t rid, record_t *rec)
{
    node_shape_t shape = leases_shape_of(rec);
    queue_t *q = queue_of(s, &shape);
    if (q == NULL) {
        run_fail(s->agent->ep, rid, rec, MRAY_ERR_OUT_OF_MEMORY, "no memory to queue the task");
        return;
    }
    atomic_store_explicit(&rec->next, 0, memory_order_relaxed);
    if (q->head == 0) {
        q->head = rid;
        q->since = s->turn++;
    } else {
        atomic_store_explicit(&record_at(s->agent->ep, q->tail)->next, rid, memory_order_relaxed);
    }
    q->tail = rid;
}

static int find_running(const shapes_t *s, rid_t rid)
{
    for (unsigned i = 0; i < s->n_running; i++)
        if (s->running[i].rid == rid) return (int)i;
    return -1;
}

/* What an agent submitted came from another node. */
static bool is_far(const shapes_t *s, const record_t *rec)
{
    return rec->creator == ep_gid(s->agent->node->node_rank, SEG_EP_AGENT);
}

void shapes_note_sender(shapes_t *s, rid_t rid, int rank)
{
    /* Without memory the sender is not told when the task blocks. A record that is used again gets a new entry. */
    if (base_map_put(&s->senders, base_key64(rid), (uint64_t)rank) != MRAY_OK) log_debug("%s", mray_error_message());
}

void shapes_on_record(shapes_t *s, rid_t rid, record_t *rec)
{
    int i = find_running(s, rid);
    if (i >= 0 && record_word_gen(atomic_load(&rec->word)) == s->running[i].gen)
        note_death(s, (unsigned)i);
    else if (i >= 0)
        note_end(s, (unsigned)i); /* an earlier user of the record, which no scan has met since */
    if (rec->shape == RECORD_SHAPE_PLACED || is_far(s, rec)) {
        record_set(rec, shape, RECORD_SHAPE_PLACED);
        shapes_admit(s, rid, rec);
    } else {
        leases_on_task(s->agent->leases, rid, rec);
    }
}

/* The head of q runs; false: there is no worker for it yet. */
static bool start(shapes_t *s, queue_t *q)
{
    ep_t *ep = s->agent->ep;
    rid_t rid = q->head;
    record_t *rec = record_at(ep, rid);
    running_t *running = base_array_room(s->running, s->n_running, &s->cap_running, sizeof *running);
    if (running == NULL) return false;
    s->running = running;
    uint16_t gid = take_bit(s, header(s)->spare_mask);
    if (gid == 0) {
        crew_want_spare(s->agent->crew);
        return false;
    }
    q->head = atomic_load_explicit(&rec->next, memory_order_relaxed);
    q->since = s->turn++;
    int resource = q->shape.resource != 0 ? resource_index(s, q->shape.resource) : -1;
    if (resource >= 0) s->used[resource] += q->shape.amount;
    take_cpu(s, &q->shape);
    running_t r = {.rid = rid, .gen = record_word_gen(atomic_load(&rec->word)), .gid = gid, .far = is_far(s, rec), .shape = q->shape,
                   .sender = s->agent->node->rank_of[rid >> 24]};
    uint64_t sender;
    if (r.far && base_map_get(&s->senders, base_key64(rid), &sender)) r.sender = (int)sender;
    s->running[s->n_running++] = r;
    if (!route_push(ep, rid, rec, gid)) {
        release(s, s->n_running - 1); /* the worker is dead: the record comes back, or is queued here again */
        shapes_admit(s, rid, rec);
    }
    return true;
}

/* Whose turn it is: the oldest head that may start now. *wait_cpu_p: one that only lacks workers out of the mask. */
static queue_t *next_queue(shapes_t *s, queue_t **wait_cpu_p)
{
    queue_t *best = NULL, *oldest_wide = NULL;
    bool rests = s->rest_ns != 0 && base_clock_ns() < s->rest_ns;
    for (queue_t *q = s->queues; q != NULL; q = q->next) {
        if (q->head == 0 || !has_resource(s, &q->shape) || q->shape.cpu == 0) continue;
        if (oldest_wide == NULL || q->since < oldest_wide->since) oldest_wide = q;
    }
    for (queue_t *q = s->queues; q != NULL; q = q->next) {
        if (q->head == 0 || !has_resource(s, &q->shape)) continue;
        /* CPUs go to the oldest that wants any. */
        if (q->shape.cpu > 0 && (q != oldest_wide || rests || s->cpu_used + q->shape.cpu > s->cpu_total)) continue;
        if (best == NULL || q->since < best->since) best = q;
    }
    *wait_cpu_p = rests ? oldest_wide : NULL;
    return best;
}

static int admit_all(shapes_t *s)
{
    int n = 0;
    queue_t *q, *rests;
    s->waits = false;
    uint64_t reserved = s->cpu_used;
    while ((q = next_queue(s, &rests)) != NULL && s->n_running - s->n_blocked < MAX_RUNNING) {
        reserved = s->cpu_used + q->shape.cpu;
        set_workers(s, reserved);
        withdraw_idle(s);
        bool room = q->shape.cpu == 0 || worker_count(header(s)) <= (int)atomic_load(&header(s)->n_workers);
        if (!room || !start(s, q)) {
            s->waits = true;
            break;
        }
        n++;
        reserved = s->cpu_used;
    }
    s->waits |= rests != NULL;
    set_workers(s, s->waits ? reserved : s->cpu_used);
    atomic_store(&header(s)->shape_watch, s->waits ? 1 : 0);
    fill_mask(s);
    return n;
}

/* ---- rounds ---- */

static int scan(shapes_t *s)
{
    int n = 0;
    for (unsigned i = 0; i < s->n_running;) {
        running_t *r = &s->running[i];
        const record_t *rec = record_at(s->agent->ep, r->rid);
        uint64_t word = atomic_load(&rec->word);
        if (record_word_gen(word) != r->gen || record_word_state(word) == RECORD_FREE) {
            note_end(s, i);
            n++;
            continue;
        }
        bool blocked = atomic_load(&ep_shared_at(s->agent->node, r->gid)->state) == EP_BLOCKED;
        if (blocked != r->blocked) {
            blocked ? give_cpu(s, &r->shape) : take_cpu(s, &r->shape);
            s->n_blocked += blocked ? 1 : -1;
            r->blocked = blocked;
            leases_tell_sender(s->agent->leases, r->sender, &r->shape, blocked ? -1 : 1);
            n++;
        }
        i++;
    }
    return n;
}

static bool something_queued(const shapes_t *s)
{
    for (const queue_t *q = s->queues; q != NULL; q = q->next)
        if (q->head != 0) return true;
    return false;
}

bool shapes_has_news(const shapes_t *s)
{
    return atomic_load(&header(s)->shape_news) != s->news_seen;
}

int shapes_round(shapes_t *s)
{
    int n = 0;
    bool news = shapes_has_news(s);
    if (s->n_running == 0 && !news && s->queues == NULL) return 0;
    uint32_t deaths = crew_deaths(s->agent->crew);
    if (news || deaths != s->deaths_seen) {
        s->news_seen = atomic_load(&header(s)->shape_news);
        s->deaths_seen = deaths;
        n += scan(s);
    }
    if (n > 0 || news || s->waits || something_queued(s)) n += admit_all(s);
    return n;
}

uint64_t shapes_nap_ns(const shapes_t *s)
{
    return s->waits ? NAP_NS : BASE_FOREVER;
}

void shapes_set_resources(shapes_t *s, const node_hello_t *has)
{
    s->has = *has;
    s->cpu_total = (uint64_t)has->n_workers * NODE_UNIT;
}

int shapes_create(agent_t *agent, shapes_t **shapes_p)
{
    shapes_t *s = calloc(1, sizeof *s);
    if (s == NULL) return base_error(MRAY_ERR_OUT_OF_MEMORY, "cannot allocate the table of shapes");
    s->agent = agent;
    *shapes_p = s;
    return MRAY_OK;
}

void shapes_destroy(shapes_t *s)
{
    if (s == NULL) return;
    for (queue_t *q = s->queues, *next; q != NULL; q = next) {
        next = q->next;
        free(q);
    }
    base_map_fini(&s->senders);
    free(s->running);
    free(s);
}
