/* status_text.c: a scan of the node's tables. */
#include "status_text.h"

#include "agent.h"
#include "arena.h"
#include "clock.h"
#include "heartbeat.h"
#include "payload.h"
#include "record_peek.h"
#include "slot.h"
#include "worker.h"

#include <mray/init.h>
#include <stdarg.h>
#include <stdio.h>

/* Live items of one rank's pools. */
static void count_items(const ep_t *ep, int place, unsigned *objects, unsigned *tasks)
{
    const seg_header_t *h = ep->node->segs[place].hdr;
    *objects = *tasks = 0;
    for (uint32_t i = 1; i < pool_high_water(&h->slots); i++)
        *objects += !slot_rc_is_free(atomic_load_explicit(&slot_at(ep, (sid_t)place << 24 | i)->rc, memory_order_relaxed));
    for (uint32_t i = 1; i < pool_high_water(&h->records); i++) {
        record_peek_t rec;
        if (!record_peek_settled(ep, (rid_t)place << 24 | i, &rec)) continue;
        bool task = rec.kind == RECORD_TASK || rec.kind == RECORD_METHOD || rec.kind == RECORD_ACTOR;
        *tasks += task && (rec.word & RECORD_WORD_DONE) == 0;
    }
}

/* Appends as snprintf would: *used_p grows by what it would have taken. */
__attribute__((format(printf, 4, 5))) static void add(char *buf, size_t buf_bytes, size_t *used_p, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = *used_p < buf_bytes ? vsnprintf(buf + *used_p, buf_bytes - *used_p, fmt, ap) : vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n > 0) *used_p += (size_t)n;
}

/* Rank 0's view of all ranks, as its agent has it. The lock is held for one round at most. */
static void add_health(const ep_t *ep, char *buf, size_t buf_bytes, size_t *used_p)
{
    agent_t *agent = agent_here;
    if (agent == NULL || agent->node != ep->node || heartbeat_health(agent->heartbeat) == NULL) return;
    pthread_mutex_lock(&agent->lock);
    const health_t *health = heartbeat_health(agent->heartbeat);
    const net_info_t *info = net_info(agent->net);
    uint64_t now_ns = base_clock_ns();
    add(buf, buf_bytes, used_p, "all ranks, as rank 0 hears of them:\n");
    for (int r = 0; r < info->n_ranks; r++) {
        const health_row_t *row = health_row(health, r);
        add(buf, buf_bytes, used_p, "  rank %d (node %d): %s", r, info->node_of_rank[r], health_state_name(row->state));
        if (row->state != HEALTH_UNKNOWN)
            add(buf, buf_bytes, used_p, ", heard %.1f s ago; %u workers, %u busy, %u tasks queued; load %.2f",
                now_ns > row->heard_ns ? (double)(now_ns - row->heard_ns) * 1e-9 : 0.0, row->report.n_workers, row->report.n_busy, row->report.n_queued,
                row->report.load_milli / 1000.0);
        add(buf, buf_bytes, used_p, "\n");
    }
    pthread_mutex_unlock(&agent->lock);
}

size_t status_text(const ep_t *ep, char *buf, size_t buf_bytes)
{
    const node_t *node = ep->node;
    size_t used = 0;
    add(buf, buf_bytes, &used, "mray %s: %d ranks on %u nodes, %u workers; this node:\n", MRAY_VERSION_STRING, node->n_ranks, ep->seg->hdr->n_nodes,
        ep->seg->hdr->total_workers);
    for (int p = 0; p < node->n_node_ranks; p++) {
        unsigned objects, tasks;
        count_items(ep, p, &objects, &tasks);
        const seg_header_t *h = node->segs[p].hdr;
        add(buf, buf_bytes, &used, "  rank %d: %d workers, %u tasks, %u objects, store %llu of %llu bytes, %llu payloads pulled from other nodes\n", node->rank_of[p],
            worker_count(h), tasks, objects, (unsigned long long)arena_used_bytes(payload_arena(ep, p)), (unsigned long long)h->arena_bytes,
            (unsigned long long)atomic_load_explicit(&h->copies.n_pulled, memory_order_relaxed));
    }
    add_health(ep, buf, buf_bytes, &used);
    return used;
}
