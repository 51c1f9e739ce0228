/* record.c: taking, filling and returning records. */
#include "record.h"

#include "endpoint.h"

#include <string.h>

/* Bytes of a record, which others may look at (record_peek.h) although they are another record's already. */
typedef uint64_t __attribute__((may_alias)) shared_word_t;
static inline void put_word(void *to, const void *from)
{
    uint64_t word;
    memcpy(&word, from, 8);
    __atomic_store_n((shared_word_t *)to, word, __ATOMIC_RELAXED);
}

static void put(void *to, const void *from, uint32_t bytes)
{
    uint8_t *t = to;
    const uint8_t *f = from;
    for (bool aligned = (uintptr_t)t % 8 == 0; aligned && bytes >= 8; t += 8, f += 8, bytes -= 8) put_word(t, f);
    for (; bytes > 0; bytes--) __atomic_store_n(t++, *f++, __ATOMIC_RELAXED);
}

/* The same for a few whole words, to where words lie. */
static inline __attribute__((always_inline)) void put_words(void *to, const void *from, unsigned n)
{
#pragma GCC unroll 8
    for (unsigned i = 0; i < n; i++) put_word((char *)to + 8 * i, (const char *)from + 8 * i);
}

static record_ext_t *ext_at(const ep_t *ep, rid_t rid)
{
    return (record_ext_t *)record_at(ep, rid);
}

static rid_t take(ep_t *ep, record_state_t state)
{
    uint32_t index = pool_alloc(&ep->records);
    if (index == 0) return 0;
    rid_t rid = (rid_t)ep->node->node_rank << 24 | index;
    record_t *rec = record_at(ep, rid);
    uint64_t word = atomic_load_explicit(&rec->word, memory_order_relaxed);
    atomic_store_explicit(&rec->word, record_word(state, ep->gid, record_word_gen(word)), memory_order_relaxed);
    /* The word before what is written from here on, for record_peek(). */
    atomic_thread_fence(memory_order_release);
    return rid;
}

/* The word of a free record: no holder, next generation, so that a stale reference to it is recognised. */
static void make_free(_Atomic uint64_t *word)
{
    uint32_t gen = record_word_gen(atomic_load_explicit(word, memory_order_relaxed));
    atomic_store_explicit(word, record_word(RECORD_FREE, 0, gen + 1), memory_order_release);
}

static void give_back(ep_t *ep, rid_t rid, _Atomic uint64_t *word)
{
    const segment_t *seg = &ep->node->segs[rid >> 24];
    if (ep->mortal) {
        atomic_store_explicit(&ep->sh->journal.free_rid, rid, memory_order_relaxed);
        atomic_signal_fence(memory_order_seq_cst);
    }
    make_free(word);
    pool_free(&ep->records, seg, &seg->hdr->records, rid & 0xffffff);
    if (ep->mortal) {
        atomic_signal_fence(memory_order_seq_cst);
        atomic_store_explicit(&ep->sh->journal.free_rid, 0, memory_order_relaxed);
    }
}

/* Where ref i starts in the body's stream: refs never straddle two records. */
static uint32_t ref_off(unsigned i)
{
    if (i < RECORD_MAIN_REFS) return i * (uint32_t)sizeof(record_ref_t);
    unsigned j = i - RECORD_MAIN_REFS;
    return RECORD_BODY_BYTES + j / RECORD_EXT_REFS * RECORD_EXT_BODY_BYTES + j % RECORD_EXT_REFS * (uint32_t)sizeof(record_ref_t);
}

/* Where the values behind n refs start. Unlike a ref they may straddle, so the main record's last bytes are used, too. */
static uint32_t values_off(unsigned n)
{
    return n == RECORD_MAIN_REFS ? n * (uint32_t)sizeof(record_ref_t) : ref_off(n);
}

rid_t record_alloc(ep_t *ep, unsigned n_refs, uint32_t body_bytes, record_t **rec_p)
{
    uint32_t total = values_off(n_refs) + body_bytes;
    if (n_refs > RECORD_MAX_REFS || total > RECORD_MAX_BODY) return 0;
    rid_t rid = take(ep, RECORD_BUILDING);
    if (rid == 0) return 0;
    record_t *rec = record_at(ep, rid);
    static const uint64_t zeros[(offsetof(record_t, body) - offsetof(record_t, next)) / 8];
    put_words((char *)rec + offsetof(record_t, next), zeros, sizeof zeros / 8);
    record_set(rec, n_refs, (uint8_t)n_refs);
    record_set(rec, body_bytes, (uint16_t)body_bytes);
    rec->creator = ep->gid;
    for (uint32_t have = RECORD_BODY_BYTES; have < total; have += RECORD_EXT_BODY_BYTES) {
        rid_t ext = take(ep, RECORD_EXTENSION);
        if (ext == 0) {
            record_free(ep, rid, rec);
            return 0;
        }
        /* Appended in front: the chain is read by counting, and its order is fixed once it is complete. */
        atomic_store_explicit(&ext_at(ep, ext)->next, rec->ext, memory_order_relaxed);
        record_set(rec, ext, ext);
        record_set(rec, n_ext, (uint8_t)(rec->n_ext + 1));
    }
    *rec_p = rec;
    return rid;
}

