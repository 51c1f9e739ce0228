/* recall.h: work stealing between nodes. Plain tasks that were sent to a node and have not begun there are called back when another slot of
 * this rank's leases has nothing to do. The submitter's agent moves them, since it alone knows where its tasks are and holds their records.
 *
 *   here                                                    there
 *   a slot is idle; this place has more tasks than slots,
 *   and none has come back from it for a while  --RECALL-->  takes some of ours out of its workers' queues
 *   back into the queue of its shape            <--RESULT--  each ends with RECALL_UNSTARTED instead of a value
 *   may be asked again                         <--RECALLED--
 */
#ifndef MRAY_EXEC_RECALL_H
#define MRAY_EXEC_RECALL_H

#include "agent.h"
#include "demand.h"

/* The status of a result whose task was not begun; no public one, and never seen by a user. */
enum { RECALL_UNSTARTED = 0xffff };

void recall_register(agent_t *agent);
typedef struct {
    uint64_t look_ns; /* when to look next */
    bool behind;      /* some place had more tasks than slots at the last look */
} recall_t;

/* Ask the place that is furthest behind, if a slot is idle and nothing waits here; looks every now and then only, since it looks at all
 * places. 1 if it asked. */
int recall_round(recall_t *recall, agent_t *agent, demand_t *plain, uint64_t now_ns);
/* How long the agent may sleep before it looks again. */
uint64_t recall_nap_ns(const recall_t *recall);

#endif
