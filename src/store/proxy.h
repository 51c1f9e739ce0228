/* proxy.h: a local slot for an object of another node. The rank's agent keeps one proxy a remote ref, so that each object is
 * pulled once a node; who needs one asks it. */
#ifndef MRAY_STORE_PROXY_H
#define MRAY_STORE_PROXY_H

#include "slot.h"

/* The proxy of a remote ref, held once for the caller (RC_DROP gives it back); it becomes ready when the object has been fetched.
 * Errors: as the agent reports them. Waits for the agent's answer, not for the object. */
int proxy_acquire(ep_t *ep, mray_ref ref, sid_t *sid_p);

#endif
