/* recover.h: after the death of a worker. */
#ifndef MRAY_EXEC_RECOVER_H
#define MRAY_EXEC_RECOVER_H

#include "agent.h"

/* gid was reaped: finish or undo what it was at, give back what it held, repeat or fail its task. Afterwards nothing on the node names
 * it, and its index may be used again. With the agent's lock. */
void recover_endpoint(agent_t *agent, uint16_t gid);

#endif
