/* worker.h: the loop of a worker, process or thread, and giving up its CPU while it waits.
 *
 * A rank wants n_workers workers running. One that blocks in a get leaves the worker mask, hands its queue on and lets a spare one take its
 * place (or asks the agent for a new one). When it goes on there is one too many for a while; whoever finishes a task and finds
 * too many running becomes a spare. */
#ifndef MRAY_EXEC_WORKER_H
#define MRAY_EXEC_WORKER_H

#include "endpoint.h"

/* Serve until the rank stops. Returns then. */
void worker_serve(ep_t *ep);
/* A claimed record that came to the wrong endpoint, because its index has a new user. */
void worker_pass_on(ep_t *ep, rid_t rid);
/* Around a wait inside a task. */
void worker_block(ep_t *ep);
void worker_unblock(ep_t *ep);
/* Something came into the inbox of a blocked worker: hand it on. */
void worker_hand_on(ep_t *ep);
/* Start accepting tasks, or stand by if enough do. */
void worker_join(ep_t *ep);
int worker_count(const seg_header_t *h);
/* Of these the idle ones. */
int worker_count_idle(const seg_header_t *h);

#endif
