/* payload.c: blocks of payload, and the rebuild of an arena from the slots. */
#include "payload.h"

#include "clock.h"
#include "error.h"
#include "log.h"
#include "slot.h"
#include "tsan.h"

#include <stdlib.h>
#include <time.h>

arena_t *payload_arena(const ep_t *ep, int place)
{
    const segment_t *seg = &ep->node->segs[place];
    return (arena_t *)(seg->rw + seg->hdr->arena_meta_off);
}

static int place_of(const ep_t *ep, const slot_where_t *where)
{
    return ep->node->node_rank_of[where->rank];
}

payload_header_t *payload_at(const ep_t *ep, const slot_where_t *where)
{
    const segment_t *seg = &ep->node->segs[place_of(ep, where)];
    return (payload_header_t *)(seg->rw + seg->hdr->arena_off + where->off);
}

const payload_header_t *payload_view(const ep_t *ep, const slot_where_t *where)
{
    const segment_t *seg = &ep->node->segs[place_of(ep, where)];
    return (const payload_header_t *)(seg->ro + seg->hdr->arena_off + where->off);
}

uint64_t payload_segment_off(const segment_t *seg, uint64_t off)
{
    return seg->hdr->arena_off + off;
}

static int alloc_at(ep_t *ep, int place, slot_t *slot, uint64_t bytes, uint64_t metadata_bytes)
{
    arena_t *arena = payload_arena(ep, place);
    arena_block_t block;
    arena_lock(arena, ep->gid);
    base_tsan_gets(arena);
    int status = arena_alloc_locked(arena, payload_block_bytes(bytes, metadata_bytes), &block);
    if (status == MRAY_OK) {
        slot->u.where = (slot_where_t){.off = block.off, .rank = (uint32_t)ep->node->rank_of[place], .block = block.block,
                                       .metadata_bytes = (uint32_t)metadata_bytes};
        slot_set(slot, bytes, bytes);
        slot_set(slot, kind, SLOT_KIND_PAYLOAD);
    }
    arena_unlock(arena, ep->gid);
    return status;
}

static int alloc_anywhere(ep_t *ep, slot_t *slot, uint64_t bytes, uint64_t metadata_bytes)
{
    int own = ep->node->node_rank, n = ep->node->n_node_ranks, status = MRAY_OK;
    for (int i = 0; i < n; i++) {
        status = alloc_at(ep, (own + i) % n, slot, bytes, metadata_bytes);
        if (status != MRAY_ERR_OBJECT_STORE_FULL) return status;
    }
    return status;
}

/* Where the arenas are full, what the layers above can do without goes. */
static int alloc_making_room(ep_t *ep, slot_t *slot, uint64_t bytes, uint64_t metadata_bytes)
{
    int status = alloc_anywhere(ep, slot, bytes, metadata_bytes);
    bool (*room_fn)(ep_t *) = store_upcalls()->room_fn;
    if (status != MRAY_ERR_OBJECT_STORE_FULL || room_fn == NULL || !room_fn(ep)) return status;
    return alloc_anywhere(ep, slot, bytes, metadata_bytes);
}

int payload_alloc(ep_t *ep, slot_t *slot, uint64_t bytes, uint64_t metadata_bytes, uint64_t wait_ns)
{
    if (bytes > ARENA_CAPACITY_MAX || metadata_bytes > UINT32_MAX)
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "an object of %llu bytes with %llu bytes of metadata is larger than any store",
                          (unsigned long long)bytes, (unsigned long long)metadata_bytes);
    uint64_t deadline = 0, capacity = 0;
    for (int place = 0; place < ep->node->n_node_ranks; place++)
        if (ep->node->segs[place].hdr->arena_bytes > capacity) capacity = ep->node->segs[place].hdr->arena_bytes;
    if (payload_block_bytes(bytes, metadata_bytes) > capacity) return alloc_anywhere(ep, slot, bytes, metadata_bytes); /* fails: no release makes room for it */
    for (uint64_t pause_ns = 10000;; pause_ns += pause_ns / 2) {
        int status = alloc_making_room(ep, slot, bytes, metadata_bytes);
        if (status != MRAY_ERR_OBJECT_STORE_FULL || wait_ns == 0) return status;
        if (deadline == 0) deadline = base_clock_deadline(wait_ns);
        if (base_clock_ns() >= deadline) return status;
        /* Back-pressure: others release objects meanwhile. Not a hot path: the store is full. */
        if (pause_ns > 1000000) pause_ns = 1000000;
        nanosleep(&(struct timespec){.tv_nsec = (long)pause_ns}, NULL);
    }
}

