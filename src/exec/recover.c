/* recover.c: a worker was killed at some instruction; its agent makes the node whole again.
 *
 * The order matters:
 *   1. the inbox is closed, so that pushes go elsewhere; the bits in the rank's masks are cleared
 *   2. locks it held are broken and what they guard is rebuilt (arenas from the slots, its own lanes from nothing)
 *   3. the change of a hold that was in flight: done or not? (slot.c) The note that follows it is made up for
 *   4. waiters that it was telling are told to the end
 *   5. a record that it was pushing is pushed, unless it is in the target's queue
 *   6. every record of the node that names it:
 *        BUILDING    never was: what it holds is given back
 *        WAITING     the submitter's guard bit is cleared for it; if it was, and nothing is missing, the record is handed on
 *        QUEUED      (for it) goes elsewhere
 *        RUNNING     again, or fails
 *        COMMITTED   is published to the end
 *   7. holds that it had for itself: created refs, views, retained refs
 *   8. its chunks of slots and records go to nobody
 *
 * All of it is done by the agent's own endpoint, which does not die without its rank. */
#include "recover.h"

#include "actors.h"
#include "clock.h"
#include "error.h"
#include "functions.h"
#include "log.h"
#include "object.h"
#include "record_peek.h"
#include "route.h"
#include "run.h"
#include "runq.h"
#include "tsan.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* A record without a function: it only fails (run.c). */
#define FN_NONE UINT32_MAX

typedef struct {
    agent_t *agent;
    ep_t *ep;
    uint16_t gid;
    ep_shared_t *sh;
    char how[96]; /* "was killed by SIGSEGV" */
    uint64_t *live_ext[NODE_MAX_RANKS]; /* bit per record: an extension that some record uses */
} death_t;

void recover_describe(const ep_shared_t *sh, char *text, size_t text_bytes)
{
    int ws = atomic_load(&sh->exit_status);
    uint32_t end = atomic_load(&sh->kind) == EP_KIND_ACTOR ? atomic_load(&sh->actor_end) : ACTOR_END_NONE;
    if (end != ACTOR_END_NONE) {
        snprintf(text, text_bytes, "%s", actors_end_text(end));
    } else if (WIFSIGNALED(ws)) {
        const char *name = sigabbrev_np(WTERMSIG(ws));
        snprintf(text, text_bytes, "was killed by SIG%s", name != NULL ? name : "?");
    } else {
        snprintf(text, text_bytes, "ended with exit code %d", WEXITSTATUS(ws));
    }
}

static void leave_masks(const death_t *d)
{
    seg_header_t *h = d->ep->seg->hdr;
    ep_mask_clear(h->worker_mask, d->gid);
    ep_mask_clear(h->spare_mask, d->gid);
    ep_mask_clear(h->idle_mask, d->gid);
    ep_mask_clear(h->open_mask, d->gid);
    ep_mask_clear(h->awake_mask, d->gid); /* last: who is about to wake it sets this bit and looks at open_mask */
    route_tell_packed(d->ep->node); /* it may have pushed a task without a word */
}

/* It died after the item's word said "free" and before its owner was told, or after both: telling twice does no harm. */
static void give_hint(const death_t *d, uint32_t id, bool record)
{
    const segment_t *seg = &d->ep->node->segs[id >> 24];
    pool_free(record ? &d->ep->records : &d->ep->slots, seg, record ? &seg->hdr->records : &seg->hdr->slots, id & 0xffffff);
}

static void finish_free(const death_t *d)
{
    rid_t rid = atomic_exchange(&d->sh->journal.free_rid, 0);
    if (rid != 0 && record_word_state(atomic_load(&record_at(d->ep, rid)->word)) == RECORD_FREE) give_hint(d, rid, true);
}

