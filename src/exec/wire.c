/* wire.c: slots in and out of messages. */
#include "wire.h"

#include "agent.h"
#include "error.h"
#include "object.h"

#include <stdlib.h>
#include <string.h>

void wire_describe(const ep_t *ep, sid_t sid, wire_object_t *image, const void **payload_p)
{
    const slot_t *slot = slot_at(ep, sid);
    image->kind = slot->kind;
    image->dtype = slot->dtype;
    image->ndim = slot->ndim;
    image->bytes = slot->bytes;
    image->n_more = 0;
    *payload_p = NULL;
    memcpy(image->value, slot->u.value, sizeof image->value);
    if (slot->kind == SLOT_KIND_REMOTE) { /* a third node has it */
        image->data_rank = slot->u.where.rank;
        image->data_off = slot->u.where.off;
        image->metadata_bytes = 0; /* only task results are REMOTE, and they have none */
        return;
    }
    bool has_payload = slot->kind == SLOT_KIND_PAYLOAD || (slot->kind == SLOT_KIND_ERROR && slot->bytes != 0);
    if (!has_payload) return;
    const segment_t *seg = &ep->node->segs[ep->node->node_rank_of[slot->u.where.rank]];
    uint64_t total = payload_block_bytes(slot->bytes, slot->u.where.metadata_bytes);
    image->metadata_bytes = slot->u.where.metadata_bytes;
    image->data_rank = slot->u.where.rank;
    image->data_off = payload_segment_off(seg, slot->u.where.off);
    if (total <= WIRE_MAX_INLINE) {
        image->n_more = (uint32_t)total;
        *payload_p = payload_at(ep, &slot->u.where);
    }
}

void wire_send_object(agent_t *agent, int rank, uint16_t type, const wire_object_t *image, const void *payload)
{
    if (payload == NULL) {
        agent_send(agent, rank, (control_type_t)type, image, sizeof *image);
        return;
    }
    static _Thread_local uint8_t message[sizeof(wire_object_t) + WIRE_MAX_INLINE];
    memcpy(message, image, sizeof *image);
    memcpy(message + sizeof *image, payload, image->n_more);
    agent_send(agent, rank, (control_type_t)type, message, (uint32_t)sizeof *image + image->n_more);
}

/* Behind so many bytes that are not sent yet nothing is pushed: a reader that asked for many objects has them sent as fast as it takes them. */
enum { MAX_UNSENT = 1 << 20 };

/* What is to be pushed behind the description, or NULL. */
static const uint8_t *to_push(agent_t *agent, int rank, sid_t sid, wire_object_t *image)
{
    const slot_t *slot = slot_at(agent->ep, sid);
    bool is_block = slot->kind == SLOT_KIND_PAYLOAD || (slot->kind == SLOT_KIND_ERROR && slot->bytes != 0);
    if (!is_block || net_info(agent->net)->bulk != NET_BULK_PULL || agent->node->node_rank_of[rank] >= 0) return NULL;
    uint64_t total = payload_block_bytes(slot->bytes, slot->u.where.metadata_bytes);
    if (total > WIRE_MAX_PUSHED || net_unsent_bytes(agent->net, rank) > MAX_UNSENT || outbox_waits_for(agent->outbox, rank)) return NULL;
    image->n_pushed = (uint32_t)total;
    return (const uint8_t *)payload_at(agent->ep, &slot->u.where);
}

static void push_piece(agent_t *agent, int rank, const wire_piece_t *piece, const uint8_t *from)
{
    static _Thread_local uint8_t message[sizeof *piece + WIRE_PIECE_BYTES];
    bool waits = outbox_waits_for(agent->outbox, rank);
    uint8_t *to = waits ? NULL : net_send_reserve(agent->net, rank, CONTROL_PIECE, 0, (uint32_t)sizeof *piece + piece->bytes);
    bool reserved = to != NULL;
    if (!reserved) to = message;
    memcpy(to, piece, sizeof *piece);
    memcpy(to + sizeof *piece, from, piece->bytes);
    if (!reserved) agent_send(agent, rank, CONTROL_PIECE, message, (uint32_t)sizeof *piece + piece->bytes);
}

