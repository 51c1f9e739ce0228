/* actors_head.h: rank 0's part in actors: names, placement, who ends with whom. */
#ifndef MRAY_EXEC_ACTORS_HEAD_H
#define MRAY_EXEC_ACTORS_HEAD_H

#include "actors.h"

typedef struct actors_head actors_head_t;

int actors_head_create(agent_t *agent, actors_head_t **head_p);
void actors_head_destroy(actors_head_t *head);

/* CONTROL_ACTOR_MADE. */
typedef struct {
    uint32_t ticket, id;
    int32_t status; /* not MRAY_OK: it cannot be made; text says why */
    char text[480];
} actors_made_t;

void actors_head_place(actors_head_t *head, const actors_place_t *place);
/* Actors that wait for room. */
int actors_head_round(actors_head_t *head);
void actors_head_made(actors_head_t *head, const actors_made_t *made);
void actors_head_find(actors_head_t *head, const actors_find_t *find);
void actors_head_forget(actors_head_t *head, uint32_t rank, uint32_t id);
/* id 0: a worker. */
void actors_head_dead(actors_head_t *head, const actors_gone_t *dead);
/* A rank is given up: its actors are dead, and what was made there ends. */
void actors_head_rank_lost(actors_head_t *head, int rank);

#endif
