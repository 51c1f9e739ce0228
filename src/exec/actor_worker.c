/* actor_worker.c: constructor, then calls, each caller's in the order in which they were made.
 *
 *   NEW --constructor--> READY --stop, kill, session's end--> (on_stop) --> inbox closed, what is left fails --> the worker ends
 *    '---- constructor failed ---------------------------------------------^
 *
 * Calls come through the endpoint's run queue like tasks. A caller numbers its calls from 0; one that comes early, because an earlier one's
 * arguments are late or the constructor has not run, is kept back (RUNNING by this endpoint, so that its agent fails it if the
 * actor dies). All of this is private memory of the worker: with its process the actor's state and the order are gone as well. */
#include "actor_worker.h"

#include "actors.h"
#include "error.h"
#include "functions.h"
#include "futex.h"
#include "log.h"
#include "map.h"
#include "object.h"
#include "route.h"
#include "run.h"
#include "runq.h"
#include "submit.h"
#include "worker.h"

#include <mray/actor.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SPIN_TURNS = 4000 };

typedef struct {
    ep_t *ep;
    uint32_t id;
    const mray_actor_class *cls; /* once the constructor was called */
    void *state;
    bool ready; /* the constructor has run */
    bool ends;
    bool gracefully;  /* with on_stop */
    char reason[480]; /* why it ends */
    base_map_t next;  /* caller -> number of its next call */
    base_map_t held;  /* caller, number -> rid kept back */
} actor_t;

static void end(actor_t *a, bool gracefully, const char *reason)
{
    if (a->ends) return;
    a->ends = true;
    a->gracefully = gracefully;
    snprintf(a->reason, sizeof a->reason, "%s", reason);
}

static bool is_to_end(actor_t *a)
{
    uint32_t why = atomic_load_explicit(&a->ep->sh->actor_end, memory_order_acquire);
    if (why != ACTOR_END_NONE) {
        char reason[128];
        snprintf(reason, sizeof reason, "its worker %s", actors_end_text(why));
        end(a, false, reason);
    }
    return a->ends;
}

static void fail_call(actor_t *a, rid_t rid)
{
    record_t *rec = record_at(a->ep, rid);
    const mray_function *f = functions_at(rec->fn);
    char text[BASE_ERROR_MAX];
    snprintf(text, sizeof text, "the actor%s%s died before '%s' (rank %d): %.380s", a->cls != NULL ? " " : "", a->cls != NULL ? a->cls->construct.name : "",
             f != NULL ? f->name : "mray_actor_stop", a->ep->node->rank, a->reason);
    run_fail(a->ep, rid, rec, MRAY_ERR_ACTOR_DIED, text);
}

static void run_call(actor_t *a, rid_t rid)
{
    record_t *rec = record_at(a->ep, rid);
    if (is_to_end(a)) {
        fail_call(a, rid);
    } else if (rec->fn == ACTOR_FN_STOP) {
        end(a, true, "it was ended by mray_actor_stop()");
        fail_call(a, rid); /* nobody has its ref */
    } else {
        (void)run_record(a->ep, rid, rec, a->state);
    }
}

/* ---- order ---- */

static base_key_t caller_key(const ep_t *ep, const record_t *rec)
{
    return base_key64((uint64_t)record_tail(ep, rec).caller_rank << 32 | rec->caller);
}

/* Calls that were kept back and whose turn it is. */
static void run_held(actor_t *a, uint64_t caller, uint64_t *next)
{
    uint64_t rid;
    while (a->held.n_entries > 0 && base_map_remove(&a->held, base_key128(caller, *next), &rid)) {
        ++*next;
        run_call(a, (rid_t)rid);
    }
}

static void take_call(actor_t *a, rid_t rid, record_t *rec)
{
    base_key_t key = caller_key(a->ep, rec);
    uint64_t *next = base_map_find(&a->next, key);
    int status = MRAY_OK;
    if (next == NULL) {
        status = base_map_put(&a->next, key, 0);
        next = status == MRAY_OK ? base_map_find(&a->next, key) : NULL;
    }
    if (status == MRAY_OK && (!a->ready || rec->seq > *next)) {
        status = base_map_put(&a->held, base_key128(key.lo, rec->seq), rid);
        if (status == MRAY_OK) return;
    }
    if (status != MRAY_OK) {
        end(a, false, "no memory for another caller or waiting call");
        fail_call(a, rid);
        return;
    }
    if (rec->seq == *next) ++*next;
    run_call(a, rid);
    run_held(a, key.lo, next);
}

static void run_all_held(actor_t *a)
{
    base_map_entry_t entry;
    /* Nothing is put into either map by running calls, so pointers and cursor stay good. */
    for (size_t cursor = 0; base_map_next(&a->next, &cursor, &entry);) run_held(a, entry.key.lo, base_map_find(&a->next, entry.key));
}

/* ---- constructor ---- */

