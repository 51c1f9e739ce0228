/* head.h: the cluster's side of scheduling, at rank 0's agent: hellos into the node table, asks and returns of leases, choosing a rank. */
#ifndef MRAY_EXEC_HEAD_H
#define MRAY_EXEC_HEAD_H

#include "agent.h"
#include "lease_table.h"
#include "policy.h"

/* CONTROL_LEASE_ASK: slots of a shape are wanted, that many in all. */
typedef struct {
    node_shape_t shape;
    uint32_t wanted, serial;
} lease_ask_t;

/* CONTROL_LEASE_RETURN: all slots of the shape come back. */
typedef struct {
    node_shape_t shape;
    uint32_t serial;
} lease_return_t;

enum { LEASES_A_RECORD = 96, LEASES_A_MESSAGE = 4000 };

/* CONTROL_LEASE_GRANT: what changed of what the holder has: n lease_t follow, each how many slots of a rank it has from now on. In several
 * messages where one is too small. */
typedef struct {
    node_shape_t shape;
    uint32_t serial;
    uint32_t capacity; /* of the whole job; 0: no rank can run it */
    uint8_t first;     /* nothing of what was granted before stays */
    uint8_t last;
    uint16_t n;
    uint32_t reserved;
    uint64_t best_cpu, best_amount; /* the most that one rank has */
} lease_grant_t;

/* On every rank: registers the handlers; on rank 0 makes the tables. Errors: OUT_OF_MEMORY. */
int head_create(agent_t *agent, head_t **head_p);
void head_destroy(head_t *head);

/* The rest is for rank 0. */
node_table_t *head_nodes(const head_t *head);
const lease_table_t *head_leases(const head_t *head);
/* What stays on a rank without a lease (an actor) takes its share there, and gives it back. */
void head_take(head_t *head, int rank, const node_shape_t *shape);
void head_give(head_t *head, int rank, const node_shape_t *shape);
/* A rank is lost: nothing is granted there any more. */
void head_rank_died(head_t *head, int rank);

#endif
