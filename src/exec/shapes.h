/* shapes.h: tasks that want something else than one CPU, at the rank that runs them: fractions, several CPUs, custom resources.
 *
 *   leases.c of the submitting rank chose this rank (RECORD_SHAPE_PLACED)
 *      -> queue of the shape, first come first served
 *      -> admitted when the ledger has what it takes: custom resources, and CPUs
 *      -> run by a worker outside worker_mask, so that no plain task is pushed to it
 *      -> given back when the record is over, seen by its generation; or comes back because its worker died, or is blocked in a get
 *
 * CPUs: shaped tasks together take ceil(sum of their CPUs) workers out of the mask, by lowering n_workers in the segment header: idle
 * workers are made spare at once, busy ones leave when their task is done. The tasks run on spare workers, of which more are made as
 * fractions and tasks of no CPU need them. The oldest task that lacks CPUs keeps younger ones from taking them, so a wide task is
 * not starved by narrow ones; and after shaped tasks had every CPU of the rank for a while, plain ones get a moment.
 *
 * Workers count what the agent should look at in hdr->shape_news and wake it. */
#ifndef MRAY_EXEC_SHAPES_H
#define MRAY_EXEC_SHAPES_H

#include "agent.h"
#include "node_table.h"

int shapes_create(agent_t *agent, shapes_t **shapes_p);
void shapes_destroy(shapes_t *shapes);
/* What this rank has; before the first task. */
void shapes_set_resources(shapes_t *shapes, const node_hello_t *has);
/* A ready task with shape != 0 reached this rank's agent: new, placed here, or back from a worker that died. */
void shapes_on_record(shapes_t *shapes, rid_t rid, record_t *rec);
/* rid is a task of another node's rank. Before it is ready. */
void shapes_note_sender(shapes_t *shapes, rid_t rid, int rank);
/* It was placed here. */
void shapes_admit(shapes_t *shapes, rid_t rid, record_t *rec);
int shapes_round(shapes_t *shapes);
/* Something to look at; how long the agent may sleep. */
bool shapes_has_news(const shapes_t *shapes);
uint64_t shapes_nap_ns(const shapes_t *shapes);

#endif
