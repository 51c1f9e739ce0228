/* route.h: where a ready record goes.
 *
 * On the node a record is pushed straight into a worker's inbox; what is for another node, for an actor that is not here, or
 * finds no worker, goes to the rank's own agent. The choice among workers: an idle and awake one, then an idle one, then in turn;
 * ranks whose arenas hold most bytes of the arguments come first.
 *
 * No sleeping worker is woken for a task without a CPU for it (route_has_cpu): it would take turns with those that are awake, and the switches cost
 * more than the task. The task stands behind others at a worker that is awake, and the node is `packed`: the agent of its first rank looks every
 * millisecond whether queues move (exec/balance.c).
 *
 * A task that a worker makes ready stays with it, or goes to an idle one; while all are busy it goes to the worker that has touched most of its
 * arguments' slots last, whose cache has them.
 *
 * A task is routed by the leases of the rank that submitted it (where its record lies), whoever hands it on. Without leases it goes to the
 * agent, which asks for some. Idle workers of the node beyond the leases help: balancing would move the work to them anyway. */
#ifndef MRAY_SCHED_ROUTE_H
#define MRAY_SCHED_ROUTE_H

#include "endpoint.h"

/* Hand on record rid: WAITING with no pending bit, or BUILDING by ep (a record without pending arguments). Does nothing if another endpoint
 * did it first. */
void route_ready(ep_t *ep, rid_t rid);
/* Hand on a record that is MOVING in ep's hands: taken out of a queue, or to be run again. */
void route_requeue(ep_t *ep, rid_t rid);
/* Push to one endpoint; false when its inbox is closed: the record is then MOVING in the caller's hands. */
bool route_push(ep_t *ep, rid_t rid, record_t *rec, uint16_t target);
/* A message to an agent of this node: type and up to RECORD_MAX_BODY bytes. Errors: LIMIT (no record is free). */
int route_control(ep_t *ep, uint16_t agent_gid, uint32_t type, const void *body, uint32_t bytes);
/* A worker that is not blocked, on a rank on which the record's rank holds leases, or an idle one elsewhere on the node; or 0: none, or
 * no leases. exclude may be 0. */
uint16_t route_pick_worker(ep_t *ep, rid_t rid, const record_t *rec, uint16_t exclude);
/* Is there a CPU for worker gid, asleep or awake? Of its rank's cores, if it is bound to one of them, else of the node's CPUs, less than all are used by
 * others that are awake, not counting agents, whose rounds are short. */
bool route_has_cpu(const node_t *node, uint16_t gid);
/* Tasks stand in a queue though workers sleep: have somebody look after it. Call it after the push. */
void route_tell_packed(const node_t *node);
/* A worker that was picked and gets no task after all: it says again that it is idle, and falls asleep if it was. gid may be 0. */
void route_unpick(const node_t *node, uint16_t gid);
/* Any idle worker of the node, asleep or not; 0: none. */
uint16_t route_pick_idle(ep_t *ep, uint16_t exclude);
/* The same as route_pick_worker() among the workers of ep's own rank. */
uint16_t route_pick_own(ep_t *ep, uint16_t exclude);

#endif
