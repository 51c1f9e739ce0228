/* route.h: where a ready record goes.
 *
 * On the node a record is pushed straight into a worker's inbox; what is for another node, for an actor that is not here, or
 * finds no worker, goes to the rank's own agent. The choice among workers: an idle and awake one, then an idle one, then in turn;
 * ranks whose arenas hold most bytes of the arguments come first. */
#ifndef MRAY_SCHED_ROUTE_H
#define MRAY_SCHED_ROUTE_H

#include "endpoint.h"

/* Hand on record rid: WAITING with no pending bit, or BUILDING by ep (a record without pending arguments), or QUEUED by ep's own
 * hand. Does nothing if another endpoint did it first. */
void route_ready(ep_t *ep, rid_t rid);
/* Push to one endpoint; false when its inbox is closed: the record is then still QUEUED in the caller's hands. */
bool route_push(ep_t *ep, rid_t rid, record_t *rec, uint16_t target);
/* A message to an agent of this node: type and up to RECORD_MAX_BODY bytes. Errors: LIMIT (no record is free). */
int route_control(ep_t *ep, uint16_t agent_gid, uint32_t type, const void *body, uint32_t bytes);
/* A worker that is not blocked, or 0. exclude may be 0. */
uint16_t route_pick_worker(ep_t *ep, const record_t *rec, uint16_t exclude);
/* The same among the workers of ep's own rank. */
uint16_t route_pick_own(ep_t *ep, uint16_t exclude);

#endif
