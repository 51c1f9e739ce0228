/* trace_ring.c: writing and reading rings. */
#include "trace_ring.h"

#include "ticks.h"

#include <mray/status.h>
#include <string.h>

/* ---- where they are ---- */

uint32_t trace_slots(uint64_t n_events)
{
    uint32_t n = 1;
    while (n < n_events && n < UINT32_C(1) << 31) n *= 2;
    return n;
}

uint64_t trace_ring_bytes(uint32_t n_slots)
{
    enum { PAGE = 4096 };
    return (sizeof(trace_ring_t) + (uint64_t)n_slots * sizeof(trace_event_t) + PAGE - 1) / PAGE * PAGE;
}

trace_ring_t *trace_ring_at(const segment_t *seg, unsigned index)
{
    const seg_header_t *h = seg->hdr;
    if (h->trace_slots == 0) return NULL;
    return (trace_ring_t *)(void *)(seg->rw + h->trace_off + index * trace_ring_bytes(h->trace_slots));
}

trace_ring_t *trace_ring_open(const segment_t *seg, unsigned index)
{
    trace_ring_t *ring = trace_ring_at(seg, index);
    if (ring == NULL) return NULL;
    ring->mask = seg->hdr->trace_slots - 1;
    ring->counter = seg->hdr->trace_counter != 0;
    ring->short_ticks = base_ticks_a_microsecond(ring->counter);
    ring->last = 0;
    ring->n_run = 0;
    return ring;
}

/* ---- writing ---- */

static trace_event_t *place(trace_ring_t *ring, uint64_t state)
{
    return &ring->events[state >> 8 & ring->mask];
}

static bool is_short(const trace_ring_t *ring, uint32_t fn)
{
    return ring->n_short[fn % TRACE_FUNCTIONS] >= TRACE_RUN;
}

static void fill(trace_event_t *event, const record_t *rec, uint64_t begin)
{
    event->begin = begin;
    event->fn = rec->fn;
    event->kind = rec->kind;
    event->attempt = rec->attempt;
    event->rank = rec->ret.rank;
    event->slot = rec->ret.slot;
    event->gen = rec->ret.gen;
    event->actor = rec->kind == RECORD_TASK ? 0 : rec->actor;
}

/* The last event of a run without stamps ended now. */
static void close_run(trace_ring_t *ring, uint64_t now)
{
    uint64_t state = atomic_load_explicit(&ring->state, memory_order_relaxed);
    place(ring, state - 256)->end = now;
    ring->n_run = 0;
}

/* How long did the tasks up to this stamp take, event being the last of them? */
static void learn(trace_ring_t *ring, const trace_event_t *event)
{
    uint64_t begin = ring->n_run > 0 ? ring->run_begin : event->begin;
    uint8_t *n_short = &ring->n_short[event->fn % TRACE_FUNCTIONS];
    if (event->end - begin >= (uint64_t)(ring->n_run + 1) * ring->short_ticks) {
        /* Which of a run was the long one is not known. */
        if (ring->n_run > 0) memset(ring->n_short, 0, sizeof ring->n_short);
        else *n_short = 0;
    } else if (*n_short < TRACE_RUN) {
        ++*n_short;
    }
}

__attribute__((noinline)) static void begin_inside(trace_ring_t *ring, const record_t *rec, uint64_t state)
{
    uint64_t now = base_ticks(ring->counter), depth = state & TRACE_DEPTH;
    if ((state & TRACE_SPILLED) == 0) {
        trace_event_t *outer = place(ring, state);
        if (outer->begin == 0) { /* it waits, so it is none of the short ones */
            close_run(ring, now);
            outer->begin = now;
            memset(ring->n_short, 0, sizeof ring->n_short);
        }
        ring->open[0] = *outer;
        atomic_store_explicit(&ring->state, state |= TRACE_SPILLED, memory_order_release);
    }
    if (depth < TRACE_MAX_OPEN) fill(&ring->open[depth], rec, now);
    atomic_store_explicit(&ring->state, state + 1, memory_order_release);
}

void trace_begin(trace_ring_t *ring, const record_t *rec)
{
    uint64_t state = atomic_load_explicit(&ring->state, memory_order_relaxed), begin = ring->last;
    if ((state & TRACE_DEPTH) != 0) {
        begin_inside(ring, rec, state);
        return;
    }
    if (begin == 0 && (ring->n_run == 0 || !is_short(ring, rec->fn))) {
        begin = base_ticks(ring->counter);
        if (ring->n_run > 0) close_run(ring, begin);
    }
    fill(place(ring, state), rec, begin);
    atomic_store_explicit(&ring->state, state + 1, memory_order_release);
}

