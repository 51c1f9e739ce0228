/* copies.h: which slots of this node are copies of objects elsewhere, so that an object is pulled once a node however many of its ranks ask.
 *
 *   seg of rank hash(origin) % ranks of the node:   entries   origin -> sid, last use      open addressing, linear probing, lock
 *   seg of the rank that has the slot:              origins   slot index -> origin, who asked and comes back
 *                                                             without a lock, by whoever holds the slot
 *
 * Only agents take a lock, and they live as long as the node does, so none is left behind. */
#ifndef MRAY_STORE_COPIES_H
#define MRAY_STORE_COPIES_H

#include "slot.h"

/* The copy of origin, held for the caller (slot_change(RC_DROP) gives it back); 0 if there is none. */
sid_t copies_find(ep_t *ep, mray_ref origin);
/* Make sid, a slot of ep's rank, the copy of origin, unless another rank was faster: the one that counts is returned, held for the caller.
 * 0 when the table is full. */
sid_t copies_add(ep_t *ep, mray_ref origin, sid_t sid);
/* Forget the copy if nobody but its creator holds it and nobody asked for it since before_ns; nobody finds it then. One that somebody comes
 * back for only if `asked`. */
bool copies_remove_unused(ep_t *ep, mray_ref origin, sid_t sid, uint64_t before_ns, bool asked);
/* What sid is a copy of; nil if of nothing. The caller holds sid. */
mray_ref copies_origin(const ep_t *ep, sid_t sid);

/* For any endpoint, while it holds the copy: it drops it without having had the value, and may come back. */
void copies_note_asker(const ep_t *ep, sid_t sid);
/* It has had the value. What others asked for stays asked for. */
void copies_note_taker(const ep_t *ep, sid_t sid);
/* Somebody may come back. */
bool copies_is_asked(const ep_t *ep, sid_t sid);
/* Nobody does. */
void copies_forget_asker(const ep_t *ep, sid_t sid);

#endif
