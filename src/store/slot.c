/* slot.c: holds, completion and waiting.
 *
 * A change of rc by a mortal endpoint is detectable (after Attiya, Ben-Baruch, Hendler, "Lower and upper bounds on the
 * space complexity of detectable objects", PODC 2020): the word carries its last writer and that writer's change number;
 * whoever overwrites it first acknowledges the change in the writer's journal, if it is still the one in flight. So after
 * a death the agent knows whether the change took place: the word still carries it, or it was acknowledged.
 *
 * Stores of a killed process become visible in program order up to the instruction at which it died (exceptions are
 * precise), so the journal needs compiler order only: relaxed stores between signal fences. */
#include "slot.h"

#include "arena.h"
#include "error.h"
#include "hash.h"
#include "payload.h"
#include "prefetch.h"
#include "tsan.h"

#include <string.h>

enum { ACK_NONE = 1 << 16 };

static store_upcalls_t upcalls;

void store_set_upcalls(const store_upcalls_t *u)
{
    upcalls = *u;
}

const store_upcalls_t *store_upcalls(void)
{
    return &upcalls;
}

slot_t *slot_to_write(const ep_t *ep, sid_t sid)
{
    slot_t *slot = slot_at(ep, sid);
    base_tsan_gets(&slot->rc); /* its last users may have been threads of this process, and who took it anew in another */
    return slot;
}

int slot_not_here(const ep_t *ep, mray_ref ref, sid_t *sid_p)
{
    const node_t *node = ep->node;
    if (ref.slot == 0) return base_error(MRAY_ERR_INVALID_REF, "the ref is nil: it was never set, or the call that returned it failed");
    if (ref.epoch != node->epoch || ref.rank >= (uint32_t)node->n_ranks)
        return base_error(MRAY_ERR_INVALID_REF, "the ref {rank %u, slot %u} is of another session, or no ref at all", ref.rank, ref.slot);
    int place = node->node_rank_of[ref.rank];
    if (place < 0) {
        *sid_p = 0;
        return MRAY_OK;
    }
    if (ref.slot >= node->segs[place].hdr->slots.n_chunks * 64)
        return base_error(MRAY_ERR_INVALID_REF, "the ref {rank %u, slot %u} names a slot that does not exist", ref.rank, ref.slot);
    return base_error(MRAY_ERR_INVALID_REF, "the ref {rank %u, slot %u} was released before", ref.rank, ref.slot);
}

mray_ref slot_ref(const ep_t *ep, sid_t sid)
{
    return (mray_ref){.rank = (uint32_t)ep->node->rank_of[sid >> 24],
                      .slot = sid & 0xffffff,
                      .gen = atomic_load_explicit(&slot_at(ep, sid)->gen, memory_order_relaxed),
                      .epoch = ep->node->epoch};
}

/* What a free slot is to hold, but for the words that say so. */
static inline void begin(const ep_t *ep, slot_t *slot, slot_kind_t as_kind, uint8_t as_dtype, uint8_t as_ndim, uint32_t n_bytes)
{
    slot_set(slot, kind, (uint8_t)as_kind);
    slot_set(slot, dtype, as_dtype);
    slot_set(slot, ndim, as_ndim);
    slot_set(slot, creator_index, (uint8_t)(ep->gid & 0xff));
    slot_set(slot, bytes, n_bytes);
    memset(&slot->u, 0, sizeof slot->u);
}

