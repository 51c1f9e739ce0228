/* acquire.h: how a thread comes to the node's copy of another node's object (proxies.h).
 *
 *   the driver, which may make the agent's rounds   takes the agent's lock if that is free, and has its proxy made in the round
 *   others, or if that gives none                   ask the agent, and hold what its answer names
 *
 * Between the answer and the hold the copy may go: then once more. */
#ifndef MRAY_EXEC_ACQUIRE_H
#define MRAY_EXEC_ACQUIRE_H

#include "agent.h"
#include "slot.h"

/* For any endpoint: the proxy's slot, held: slot_drop_own() gives it back, after copies_note_asker() by who may come back. Waits for the agent, not for
 * the object. Errors: LIMIT. */
int acquire_proxy(ep_t *ep, mray_ref ref, sid_t *sid_p);
void acquire_register(agent_t *agent);

#endif
