/* leases.h: this rank's leases, and its ready tasks that wait for one.
 *
 * For tasks of one CPU and nothing else ("plain"), leases on ranks of the own node are published in the segment, and submitters push
 * straight to workers there (sched/route.c). What finds none comes to the agent, and so does every task of another shape:
 *
 *   task -> queue of its shape, a lane a submitter -> a leased rank with room
 *        plain, own node     a worker's inbox
 *        shape, own node     that rank's agent, which admits it when its resources are free (exec/shapes.c)
 *        other node          remote_forward(); AHEAD records a slot at most, the rest stays here for whoever becomes free first
 *
 * Rank 0 is asked for as many slots as there are tasks, at least twice as many as the last time, so the messages are a handful; unused
 * for half a second, leases are returned. Plain tasks that queue up at workers of this node while slots elsewhere have room are pulled
 * back and sent there. A shape that no rank has fails its tasks after a while. */
#ifndef MRAY_EXEC_LEASES_H
#define MRAY_EXEC_LEASES_H

#include "agent.h"
#include "node_table.h"

int leases_create(agent_t *agent, leases_t **leases_p);
void leases_destroy(leases_t *leases);
/* How long a task may wait for what no rank has. */
void leases_set_limit(leases_t *leases, uint64_t unschedulable_ns);
/* A ready TASK of any shape that no rank was chosen for yet, MOVING in this agent's hands. */
void leases_on_task(leases_t *leases, rid_t rid, record_t *rec);
/* A task that was sent to rank is over or blocks in a get (by = -1), or goes on (by = 1): those that block take no room, so that what they wait
 * for finds some. */
void leases_count(leases_t *leases, int rank, const node_shape_t *shape, int by);
/* Tell the agent of rank, which sent a task to this rank. */
void leases_tell_sender(leases_t *leases, int rank, const node_shape_t *shape, int by);
/* rank has answered a recall. */
void leases_recalled(leases_t *leases, int rank);
int leases_round(leases_t *leases);
/* How long the agent may sleep as far as leases go. */
uint64_t leases_nap_ns(const leases_t *leases);

/* CONTROL_TASK_WAITS, from a worker. */
typedef struct {
    int32_t rank; /* that sent the task */
    int32_t at;   /* where it sent it: another rank of that node may run it */
    int32_t by;
} leases_waits_t;

node_shape_t leases_shape_of(const record_t *rec);

#endif
