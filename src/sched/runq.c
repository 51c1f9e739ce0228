/* runq.c: lanes, batch, claiming. */
#include "runq.h"

#include "tsan.h"

enum { LANE_TAKE = RUNQ_BATCH };

/* The queue lets go of a record claimed inline. Memory order: acq_rel, so that whoever frees sees all the other did. */
void runq_let_go(ep_t *ep, rid_t rid, record_t *rec)
{
    uint64_t before = atomic_fetch_or_explicit(&rec->word, RECORD_WORD_UNLINKED, memory_order_acq_rel);
    if ((before & RECORD_WORD_DONE) != 0) record_free(ep, rid, rec);
}

void runq_free_record(ep_t *ep, rid_t rid, record_t *rec)
{
    if ((atomic_load_explicit(&rec->word, memory_order_relaxed) & RECORD_WORD_INLINE) != 0) {
        uint64_t before = atomic_fetch_or_explicit(&rec->word, RECORD_WORD_DONE, memory_order_acq_rel);
        if ((before & RECORD_WORD_UNLINKED) == 0) return;
    }
    record_free(ep, rid, rec);
}

static bool claim(ep_t *ep, record_t *rec)
{
    uint64_t word = atomic_load_explicit(&rec->word, memory_order_acquire);
    while (record_word_state(word) == RECORD_QUEUED && record_word_gid(word) == ep->gid) {
        uint64_t running = record_word(RECORD_RUNNING, ep->gid, record_word_gen(word));
        if (atomic_compare_exchange_weak_explicit(&rec->word, &word, running, memory_order_acq_rel, memory_order_acquire)) return true;
    }
    return false;
}

bool runq_claim_inline(ep_t *ep, record_t *rec, uint64_t word)
{
    uint64_t running = record_word(RECORD_RUNNING, ep->gid, record_word_gen(word)) | RECORD_WORD_INLINE;
    return atomic_compare_exchange_strong_explicit(&rec->word, &word, running, memory_order_acq_rel, memory_order_acquire);
}

/* With the lock: inbox into lanes. */
static void sort_inbox(ep_t *ep, ep_shared_t *sh)
{
    rid_t rid = ep_inbox_drain(ep->node, sh);
    uint32_t n = 0;
    while (rid != 0) {
        record_t *rec = record_at(ep, rid);
        rid_t next = atomic_load_explicit(&rec->next, memory_order_relaxed);
        unsigned lane = (rec->creator + (rec->creator >> 8) * 5u) % RUNQ_LANES; /* neighbours on a rank, and places, differ */
        base_tsan_gives(&rec->word); /* whoever has the lock sorts; the queue's owner, in another process perhaps, runs it and frees it */
        atomic_store_explicit(&rec->next, 0, memory_order_relaxed);
        if (sh->lane_head[lane] == 0)
            sh->lane_head[lane] = rid;
        else
            atomic_store_explicit(&record_at(ep, sh->lane_tail[lane])->next, rid, memory_order_relaxed);
        sh->lane_tail[lane] = rid;
        sh->lanes_used |= 1u << lane;
        n++;
        rid = next;
    }
    if (n > 0) atomic_store_explicit(&sh->n_queued, atomic_load_explicit(&sh->n_queued, memory_order_relaxed) + n, memory_order_relaxed);
}

/* With the lock: the oldest of the next lane that has one. */
static rid_t pop_lane(ep_t *ep, ep_shared_t *sh)
{
    if (sh->lanes_used == 0) return 0;
    uint32_t from_next = sh->lanes_used & ~0u << sh->next_lane;
    unsigned lane = (unsigned)__builtin_ctz(from_next != 0 ? from_next : sh->lanes_used);
    rid_t rid = sh->lane_head[lane];
    sh->lane_head[lane] = atomic_load_explicit(&record_at(ep, rid)->next, memory_order_relaxed);
    if (sh->lane_head[lane] == 0) sh->lanes_used &= ~(1u << lane);
    sh->next_lane = (lane + 1) % RUNQ_LANES;
    atomic_store_explicit(&sh->n_queued, atomic_load_explicit(&sh->n_queued, memory_order_relaxed) - 1, memory_order_relaxed);
    return rid;
}

static bool refill(ep_t *ep)
{
    ep_shared_t *sh = ep->sh;
    if (ep_inbox_empty(sh) && atomic_load_explicit(&sh->n_queued, memory_order_relaxed) == 0) return false;
    holderlock_acquire(&sh->lock, ep->gid);
    sort_inbox(ep, sh);
    uint32_t n = 0;
    rid_t rid;
    while (n < LANE_TAKE && (rid = pop_lane(ep, sh)) != 0) atomic_store_explicit(&sh->batch[n++], rid, memory_order_relaxed);
    atomic_store_explicit(&sh->i_batch, 0, memory_order_relaxed);
    atomic_store_explicit(&sh->n_batch, n, memory_order_release);
    holderlock_release(&sh->lock, ep->gid);
    return n > 0;
}

