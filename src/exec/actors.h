/* actors.h: the agent's part in actors: making them, finding them, ending them. */
#ifndef MRAY_EXEC_ACTORS_H
#define MRAY_EXEC_ACTORS_H

#include "agent.h"

int actors_create(agent_t *agent, actors_t **actors_p);
void actors_destroy(actors_t *actors);
/* A METHOD or ACTOR record that is not for an endpoint of this node's queues yet. */
void actors_on_record(actors_t *actors, rid_t rid, record_t *rec);
/* An actor's process ended. */
void actors_on_death(actors_t *actors, uint16_t gid);

#endif