static void finish_hold_change(const death_t *d)
{
    ep_journal_t *j = &d->sh->journal;
    sid_t sid = atomic_load(&j->rc_slot);
    if (sid == 0) return;
    uint64_t rc = atomic_load(&slot_at(d->ep, sid)->rc);
    if (slot_rc_is_free(rc)) give_hint(d, sid, false);
    uint32_t seq = atomic_load(&j->rc_seq), op = atomic_load(&j->rc_op), bit = atomic_load(&j->rc_bit);
    bool last_is_mine = slot_rc_writer(rc) == d->gid && slot_rc_seq(rc) == seq;
    if (last_is_mine || atomic_load(&j->rc_ack) == seq) {
        rid_t rid = atomic_load(&j->rc_rid);
        if (rid != 0)
            slot_note_held(record_at(d->ep, rid), bit, op == RC_HOLD);
        else if ((bit & EP_LEDGER) != 0)
            atomic_store(&d->sh->ledger[bit & ~EP_LEDGER], op == RC_HOLD ? sid : 0);
        if (last_is_mine && (rc & SLOT_RC_DYING) != 0) slot_destroy(d->ep, sid);
    }
    atomic_store(&j->rc_slot, 0);
}

static void finish_firing(const death_t *d)
{
    if (atomic_load(&d->sh->journal.fire_slot) == 0) return;
    slot_fire_again(d->ep, &d->sh->journal);
    atomic_store(&d->sh->journal.fire_slot, 0);
}

/* Is rid in this agent's own inbox? Only this agent takes records out of it, and it is here. */
static bool in_own_inbox(const death_t *d, rid_t rid)
{
    for (rid_t r = atomic_load(&d->ep->sh->inbox); r != 0; r = atomic_load(&record_at(d->ep, r)->next))
        if (r == rid) return true;
    return false;
}

static void finish_push(const death_t *d)
{
    uint64_t push = atomic_exchange(&d->sh->journal.push, 0);
    rid_t rid = (rid_t)push;
    if (rid == 0) return;
    record_t *rec = record_at(d->ep, rid);
    uint64_t word = atomic_load(&rec->word);
    uint16_t target = record_word_gid(word);
    if (record_word_gen(word) != push >> 32 || target == d->gid) return; /* run and gone, or found by the scan below */
    if (record_word_state(word) == RECORD_WAITING) {
        if (atomic_load(&rec->pending) == 0) route_ready(d->ep, rid);
        return;
    }
    if (record_word_state(word) != RECORD_QUEUED) return;
    bool there = target == d->ep->gid ? in_own_inbox(d, rid) : runq_contains(d->ep, ep_shared_at(d->ep->node, target), rid);
    /* It may have been claimed while we looked; then it was there. If the target is dead itself, the push fails and another gets it. */
    if (!there && atomic_load(&rec->word) == word && !route_push(d->ep, rid, rec, target)) route_requeue(d->ep, rid);
}

/* Is somebody else on the way into pushing exactly this record? dead: one whose agent has yet to bury it. */
static bool somebody_pushes(const death_t *d, rid_t rid, uint64_t word, bool dead)
{
    uint64_t push = rid | (uint64_t)record_word_gen(word) << 32;
    for (int p = 0; p < d->ep->node->n_node_ranks; p++)
        for (uint16_t gid = ep_gid(p, 0); (gid = ep_mask_next(d->ep->node->segs[p].hdr->open_mask, gid)) != 0;) {
            const ep_shared_t *sh = ep_shared_at(d->ep->node, gid);
            if (sh != d->ep->sh && atomic_load(&sh->journal.push) == push && (atomic_load(&sh->state) == EP_DEAD) == dead) return true;
        }
    return false;
}

/* Other agents may wait for waiters that dead workers of this rank were telling, as this one waits for theirs. */
static void finish_firing_of_dead(agent_t *agent)
{
    for (unsigned i = SEG_EP_MAIN + 1; i < SEG_MAX_EPS; i++) {
        ep_shared_t *sh = ep_shared_at(agent->node, ep_gid(agent->node->node_rank, i));
        if (atomic_load(&sh->state) != EP_DEAD || atomic_load(&sh->journal.fire_slot) == 0) continue;
        slot_fire_again(agent->ep, &sh->journal);
        atomic_store(&sh->journal.fire_slot, 0);
    }
}

