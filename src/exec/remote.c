/* remote.c: records and results between nodes. Under the agent's lock. */
#include "remote.h"

#include "actors.h"
#include "copies.h"
#include "drive.h"
#include "error.h"
#include "leases.h"
#include "log.h"
#include "lost.h"
#include "object.h"
#include "proxies.h"
#include "recall.h"
#include "request.h"
#include "route.h"
#include "run.h"
#include "runq.h"
#include "shapes.h"
#include "submit.h"
#include "wire.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A ref of another node that a worker of this rank retained: given back for it if it dies. */
typedef struct own_hold {
    mray_ref ref;
    uint32_t gid;
    struct own_hold *next;
} own_hold_t;

struct remote {
    agent_t *agent;
    own_hold_t *own_holds;
    unsigned *outstanding; /* by rank */
};

/* Body of a NOTIFY record, behind its one ref. */
typedef struct {
    int32_t rank;
    uint32_t type;
    mray_ref to;
    uint32_t rid, gen;
} notice_t;

unsigned remote_outstanding(const remote_t *remote, int rank)
{
    return remote->outstanding[rank];
}

/* This node's table of records is full: tasks here free them, and so do queues that let go of what was run inline. */
static void wait_for_records(ep_t *ep, unsigned turn)
{
    if ((turn & (turn - 1)) == 0 && turn >= 1024) (void)runq_purge(ep);
    sched_yield();
}

/* ---- sending a record away ---- */

/* Appends the value in slot sid if it is small enough; bytes taken. */
static uint32_t append_value(const ep_t *ep, sid_t sid, uint8_t *to, uint32_t room)
{
    wire_object_t image = {.status = MRAY_OK};
    const void *payload;
    const slot_t *slot = slot_at(ep, sid);
    if (slot->kind != SLOT_KIND_INLINE && slot->kind != SLOT_KIND_PAYLOAD) return 0; /* errors are rare; what is elsewhere is fetched from there */
    wire_describe(ep, sid, &image, &payload);
    bool small = slot->kind == SLOT_KIND_INLINE || (payload != NULL && image.n_more <= WIRE_MAX_ARG);
    uint32_t bytes = (uint32_t)sizeof image + (image.n_more + 7) / 8 * 8;
    if (!small || bytes > room) return 0;
    memcpy(to, &image, sizeof image);
    if (payload != NULL) memcpy(to + sizeof image, payload, image.n_more);
    return bytes;
}

void remote_forward(remote_t *remote, rid_t rid, int rank)
{
    agent_t *agent = remote->agent;
    ep_t *ep = agent->ep;
    record_t *rec = record_at(ep, rid);
    if (lost_is(agent, rank)) {
        char text[128];
        run_fail(ep, rid, rec, lost_error(text, sizeof text, rank), text);
        return;
    }
    uint8_t message[sizeof(wire_record_t) + RECORD_MAX_REFS * sizeof(mray_ref) + RECORD_MAX_BODY + WIRE_MAX_ARGS];
    sid_t sids[RECORD_MAX_REFS] = {0};
    uint32_t gen = record_word_gen(atomic_load(&rec->word));
    wire_record_t w = {.ret = rec->ret, .rid = rid, .gen = gen, .fn = rec->fn, .word = {rec->actor, rec->seq, rec->caller},
                       .n_returns = rec->n_returns, .body_bytes = rec->body_bytes, .by_value = rec->by_value, .ref_params = rec->ref_params,
                       .kind = rec->kind, .n_refs = rec->n_refs, .shape = rec->shape, .attempt = rec->attempt, .retries_left = rec->retries_left};
    uint32_t used = sizeof w;
    for (unsigned i = 0; i < rec->n_refs; i++) {
        mray_ref ref = record_ref(ep, rec, i)->ref, origin = {0};
        if (slot_find(ep, ref, &sids[i]) == MRAY_OK && sids[i] != 0) origin = copies_origin(ep, sids[i]);
        if (origin.slot != 0) ref = origin; /* what is a copy here is named by its original there */
        memcpy(message + used, &ref, sizeof ref);
        used += (uint32_t)sizeof ref;
    }
    record_read(ep, rec, 0, message + used, rec->body_bytes);
    used += rec->body_bytes;
    for (unsigned i = 0; i < rec->n_refs; i++) {
        uint32_t bytes = (rec->by_value >> i & 1) != 0 && sids[i] != 0 ? append_value(ep, sids[i], message + used, (uint32_t)sizeof message - used) : 0;
        if (bytes > 0) w.values |= (uint16_t)(1u << i);
        used += bytes;
    }
    memcpy(message, &w, sizeof w);
    atomic_store(&rec->pending, rec->n_returns); /* results to come */
    atomic_store(&rec->next, (uint32_t)rank);    /* in no list now: whom it was sent to; another rank of that node may run it and answer */
    atomic_store(&rec->word, record_word(RECORD_RUNNING, ep->gid, gen));
    remote->outstanding[rank]++;
    agent_send(agent, rank, CONTROL_RECORD, message, used);
}

