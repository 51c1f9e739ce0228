/* heartbeat.c: reports, sent and read. */
#include "heartbeat.h"

#include "clock.h"
#include "error.h"
#include "log.h"
#include "lost.h"
#include "runq.h"
#include "worker.h"

#include <stdlib.h>
#include <string.h>

static const uint64_t MAX_PERIOD_NS = 1000000000u, FOREVER_NS = UINT64_C(1) << 62;

struct heartbeat {
    agent_t *agent;
    uint64_t period_ns, next_ns;
    bool far;           /* rank 0 is on another node */
    int n_background;   /* things that the network will report done, and that are heartbeats */
    int n_rounds;       /* for so many rounds more */
    health_t *health;   /* rank 0 */
    uint8_t *heard;     /* by rank: a message came since the last look */
};

static uint32_t load_milli(void)
{
    double load;
    return getloadavg(&load, 1) == 1 && load > 0 ? (uint32_t)(load * 1000) : 0;
}

/* What the segment of a rank of this node shows. */
static health_report_t look_at(const node_t *node, int place)
{
    const seg_header_t *h = node->segs[place].hdr;
    health_report_t report = {.n_workers = (uint32_t)worker_count(h), .load_milli = load_milli()};
    for (uint16_t gid = ep_gid(place, 0); (gid = ep_mask_next(h->worker_mask, gid)) != 0;) {
        report.n_busy += !ep_mask_has((_Atomic uint64_t *)h->idle_mask, gid);
        report.n_queued += runq_depth(ep_shared_at(node, gid));
    }
    return report;
}

static void on_heartbeat(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    health_report_t report;
    (void)bytes;
    memcpy(&report, body, sizeof report);
    heartbeat_t *beat = agent->heartbeat;
    if (beat == NULL || beat->health == NULL) return;
    health_heard(beat->health, src_rank, base_clock_ns(), &report);
    beat->n_background++;
    if (beat->n_rounds == 0) beat->n_rounds = 1;
}

int heartbeat_create(agent_t *agent, uint64_t suspect_ns, uint64_t dead_ns, heartbeat_t **heartbeat_p)
{
    const node_t *node = agent->node;
    const net_info_t *info = net_info(agent->net);
    heartbeat_t *beat = calloc(1, sizeof *beat);
    if (beat == NULL) return base_error(MRAY_ERR_OUT_OF_MEMORY, "cannot allocate the heartbeat");
    beat->agent = agent;
    beat->period_ns = suspect_ns / HEARTBEATS_A_LIMIT < MAX_PERIOD_NS ? suspect_ns / HEARTBEATS_A_LIMIT : MAX_PERIOD_NS;
    beat->far = node->node_rank_of[0] < 0;
    if (node->rank == 0) {
        int status = health_create(node->n_ranks, suspect_ns, dead_ns > 0 ? dead_ns : FOREVER_NS, &beat->health);
        beat->heard = calloc((size_t)node->n_ranks, 1);
        if (status != MRAY_OK || beat->heard == NULL) {
            heartbeat_destroy(beat);
            return status != MRAY_OK ? status : base_error(MRAY_ERR_OUT_OF_MEMORY, "cannot allocate the heartbeat");
        }
        for (int r = 1; r < node->n_ranks; r++) health_set_mortal(beat->health, r, node->node_rank_of[r] < 0 && !info->polled_only && dead_ns > 0);
        agent->heard = beat->heard;
    }
    agent_register(agent, CONTROL_HEARTBEAT, on_heartbeat);
    *heartbeat_p = beat;
    return MRAY_OK;
}

void heartbeat_destroy(heartbeat_t *beat)
{
    if (beat == NULL) return;
    beat->agent->heard = NULL;
    health_destroy(beat->health);
    free(beat->heard);
    free(beat);
}

static void on_change(void *ctx, int rank, health_state_t from, health_state_t to)
{
    agent_t *agent = ctx;
    const health_row_t *row = health_row(agent->heartbeat->health, rank);
    double silent_s = (double)(base_clock_ns() - row->heard_ns) * 1e-9;
    if (to == HEALTH_SUSPECT)
        log_warn("rank %d was not heard for %.1f s; it is suspect", rank, silent_s);
    else if (to == HEALTH_ALIVE && from == HEALTH_SUSPECT)
        log_warn("rank %d is heard again", rank);
    else if (to == HEALTH_DEAD)
        lost_declare(agent, rank, silent_s);
}

/* Rank 0: collect what was heard, and look at everybody. */
static void look(heartbeat_t *beat, uint64_t now_ns)
{
    const node_t *node = beat->agent->node;
    for (int p = 0; p < node->n_node_ranks; p++) {
        health_report_t report = look_at(node, p);
        health_heard(beat->health, node->rank_of[p], atomic_load_explicit(&node->segs[p].hdr->agent_seen_ns, memory_order_relaxed), &report);
    }
    for (int r = 0; r < node->n_ranks; r++) {
        if (beat->heard[r] != 0) health_heard(beat->health, r, now_ns, NULL);
        beat->heard[r] = 0;
    }
    health_look(beat->health, now_ns, on_change, beat->agent);
}

void heartbeat_round(heartbeat_t *beat)
{
    if (beat == NULL) return;
    uint64_t now_ns = base_clock_ns();
    atomic_store_explicit(&beat->agent->ep->seg->hdr->agent_seen_ns, now_ns, memory_order_relaxed);
    if (now_ns < beat->next_ns) return;
    beat->next_ns = now_ns + beat->period_ns;
    if (beat->health != NULL) look(beat, now_ns);
    if (!beat->far) return;
    health_report_t report = look_at(beat->agent->node, beat->agent->node->node_rank);
    agent_send(beat->agent, 0, CONTROL_HEARTBEAT, &report, sizeof report);
    beat->n_background = 2; /* a packet goes out in this round, and is found sent in this one or the next */
    beat->n_rounds = 2;
}

uint64_t heartbeat_nap_ns(const heartbeat_t *beat)
{
    return beat != NULL ? beat->period_ns : MAX_PERIOD_NS;
}

int heartbeat_discount(heartbeat_t *beat, int n)
{
    if (beat == NULL || beat->n_rounds == 0) return n;
    int taken = n < beat->n_background ? n : beat->n_background;
    beat->n_background -= taken;
    if (--beat->n_rounds == 0) beat->n_background = 0;
    return n - taken;
}

const health_t *heartbeat_health(const heartbeat_t *beat)
{
    return beat != NULL ? beat->health : NULL;
}
