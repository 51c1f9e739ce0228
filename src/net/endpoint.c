/* endpoint.c: opening and closing endpoints, inboxes, sleeping and waking. */
#include "endpoint.h"

#include "error.h"
#include "futex.h"
#include "slot_layout.h"
#include "tsan.h"

#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

_Thread_local ep_t *ep_self;

static bool slot_is_free(const void *item)
{
    return slot_rc_is_free(atomic_load_explicit(&((const slot_t *)item)->rc, memory_order_acquire));
}

static bool record_is_free(const void *item)
{
    return record_word_state(atomic_load_explicit(&((const record_t *)item)->word, memory_order_acquire)) == RECORD_FREE;
}

pool_is_free_fn ep_slot_is_free_fn(void) { return slot_is_free; }
pool_is_free_fn ep_record_is_free_fn(void) { return record_is_free; }

unsigned ep_reserve(node_t *node, ep_kind_t kind)
{
    for (unsigned i = SEG_EP_MAIN + 1; i < SEG_MAX_EPS; i++) {
        ep_shared_t *sh = ep_shared_at(node, ep_gid(node->node_rank, i));
        uint32_t unused = EP_UNUSED;
        if (atomic_load_explicit(&sh->state, memory_order_relaxed) == EP_UNUSED &&
            atomic_compare_exchange_strong(&sh->state, &unused, EP_STARTING)) {
            atomic_store(&sh->kind, kind);
            atomic_store(&sh->exit_status, 0);
            return i;
        }
    }
    return 0;
}

int ep_open(node_t *node, unsigned index, ep_kind_t kind, bool mortal, ep_t **ep_p)
{
    if (index == 0 && (index = ep_reserve(node, kind)) == 0)
        return base_error(MRAY_ERR_LIMIT, "rank %d has %d endpoints (threads that call mray, workers, actors) and no room for another; "
                          "kill actors or use fewer threads", node->rank, SEG_MAX_EPS - 1);
    ep_t *ep = aligned_alloc(SEG_CACHE_LINE, (sizeof *ep + SEG_CACHE_LINE - 1) / SEG_CACHE_LINE * SEG_CACHE_LINE);
    if (ep == NULL) return base_error(MRAY_ERR_OUT_OF_MEMORY, "cannot allocate an endpoint");
    *ep = (ep_t){.node = node, .seg = &node->segs[node->node_rank], .gid = ep_gid(node->node_rank, index), .mortal = mortal};
    ep->sh = ep_shared_at(node, ep->gid);
    ep->trace = trace_ring_open(ep->seg, index);
    ep->rc_seq = atomic_load(&ep->sh->journal.rc_seq); /* goes on where an earlier user of this index stopped: marks in slots are not repeated */
    seg_header_t *h = ep->seg->hdr;
    int status = pool_cache_init(&ep->slots, ep->seg, &h->slots, slot_is_free, ep->gid);
    if (status == MRAY_OK) {
        status = pool_cache_init(&ep->records, ep->seg, &h->records, record_is_free, ep->gid);
        if (status != MRAY_OK) pool_cache_fini(&ep->slots);
    }
    if (status != MRAY_OK) {
        free(ep);
        return status;
    }
    if (kind != EP_KIND_AGENT) { /* whose thread goes to sleep while another may work with its endpoint */
        ep->slots.unsaid = &ep->sh->unsaid_slots;
        ep->records.unsaid = &ep->sh->unsaid_records;
    }
    if (kind != EP_KIND_WORKER) atomic_store(&ep->sh->group, -1); /* a worker's is said before it starts */
    atomic_store(&ep->sh->kind, kind);
    atomic_store(&ep->sh->pid, (uint32_t)getpid());
    atomic_store(&ep->sh->asleep, 0);
    atomic_store(&ep->sh->wait_ticket, 0);
    atomic_store(&ep->sh->current, 0);
    atomic_fetch_add(&ep->sh->incarnation, 1);
    uint32_t closed = INBOX_CLOSED; /* from an earlier user of this index */
    atomic_compare_exchange_strong(&ep->sh->inbox, &closed, 0);
    ep_mask_set(h->open_mask, ep->gid);
    ep_mask_set(h->awake_mask, ep->gid);
    atomic_store(&ep->sh->state, EP_RUNNING);
    *ep_p = ep;
    return MRAY_OK;
}

void ep_close(ep_t *ep)
{
    if (ep == NULL) return;
    seg_header_t *h = ep->seg->hdr;
    ep_mask_clear(h->open_mask, ep->gid);
    ep_mask_clear(h->awake_mask, ep->gid);
    ep_mask_clear(h->idle_mask, ep->gid);
    pool_cache_fini(&ep->slots);
    pool_cache_fini(&ep->records);
    if (ep->exec_fini_fn != NULL) ep->exec_fini_fn(ep);
    atomic_store(&ep->sh->state, EP_UNUSED);
    free(ep);
}

static const segment_t *segment_of(const node_t *node, const pool_unsaid_t *unsaid)
{
    uint32_t rank = atomic_load_explicit(&unsaid->rank, memory_order_relaxed);
    int place = rank < (uint32_t)node->n_ranks ? node->node_rank_of[rank] : -1;
    return place >= 0 ? &node->segs[place] : NULL; /* NULL: nothing was ever collected */
}