/* ---- receiving one ---- */

static void notify_results(remote_t *remote, sid_t ret, int src_rank, const wire_record_t *w)
{
    for (uint32_t i = 0; i < w->n_returns; i++) {
        mray_ref to = w->ret;
        to.slot += i;
        remote_notify_when_ready(remote, ret + i, src_rank, CONTROL_RESULT, to, w->rid, w->gen);
    }
}

/* A value that came with the record: an object of its own that lives as long as the record. */
static const uint8_t *attach_value(ep_t *ep, rid_t rid, record_t *rec, unsigned i, const uint8_t *from)
{
    wire_object_t image;
    sid_t sid;
    memcpy(&image, from, sizeof image);
    while ((sid = slot_alloc(ep, 1)) == 0) sched_yield();
    (void)wire_stage(ep, sid, &image, from + sizeof image); /* true: all of it is here */
    object_publish(ep, sid);
    record_set_ref(ep, rec, i, slot_ref(ep, sid));
    slot_hold_for(ep, sid, rid, i);
    slot_change(ep, sid, RC_DROP_CREATOR);
    return from + sizeof image + (image.n_more + 7) / 8 * 8;
}

/* The arguments' slots: values that came along, own objects, or proxies. */
static void attach(remote_t *remote, rid_t rid, record_t *rec, const mray_ref *refs, uint16_t values, const uint8_t *value)
{
    ep_t *ep = remote->agent->ep;
    atomic_store(&rec->pending, RECORD_GUARD);
    for (unsigned i = 0; i < rec->n_refs; i++) {
        sid_t sid = 0;
        if ((values >> i & 1) != 0) {
            value = attach_value(ep, rid, rec, i, value);
            continue;
        }
        record_set_ref(ep, rec, i, refs[i]);
        bool by_value = (rec->by_value >> i & 1) != 0, here = ep->node->node_rank_of[refs[i].rank] >= 0;
        if (here && slot_find(ep, refs[i], &sid) != MRAY_OK) continue; /* released: the task fails when it looks */
        bool proxied = by_value && (!here || (slot_is_ready(slot_at(ep, sid)) && slot_at(ep, sid)->kind == SLOT_KIND_REMOTE));
        if (proxied) {
            while ((sid = proxies_get(remote->agent->proxies, refs[i])) == 0) {
                (void)proxies_round(remote->agent->proxies); /* in a handler, so without a poll */
                sched_yield();
            }
            record_set_ref(ep, rec, i, slot_ref(ep, sid));
        }
        if (sid == 0) continue;
        slot_hold_for(ep, sid, rid, i);
        if (proxied) slot_change(ep, sid, RC_DROP);
        if (!by_value) continue;
        atomic_fetch_or(&rec->pending, 1u << i);
        if (!slot_add_waiter(ep, sid, rid, i)) atomic_fetch_and(&rec->pending, ~(1u << i));
    }
    uint64_t word = atomic_load(&rec->word);
    atomic_store(&rec->word, record_word(RECORD_WAITING, ep->gid, record_word_gen(word)));
    if (atomic_fetch_and(&rec->pending, ~RECORD_GUARD) == RECORD_GUARD) route_ready(ep, rid);
}