void recover_release_locks(agent_t *agent)
{
    for (unsigned i = SEG_EP_MAIN + 1; i < SEG_MAX_EPS; i++) {
        uint16_t gid = ep_gid(agent->node->node_rank, i);
        if (atomic_load(&ep_shared_at(agent->node, gid)->state) != EP_DEAD) continue;
        for (int p = 0; p < agent->node->n_node_ranks; p++) payload_recover(agent->ep, p, gid);
        runq_recover(agent->ep, gid);
    }
}

static bool somebody_fires(const death_t *d, sid_t sid)
{
    for (int p = 0; p < d->ep->node->n_node_ranks; p++)
        for (uint16_t gid = ep_gid(p, 0); (gid = ep_mask_next(d->ep->node->segs[p].hdr->open_mask, gid)) != 0;)
            if (atomic_load(&ep_shared_at(d->ep->node, gid)->journal.fire_slot) == sid) return true;
    return false;
}

/* Until whoever tells the slot's waiters is through; it may be dead itself. */
static void await_firing(const death_t *d, sid_t sid)
{
    while (somebody_fires(d, sid)) {
        finish_firing_of_dead(d->agent);
        sched_yield();
    }
}

/* Is link in the slot's list, which begins with head? The slot may become ready meanwhile, its waiters told, run, freed and used again; so a step
 * counts only if the list was still open after it was read. False when it was closed. */
static bool is_in_list(const death_t *d, sid_t sid, uint64_t head, uint64_t link)
{
    const slot_t *slot = slot_at(d->ep, sid);
    for (uint64_t l = head; l != 0;) {
        if (l == link) return true;
        l = __atomic_load_n(&record_ref(d->ep, record_at(d->ep, (rid_t)(l >> 4)), l & 15)->next_waiter, __ATOMIC_ACQUIRE);
        if ((atomic_load(&slot->waiters) & SLOT_WAITERS_DONE) != 0) return false;
    }
    return false;
}

/* Argument i has its pending bit: does the slot's list name the record? If not, make that true or clear the bit. */
static void settle_waiter(const death_t *d, rid_t rid, record_t *rec, unsigned i)
{
    sid_t sid;
    uint64_t link = (uint64_t)rid << 4 | i;
    if (slot_find(d->ep, record_ref(d->ep, rec, i)->ref, &sid) != MRAY_OK || sid == 0) return;
    uint64_t head = atomic_load(&slot_at(d->ep, sid)->waiters);
    if ((head & SLOT_WAITERS_DONE) == 0) {
        if (is_in_list(d, sid, head, link) || slot_add_waiter(d->ep, sid, rid, i)) return;
    }
    /* The list was closed. If it named the record, whoever closed it clears the bit; then nobody is firing any more. */
    await_firing(d, sid);
    atomic_fetch_and(&rec->pending, ~(1u << i));
}

static void settle_waiters(const death_t *d, rid_t rid, record_t *rec)
{
    for (uint32_t m = atomic_load(&rec->pending) & ~RECORD_GUARD; m != 0; m &= m - 1) settle_waiter(d, rid, rec, (unsigned)__builtin_ctz(m));
}

/* Its submission was not complete. */
static void drop_building(const death_t *d, rid_t rid, record_t *rec)
{
    if ((atomic_load(&rec->pending) & ~RECORD_GUARD) != 0) {
        /* Lists of slots may name it, so it must live until they have told it; then it only fails. */
        settle_waiters(d, rid, rec);
        record_set(rec, fn, FN_NONE);
        uint64_t word = atomic_load(&rec->word);
        atomic_store(&rec->word, record_word(RECORD_WAITING, d->ep->gid, record_word_gen(word)));
        if (atomic_fetch_and(&rec->pending, ~RECORD_GUARD) == RECORD_GUARD) route_ready(d->ep, rid);
        return;
    }
    run_drop_arguments(d->ep, rid, rec, true);
    record_free(d->ep, rid, rec);
}

