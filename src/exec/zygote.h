/* zygote.h: the process that makes worker processes.
 *
 * It is forked from the rank before MPI starts, so that workers have nothing of MPI in them, and it does nothing but fork, wait for
 * deaths and report them: exit status into the endpoint, state EP_DEAD, and the agent is woken. Whoever dies takes what
 * depends on it along: rank -> zygote -> workers, by PR_SET_PDEATHSIG. */
#ifndef MRAY_EXEC_ZYGOTE_H
#define MRAY_EXEC_ZYGOTE_H

#include "node.h"

typedef struct zygote zygote_t;

/* What a worker needs beyond the node: inherited settings are not enough, since a session may differ from the last. */
typedef struct {
    uint64_t full_wait_ns;
    int32_t log_level;
} zygote_settings_t;

/* Fork it. Once a process; the main thread only, before MPI_Init. Errors: SYSTEM. */
int zygote_start(zygote_t **zygote_p);
/* Map the segments of a new session. Errors: SYSTEM (with the zygote's sentence). */
int zygote_attach(zygote_t *zygote, const node_description_t *description, const zygote_settings_t *settings);
/* Fork a worker for endpoint index (reserved by ep_reserve()), bound to pu (-1: not bound). Does not wait for it. */
int zygote_spawn(zygote_t *zygote, unsigned index, int32_t kind, int32_t pu);
/* End of a session: all workers have left or are killed; the maps are dropped. */
int zygote_detach(zygote_t *zygote);
/* The zygote itself ends. */
void zygote_stop(zygote_t *zygote);
/* False when it has died. */
bool zygote_alive(const zygote_t *zygote);

#endif