static void on_record(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    wire_record_t w;
    mray_ref refs[RECORD_MAX_REFS];
    const uint8_t *p = body;
    ep_t *ep = agent->ep;
    (void)bytes;
    memcpy(&w, p, sizeof w);
    memcpy(refs, p + sizeof w, w.n_refs * sizeof refs[0]);
    p += sizeof w + w.n_refs * sizeof refs[0];
    sid_t ret;
    rid_t rid;
    record_t *rec;
    while ((ret = slot_alloc(ep, w.n_returns)) == 0) sched_yield(); /* this node's tables are full: tasks here free them */
    for (unsigned turn = 1; (rid = record_alloc(ep, w.n_refs, w.body_bytes, &rec)) == 0; turn++) wait_for_records(ep, turn);
    record_set(rec, fn, w.fn);
    record_set(rec, kind, w.kind);
    record_set(rec, shape, w.shape);
    record_set(rec, n_returns, w.n_returns);
    rec->retries_left = w.retries_left;
    rec->attempt = w.attempt;
    rec->by_value = w.by_value;
    rec->ref_params = w.ref_params;
    record_set(rec, actor, w.word[0]);
    rec->seq = w.word[1];
    if (w.kind == RECORD_TASK && w.shape == 0) {
        record_set(rec, actor, RECORD_HERE);
        rec->seq = (uint32_t)src_rank;
    } else if (w.kind == RECORD_TASK) {
        shapes_note_sender(agent->shapes, rid, src_rank);
    }
    rec->caller = w.word[2];
    record_set_ret(rec, slot_ref(ep, ret));
    for (uint32_t i = 0; i < w.n_returns; i++) slot_set_producer(slot_at(ep, ret + i), rid);
    record_write(ep, rec, 0, p, w.body_bytes);
    notify_results(agent->remote, ret, src_rank, &w);
    attach(agent->remote, rid, rec, refs, w.values, p + w.body_bytes);
}

/* ---- results on their way back ---- */

void remote_notify_when_ready(remote_t *remote, sid_t sid, int rank, control_type_t type, mray_ref to, rid_t for_rid, uint32_t gen)
{
    ep_t *ep = remote->agent->ep;
    notice_t notice = {.rank = rank, .type = type, .to = to, .rid = for_rid, .gen = gen};
    record_t *rec;
    rid_t rid;
    for (unsigned turn = 1; (rid = record_alloc(ep, 1, sizeof notice, &rec)) == 0; turn++) wait_for_records(ep, turn);
    record_set(rec, kind, RECORD_NOTIFY);
    rec->by_value = 1;
    record_set_ref(ep, rec, 0, slot_ref(ep, sid));
    record_write(ep, rec, 0, &notice, sizeof notice);
    slot_hold_for(ep, sid, rid, 0);
    uint64_t word = atomic_load(&rec->word);
    atomic_store(&rec->pending, 1);
    atomic_store(&rec->word, record_word(RECORD_WAITING, ep->gid, record_word_gen(word)));
    if (!slot_add_waiter(ep, sid, rid, 0)) {
        atomic_store(&rec->pending, 0);
        remote_on_notify(remote, rid, rec);
    }
}

void remote_on_notify(remote_t *remote, rid_t rid, record_t *rec)
{
    agent_t *agent = remote->agent;
    ep_t *ep = agent->ep;
    notice_t notice;
    sid_t sid;
    const void *payload;
    record_read(ep, rec, 0, &notice, sizeof notice);
    if (slot_find(ep, record_ref(ep, rec, 0)->ref, &sid) != MRAY_OK || sid == 0) {
        log_error("internal: a result to be sent to rank %d is gone", notice.rank);
        return;
    }
    wire_object_t image = {.to = notice.to, .rid = notice.rid, .gen = notice.gen};
    if (notice.type == CONTROL_READY) {
        wire_send_ready(agent, notice.rank, sid, &image);
        slot_drop_for(ep, sid, rid, 0);
        record_free(ep, rid, rec);
        return;
    }
    wire_describe(ep, sid, &image, &payload);
    bool stays = payload == NULL && image.kind == SLOT_KIND_PAYLOAD;
    if (stays) image.stash = slot_ref(ep, sid);
    wire_send_object(agent, notice.rank, (uint16_t)notice.type, &image, payload);
    if (!stays) slot_change(ep, sid, RC_DROP_CREATOR);
    slot_drop_for(ep, sid, rid, 0);
    record_free(ep, rid, rec);
}