void ep_say_for(const node_t *node, const ep_shared_t *of)
{
    const segment_t *slots = segment_of(node, &of->unsaid_slots), *records = segment_of(node, &of->unsaid_records);
    if (slots != NULL) pool_say_for(&of->unsaid_slots, slots, &slots->hdr->slots);
    if (records != NULL) pool_say_for(&of->unsaid_records, records, &records->hdr->records);
}

void ep_say_for_all(const node_t *node)
{
    for (int r = 0; r < node->n_node_ranks; r++)
        for (uint16_t gid = ep_gid(r, 0); (gid = ep_mask_next(node->segs[r].hdr->open_mask, gid)) != 0;) ep_say_for(node, ep_shared_at(node, gid));
}

bool ep_inbox_push(const node_t *node, ep_shared_t *to, rid_t rid)
{
    const segment_t *seg = &node->segs[rid >> 24];
    record_t *rec = pool_item(seg, &seg->hdr->records, rid & 0xffffff);
    uint32_t head = atomic_load_explicit(&to->inbox, memory_order_relaxed);
    do {
        if (head == INBOX_CLOSED) return false;
        atomic_store_explicit(&rec->next, head, memory_order_relaxed);
        /* Release: the drainer's acquire sees the record's contents. seq_cst: ordered before the pusher's look at `asleep`. */
    } while (!atomic_compare_exchange_weak_explicit(&to->inbox, &head, rid, memory_order_seq_cst, memory_order_relaxed));
    return true;
}

rid_t ep_inbox_drain(const node_t *node, ep_shared_t *of)
{
    if (ep_inbox_empty(of)) return 0;
    uint32_t head = atomic_load_explicit(&of->inbox, memory_order_relaxed);
    /* A plain exchange could reopen a closed inbox. */
    do {
        if (head == 0 || head == INBOX_CLOSED) return 0;
    } while (!atomic_compare_exchange_weak_explicit(&of->inbox, &head, 0, memory_order_acquire, memory_order_relaxed));
    rid_t oldest_first = 0;
    while (head != 0) {
        const segment_t *seg = &node->segs[head >> 24];
        record_t *rec = pool_item(seg, &seg->hdr->records, head & 0xffffff);
        uint32_t next = atomic_load_explicit(&rec->next, memory_order_relaxed);
        base_tsan_gets(&rec->word);
        atomic_store_explicit(&rec->next, oldest_first, memory_order_relaxed);
        oldest_first = head;
        head = next;
    }
    return oldest_first;
}

void ep_wake(ep_shared_t *to)
{
    if (atomic_load(&to->asleep) == 0) return;
    if (atomic_exchange(&to->asleep, 0) != 0) base_futex_wake(&to->asleep, INT32_MAX);
}

void ep_wake_all(const node_t *node)
{
    for (int r = 0; r < node->n_node_ranks; r++)
        for (uint16_t gid = ep_gid(r, 0); (gid = ep_mask_next(node->segs[r].hdr->open_mask, gid)) != 0;) ep_wake(ep_shared_at(node, gid));
}

void ep_sleep_prepare(ep_t *ep)
{
    pool_say(&ep->slots);
    pool_say(&ep->records);
    ep_mask_clear(ep->seg->hdr->awake_mask, ep->gid);
    atomic_store(&ep->sh->asleep, 1);
    atomic_thread_fence(memory_order_seq_cst); /* before the caller's second look, whose loads are relaxed */
}

/* -1, which meets no other, where the kernel does not say. */
int ep_note_cpu(const ep_t *ep)
{
    int cpu = sched_getcpu();
    if (atomic_load_explicit(&ep->sh->cpu, memory_order_relaxed) != cpu) atomic_store_explicit(&ep->sh->cpu, cpu, memory_order_relaxed);
    return cpu;
}

void ep_sleep_cancel(ep_t *ep)
{
    (void)ep_note_cpu(ep);
    atomic_store(&ep->sh->asleep, 0);
    ep_mask_set(ep->seg->hdr->awake_mask, ep->gid);
}

void ep_sleep(ep_t *ep, uint64_t timeout_ns)
{
    int ignored = base_futex_wait(&ep->sh->asleep, 1, timeout_ns); /* woken or timed out: the caller looks either way */
    (void)ignored;
    ep_sleep_cancel(ep);
}

/* Does another that is awake run on this CPU? Then what this one waits for may be waiting for the CPU. */
static bool shares_cpu(const ep_t *ep, int cpu)
{
    const node_t *node = ep->node;
    for (int r = 0; r < node->n_node_ranks; r++)
        for (uint16_t gid = ep_gid(r, 0); (gid = ep_mask_next(node->segs[r].hdr->awake_mask, gid)) != 0;)
            if (gid != ep->gid && atomic_load_explicit(&ep_shared_at(node, gid)->cpu, memory_order_relaxed) == cpu) return true;
    return false;
}

bool ep_may_spin(const ep_t *ep)
{
    const node_t *node = ep->node;
    int awake = 0, own = 0, cpu = ep_note_cpu(ep);
    for (int r = 0; r < node->n_node_ranks; r++) {
        int here = ep_mask_count(node->segs[r].hdr->awake_mask);
        awake += here;
        if (r == node->node_rank) own = here;
    }
    return awake <= node->n_cpus && own <= node->n_own_cpus && (cpu < 0 || !shares_cpu(ep, cpu));
}
