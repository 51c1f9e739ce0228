/* report.c: facts about the session, and versions. */
#include "arena.h"
#include "error.h"
#include "payload.h"
#include "session.h"
#include "slot.h"
#include "worker.h"

#include <mray/init.h>
#include <stdio.h>

int mray_version(void)
{
    return MRAY_VERSION;
}

const char *mray_version_string(void)
{
    return MRAY_VERSION_STRING;
}

int mray_get_info(mray_info *info_p)
{
    ep_t *ep = session_endpoint("mray_get_info");
    if (ep == NULL) return MRAY_ERR_NOT_INITIALIZED;
    if (info_p == NULL) return base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_get_info: info_p is NULL");
    const node_t *node = ep->node;
    uint32_t kind = atomic_load(&ep->sh->kind);
    *info_p = (mray_info){.rank = node->rank, .num_ranks = node->n_ranks, .is_worker = kind == EP_KIND_WORKER || kind == EP_KIND_ACTOR,
                          .num_nodes = (int)ep->seg->hdr->n_nodes, .num_workers = (int)ep->seg->hdr->total_workers,
                          .store_bytes = ep->seg->hdr->arena_bytes, .store_used = arena_used_bytes(payload_arena(ep, node->node_rank))};
    return MRAY_OK;
}

/* Live items of one rank's pools. */
static void count_items(const ep_t *ep, int place, unsigned *objects, unsigned *tasks)
{
    const seg_header_t *h = ep->node->segs[place].hdr;
    *objects = *tasks = 0;
    for (uint32_t i = 1; i < pool_high_water(&h->slots); i++)
        *objects += !slot_rc_is_free(atomic_load_explicit(&slot_at(ep, (sid_t)place << 24 | i)->rc, memory_order_relaxed));
    for (uint32_t i = 1; i < pool_high_water(&h->records); i++) {
        const record_t *rec = record_at(ep, (rid_t)place << 24 | i);
        uint64_t word = atomic_load_explicit(&rec->word, memory_order_relaxed);
        record_state_t state = record_word_state(word);
        bool task = rec->kind == RECORD_TASK || rec->kind == RECORD_METHOD || rec->kind == RECORD_ACTOR;
        *tasks += state != RECORD_FREE && state != RECORD_EXTENSION && task && (word & RECORD_WORD_DONE) == 0;
    }
}

size_t mray_status_report(char *buf, size_t buf_bytes)
{
    ep_t *ep = session_endpoint("mray_status_report");
    if (ep == NULL) return (size_t)snprintf(buf, buf_bytes, "mray is not initialised\n");
    const node_t *node = ep->node;
    size_t used = 0;
#define ADD(...) used += (size_t)snprintf(used < buf_bytes ? buf + used : NULL, used < buf_bytes ? buf_bytes - used : 0, __VA_ARGS__)
    ADD("mray %s: %d ranks on %u nodes, %u workers; this node:\n", MRAY_VERSION_STRING, node->n_ranks, ep->seg->hdr->n_nodes, ep->seg->hdr->total_workers);
    for (int p = 0; p < node->n_node_ranks; p++) {
        unsigned objects, tasks;
        count_items(ep, p, &objects, &tasks);
        ADD("  rank %d: %d workers, %u tasks, %u objects, store %llu of %llu bytes\n", node->rank_of[p], worker_count(node->segs[p].hdr), tasks, objects,
            (unsigned long long)arena_used_bytes(payload_arena(ep, p)), (unsigned long long)node->segs[p].hdr->arena_bytes);
    }
#undef ADD
    return used;
}
