/* worker.c: take, run, idle; block and unblock. */
#include "worker.h"

#include "balance.h"
#include "control.h"
#include "futex.h"
#include "leases.h"
#include "log.h"
#include "route.h"
#include "run.h"
#include "runq.h"

#include <sched.h>

enum {
    SPIN_TURNS = 4000,  /* some 40 us of looking at the inbox before sleeping, where a core is free for it */
    YIELD_TURNS = 16,   /* what a yield takes */
    HAND_ON_AT_A_TIME = 32,
};

int worker_count(const seg_header_t *h)
{
    return ep_mask_count(h->worker_mask);
}

int worker_count_idle(const seg_header_t *h)
{
    int n = 0;
    for (int w = 0; w < SEG_MASK_WORDS; w++)
        n += base_count_bits(atomic_load_explicit(&h->worker_mask[w], memory_order_relaxed) & atomic_load_explicit(&h->idle_mask[w], memory_order_relaxed));
    return n;
}

/* Something about a task with a shape has changed (exec/shapes.c). */
static void tell_agent(ep_t *ep)
{
    atomic_fetch_add(&ep->seg->hdr->shape_news, 1);
    ep_wake(ep_shared_at(ep->node, ep_gid(ep->node->node_rank, SEG_EP_AGENT)));
}

/* The task blocks (by = -1) or goes on (1). Where resources or room elsewhere hang on that, agents are told. */
static void tell_waiting(ep_t *ep, int by)
{
    const run_context_t *c = run_current;
    while (c != NULL && c->outer != NULL) c = c->outer;
    if (c == NULL || c->rec->kind != RECORD_TASK) return;
    leases_waits_t body = {.rank = (int32_t)c->rec->seq, .at = ep->node->rank_of[c->rid >> 24], .by = by}; /* it was received into that rank's pool */
    if (c->rec->shape != 0)
        tell_agent(ep);
    else if (c->rec->actor == RECORD_HERE && route_control(ep, ep_gid(ep->node->node_rank, SEG_EP_AGENT), CONTROL_TASK_WAITS, &body, sizeof body) != MRAY_OK)
        log_debug("no record is free to say that a task blocks");
}

void worker_join(ep_t *ep)
{
    seg_header_t *h = ep->seg->hdr;
    bool needed = worker_count(h) < (int)atomic_load(&h->n_workers);
    ep_mask_set(needed ? h->worker_mask : h->spare_mask, ep->gid);
    if (!needed && atomic_load(&h->shape_watch) != 0) tell_agent(ep);
}

/* One rank may run too many after a worker went on: the one that notices stands by. */
static void stand_by_if_too_many(ep_t *ep)
{
    seg_header_t *h = ep->seg->hdr;
    if (!ep_mask_has(h->worker_mask, ep->gid)) {
        if (!ep_mask_has(h->spare_mask, ep->gid)) worker_join(ep);
    } else if (worker_count(h) > (int)atomic_load(&h->n_workers)) {
        ep_mask_clear(h->worker_mask, ep->gid);
        worker_join(ep); /* another may have left at the same time: then this one is needed again */
        if (!ep_mask_has(h->worker_mask, ep->gid)) worker_hand_on(ep);
    }
}

void worker_hand_on(ep_t *ep)
{
    rid_t rids[HAND_ON_AT_A_TIME];
    unsigned n;
    /* Another that blocks may call this one back meanwhile; then its queue is its own again, and comes back to it. */
    while (!ep_mask_has(ep->seg->hdr->worker_mask, ep->gid) && (n = runq_take(ep, ep->sh, ep->gid, HAND_ON_AT_A_TIME, rids)) > 0)
        for (unsigned i = 0; i < n; i++) route_requeue(ep, rids[i]);
}

/* This rank's agent keeps tasks for which it found no worker: now there is one. */
static void ask_for_backlog(ep_t *ep)
{
    if (atomic_load(&ep->seg->hdr->backlog) != 0) ep_wake(ep_shared_at(ep->node, ep_gid(ep->node->node_rank, SEG_EP_AGENT)));
}

/* A spare worker of this rank joins; false when there is none. */
static bool wake_a_spare(ep_t *ep)
{
    seg_header_t *h = ep->seg->hdr;
    for (uint16_t gid = ep_gid(ep->node->node_rank, 0); (gid = ep_mask_next(h->spare_mask, gid)) != 0;) {
        if (!ep_mask_take(h->spare_mask, gid)) continue;
        ep_mask_set(h->worker_mask, gid);
        ep_mask_set(h->idle_mask, gid); /* it sleeps; the first push wakes it */
        /* It may have died and been recovered before its bit was set here, or have blocked in a shaped task: then the bit would stand for nobody.
         * Either it is taken back here, or the other took it as it blocked, and called a replacement. If another has a dead one's endpoint by
         * now, it has become a worker. crew.c looks after bits that a caller killed here leaves. */
        if (atomic_load(&ep_shared_at(ep->node, gid)->state) != EP_RUNNING && ep_mask_take(h->worker_mask, gid)) continue;
        ask_for_backlog(ep);
        return true;
    }
    return false;
}

