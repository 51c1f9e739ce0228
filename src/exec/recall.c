/* recall.c: asking, and giving back. */
#include "recall.h"

#include "clock.h"
#include "leases.h"
#include "route.h"
#include "run.h"
#include "runq.h"
#include "worker.h"

#include <string.h>

enum { AT_A_TIME = 64 };
/* Short tasks come back by themselves before a question has an answer. */
static const uint64_t SILENT_NS = 2000000, LOOK_NS = 5000000;

typedef struct {
    uint32_t wanted;
} recall_ask_t;

static uint32_t excess(const demand_place_t *p)
{
    return p->outstanding > p->slots ? p->outstanding - p->slots : 0;
}

/* Slots with nothing to do: of other nodes by what is out, of this one by who is idle. */
static uint32_t idle_slots(const agent_t *agent, const demand_t *d)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < d->n_places; i++) {
        const demand_place_t *p = &d->places[i];
        int place = agent->node->node_rank_of[p->rank];
        if (place < 0)
            n += p->slots > p->outstanding ? p->slots - p->outstanding : 0;
        else if (p->slots > 0)
            n += (uint32_t)worker_count_idle(agent->node->segs[place].hdr);
    }
    return n;
}

int recall_round(recall_t *recall, agent_t *agent, demand_t *d, uint64_t now_ns)
{
    demand_place_t *worst = NULL;
    if (now_ns < recall->look_ns) return 0;
    recall->look_ns = now_ns + SILENT_NS / 2;
    recall->behind = false;
    for (unsigned i = 0; d->n_queued == 0 && i < d->n_places; i++) {
        demand_place_t *p = &d->places[i];
        if (excess(p) == 0) continue;
        recall->behind = true;
        if (p->recalling || now_ns < p->heard_ns + SILENT_NS) continue;
        if (worst == NULL || excess(p) > excess(worst)) worst = p;
    }
    if (worst == NULL || idle_slots(agent, d) == 0) return 0;
    worst->recalling = true;
    recall_ask_t ask = {.wanted = (excess(worst) + 1) / 2 < AT_A_TIME ? (excess(worst) + 1) / 2 : AT_A_TIME};
    agent_send(agent, worst->rank, CONTROL_RECALL, &ask, sizeof ask);
    return 1;
}

uint64_t recall_nap_ns(const recall_t *recall)
{
    return recall->behind ? LOOK_NS : BASE_FOREVER;
}

/* Up to n unstarted tasks of rank src out of one worker's queue; others met there are queued again. */
static uint32_t give_back(agent_t *agent, uint16_t worker, int src, uint32_t n)
{
    rid_t rids[AT_A_TIME];
    uint32_t n_given = 0;
    unsigned n_taken = runq_take(agent->ep, ep_shared_at(agent->node, worker), worker, n, rids);
    for (unsigned i = 0; i < n_taken; i++) {
        record_t *rec = record_at(agent->ep, rids[i]);
        /* One that died here with its worker was begun: its sender does not know of the attempts here, so it stays. So does one that was sent a second
         * time, since another rank was lost: who counted its attempt is not known here. */
        bool theirs = record_is_plain(rec) && rec->actor == RECORD_HERE && rec->seq == (uint32_t)src && rec->attempt == 0;
        if (!theirs) {
            route_requeue(agent->ep, rids[i]);
            continue;
        }
        run_fail(agent->ep, rids[i], rec, RECALL_UNSTARTED, "");
        n_given++;
    }
    return n_given;
}

static void on_recall(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    const node_t *node = agent->node;
    recall_ask_t ask;
    uint32_t n = 0;
    (void)bytes;
    memcpy(&ask, body, sizeof ask);
    if (ask.wanted > AT_A_TIME) ask.wanted = AT_A_TIME;
    for (int p = 0; p < node->n_node_ranks; p++) /* workers of other ranks may have taken some */
        for (uint16_t gid = ep_gid(p, 0); n < ask.wanted && (gid = ep_mask_next(node->segs[p].hdr->worker_mask, gid)) != 0;)
            n += give_back(agent, gid, src_rank, ask.wanted - n);
    agent_send(agent, src_rank, CONTROL_RECALLED, NULL, 0);
}

static void on_recalled(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    (void)body, (void)bytes;
    leases_recalled(agent->leases, src_rank);
}

void recall_register(agent_t *agent)
{
    agent_register(agent, CONTROL_RECALL, on_recall);
    agent_register(agent, CONTROL_RECALLED, on_recalled);
}
