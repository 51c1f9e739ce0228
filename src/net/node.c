/* node.c: the node map. */
#include "node.h"

#include "error.h"

#include <stdlib.h>

int node_create(const node_description_t *d, const segment_t *own, node_t **node_p)
{
    int n = d->n_node_ranks;
    node_t *node = calloc(1, sizeof *node);
    if (node == NULL) return base_error(MRAY_ERR_OUT_OF_MEMORY, "cannot allocate the node map");
    *node = (node_t){.epoch = d->epoch, .rank = d->rank, .n_ranks = d->n_ranks, .node_rank = d->node_rank, .n_node_ranks = n,
                     .n_cpus = d->n_cpus, .n_own_cpus = d->n_own_cpus, .multi_node = d->multi_node != 0};
    node->node_rank_of = malloc((size_t)d->n_ranks * sizeof *node->node_rank_of);
    node->rank_of = malloc((size_t)n * sizeof *node->rank_of);
    node->segs = calloc((size_t)n, sizeof *node->segs);
    if (node->node_rank_of == NULL || node->rank_of == NULL || node->segs == NULL) {
        node_destroy(node);
        return base_error(MRAY_ERR_OUT_OF_MEMORY, "cannot allocate the node map");
    }
    for (int r = 0; r < d->n_ranks; r++) node->node_rank_of[r] = -1;
    for (int p = 0; p < n; p++) {
        node->rank_of[p] = d->ranks[p];
        node->node_rank_of[d->ranks[p]] = (int16_t)p;
    }
    for (int p = 0; p < n; p++) {
        if (p == d->node_rank && own != NULL) {
            node->segs[p] = *own;
            continue;
        }
        int status = seg_map(&d->names[p], &node->segs[p]);
        if (status != MRAY_OK) {
            if (own != NULL) node->segs[d->node_rank] = (segment_t){0}; /* the caller's */
            node_destroy(node);
            return status;
        }
    }
    *node_p = node;
    return MRAY_OK;
}

void node_destroy(node_t *node)
{
    if (node == NULL) return;
    for (int p = 0; node->segs != NULL && p < node->n_node_ranks; p++) seg_unmap(&node->segs[p]);
    free(node->segs);
    free(node->slots_off_of);
    free(node->arena_off_of);
    free(node->rank_of);
    free(node->node_rank_of);
    free(node);
}