sid_t slot_alloc(ep_t *ep, uint32_t n)
{
    uint32_t index = pool_alloc_run(&ep->slots, n);
    if (index == 0) return 0;
    sid_t first = (sid_t)ep->node->node_rank << 24 | index;
    uint32_t gen = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t g = atomic_load_explicit(&slot_at(ep, first + i)->gen, memory_order_relaxed);
        if (g > gen) gen = g;
    }
    /* The generations, changed when the slots were freed, before what is written from here on: for an agent that looks at them (payload.c). */
    atomic_thread_fence(memory_order_release);
    for (uint32_t i = 0; i < n; i++) {
        slot_t *slot = slot_at(ep, first + i);
        atomic_store_explicit(&slot->waiters, 0, memory_order_relaxed);
        atomic_store_explicit(&slot->state, SLOT_PENDING, memory_order_relaxed);
        atomic_store_explicit(&slot->gen, gen, memory_order_relaxed);
        begin(ep, slot, SLOT_KIND_NONE, 0, 0, 0);
        atomic_store_explicit(&slot->mark, 0, memory_order_relaxed);
        atomic_store_explicit(&slot->rc, SLOT_RC_USED | SLOT_RC_CREATOR | SLOT_RC_PRODUCER, memory_order_release);
    }
    return first;
}

sid_t slot_alloc_ready(ep_t *ep, uint8_t dtype, uint8_t ndim, const void *value, uint32_t bytes)
{
    uint32_t index = pool_alloc(&ep->slots);
    if (index == 0) return 0;
    sid_t sid = (sid_t)ep->node->node_rank << 24 | index;
    slot_t *slot = slot_to_write(ep, sid);
    atomic_thread_fence(memory_order_release); /* as in slot_alloc() */
    atomic_store_explicit(&slot->waiters, SLOT_WAITERS_DONE, memory_order_relaxed);
    atomic_store_explicit(&slot->state, SLOT_READY, memory_order_relaxed);
    begin(ep, slot, SLOT_KIND_INLINE, dtype, ndim, bytes);
    if (bytes == sizeof(uint64_t))
        memcpy(slot->u.value, value, sizeof(uint64_t));
    else
        memcpy(slot->u.value, value, bytes);
    atomic_store_explicit(&slot->mark, ep->node->multi_node ? slot_checksum(slot) : 0, memory_order_relaxed);
    /* Until here the slot was free, so there is no step at which a death could leave it half made. */
    atomic_store_explicit(&slot->rc, SLOT_RC_USED | SLOT_RC_CREATOR, memory_order_release);
    return sid;
}

rid_t slot_producer(const ep_t *ep, const slot_t *slot)
{
    rid_t rid = atomic_load_explicit(&slot->mark, memory_order_acquire);
    if (rid == 0 || rid >> 24 >= (uint32_t)ep->node->n_node_ranks) return 0;
    return (rid & 0xffffff) < ep->node->segs[rid >> 24].hdr->records.n_chunks * 64 ? rid : 0;
}

void slot_set_producer(slot_t *slot, rid_t rid)
{
    atomic_store_explicit(&slot->mark, rid, memory_order_release);
}

static void acknowledge(const ep_t *ep, sid_t sid, uint64_t rc)
{
    uint16_t writer = slot_rc_writer(rc);
    if (writer == 0 || writer == ep->gid) return;
    ep_journal_t *j = &ep_shared_at(ep->node, writer)->journal;
    uint32_t seq = slot_rc_seq(rc);
    if (atomic_load_explicit(&j->rc_slot, memory_order_relaxed) == sid && atomic_load_explicit(&j->rc_seq, memory_order_relaxed) == seq)
        atomic_store_explicit(&j->rc_ack, seq, memory_order_release);
}

static uint64_t changed_holds(uint64_t rc, rc_op_t op)
{
    switch (op) {
    case RC_HOLD: return rc + SLOT_RC_ONE;
    case RC_DROP: return rc - SLOT_RC_ONE;
    case RC_DROP_CREATOR: return rc & ~SLOT_RC_CREATOR;
    case RC_DROP_PRODUCER: return rc & ~SLOT_RC_PRODUCER;
    case RC_CREATOR_TO_HOLD: return (rc & ~SLOT_RC_CREATOR) + SLOT_RC_ONE;
    case RC_NONE: break;
    }
    return rc;
}

