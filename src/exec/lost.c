/* lost.c: one rank after another is told, and told apart. */
#include "lost.h"

#include "actors.h"
#include "error.h"
#include "head.h"
#include "log.h"
#include "proxies.h"
#include "remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int lost_error(char *text, size_t text_bytes, int rank)
{
    snprintf(text, text_bytes, "rank %d is lost: it was not heard for longer than MRAY_NODE_DEAD_TIMEOUT", rank);
    return MRAY_ERR_NODE_DIED;
}

static void on_lost(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    int32_t rank;
    (void)src_rank, (void)bytes;
    memcpy(&rank, body, sizeof rank);
    if (rank == agent->node->rank) { /* it was silent, not dead: the others go on without it, and rank 0 ends it with the job */
        log_error("this rank was given up as dead by the others; what it does is not taken any more");
        return;
    }
    if (rank < 0 || rank >= agent->node->n_ranks || agent->lost[rank] != 0) return;
    agent->lost[rank] = 1;
    agent->n_lost++;
    remote_rank_lost(agent->remote, rank);
    proxies_rank_lost(agent->proxies, rank);
}

void lost_declare(agent_t *agent, int rank, double silent_s)
{
    const net_info_t *info = net_info(agent->net);
    int32_t body = rank;
    log_error("rank %d on node %d was not heard for %.1f s and is given up as dead: its tasks, actors and objects are lost", rank, info->node_of_rank[rank],
              silent_s);
    head_rank_died(agent->head, rank); /* grants first: what comes back from the rank is sent by the new ones */
    for (int r = 0; r < info->n_ranks; r++) agent_send(agent, r, CONTROL_LOST, &body, sizeof body);
    actors_rank_lost(agent->actors, rank);
}

int lost_create(agent_t *agent)
{
    agent->lost = calloc((size_t)agent->node->n_ranks, 1);
    if (agent->lost == NULL) return base_error(MRAY_ERR_OUT_OF_MEMORY, "cannot allocate the table of lost ranks");
    agent_register(agent, CONTROL_LOST, on_lost);
    return MRAY_OK;
}

void lost_destroy(agent_t *agent)
{
    free(agent->lost);
    agent->lost = NULL;
}
