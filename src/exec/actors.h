/* actors.h: the agent's part in actors: making them, finding them, ending them.
 *
 *   caller -PLACE-> own agent -PLACE-> rank 0: name free? which rank? -MAKE-> that rank: endpoint reserved, worker started
 *   caller <-handle (a slot)---------- rank 0 <-------------------------MADE-
 *   caller -constructor's record, then methods' records-> the actor's endpoint (same node), or by the agents
 *
 * The actor's number is the index of its endpoint | serial << 8, and the endpoint's shared half says whose it is (sh->actor), so that who
 * has a handle and is on the node pushes calls straight into its inbox, and nobody takes a later user of the endpoint for it.
 *
 * Death. An actor that ends by itself (stopped, constructor failed) says so to its agent (ENDS); one that is killed or crashes is
 * found by the crew. Either way sh->actor becomes 0, the inbox is closed, what stood in it fails, the agent keeps the reason for
 * calls that come later, tells rank 0 (DEAD), which forgets the name, ends what the dead one had made, and tells the other nodes (GONE). */
#ifndef MRAY_EXEC_ACTORS_H
#define MRAY_EXEC_ACTORS_H

#include "actor_table.h"
#include "agent.h"

/* Why an actor is to end: ep_shared_t.actor_end. */
typedef enum { ACTOR_END_NONE = 0, ACTOR_END_KILLED, ACTOR_END_MAKER_DIED } actor_end_t;
/* "was ended by ..." */
const char *actors_end_text(uint32_t end);

/* CONTROL_ACTOR_PLACE: a request, answered with an mray_actor. */
typedef struct {
    mray_ref reply;
    actor_maker_t maker;
    uint32_t class_fn;
    int32_t detached;
    uint32_t strategy; /* node_strategy_t */
    uint32_t reserved;
    double num_cpus, resource_amount;
    char name[ACTOR_NAME_BYTES];
    char resource[ACTOR_NAME_BYTES];
} actors_place_t;

/* CONTROL_ACTOR_FIND: a request, answered with an mray_actor. */
typedef struct {
    mray_ref reply;
    char name[ACTOR_NAME_BYTES];
} actors_find_t;

/* CONTROL_ACTOR_KILL. */
typedef struct {
    uint32_t rank, id, end;
    uint32_t relayed; /* by an agent: rank 0 knows */
} actors_kill_t;

/* CONTROL_ACTOR_ENDS, CONTROL_ACTOR_GONE. */
typedef struct {
    uint32_t rank, id;
    actor_maker_t maker; /* the dead one itself */
    char reason[480];
} actors_gone_t;

/* What endpoints are called as makers of actors: index and incarnation. */
static inline actor_maker_t actors_maker(const ep_shared_t *sh, int rank, uint16_t gid)
{
    return (actor_maker_t){(uint32_t)rank, (gid & 0xffu) | atomic_load_explicit(&sh->incarnation, memory_order_relaxed) << 8};
}

int actors_create(agent_t *agent, actors_t **actors_p);
void actors_destroy(actors_t *actors);
/* Rank 0: a rank is given up, and its actors with it. */
void actors_rank_lost(actors_t *actors, int rank);
/* Returns how many things it did. */
int actors_round(actors_t *actors);
/* A METHOD or ACTOR record that is not for an endpoint of this node's queues yet. */
void actors_on_record(actors_t *actors, rid_t rid, record_t *rec);
/* The process of an actor or a worker ended, and the node was made whole. */
void actors_on_death(actors_t *actors, uint16_t gid);

#endif