static void stage_result(ep_t *ep, sid_t sid, const wire_object_t *image, const void *more)
{
    slot_t *slot = slot_at(ep, sid);
    if (wire_stage(ep, sid, image, more)) return;
    slot->u.where = (slot_where_t){.off = image->data_off, .rank = image->data_rank, .stash_rank = image->stash.rank, .stash_slot = image->stash.slot,
                                   .stash_gen = image->stash.gen};
    slot_set(slot, kind, SLOT_KIND_REMOTE);
    slot_set(slot, dtype, image->dtype);
    slot_set(slot, ndim, image->ndim);
    slot_set(slot, bytes, image->bytes);
}

/* All results of rec are here; or it was not begun there (then all of them say so), and is queued again. */
static void come_back(agent_t *agent, rid_t rid, record_t *rec, bool unstarted)
{
    ep_t *ep = agent->ep;
    sid_t sid;
    int rank = (int)atomic_load(&rec->next);
    agent->remote->outstanding[rank]--;
    if (rec->kind == RECORD_TASK) {
        node_shape_t shape = leases_shape_of(rec);
        leases_count(agent->leases, rank, &shape, -1);
    }
    if (unstarted) {
        if (rec->shape == 0) rec->seq = RECORD_RECALLED;
        atomic_store(&rec->word, record_word(RECORD_MOVING, ep->gid, record_word_gen(atomic_load(&rec->word))));
        leases_on_task(agent->leases, rid, rec);
        return;
    }
    for (unsigned i = 0; i < rec->n_refs; i++)
        if ((atomic_load(&rec->held) >> i & 1) != 0 && slot_find(ep, record_ref(ep, rec, i)->ref, &sid) == MRAY_OK && sid != 0)
            slot_drop_for(ep, sid, rid, i);
    record_free(ep, rid, rec);
}

static void on_result(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    ep_t *ep = agent->ep;
    wire_object_t image = {0};
    sid_t sid;
    memcpy(&image, body, bytes < sizeof image ? bytes : sizeof image);
    if (!wire_is_sound(&image, (const char *)body + sizeof image, bytes) || !wire_is_record(ep, image.rid)) {
        log_error("internal: rank %d sent a result that is none, in %u bytes", src_rank, bytes);
        return;
    }
    record_t *rec = record_at(ep, image.rid);
    uint64_t word = atomic_load(&rec->word);
    if (record_word_gen(word) != image.gen || record_word_state(word) != RECORD_RUNNING) {
        log_error("internal: rank %d sent a result that nobody waits for", src_rank);
        return;
    }
    bool unstarted = image.kind == SLOT_KIND_ERROR && (image.dtype | image.ndim << 8) == RECALL_UNSTARTED;
    /* Only the producer's hold keeps it now, if its refs were released. */
    if (!unstarted && slot_find(ep, image.to, &sid) == MRAY_OK && sid != 0) {
        stage_result(ep, sid, &image, (const char *)body + sizeof image);
        object_publish(ep, sid);
    }
    uint32_t left = atomic_load(&rec->pending) - 1;
    atomic_store(&rec->pending, left);
    if (left == 0) come_back(agent, image.rid, rec, unstarted);
}

/* The results of rec that have not come become the error. */
static void fail_rest(ep_t *ep, const record_t *rec, int rank)
{
    char text[128];
    int status = lost_error(text, sizeof text, rank);
    for (uint32_t i = 0; i < rec->n_returns; i++) {
        mray_ref ref = rec->ret;
        sid_t sid;
        ref.slot += i;
        if (slot_find(ep, ref, &sid) != MRAY_OK || sid == 0 || slot_is_ready(slot_at(ep, sid))) continue;
        object_stage_error(ep, sid, status, text);
        object_publish(ep, sid);
    }
}