static void journal_rc(ep_t *ep, sid_t sid, rc_op_t op, rid_t rid, unsigned bit)
{
    ep_journal_t *j = &ep->sh->journal;
    ep->rc_seq = (ep->rc_seq + 1) & 0xffff;
    atomic_store_explicit(&j->rc_ack, ACK_NONE, memory_order_relaxed);
    atomic_store_explicit(&j->rc_seq, ep->rc_seq, memory_order_relaxed);
    atomic_store_explicit(&j->rc_op, op, memory_order_relaxed);
    atomic_store_explicit(&j->rc_rid, rid, memory_order_relaxed);
    atomic_store_explicit(&j->rc_bit, bit, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&j->rc_slot, sid, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
}

static void journal_rc_end(ep_t *ep)
{
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&ep->sh->journal.rc_slot, 0, memory_order_relaxed);
}

/* *last_p: this was the last hold, the slot is DYING and the caller destroys it. False, and no change, if only_living and it was free
 * or dying already. */
static bool change_rc(ep_t *ep, sid_t sid, rc_op_t op, bool only_living, bool *last_p)
{
    slot_t *slot = slot_at(ep, sid);
    uint64_t mine = ep->mortal ? slot_rc_mark(ep->gid, ep->rc_seq) : 0;
    uint64_t old = atomic_load_explicit(&slot->rc, memory_order_acquire), new;
    do {
        if (only_living && (slot_rc_is_free(old) || (old & SLOT_RC_HOLDS) == 0)) return false;
        new = changed_holds(old, op);
        bool last = (new & SLOT_RC_HOLDS) == 0;
        if (last) new |= SLOT_RC_DYING;
        /* Who does not die alone needs no mark, and leaves the one that stands: it goes on saying that that change took place. Only the last one takes it
         * away, lest the slot be destroyed once more after its writer's death. */
        if (ep->mortal || last) {
            acknowledge(ep, sid, old);
            new = (new & UINT32_MAX) | mine;
        }
        /* Release: what this endpoint did with the object comes before its destruction by whoever drops last. */
    } while (!atomic_compare_exchange_weak_explicit(&slot->rc, &old, new, memory_order_acq_rel, memory_order_acquire));
    *last_p = (new & SLOT_RC_HOLDS) == 0;
    return true;
}

static bool change_with_record(ep_t *ep, sid_t sid, rc_op_t op, rid_t rid, unsigned bit, bool only_living)
{
    bool last = false;
    if (ep->mortal) journal_rc(ep, sid, op, rid, bit);
    bool done = change_rc(ep, sid, op, only_living, &last);
    if (!done)
        ; /* the journal ends without a change */
    else if (rid != 0)
        slot_note_held(record_at(ep, rid), bit, op == RC_HOLD);
    else if ((bit & EP_LEDGER) != 0)
        atomic_store_explicit(&ep->sh->ledger[bit & ~EP_LEDGER], op == RC_HOLD ? sid : 0, memory_order_relaxed);
    if (last) slot_destroy(ep, sid);
    if (ep->mortal) journal_rc_end(ep);
    return done;
}

void slot_note_held(record_t *rec, unsigned bit, bool held)
{
    uint16_t bits = atomic_load_explicit(&rec->held, memory_order_relaxed); /* only one endpoint has the record at a time */
    bits = held ? (uint16_t)(bits | 1u << bit) : (uint16_t)(bits & ~(1u << bit));
    atomic_store_explicit(&rec->held, bits, memory_order_relaxed);
}

static bool hold_own(ep_t *ep, sid_t sid, bool only_living)
{
    if (!ep->mortal) return change_with_record(ep, sid, RC_HOLD, 0, 0, only_living);
    for (uint32_t i = 0; i < EP_LEDGER_ENTRIES; i++) {
        uint32_t e = (ep->ledger_hint + i) % EP_LEDGER_ENTRIES;
        if (atomic_load_explicit(&ep->sh->ledger[e], memory_order_relaxed) != 0) continue;
        ep->ledger_hint = e + 1;
        return change_with_record(ep, sid, RC_HOLD, 0, EP_LEDGER | e, only_living);
    }
    return false;
}

