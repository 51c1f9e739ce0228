/* crew.h: the workers of a rank: making them, and what happens when one dies. */
#ifndef MRAY_EXEC_CREW_H
#define MRAY_EXEC_CREW_H

#include "agent.h"
#include "zygote.h"

/* Where a worker runs. */
typedef struct {
    int pu;    /* -1: not bound */
    int group; /* those of one group share a cache; -1: not bound */
} crew_core_t;

typedef struct {
    bool threads;         /* workers are threads of this process */
    int n_workers;        /* how many shall run tasks at a time */
    const crew_core_t *cores; /* n_workers of them */
    zygote_t *zygote;     /* process mode */
} crew_config_t;

int crew_create(agent_t *agent, crew_t **crew_p);
void crew_destroy(crew_t *crew);
/* Start the workers. Errors: LIMIT, SYSTEM. */
int crew_start(crew_t *crew, const crew_config_t *config);
/* Deaths to be dealt with, workers to be made. */
int crew_round(crew_t *crew);
bool crew_has_news(const crew_t *crew);
/* Counts the deaths that were dealt with, as far as one round found them. */
uint32_t crew_deaths(const crew_t *crew);
/* A task found no worker, or one blocks without a spare: make one if fewer than n_workers run. */
void crew_want_worker(crew_t *crew);
/* Make a worker beyond n_workers, unless one is starting. */
void crew_want_spare(crew_t *crew);
/* A worker for an actor, on an endpoint reserved for it. The actor's number is index | serial << 8. Errors: LIMIT, SYSTEM. */
int crew_spawn_actor(crew_t *crew, uint32_t serial, uint32_t *actor_p);
/* End an endpoint's process now (an actor that is killed). A thread is only told to stop. */
void crew_kill(crew_t *crew, unsigned index);
/* All leave: returns when threads have left; processes are waited for by zygote_detach(). */
void crew_stop(crew_t *crew);

#endif
