/* record_peek.c: see record_peek.h. */
#include "record_peek.h"

#include "endpoint.h"

#include <string.h>

#define LOAD(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)

static void load_ref(mray_ref *to, const mray_ref *from)
{
    *to = (mray_ref){.rank = LOAD(from->rank), .slot = LOAD(from->slot), .gen = LOAD(from->gen), .epoch = LOAD(from->epoch)};
}

/* All that was read before is of this word. */
static bool is_still(const record_t *rec, uint64_t word)
{
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&rec->word, memory_order_relaxed) == word;
}

bool record_peek(const ep_t *ep, rid_t rid, record_peek_t *p)
{
    const record_t *rec = record_at(ep, rid);
    p->word = atomic_load_explicit(&rec->word, memory_order_acquire);
    record_state_t state = record_word_state(p->word);
    if (state == RECORD_FREE || state == RECORD_EXTENSION) return false;
    p->fn = LOAD(rec->fn);
    p->actor = LOAD(rec->actor);
    p->pending = atomic_load_explicit(&rec->pending, memory_order_relaxed);
    p->kind = LOAD(rec->kind);
    p->shape = LOAD(rec->shape);
    p->n_refs = LOAD(rec->n_refs);
    p->n_ext = LOAD(rec->n_ext);
    p->n_returns = LOAD(rec->n_returns);
    p->body_bytes = LOAD(rec->body_bytes);
    p->ext = LOAD(rec->ext);
    load_ref(&p->ret, &rec->ret);
    for (unsigned i = 0; i < RECORD_MAIN_REFS; i++) load_ref(&p->refs[i], &((const record_ref_t *)(const void *)rec->body)[i].ref);
    return is_still(rec, p->word);
}

bool record_peek_settled(const ep_t *ep, rid_t rid, record_peek_t *p)
{
    for (;;) {
        if (record_peek(ep, rid, p)) return true;
        record_state_t state = record_word_state(p->word);
        if (state == RECORD_FREE || state == RECORD_EXTENSION) return false;
    }
}

/* A number read where a record may just have been used again need not be one. */
static bool is_in_pool(const ep_t *ep, rid_t rid)
{
    uint32_t place = rid >> 24, index = rid & 0xffffff;
    return index != 0 && place < (uint32_t)ep->node->n_node_ranks && index < ep->node->segs[place].hdr->records.n_chunks * 64;
}

int record_peek_extensions(const ep_t *ep, rid_t rid, const record_peek_t *p, rid_t exts[RECORD_MAX_EXT])
{
    rid_t ext = p->ext;
    for (int i = 0; i < p->n_ext; i++) {
        if (i == RECORD_MAX_EXT || !is_in_pool(ep, ext)) return -1;
        exts[i] = ext;
        ext = atomic_load_explicit(&((const record_ext_t *)record_at(ep, ext))->next, memory_order_relaxed);
    }
    return is_still(record_at(ep, rid), p->word) ? p->n_ext : -1;
}

bool record_peek_tail(const ep_t *ep, rid_t rid, const record_peek_t *p, record_tail_t *tail_p)
{
    rid_t exts[RECORD_MAX_EXT];
    uint32_t off = record_tail_off(p->n_refs, p->body_bytes);
    const record_t *rec = record_at(ep, rid);
    const uint8_t *at = rec->body + off;
    if (off >= RECORD_BODY_BYTES) {
        int k = (int)((off - RECORD_BODY_BYTES) / RECORD_EXT_BODY_BYTES);
        if (record_peek_extensions(ep, rid, p, exts) <= k) return false;
        at = ((const record_ext_t *)record_at(ep, exts[k]))->body + (off - RECORD_BODY_BYTES) % RECORD_EXT_BODY_BYTES;
    }
    const record_tail_t *tail = (const record_tail_t *)(const void *)at;
    *tail_p = (record_tail_t){.actor_rank = LOAD(tail->actor_rank), .caller_rank = LOAD(tail->caller_rank)};
    return is_still(rec, p->word);
}