void wire_send_ready(agent_t *agent, int rank, sid_t sid, wire_object_t *image)
{
    const void *payload;
    wire_describe(agent->ep, sid, image, &payload);
    const uint8_t *pushed = payload == NULL ? to_push(agent, rank, sid, image) : NULL;
    wire_send_object(agent, rank, CONTROL_READY, image, payload);
    for (uint32_t off = 0; pushed != NULL && off < image->n_pushed; off += WIRE_PIECE_BYTES) {
        uint32_t left = image->n_pushed - off;
        push_piece(agent, rank, &(wire_piece_t){.to = image->to, .off = off, .bytes = left < WIRE_PIECE_BYTES ? left : WIRE_PIECE_BYTES}, pushed + off);
    }
}

bool wire_is_record(const ep_t *ep, rid_t rid)
{
    int place = (int)(rid >> 24);
    return place < ep->node->n_node_ranks && (rid & 0xffffff) > 0 && (rid & 0xffffff) < ep->node->segs[place].hdr->records.n_chunks * 64;
}

/* A payload comes as a whole block, or not at all. */
static bool is_block(const wire_object_t *image)
{
    if (image->n_more == 0 && image->n_pushed == 0) return true;
    if (image->n_pushed > 0)
        return image->n_more == 0 && image->bytes <= WIRE_MAX_PUSHED && image->n_pushed <= WIRE_MAX_PUSHED &&
               image->n_pushed == payload_block_bytes(image->bytes, image->metadata_bytes);
    return image->bytes <= WIRE_MAX_INLINE && image->n_more <= WIRE_MAX_INLINE && image->n_more == payload_block_bytes(image->bytes, image->metadata_bytes);
}

bool wire_is_sound(const wire_object_t *image, const void *more, uint32_t bytes)
{
    if (bytes < sizeof *image || image->n_more != bytes - sizeof *image) return false;
    if (image->status != MRAY_OK) return image->n_more == 0 || ((const char *)more)[image->n_more - 1] == 0;
    switch (image->kind) {
    case SLOT_KIND_INLINE: return image->n_more == 0 && image->bytes <= SLOT_INLINE_BYTES && image->ndim <= MRAY_MAX_DIMS;
    case SLOT_KIND_PAYLOAD: return image->ndim <= MRAY_MAX_DIMS && is_block(image);
    case SLOT_KIND_REMOTE: return image->ndim <= MRAY_MAX_DIMS && image->n_more == 0 && image->n_pushed == 0;
    case SLOT_KIND_ERROR: return image->bytes > 0 ? is_block(image) : image->n_more == 0;
    default: return false;
    }
}

bool wire_stage(ep_t *ep, sid_t sid, const wire_object_t *image, const void *more)
{
    slot_t *slot = slot_to_write(ep, sid);
    if (image->status != MRAY_OK) {
        object_stage_error(ep, sid, (int)image->status, image->n_more > 0 ? more : mray_status_text((int)image->status));
        return true;
    }
    if (image->kind == SLOT_KIND_INLINE || (image->kind == SLOT_KIND_ERROR && image->bytes == 0)) {
        memcpy(slot->u.value, image->value, sizeof image->value);
        slot_set(slot, kind, image->kind);
        slot_set(slot, dtype, image->dtype);
        slot_set(slot, ndim, image->ndim);
        slot_set(slot, bytes, image->bytes);
        return true;
    }
    if (image->n_more == 0) return false;
    if (payload_alloc(ep, slot, image->bytes, image->metadata_bytes, 0) != MRAY_OK) {
        object_stage_error(ep, sid, MRAY_ERR_OBJECT_STORE_FULL, mray_error_message());
        return true;
    }
    memcpy(payload_at(ep, &slot->u.where), more, image->n_more);
    slot_set(slot, kind, image->kind);
    slot_set(slot, dtype, image->dtype);
    slot_set(slot, ndim, image->ndim);
    return true;
}