bool slot_hold_own(ep_t *ep, sid_t sid)
{
    return hold_own(ep, sid, false);
}

bool slot_try_hold_own(ep_t *ep, mray_ref ref, sid_t *sid_p)
{
    if (slot_find(ep, ref, sid_p) != MRAY_OK || *sid_p == 0 || !hold_own(ep, *sid_p, true)) return false;
    if (atomic_load(&slot_at(ep, *sid_p)->gen) == ref.gen) return true;
    (void)slot_drop_own(ep, *sid_p); /* another object's by now, and held for a moment: no harm */
    return false;
}

bool slot_drop_own(ep_t *ep, sid_t sid)
{
    for (uint32_t e = 0; ep->mortal && e < EP_LEDGER_ENTRIES; e++) {
        if (atomic_load_explicit(&ep->sh->ledger[e], memory_order_relaxed) != sid) continue;
        ep->ledger_hint = e;
        (void)change_with_record(ep, sid, RC_DROP, 0, EP_LEDGER | e, false);
        return true;
    }
    if (ep->mortal) return false;
    slot_change(ep, sid, RC_DROP);
    return true;
}

void slot_change(ep_t *ep, sid_t sid, rc_op_t op)
{
    (void)change_with_record(ep, sid, op, 0, 0, false);
}

void slot_give_back(ep_t *ep, sid_t sid)
{
    slot_change(ep, sid, RC_DROP_PRODUCER);
    slot_change(ep, sid, RC_DROP_CREATOR);
}

void slot_hold_for(ep_t *ep, sid_t sid, rid_t rid, unsigned bit)
{
    if (ep->mortal) {
        (void)change_with_record(ep, sid, RC_HOLD, rid, bit, false);
        return;
    }
    /* As change_rc() would, but the line is asked for once, to write; the caller has looked, and somebody holds the object. */
    atomic_fetch_add_explicit(&slot_at(ep, sid)->rc, SLOT_RC_ONE, memory_order_relaxed);
    slot_note_held(record_at(ep, rid), bit, true);
}

void slot_drop_for(ep_t *ep, sid_t sid, rid_t rid, unsigned bit)
{
    (void)change_with_record(ep, sid, RC_DROP, rid, bit, false);
}

int slot_release_ref(ep_t *ep, sid_t sid)
{
    const slot_t *slot = slot_at(ep, sid);
    uint64_t rc = atomic_load_explicit(&slot->rc, memory_order_relaxed);
    bool mine = slot->creator_index == (ep->gid & 0xff) && sid >> 24 == ep->gid >> 8;
    if ((rc & SLOT_RC_CREATOR) != 0 && (mine || (rc & SLOT_RC_COUNT) == 0)) {
        slot_change(ep, sid, RC_DROP_CREATOR);
    } else if ((rc & SLOT_RC_COUNT) == 0) {
        return base_error(MRAY_ERR_INVALID_REF, "mray_release: nothing of this ref is held any more");
    } else if (!slot_drop_own(ep, sid)) {
        slot_change(ep, sid, RC_DROP); /* handed over by a result or a message */
    }
    return MRAY_OK;
}

void slot_destroy(ep_t *ep, sid_t sid)
{
    slot_t *slot = slot_at(ep, sid);
    if (slot->kind == SLOT_KIND_REMOTE)
        upcalls.drop_remote_fn(ep, &slot->u.where);
    else if (slot->kind == SLOT_KIND_PAYLOAD || (slot->kind == SLOT_KIND_ERROR && slot->bytes != 0))
        payload_free(ep, &slot->u.where);
    atomic_store_explicit(&slot->state, SLOT_EMPTY, memory_order_relaxed);
    atomic_store_explicit(&slot->gen, atomic_load_explicit(&slot->gen, memory_order_relaxed) + 1, memory_order_relaxed);
    atomic_store_explicit(&slot->rc, 0, memory_order_release);
    const segment_t *seg = &ep->node->segs[sid >> 24];
    pool_free(&ep->slots, seg, &seg->hdr->slots, sid & 0xffffff);
}