static void again_or_fail(const death_t *d, rid_t rid, record_t *rec, uint64_t word)
{
    const mray_function *f = functions_at(rec->fn);
    const char *name = f != NULL ? f->name : "?";
    char text[BASE_ERROR_MAX];
    bool call = rec->kind != RECORD_TASK;
    if (!call && rec->retries_left != 0) {
        log_info("worker %u of rank %d %s in task '%s', attempt %u; the task runs again", d->gid & 0xff, d->ep->node->rank, d->how, name, rec->attempt);
        /* Only the innermost task is to blame; those that waited for it on the same stack are run again for free. */
        if (rec->retries_left > 0 && rid == atomic_load(&d->sh->current)) rec->retries_left--;
        if (rec->attempt < UINT8_MAX) rec->attempt++;
        sid_t ret = run_return_slot(d->ep, rec);
        for (uint32_t i = 0; i < rec->n_returns; i++) {
            object_unstage(d->ep, ret + i);
            base_tsan_gives(&slot_at(d->ep, ret + i)->rc); /* to the next run, */
            base_tsan_gives(&slot_at(d->ep, ret + i)->state); /* and to those who see what it writes */
        }
        bool linked = (word & RECORD_WORD_INLINE) != 0;
        while (linked && (word & RECORD_WORD_UNLINKED) == 0)
            /* Still in the queue it was claimed from: its owner will meet it as a task like any other. */
            if (atomic_compare_exchange_weak(&rec->word, &word, record_word(RECORD_QUEUED, rec->target, record_word_gen(word)))) return;
        atomic_store(&rec->word, record_word(RECORD_MOVING, d->ep->gid, record_word_gen(word)));
        route_requeue(d->ep, rid);
        return;
    }
    bool begun = atomic_load(&d->sh->current) == rid; /* an actor claims calls before it is their turn */
    snprintf(text, sizeof text, "%s '%s' (rank %d, attempt %u): its worker %s", !call ? "task" : begun ? "the actor died in" : "the actor died before",
             name, d->ep->node->rank, rec->attempt, d->how);
    if (!call || (begun && atomic_load(&d->sh->actor_end) == ACTOR_END_NONE)) log_warn("%s", text);
    run_fail(d->ep, rid, rec, call ? MRAY_ERR_ACTOR_DIED : MRAY_ERR_WORKER_CRASHED, text);
}

static void redirect(const death_t *d, rid_t rid, record_t *rec, uint64_t word)
{
    /* A pusher that lives got in before the inbox was closed, or sees it closed and takes the record elsewhere. Which of both shows when it
     * is through: the record still stands here, or not. One that died is its own agent's, which then finds the inbox closed. */
    while (atomic_load(&rec->word) == word && somebody_pushes(d, rid, word, false)) sched_yield();
    if (atomic_load(&rec->word) != word || somebody_pushes(d, rid, word, true)) return;
    if (rec->kind == RECORD_CONTROL || rec->kind == RECORD_NOTIFY) return; /* never to a worker */
    if (rec->kind == RECORD_METHOD || rec->kind == RECORD_ACTOR) {
        if (!atomic_compare_exchange_strong(&rec->word, &word, record_word(RECORD_RUNNING, d->ep->gid, record_word_gen(word)))) return;
        const mray_function *f = functions_at(rec->fn);
        char text[BASE_ERROR_MAX];
        snprintf(text, sizeof text, "the actor died before '%s' (rank %d): its worker %s", f != NULL ? f->name : "?", d->ep->node->rank, d->how);
        run_fail(d->ep, rid, rec, MRAY_ERR_ACTOR_DIED, text);
        return;
    }
    if (atomic_compare_exchange_strong(&rec->word, &word, record_word(RECORD_MOVING, d->ep->gid, record_word_gen(word)))) route_requeue(d->ep, rid);
}

/* Submitted by the dead one, and not handed on yet: perhaps by it, which may have died with the guard bit set, or behind that, when all was ready. */
static void settle_waiting(const death_t *d, rid_t rid, record_t *rec, uint64_t word)
{
    if ((atomic_load(&rec->pending) & RECORD_GUARD) != 0) {
        settle_waiters(d, rid, rec);
        if (atomic_fetch_and(&rec->pending, ~RECORD_GUARD) == RECORD_GUARD) route_ready(d->ep, rid);
        return;
    }
    if (atomic_load(&rec->pending) != 0) return; /* whoever clears the last bit hands it on */
    /* Who cleared the last bit may be about to hand it on. Then the word moves on, and the record is none of ours. */
    for (unsigned i = 0; atomic_load(&rec->word) == word && i < rec->n_refs; i++) {
        sid_t sid;
        if ((rec->by_value >> i & 1) != 0 && slot_find(d->ep, record_ref(d->ep, rec, i)->ref, &sid) == MRAY_OK && sid != 0) await_firing(d, sid);
    }
    if (atomic_compare_exchange_strong(&rec->word, &word, record_word(RECORD_MOVING, d->ep->gid, record_word_gen(word)))) route_requeue(d->ep, rid);
}

