/* copies.c: the node's table of copies. */
#include "copies.h"

#include "clock.h"
#include "hash.h"

#include <string.h>

/* Objects made one after the other lie in slots that are neighbours; their entries are, too: in the same page, which would else be touched first for each. */
enum { NEIGHBOURS = 64 };

typedef struct {
    seg_copies_t *head;
    seg_copy_t *entries;
    uint32_t mask, start;
} shard_t;

static shard_t shard_of(const ep_t *ep, mray_ref origin)
{
    uint64_t hash = base_hash64(&(mray_ref){.rank = origin.rank, .slot = origin.slot / NEIGHBOURS, .gen = origin.gen / NEIGHBOURS}, sizeof origin);
    uint32_t place = (origin.slot ^ origin.gen * 8) % NEIGHBOURS;
    const segment_t *seg = &ep->node->segs[(hash >> 32) % (uint64_t)ep->node->n_node_ranks];
    seg_copies_t *head = &seg->hdr->copies;
    uint32_t mask = head->n_entries - 1;
    return (shard_t){.head = head, .entries = (seg_copy_t *)(seg->rw + head->entries_off), .mask = mask,
                     .start = ((uint32_t)hash * NEIGHBOURS + place) & mask};
}

/* origin's entry, or the free one where it would stand. */
static uint32_t probe(const shard_t *s, mray_ref origin)
{
    uint32_t i = s->start;
    while (s->entries[i].origin.slot != 0 && memcmp(&s->entries[i].origin, &origin, sizeof origin) != 0) i = (i + 1) & s->mask;
    return i;
}

/* Takes entry i away and shifts back what follows of its run (Knuth, TAOCP 3, 6.4, algorithm R). */
static void take_out(const ep_t *ep, const shard_t *s, uint32_t i)
{
    for (uint32_t j = i;;) {
        j = (j + 1) & s->mask;
        if (s->entries[j].origin.slot == 0) break;
        uint32_t home = shard_of(ep, s->entries[j].origin).start;
        if (((j - home) & s->mask) < ((j - i) & s->mask)) continue; /* it stands between its home and i already */
        s->entries[i] = s->entries[j];
        i = j;
    }
    s->entries[i] = (seg_copy_t){0};
    s->head->n_used--;
}

static seg_origin_t *origin_of(const ep_t *ep, sid_t sid)
{
    const segment_t *seg = &ep->node->segs[sid >> 24];
    return (seg_origin_t *)(seg->rw + seg->hdr->copies.origins_off) + (sid & 0xffffff);
}

/* With the lock, so that copies_remove_unused() sees the hold. */
static sid_t use(ep_t *ep, seg_copy_t *entry)
{
    entry->last_use_ns = base_clock_ns();
    slot_change(ep, entry->sid, RC_HOLD);
    return entry->sid;
}

sid_t copies_find(ep_t *ep, mray_ref origin)
{
    shard_t s = shard_of(ep, origin);
    holderlock_acquire(&s.head->lock, ep->gid);
    seg_copy_t *entry = &s.entries[probe(&s, origin)];
    sid_t sid = entry->origin.slot != 0 ? use(ep, entry) : 0;
    holderlock_release(&s.head->lock, ep->gid);
    return sid;
}

sid_t copies_add(ep_t *ep, mray_ref origin, sid_t sid)
{
    shard_t s = shard_of(ep, origin);
    holderlock_acquire(&s.head->lock, ep->gid);
    seg_copy_t *entry = &s.entries[probe(&s, origin)];
    if (entry->origin.slot == 0 && s.head->n_used < s.mask - s.mask / 8) { /* never full, so that every probe ends */
        s.head->n_used++;
        *entry = (seg_copy_t){.origin = origin, .sid = sid};
        origin_of(ep, sid)->origin = origin;
        copies_forget_asker(ep, sid);
    }
    sid = entry->origin.slot != 0 ? use(ep, entry) : 0;
    holderlock_release(&s.head->lock, ep->gid);
    return sid;
}

bool copies_remove_unused(ep_t *ep, mray_ref origin, sid_t sid, uint64_t before_ns, bool asked)
{
    shard_t s = shard_of(ep, origin);
    holderlock_acquire(&s.head->lock, ep->gid);
    uint32_t i = probe(&s, origin);
    /* Acquire, by the drop of who held it last: so its note is seen. */
    uint64_t holds = atomic_load(&slot_at(ep, sid)->rc) & SLOT_RC_HOLDS;
    bool unused = s.entries[i].sid == sid && s.entries[i].last_use_ns < before_ns && holds == SLOT_RC_CREATOR && (asked || !copies_is_asked(ep, sid));
    if (unused) {
        take_out(ep, &s, i);
        origin_of(ep, sid)->origin = (mray_ref){0};
    }
    holderlock_release(&s.head->lock, ep->gid);
    return unused;
}

mray_ref copies_origin(const ep_t *ep, sid_t sid)
{
    return origin_of(ep, sid)->origin;
}

void copies_note_asker(const ep_t *ep, sid_t sid)
{
    atomic_store_explicit(&origin_of(ep, sid)->asked_by, ep->gid, memory_order_relaxed);
}

/* Between the look and the store another may write its name, and lose it: it finds nothing the next time, asks again and writes it again. */
void copies_note_taker(const ep_t *ep, sid_t sid)
{
    if (atomic_load_explicit(&origin_of(ep, sid)->asked_by, memory_order_relaxed) == ep->gid) copies_forget_asker(ep, sid);
}

bool copies_is_asked(const ep_t *ep, sid_t sid)
{
    return atomic_load_explicit(&origin_of(ep, sid)->asked_by, memory_order_relaxed) != 0;
}

void copies_forget_asker(const ep_t *ep, sid_t sid)
{
    atomic_store_explicit(&origin_of(ep, sid)->asked_by, 0, memory_order_relaxed);
}
