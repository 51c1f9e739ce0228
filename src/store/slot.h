/* slot.h: what is done with object slots: counting holds, completing, waiting. Layout: net/slot_layout.h. */
#ifndef MRAY_STORE_SLOT_H
#define MRAY_STORE_SLOT_H

#include "endpoint.h"
#include "slot_layout.h"

#include <mray/status.h>

/* A slot's place on its node: rank's place on the node << 24 | index. 0 is no slot. */
typedef uint32_t sid_t;

/* Waiter list: link = rid << 4 | ref argument. A link is never 0. */
#define SLOT_WAITERS_DONE (UINT64_C(1) << 63)
#define SLOT_WATCHER_MANY 0xffffu
#define SLOT_LINK_GEN_SHIFT 36 /* in the journal: 28 bits of the record's generation above the link */

/* What a change of rc does, as the journal names it. */
typedef enum { RC_NONE = 0, RC_HOLD, RC_DROP, RC_DROP_CREATOR, RC_DROP_PRODUCER, RC_CREATOR_TO_HOLD } rc_op_t;

/* What the store asks of the layers above. */
typedef struct {
    /* A record's last argument is ready: its pending bits are 0 and its word is WAITING. */
    void (*ready_fn)(ep_t *ep, rid_t rid);
    /* A slot of kind REMOTE dies: tell the rank that holds the payload. */
    void (*drop_remote_fn)(ep_t *ep, const slot_where_t *where);
    /* The arenas of the node are full. True: something was freed at once, so another try is worth it. May be NULL. */
    bool (*room_fn)(ep_t *ep);
} store_upcalls_t;
void store_set_upcalls(const store_upcalls_t *upcalls);
const store_upcalls_t *store_upcalls(void);

static inline slot_t *slot_at(const ep_t *ep, sid_t sid)
{
    return (slot_t *)(ep->node->segs[sid >> 24].slots) + (sid & 0xffffff);
}
/* The same for whoever is to write its value; see base/tsan.h. */
slot_t *slot_to_write(const ep_t *ep, sid_t sid);
/* Where the slot of a ref would be on this node, if the ref is a good one; 0 if it cannot be here. For prefetching. */
static inline sid_t slot_guess(const ep_t *ep, mray_ref ref)
{
    int place = ref.rank < (uint32_t)ep->node->n_ranks ? ep->node->node_rank_of[ref.rank] : -1;
    return place >= 0 ? (sid_t)place << 24 | (ref.slot & 0xffffff) : 0;
}
/* The slot of a good ref whose owner is on this node, else NULL: slot_find() says why. A nil ref names slot 0, which is always free. */
static inline slot_t *slot_here(const ep_t *ep, mray_ref ref, sid_t *sid_p)
{
    const node_t *node = ep->node;
    if (ref.epoch != node->epoch || ref.rank >= (uint32_t)node->n_ranks) return NULL;
    int place = node->node_rank_of[ref.rank];
    if (place < 0) return NULL;
    const segment_t *seg = &node->segs[place];
    if (ref.slot >= seg->hdr->slots.n_chunks * 64) return NULL;
    slot_t *slot = (slot_t *)seg->slots + ref.slot;
    if (slot_rc_is_free(atomic_load_explicit(&slot->rc, memory_order_acquire)) || atomic_load_explicit(&slot->gen, memory_order_relaxed) != ref.gen) return NULL;
    *sid_p = (sid_t)place << 24 | ref.slot;
    return slot;
}
/* What slot_find() says where slot_here() finds nothing. */
int slot_not_here(const ep_t *ep, mray_ref ref, sid_t *sid_p);
/* Errors: INVALID_REF with a sentence (nil, other session, released). *sid_p = 0 with MRAY_OK: the owner is on another node. */
static inline int slot_find(const ep_t *ep, mray_ref ref, sid_t *sid_p)
{
    return slot_here(ep, ref, sid_p) != NULL ? MRAY_OK : slot_not_here(ep, ref, sid_p);
}
mray_ref slot_ref(const ep_t *ep, sid_t sid);

/* n slots in a row, PENDING, with the creator's and the producer's hold; 0 when the table is full. All get one generation. */
sid_t slot_alloc(ep_t *ep, uint32_t n);
/* A slot that has its value (at most SLOT_INLINE_BYTES) and the creator's hold from the start: cheaper than to alloc, stage and publish. 0 as above. */
sid_t slot_alloc_ready(ep_t *ep, uint8_t dtype, uint8_t ndim, const void *value, uint32_t bytes);

/* The record that will write a pending slot, as far as one can know: it may have done so by now, and the answer be another record or
 * none (0). The caller believes the record's word and what it says of its results. */
rid_t slot_producer(const ep_t *ep, const slot_t *slot);
void slot_set_producer(slot_t *slot, rid_t rid);

/* One change of the holds; the last hold dropped destroys the slot and its payload. */
void slot_change(ep_t *ep, sid_t sid, rc_op_t op);
/* A slot from slot_alloc() that nobody was told of: both its holds. */
void slot_give_back(ep_t *ep, sid_t sid);
/* The same while the change of record rid's held bit belongs to it. */
void slot_hold_for(ep_t *ep, sid_t sid, rid_t rid, unsigned bit);
void slot_drop_for(ep_t *ep, sid_t sid, rid_t rid, unsigned bit);
void slot_note_held(record_t *rec, unsigned bit, bool held);
/* A hold of the endpoint itself (a view, a retained ref), noted in its ledger if it is mortal; false when the ledger is full. */
bool slot_hold_own(ep_t *ep, sid_t sid);
/* The same for a ref that may just be dying: false if it was, or if the ledger is full. */
bool slot_try_hold_own(ep_t *ep, mray_ref ref, sid_t *sid_p);
/* false when a mortal endpoint's ledger has no such hold. */
bool slot_drop_own(ep_t *ep, sid_t sid);
/* Drop the ref that a call of this endpoint returned, or a retained one. Errors: INVALID_REF (none is held). */
int slot_release_ref(ep_t *ep, sid_t sid);
/* Payload and slot to nobody. Repeatable: a second call by a recovering agent finds what the first left. */
void slot_destroy(ep_t *ep, sid_t sid);

/* kind, bytes and u are written: publish, wake the watcher, fire the waiters. Once a slot. */
void slot_complete(ep_t *ep, sid_t sid);
/* Finish a completion that a dead endpoint may have begun; after slot_fire_again(). */
void slot_complete_again(ep_t *ep, sid_t sid);
/* Ask ahead for what slot_complete() will need of the first waiter. */
void slot_fetch_waiter(const ep_t *ep, sid_t sid);
/* Tell the waiters in list `link` of slot sid. */
void slot_fire(ep_t *ep, sid_t sid, uint64_t link);
/* Go on where a dead endpoint's journal says that it was telling waiters. */
void slot_fire_again(ep_t *ep, const ep_journal_t *j);

static inline bool slot_is_ready(const slot_t *slot)
{
    return (atomic_load_explicit(&slot->state, memory_order_acquire) & 0xff) == SLOT_READY;
}

/* Put ref argument i of record rid on the slot's waiter list; false when the slot is ready already. */
bool slot_add_waiter(ep_t *ep, sid_t sid, rid_t rid, unsigned i);
/* Ask to be woken when the slot is ready; false when it is ready already. Stale requests cost a needless wake. */
bool slot_watch(ep_t *ep, slot_t *slot);

/* Checksum over what a reader on another node believes. */
uint32_t slot_checksum(const slot_t *slot);

#endif
