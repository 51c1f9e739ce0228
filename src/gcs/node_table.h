/* node_table.h: what every rank has, at rank 0: the node table and the health view.
 *
 * A row a rank. UNKNOWN until its hello came, then ALIVE, and DEAD once it was lost; a dead rank has nothing. Amounts are in units of
 * 1 / NODE_UNIT. `used` is what rank 0 has granted by leases, not what runs at the moment: it is for choosing among ranks,
 * while each rank counts for itself what it admits. A rank without workers runs nothing, so it fits no shape.
 *
 * Every change of a row gets a number, and a ring remembers of which rank the last ones were: who keeps an order of the ranks brings it up
 * to date by looking at those alone.
 *
 * Private memory of rank 0's agent, under its lock. */
#ifndef MRAY_GCS_NODE_TABLE_H
#define MRAY_GCS_NODE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    NODE_UNIT = 10000,         /* as SHAPE_UNIT of records */
    NODE_RESOURCE_NAME = 32,   /* bytes of a name, NUL included */
    NODE_MAX_RESOURCES = 16,   /* custom resources of one rank, GPU included */
    NODE_FREE_SLOTS = 64,      /* how many tasks at a time a rank takes that ask for nothing */
};

/* How a rank is chosen; as mray_strategy. */
typedef enum { NODE_STRATEGY_DEFAULT = 0, NODE_STRATEGY_SPREAD, NODE_STRATEGIES } node_strategy_t;

/* What a task occupies, and how its rank is chosen. Resources go by the hash of their name, 0 = none. */
typedef struct {
    uint32_t cpu, resource, amount;
    uint32_t strategy; /* node_strategy_t */
} node_shape_t;

static inline bool node_shape_same(const node_shape_t *a, const node_shape_t *b)
{
    return a->cpu == b->cpu && a->resource == b->resource && a->amount == b->amount && a->strategy == b->strategy;
}
/* They occupy the same, however their ranks are chosen. */
static inline bool node_shape_same_amounts(const node_shape_t *a, const node_shape_t *b)
{
    return a->cpu == b->cpu && a->resource == b->resource && a->amount == b->amount;
}

typedef struct {
    char name[NODE_RESOURCE_NAME];
    uint32_t hash, total;
} node_resource_t;

/* What a rank says of itself. */
typedef struct {
    int32_t rank, node; /* node: dense index of its host */
    int32_t n_workers, n_resources;
    uint64_t store_bytes;
    node_resource_t resources[NODE_MAX_RESOURCES];
} node_hello_t;

typedef enum { NODE_UNKNOWN = 0, NODE_ALIVE, NODE_DEAD } node_state_t;

/* What a choice looks at stands together: rows are many, and not in the cache. */
typedef struct {
    node_state_t state;
    uint64_t heard_ns; /* last message, base_clock_ns() */
    uint64_t cpu_total, cpu_used;
    node_hello_t has;
    uint64_t used[NODE_MAX_RESOURCES];
} node_row_t;

typedef struct node_table node_table_t;

/* Errors: OUT_OF_MEMORY. */
int node_table_create(int n_ranks, node_table_t **table_p);
void node_table_destroy(node_table_t *table);

/* A rank introduces itself; its row is ALIVE with nothing in use. Errors: INVALID_ARGUMENT (a rank or counts out of range). */
int node_table_set(node_table_t *table, const node_hello_t *hello, uint64_t now_ns);
void node_table_heard(node_table_t *table, int rank, uint64_t now_ns);
void node_table_mark_dead(node_table_t *table, int rank);

int node_table_ranks(const node_table_t *table);
/* All rows, by rank. */
const node_row_t *node_table_rows(const node_table_t *table);
const node_row_t *node_table_row(const node_table_t *table, int rank);
/* Ranks that have introduced themselves, the dead included. */
int node_table_known(const node_table_t *table);

/* Hash of a resource's name as shapes have it; never 0. */
uint32_t node_resource_hash(const char *name);
/* How much of a resource a row has; 0 if none. */
uint64_t node_row_amount(const node_row_t *row, uint32_t resource);
/* Tasks of the shape that the rank can run at a time when it does nothing else. */
uint32_t node_row_slots(const node_row_t *row, const node_shape_t *shape);
/* One more of the shape fits what is not granted. */
bool node_row_available(const node_row_t *row, const node_shape_t *shape);
/* CPUs granted / CPUs, 0 .. above 1 when shared. */
double node_row_utilisation(const node_row_t *row);

/* Grant n of the shape, or take them back. */
void node_table_take(node_table_t *table, int rank, const node_shape_t *shape, uint32_t n);
void node_table_give(node_table_t *table, int rank, const node_shape_t *shape, uint32_t n);

/* The most that one living rank has, for messages: CPUs, and of that resource. Remembered until a rank says something else. */
void node_table_best(node_table_t *table, uint32_t resource, uint64_t *cpu_p, uint64_t *amount_p);

/* Number of the next change, from 1. */
uint64_t node_table_version(const node_table_t *table);
/* The rank of change `version`; -1 if the ring has forgotten it. */
int node_table_changed(const node_table_t *table, uint64_t version);
/* Ranks of the same node as rank, itself included, at most n of them, in ascending order; returns how many. */
int node_table_neighbours(const node_table_t *table, int rank, int *ranks, int n);
/* Bytes of memory that the table takes. */
size_t node_table_bytes(const node_table_t *table);

#endif