rid_t runq_next(ep_t *ep)
{
    ep_shared_t *sh = ep->sh;
    for (;;) {
        uint32_t i = atomic_load_explicit(&sh->i_batch, memory_order_relaxed);
        if (i >= atomic_load_explicit(&sh->n_batch, memory_order_relaxed)) {
            if (!refill(ep)) return 0;
            continue;
        }
        /* Said before it leaves the batch, so that runq_contains() sees it in one place or the other until it is claimed. */
        atomic_store_explicit(&sh->taking, atomic_load_explicit(&sh->batch[i], memory_order_relaxed), memory_order_relaxed);
        rid_t rid = atomic_exchange(&sh->batch[i], 0); /* the agent may take it at this moment */
        atomic_store_explicit(&sh->i_batch, i + 1, memory_order_relaxed);
        if (rid == 0) continue;
        record_t *rec = record_at(ep, rid);
        bool mine = claim(ep, rec);
        atomic_store_explicit(&sh->taking, 0, memory_order_release);
        atomic_store_explicit(&sh->n_taken, atomic_load_explicit(&sh->n_taken, memory_order_relaxed) + 1, memory_order_relaxed);
        if (mine) return rid;
        runq_let_go(ep, rid, rec);
    }
}

void runq_push_self(ep_t *ep, rid_t rid)
{
    ep_shared_t *sh = ep->sh;
    uint32_t n = atomic_load_explicit(&sh->n_batch, memory_order_relaxed);
    uint32_t i = atomic_load_explicit(&sh->i_batch, memory_order_relaxed);
    if (i >= n) { /* empty: start again at the front */
        atomic_store_explicit(&sh->batch[0], rid, memory_order_relaxed);
        atomic_store_explicit(&sh->i_batch, 0, memory_order_relaxed);
        atomic_store_explicit(&sh->n_batch, 1, memory_order_release);
    } else if (n < RUNQ_BATCH) {
        atomic_store_explicit(&sh->batch[n], rid, memory_order_relaxed);
        atomic_store_explicit(&sh->n_batch, n + 1, memory_order_release);
    } else {
        bool open = ep_inbox_push(ep->node, sh, rid);
        (void)open; /* a living endpoint's own inbox is open */
    }
}

/* With a record just taken out of victim's lists: make it the caller's, unless somebody runs it inline. */
bool runq_take_over(ep_t *ep, rid_t rid, uint16_t victim_gid)
{
    record_t *rec = record_at(ep, rid);
    uint64_t word = atomic_load_explicit(&rec->word, memory_order_acquire);
    while (record_word_state(word) == RECORD_QUEUED && record_word_gid(word) == victim_gid) {
        if (!atomic_compare_exchange_weak(&rec->word, &word, record_word(RECORD_MOVING, ep->gid, record_word_gen(word)))) continue;
        return true;
    }
    runq_let_go(ep, rid, rec);
    return false;
}

/* Moving the inbox into the lanes empties it before n_queued says so: an owner that looked in between may have gone to sleep. */
static void wake_if_left(ep_shared_t *sh)
{
    atomic_thread_fence(memory_order_seq_cst); /* n_queued before the look at `asleep`; the sleeper does it the other way round */
    if (atomic_load_explicit(&sh->n_queued, memory_order_relaxed) > 0) ep_wake(sh);
}

unsigned runq_count(ep_t *ep, ep_shared_t *of)
{
    holderlock_acquire(&of->lock, ep->gid);
    sort_inbox(ep, of);
    holderlock_release(&of->lock, ep->gid);
    wake_if_left(of);
    return runq_depth(of);
}

unsigned runq_take(ep_t *ep, ep_shared_t *victim, uint16_t victim_gid, unsigned n, rid_t *rids)
{
    unsigned got = 0;
    holderlock_acquire(&victim->lock, ep->gid);
    sort_inbox(ep, victim);
    rid_t rid;
    while (got < n && (rid = pop_lane(ep, victim)) != 0)
        if (runq_take_over(ep, rid, victim_gid)) rids[got++] = rid;
    for (uint32_t i = 0; got < n && i < RUNQ_BATCH; i++) {
        rid = atomic_load_explicit(&victim->batch[i], memory_order_acquire);
        /* Whoever changes the entry to 0 has the record; the victim does the same. */
        if (rid != 0 && atomic_compare_exchange_strong(&victim->batch[i], &rid, 0) && runq_take_over(ep, rid, victim_gid)) rids[got++] = rid;
    }
    holderlock_release(&victim->lock, ep->gid);
    wake_if_left(victim);
    return got;
}

