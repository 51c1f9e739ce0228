/* remote.h: the agent's part in what crosses nodes: tasks sent and received, results, proxies, holds. */
#ifndef MRAY_EXEC_REMOTE_H
#define MRAY_EXEC_REMOTE_H

#include "agent.h"

int remote_create(agent_t *agent, remote_t **remote_p);
void remote_destroy(remote_t *remote);
/* A NOTIFY record fired. */
void remote_on_notify(remote_t *remote, rid_t rid, record_t *rec);
/* Send a ready record (TASK, METHOD or ACTOR; QUEUED for this agent) to another node's rank. It stays here, RUNNING by the agent, until its
 * results come back. */
void remote_forward(remote_t *remote, rid_t rid, int rank);
int remote_round(remote_t *remote);

#endif
