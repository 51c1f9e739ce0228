/* worker_main.h: how a worker starts: as a process, forked by the zygote, or as a thread of the rank. */
#ifndef MRAY_EXEC_WORKER_MAIN_H
#define MRAY_EXEC_WORKER_MAIN_H

#include "endpoint.h"

void worker_main_settings(uint64_t full_wait_ns);
/* Never returns: serves until the session stops, then ends the process. */
_Noreturn void worker_main_process(node_t *node, unsigned index, ep_kind_t kind, int pu);
/* Start a thread for a reserved endpoint; it ends when the session stops. Errors: SYSTEM. */
int worker_main_thread(node_t *node, unsigned index, ep_kind_t kind, int pu);

#endif