static void construct(actor_t *a, rid_t rid, record_t *rec)
{
    ep_t *ep = a->ep;
    const mray_function *f = functions_at(rec->fn);
    if (a->cls != NULL || f == NULL || is_to_end(a)) {
        end(a, false, "its maker died while it made it");
        fail_call(a, rid);
        return;
    }
    a->cls = (const mray_actor_class *)(const void *)f; /* its first member */
    a->state = calloc(1, a->cls->state_size > 0 ? a->cls->state_size : 1);
    sid_t ret = run_return_slot(ep, rec);
    if (a->state == NULL) {
        end(a, false, "no memory for its state");
        fail_call(a, rid);
        return;
    }
    /* The result is held for its error sentence: the maker does not keep the ref. */
    bool held = slot_hold_own(ep, ret);
    if (run_record(ep, rid, rec, a->state) != MRAY_OK) {
        char reason[BASE_ERROR_MAX];
        mray_view view;
        if (!held || object_look(ep, slot_at(ep, ret), &view) == MRAY_OK) base_error_set("no sentence");
        snprintf(reason, sizeof reason, "its constructor failed: %.430s", mray_error_message());
        log_warn("an actor of class '%s' was not made: %.430s", f->name, mray_error_message());
        end(a, false, reason);
    }
    if (held) (void)slot_drop_own(ep, ret);
    if (a->ends) return;
    if (ep->trace != NULL) trace_rest(ep->trace);
    if (a->cls->on_start != NULL) a->cls->on_start(a->state);
    a->ready = true;
    run_all_held(a);
}

static void take(actor_t *a, rid_t rid)
{
    record_t *rec = record_at(a->ep, rid);
    if ((rec->kind != RECORD_METHOD && rec->kind != RECORD_ACTOR) || rec->actor != a->id)
        worker_pass_on(a->ep, rid); /* for an earlier user of this endpoint */
    else if (rec->kind == RECORD_ACTOR)
        construct(a, rid, rec);
    else
        take_call(a, rid, rec);
}

/* ---- the end ---- */

static void say_it_ends(actor_t *a)
{
    ep_t *ep = a->ep;
    actors_gone_t gone;
    memset(&gone, 0, sizeof gone);
    gone.rank = (uint32_t)ep->node->rank;
    gone.id = a->id;
    gone.maker = actors_maker(ep->sh, ep->node->rank, ep->gid);
    snprintf(gone.reason, sizeof gone.reason, "%s", a->reason);
    uint64_t deadline = 0;
    while (route_control(ep, ep_gid(ep->node->node_rank, SEG_EP_AGENT), CONTROL_ACTOR_ENDS, &gone, sizeof gone) != MRAY_OK)
        if (!submit_wait_for_room(ep, &deadline)) {
            log_error("the end of an actor cannot be told: no record is free");
            return;
        }
}

/* Everything that stands here fails; afterwards pushes fail. */
static void close_inbox(actor_t *a)
{
    ep_t *ep = a->ep;
    base_map_entry_t entry;
    for (size_t cursor = 0; base_map_next(&a->held, &cursor, &entry);) fail_call(a, (rid_t)entry.value);
    for (;;) {
        rid_t rid;
        uint32_t empty = 0;
        while ((rid = runq_next(ep)) != 0) {
            record_t *rec = record_at(ep, rid);
            if ((rec->kind == RECORD_METHOD || rec->kind == RECORD_ACTOR) && rec->actor == a->id)
                fail_call(a, rid);
            else
                worker_pass_on(ep, rid);
        }
        if (atomic_compare_exchange_strong(&ep->sh->inbox, &empty, INBOX_CLOSED)) return;
    }
}

static bool has_work(const ep_t *ep)
{
    return !ep_inbox_empty(ep->sh) || atomic_load_explicit(&ep->sh->n_queued, memory_order_relaxed) > 0 ||
           atomic_load_explicit(&ep->sh->actor_end, memory_order_relaxed) != ACTOR_END_NONE ||
           atomic_load_explicit(&ep->seg->hdr->stop, memory_order_relaxed) != 0;
}

static void idle(ep_t *ep)
{
    if (ep->trace != NULL) trace_rest(ep->trace);
    bool spin = ep_may_spin(ep);
    for (int i = 0; spin && i < SPIN_TURNS && !has_work(ep); i++) base_cpu_relax();
    if (has_work(ep)) return;
    ep_sleep_prepare(ep);
    if (has_work(ep))
        ep_sleep_cancel(ep);
    else
        ep_sleep(ep, UINT64_MAX);
}

void actor_worker_serve(ep_t *ep)
{
    actor_t actor = {.ep = ep, .id = atomic_load(&ep->sh->actor)}, *a = &actor;
    const seg_header_t *h = ep->seg->hdr;
    bool session_ends;
    while (!(session_ends = atomic_load_explicit(&h->stop, memory_order_acquire) != 0) && !is_to_end(a)) {
        rid_t rid = runq_next(ep);
        if (rid != 0)
            take(a, rid);
        else
            idle(ep);
    }
    if (session_ends) end(a, true, "the session ended");
    if (a->gracefully && a->ready && a->cls->on_stop != NULL) a->cls->on_stop(a->state);
    if (!session_ends) {
        say_it_ends(a);
        close_inbox(a);
        uint32_t id = a->id; /* if the agent has not done so: in a thread, the endpoint may be another's from now on */
        atomic_compare_exchange_strong(&ep->sh->actor, &id, 0);
    }
    base_map_fini(&a->next);
    base_map_fini(&a->held);
    free(a->state);
}
