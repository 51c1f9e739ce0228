/* payload.h: the bytes of an object that do not fit its slot: one block of an arena of this node.
 *
 *    | dims[4], metadata size, ... : 64 bytes | data, 64-aligned | metadata |
 */
#ifndef MRAY_STORE_PAYLOAD_H
#define MRAY_STORE_PAYLOAD_H

#include "arena.h"
#include "endpoint.h"
#include "slot_layout.h"

#include <mray/types.h>

typedef struct {
    uint64_t dims[MRAY_MAX_DIMS];
    uint64_t metadata_bytes;
    uint64_t reserved[3];
} payload_header_t;
_Static_assert(sizeof(payload_header_t) == 64, "data stays aligned");

/* Take a block for bytes of data and metadata_bytes of metadata in this rank's arena, or another's of this node when it is
 * full, and write slot->u.where and slot->kind inside the arena's critical section, so that a rebuild knows of it. Waits up to
 * wait_ns for room. Errors: OBJECT_STORE_FULL with how much there is. */
int payload_alloc(ep_t *ep, slot_t *slot, uint64_t bytes, uint64_t metadata_bytes, uint64_t wait_ns);
/* Free where's block and clear where->block, inside the critical section. Repeatable. */
void payload_free(ep_t *ep, slot_where_t *where);

/* The block is written for good; any process of the node may free it from here on. For ThreadSanitizer only. */
void payload_given(const ep_t *ep, const slot_where_t *where);

/* The header, writable until the object is sealed. */
payload_header_t *payload_at(const ep_t *ep, const slot_where_t *where);
/* The same read-only, as views see it. */
const payload_header_t *payload_view(const ep_t *ep, const slot_where_t *where);
/* Offset of the header in the segment of where's rank, for readers on other nodes. */
uint64_t payload_segment_off(const segment_t *seg, uint64_t off);

static inline uint64_t payload_block_bytes(uint64_t bytes, uint64_t metadata_bytes)
{
    return sizeof(payload_header_t) + (bytes + 63) / 64 * 64 + metadata_bytes;
}

/* Repair arena of place after dead_gid was reaped: breaks its lock and rebuilds from the slots of the node. */
void payload_recover(ep_t *ep, int place, uint16_t dead_gid);
arena_t *payload_arena(const ep_t *ep, int place);

#endif