/* With the lock: what is not queued for gid any more goes out of the lane. */
static unsigned purge_lane(ep_t *ep, ep_shared_t *sh, uint16_t gid, unsigned lane)
{
    unsigned n = 0;
    rid_t last = 0;
    for (rid_t rid = sh->lane_head[lane], next; rid != 0; rid = next) {
        record_t *rec = record_at(ep, rid);
        uint64_t word = atomic_load_explicit(&rec->word, memory_order_acquire);
        next = atomic_load_explicit(&rec->next, memory_order_relaxed);
        if (record_word_state(word) == RECORD_QUEUED && record_word_gid(word) == gid) {
            last = rid;
            continue;
        }
        if (last != 0)
            atomic_store_explicit(&record_at(ep, last)->next, next, memory_order_relaxed);
        else
            sh->lane_head[lane] = next;
        runq_let_go(ep, rid, rec);
        n++;
    }
    sh->lane_tail[lane] = last;
    if (sh->lane_head[lane] == 0) sh->lanes_used &= ~(1u << lane);
    return n;
}

static unsigned purge(ep_t *ep, ep_shared_t *sh, uint16_t gid)
{
    unsigned n = 0;
    holderlock_acquire(&sh->lock, ep->gid);
    sort_inbox(ep, sh);
    for (uint32_t lanes = sh->lanes_used; lanes != 0; lanes &= lanes - 1) n += purge_lane(ep, sh, gid, (unsigned)__builtin_ctz(lanes));
    atomic_store_explicit(&sh->n_queued, atomic_load_explicit(&sh->n_queued, memory_order_relaxed) - n, memory_order_relaxed);
    holderlock_release(&sh->lock, ep->gid);
    wake_if_left(sh);
    return n;
}

unsigned runq_purge(ep_t *ep)
{
    unsigned n = 0;
    for (int p = 0; p < ep->node->n_node_ranks; p++)
        for (uint16_t gid = ep_gid(p, 0); (gid = ep_mask_next(ep->node->segs[p].hdr->open_mask, gid)) != 0;) {
            ep_shared_t *sh = ep_shared_at(ep->node, gid);
            if (atomic_load(&sh->kind) == EP_KIND_WORKER && runq_depth(sh) > 0) n += purge(ep, sh, gid);
        }
    return n;
}

unsigned runq_depth(const ep_shared_t *sh)
{
    uint32_t n = atomic_load_explicit(&sh->n_batch, memory_order_relaxed), i = atomic_load_explicit(&sh->i_batch, memory_order_relaxed);
    return atomic_load_explicit(&sh->n_queued, memory_order_relaxed) + (n > i ? n - i : 0) + (ep_inbox_empty(sh) ? 0 : 1);
}

bool runq_contains(ep_t *ep, ep_shared_t *of, rid_t rid)
{
    bool found = false;
    holderlock_acquire(&of->lock, ep->gid);
    sort_inbox(ep, of);
    for (unsigned lane = 0; lane < RUNQ_LANES && !found; lane++)
        for (rid_t r = of->lane_head[lane]; r != 0 && !found; r = atomic_load_explicit(&record_at(ep, r)->next, memory_order_relaxed))
            found = r == rid;
    for (unsigned i = 0; i < RUNQ_BATCH && !found; i++) found = atomic_load(&of->batch[i]) == rid;
    found = found || atomic_load(&of->taking) == rid;
    holderlock_release(&of->lock, ep->gid);
    wake_if_left(of);
    return found;
}

void runq_recover(ep_t *ep, uint16_t dead_gid)
{
    ep_shared_t *sh = ep_shared_at(ep->node, dead_gid);
    if (!holderlock_break(&sh->lock, dead_gid, ep->gid)) holderlock_acquire(&sh->lock, ep->gid);
    for (unsigned lane = 0; lane < RUNQ_LANES; lane++) sh->lane_head[lane] = sh->lane_tail[lane] = 0;
    sh->lanes_used = sh->next_lane = 0;
    for (unsigned i = 0; i < RUNQ_BATCH; i++) atomic_store(&sh->batch[i], 0);
    atomic_store(&sh->n_queued, 0);
    atomic_store(&sh->i_batch, 0);
    atomic_store(&sh->n_batch, 0);
    atomic_store(&sh->taking, 0);
    holderlock_release(&sh->lock, ep->gid);
    /* Records of the lost lists that somebody runs inline: nobody will meet them here any more. */
    for (int p = 0; p < ep->node->n_node_ranks; p++) {
        uint32_t high = pool_high_water(&ep->node->segs[p].hdr->records);
        for (uint32_t i = 1; i < high; i++) {
            rid_t rid = (rid_t)p << 24 | i;
            record_t *rec = record_at(ep, rid);
            uint64_t word = atomic_load_explicit(&rec->word, memory_order_acquire);
            if ((word & RECORD_WORD_INLINE) != 0 && (word & RECORD_WORD_UNLINKED) == 0 && rec->target == dead_gid) runq_let_go(ep, rid, rec);
        }
    }
}
