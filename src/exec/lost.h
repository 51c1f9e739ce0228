/* lost.h: a rank of another node is given up: what was expected of it ends with MRAY_ERR_NODE_DIED.
 *
 *   rank 0: silent for MRAY_NODE_DEAD_TIMEOUT (gcs/health.h)
 *      -> leases on it and of it are taken back, told to their holders -> LOST to every other rank -> its actors are dead, names are free
 *   every rank, on LOST:
 *      tasks sent there      run again elsewhere, if their options allow another try; else their results are the error
 *      calls of actors there fail; later ones at once
 *      objects there         who waits for one gets the error; so do later gets
 *      its messages          are not taken any more, in case that it lives after all
 *
 * A message in flight from the lost rank may have been the last that was needed; then the task runs twice, as after a worker's death.
 *
 * MPI cannot do anything collective with a rank that does not answer. So a session that lost one ends without barrier and window's end, no other can follow
 * in the process, and the process ends by MPI_Abort with its own exit code. */
#ifndef MRAY_EXEC_LOST_H
#define MRAY_EXEC_LOST_H

#include "agent.h"

/* Errors: OUT_OF_MEMORY. */
int lost_create(agent_t *agent);
void lost_destroy(agent_t *agent);
/* Rank 0: give a rank up. */
void lost_declare(agent_t *agent, int rank, double silent_s);
/* "rank 3 is lost: ..." */
int lost_error(char *text, size_t text_bytes, int rank);

static inline bool lost_is(const agent_t *agent, int rank)
{
    return agent->n_lost > 0 && agent->lost[rank] != 0;
}

#endif