void record_free(ep_t *ep, rid_t rid, record_t *rec)
{
    rid_t ext = rec->ext;
    int n = rec->n_ext;
    if (n > 0) {
        /* Untied first, and named after who frees them: if that endpoint dies now, its agent finds them as lost, and nobody frees
         * them twice. */
        rid_t x = ext;
        for (int i = n; i > 0; i--) {
            record_ext_t *e = ext_at(ep, x);
            uint64_t word = atomic_load_explicit(&e->word, memory_order_relaxed);
            atomic_store_explicit(&e->word, record_word(RECORD_EXTENSION, ep->gid, record_word_gen(word)), memory_order_relaxed);
            x = atomic_load_explicit(&e->next, memory_order_relaxed);
        }
        atomic_signal_fence(memory_order_seq_cst);
        record_set(rec, n_ext, 0);
        atomic_signal_fence(memory_order_seq_cst);
    }
    for (; n > 0; n--) {
        record_ext_t *e = ext_at(ep, ext);
        rid_t next = atomic_load_explicit(&e->next, memory_order_relaxed);
        give_back(ep, ext, &e->word);
        ext = next;
    }
    give_back(ep, rid, &rec->word);
}

/* The bytes at off of the body's stream, and how many follow in the same record. */
static uint8_t *stream_at(const ep_t *ep, record_t *rec, uint32_t off, uint32_t *room_p)
{
    if (off < RECORD_BODY_BYTES) {
        *room_p = RECORD_BODY_BYTES - off;
        return rec->body + off;
    }
    uint32_t k = (off - RECORD_BODY_BYTES) / RECORD_EXT_BODY_BYTES, in = (off - RECORD_BODY_BYTES) % RECORD_EXT_BODY_BYTES;
    rid_t ext = rec->ext;
    while (k-- > 0) ext = atomic_load_explicit(&ext_at(ep, ext)->next, memory_order_relaxed);
    *room_p = RECORD_EXT_BODY_BYTES - in;
    return ext_at(ep, ext)->body + in;
}

record_ref_t *record_far_ref(const ep_t *ep, record_t *rec, unsigned i)
{
    uint32_t room;
    return (record_ref_t *)(void *)stream_at(ep, rec, ref_off(i), &room);
}

void record_set_ret(record_t *rec, mray_ref ret)
{
    put_words(&rec->ret, &ret, sizeof ret / 8);
}

void record_set_ref(const ep_t *ep, record_t *rec, unsigned i, mray_ref ref)
{
    put_words(&record_ref(ep, rec, i)->ref, &ref, sizeof ref / 8);
}

void record_write(const ep_t *ep, record_t *rec, uint32_t off, const void *data, uint32_t bytes)
{
    const uint8_t *from = data;
    off += values_off(rec->n_refs);
    if (bytes == 8 && off % 8 == 0 && off + 8 <= RECORD_BODY_BYTES) { /* most values */
        put_word(rec->body + off, data);
        return;
    }
    while (bytes > 0) {
        uint32_t room, n;
        uint8_t *to = stream_at(ep, rec, off, &room);
        n = bytes < room ? bytes : room;
        put(to, from, n);
        from += n, off += n, bytes -= n;
    }
}

void record_read(const ep_t *ep, const record_t *rec, uint32_t off, void *data, uint32_t bytes)
{
    uint8_t *to = data;
    off += values_off(rec->n_refs);
    if (bytes == 8 && off % 8 == 0 && off + 8 <= RECORD_BODY_BYTES) {
        memcpy(data, rec->body + off, 8);
        return;
    }
    while (bytes > 0) {
        uint32_t room, n;
        const uint8_t *from = stream_at(ep, (record_t *)(uintptr_t)rec, off, &room);
        n = bytes < room ? bytes : room;
        memcpy(to, from, n);
        to += n, off += n, bytes -= n;
    }
}

uint32_t record_tail_off(unsigned n_refs, uint32_t body_bytes)
{
    return values_off(n_refs) + body_bytes - (uint32_t)sizeof(record_tail_t);
}

record_tail_t record_tail(const ep_t *ep, const record_t *rec)
{
    record_tail_t tail;
    record_read(ep, rec, rec->body_bytes - (uint32_t)sizeof tail, &tail, sizeof tail);
    return tail;
}
