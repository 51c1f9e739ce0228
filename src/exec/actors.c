#include "actors.h"
#include "worker.h"
#include <stdlib.h>
struct actors { agent_t *agent; };
int actors_create(agent_t *agent, actors_t **p) { *p = calloc(1, sizeof **p); (*p)->agent = agent; return 0; }
void actors_destroy(actors_t *s) { free(s); }
void actors_on_record(actors_t *s, rid_t rid, record_t *rec) { (void)s; (void)rec; (void)rid; }
void actors_on_death(actors_t *s, uint16_t gid) { (void)s; (void)gid; }
void worker_serve_actor(ep_t *ep) { (void)ep; }