void remote_rank_lost(remote_t *remote, int rank)
{
    agent_t *agent = remote->agent;
    ep_t *ep = agent->ep;
    for (int p = 0; p < ep->node->n_node_ranks; p++) {
        uint32_t high = pool_high_water(&ep->node->segs[p].hdr->records);
        for (uint32_t i = 1; i < high; i++) {
            rid_t rid = (rid_t)p << 24 | i;
            record_t *rec = record_at(ep, rid);
            uint64_t word = atomic_load(&rec->word);
            /* Only this agent has it, so nobody else changes it. */
            bool sent = record_word_state(word) == RECORD_RUNNING && record_word_gid(word) == ep->gid && rec->kind <= RECORD_ACTOR;
            if (!sent || atomic_load(&rec->next) != (uint32_t)rank) continue;
            bool again = rec->kind == RECORD_TASK && rec->retries_left != 0 && atomic_load(&rec->pending) == rec->n_returns;
            if (again) {
                rec->attempt++;
                if (rec->retries_left > 0) rec->retries_left--;
            } else {
                fail_rest(ep, rec, rank);
            }
            come_back(agent, rid, rec, again);
        }
    }
}

/* ---- arguments that stayed away ---- */

bool remote_localise(remote_t *remote, rid_t rid, record_t *rec)
{
    ep_t *ep = remote->agent->ep;
    bool any = false;
    for (unsigned i = 0; i < rec->n_refs; i++) {
        sid_t sid;
        record_ref_t *r = record_ref(ep, rec, i);
        if ((rec->by_value >> i & 1) == 0 || slot_find(ep, r->ref, &sid) != MRAY_OK || sid == 0 || slot_at(ep, sid)->kind != SLOT_KIND_REMOTE) continue;
        sid_t proxy = proxies_get(remote->agent->proxies, r->ref);
        if (proxy == 0) continue; /* no room: it fails when it looks, and is retried by nobody: rare, and said there */
        if (!any) {
            uint64_t word = atomic_load(&rec->word);
            atomic_store(&rec->pending, RECORD_GUARD);
            atomic_store(&rec->word, record_word(RECORD_WAITING, ep->gid, record_word_gen(word)));
        }
        any = true; /* the proxy's hold is the record's now */
        record_set_ref(ep, rec, i, slot_ref(ep, proxy));
        slot_change(ep, sid, RC_DROP); /* the record's hold moves from the object to the copy, which holds the object */
        atomic_fetch_or(&rec->pending, 1u << i);
        if (!slot_add_waiter(ep, proxy, rid, i)) atomic_fetch_and(&rec->pending, ~(1u << i));
    }
    if (any && atomic_fetch_and(&rec->pending, ~RECORD_GUARD) == RECORD_GUARD) route_ready(ep, rid);
    return any;
}

/* ---- holds ---- */

static void note_hold(remote_t *remote, uint32_t gid, mray_ref ref)
{
    own_hold_t *h = gid != 0 ? malloc(sizeof *h) : NULL;
    if (h == NULL) return; /* without memory a worker's death may leave the object held */
    *h = (own_hold_t){.ref = ref, .gid = gid, .next = remote->own_holds};
    remote->own_holds = h;
}

static void forget_hold(remote_t *remote, uint32_t gid, mray_ref ref)
{
    for (own_hold_t **link = &remote->own_holds; gid != 0 && *link != NULL; link = &(*link)->next) {
        own_hold_t *h = *link;
        if (h->gid != gid || memcmp(&h->ref, &ref, sizeof ref) != 0) continue;
        *link = h->next;
        free(h);
        return;
    }
}

void remote_on_death(remote_t *remote, uint16_t gid)
{
    for (own_hold_t **link = &remote->own_holds; *link != NULL;) {
        own_hold_t *h = *link;
        if (h->gid != gid) {
            link = &h->next;
            continue;
        }
        wire_hold_t hold = {.ref = h->ref};
        agent_send(remote->agent, (int)h->ref.rank, CONTROL_DROP, &hold, sizeof hold);
        *link = h->next;
        free(h);
    }
}

static void on_hold(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    wire_hold_t hold;
    sid_t sid = 0;
    (void)src_rank, (void)bytes;
    memcpy(&hold, body, sizeof hold);
    if (agent->node->node_rank_of[hold.ref.rank] < 0) { /* from an endpoint of this rank */
        agent_send(agent, (int)hold.ref.rank, CONTROL_HOLD, body, bytes);
        return;
    }
    int status = slot_find(agent->ep, hold.ref, &sid);
    if (status == MRAY_OK) slot_change(agent->ep, sid, RC_HOLD);
    if (hold.reply.slot != 0) request_answer(agent, hold.reply, status, NULL, NULL, 0);
}

