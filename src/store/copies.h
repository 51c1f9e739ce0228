/* copies.h: which slots of this node are copies of objects elsewhere, so that an object is pulled once a node however many of its ranks ask.
 *
 *   seg of rank hash(origin) % ranks of the node:   entries   origin -> sid, last use      open addressing, linear probing, lock
 *   seg of the rank that has the slot:              origins   slot index -> origin         read without a lock by whoever holds the slot
 *
 * Only agents come here, and they live as long as the node does, so a lock is never left behind. */
#ifndef MRAY_STORE_COPIES_H
#define MRAY_STORE_COPIES_H

#include "slot.h"

/* The copy of origin, held for the caller (slot_change(RC_DROP) gives it back); 0 if there is none. */
sid_t copies_find(ep_t *ep, mray_ref origin);
/* Make sid, a slot of ep's rank, the copy of origin, unless another rank was faster: the one that counts is returned, held for the caller.
 * 0 when the table is full. */
sid_t copies_add(ep_t *ep, mray_ref origin, sid_t sid);
/* Forget the copy if nobody but its creator holds it and nobody asked for it since before_ns; nobody finds it then. */
bool copies_remove_unused(ep_t *ep, mray_ref origin, sid_t sid, uint64_t before_ns);
/* What sid is a copy of; nil if of nothing. The caller holds sid. */
mray_ref copies_origin(const ep_t *ep, sid_t sid);

#endif
