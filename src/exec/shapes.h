/* shapes.h: tasks that want something else than one CPU: fractions, several CPUs, custom resources. */
#ifndef MRAY_EXEC_SHAPES_H
#define MRAY_EXEC_SHAPES_H

#include "agent.h"

int shapes_create(agent_t *agent, shapes_t **shapes_p);
void shapes_destroy(shapes_t *shapes);
/* A ready task with shape != 0 reached this rank's agent. */
void shapes_on_record(shapes_t *shapes, rid_t rid, record_t *rec);
int shapes_round(shapes_t *shapes);

#endif