/* Of tasks stacked up, the innermost. */
__attribute__((noinline)) static void end_inside(trace_ring_t *ring, int status, uint64_t state)
{
    uint64_t depth = (state & TRACE_DEPTH) - 1;
    uint64_t rest = depth == 0 ? 0 : TRACE_SPILLED | depth;
    ring->last = 0;
    if (depth >= TRACE_MAX_OPEN) {
        ring->n_deep++;
        atomic_store_explicit(&ring->state, (state & ~UINT64_C(0xff)) | rest, memory_order_release);
        return;
    }
    trace_event_t *event = place(ring, state);
    *event = ring->open[depth];
    event->status = (uint16_t)status;
    event->end = base_ticks(ring->counter);
    if (depth == 0) ring->last = event->end;
    atomic_store_explicit(&ring->state, ((state & ~UINT64_C(0xff)) + 256) | rest, memory_order_release);
}

void trace_end(trace_ring_t *ring, int status)
{
    uint64_t state = atomic_load_explicit(&ring->state, memory_order_relaxed);
    if ((state & TRACE_SPILLED) != 0) {
        end_inside(ring, status, state);
        return;
    }
    trace_event_t *event = place(ring, state);
    event->status = (uint16_t)status;
    if (ring->n_run < TRACE_RUN - 1 && is_short(ring, event->fn)) {
        if (ring->n_run++ == 0) ring->run_begin = event->begin;
        event->end = ring->last = 0;
    } else {
        event->end = ring->last = base_ticks(ring->counter);
        learn(ring, event);
        ring->n_run = 0;
    }
    atomic_store_explicit(&ring->state, state + 256 - 1, memory_order_release);
}

void trace_rest(trace_ring_t *ring)
{
    ring->last = 0;
    if (ring->n_run > 0) close_run(ring, base_ticks(ring->counter));
}

void trace_abandon(trace_ring_t *ring, int status)
{
    if (ring == NULL) return;
    uint64_t now = base_ticks(ring->counter);
    uint64_t state = atomic_load_explicit(&ring->state, memory_order_acquire);
    for (uint64_t depth = state & TRACE_DEPTH; depth-- > 0;) {
        trace_event_t *event = place(ring, state);
        if (depth >= TRACE_MAX_OPEN) continue;
        if ((state & TRACE_SPILLED) != 0) *event = ring->open[depth];
        int died = event->kind == RECORD_TASK ? MRAY_ERR_WORKER_CRASHED : MRAY_ERR_ACTOR_DIED;
        event->status = (uint16_t)(status != 0 ? status : died);
        event->end = now;
        state += 256;
    }
    ring->last = 0;
    ring->n_run = 0;
    atomic_store_explicit(&ring->state, state & ~UINT64_C(0xff), memory_order_release);
}

/* ---- reading ---- */

static const trace_event_t *event_at(const trace_reader_t *r, uint64_t i)
{
    return &r->ring->events[i & r->ring->mask];
}

void trace_read_start(trace_reader_t *r, const trace_ring_t *ring)
{
    uint64_t head = atomic_load_explicit(&ring->state, memory_order_acquire) >> 8, n_slots = (uint64_t)ring->mask + 1;
    /* The oldest may be half overwritten by one that had not begun when the writer was killed. */
    *r = (trace_reader_t){.ring = ring, .next = head >= n_slots ? head - n_slots + 1 : 0, .head = head};
    while (r->next < head && event_at(r, r->next)->begin == 0) r->next++; /* of a run whose begin is lost */
    r->lost = r->next + ring->n_deep;
}

/* The events from next on up to the next stamp. */
static void read_run(trace_reader_t *r)
{
    uint64_t last = r->next, short_ticks = r->ring->short_ticks;
    const trace_event_t *first = event_at(r, r->next);
    while (event_at(r, last)->end == 0 && last + 1 < r->head && event_at(r, last + 1)->begin == 0) last++;
    r->run_at = 0;
    r->n_run = last - r->next + 1;
    if (first->begin != 0) r->begin = first->begin; /* else where the one before ended */
    r->end = event_at(r, last)->end;
    /* Its writer ended without a word: in time as short as these are. */
    if (r->end == 0) r->end = last + 1 < r->head ? event_at(r, last + 1)->begin : r->begin + r->n_run * short_ticks;
    uint64_t time = r->end > r->begin ? r->end - r->begin : 0;
    r->share = time / r->n_run < short_ticks ? time / r->n_run : short_ticks;
    r->approximate = r->n_run > 1 && time > 4 * r->n_run * short_ticks;
}

bool trace_read(trace_reader_t *r, trace_event_t *event_p, bool *approximate_p)
{
    if (r->next >= r->head) return false;
    if (r->run_at >= r->n_run) read_run(r);
    *event_p = *event_at(r, r->next++);
    event_p->begin = r->begin;
    r->begin = ++r->run_at < r->n_run ? r->begin + r->share : r->end;
    event_p->end = r->begin;
    *approximate_p = r->approximate;
    return true;
}