static void settle_record(const death_t *d, rid_t rid, record_t *rec, uint64_t word)
{
    if ((word & RECORD_WORD_DONE) != 0) return; /* finished; the queue it stands in frees it */
    switch (record_word_state(word)) {
    case RECORD_BUILDING: drop_building(d, rid, rec); break;
    case RECORD_WAITING: settle_waiting(d, rid, rec, word); break;
    case RECORD_QUEUED: redirect(d, rid, rec, word); break;
    case RECORD_MOVING:
        atomic_store(&rec->word, record_word(RECORD_MOVING, d->ep->gid, record_word_gen(word)));
        route_requeue(d->ep, rid);
        break;
    case RECORD_RUNNING: again_or_fail(d, rid, rec, word); break;
    case RECORD_COMMITTED: run_finish(d->ep, rid, rec, true); break;
    case RECORD_FREE:
    case RECORD_EXTENSION: break;
    }
}

static void for_each_record(const death_t *d, void (*fn)(const death_t *d, rid_t rid, record_t *rec, uint64_t word), bool all)
{
    for (int p = 0; p < d->ep->node->n_node_ranks; p++) {
        uint32_t high = pool_high_water(&d->ep->node->segs[p].hdr->records);
        for (uint32_t i = 1; i < high; i++) {
            rid_t rid = (rid_t)p << 24 | i;
            record_t *rec = record_at(d->ep, rid);
            uint64_t word = atomic_load(&rec->word);
            if (record_word_state(word) != RECORD_FREE && (all || record_word_gid(word) == d->gid)) fn(d, rid, rec, word);
        }
    }
}

static void note_extensions(const death_t *d, rid_t rid, record_t *rec, uint64_t word)
{
    (void)rec, (void)word;
    record_peek_t seen;
    rid_t exts[RECORD_MAX_EXT];
    int n = -1;
    while (n < 0 && record_peek_settled(d->ep, rid, &seen)) n = record_peek_extensions(d->ep, rid, &seen, exts);
    for (int i = 0; i < n; i++)
        if (d->live_ext[exts[i] >> 24] != NULL) d->live_ext[exts[i] >> 24][(exts[i] & 0xffffff) / 64] |= 1ull << (exts[i] & 63);
}

static void free_lost_extension(const death_t *d, rid_t rid, record_t *rec, uint64_t word)
{
    const uint64_t *live = d->live_ext[rid >> 24];
    if (record_word_state(word) != RECORD_EXTENSION || live == NULL || (live[(rid & 0xffffff) / 64] >> (rid & 63) & 1) != 0) return;
    record_set(rec, ext, 0); /* an extension has no header: what record_free() would read is body */
    record_set(rec, n_ext, 0);
    record_free(d->ep, rid, rec);
}

/* Extensions that it took and had not tied to a record yet. */
static void free_lost_extensions(death_t *d)
{
    int own = d->ep->node->node_rank; /* an endpoint takes records from its own rank's pool */
    /* A bit for every record there can be: others take fresh ones while this goes on. */
    d->live_ext[own] = calloc(d->ep->seg->hdr->records.n_chunks, sizeof(uint64_t));
    if (d->live_ext[own] == NULL) return; /* 128 bytes each stay lost */
    for_each_record(d, note_extensions, true);
    for_each_record(d, free_lost_extension, false);
    free(d->live_ext[own]);
    d->live_ext[own] = NULL;
}

/* Is slot sid a result of this record? */
static bool makes(const death_t *d, const record_peek_t *rec, sid_t sid)
{
    int place = rec->ret.slot != 0 && rec->ret.rank < (uint32_t)d->ep->node->n_ranks ? d->ep->node->node_rank_of[rec->ret.rank] : -1;
    return place == (int)(sid >> 24) && (sid & 0xffffff) - rec->ret.slot < rec->n_returns;
}

