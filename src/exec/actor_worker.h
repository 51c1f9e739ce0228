/* actor_worker.h: the loop of the worker of one actor. */
#ifndef MRAY_EXEC_ACTOR_WORKER_H
#define MRAY_EXEC_ACTOR_WORKER_H

#include "endpoint.h"

/* A call's place in the function table that asks the actor to end. */
#define ACTOR_FN_STOP (UINT32_MAX - 1)

/* Serve until the actor ends or the rank stops. Returns then, with the inbox closed. */
void actor_worker_serve(ep_t *ep);

#endif