static void on_drop(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    wire_hold_t hold;
    sid_t sid = 0;
    (void)src_rank;
    memcpy(&hold, body, sizeof hold);
    if (agent->node->node_rank_of[hold.ref.rank] < 0) {
        forget_hold(agent->remote, hold.gid, hold.ref);
        hold.gid = 0;
        agent_send(agent, (int)hold.ref.rank, CONTROL_DROP, &hold, bytes);
        if (hold.creator == 0) proxies_released(agent->proxies, hold.ref);
        return;
    }
    if (slot_find(agent->ep, hold.ref, &sid) != MRAY_OK || sid == 0) return;
    uint64_t rc = atomic_load(&slot_at(agent->ep, sid)->rc);
    if (hold.creator != 0 || (rc & SLOT_RC_COUNT) == 0)
        slot_change(agent->ep, sid, RC_DROP_CREATOR);
    else
        slot_change(agent->ep, sid, RC_DROP);
}

int submit_retain_remote(ep_t *ep, mray_ref ref, bool own)
{
    struct {
        mray_ref reply;
        wire_hold_t hold;
    } body;
    memset(&body, 0, sizeof body);
    body.hold.ref = ref;
    body.hold.gid = own && ep->mortal ? ep->gid : 0;
    return request_call(ep, CONTROL_RETAIN, &body, sizeof body, NULL, 0);
}

/* An endpoint of this rank asks: pass it on with its reply. */
static void on_retain(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    struct {
        mray_ref reply;
        wire_hold_t hold;
    } ask;
    (void)src_rank, (void)bytes;
    memcpy(&ask, body, sizeof ask);
    ask.hold.reply = ask.reply;
    if (lost_is(agent, (int)ask.hold.ref.rank)) {
        char text[128];
        request_answer(agent, ask.reply, lost_error(text, sizeof text, (int)ask.hold.ref.rank), text, NULL, 0);
        return;
    }
    note_hold(agent->remote, ask.hold.gid, ask.hold.ref);
    ask.hold.gid = 0;
    agent_send(agent, (int)ask.hold.ref.rank, CONTROL_HOLD, &ask.hold, sizeof ask.hold);
}

int submit_release_remote(ep_t *ep, mray_ref ref)
{
    wire_hold_t hold = {.ref = ref, .gid = ep->mortal ? ep->gid : 0};
    uint64_t deadline = 0;
    for (;;) {
        bool quiet = deadline == 0 && drive_before_quiet_push(ep); /* nobody waits for it; without room the agent is to be woken */
        int status = route_control(ep, ep_gid(ep->node->node_rank, SEG_EP_AGENT), CONTROL_DROP, &hold, sizeof hold);
        if (quiet) drive_after_quiet_push();
        if (status == MRAY_OK) return MRAY_OK;
        if (!submit_wait_for_room(ep, &deadline)) return base_error(MRAY_ERR_LIMIT, "mray_release: too many tasks are unfinished; wait for some");
    }
}

int remote_create(agent_t *agent, remote_t **remote_p)
{
    remote_t *remote = calloc(1, sizeof *remote);
    if (remote != NULL) remote->outstanding = calloc((size_t)agent->node->n_ranks, sizeof *remote->outstanding);
    if (remote == NULL || remote->outstanding == NULL) {
        remote_destroy(remote);
        return base_error(MRAY_ERR_OUT_OF_MEMORY, "cannot allocate the table of remote tasks");
    }
    remote->agent = agent;
    agent_register(agent, CONTROL_RECORD, on_record);
    agent_register(agent, CONTROL_RESULT, on_result);
    agent_register(agent, CONTROL_HOLD, on_hold);
    agent_register(agent, CONTROL_DROP, on_drop);
    agent_register(agent, CONTROL_RETAIN, on_retain);
    *remote_p = remote;
    return MRAY_OK;
}

void remote_destroy(remote_t *remote)
{
    if (remote == NULL) return;
    while (remote->own_holds != NULL) {
        own_hold_t *next = remote->own_holds->next;
        free(remote->own_holds);
        remote->own_holds = next;
    }
    free(remote->outstanding);
    free(remote);
}