void worker_block(ep_t *ep)
{
    seg_header_t *h = ep->seg->hdr;
    atomic_store(&ep->sh->state, EP_BLOCKED);
    bool ran = ep_mask_take(h->worker_mask, ep->gid); /* after the state: wake_a_spare() sets the bit before it looks at the state */
    ep_mask_clear(h->spare_mask, ep->gid);
    tell_waiting(ep, -1);
    if (ran && !wake_a_spare(ep)) (void)route_control(ep, ep_gid(ep->node->node_rank, SEG_EP_AGENT), CONTROL_SPAWN, NULL, 0);
    worker_hand_on(ep);
}

void worker_unblock(ep_t *ep)
{
    atomic_store(&ep->sh->state, EP_RUNNING);
    tell_waiting(ep, 1);
}

/* Some other worker of the node has work that has not begun: the agent may move it here; at once, if there is a CPU for this one. */
static void ask_for_balance(ep_t *ep)
{
    const node_t *node = ep->node;
    for (int p = 0; p < node->n_node_ranks; p++) {
        for (uint16_t gid = ep_gid(p, 0); (gid = ep_mask_next(node->segs[p].hdr->worker_mask, gid)) != 0;) {
            if (gid == ep->gid || runq_depth(ep_shared_at(node, gid)) == 0) continue;
            if (!route_has_cpu(node, ep->gid))
                route_tell_packed(node);
            else
                balance_ask(ep);
            return;
        }
    }
}

static bool has_work(const ep_t *ep)
{
    return !ep_inbox_empty(ep->sh) || atomic_load_explicit(&ep->sh->n_queued, memory_order_relaxed) > 0 ||
           atomic_load_explicit(&ep->seg->hdr->stop, memory_order_relaxed) != 0;
}

static void spin(const ep_t *ep)
{
    bool yields = ep->node->multi_node; /* agents poll there, perhaps on this core: those of another "host" of this machine are not seen here */
    for (int i = 0; i < SPIN_TURNS && !has_work(ep); i += yields ? YIELD_TURNS : 1) {
        if (yields)
            sched_yield();
        else
            base_cpu_relax();
    }
}

static void idle(ep_t *ep)
{
    seg_header_t *h = ep->seg->hdr;
    if (ep->trace != NULL) trace_rest(ep->trace);
    ep_mask_set(h->idle_mask, ep->gid);
    /* Made a worker in its predecessor's place while it joined as a spare one: it is one worker, not two. */
    if (ep_mask_has(h->worker_mask, ep->gid) && ep_mask_has(h->spare_mask, ep->gid)) ep_mask_clear(h->spare_mask, ep->gid);
    if (ep_may_spin(ep)) spin(ep);
    if (!has_work(ep)) {
        ask_for_backlog(ep);
        ask_for_balance(ep);
        ep_sleep_prepare(ep);
        /* Who took the bit for a task may have lost that to an agent, which moved it on. Asleep without it, this worker would be passed over. */
        if (!ep_mask_has(h->idle_mask, ep->gid)) ep_mask_set(h->idle_mask, ep->gid);
        if (has_work(ep))
            ep_sleep_cancel(ep);
        else
            ep_sleep(ep, UINT64_MAX);
    }
    ep_mask_clear(h->idle_mask, ep->gid);
}

/* A call meant for an actor that had this endpoint before, and a task for a worker that had an actor's, go where they belong. */
void worker_pass_on(ep_t *ep, rid_t rid)
{
    record_t *rec = record_at(ep, rid);
    uint64_t word = atomic_load_explicit(&rec->word, memory_order_relaxed);
    atomic_store_explicit(&rec->word, record_word(RECORD_MOVING, ep->gid, record_word_gen(word)), memory_order_release);
    route_requeue(ep, rid);
}

static void worker_run(ep_t *ep, rid_t rid)
{
    record_t *rec = record_at(ep, rid);
    if (rec->kind == RECORD_TASK)
        (void)run_record(ep, rid, rec, NULL);
    else
        worker_pass_on(ep, rid);
}

void worker_serve(ep_t *ep)
{
    seg_header_t *h = ep->seg->hdr;
    worker_join(ep);
    while (atomic_load_explicit(&h->stop, memory_order_acquire) == 0) {
        rid_t rid = runq_next(ep);
        if (rid == 0) {
            idle(ep);
            continue;
        }
        bool shaped = record_at(ep, rid)->shape != 0;
        worker_run(ep, rid);
        if (shaped) tell_agent(ep);
        stand_by_if_too_many(ep);
    }
    ep_mask_clear(h->worker_mask, ep->gid);
    ep_mask_clear(h->spare_mask, ep->gid);
}
