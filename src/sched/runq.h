/* runq.h: what a worker runs next.
 *
 * Records come in by the inbox. The worker sorts them into lanes by submitter and takes from the lanes in turn, so that a
 * submitter with a million tasks does not keep another's one task waiting. A few at a time are noted in its batch; each is
 * claimed by a compare-and-swap on its word, so until then it can be taken away: by the agent, which moves work from busy to
 * idle workers, or by somebody who waits for its result and runs it on the spot.
 *
 * Lanes are plain lists under the endpoint's lock. If its holder dies, the agent throws the lists away and makes them anew from the
 * records that name the endpoint as their target. */
#ifndef MRAY_SCHED_RUNQ_H
#define MRAY_SCHED_RUNQ_H

#include "endpoint.h"

/* Next record, claimed (RUNNING by ep), or 0. */
rid_t runq_next(ep_t *ep);
/* Queue a ready record behind the current task of ep itself: the result it reads is warm here. WAITING -> QUEUED is done. */
void runq_push_self(ep_t *ep, rid_t rid);
/* Take up to n unstarted tasks away from victim, oldest submissions first; they are MOVING in the caller's hands. */
unsigned runq_take(ep_t *ep, ep_shared_t *victim, uint16_t victim_gid, unsigned n, rid_t *rids);
/* A record that was just unlinked from the queue of from_gid: MOVING in ep's hands, or let go because somebody runs it inline (false). */
bool runq_take_over(ep_t *ep, rid_t rid, uint16_t from_gid);
/* Claim record rid, wherever it is queued, if it is unstarted and still has this word; it stays linked there. */
bool runq_claim_inline(ep_t *ep, record_t *rec, uint64_t word);
/* The queue in which a record stands lets go of it, because somebody runs it inline. */
void runq_let_go(ep_t *ep, rid_t rid, record_t *rec);
/* Done with a record: free it now, or leave it to the queue it stands in. */
void runq_free_record(ep_t *ep, rid_t rid, record_t *rec);
/* Let go of records that were run inline while they stood in queues of this node's workers, so that their memory can be used again; how many.
 * Walks all queues: for when the tables are full. Agent only. */
unsigned runq_purge(ep_t *ep);
/* How many records wait here: lanes, batch and an unread inbox (counted as one). A hint. */
unsigned runq_depth(const ep_shared_t *sh);
/* The same with every record of the inbox. Agent only. */
unsigned runq_count(ep_t *ep, ep_shared_t *of);
/* Is rid in of's inbox, lanes or batch? Moves the inbox into the lanes to find out. Agent only. */
bool runq_contains(ep_t *ep, ep_shared_t *of, rid_t rid);
/* dead_gid was reaped: its lists are dropped, its lock is free, records linked there are let go. Agent only. */
void runq_recover(ep_t *ep, uint16_t dead_gid);

#endif