uint32_t slot_checksum(const slot_t *slot)
{
    struct {
        uint32_t gen;
        uint8_t kind, dtype, ndim, pad;
        uint64_t bytes;
        uint8_t value[SLOT_INLINE_BYTES];
    } image = {atomic_load_explicit(&slot->gen, memory_order_relaxed), slot->kind, slot->dtype, slot->ndim, 0, slot->bytes, {0}};
    memcpy(image.value, slot->u.value, sizeof image.value);
    uint32_t sum = (uint32_t)base_hash64(&image, sizeof image);
    return sum != 0 ? sum : 1; /* a mark of 0 says that no record writes the slot */
}

static void publish(ep_t *ep, sid_t sid, slot_t *slot)
{
    ep_journal_t *j = &ep->sh->journal;
    /* Said before the list is closed, by immortal endpoints, too: an agent that finds the list closed and nobody telling knows that
     * all were told (exec/recover.c). */
    atomic_store_explicit(&j->fire_link, 0, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&j->fire_slot, sid, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    /* seq_cst: the value is visible before, and the look at the watcher's sleep word comes after. */
    uint32_t watcher = atomic_exchange(&slot->state, SLOT_READY) >> 8;
    uint64_t link = atomic_fetch_or_explicit(&slot->waiters, SLOT_WAITERS_DONE, memory_order_acq_rel) & ~SLOT_WAITERS_DONE;
    if (watcher == SLOT_WATCHER_MANY)
        ep_wake_all(ep->node);
    else if (watcher != 0)
        ep_wake(ep_shared_at(ep->node, (uint16_t)watcher));
    if (link != 0)
        slot_fire(ep, sid, link);
    else
        atomic_store_explicit(&j->fire_slot, 0, memory_order_release);
}

void slot_complete(ep_t *ep, sid_t sid)
{
    slot_t *slot = slot_at(ep, sid);
    if (BASE_TSAN && (slot->kind == SLOT_KIND_PAYLOAD || (slot->kind == SLOT_KIND_ERROR && slot->bytes != 0))) payload_given(ep, &slot->u.where);
    if (ep->node->multi_node) atomic_store_explicit(&slot->mark, slot_checksum(slot), memory_order_relaxed);
    publish(ep, sid, slot);
}

void slot_complete_again(ep_t *ep, sid_t sid)
{
    publish(ep, sid, slot_at(ep, sid));
    ep_wake_all(ep->node); /* the dead one may have taken the watcher's mark without waking it */
}

static rid_t link_rid(uint64_t link)
{
    return (rid_t)(link >> 4);
}

static uint64_t link_with_gen(const ep_t *ep, uint64_t link)
{
    uint64_t word = atomic_load_explicit(&record_at(ep, link_rid(link))->word, memory_order_acquire);
    return link | (uint64_t)record_word_gen(word) << SLOT_LINK_GEN_SHIFT;
}

/* A record that is to be told lies with the core that submitted it: its word and pending bits are in the first line, most links in the second. */
static void fetch_ahead(const ep_t *ep, uint64_t link)
{
    const char *rec = (const char *)record_at(ep, link_rid(link));
    base_prefetch_to_write(rec);
    __builtin_prefetch(rec + SEG_CACHE_LINE);
}

void slot_fetch_waiter(const ep_t *ep, sid_t sid)
{
    uint64_t link = atomic_load_explicit(&slot_at(ep, sid)->waiters, memory_order_relaxed);
    if (link != 0 && (link & SLOT_WAITERS_DONE) == 0) fetch_ahead(ep, link);
}

/* Tell one waiter: clear its bit; whoever clears the last one hands the record on. */
static void tell(ep_t *ep, uint64_t link)
{
    record_t *rec = record_at(ep, link_rid(link));
    uint32_t bit = 1u << (link & 15);
    base_tsan_gives(&rec->word); /* its next user may take it from another process */
    /* acq_rel: whoever clears the last bit sees what the other firers and the submitter wrote. */
    uint32_t left = atomic_fetch_and_explicit(&rec->pending, ~bit, memory_order_acq_rel) & ~bit;
    if (left == 0) upcalls.ready_fn(ep, link_rid(link));
}

void slot_fire(ep_t *ep, sid_t sid, uint64_t link)
{
    ep_journal_t *j = &ep->sh->journal;
    atomic_store_explicit(&j->fire_next, link, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&j->fire_link, link_with_gen(ep, link), memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&j->fire_slot, sid, memory_order_relaxed);
    while (link != 0) {
        uint64_t next = record_ref(ep, record_at(ep, link_rid(link)), link & 15)->next_waiter;
        if (ep->mortal) { /* in this order: slot_fire_again() reads it */
            atomic_store_explicit(&j->fire_link, link_with_gen(ep, link), memory_order_relaxed);
            atomic_signal_fence(memory_order_seq_cst);
            atomic_store_explicit(&j->fire_next, next, memory_order_relaxed);
            atomic_signal_fence(memory_order_seq_cst);
        }
        if (next != 0) fetch_ahead(ep, next);
        tell(ep, link);
        link = next;
    }
    /* The list is done with: a recovering agent must not walk records that have been used again since. */
    atomic_store_explicit(&slot_at(ep, sid)->waiters, SLOT_WAITERS_DONE, memory_order_release);
    atomic_store_explicit(&j->fire_slot, 0, memory_order_release);
}

void slot_fire_again(ep_t *ep, const ep_journal_t *j)
{
    sid_t sid = atomic_load(&j->fire_slot);
    uint64_t mark = atomic_load(&j->fire_link);
    if (mark == 0) return; /* had not begun */
    uint64_t link = mark & ((UINT64_C(1) << SLOT_LINK_GEN_SHIFT) - 1);
    uint64_t next = atomic_load(&j->fire_next);
    record_t *rec = record_at(ep, link_rid(link));
    if (link_with_gen(ep, link) == mark) { /* else it was told, ran and is gone */
        if (next == link) next = record_ref(ep, rec, link & 15)->next_waiter; /* died before the link behind it was noted: not told */
        tell(ep, link);
    }
    if (next != 0)
        slot_fire(ep, sid, next);
    else
        atomic_store_explicit(&slot_at(ep, sid)->waiters, SLOT_WAITERS_DONE, memory_order_release);
}

bool slot_add_waiter(ep_t *ep, sid_t sid, rid_t rid, unsigned i)
{
    slot_t *slot = slot_at(ep, sid);
    record_ref_t *ref = record_ref(ep, record_at(ep, rid), i);
    uint64_t head = atomic_load_explicit(&slot->waiters, memory_order_acquire);
    do {
        if ((head & SLOT_WAITERS_DONE) != 0) return false;
        __atomic_store_n(&ref->next_waiter, head, __ATOMIC_RELAXED); /* the record may be looked at: record_peek.h */
        /* Release: the firer sees the link and the record. */
    } while (!atomic_compare_exchange_weak_explicit(&slot->waiters, &head, (uint64_t)rid << 4 | i, memory_order_acq_rel, memory_order_acquire));
    return true;
}

bool slot_watch(ep_t *ep, slot_t *slot)
{
    uint32_t state = atomic_load(&slot->state);
    for (;;) {
        if ((state & 0xff) == SLOT_READY) return false;
        uint32_t watcher = state >> 8;
        if (watcher == ep->gid || watcher == SLOT_WATCHER_MANY) return true;
        uint32_t want = SLOT_PENDING | (watcher == 0 ? (uint32_t)ep->gid : SLOT_WATCHER_MANY) << 8;
        if (atomic_compare_exchange_weak(&slot->state, &state, want)) return true;
    }
}
