/* recover.h: after the death of a worker. */
#ifndef MRAY_EXEC_RECOVER_H
#define MRAY_EXEC_RECOVER_H

#include "agent.h"

/* gid was reaped: finish or undo what it was at, give back what it held, repeat or fail its task. Afterwards nothing on the node names
 * it, and its index may be used again. With the agent's lock. */
void recover_endpoint(agent_t *agent, uint16_t gid);
/* How a dead endpoint's process ended, in words: "was killed by SIGSEGV". */
void recover_describe(const ep_shared_t *sh, char *text, size_t text_bytes);

/* Take locks from this rank's dead that are not buried yet: the agent itself, or another rank's, may be waiting for one. What they guard is
 * repaired. With the agent's lock. */
void recover_release_locks(agent_t *agent);

#endif
