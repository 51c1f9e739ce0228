/* node.h: making the node map of a process: every segment of the node's ranks, mapped. */
#ifndef MRAY_NET_NODE_H
#define MRAY_NET_NODE_H

#include "endpoint.h"

/* What a process needs to know of its node; plain bytes, so that a zygote can be told. */
typedef struct {
    uint32_t epoch;
    int32_t rank, n_ranks, node_rank, n_node_ranks;
    int32_t n_cpus, n_own_cpus; /* as node_t */
    int32_t multi_node;
    int32_t ranks[NODE_MAX_RANKS]; /* by place */
    seg_name_t names[NODE_MAX_RANKS];
} node_description_t;

/* Map every segment; own (may be NULL) is this rank's segment if the process has it already. Errors: SYSTEM, OUT_OF_MEMORY. */
int node_create(const node_description_t *description, const segment_t *own, node_t **node_p);
/* Unmap all. */
void node_destroy(node_t *node);

#endif
