/* producer.c: reading a record that another thread may finish and reuse meanwhile. */
#include "producer.h"

/* What was read counts only if the word, with its generation, is the same afterwards (a sequence lock; ThreadSanitizer cannot know that).
 * Only the record itself is read, not its extensions, which cannot be checked so. */
__attribute__((no_sanitize("thread"))) bool producer_find(const ep_t *ep, sid_t sid, producer_t *p)
{
    const slot_t *slot = slot_at(ep, sid);
    if (slot_is_ready(slot) || (p->rid = slot_producer(ep, slot)) == 0) return false;
    record_t *rec = p->rec = record_at(ep, p->rid);
    p->word = atomic_load_explicit(&rec->word, memory_order_acquire);
    record_state_t state = record_word_state(p->word);
    if (state == RECORD_FREE || state == RECORD_BUILDING || state == RECORD_EXTENSION) return false;
    p->kind = rec->kind;
    p->plain = rec->kind == RECORD_TASK && rec->shape == 0;
    p->fn = rec->fn;
    p->actor = rec->actor;
    p->pending = atomic_load_explicit(&rec->pending, memory_order_relaxed);
    p->n_refs = rec->n_refs < RECORD_MAIN_REFS ? rec->n_refs : RECORD_MAIN_REFS;
    for (unsigned i = 0; i < p->n_refs; i++) p->refs[i] = ((const record_ref_t *)(const void *)rec->body)[i].ref;
    mray_ref ret = rec->ret;
    uint32_t n_returns = rec->n_returns;
    atomic_thread_fence(memory_order_acquire);
    if (atomic_load_explicit(&rec->word, memory_order_relaxed) != p->word) return false;
    p->result = (sid & 0xffffff) - ret.slot;
    return ret.rank < (uint32_t)ep->node->n_ranks && ep->node->node_rank_of[ret.rank] == (int)(sid >> 24) && p->result < n_returns;
}