void payload_free(ep_t *ep, slot_where_t *where)
{
    int place = place_of(ep, where);
    if (place < 0) return;
    arena_t *arena = payload_arena(ep, place);
    arena_lock(arena, ep->gid);
    if (where->block != 0) {
        int status = arena_free_locked(arena, (arena_block_t){.off = where->off, .block = where->block});
        if (status != MRAY_OK) log_error("internal: freeing block %u at %llu: %s", where->block, (unsigned long long)where->off, mray_error_message());
        where->block = 0;
    }
    arena_unlock(arena, ep->gid);
}

void payload_given(const ep_t *ep, const slot_where_t *where)
{
    int place = place_of(ep, where);
    if (place >= 0) base_tsan_gives(payload_arena(ep, place));
}

/* The block of the arena of `rank` that a slot names. What names one stays as it is, since its lock is held; any other slot may be freed and get
 * another value while it is read, so the generation must be the same afterwards. */
static bool block_of(const slot_t *slot, uint32_t rank, arena_live_t *live)
{
    if (slot_rc_is_free(atomic_load_explicit(&slot->rc, memory_order_acquire))) return false;
    uint32_t gen = atomic_load_explicit(&slot->gen, memory_order_relaxed);
    uint8_t kind = slot_peek(slot, kind);
    uint64_t bytes = slot_peek(slot, bytes);
    if (kind != SLOT_KIND_PAYLOAD && (kind != SLOT_KIND_ERROR || bytes == 0)) return false;
    uint32_t block = slot_peek(slot, u.where.block);
    *live = (arena_live_t){.off = slot_peek(slot, u.where.off), .block = block, .bytes = payload_block_bytes(bytes, slot_peek(slot, u.where.metadata_bytes))};
    if (slot_peek(slot, u.where.rank) != rank || block == 0) return false;
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&slot->gen, memory_order_relaxed) == gen && slot_peek(slot, kind) == kind;
}

/* Live blocks of rank's arena, from every slot of the node. */
static size_t collect_live(const ep_t *ep, uint32_t rank, arena_live_t *live)
{
    size_t n = 0;
    for (int p = 0; p < ep->node->n_node_ranks; p++) {
        uint32_t high = pool_high_water(&ep->node->segs[p].hdr->slots);
        for (uint32_t i = 1; i < high; i++) {
            arena_live_t block;
            if (!block_of(slot_at(ep, (sid_t)p << 24 | i), rank, &block)) continue;
            if (live != NULL) live[n] = block;
            n++;
        }
    }
    return n;
}

void payload_recover(ep_t *ep, int place, uint16_t dead_gid)
{
    arena_t *arena = payload_arena(ep, place);
    if (!arena_break(arena, dead_gid, ep->gid)) return;
    if (arena_needs_rebuild(arena)) {
        uint32_t rank = (uint32_t)ep->node->rank_of[place];
        size_t n = collect_live(ep, rank, NULL);
        arena_live_t *live = malloc((n + 1) * sizeof *live);
        if (live == NULL) {
            log_error("no memory to repair the object store of rank %u after a worker died in it", rank);
        } else {
            n = collect_live(ep, rank, live); /* nobody else changes it: the lock is held */
            int status = arena_rebuild(arena, live, n);
            if (status != MRAY_OK) log_error("internal: repairing the object store of rank %u: %s", rank, mray_error_message());
            free(live);
        }
    }
    arena_unlock(arena, ep->gid);
}
