/* report.c: facts about the session, and versions. */
#include "arena.h"
#include "error.h"
#include "payload.h"
#include "session.h"
#include "status_text.h"

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

size_t mray_status_report(char *buf, size_t buf_bytes)
{
    if (buf == NULL) buf_bytes = 0;
    ep_t *ep = session_endpoint("mray_status_report");
    if (ep == NULL) return (size_t)snprintf(buf, buf_bytes, "mray is not initialised\n");
    return status_text(ep, buf, buf_bytes);
}
