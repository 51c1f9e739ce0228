/* producer.c: see producer.h. */
#include "producer.h"

bool producer_find(const ep_t *ep, sid_t sid, producer_t *p)
{
    const slot_t *slot = slot_at(ep, sid);
    if (slot_is_ready(slot) || (p->rid = slot_producer(ep, slot)) == 0) return false;
    p->rec = record_at(ep, p->rid);
    if (!record_peek(ep, p->rid, &p->seen) || record_word_state(p->seen.word) == RECORD_BUILDING) return false;
    mray_ref ret = p->seen.ret;
    p->plain = p->seen.kind == RECORD_TASK && p->seen.shape == 0;
    p->n_refs = p->seen.n_refs < RECORD_MAIN_REFS ? p->seen.n_refs : RECORD_MAIN_REFS;
    p->result = (sid & 0xffffff) - ret.slot;
    return ret.rank < (uint32_t)ep->node->n_ranks && ep->node->node_rank_of[ret.rank] == (int)(sid >> 24) && p->result < p->seen.n_returns;
}