/* A slot of its own that nobody will write any more: a created object that was not sealed, or a result whose record never was. */
static bool has_no_producer(const death_t *d, sid_t sid, const slot_t *slot)
{
    if (slot_is_ready(slot) || (atomic_load(&slot->rc) & SLOT_RC_PRODUCER) == 0) return false;
    record_peek_t rec;
    uint8_t kind = slot_peek(slot, kind);
    if (kind != SLOT_KIND_NONE && kind != SLOT_KIND_ERROR) { /* staged: by a task that runs, or by its creator */
        for (int p = 0; p < d->ep->node->n_node_ranks; p++) {
            uint32_t high = pool_high_water(&d->ep->node->segs[p].hdr->records);
            for (uint32_t i = 1; i < high; i++) {
                if (!record_peek_settled(d->ep, (rid_t)p << 24 | i, &rec)) continue;
                record_state_t s = record_word_state(rec.word);
                if ((s == RECORD_RUNNING || s == RECORD_COMMITTED) && makes(d, &rec, sid)) return false;
            }
        }
        return true;
    }
    rid_t rid = slot_producer(d->ep, slot);
    return rid == 0 || !record_peek_settled(d->ep, rid, &rec) || !makes(d, &rec, sid);
}

static void drop_holds(const death_t *d)
{
    for (unsigned e = 0; e < EP_LEDGER_ENTRIES; e++) {
        sid_t sid = atomic_exchange(&d->sh->ledger[e], 0);
        if (sid != 0) slot_change(d->ep, sid, RC_DROP);
    }
    uint32_t high = pool_high_water(&d->ep->seg->hdr->slots);
    for (uint32_t i = 1; i < high; i++) {
        sid_t sid = (sid_t)d->ep->node->node_rank << 24 | i;
        slot_t *slot = slot_at(d->ep, sid);
        uint64_t rc = atomic_load(&slot->rc);
        if (slot_rc_is_free(rc) || (rc & SLOT_RC_CREATOR) == 0 || slot_peek(slot, creator_index) != (d->gid & 0xff)) continue;
        if (has_no_producer(d, sid, slot)) {
            object_unstage(d->ep, sid);
            object_stage_error(d->ep, sid, MRAY_ERR_OBJECT_LOST, "the worker that was making this object died");
            object_publish(d->ep, sid);
        }
        slot_change(d->ep, sid, RC_DROP_CREATOR);
    }
}

void recover_endpoint(agent_t *agent, uint16_t gid)
{
    death_t death = {.agent = agent, .ep = agent->ep, .gid = gid, .sh = ep_shared_at(agent->node, gid)}, *d = &death;
    uint64_t begin_ns = base_clock_ns();
    recover_describe(d->sh, d->how, sizeof d->how);
    atomic_store(&d->sh->inbox, INBOX_CLOSED);
    trace_abandon(trace_ring_at(agent->ep->seg, gid & 0xff), 0); /* before its tasks may run again elsewhere */
    leave_masks(d);
    for (int p = 0; p < agent->node->n_node_ranks; p++) payload_recover(d->ep, p, gid);
    runq_recover(d->ep, gid);
    finish_hold_change(d);
    finish_free(d);
    ep_say_for(d->ep->node, d->sh);
    finish_firing(d);
    finish_push(d);
    for_each_record(d, settle_record, false);
    free_lost_extensions(d);
    drop_holds(d);
    for (int p = 0; p < agent->node->n_node_ranks; p++) {
        seg_header_t *h = agent->node->segs[p].hdr;
        pool_adopt(&agent->node->segs[p], &h->slots, ep_slot_is_free_fn(), gid);
        pool_adopt(&agent->node->segs[p], &h->records, ep_record_is_free_fn(), gid);
    }
    log_debug("worker %u of rank %d %s; the node was whole again after %llu us", gid & 0xff, agent->node->rank, d->how,
              (unsigned long long)(base_clock_ns() - begin_ns) / 1000);
}
