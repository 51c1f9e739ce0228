/* remote.h: tasks sent to other nodes and received from them, their results, and holds across nodes.
 *
 *   here                                        there
 *   record RUNNING by the agent  --RECORD-->    record of its own, result slots of its own; arguments by proxies, small ones come along
 *                                               runs like any other
 *   result slot completed        <--RESULT--    a NOTIFY record fires: small values travel, large ones stay and are pointed to
 *   arguments dropped, record freed             (kind REMOTE), kept by the slot there until the result's last hold goes (DROP)
 */
#ifndef MRAY_EXEC_REMOTE_H
#define MRAY_EXEC_REMOTE_H

#include "agent.h"
#include "slot.h"

int remote_create(agent_t *agent, remote_t **remote_p);
void remote_destroy(remote_t *remote);
/* Send a ready record (TASK, METHOD or ACTOR; QUEUED for this agent) to a rank of another node. It stays here, RUNNING by the agent, until its
 * results come back. */
void remote_forward(remote_t *remote, rid_t rid, int rank);
/* When slot sid of this node is ready, send rank a message of that type (READY, RESULT) that completes slot `to` there. */
void remote_notify_when_ready(remote_t *remote, sid_t sid, int rank, control_type_t type, mray_ref to, rid_t rid, uint32_t gen);
/* A NOTIFY record fired. */
void remote_on_notify(remote_t *remote, rid_t rid, record_t *rec);
/* An argument whose value another node has kept (kind REMOTE) is replaced by a proxy. True: the record waits now and comes back to the agent
 * when all are here; false: nothing to do, it can run. */
bool remote_localise(remote_t *remote, rid_t rid, record_t *rec);
/* How many records were sent to rank and have not come back. */
unsigned remote_outstanding(const remote_t *remote, int rank);

/* Another node's rank is given up: what was sent there runs again elsewhere, or fails. */
void remote_rank_lost(remote_t *remote, int rank);
/* A worker of this rank died: what it retained on other nodes is given back. */
void remote_on_death(remote_t *remote, uint16_t gid);

#endif
